"""Every clustering behind one door: `cluster()` fixes the edge cases, so that a method only sees clean rows.

To add a method: write a function (rows, n_clusters, seed) -> labels and add a row to `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.errors import ConfigError, DataError, did_you_mean

_CHUNK = 65_536


@dataclass(frozen=True)
class Method:
    """One row of the table.

    fit: (rows, n_clusters, seed) -> (n,) int labels, -1 = noise; gets finite rows without zero rows, of which at least
    n_clusters >= 2 are distinct. max_rows: fitted on at most this many rows (drawn by the seed); others go to the
    nearest centroid. by_centroid: the fitted rows too go to the nearest centroid, so that a row seen again gets the
    segment it got.
    """

    fit: Callable[[FloatArray, int, int], IntArray]
    max_rows: int
    by_centroid: bool


@dataclass(frozen=True)
class Clustering:
    """labels: (n,) int32, -1 = unassigned; clusters in order of size (ties: the one with the earlier row first).

    centroids: (n_clusters, d) float32, the means of the fitted members. loss: sum of squared distances of assigned
    rows to their centroids. n_asked: the clusters asked for; there are fewer where distinct rows were fewer.
    """

    labels: IntArray
    centroids: FloatArray
    loss: float
    n_asked: int

    @property
    def n_clusters(self) -> int:
        return len(self.centroids)


def kmeans(rows: FloatArray, n_clusters: int, seed: int) -> IntArray:
    """Lloyd's k-means, 16 k-means++ starts, one thread (the order of sums, so the bytes, would change with threads)."""
    from sklearn.cluster import KMeans

    from penchant.threads import one_thread

    with one_thread():
        labels = KMeans(n_clusters, n_init=16, random_state=seed).fit(rows).labels_
    return np.asarray(labels, np.int32)


METHODS: Mapping[str, Method] = {
    "kmeans": Method(kmeans, max_rows=20_000, by_centroid=True),
}


def cluster(rows: FloatArray, method: str, n_clusters: int, *, seed: int) -> Clustering:
    """Group rows; the one place where edge cases are decided.

    Rows of zeros are unassigned (-1). Where there are fewer distinct rows than clusters, the number of clusters is
    lowered to them (identical points make one cluster). More rows than the method's `max_rows`: fitted on a draw of
    them, the rest assigned to the nearest centroid.

    Args:
        rows: (n, d) finite.
        method: a name of `METHODS`.
        n_clusters: at least 1.
        seed: same rows, method and seed give the same bytes.
    Raises:
        ConfigError: unknown method, or n_clusters below 1.
        DataError: rows are not (n, d) or not finite.

    >>> rows = np.array([[1, 0], [1, 0.1], [0, 1], [0, 0]], np.float32)
    >>> cluster(rows, "kmeans", 2, seed=0).labels.tolist()
    [0, 0, 1, -1]
    """
    if method not in METHODS:
        raise ConfigError(f"segments.method: unknown method '{method}'; {did_you_mean(method, list(METHODS))}")
    if n_clusters < 1:
        raise ConfigError(f"segments.n_segments: must be at least 1. Got {n_clusters}; use 'auto' to let it be chosen")
    rows = check_rows(rows)
    spec = METHODS[method]
    kept = np.flatnonzero(filled(rows))
    k = _lower_to_distinct(rows[kept], n_clusters)
    labels = np.full(len(rows), -1, np.int32)
    if k == 0:
        return Clustering(labels, np.zeros((0, rows.shape[1]), np.float32), 0.0, n_clusters)

    drawn = kept
    if len(kept) > spec.max_rows:
        drawn = np.sort(np.random.default_rng(seed).choice(kept, spec.max_rows, replace=False))
    fit_rows = np.ascontiguousarray(rows[drawn])
    found = np.zeros(len(drawn), np.int32) if k == 1 else spec.fit(fit_rows, k, seed)
    centroids = means(fit_rows, found)
    labels[kept] = assign(centroids, rows[kept])
    if not spec.by_centroid:
        labels[drawn] = found
    return _ordered(rows, labels, centroids, n_clusters)


