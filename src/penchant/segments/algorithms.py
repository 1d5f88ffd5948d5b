"""Every clustering behind one door: `cluster()` fixes the edge cases, so that a method only sees clean rows.

To add a method: write a function (rows, n_clusters, seed, options) -> Fit and add a row to `METHODS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.errors import ConfigError, DataError, did_you_mean
from penchant.segments.deep import deep
from penchant.segments.density import dbscan, hdbscan, optics
from penchant.segments.method import Fit, Floats, Init, Method, Mixture, Options
from penchant.segments.methods import average, bisecting, gmm, kmeans, minibatch, ward
from penchant.segments.soft import neighbour_spread

_CHUNK = 65_536
_REACH = 0.95  # a row that was not fitted is noise if it lies further out than this share of a cluster's fitted members


@dataclass(frozen=True)
class Clustering:
    """labels: (n,) int32, -1 = unassigned; clusters in order of size (ties: the one with the earlier row first).

    centroids: (n_clusters, d) float32, the means of the fitted members. loss: sum of squared distances of assigned
    rows to their centroids. n_asked: the clusters asked for (None: left to the method); there are fewer where distinct
    rows were fewer, and other ones where the method finds the number. n_fitted: rows the method itself saw. mixture:
    the posteriors of a method that has its own. spread: variance of members along the line to the next centroid, by
    which `membership` says how sure a label is.
    """

    labels: IntArray
    centroids: FloatArray
    loss: float
    n_asked: int | None
    n_fitted: int = 0
    mixture: Mixture | None = None
    spread: float = 0.0

    @property
    def n_clusters(self) -> int:
        return len(self.centroids)

    @property
    def assigned_share(self) -> float:
        """Part of the rows that have a cluster; 1 where there is no row."""
        return float((self.labels >= 0).mean()) if len(self.labels) else 1.0


_CENTRES: tuple[Init, ...] = ("plusplus", "random", "ward")

METHODS: Mapping[str, Method] = {
    "kmeans": Method(
        kmeans, 20_000, "round groups around centres; the default", by_centroid=True, inits=_CENTRES, weights=True
    ),
    "minibatch": Method(
        minibatch,
        500_000,
        "k-means in small draws, for very many rows",
        by_centroid=True,
        inits=_CENTRES,
        weights=True,
    ),
    "bisecting": Method(bisecting, 100_000, "k-means that cuts in two, for many clusters", weights=True),
    "ward": Method(ward, 5_000, "a tree of groups of like sizes"),
    "average": Method(average, 5_000, "a tree that keeps far groups apart, however small"),
    "dbscan": Method(dbscan, 10_000, "dense places of one density, of any form", number="found", noise=True),
    "optics": Method(optics, 5_000, "dense places of several densities; slow", number="found", noise=True),
    "hdbscan": Method(hdbscan, 10_000, "dense places of several densities", number="found", noise=True),
    "gmm": Method(gmm, 20_000, "overlapping groups, longer in some directions, with true posteriors"),
    "deep": Method(deep, 20_000, "groups in a learned, curved space", number="kmeans", library="torch", extra="neural"),
}


def method_row(method: str) -> Method:
    """The row of the table.

    Raises:
        ConfigError: unknown method.
    """
    if method not in METHODS:
        raise ConfigError(f"segments.method: unknown method '{method}'; {did_you_mean(method, list(METHODS))}")
    return METHODS[method]


def cluster(
    rows: FloatArray,
    method: str,
    n_clusters: int | None,
    *,
    seed: int,
    init: Init = "plusplus",
    weights: FloatArray | None = None,
) -> Clustering:
    """Group rows; the one place where edge cases are decided.

    Rows of zeros are unassigned (-1). Where there are no more distinct rows than clusters, each distinct row is a
    cluster (identical points make one). Where a method by density finds nothing but noise, all rows are unassigned and
    there is no cluster: that there are no dense places is the answer. More rows than the method's `max_rows`: fitted on
    a draw of them, the rest assigned to the nearest centroid; with a method that knows noise, a row further out than
    95 % of that cluster's fitted members is unassigned. Methods see rows sorted: their order changes no partition.

    Args:
        rows: (n, d) finite.
        method: a name of `METHODS`.
        n_clusters: at least 1; a hint for methods by density (see `density`), which alone take None.
        seed: same rows, method and seed give the same bytes.
        init: where centres start; "plusplus" is all that methods without centres of their own take.
        weights: (n,) > 0, what a row counts in the fit; for methods that have `weights` in the table.
    Raises:
        ConfigError: unknown method, n_clusters below 1, or an option that the method does not have.
        DataError: rows are not (n, d) or not finite; weights are not (n,), finite and positive.

    >>> rows = np.array([[1, 0], [1, 0.1], [0, 1], [0, 0]], np.float32)
    >>> cluster(rows, "kmeans", 2, seed=0).labels.tolist()
    [0, 0, 1, -1]
    """
    from penchant.threads import one_thread

    spec = method_row(method)
    _check_asked(spec, method, n_clusters, init, weights)
    rows = check_rows(rows)
    if weights is not None:
        weights = _check_weights(weights, len(rows))
    with one_thread():  # once for all steps: the order of sums, so the bytes, would change with threads
        return _cluster(rows, spec, n_clusters, seed, Options(init, weights))


def _cluster(rows: FloatArray, spec: Method, n_clusters: int | None, seed: int, options: Options) -> Clustering:
    labels = np.full(len(rows), -1, np.int32)
    kept = np.flatnonzero(filled(rows))
    kept = kept[_by_content(rows[kept])]
    if not len(kept):
        return Clustering(labels, np.zeros((0, rows.shape[1]), np.float32), 0.0, n_clusters)
    few = _few_distinct(rows[kept], n_clusters or 1)
    if few is not None:
        labels[kept] = few
        return finish(rows, labels, means(rows, labels), n_clusters, len(kept))

    drawn = kept
    if len(kept) > spec.max_rows:
        drawn = kept[np.sort(np.random.default_rng(seed).choice(len(kept), spec.max_rows, replace=False))]
    fit_rows = np.ascontiguousarray(rows[drawn])
    if n_clusters == 1:
        found = Fit(np.zeros(len(drawn), np.int32))
    else:
        weights = None if options.weights is None else options.weights[drawn]
        found = spec.fit(fit_rows, n_clusters, seed, Options(options.init, weights))
    centroids = means(fit_rows, found.labels)
    if not len(centroids):
        return Clustering(labels, centroids, 0.0, n_clusters, len(drawn))
    if spec.by_centroid or len(drawn) < len(kept):
        labels[kept] = nearest(centroids, rows[kept])
        if spec.noise:
            labels[kept] = _within_reach(rows[kept], labels[kept], fit_rows, found.labels, centroids)
    if not spec.by_centroid:
        labels[drawn] = found.labels
    return finish(rows, labels, centroids, n_clusters, len(drawn), found.mixture)


def finish(
    rows: FloatArray,
    labels: IntArray,
    centroids: FloatArray,
    n_asked: int | None,
    n_fitted: int,
    mixture: Mixture | None = None,
) -> Clustering:
    """Number clusters by size, drop empty ones, sum the loss."""
    kept = np.flatnonzero(labels >= 0)
    found, first, size = np.unique(labels[kept], return_index=True, return_counts=True)
    order = np.lexsort((first, -size))
    new = np.full(len(centroids), -1, np.int32)
    new[found[order]] = np.arange(len(found), dtype=np.int32)
    labels = np.where(labels >= 0, new[labels], -1).astype(np.int32)
    centroids = np.ascontiguousarray(centroids[found[order]])
    loss = float(gaps(rows, labels, centroids).sum())
    mixture = None if mixture is None else mixture.take(found[order])
    spread = neighbour_spread(rows[kept], centroids)
    return Clustering(labels, centroids, loss, n_asked, n_fitted, mixture, spread)


def assign(centroids: FloatArray, rows: FloatArray) -> IntArray:
    """(n,) int32 nearest centroid by Euclidean distance (ties: the lower one); -1 for rows of zeros or no centroids.

    >>> assign(np.array([[1, 0], [0, 1]], np.float32), np.array([[0.9, 0.2], [0, 0]], np.float32)).tolist()
    [0, -1]
    """
    rows = check_rows(rows)
    if not len(centroids) or not len(rows):
        return np.full(len(rows), -1, np.int32)
    check_width(rows, centroids)
    from penchant.threads import one_thread

    with one_thread():
        return nearest(centroids, rows)


def nearest(centroids: FloatArray, rows: FloatArray) -> IntArray:
    """As `assign`, for checked rows and at least one centroid; callers limit it to one thread, which takes 10 ms."""
    out = np.empty(len(rows), np.int32)
    centres = centroids.astype(np.float64)
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
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


def check_width(rows: FloatArray, centroids: FloatArray) -> None:
    """Rows and centroids must speak of the same tree."""
    if rows.shape[1] != centroids.shape[1]:
        raise DataError(
            f"segments: rows must have {centroids.shape[1]} columns, as the centroids. Got {rows.shape[1]}; "
            "make them with the same tree and the segments' row_weights"
        )


def filled(rows: FloatArray) -> BoolArray:
    """(n,) rows that are not all zero."""
    return np.asarray((rows != 0).any(axis=1))


def gaps(rows: FloatArray, labels: IntArray, centroids: FloatArray) -> Floats:
    """(n,) float64 squared distance of each row to its centroid; 0 where unassigned."""
    out = np.zeros(len(rows))
    kept = np.flatnonzero(labels >= 0)
    for start in range(0, len(kept), _CHUNK):
        part = kept[start : start + _CHUNK]
        gap = rows[part] - centroids[labels[part]]
        out[part] = np.einsum("ij,ij->i", gap, gap, dtype=np.float64)
    return out


def _check_asked(spec: Method, method: str, n_clusters: int | None, init: Init, weights: FloatArray | None) -> None:
    if n_clusters is None and spec.number != "found":
        raise ConfigError(f"segments.n_segments: '{method}' can't find the number of clusters by itself; give one")
    if n_clusters is not None and n_clusters < 1:
        raise ConfigError(f"segments.n_segments: must be at least 1. Got {n_clusters}; use 'auto' to let it be chosen")
    if init not in spec.inits:
        able = ", ".join(name for name, row in METHODS.items() if init in row.inits)
        raise ConfigError(f"segments.init: '{method}' does not start from '{init}' centres; methods that do: {able}")
    if weights is not None and not spec.weights:
        able = ", ".join(name for name, row in METHODS.items() if row.weights)
        raise ConfigError(f"segments.balance: '{method}' does not weight users; methods that do: {able}")


def _check_weights(weights: FloatArray, n: int) -> FloatArray:
    weights = np.asarray(weights, np.float64)
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights <= 0).any():
        raise DataError(f"segments: 'weights' must be ({n},), finite and above 0. Got shape {weights.shape}")
    return weights


def _by_content(rows: FloatArray) -> IntArray:
    """(n,) order of rows by their bytes, so that what a method does can't depend on the caller's order."""
    plain = np.ascontiguousarray(rows + np.float32(0))  # -0 becomes 0
    keys = plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1]))).ravel()
    return np.argsort(keys, kind="stable").astype(np.int32)


def _few_distinct(rows: FloatArray, n_clusters: int) -> IntArray | None:
    """Labels by distinct row where those are no more than `n_clusters`, else None; sees no more rows than needed."""
    size = 4 * n_clusters
    while size < len(rows):
        if len(np.unique(rows[:size], axis=0)) > n_clusters:
            return None
        size *= 8
    distinct, labels = np.unique(rows, axis=0, return_inverse=True)
    return labels.ravel().astype(np.int32) if len(distinct) <= n_clusters else None


def _within_reach(
    rows: FloatArray, labels: IntArray, fit_rows: FloatArray, fit_labels: IntArray, centroids: FloatArray
) -> IntArray:
    """Unassign rows further from their centroid than most of the fitted members are."""
    own = gaps(fit_rows, fit_labels, centroids)
    reach = np.array([np.quantile(own[fit_labels == i], _REACH) for i in range(len(centroids))])
    return np.where(gaps(rows, labels, centroids) <= reach[labels], labels, -1).astype(np.int32)
