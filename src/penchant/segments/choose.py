"""How many segments: the number that tells most of later, so far as members meet again in segments of other users.

For each candidate the users are dealt into two halves, each half is clustered, and all users are assigned by both. What
a user's segment tells are the nats by which the user's events *after* those that segments were made from are less of a
surprise to the other members than to random groups of the same sizes. It counts by the part of the user's fellows who
come again: the Jaccard index of the user's two segments, as Hennig (2007, "Cluster-wise assessment of cluster
stability") compares clusters, here beyond chance. The score is the mean over users and deals. Few segments tell little,
too many can't be found twice. What comes again is judged user by user, since one agreement for all (the adjusted Rand
index, shown as `stability`) swings with the deal of the users where one segment of many is uncertain.

A race: all numbers meet on three deals, the four leaders on five more. Of leaders that score alike the smallest is
taken: the fewest segments that are behind the best by no more than a standard error over the same deals (the rule of
Breiman et al. 1984 for trees). Where too few users act later, the silhouette of a user stands for the nats. A method
that leaves users unassigned has its score multiplied by the share of users it assigns.
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

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Deal = tuple[Rows, Rows]

MIN_LATER_USERS = 100  # users with later events; fewer don't show what segments tell

_N_DEALS = 4  # where there is no race
_N_FIRST, _N_LEADERS, _N_MORE = 3, 4, 5  # deals that all numbers meet on; leaders, and deals that they meet on besides
_N_RANDOM = 5  # random groupings a deal's segments are compared with
_MIN_MEMBERS = 5  # of a segment in a half, on average: fewer users can't show a segment twice
_SILHOUETTE_USERS = 1500


@dataclass(frozen=True)
class Candidate:
    """stability: mean ARI, 1 = the same segments from other users. separation: nats told of later events, or mean
    silhouette (`Choice.separation_is`). score: mean over users of separation x Jaccard index of the user's segments,
    x assigned_share; at least 0. n_segments: asked for; where the method finds it, the mean over the halves, rounded.
    by_deal: score of each deal; more deals for the leaders of a race."""

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
    number that k-means gets. Cost: six clusterings of at most max_users / 2 rows for each candidate and forty for the
    leaders, whatever the number of users.

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
    if given is not None:
        deals = bench.deals(1 if way == "kmeans" else _N_DEALS)
        tried = tuple(judge(bench, deals, recipe, k, seed) for k in _able(bench, deals, numbers))
        return Choice(given, tried, n, "given by segments.n_segments", name)
    deals = bench.deals(_N_FIRST + _N_MORE)
    first = [judge(bench, deals[:_N_FIRST], recipe, k, seed) for k in _able(bench, deals, numbers)]
    if not first:
        return Choice(1, (), n, f"one segment: {n} users with evidence are too few to show more", name)
    leaders = sorted(first, key=lambda c: (-c.score, c.n_segments))[:_N_LEADERS]
    run = [
        _joined(c, judge(bench, deals[_N_FIRST:], recipe, c.n_segments, seed + _N_FIRST), _N_MORE / len(deals))
        for c in leaders
    ]
    rest = (c for c in first if c not in leaders)
    candidates = tuple(sorted((*run, *rest), key=lambda c: c.n_segments))
    best = max(run, key=lambda c: (c.score, -c.n_segments))
    if best.score <= 0:
        return Choice(1, candidates, n, "one segment: no number is stable and separated at once", name)
    taken = _fewest(run, best)
    rule = "most told of later, so far as members meet again"
    if taken is not best:
        rule = f"fewest within a standard error of the {rule}, which {best.n_segments} has"
    return Choice(taken.n_segments, candidates, n, rule, name)


def _able(bench: Bench, deals: list[Deal], numbers: range) -> list[int]:
    """The numbers that every half of the users can show; none where the largest is too many for them."""
    if not numbers or not 2 <= numbers[-1] <= bench.most:
        return []
    distinct = min(len(np.unique(bench.rows[half], axis=0)) for deal in deals for half in deal)
    return [k for k in numbers if k <= distinct]


def judge(bench: Bench, deals: list[Deal], recipe: Recipe, n_segments: int | None, seed: int) -> Candidate:
    """Judge one way to make segments by what two halves of the users make of it."""
    from sklearn.metrics import adjusted_rand_score

    from penchant.threads import one_thread

    rows = bench.rows
    stable, separate, assigned, number, by_deal = [], [], [], [], []
    for i, halves in enumerate(deals):
        made = [recipe.make(rows[h], n_segments, seed=seed + i) for h in halves]
        share = float(np.mean([m.assigned_share for m in made]))
        assigned.append(share)
        number += [m.n_clusters for m in made]
        if min(m.n_clusters for m in made) == 0:
            stable.append(0.0)
            separate.append(0.0)
            by_deal.append(0.0)
            continue
        with one_thread():
            one, two = (nearest(m.centroids, rows) for m in made)
        told = (bench.apart.of(one) + bench.apart.of(two)) / 2
        stable.append(float(adjusted_rand_score(one, two)))
        separate.append(float(told.mean()))
        # one segment for all is found again perfectly and tells nothing
        by_deal.append(max(float((told * found_again(one, two)[bench.apart.users]).mean()), 0.0) * share)
    return Candidate(
        n_segments=round(float(np.mean(number))) if n_segments is None else n_segments,
        stability=float(np.mean(stable)),
        separation=float(np.mean(separate)),
        score=float(np.mean(by_deal)),
        assigned_share=float(np.mean(assigned)),
        by_deal=tuple(by_deal),
    )


def found_again(one: IntArray, two: IntArray) -> Floats:
    """(n,) Jaccard index of each row's segment in one grouping and in the other, beyond chance: 1 = the same rows.

    (shared - expected) / (all of both - expected), expected = shared by two random groups of these sizes: 0 is chance.

    >>> found_again(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 0, 1, 1])).round(2).tolist()
    [0.5, 0.5, 0.5, -0.25, 0.5, 0.5]
    """
    shared = np.zeros((int(one.max(initial=0)) + 1, int(two.max(initial=0)) + 1))
    np.add.at(shared, (one, two), 1.0)
    size = shared.sum(axis=1)[:, None], shared.sum(axis=0)[None, :]
    expected = size[0] * size[1] / max(len(one), 1)
    room = size[0] + size[1] - shared - expected
    # no room: both hold every row
    found = np.divide(shared - expected, room, out=np.ones_like(shared), where=room > 0)
    return np.asarray(found[one, two])


def _joined(first: Candidate, more: Candidate, part: float) -> Candidate:
    """One candidate judged on two sets of deals; part: of the second in all deals."""

    def mean(name: str) -> float:
        return float((1 - part) * getattr(first, name) + part * getattr(more, name))

    return replace(
        first,
        stability=mean("stability"),
        separation=mean("separation"),
        score=mean("score"),
        assigned_share=mean("assigned_share"),
        by_deal=first.by_deal + more.by_deal,
    )


def _fewest(candidates: list[Candidate], best: Candidate) -> Candidate:
    """The fewest segments that are no more than a standard error behind the best, deal by deal."""
    for c in sorted(candidates, key=lambda c: c.n_segments):
        behind = np.subtract(best.by_deal, c.by_deal)
        if behind.mean() <= behind.std(ddof=1) / np.sqrt(len(behind)):
            return c
    return best


class Silhouette:
    """How far apart segments lie by the rows they were made from: silhouette, cosine, -1..1. users: measured on."""

    name = "mean silhouette: too few users act after the cut"

    def __init__(self, rows: FloatArray, rng: np.random.Generator) -> None:
        self._rows = rows
        self.users = np.sort(rng.choice(len(rows), min(len(rows), _SILHOUETTE_USERS), replace=False))

    @cached_property
    def _gaps(self) -> FloatArray:
        """(n, n) cosine distances of unit rows, computed once for all candidates."""
        from penchant.threads import one_thread

        rows = self._rows[self.users]
        with one_thread():
            out = np.clip(1.0 - rows @ rows.T, 0.0, 2.0)
        np.fill_diagonal(out, 0.0)
        return np.asarray(out, np.float32)

    def of(self, labels: IntArray) -> Floats:
        """(n,) silhouette of each of `users` in one grouping of all rows; 0 with one segment or only single users."""
        from sklearn.metrics import silhouette_samples

        seen = labels[self.users]
        if not 1 < len(np.unique(seen)) < len(seen):
            return np.zeros(len(seen))
        return np.asarray(silhouette_samples(self._gaps, seen, metric="precomputed"))


class Later:
    """How far apart segments are later: nats told of what members do next, beyond random groups. users: who act."""

    name = "nats told of the last fifth of the events, beyond random groups"

    def __init__(self, later: sp.csr_array, seed: int) -> None:
        self.users = np.flatnonzero(np.diff(later.indptr) > 0)
        self._surprise = Surprise(sp.csr_array(later[self.users]))
        self._seed = seed

    def of(self, labels: IntArray) -> Floats:
        """(n,) nats told of each of `users` by one grouping of all users."""
        group, n = labels[self.users], int(labels.max()) + 1
        rng = np.random.default_rng(self._seed)
        drawn = sum(self._surprise.of(rng.permutation(group), n) for _ in range(_N_RANDOM))
        return np.asarray(drawn / _N_RANDOM - self._surprise.of(group, n), np.float64)


def _deal(n: int, rng: np.random.Generator) -> Deal:
    order = rng.permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])
