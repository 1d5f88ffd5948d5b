"""Ward's tree over many items, and a few steps of spherical k-means: the two moves that leaves are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray, unit_rows
from penchant.interests.dendrogram import Dendrogram, ward

MAX_GRAINS = 1500  # above so many items, Ward runs on that many small groups of items
BLOCK = 8192


@dataclass(frozen=True)
class Growth:
    """Ward's tree over grains (small groups of items, or the items themselves) and each item's grain."""

    grain: IntArray
    tree: Dendrogram

    def cut(self, k: int) -> IntArray:
        """(n_items,) labels of the cut into k groups."""
        return self.tree.cut(k)[self.grain]


def grow(values: FloatArray, *, seed: int) -> Growth:
    """Build Ward's tree over unit rows; many rows are first gathered into MAX_GRAINS grains by k-means."""
    n = len(values)
    if n <= MAX_GRAINS:
        return Growth(np.arange(n, dtype=np.int32), ward(values, np.ones(n)))
    start = np.sort(np.random.default_rng(seed).choice(n, MAX_GRAINS, replace=False))
    centres, grain = values[start], np.zeros(n, np.int32)
    for _ in range(5):
        grain = compact(nearest_centre(values, centres))
        centres = mean_rows(values, grain)
    return Growth(grain, ward(centres, np.bincount(grain).astype(np.float64)))


def mean_rows(values: FloatArray, labels: IntArray) -> FloatArray:
    """(k, d) unit means of the rows under each label."""
    return unit_rows(sum_rows(values, labels, int(labels.max(initial=-1)) + 1))


def sum_rows(values: npt.NDArray[np.floating], labels: IntArray, n_labels: int) -> npt.NDArray[np.float64]:
    """(n_labels, d) sums of the rows under each label; -1 counts nowhere.

    >>> sum_rows(np.array([[1.0], [2.0], [4.0]]), np.array([1, -1, 1]), 2).ravel().tolist()
    [0.0, 5.0]
    """
    rows = np.flatnonzero(labels >= 0)
    onto = sp.csr_array((np.ones(len(rows), values.dtype), (labels[rows], rows)), shape=(n_labels, len(values)))
    return np.asarray(onto @ values, np.float64)


def nearest_centre(values: FloatArray, centres: FloatArray) -> IntArray:
    """(n,) row of the centre with the largest cosine; ties go to the lower row."""
    out = np.empty(len(values), np.int32)
    for start in range(0, len(values), BLOCK):
        out[start : start + BLOCK] = (values[start : start + BLOCK] @ centres.T).argmax(axis=1)
    return out


def compact(labels: IntArray) -> IntArray:
    """The same labels without gaps in their numbers, in the same order.

    >>> compact(np.array([4, 0, 4], np.int32)).tolist()
    [1, 0, 1]
    """
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def refine(values: FloatArray, labels: IntArray, n_steps: int) -> IntArray:
    """Move each row to its nearest centre, up to `n_steps` times; groups that lose all rows vanish."""
    for _ in range(n_steps):
        moved = compact(nearest_centre(values, mean_rows(values, labels)))
        if np.array_equal(moved, labels):
            break
        labels = moved
    return labels
