"""Upper levels: leaves merged by weighted Ward on their centroids, cut where the merges get dear.

Source: Ward (1963); the update of Lance and Williams (1967), started from weights instead of ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.data import FloatArray, IntArray

Merges = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Dendrogram:
    """Merges of n clusters as SciPy's linkage: (n - 1, 4) of left, right, height, size; rows in order of height."""

    merges: Merges

    @property
    def n(self) -> int:
        return len(self.merges) + 1

    def cut(self, k: int) -> IntArray:
        """(n,) labels of a cut into k clusters, numbered in the order of the drawn tree.

        >>> ward(np.array([[0.0], [0.1], [5.0]]), np.ones(3)).cut(2).tolist()
        [0, 0, 1]
        """
        label = np.arange(2 * self.n - 1)
        for step in range(self.n - 1 - max(1, k), -1, -1):  # the dearest merge kept first, so roots win
            left, right = self.merges[step, :2].astype(int)
            label[[left, right]] = label[self.n + step]
        found = label[: self.n]
        out = np.empty(self.n, np.int32)
        number: dict[int, int] = {}
        for leaf in self.order():
            out[leaf] = number.setdefault(int(found[leaf]), len(number))
        return out

    def order(self) -> IntArray:
        """(n,) leaves in the order of the drawn tree: siblings side by side."""
        stack, out = [2 * self.n - 2], []
        while stack:
            node = stack.pop()
            if node < self.n:
                out.append(node)
            else:
                left, right = self.merges[node - self.n, :2].astype(int)
                stack += [right, left]
        return np.array(out, np.int32)


def ward(centroids: npt.NDArray[np.floating], weights: npt.NDArray[np.floating]) -> Dendrogram:
    """Merge weighted points, each time the pair that adds least to the weighted squared error.

    Args:
        centroids: (n, d) points.
        weights: (n,) their weights, > 0.
    Returns:
        The dendrogram; ties go to the lower pair. Cost O(n^2) memory, O(n^3 / vector width) time: for some hundred.
    """
    n = len(centroids)
    points = centroids.astype(np.float64)
    square = np.einsum("ij,ij->i", points, points)
    gap = np.maximum(square[:, None] + square[None] - 2 * points @ points.T, 0.0)
    w = weights.astype(np.float64).copy()
    cost = gap * (w[:, None] * w[None] / (w[:, None] + w[None]))
    np.fill_diagonal(cost, np.inf)
    node = np.arange(n)
    merges = np.zeros((n - 1, 4))
    for step in range(n - 1):
        a, b = sorted(divmod(int(cost.argmin()), n))
        height = cost[a, b]
        merges[step] = (min(node[a], node[b]), max(node[a], node[b]), height, w[a] + w[b])
        row = ((w[a] + w) * cost[a] + (w[b] + w) * cost[b] - w * height) / (w[a] + w[b] + w)
        row[[a, b]] = np.inf
        row[np.isinf(cost[a])] = np.inf
        cost[a], cost[:, a] = row, row
        cost[b], cost[:, b] = np.inf, np.inf
        w[a] += w[b]
        node[a] = n + step
    return Dendrogram(merges)


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
