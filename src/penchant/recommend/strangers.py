"""From one domain to another when nobody acts in both: only what is said of the items leads across.

Neighbours, factors and habits of one domain say nothing of the other, and a ranker that learned what they are worth
leads astray. But films are to readers what new items are to users: the books whose texts are nearest speak for a film,
through every signal (`NewItemSignals`), and how popular the film is among those who watch is known beside it.

What the two are worth beside each other can't be learned: no past window shows a reader who took a film. Windows in
which items are hidden by lot trust the words too much (what a reader takes next is nearer to what they took than any
film is), windows in which whole interests are hidden too little. So the weight is a constant, a compromise over
markets and logs that were parted for it (docs/recommendations.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray, FloatArray, IntArray, Items, Parts
from penchant.recommend.candidates import Candidates, row_spread
from penchant.recommend.crossings import domains_of
from penchant.recommend.new_items import NewItemSignals, described, new_item_signals
from penchant.recommend.past import Past
from penchant.recommend.rank import PlainSum
from penchant.recommend.signals import Signals

POPULARITY = 1.5  # its weight beside all that words lead to


@dataclass
class Bridge(PlainSum):
    """The z-scores of the first `n_shared` signals (equal for all users), POPULARITY times, and of the others, summed;
    each of the two sums in units of its spread over the user's candidates. Made with a view, never saved.
    """

    n_shared: int = 0

    def _terms(self, candidates: Candidates) -> FloatArray:
        z, n = candidates.features[:, :, : len(self.signal_names)], self.n_shared
        halves = ((z[:, :, :n], POPULARITY), (z[:, :, n:], 1.0))
        units = [weight / np.maximum(row_spread(x.sum(axis=2), candidates.valid), 1e-9) for x, weight in halves]
        terms = [x * unit[:, :, None] for (x, _), unit in zip(halves, units, strict=True)]
        return np.concatenate(terms, axis=2, dtype=np.float32)


@dataclass(frozen=True)
class Strangers:
    """domain: (n_items,) of `domains_of` · apart: (d, d) domains that share (hardly) a user, of `find_apart`."""

    domain: IntArray
    apart: BoolArray

    def between(self, source: BoolArray, allowed: BoolArray | None) -> bool:
        """Whether all items of the one side and of the other, (n_items,) each, are of domains apart."""
        if allowed is None:
            return False
        here, there = self.named(source), self.named(allowed)
        return bool(here and there and min(*here, *there) >= 0 and self.apart[np.ix_(here, there)].all())

    def named(self, items: BoolArray) -> tuple[int, ...]:
        """The domains of some items, sorted."""
        return tuple(np.unique(self.domain[items]).tolist())

    def view(self, signals: Signals, traits: FloatArray, here: tuple[int, ...]) -> NewItemSignals:
        """The signals as the items of some domains speak for those of all domains apart from these."""
        there = np.flatnonzero(self.apart[list(here)].all(axis=0))
        known, new = np.isin(self.domain, here), np.isin(self.domain, there)
        return new_item_signals(signals, traits, described(traits) & new, known, heard_of=True)

    def to_parts(self) -> Parts:
        return Parts({}, {"domain": self.domain, "apart": self.apart})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        return cls(parts.arrays["domain"], parts.arrays["apart"])


def find_apart(items: Items, past: Past, config: RecommendConfig) -> BoolArray:
    """(d, d) pairs of domains of both of which fewer than `min_window_users` users liked items: none to learn from."""
    domain = domains_of(items)
    inside, n_domains = np.flatnonzero(domain >= 0), int(domain.max(initial=-1)) + 1
    ones = np.ones(len(inside), np.float32)
    place = sp.csr_array((ones, (inside, domain[inside])), shape=(len(domain), n_domains))
    acts = sp.csr_array(past.matrix() @ place)
    acts.data[:] = 1.0
    apart = (acts.T @ acts).toarray() < config.min_window_users
    np.fill_diagonal(apart, val=False)
    return np.asarray(apart, np.bool_)
