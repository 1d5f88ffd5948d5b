"""Soft membership: how surely a row belongs to each cluster.

Softmax of -distance^2 / (2 spread): the chance of each cluster if all were round clouds of one size and one width. The
width is not that of all columns, most of which tell nothing of the cluster: it is the variance along the line from each
row's nearest centroid to its second nearest, where being in one or the other is decided. Rows near the border belong to
either, so variance and chances are found by turns (EM on that line). A mixture gives its own posteriors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penchant.data import FloatArray, IntArray
from penchant.errors import DataError
from penchant.segments.method import Floats

if TYPE_CHECKING:
    from penchant.segments.algorithms import Clustering

_CHUNK = 65_536
_SPREAD_ROWS = 20_000
_ROUNDS = 30


def membership(found: Clustering, rows: FloatArray, *, labels: IntArray | None = None) -> FloatArray:
    """(n, n_clusters) float32; each row sums to 1, or to 0 for a row of zeros and where there are no clusters.

    Args:
        rows: (n, d) finite, in the space of the fit; not necessarily the fit's.
        labels: (n,) labels of the same rows: those at -1 (noise) get 0 too.
    Raises:
        DataError: rows of another width, or labels of another length.

    >>> from penchant.segments.algorithms import cluster
    >>> rows = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0.5, 0.5]], np.float32)
    >>> membership(cluster(rows[:4], "kmeans", 2, seed=0), rows).round(2)[[0, 2, 4]].tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    """
    from penchant.threads import one_thread

    rows = np.asarray(rows, np.float32)
    if labels is not None and len(labels) != len(rows):
        raise DataError(f"membership: one label a row. Got {len(labels)} labels and {len(rows)} rows")
    if found.mixture is None:
        out = soft_by_distance(found.centroids, found.spread, rows)
    else:
        if rows.ndim != 2 or rows.shape[1] != len(found.mixture.mean):
            raise DataError(f"membership: rows must have {len(found.mixture.mean)} columns. Got shape {rows.shape}")
        with one_thread():
            out = found.mixture.posterior(rows).astype(np.float32)
        out[~(rows != 0).any(axis=1)] = 0
    if labels is not None:
        out[np.asarray(labels) < 0] = 0
    return out


def soft_by_distance(centroids: FloatArray, spread: float, rows: FloatArray) -> FloatArray:
    """As `membership`, from centroids and the spread alone; a spread of 0 gives the nearest centroid everything."""
    if rows.ndim != 2 or (len(centroids) and rows.shape[1] != centroids.shape[1]):
        raise DataError(f"membership: rows must have {centroids.shape[1]} columns. Got shape {rows.shape}")
    from penchant.threads import one_thread

    out = np.zeros((len(rows), len(centroids)), np.float32)
    if not len(centroids):
        return out
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK].astype(np.float64)
        with one_thread():
            gap = _squares(part, centroids.astype(np.float64))
        gap -= gap.min(axis=1, keepdims=True)
        chance = np.exp(-gap / (2 * spread)) if spread > 0 else (gap <= 0).astype(np.float64)
        chance /= chance.sum(axis=1, keepdims=True)
        out[start : start + _CHUNK] = np.where((part != 0).any(axis=1)[:, None], chance, 0)
    return out


def neighbour_spread(rows: FloatArray, centroids: FloatArray) -> float:
    """Variance of rows along the line between their two nearest centroids; 0 for fewer than two centroids.

    Callers limit it to one thread.

    Args:
        rows: (n, d), none of zeros; at most 20,000 of them, evenly spaced, are looked at.
    """
    if len(centroids) < 2 or not len(rows):
        return 0.0
    step = -(-len(rows) // _SPREAD_ROWS)
    part, centres = rows[::step].astype(np.float64), centroids.astype(np.float64)
    gap = _squares(part, centres)
    two = np.argpartition(gap, 1, axis=1)[:, :2]
    square = np.take_along_axis(gap, two, 1)
    square.sort(axis=1)
    apart = np.square(centres[two[:, 0]] - centres[two[:, 1]]).sum(axis=1)
    some = apart > 0
    if not some.any():
        return 0.0
    near, far, apart = square[some, 0], square[some, 1], apart[some]
    # along the line, from the nearer centroid: (near - far + apart) / (2 sqrt(apart))
    from_near = np.square((near - far + apart) / 2) / apart
    from_far = np.square((far - near + apart) / 2) / apart
    spread = float(from_near.mean())
    for _ in range(_ROUNDS):
        if spread <= 0:
            return 0.0
        other = 1.0 / (1.0 + np.exp(np.minimum((far - near) / (2 * spread), 700.0)))
        spread = float(((1 - other) * from_near + other * from_far).mean())
    return spread


def _squares(rows: Floats, centres: Floats) -> Floats:
    """(n, k) squared distances."""
    cross = rows @ centres.T
    out = np.einsum("ij,ij->i", rows, rows)[:, None] - 2 * cross + np.einsum("ij,ij->i", centres, centres)
    return np.asarray(np.maximum(out, 0.0))
