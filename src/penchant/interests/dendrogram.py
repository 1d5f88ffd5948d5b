"""Weighted Ward by nearest-neighbour chains: the tree from which leaves and their parents are cut.

Sources: Ward (1963); the update formula of Lance and Williams (1967), started from weights instead of ones; chains
after Benzecri (1982) and Murtagh (1983): n merges in O(n^2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.data import IntArray

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Dendrogram:
    """Merges of n points as SciPy's linkage: (n - 1, 4) of left, right, height, weight; rows by rising height.

    The height is the weighted squared error that the merge adds.
    """

    merges: npt.NDArray[np.float64]

    @property
    def n(self) -> int:
        return len(self.merges) + 1

    def cut(self, k: int) -> IntArray:
        """(n,) labels of a cut into k groups, numbered by their first member.

        >>> ward(np.array([[0.0], [5.0], [0.1]]), np.ones(3)).cut(2).tolist()
        [0, 1, 0]
        """
        group = list(range(2 * self.n - 1))
        made = self.merges[: max(0, self.n - k), :2].astype(int).tolist()
        for step in range(len(made) - 1, -1, -1):  # from the dearest merge that is made down to the cheapest
            left, right = made[step]
            group[left] = group[right] = group[self.n + step]
        _, first, found = np.unique(group[: self.n], return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first, kind="stable"), kind="stable")[found].astype(np.int32)

    def order(self) -> IntArray:
        """(n,) points in the order of the drawn tree: siblings side by side."""
        stack, out = [2 * self.n - 2], []
        while stack:
            node = stack.pop()
            if node < self.n:
                out.append(node)
            else:
                left, right = self.merges[node - self.n, :2].astype(int)
                stack += [right, left]
        return np.array(out, np.int32)


def ward(points: Floats, weights: Floats) -> Dendrogram:
    """Merge weighted points, each time two that are each other's cheapest partner.

    Args:
        points: (n, d), n >= 1. weights: (n,) > 0.
    Returns:
        The dendrogram; ties go to the lower row. O(n^2) time and memory: for up to a few thousand points.

    >>> ward(np.array([[0.0], [2.0]]), np.ones(2)).merges.tolist()
    [[0.0, 1.0, 2.0, 2.0]]
    """
    cost, w = _costs(points, weights)
    n = len(cost)
    alive = np.ones(n, bool)
    merges = np.zeros((n - 1, 4))
    chain: list[int] = []
    for step in range(n - 1):
        if not chain:
            chain.append(int(alive.argmax()))
        while True:
            last = chain[-1]
            partner = int(cost[last].argmin())
            if len(chain) > 1 and cost[last, chain[-2]] <= cost[last, partner]:
                break
            chain.append(partner)
        a, b = sorted((chain.pop(), chain.pop()))
        height = cost[a, b]
        merges[step] = a, b, height, w[a] + w[b]
        row = ((w[a] + w) * cost[a] + (w[b] + w) * cost[b] - w * height) / (w[a] + w[b] + w)
        row[[a, b]] = np.inf
        row[~alive] = np.inf
        alive[b] = False
        w[a] += w[b]
        cost[a], cost[:, a] = row, row
        cost[b], cost[:, b] = np.inf, np.inf
    return Dendrogram(_number_nodes(merges[np.argsort(merges[:, 2], kind="stable")]))


def _costs(points: Floats, weights: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    x, w = points.astype(np.float64), weights.astype(np.float64)
    square = np.einsum("ij,ij->i", x, x)
    cost = np.maximum(square[:, None] + square[None] - 2 * x @ x.T, 0.0)
    cost *= w[:, None] * w[None] / (w[:, None] + w[None])
    np.fill_diagonal(cost, np.inf)
    return cost, w


def _number_nodes(merges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Merges sorted by height name members of groups; name the groups themselves (n + step) instead."""
    n = len(merges) + 1
    parent, node, out = np.arange(n), np.arange(n), merges.copy()

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return int(i)

    for step in range(n - 1):
        a, b = root(int(merges[step, 0])), root(int(merges[step, 1]))
        out[step, :2] = sorted((node[a], node[b]))
        parent[b] = a
        node[a] = n + step
    return out
