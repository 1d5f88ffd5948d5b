"""Interest calibration (Steck 2018, "Calibrated recommendations"): lists in the user's own mix of interests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray
from penchant.recommend.past import Past

SMOOTHING = 0.01  # Steck 2018, section 3: share of the user's own mix in the list's, so that no divergence is infinite

Float64Array = npt.NDArray[np.float64]


class Mix:
    """The mixes of lists that are filled place by place, beside those of their users' pasts.

    An item lies in a few interests only, so that of the sum over interests just these are computed a candidate.

    Args:
        past: of n users; weights of liked items make their mix. A user whose past touches no interest has no cost.
        membership: (n_items, n_interests), rows sum to 1 or are empty.
        item_rows: (n, c) candidates.
    """

    def __init__(self, past: Past, membership: sp.csr_array, item_rows: IntArray) -> None:
        mix = np.asarray((past.matrix(past.weight) @ membership).toarray(), np.float64)
        total = mix.sum(axis=1, keepdims=True)
        self._own: Float64Array = np.divide(mix, total, out=np.zeros_like(mix), where=total > 0)
        self._sum = np.zeros_like(mix)
        leaf, share = _padded(membership)
        n, c = item_rows.shape
        self._leaf, self._share = leaf[item_rows].reshape(n, -1), share[item_rows]
        self._tied = self._share.sum(axis=2) > 0
        self._own_there = np.take_along_axis(self._own, self._leaf, axis=1).reshape(n, c, -1)

    def cost(self) -> FloatArray:
        """(n, c) KL(the user's mix || the list's) in nats, were each candidate added."""
        n, c, w = self._share.shape
        total = self._sum.sum(axis=1, keepdims=True)
        unlike = _terms(self._own, self._sum, np.maximum(total, 1e-9)).sum(axis=1, keepdims=True)
        after = _terms(self._own, self._sum, total + 1).sum(axis=1, keepdims=True)
        there = np.take_along_axis(self._sum, self._leaf, axis=1).reshape(n, c, w)
        grown = _terms(self._own_there, there + self._share, total[:, :, None] + 1)
        grown -= _terms(self._own_there, there, total[:, :, None] + 1)
        return np.asarray(np.where(self._tied, after + grown.sum(axis=2), unlike), np.float32)

    def take(self, pick: npt.NDArray[np.integer], found: npt.NDArray[np.bool_]) -> None:
        """Add one candidate to each list.

        Args:
            pick: (n,) columns. found: (n,) false where nothing is added.
        """
        n, c, w = self._share.shape
        row = np.arange(n)
        leaf = self._leaf.reshape(n, c, w)[row, pick]
        np.add.at(self._sum, (row[:, None], leaf), self._share[row, pick] * found[:, None])


def _terms(own: Float64Array, listed: Float64Array, total: Float64Array) -> Float64Array:
    """The terms of the divergence: own * log(own / smoothed share of the list)."""
    smoothed = (1 - SMOOTHING) * listed / total + SMOOTHING * own
    return np.asarray(own * np.log(np.divide(own, smoothed, out=np.ones_like(smoothed), where=own > 0)))


def _padded(membership: sp.csr_array) -> tuple[npt.NDArray[np.int64], Float64Array]:
    """(n_items, w) interests of each item and its shares in them (sum 1, or 0), filled up with shares of 0."""
    size = np.diff(membership.indptr)
    width = max(1, int(size.max(initial=0)))
    leaf, share = np.zeros((len(size), width), np.int64), np.zeros((len(size), width))
    row = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(row)) - np.repeat(membership.indptr[:-1], size)
    leaf[row, place], share[row, place] = membership.indices, membership.data
    total = share.sum(axis=1, keepdims=True)
    return leaf, np.divide(share, total, out=np.zeros_like(share), where=total > 0)
