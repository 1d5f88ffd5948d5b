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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from penchant.config import RecommendConfig
from penchant.data import BoolArray, FloatArray, IntArray, Items, Parts
from penchant.recommend.candidates import Candidates, row_spread, standardise
from penchant.recommend.crossings import domains_of
from penchant.recommend.new_items import NewItemSignals, described, new_item_signals
from penchant.recommend.past import Past
from penchant.recommend.rank import Lesson, PlainSum
from penchant.recommend.signals import Signals

POPULARITY = 1.5  # its weight beside all that words lead to


@dataclass
class Bridge:
    """A ranker: sum of the z-scores of the first `n_shared` signals (equal for all users), POPULARITY times, and of the
    others; each sum in units of its spread over the user's candidates.
    """

    signal_names: tuple[str, ...]
    n_shared: int
    name: str = "bridge"

    def fit(self, lessons: Sequence[Lesson], *, seed: int) -> None:
        """Nothing to learn."""

    def score(self, candidates: Candidates) -> FloatArray:
        shared, own = (standardise(one, candidates.valid) for one in self._sums(candidates))
        return np.asarray(POPULARITY * shared + own, np.float32)

    def parts(self, candidates: Candidates, columns: IntArray) -> FloatArray:
        out = PlainSum("sum_z", self.signal_names).parts(candidates, columns)
        n, m = self.n_shared, len(self.signal_names)
        for place, one in zip((slice(0, n), slice(n, m)), self._sums(candidates), strict=True):
            out[:, :, place] /= np.maximum(row_spread(one, candidates.valid), 1e-9)[:, :, None]
        out[:, :, :n] *= POPULARITY
        return out

    def _sums(self, candidates: Candidates) -> tuple[FloatArray, FloatArray]:
        """(n, c) each, sums of the z-scores of signals: those equal for all, the others."""
        z, n, m = candidates.features, self.n_shared, len(self.signal_names)
        return z[:, :, :n].sum(axis=2), z[:, :, n:m].sum(axis=2)

    def to_parts(self) -> Parts:
        return Parts({"kind": "bridge", "signal_names": list(self.signal_names), "n_shared": self.n_shared})


@dataclass(frozen=True)
class Strangers:
    """domain: (n_items,) of `domains_of` · apart: (d, d) domains that share (hardly) a user, of `find_apart`."""

    domain: IntArray
    apart: BoolArray

    def between(self, source: BoolArray, allowed: BoolArray | None) -> bool:
        """Whether all items of the one side and of the other, (n_items,) each, are of domains apart."""
        if allowed is None:
            return False
        here, there = np.unique(self.domain[source]), np.unique(self.domain[allowed])
        some = len(here) > 0 and len(there) > 0 and min(here[0], there[0]) >= 0
        return bool(some and self.apart[np.ix_(here, there)].all())

    def view(self, signals: Signals, traits: FloatArray, source: BoolArray) -> NewItemSignals:
        """The signals as the items of `source` speak for those of all domains apart from theirs."""
        here = np.unique(self.domain[source])
        apart = np.flatnonzero(self.apart[here].all(axis=0))
        return new_item_signals(
            signals, traits, described(traits) & np.isin(self.domain, apart), np.isin(self.domain, here), heard_of=True
        )

    def to_parts(self) -> Parts:
        return Parts({}, {"domain": self.domain, "apart": self.apart})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        return cls(parts.arrays["domain"], parts.arrays["apart"])


def find_apart(items: Items, past: Past, config: RecommendConfig) -> BoolArray:
    """(d, d) pairs of domains of both of which fewer than `min_window_users` users liked items: none to learn from."""
    domain = domains_of(items)
    inside = (domain[:, None] == np.arange(int(domain.max(initial=-1)) + 1)).astype(np.float32)
    acts = np.asarray(past.matrix() @ inside > 0, np.float32)
    apart = acts.T @ acts < config.min_window_users
    np.fill_diagonal(apart, val=False)
    return np.asarray(apart, np.bool_)
