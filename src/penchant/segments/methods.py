"""Clusterings by centres, by a tree and by a mixture. Each: (rows, n_clusters, seed, options) -> Fit.

`cluster` calls them on one thread: the order of sums, so the bytes, would change with threads.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np

from penchant.data import FloatArray, IntArray
from penchant.segments.method import Fit, Floats, Mixture, Options
from penchant.segments.reduce import reduce

_STARTS = 16
_RUNS = 4  # of mini-batch k-means
_WARD_ROWS = 2000  # that first centres are taken from


def kmeans(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """Lloyd's k-means; 16 k-means++ starts (Arthur & Vassilvitskii 2007), 16 random ones, or one from Ward's tree."""
    from sklearn.cluster import KMeans

    k = _given(n_clusters)
    init, n_init = _start(rows, k, seed, options)
    labels = KMeans(k, init=init, n_init=n_init, random_state=seed).fit(rows, None, options.weights).labels_
    return Fit(np.asarray(labels, np.int32))


def minibatch(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """Mini-batch k-means (Sculley 2010): a round sees 1,024 rows; the best of four runs, as one often ends badly."""
    from sklearn.cluster import MiniBatchKMeans

    k = _given(n_clusters)
    init, _ = _start(rows, k, seed, options)
    runs = [
        MiniBatchKMeans(
            k,
            init=init,
            n_init=1,
            batch_size=1024,
            init_size=max(3 * k, min(len(rows), 10_000)),
            max_no_improvement=30,
            random_state=seed + i,
        ).fit(rows, None, options.weights)
        for i in range(_RUNS)
    ]
    return Fit(np.asarray(min(runs, key=lambda run: run.inertia_).labels_, np.int32))


def bisecting(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """Bisecting k-means (Steinbach, Karypis & Kumar 2000): the group with the largest scatter is cut in two."""
    from sklearn.cluster import BisectingKMeans

    model = BisectingKMeans(_given(n_clusters), n_init=_STARTS, random_state=seed)
    labels = model.fit(rows, None, options.weights).labels_
    return Fit(np.asarray(labels, np.int32))


def ward(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """Ward's tree (1963) on few dimensions, cut at the number."""
    return Fit(_tree(reduce(rows, seed).values, _given(n_clusters), "ward"))


def average(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """Average linkage (UPGMA, Sokal & Michener 1958) on few dimensions, cut at the number."""
    return Fit(_tree(reduce(rows, seed).values, _given(n_clusters), "average"))


def gmm(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """Gaussian mixture by EM on few dimensions, with one covariance for all components.

    A covariance for each has m^2/2 numbers to learn from one segment's users and was worse on all made-up markets.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    k, small = _given(n_clusters), reduce(rows, seed)
    ridge = 1e-3 * float(small.values.var(axis=0).mean()) + 1e-9  # by the rows' own scale: no cluster becomes a point
    model = GaussianMixture(k, covariance_type="tied", n_init=4, max_iter=300, reg_covar=ridge, random_state=seed)
    with warnings.catch_warnings():
        # where rows coincide in few dimensions, a start has fewer groups than asked; EM still ends with a valid mixture
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = model.fit_predict(small.values)
        # precisions_cholesky_ of a tied mixture: values @ it have unit covariance within a component
        white: Floats = np.asarray(model.precisions_cholesky_, np.float64)
        mixture = Mixture(small.mean, small.axes @ white, model.means_ @ white, np.log(model.weights_))
    return Fit(np.asarray(labels, np.int32), mixture)


def _given(n_clusters: int | None) -> int:
    assert n_clusters is not None  # `cluster` gives None only to methods that find the number
    return n_clusters


def _start(rows: FloatArray, k: int, seed: int, options: Options) -> tuple[Any, int]:
    """scikit-learn's `init` and `n_init`."""
    if options.init == "plusplus":
        return "k-means++", _STARTS
    if options.init == "random":
        return "random", _STARTS
    drawn = np.arange(len(rows))
    if len(rows) > _WARD_ROWS:
        drawn = np.sort(np.random.default_rng(seed).choice(len(rows), max(_WARD_ROWS, k), replace=False))
    labels = _tree(reduce(rows[drawn], seed).values, k, "ward")
    size = np.bincount(labels, minlength=k)
    sums = np.zeros((k, rows.shape[1]))
    np.add.at(sums, labels, rows[drawn].astype(np.float64))
    return np.asarray(sums / size[:, None], rows.dtype), 1


def _tree(values: Floats, k: int, linkage: Literal["ward", "average"]) -> IntArray:
    from scipy.cluster.hierarchy import cut_tree
    from scipy.cluster.hierarchy import linkage as grow

    return np.asarray(cut_tree(grow(values, linkage), k).ravel(), np.int32)
