"""How many segments: the number that comes back on other users (stability) and keeps users apart (separation).

For each candidate: the users are dealt into two halves, each half is clustered, and all users are assigned by both;
stability is the adjusted Rand index of the two (as in Tibshirani & Walther 2005, "Cluster validation by prediction
strength"), the mean over several deals. Separation is the mean silhouette of the users under both. Their product is the
score. Coarse unions of segments score as well as the segments themselves, while splitting a segment makes the score
fall at once; so of numbers that score alike the largest is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from penchant.data import FloatArray
from penchant.segments.algorithms import assign, check_rows, cluster, filled

Rows = npt.NDArray[np.int64]

_N_DEALS = 2
_MIN_MEMBERS = 5  # of a segment in a half, on average: fewer users can't show a segment twice
_SILHOUETTE_USERS = 1500
_ALIKE = 0.85  # numbers that keep this part of the best score count as alike


@dataclass(frozen=True)
class Candidate:
    """stability: mean ARI, 1 = the same segments from other users. separation: silhouette, -1..1. score: product."""

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


def choose_n(
    rows: FloatArray, method: str, *, max_segments: int, max_users: int, seed: int, given: int | None = None
) -> Choice:
    """Choose the number of segments between 2 and `max_segments`; 1 where no number is better than chance.

    Cost: four clusterings of at most max_users / 2 rows for each candidate, whatever the number of users.

    Args:
        rows: (n_users, d) finite; rows of zeros are left out.
        max_users: a larger log is judged by this many users, drawn by the seed.
        given: the caller's number: it is taken, and only measured here.

    >>> rows = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    >>> choose_n(rows, "kmeans", max_segments=6, max_users=1000, seed=0).n_segments
    3
    """
    rng = np.random.default_rng(seed)
    users = np.flatnonzero(filled(check_rows(rows)))
    if len(users) > max_users:
        users = np.sort(rng.choice(users, max_users, replace=False))
    part = np.ascontiguousarray(rows[users])
    most = len(part) // (2 * _MIN_MEMBERS)
    numbers = range(2, min(max_segments, most) + 1) if given is None else range(given, given + 1)
    candidates: tuple[Candidate, ...] = ()
    if numbers and 2 <= numbers[-1] <= most:
        deals = [_deal(len(part), rng) for _ in range(_N_DEALS)]
        look = np.sort(rng.choice(len(part), min(len(part), _SILHOUETTE_USERS), replace=False))
        gaps = _distances(part[look])
        judged = (_judge(part, deals, look, gaps, method, k, seed) for k in numbers)
        candidates = tuple(takewhile(lambda c: c.n_segments > 0, judged))
    if given is not None:
        return Choice(given, candidates, len(users), "given by segments.n_segments")
    best = max(candidates, key=lambda c: (c.score, -c.n_segments), default=None)
    if best is None:
        return Choice(1, (), len(users), f"one segment: {len(users)} users with evidence are too few to show more")
    if best.score <= 0:
        return Choice(1, candidates, len(users), "one segment: no number is stable and separated at once")
    alike = [c.n_segments for c in candidates if c.score >= _ALIKE * best.score]
    rule = f"largest number that keeps {_ALIKE:.0%} of the best stability x separation"
    return Choice(max(alike), candidates, len(users), rule)


def _judge(
    rows: FloatArray,
    deals: list[tuple[Rows, Rows]],
    look: Rows,
    gaps: FloatArray,
    method: str,
    k: int,
    seed: int,
) -> Candidate:
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    """Judge one number; `n_segments` is 0 where a half has too few distinct rows for it."""
    stable, apart = [], []
    for i, halves in enumerate(deals):
        made = [cluster(rows[h], method, k, seed=seed + i) for h in halves]
        if min(m.n_clusters for m in made) < k:
            return Candidate(0, 0.0, 0.0, 0.0)
        found = [assign(m.centroids, rows) for m in made]
        stable.append(float(adjusted_rand_score(found[0], found[1])))
        for labels in found:
            n = len(np.unique(labels[look]))
            defined = 1 < n < len(look)
            apart.append(float(silhouette_score(gaps, labels[look], metric="precomputed")) if defined else 0.0)
    stability, separation = float(np.mean(stable)), float(np.mean(apart))
    return Candidate(k, stability, separation, max(stability, 0.0) * max(separation, 0.0))


def _deal(n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    order = rng.permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def _distances(rows: FloatArray) -> FloatArray:
    """(n, n) cosine distances of unit rows, computed once for all candidates."""
    from penchant.threads import one_thread

    with one_thread():
        out = np.clip(1.0 - rows @ rows.T, 0.0, 2.0)
    np.fill_diagonal(out, 0.0)
    return np.asarray(out, np.float32)
