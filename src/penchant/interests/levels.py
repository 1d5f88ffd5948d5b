"""Upper levels: leaves merged by weighted Ward on their centroids, cut where the merges get dear."""

from __future__ import annotations

import numpy as np

from penchant.data import FloatArray, IntArray
from penchant.interests.dendrogram import Dendrogram, ward


def number_of_groups(tree: Dendrogram, low: int, high: int) -> int:
    """Where to cut: the number before which the next merge is the largest step up, within low..high.

    The step is the ratio of the merge's height to the one before, so that it does not matter how large the heights are.
    """
    high = min(high, tree.n)
    if low >= high:
        return max(1, high)
    height = np.maximum(tree.merges[:, 2], 1e-12)
    ks = np.arange(low, high + 1)
    ks = ks[(ks >= 2) & (ks <= tree.n - 1)]
    if not len(ks):
        return max(1, min(low, tree.n))
    # k groups remain after n - k merges; the next one has index n - k
    step = np.log(height[tree.n - ks]) - np.log(height[tree.n - ks - 1])
    return int(ks[int(step.argmax())])


def group_leaves(centroids: FloatArray, weights: FloatArray, n_levels: int) -> list[IntArray]:
    """Parents of the leaves and the order to draw them in.

    Args:
        centroids: (n_leaves, d) unit rows; weights: (n_leaves,) > 0.
        n_levels: 2 or 3 levels, the leaves' own counted.
    Returns:
        First the order of the leaves, then for each upper level, from the one above the leaves to the top, the
        (n_leaves,) group of each leaf (in the old order).
    """
    n = len(centroids)
    if n < 2:
        return [np.arange(n, dtype=np.int32)] + [np.zeros(n, np.int32)] * (n_levels - 1)
    tree = ward(centroids, weights)
    out = [tree.order()]
    high = max(2, n // 2)
    for above in range(n_levels - 1, 0, -1):  # levels still to make
        low = min(high, max(2, round(n ** (above / n_levels) / 2)))
        k = number_of_groups(tree, low, high)
        out.append(tree.cut(k))
        high = max(1, k // 2)
    return out
