"""Where items lay in the leaves of the tree by what was known at a moment, and how popular each is within its leaf."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from penchant.data import FloatArray, unit_rows

LEAF_TEMPERATURE, LEAVES_OF_ITEM = 0.1, 3  # of `place_in_leaves`


def place_in_leaves(membership: sp.csr_array, factors: FloatArray, text: FloatArray | None) -> sp.csr_array:
    """Place items in the leaves of a tree by what was known at a moment: their factors then, and their text.

    The tree's own membership of an item may rest on who took it later, which would make interests look better on past
    windows than they are. A leaf keeps its meaning: it lies at the mean of its items, in the space of that moment.

    Args:
        membership: (n_items, n_leaves) of the tree. factors: (n_items, f) fitted before the moment. text: unit rows.
    Returns:
        (n_items, n_leaves) CSR, a softmax over the cosines to the nearest leaves; empty without factors and text.
    """
    from penchant.threads import one_thread

    parts = [unit_rows(factors)] if text is None else [unit_rows(factors), text]
    vectors = unit_rows(np.concatenate(parts, axis=1))
    with one_thread("blas"):  # equal bytes on any number of threads
        cosine = vectors @ unit_rows(np.asarray(membership.T @ vectors, np.float32)).T
    width = min(LEAVES_OF_ITEM, cosine.shape[1])
    leaf = np.argsort(-cosine, axis=1, kind="stable")[:, :width]
    share = np.exp(np.take_along_axis(cosine, leaf, axis=1) / LEAF_TEMPERATURE)
    share *= (np.abs(vectors).sum(axis=1) > 0)[:, None]
    total = share.sum(axis=1, keepdims=True)
    share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    row = np.repeat(np.arange(len(vectors), dtype=np.int32), width)
    out = sp.csr_array((share.ravel(), (row, leaf.ravel().astype(np.int32))), shape=cosine.shape, dtype=np.float32)
    out.eliminate_zeros()
    out.sort_indices()
    return out


def leaf_parts(membership: sp.csr_array, popularity: FloatArray) -> sp.csr_array:
    """(n_leaves, n_items) each item's part of its leaf's popularity; one user is added to each leaf against noise."""
    weighted = sp.csr_array(membership.multiply(popularity[:, None]).T)
    total = np.asarray(weighted.sum(axis=1)).ravel() + 1.0
    return sp.csr_array(weighted.multiply(1.0 / total[:, None]), dtype=np.float32)
