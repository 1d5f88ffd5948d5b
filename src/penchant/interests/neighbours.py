"""Nearest neighbours by cosine: exact for small sets, through cells for large ones."""

from __future__ import annotations

import numpy as np

from penchant.data import FloatArray, IntArray

BLOCK = 2048


def nearest(values: FloatArray, k: int) -> IntArray:
    """(n, k) rows of the nearest others by cosine, nearest first, -1 where there are fewer; ties by the lower row.

    >>> nearest(np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32), 1).ravel().tolist()
    [1, 0, 1]
    """
    n = len(values)
    k_found = min(k, n - 1)
    out = np.full((n, k), -1, np.int32)
    if k_found < 1:
        return out
    for start in range(0, n, BLOCK):
        rows = np.arange(start, min(start + BLOCK, n))
        cosine = values[rows] @ values.T
        cosine[np.arange(len(rows)), rows] = -np.inf
        out[rows, :k_found] = top_columns(cosine, k_found)
    return out


def top_columns(scores: FloatArray, k: int) -> IntArray:
    """(n, k) columns of the largest scores of each row, largest first; ties by the lower column."""
    if k < scores.shape[1]:
        part = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    else:
        part = np.broadcast_to(np.arange(scores.shape[1]), scores.shape).copy()
    order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1).astype(np.int32)
