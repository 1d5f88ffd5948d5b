"""A way to make segments: a clustering and what is done to its clusters afterwards.

Three steps, each off unless asked for, in this order. Split: a loose cluster is cut in two by k-means. Merge: two
clusters that members can't tell apart become one. Join: a small cluster is dissolved and its members go to the nearest
of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from penchant.config import SegmentsConfig
from penchant.data import FloatArray, IntArray
from penchant.segments.algorithms import METHODS, Clustering, assign, cluster, filled, finish, gaps, means
from penchant.segments.density import smallest_group
from penchant.segments.method import Init
from penchant.segments.soft import membership


@dataclass(frozen=True)
class Recipe:
    """method, init: see `cluster`. split_above, merge_above, min_share: see `refine`; None and 0 = off."""

    method: str = "kmeans"
    init: Init = "plusplus"
    split_above: float | None = None
    merge_above: float | None = None
    min_share: float = 0.0

    @classmethod
    def of(cls, config: SegmentsConfig) -> Recipe:
        """The recipe that the settings ask for."""
        return cls(config.method, config.init, config.split_above, config.merge_above, config.min_segment_share)

    @property
    def refines(self) -> bool:
        """Whether clusters are changed after the clustering."""
        return self.split_above is not None or self.merge_above is not None or self.min_share > 0

    def make(
        self, rows: FloatArray, n_clusters: int | None, *, seed: int, weights: FloatArray | None = None
    ) -> Clustering:
        """Cluster and refine; see `cluster` for arguments and errors."""
        from penchant.threads import one_thread

        found = cluster(rows, self.method, n_clusters, seed=seed, init=self.init, weights=weights)
        if not self.refines:
            return found
        with one_thread():
            return refine(found, rows, self, seed=seed)


def refine(found: Clustering, rows: FloatArray, recipe: Recipe, *, seed: int) -> Clustering:
    """Split, merge and join clusters as the recipe says.

    split_above: a cluster is cut if the mean squared distance of its members to their centroid is more than this many
    times the mean of all clusters', and both parts have 1 % of the rows (at least five).
    merge_above: clusters i and j become one while (mean membership in j of i's members) + (mean membership in i of
    j's) is above this, the largest first; 0 = always told apart, near 1 = members belong to either.
    min_share: a cluster with a smaller part of the rows joins the nearest ones; the largest always stays.

    Args:
        rows: (n, d), what `found` was made from.
    Returns:
        Centroids are the means of the members; a mixture's own posteriors are lost, as its components are no more.
    """
    labels = found.labels.copy()
    if recipe.split_above is not None:
        labels = _split(rows, labels, found.centroids, recipe.split_above, seed)
    if recipe.merge_above is not None:
        labels = _merge(_remade(found, rows, labels), rows, recipe.merge_above)
    if recipe.min_share > 0:
        labels = _join(rows, labels, recipe.min_share)
    if np.array_equal(labels, found.labels):
        return found
    out = _remade(found, rows, labels)
    if METHODS[recipe.method].by_centroid:  # a row seen again must get the segment it got
        out = finish(rows, assign(out.centroids, rows), out.centroids, found.n_asked, found.n_fitted)
    return out


def _remade(found: Clustering, rows: FloatArray, labels: IntArray) -> Clustering:
    return finish(rows, labels, means(rows, labels), found.n_asked, found.n_fitted)


def _split(rows: FloatArray, labels: IntArray, centroids: FloatArray, above: float, seed: int) -> IntArray:
    n = len(centroids)
    kept = labels >= 0
    size = np.bincount(labels[kept], minlength=n)
    loose = np.bincount(labels[kept], gaps(rows, labels, centroids)[kept], minlength=n) / np.maximum(size, 1)
    out, least = labels.copy(), smallest_group(int(kept.sum()))
    for i in np.flatnonzero(loose > above * loose.mean()):
        members = np.flatnonzero(labels == i)
        halves = cluster(rows[members], "kmeans", 2, seed=seed).labels
        if np.bincount(halves, minlength=2).min() >= least:
            out[members[halves == 1]] = out.max() + 1
    return out


def _merge(found: Clustering, rows: FloatArray, above: float) -> IntArray:
    n = found.n_clusters
    kept = found.labels >= 0
    soft = membership(found, rows).astype(np.float64)
    mass = np.zeros((n, n))  # of i's members in j
    np.add.at(mass, found.labels[kept], soft[kept])
    size = np.bincount(found.labels[kept], minlength=n).astype(np.float64)
    group = np.arange(n)
    for _ in range(n - 1):
        part = mass / np.maximum(size, 1.0)[:, None]
        overlap = np.triu(part + part.T, 1)
        i, j = np.unravel_index(int(overlap.argmax()), overlap.shape)
        if overlap[i, j] <= above:
            break
        group[group == j] = i
        mass[i] += mass[j]
        mass[:, i] += mass[:, j]
        mass[j], mass[:, j] = 0.0, 0.0
        size[i] += size[j]
        size[j] = 0.0
    return np.where(kept, group[found.labels], -1).astype(np.int32)


def _join(rows: FloatArray, labels: IntArray, min_share: float) -> IntArray:
    kept = labels >= 0
    size = np.bincount(labels[kept], minlength=int(labels.max(initial=-1)) + 1)
    small = (size > 0) & (size < min_share * filled(rows).sum())
    if small.all() and len(small):
        small[int(size.argmax())] = False
    stay = np.flatnonzero((size > 0) & ~small)
    if not small.any():
        return labels
    moved = kept & small[labels]
    out = labels.copy()
    out[moved] = stay[assign(means(rows, labels)[stay], rows[moved])]
    return out


def with_method(recipe: Recipe, method: str) -> Recipe:
    """The same recipe by another method, from centres that every method can start from."""
    return replace(recipe, method=method, init="plusplus")
