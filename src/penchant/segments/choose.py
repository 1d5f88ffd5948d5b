"""How many segments: the number that comes back on other users (stability) and keeps users apart later (separation).

For each candidate: the users are dealt into two halves, each half is clustered, and all users are assigned by both;
stability is the adjusted Rand index of the two (as in Tibshirani & Walther 2005, "Cluster validation by prediction
strength"), the mean over several deals. Separation is what the segments tell of events *after* those they were made
from: the nats by which a user's later interests are less of a surprise to the other members than to random groups of
the same sizes. The score is stability^1.5 x separation: what segments tell of later, so far as they can be found again.
Few segments tell little, too many can't be found twice; stability counts for more, as a segment must mean the same next
week. Where too few users act later, separation is the mean silhouette.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray
from penchant.segments.algorithms import assign, check_rows, cluster, filled
from penchant.segments.worth import Surprise

Rows = npt.NDArray[np.int64]

MIN_LATER_USERS = 100  # users with later events; fewer don't show what segments tell

_POWER = 1.5  # of stability; 1, 1.5 and 2 all find the true number on six made-up markets
_N_DEALS = 4
_N_RANDOM = 5  # random groupings a deal's segments are compared with
_MIN_MEMBERS = 5  # of a segment in a half, on average: fewer users can't show a segment twice
_SILHOUETTE_USERS = 1500


@dataclass(frozen=True)
class Candidate:
    """stability: mean ARI, 1 = the same segments from other users. separation: nats told of later events, or mean
    silhouette (`Choice.separation_is`). score: stability^1.5 x separation, 0 where either is below."""

    n_segments: int
    stability: float
    separation: float
    score: float


@dataclass(frozen=True)
class Choice:
    """n_segments: the one chosen. n_users: looked at. rule: in words, for the reader of the facts."""

    n_segments: int
    candidates: tuple[Candidate, ...]
    n_users: int
    rule: str
    separation_is: str


def choose_n(
    rows: FloatArray,
    method: str,
    *,
    max_segments: int,
    max_users: int,
    seed: int,
    given: int | None = None,
    later: sp.csr_array | None = None,
) -> Choice:
    """Choose the number of segments between 2 and `max_segments`; 1 where no number is better than chance.

    Cost: eight clusterings of at most max_users / 2 rows for each candidate, whatever the number of users.

    Args:
        rows: (n_users, d) finite; rows of zeros are left out.
        max_users: a larger log is judged by this many users, drawn by the seed.
        given: the caller's number: it is taken, and only measured here.
        later: (n_users, n_leaves) shares of each user's events after those that `rows` speak of.

    >>> rows = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    >>> choose_n(rows, "kmeans", max_segments=6, max_users=1000, seed=0).n_segments
    3
    """
    rng = np.random.default_rng(seed)
    users = np.flatnonzero(filled(check_rows(rows)))
    if len(users) > max_users:
        users = np.sort(rng.choice(users, max_users, replace=False))
    part = np.ascontiguousarray(rows[users])
    told = None if later is None else sp.csr_array(later[users])
    if told is not None and int((np.diff(told.indptr) > 0).sum()) < MIN_LATER_USERS:
        told = None
    apart = Silhouette(part, rng) if told is None else Later(told, seed)
    most = len(part) // (2 * _MIN_MEMBERS)
    numbers = range(2, min(max_segments, most) + 1) if given is None else range(given, given + 1)
    candidates: tuple[Candidate, ...] = ()
    if numbers and 2 <= numbers[-1] <= most:
        deals = [_deal(len(part), rng) for _ in range(_N_DEALS)]
        judged = (_judge(part, deals, apart, method, k, seed) for k in numbers)
        candidates = tuple(takewhile(lambda c: c.n_segments > 0, judged))
    if given is not None:
        return Choice(given, candidates, len(users), "given by segments.n_segments", apart.name)
    best = max(candidates, key=lambda c: (c.score, -c.n_segments), default=None)
    if best is None:
        rule = f"one segment: {len(users)} users with evidence are too few to show more"
        return Choice(1, (), len(users), rule, apart.name)
    if best.score <= 0:
        rule = "one segment: no number is stable and separated at once"
        return Choice(1, candidates, len(users), rule, apart.name)
    return Choice(best.n_segments, candidates, len(users), f"most of stability^{_POWER} x separation", apart.name)


class Silhouette:
    """How far apart segments lie by the rows they were made from: mean silhouette, cosine, -1..1."""

    name = "mean silhouette: too few users act after the cut"

    def __init__(self, rows: FloatArray, rng: np.random.Generator) -> None:
        self._rows = rows
        self._look = np.sort(rng.choice(len(rows), min(len(rows), _SILHOUETTE_USERS), replace=False))

    @cached_property
    def _gaps(self) -> FloatArray:
        """(n, n) cosine distances of unit rows, computed once for all candidates."""
        from penchant.threads import one_thread

        rows = self._rows[self._look]
        with one_thread():
            out = np.clip(1.0 - rows @ rows.T, 0.0, 2.0)
        np.fill_diagonal(out, 0.0)
        return np.asarray(out, np.float32)

    def of(self, labels: IntArray) -> float:
        """Measure one grouping of all rows; 0 where it has one segment or nothing but single users."""
        from sklearn.metrics import silhouette_score

        seen = labels[self._look]
        if not 1 < len(np.unique(seen)) < len(seen):
            return 0.0
        return float(silhouette_score(self._gaps, seen, metric="precomputed"))


class Later:
    """How far apart segments are later: nats told of what their members do next, beyond random groups."""

    name = "nats told of the last fifth of the events, beyond random groups"

    def __init__(self, later: sp.csr_array, seed: int) -> None:
        self._users = np.flatnonzero(np.diff(later.indptr) > 0)
        self._surprise = Surprise(sp.csr_array(later[self._users]))
        self._seed = seed

    def of(self, labels: IntArray) -> float:
        """Measure one grouping of all users."""
        group, n = labels[self._users], int(labels.max()) + 1
        rng = np.random.default_rng(self._seed)
        drawn = [self._surprise.of(rng.permutation(group), n).mean() for _ in range(_N_RANDOM)]
        return float(np.mean(drawn) - self._surprise.of(group, n).mean())


def _judge(
    rows: FloatArray, deals: list[tuple[Rows, Rows]], apart: Silhouette | Later, method: str, k: int, seed: int
) -> Candidate:
    """Judge one number; `n_segments` is 0 where a half has too few distinct rows for it."""
    from sklearn.metrics import adjusted_rand_score

    stable, separate = [], []
    for i, halves in enumerate(deals):
        made = [cluster(rows[h], method, k, seed=seed + i) for h in halves]
        if min(m.n_clusters for m in made) < k:
            return Candidate(0, 0.0, 0.0, 0.0)
        found = [assign(m.centroids, rows) for m in made]
        stable.append(float(adjusted_rand_score(found[0], found[1])))
        separate += [apart.of(labels) for labels in found]
    stability, separation = float(np.mean(stable)), float(np.mean(separate))
    return Candidate(k, stability, separation, max(stability, 0.0) ** _POWER * max(separation, 0.0))


def _deal(n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    order = rng.permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])
