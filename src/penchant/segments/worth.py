"""Is a segment worth having? Does knowing it tell what a user is interested in, better than random groups do?

For each user, the other members' mean shares predict the user's own; the surprise is the cross-entropy in nats, a
proper score (Gneiting & Raftery 2007). The same is done for random partitions of equal sizes. Worth = exp(surprise
under random partitions - surprise under the segments): the factor by which the segment narrows down the interests one
has to guess among (a ratio of perplexities); 1 = no better than chance. A user's own row never predicts itself. Shares
of events after those that the segments were made from tell whether members stay alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.errors import DataError

Floats = npt.NDArray[np.float64]

MAX_USERS = 50_000


@dataclass(frozen=True)
class Worth:
    """Ratio to random partitions, overall and by segment, with 95 % intervals over users.

    beaten: share of random partitions that the segments beat. in_sample: shares and segments come from the same
    events, so the ratio flatters. floor: what a segment's lower bound must be above to pass; in sample it should be
    what the same procedure gets where there is nothing to find (`shuffled_shares`), on later events 1 is right.
    by_segment, low_by_segment: (n_segments,). passes: (n_segments,).
    """

    ratio: float
    low: float
    high: float
    beaten: float
    floor: float
    in_sample: bool
    n_users: int
    by_segment: FloatArray
    low_by_segment: FloatArray
    passes: BoolArray

    def facts(self) -> dict[str, Any]:
        """Return what is worth printing."""
        return {
            "ratio": self.ratio,
            "low": self.low,
            "high": self.high,
            "random_beaten_share": self.beaten,
            "floor": self.floor,
            "in_sample": self.in_sample,
            "n_users": self.n_users,
            "n_passing": int(self.passes.sum()),
            "note": "measured on the events the segments were made from; later events give a lower, truer figure"
            if self.in_sample
            else "measured on events after those the users were placed by",
        }


def measure_worth(
    labels: IntArray,
    shares: sp.csr_array,
    *,
    n_segments: int | None = None,
    in_sample: bool = True,
    floor: float = 1.0,
    n_random: int = 100,
    seed: int = 0,
) -> Worth:
    """Test segments against random partitions of equal sizes.

    Cost: n_random sparse products over at most 50,000 users (drawn by the seed).

    Args:
        labels: (n_users,) segment of each user, -1 = unassigned (left out).
        shares: (n_users, n_leaves) shares by leaf, rows sum to 1 or 0; users without any are left out.
        n_segments: how many there are, should the last of them have no user here (default: by the labels).
        in_sample: say whether the users were placed by these very shares.
        floor: a segment passes only above this ratio.
    Raises:
        DataError: shapes do not agree.

    >>> shares = sp.csr_array(np.repeat(np.eye(2, dtype=np.float32), 20, axis=0))
    >>> made = measure_worth(np.repeat([0, 1], 20).astype(np.int32), shares)
    >>> made.ratio > 1.7, made.beaten, made.passes.tolist()
    (True, 1.0, [True, True])
    """
    if len(labels) != shares.shape[0]:
        raise DataError(
            f"measure_worth: labels and shares must speak of the same users. Got {len(labels)} labels and "
            f"{shares.shape[0]} rows of shares; take both from one log"
        )
    rng = np.random.default_rng(seed)
    n_segments = max(n_segments or 0, int(labels.max(initial=-1)) + 1)
    users = np.flatnonzero((labels >= 0) & (np.diff(shares.indptr) > 0))
    if len(users) > MAX_USERS:
        users = np.sort(rng.choice(users, MAX_USERS, replace=False))
    if n_segments < 2 or len(users) < 2:
        nothing = np.ones(n_segments, np.float32)
        return Worth(1.0, 1.0, 1.0, 0.0, floor, in_sample, len(users), nothing, nothing, np.zeros(n_segments, np.bool_))

    group = labels[users]
    surprise = Surprise(sp.csr_array(shares[users]))
    own = surprise.of(group, n_segments)
    total, wins = np.zeros(len(users)), 0
    for _ in range(n_random):
        drawn = surprise.of(rng.permutation(group), n_segments)
        total += drawn
        wins += int(drawn.mean() > own.mean())
    gain = total / n_random - own
    mean, half = _interval(gain, np.zeros(len(users), np.int32), 1)
    mean_by, half_by = _interval(gain, group, n_segments)
    low_by = np.exp(mean_by - half_by)
    return Worth(
        ratio=float(np.exp(mean[0])),
        low=float(np.exp(mean[0] - half[0])),
        high=float(np.exp(mean[0] + half[0])),
        beaten=wins / n_random,
        floor=floor,
        in_sample=in_sample,
        n_users=len(users),
        by_segment=np.exp(mean_by).astype(np.float32),
        low_by_segment=low_by.astype(np.float32),
        passes=np.asarray(low_by > max(floor, 1.0)) & (wins >= 0.95 * n_random),
    )


def shuffled_shares(shares: sp.csr_array, seed: int) -> sp.csr_array:
    """Shares whose interests are dealt anew over all users: breadth and popularity stay, like mixes are gone."""
    rng = np.random.default_rng(seed)
    out = sp.csr_array((shares.data.copy(), rng.permutation(shares.indices), shares.indptr.copy()), shape=shares.shape)
    out.sum_duplicates()
    return out


class Surprise:
    """Cross-entropy, in nats, of each user's shares under the mean shares of the other members of the user's group.

    shares: (n_users, n_leaves), no row empty.
    """

    def __init__(self, shares: sp.csr_array) -> None:
        n_users, n_leaves = shares.shape
        self._shares = shares.astype(np.float64)
        self._owner = np.repeat(np.arange(n_users), np.diff(shares.indptr))
        self._leaf, self._own = shares.indices, self._shares.data
        sums = np.asarray(self._shares.sum(axis=1)).ravel()
        self._part = self._own / sums[self._owner]
        # one more member with everybody's mix: a leaf that a group has never shown is unlikely, not impossible
        self._prior = (np.asarray(self._shares.sum(axis=0)).ravel() + 1.0 / n_leaves) / (n_users + 1.0)
        self._n_users = n_users

    def of(self, group: IntArray, n_groups: int) -> Floats:
        """(n_users,) surprise under one grouping; group: (n_users,) in 0..n_groups - 1."""
        member = sp.csr_array(
            (np.ones(self._n_users), (group, np.arange(self._n_users))), shape=(n_groups, self._n_users)
        )
        sums = (member @ self._shares).toarray()
        size = np.bincount(group, minlength=n_groups)
        g = group[self._owner]
        expected = (sums[g, self._leaf] - self._own + self._prior[self._leaf]) / size[g]
        surprise = -self._part * np.log(np.maximum(expected, 1e-12))
        return np.asarray(np.bincount(self._owner, surprise, minlength=self._n_users), np.float64)


def _interval(gain: Floats, group: IntArray, n: int) -> tuple[Floats, Floats]:
    """Mean gain by group and the half width of its 95 % interval; infinite for fewer than two users."""
    size = np.bincount(group, minlength=n)
    mean = np.bincount(group, gain, minlength=n) / np.maximum(size, 1)
    square = np.bincount(group, (gain - mean[group]) ** 2, minlength=n)
    half = np.full(n, np.inf)
    some = size > 1
    half[some] = 1.96 * np.sqrt(square[some] / (size[some] - 1) / size[some])
    return mean, half