def assign(centroids: FloatArray, rows: FloatArray) -> IntArray:
    """(n,) int32 nearest centroid by Euclidean distance (ties: the lower one); -1 for rows of zeros or no centroids.

    >>> assign(np.array([[1, 0], [0, 1]], np.float32), np.array([[0.9, 0.2], [0, 0]], np.float32)).tolist()
    [0, -1]
    """
    rows = check_rows(rows)
    out = np.full(len(rows), -1, np.int32)
    if not len(centroids) or not len(rows):
        return out
    if rows.shape[1] != centroids.shape[1]:
        raise DataError(
            f"segments: rows must have {centroids.shape[1]} columns, as the centroids. Got {rows.shape[1]}; "
            "make them with the same tree and the segments' row_weights"
        )
    from penchant.threads import one_thread

    centres = centroids.astype(np.float64)
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
    with one_thread():
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            near = np.argmin(half - part.astype(np.float64) @ centres.T, axis=1)
            out[start : start + _CHUNK] = np.where(filled(part), near, -1)
    return out


def means(rows: FloatArray, labels: IntArray) -> FloatArray:
    """(n_clusters, d) float32 mean of each label's rows; -1 is left out."""
    import scipy.sparse as sp

    kept = np.flatnonzero(labels >= 0)
    n = int(labels.max(initial=-1)) + 1
    size = np.bincount(labels[kept], minlength=n)
    member = sp.csr_array((1.0 / size[labels[kept]], (labels[kept], kept)), shape=(n, len(rows)))
    return np.asarray(member @ rows.astype(np.float64), np.float32)


def check_rows(rows: FloatArray) -> FloatArray:
    """Return rows as (n, d) float32, or say what is wrong with them."""
    rows = np.asarray(rows, np.float32)
    if rows.ndim != 2:
        raise DataError(f"segments: rows must be (n, d). Got shape {rows.shape}; give one row a user")
    # one pass without a mask of the size of the rows: a sum is finite only if all its terms are
    sums = rows.sum(axis=1, dtype=np.float64)
    if not np.isfinite(sums).all():
        bad = np.flatnonzero(~np.isfinite(sums))
        raise DataError(
            f"segments: every value of a row must be finite. Got {len(bad)} bad rows, the first at {bad[0]}; "
            "look for missing affinities or infinite event weights"
        )
    return rows


def filled(rows: FloatArray) -> BoolArray:
    """(n,) rows that are not all zero."""
    return np.asarray((rows != 0).any(axis=1))


def _lower_to_distinct(rows: FloatArray, n_clusters: int) -> int:
    """min(n_clusters, distinct rows), looking at no more rows than it takes to know."""
    size = 4 * n_clusters
    while size < len(rows):
        if len(np.unique(rows[:size], axis=0)) >= n_clusters:
            return n_clusters
        size *= 8
    return min(n_clusters, len(np.unique(rows, axis=0))) if len(rows) else 0


def _ordered(rows: FloatArray, labels: IntArray, centroids: FloatArray, n_asked: int) -> Clustering:
    """Number clusters by size, drop empty ones, sum the loss."""
    kept = np.flatnonzero(labels >= 0)
    found, first, size = np.unique(labels[kept], return_index=True, return_counts=True)
    order = np.lexsort((first, -size))
    new = np.full(len(centroids), -1, np.int32)
    new[found[order]] = np.arange(len(found), dtype=np.int32)
    labels = np.where(labels >= 0, new[labels], -1).astype(np.int32)
    centroids = np.ascontiguousarray(centroids[found[order]])
    loss = 0.0
    for start in range(0, len(kept), _CHUNK):
        part = kept[start : start + _CHUNK]
        gap = rows[part] - centroids[labels[part]]
        loss += float(np.einsum("ij,ij->", gap, gap, dtype=np.float64))
    return Clustering(labels, centroids, loss, n_asked)
