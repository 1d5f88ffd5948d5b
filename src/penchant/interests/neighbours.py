"""Nearest neighbours by cosine, exact, in blocks."""

from __future__ import annotations

import numpy as np

from penchant.data import FloatArray, IntArray

BLOCK = 512


def nearest_others(values: FloatArray, rows: IntArray, k: int) -> IntArray:
    """(len(rows), k) nearest other rows of each given row, nearest first, -1 where there are fewer.

    Ties go to the lower row. Rows of zeros are nobody's neighbour and have none.

    >>> nearest_others(np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32), np.array([0, 2]), 1).ravel().tolist()
    [1, 1]
    """
    out = np.full((len(rows), k), -1, np.int32)
    empty = np.abs(values).max(axis=1, initial=0) == 0
    found = min(k, len(values) - 1)
    if found < 1:
        return out
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        cosine = values[block] @ values.T
        cosine[np.arange(len(block)), block] = -np.inf
        cosine[:, empty] = -np.inf
        best = _largest(cosine, found)
        best[~np.isfinite(np.take_along_axis(cosine, best, axis=1)) | empty[block][:, None]] = -1
        out[start : start + BLOCK, :found] = best
    return out


def _largest(scores: FloatArray, k: int) -> IntArray:
    """(n, k) columns of the largest scores of each row, largest first."""
    if k < scores.shape[1]:
        part = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    else:
        part = np.broadcast_to(np.arange(scores.shape[1]), scores.shape).copy()
    order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1).astype(np.int32)
