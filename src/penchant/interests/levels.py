"""Upper levels: leaves merged by weighted Ward on their centroids, cut where the merges get dear."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penchant.data import IntArray
from penchant.interests.dendrogram import Dendrogram, ward


def group_leaves(
    centroids: npt.NDArray[np.floating], weights: npt.NDArray[np.floating], n_levels: int
) -> tuple[IntArray, list[IntArray]]:
    """Group the leaves into upper levels.

    Args:
        centroids: (n_leaves, d). weights: (n_leaves,) > 0. n_levels: 2 or 3, the leaves' own level counted.
    Returns:
        The order in which siblings stand side by side, and for each upper level, from the one above the leaves to
        the top, the (n_leaves,) group of each leaf.
    """
    n = len(centroids)
    if n < 2:
        return np.arange(n, dtype=np.int32), [np.zeros(n, np.int32) for _ in range(n_levels - 1)]
    tree = ward(centroids, weights)
    order, upper = tree.order(), []
    below = np.arange(n, dtype=np.int32)  # the groups of the level below
    for above in range(n_levels - 1, 0, -1):  # levels still to make
        n_below = int(below.max()) + 1
        most = max(2, n_below // (3 if above == n_levels - 1 else 2))
        least = min(most, max(2, round(n ** (above / n_levels) / 1.5)))
        cuts = [_adopt(tree.cut(k), below, centroids, weights) for k in range(least, most + 1)]
        steps = [rise(tree, k) for k in range(least, most + 1)]
        group = _renumber(_best_cut(cuts, steps, below), order)
        upper.append(group)
        below = group
    return order, upper


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


def _best_cut(cuts: list[IntArray], steps: list[float], below: IntArray) -> IntArray:
    """The cut before the largest rise, in proportion to how even its groups are and without only children.

    Evenness is the entropy of the groups' numbers of children (1 = all alike), squared: one parent over most leaves
    orders nothing. Ties go to the smaller number.
    """

    def worth(i: int) -> tuple[bool, float]:
        children = np.bincount(cuts[i][np.unique(below, return_index=True)[1]])
        children = children[children > 0]
        share = children / children.sum()
        even = float(-(share * np.log(share)).sum() / np.log(len(share))) if len(share) > 1 else 0.0
        return len(children) > 1 and bool(children.min() > 1), round(steps[i] * even**2, 12)

    return cuts[max(range(len(cuts)), key=lambda i: (worth(i), -i))]


def _adopt(
    group: IntArray, below: IntArray, centroids: npt.NDArray[np.floating], weights: npt.NDArray[np.floating]
) -> IntArray:
    """Give only children to the nearest other group: a parent of one child says nothing new."""
    group = group.copy()
    while len(np.unique(group)) > 2:
        ids = np.unique(group)
        lonely = [g for g in ids if len(np.unique(below[group == g])) == 1]
        if not lonely:
            break
        means = np.stack([np.average(centroids[group == g], axis=0, weights=weights[group == g]) for g in ids])
        gap = ((means - means[np.searchsorted(ids, lonely[0])]) ** 2).sum(axis=1)
        gap[ids == lonely[0]] = np.inf
        group[group == lonely[0]] = ids[int(gap.argmin())]
    return group


def _renumber(group: IntArray, order: IntArray) -> IntArray:
    """Number groups by where they first stand in the order of the leaves."""
    _, first, found = np.unique(group[order], return_index=True, return_inverse=True)
    out = np.empty(len(group), np.int32)
    out[order] = np.argsort(np.argsort(first, kind="stable"), kind="stable")[found]
    return out
