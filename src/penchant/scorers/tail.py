"""What a linear model solved on popular items says of all others: the tail, in closed form and by blocks.

Let A = (G_hh + l I)^-1 be known on the head h of the Gram matrix G. With W = A G_ht:

    head to tail   B_it = W_it: the exact ridge regression of a tail item t on the whole head
    tail to head   B_tj = W_jt / (d_t P_jj), d_t = g_tt + l - G_th A G_ht, P_jj = A_jj + sum over t of W_jt^2 / d_t:
                   EASE's own weights -P_tj / P_jj by block inversion, were tail items independent given the head

Two items of the tail have no weight for each other, and the ties within the head stay those of A: with the term that
block inversion adds between two head items, lists were worse on most logs it was tried on (tail items are not
independent, and what they share is then taken off the head many times over).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray

BLOCK = 1000  # tail items solved at once


@dataclass(frozen=True)
class Tail:
    """to_tail: (n_head, n_tail) · to_head: (n_tail, n_head): the strongest weights of each tail item, CSR float32."""

    to_tail: sp.csr_array
    to_head: sp.csr_array


def solve_tail(inverse: FloatArray, head: sp.csr_array, tail: sp.csr_array, regularization: float, n_kept: int) -> Tail:
    """Weights between head and tail.

    Time: 2 * n_head^2 * n_tail. Memory beside the inverse: 3 * n_head * BLOCK float32 and n_kept numbers a tail item.

    Args:
        inverse: (n_head, n_head) A. head, tail: (n_users, n_head) and (n_users, n_tail) what the model is fitted on.
        n_kept: weights kept a tail item, the largest.
    """
    from penchant.threads import one_thread

    n_head, n_tail = len(inverse), int(tail.shape[1])
    width = min(n_kept, n_head)
    diagonal = np.diag(inverse).astype(np.float64)
    rows: list[IntArray] = []
    values: list[FloatArray] = []
    rest: list[FloatArray] = []
    by_head, by_column = sp.csr_array(head.T), sp.csc_array(tail)
    own = np.asarray(by_column.multiply(by_column).sum(axis=0)).ravel()
    for start in range(0, n_tail, BLOCK):
        block = sp.csr_array(by_column[:, start : start + BLOCK])
        common = np.asarray((by_head @ block).toarray(), np.float32)
        with one_thread("blas"):  # equal bytes on any number of threads
            weights = inverse @ common
        schur = own[start : start + BLOCK] + regularization - np.einsum("ij,ij->j", common, weights, dtype=np.float64)
        schur = np.maximum(schur, regularization)  # it is at least that, but for rounding
        diagonal += np.einsum("ij,ij,j->i", weights, weights, 1.0 / schur, dtype=np.float64)
        kept = np.sort(np.argpartition(-np.abs(weights), width - 1, axis=0)[:width], axis=0).T
        rows.append(kept.astype(np.int32))
        values.append(np.take_along_axis(weights, kept.T, axis=0).T)
        rest.append(schur.astype(np.float32))
    row, value = np.concatenate(rows), np.concatenate(values)
    shape, bounds = (n_tail, n_head), np.arange(0, n_tail * width + 1, width)
    found = sp.csr_array((value.ravel(), row.ravel(), bounds), shape=shape, dtype=np.float32)
    scaled = value / np.concatenate(rest)[:, None] / diagonal.astype(np.float32)[row]
    to_head = sp.csr_array((scaled.ravel(), row.ravel(), bounds), shape=shape, dtype=np.float32)
    return Tail(sp.csr_array(found.T.tocsr()), to_head)
