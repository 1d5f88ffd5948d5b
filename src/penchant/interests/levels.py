"""Upper levels: groups merged by weighted Ward, cut where the merges get dear and no parent has an only child."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penchant.data import IntArray
from penchant.interests.dendrogram import Dendrogram, ward
from penchant.interests.grouping import compact, sum_rows

Floats = npt.NDArray[np.floating]


def group_leaves(centroids: Floats, weights: Floats, n_levels: int) -> tuple[IntArray, list[IntArray]]:
    """Group the leaves into upper levels.

    Args:
        centroids: (n_leaves, d). weights: (n_leaves,) > 0. n_levels: 2 or 3, the leaves' own level counted.
    Returns:
        The order in which siblings stand side by side, and for each upper level, from the one above the leaves to
        the top, the (n_leaves,) group of each leaf; groups are numbered in that order.

    >>> points = np.array([[0.0], [9.1], [0.1], [5.0], [9.0], [5.1], [0.2], [5.2], [9.2]])
    >>> order, (parent,) = group_leaves(points, np.ones(9), 2)
    >>> parent[order].tolist()
    [0, 0, 0, 1, 1, 1, 2, 2, 2]
    """
    n = len(centroids)
    own = np.arange(n, dtype=np.int32)
    if n < 2:
        return own, [np.zeros(n, np.int32) for _ in range(n_levels - 1)]
    order, upper = own, []
    below, points, weights = own, centroids, np.asarray(weights, np.float64)
    for above in range(n_levels - 1, 0, -1):  # levels still to make
        tree = ward(points, weights)
        if above == n_levels - 1:
            order = tree.order()
        # a first level may not be much finer than three leaves a parent; above it, two will do
        most = max(2, len(points) // (3 if above == n_levels - 1 else 2))
        least = min(most, max(2, round(n ** (above / n_levels) / 1.5)))
        group = _best_cut(tree, points, weights, least, most)
        upper.append(group[below])
        below = upper[-1]
        points = _means(group, points, weights)
        weights = np.ones(len(points))
    return _in_drawn_order(order, upper)


def rise(tree: Dendrogram, k: int) -> float:
    """Log ratio of the next merge's height to that of the last one made, when k groups are left.

    A ratio, so that it does not matter how large heights are.

    >>> from penchant.interests.dendrogram import ward
    >>> tree = ward(np.array([[0.0], [0.1], [5.0], [5.1], [9.0], [9.1]]), np.ones(6))
    >>> max(range(2, 6), key=lambda k: rise(tree, k))
    3
    """
    if not 1 < k < tree.n:
        return 0.0
    # n - k merges leave k groups: the last one made has row n - k - 1, the next one row n - k
    made, following = np.maximum(tree.merges[[tree.n - k - 1, tree.n - k], 2], 1e-12)
    return float(np.log(following / made))


def _best_cut(tree: Dendrogram, points: Floats, weights: Floats, least: int, most: int) -> IntArray:
    """The cut before the largest rise, in proportion to how even its groups are and without only children.

    Evenness is the entropy of the groups' numbers of children (1 = all alike), squared: one parent over most leaves
    orders nothing. Ties go to the smaller number.
    """
    cuts = {k: _adopt(tree.cut(k), points, weights) for k in range(least, most + 1)}
    cuts = {k: group for k, group in cuts.items() if np.bincount(group).min() > 1}
    if not cuts:
        return _pair_up(points, weights, least)

    def worth(k: int) -> tuple[float, int]:
        children = np.bincount(cuts[k])
        share = children / children.sum()
        even = float(-(share * np.log(share)).sum() / np.log(len(share))) if len(share) > 1 else 0.0
        return round(rise(tree, k) * even**2, 12), -k

    return cuts[max(cuts, key=worth)]


def _adopt(group: IntArray, points: Floats, weights: Floats) -> IntArray:
    """Give only children to the nearest other group (a parent of one child says nothing new) while two groups stay."""
    group = group.copy()
    while len(np.unique(group)) > 2 and np.bincount(group).min() == 1:
        group = _give_away(group, int(np.bincount(group).argmin()), points, weights)
    return group


def _pair_up(points: Floats, weights: Floats, k: int) -> IntArray:
    """Merge the smallest group with its nearest until at most k are left, none with an only child (but of two).

    For points with no order among them (all about equally far apart), where Ward would hang one after the other on
    the same group.
    """
    group = np.arange(len(points), dtype=np.int32)
    while (n_groups := int(group.max()) + 1) > 2 and (n_groups > k or np.bincount(group).min() == 1):
        group = _give_away(group, int(np.bincount(group).argmin()), points, weights)
    return group


def _give_away(group: IntArray, given: int, points: Floats, weights: Floats) -> IntArray:
    """Join one group to the nearest other; numbers stay without gaps.

    Distances count times the children of the other: the mean of many points is nearer to everything than each of them.
    """
    means = _means(group, points, weights)
    gap = ((means - means[given]) ** 2).sum(axis=1) * (1 + np.bincount(group))
    gap[given] = np.inf
    return compact(np.where(group == given, int(gap.argmin()), group).astype(np.int32))


def _means(group: IntArray, points: Floats, weights: Floats) -> npt.NDArray[np.float64]:
    sums = sum_rows(np.asarray(points, np.float64) * weights[:, None], group, int(group.max()) + 1)
    return np.asarray(sums / np.bincount(group, weights)[:, None])


def _in_drawn_order(order: IntArray, upper: list[IntArray]) -> tuple[IntArray, list[IntArray]]:
    """Sort leaves by top group, group, own place; number groups by where they first stand."""
    place = np.argsort(order)
    first = [np.array([place[group == g].min() for g in range(int(group.max()) + 1)]) for group in upper]
    drawn = np.lexsort((place, *(f[group] for f, group in zip(first, upper, strict=True)))).astype(np.int32)
    numbered = []
    for group in upper:
        _, start, found = np.unique(group[drawn], return_index=True, return_inverse=True)
        out = np.empty(len(group), np.int32)
        out[drawn] = np.argsort(np.argsort(start, kind="stable"), kind="stable")[found]
        numbered.append(out)
    return drawn, numbered
