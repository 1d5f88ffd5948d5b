"""Who stands for a segment: the members nearest to its centroid, and how tight they lie."""

from __future__ import annotations

import numpy as np

from penchant.data import FloatArray, IntArray


def exemplars(rows: FloatArray, labels: IntArray, centroids: FloatArray, n: int) -> list[list[int]]:
    """The `n` members of each segment nearest to its centroid, nearest first (ties: the lower user row).

    Args:
        rows: (n_users, d). labels: (n_users,), -1 = unassigned. centroids: (n_segments, d).

    >>> rows = np.array([[1, 0], [0.8, 0], [0, 1]], np.float32)
    >>> exemplars(rows, np.array([0, 0, 1], np.int32), np.array([[0.85, 0], [0, 1]], np.float32), 1)
    [[1], [2]]
    """
    members = np.flatnonzero(labels >= 0)
    gap = np.zeros(len(members))
    for start in range(0, len(members), 65_536):
        part = members[start : start + 65_536]
        gap[start : start + 65_536] = np.square(rows[part] - centroids[labels[part]], dtype=np.float64).sum(axis=1)
    order = np.lexsort((members, gap, labels[members]))
    ordered = members[order]
    starts = np.searchsorted(labels[ordered], np.arange(len(centroids)))
    ends = np.searchsorted(labels[ordered], np.arange(len(centroids)), side="right")
    return [ordered[a : min(a + n, b)].tolist() for a, b in zip(starts, ends, strict=True)]


def cohesion(rows: FloatArray, labels: IntArray, centroids: FloatArray) -> FloatArray:
    """(n_segments,) mean cosine of members to their centroid: 1 = all alike, near 0 = nothing in common."""
    length = np.linalg.norm(centroids, axis=1, keepdims=True)
    directions = centroids / np.where(length > 0, length, 1.0)
    members = np.flatnonzero(labels >= 0)
    total = np.zeros(len(centroids))
    for start in range(0, len(members), 65_536):
        part = members[start : start + 65_536]
        cosine = np.einsum("ij,ij->i", rows[part], directions[labels[part]], dtype=np.float64)
        total += np.bincount(labels[part], cosine, minlength=len(centroids))
    size = np.bincount(labels[members], minlength=len(centroids))
    return (total / np.maximum(size, 1)).astype(np.float32)
