"""How many segments: the number that comes back on other users (stability) and keeps users apart later (separation).

For each candidate: the users are dealt into two halves, each half is clustered, and all users are assigned by both;
stability is the adjusted Rand index of the two (as in Tibshirani & Walther 2005, "Cluster validation by prediction
strength"), the mean over several deals. Separation is what the segments tell of events *after* those they were made
from: the nats by which a user's later interests are less of a surprise to the other members than to random groups of
the same sizes. The score is stability^1.5 x separation: what segments tell of later, so far as they can be found again.
Few segments tell little, too many can't be found twice; stability counts for more, as a segment must mean the same next
week. Of numbers that score alike the smallest is taken: the fewest segments that are behind the best by no more than a
standard error over the deals (the rule of Breiman et al. 1984 for trees). Where too few users act later, separation is
the mean silhouette. A method that leaves users unassigned has its score multiplied by the share of users it assigns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray
from penchant.segments.algorithms import check_rows, filled, method_row, nearest
from penchant.segments.recipe import Recipe, with_method
from penchant.segments.worth import Surprise

Rows = npt.NDArray[np.int64]
Deal = tuple[Rows, Rows]

MIN_LATER_USERS = 100  # users with later events; fewer don't show what segments tell

_POWER = 1.5  # of stability; 1, 1.5 and 2 all find the true number on six made-up markets
_N_DEALS = 4
_N_RANDOM = 5  # random groupings a deal's segments are compared with
_MIN_MEMBERS = 5  # of a segment in a half, on average: fewer users can't show a segment twice
_SILHOUETTE_USERS = 1500


@dataclass(frozen=True)
class Candidate:
    """stability: mean ARI, 1 = the same segments from other users. separation: nats told of later events, or mean
    silhouette (`Choice.separation_is`). score: stability^1.5 x separation x assigned_share, 0 where one is below.
    n_segments: asked for; where the method finds it, the mean over the halves, rounded. by_deal: score of each deal."""

    n_segments: int
    stability: float
    separation: float
    score: float
    assigned_share: float = 1.0
    by_deal: tuple[float, ...] = ()


@dataclass(frozen=True)
class Choice:
    """n_segments: the one chosen, None = left to the method. n_users: looked at. rule: in words, for the reader of
    the facts."""

    n_segments: int | None
    candidates: tuple[Candidate, ...]
    n_users: int
    rule: str
    separation_is: str


@dataclass(frozen=True)
class Bench:
    """The users that segmentations are judged on: their rows, how they are dealt, and what segments should tell."""

    rows: FloatArray
    apart: Silhouette | Later
    rng: np.random.Generator

    @property
    def most(self) -> int:
        """The largest number of segments that half of the users can show."""
        return len(self.rows) // (2 * _MIN_MEMBERS)

    def deals(self, n: int = _N_DEALS) -> list[Deal]:
        """Deal the users into two halves, `n` times."""
        return [_deal(len(self.rows), self.rng) for _ in range(n)]


def make_bench(rows: FloatArray, *, max_users: int, seed: int, later: sp.csr_array | None = None) -> Bench:
    """Draw the users to judge on; arguments as of `choose_n`."""
    rng = np.random.default_rng(seed)
    users = np.flatnonzero(filled(check_rows(rows)))
    if len(users) > max_users:
        users = np.sort(rng.choice(users, max_users, replace=False))
    part = np.ascontiguousarray(rows[users])
    told = None if later is None else sp.csr_array(later[users])
    if told is not None and int((np.diff(told.indptr) > 0).sum()) < MIN_LATER_USERS:
        told = None
    return Bench(part, Silhouette(part, rng) if told is None else Later(told, seed), rng)


def choose_n(
    rows: FloatArray,
    recipe: Recipe,
    *,
    max_segments: int,
    max_users: int,
    seed: int,
    given: int | None = None,
    later: sp.csr_array | None = None,
) -> Choice:
    """Choose the number of segments between 2 and `max_segments`; 1 where no number is better than chance.

    A method that finds the number by itself is judged as it is. One too slow to be tried at every number takes the
    number that k-means gets. Cost: eight clusterings of at most max_users / 2 rows for each candidate, whatever the
    number of users.

    Args:
        rows: (n_users, d) finite; rows of zeros are left out.
        recipe: how segments are made.
        max_users: a larger log is judged by this many users, drawn by the seed.
        given: the caller's number: it is taken, and only measured here.
        later: (n_users, n_leaves) shares of each user's events after those that `rows` speak of.

    >>> rows = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    >>> choose_n(rows, Recipe("kmeans"), max_segments=6, max_users=1000, seed=0).n_segments
    3
    """
    way = method_row(recipe.method).number
    if given is None and way == "kmeans":
        chosen = choose_n(
            rows,
            with_method(recipe, "kmeans"),
            max_segments=max_segments,
            max_users=max_users,
            seed=seed,
            later=later,
        )
        return replace(chosen, rule=f"{chosen.rule}, judged for kmeans")
    bench = make_bench(rows, max_users=max_users, seed=seed, later=later)
    n, name = len(bench.rows), bench.apart.name
    if given is None and way == "found":
        judged = (judge(bench, bench.deals(), recipe, None, seed),) if bench.most >= 2 else ()
        return Choice(None, judged, n, f"found by {recipe.method}", name)
    numbers = range(2, min(max_segments, bench.most) + 1) if given is None else range(given, given + 1)
    candidates: tuple[Candidate, ...] = ()
    if numbers and 2 <= numbers[-1] <= bench.most:
        deals = bench.deals(1 if way == "kmeans" else _N_DEALS)
        distinct = min(len(np.unique(bench.rows[half], axis=0)) for deal in deals for half in deal)
        candidates = tuple(judge(bench, deals, recipe, k, seed) for k in numbers if k <= distinct)
    if given is not None:
        return Choice(given, candidates, n, "given by segments.n_segments", name)
    best = max(candidates, key=lambda c: (c.score, -c.n_segments), default=None)
    if best is None:
        return Choice(1, (), n, f"one segment: {n} users with evidence are too few to show more", name)
    if best.score <= 0:
        return Choice(1, candidates, n, "one segment: no number is stable and separated at once", name)
    taken = _fewest(candidates, best)
    rule = f"most of stability^{_POWER} x separation"
    if taken is not best:
        rule = f"fewest within a standard error of the {rule}, which {best.n_segments} has"
    return Choice(taken.n_segments, candidates, n, rule, name)


def judge(bench: Bench, deals: list[Deal], recipe: Recipe, n_segments: int | None, seed: int) -> Candidate:
    """Judge one way to make segments by what two halves of the users make of it."""
    from sklearn.metrics import adjusted_rand_score

    from penchant.threads import one_thread

    rows = bench.rows
    stable, separate, assigned, number = [], [], [], []
    for i, halves in enumerate(deals):
        made = [recipe.make(rows[h], n_segments, seed=seed + i) for h in halves]
        assigned.append(float(np.mean([m.assigned_share for m in made])))
        number += [m.n_clusters for m in made]
        if min(m.n_clusters for m in made) == 0:
            stable.append(0.0)
            separate.append(0.0)
            continue
        with one_thread():
            found = [nearest(m.centroids, rows) for m in made]
        stable.append(float(adjusted_rand_score(found[0], found[1])))
        separate.append(float(np.mean([bench.apart.of(labels) for labels in found])))
    # one segment for all agrees with itself perfectly and tells nothing: separation is 0 there
    stability, separation, share = (float(np.mean(v)) for v in (stable, separate, assigned))
    return Candidate(
        n_segments=round(float(np.mean(number))) if n_segments is None else n_segments,
        stability=stability,
        separation=separation,
        score=_score(stability, separation, share),
        assigned_share=share,
        by_deal=tuple(_score(*parts) for parts in zip(stable, separate, assigned, strict=True)),
    )


def _score(stability: float, separation: float, assigned_share: float) -> float:
    return float(max(stability, 0.0) ** _POWER * max(separation, 0.0) * assigned_share)


def _fewest(candidates: tuple[Candidate, ...], best: Candidate) -> Candidate:
    """The fewest segments that are no more than a standard error behind the best, deal by deal."""
    for c in sorted(candidates, key=lambda c: c.n_segments):
        behind = np.subtract(best.by_deal, c.by_deal)
        if len(behind) > 1 and behind.mean() <= behind.std(ddof=1) / np.sqrt(len(behind)):
            return c
    return best


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


def _deal(n: int, rng: np.random.Generator) -> Deal:
    order = rng.permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])
