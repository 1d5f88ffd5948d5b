"""Repeats: how likely a user takes again what they took before, learned from the log's own past.

For a user u and an item i that u liked in n sessions, the last of them `age` ago (days; own events in an "order" log):

    gap       the usual time between two takes: ((n - 1) * mean gap of the pair + gap(i)) / n, gap(i) being the item's
              own over all users, which itself counts the log's as PRIOR gaps
    late      log((age + 1) / (gap + 1)): 0 when the next take is due, below before, above when it is overdue
    share(u)  of u's takes, those of something taken before; share(i) the same of the item; the log's counts as PRIOR

    log odds of a repeat = constant + a * log(n) + b * log(1 + age) + c * log(1 + later likes of u) + d * late
                           + e * late^2 + f * logit(share(u)) + g * logit(share(i))

so it is frequency and recency (Anderson et al. 2014) with the hazard of the time between takes (Benson, Kumar & Tomkins
2016) in a linear form. The outcomes are the pairs of those who came back in the latest OUTCOME_SHARE of the events:
taken again there, or not. Pairs that were never taken score zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import Events, FloatArray, Parts
from penchant.recommend.past import Past, read_past

REPEAT = ("repeat", "repeat_count", "repeat_last")  # the learned chance; how often; how lately
OUTCOME_SHARE = 0.1
PRIOR = 10.0
MAX_PAIRS = 200_000  # outcomes drawn
MIN_REPEATS = 50  # to learn from; with fewer, the chance rests on frequency and recency by equal weights
L2 = 1.0  # on the weights of standardised features, in outcomes
N_FEATURES = 7
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Repeats:
    """constant, weights: (7,) in the order of the formula · item_gap, item_share: (n_items,) as told above · share: of
    the log's takes, those of something the user had taken before.
    """

    constant: float
    weights: FloatArray
    item_gap: FloatArray
    item_share: FloatArray
    share: float

    def score(self, name: str, past: Past) -> FloatArray:
        """(n_users, n_items) one of REPEAT, zero for what a user never liked.

        "repeat" is the chance. "repeat_count" is the number of sessions, the latest first where numbers are equal.
        "repeat_last" is 1 / (1 + later likes of the user).
        """
        if name == "repeat":
            values = self.chance(past)
        elif name == "repeat_count":
            values = past.n_times + 1.0 / (2.0 + past.own_age)
        else:
            values = 1.0 / (1.0 + past.own_age)
        return np.asarray(past.matrix(values.astype(np.float32)).toarray(), np.float32)

    def chance(self, past: Past) -> FloatArray:
        """(entries of `past`,) chance of a repeat."""
        odds = self.constant + _features(past, self.item_gap, self.item_share, self.share) @ self.weights
        return np.asarray(1.0 / (1.0 + np.exp(-odds)), np.float32)

    def to_parts(self) -> Parts:
        config = {"constant": self.constant, "weights": self.weights.tolist(), "share": self.share}
        return Parts(config, {"item_gap": self.item_gap, "item_share": self.item_share})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        c = parts.config
        return cls(float(c["constant"]), np.array(c["weights"], np.float32), **parts.arrays, share=float(c["share"]))


def fit_repeats(events: Events, n_items: int, *, seed: int) -> Repeats:
    """Learn from the latest part of `events`; what is told of items is of all of them."""
    now = _of_items(read_past(events, n_items))
    plain = np.array([1, 0, -1, 0, 0, 0, 0], np.float32)
    untaught = Repeats(float(_logit(now.share)), plain, now.gap, now.item_share, now.share)
    before = events.before(events.cut_at(1 - OUTCOME_SHARE))
    if not len(before.positive()):
        return untaught
    past = read_past(before, n_items)
    after = events.take(events.time >= events.cut_at(1 - OUTCOME_SHARE)).matrix(n_items, binary=True)
    back = np.flatnonzero(np.diff(after.indptr) > 0).astype(np.int32)
    past, after = past.take(back), sp.csr_array(after[back])
    then = _of_items(read_past(before, n_items))
    features = _features(past, then.gap, then.item_share, then.share)
    owner = np.repeat(np.arange(past.n_users), past.n_liked)
    outcome = np.isin(
        owner.astype(np.int64) * n_items + past.indices,
        np.repeat(np.arange(past.n_users, dtype=np.int64), np.diff(after.indptr)) * n_items + after.indices,
    )
    if outcome.sum() < MIN_REPEATS:
        return untaught
    if len(outcome) > MAX_PAIRS:
        drawn = np.sort(np.random.default_rng([seed, 13]).choice(len(outcome), MAX_PAIRS, replace=False))
        features, outcome = features[drawn], outcome[drawn]
    found = _logistic(features, outcome)
    return Repeats(found.constant, found.weights, now.gap, now.item_share, now.share)


@dataclass(frozen=True)
class _Items:
    gap: FloatArray
    item_share: FloatArray
    share: float


@dataclass(frozen=True)
class _Fitted:
    constant: float
    weights: FloatArray


def _of_items(past: Past) -> _Items:
    """What a past tells of gaps and repeats of each item."""
    again = past.n_times - 1.0
    takes = np.bincount(past.indices, past.n_times, past.n_items)
    repeats = np.bincount(past.indices, again, past.n_items)
    gaps = np.bincount(past.indices, again * past.gap, past.n_items)
    share = float((repeats.sum() + 0.5) / (takes.sum() + 1.0))
    usual = float(gaps.sum() / max(repeats.sum(), 1.0))
    return _Items(
        ((gaps + PRIOR * usual) / (repeats + PRIOR)).astype(np.float32),
        ((repeats + PRIOR * share) / (takes + PRIOR)).astype(np.float32),
        share,
    )


def _features(past: Past, item_gap: FloatArray, item_share: FloatArray, share: float) -> Array:
    owner = np.repeat(np.arange(past.n_users), past.n_liked)
    n = past.n_times.astype(np.float64)
    takes = np.bincount(owner, n, past.n_users)
    own_share = (takes - past.n_liked + PRIOR * share) / (takes + PRIOR)
    gap = ((n - 1.0) * past.gap + item_gap[past.indices]) / n
    late = np.log((past.age_days + 1.0) / (gap + 1.0))
    columns = (
        np.log(n),
        np.log1p(past.age_days),
        np.log1p(past.own_age),
        late,
        late**2,
        _logit(own_share)[owner],
        _logit(item_share[past.indices]),
    )
    return np.column_stack(columns).astype(np.float64)


def _logit(share: float | FloatArray | Array) -> Array:
    held = np.clip(np.asarray(share, np.float64), 1e-4, 1 - 1e-4)
    return np.asarray(np.log(held / (1 - held)))


def _logistic(features: Array, outcome: npt.NDArray[np.bool_]) -> _Fitted:
    """Logistic regression on standardised features; the weights given back are on the features as they are."""
    from scipy.optimize import minimize

    from penchant.threads import one_thread

    middle, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    x = np.column_stack([np.ones(len(features)), (features - middle) / spread])
    sign = np.where(outcome, 1.0, -1.0)

    def loss(w: Array) -> tuple[float, Array]:
        margin = sign * (x @ w)
        slope = -(sign / (1.0 + np.exp(np.clip(margin, -500, 500)))) @ x
        slope[1:] += L2 * w[1:]
        return float(np.logaddexp(0.0, -margin).sum() + L2 * (w[1:] @ w[1:]) / 2), slope

    with one_thread("blas"):  # sums of several threads would depend on their number
        w = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    weights = w[1:] / spread
    return _Fitted(float(w[0] - weights @ middle), weights.astype(np.float32))
