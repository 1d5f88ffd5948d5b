"""How much an item lies in each leaf: a few leaves an item, sharp for clear items.

Membership is a softmax over the cosines to the leaves' centroids. Its temperature is no setting: it is the one at
which the memberships of an item best foretell the leaves of its nearest neighbours (least cross-entropy), so
"0.7 in this leaf" reads as "seven of ten items like it lie there".
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from penchant.data import FloatArray, IntArray, unit_rows

MIN_MEMBERSHIP = 0.05  # smaller shares are dropped: they say no more than "not there" and cost a cell an item
TEMPERATURES = (0.005, 1.0)
BLOCK = 4096


def fit_temperature(similarity: FloatArray, target: FloatArray) -> float:
    """Temperature of the softmax over `similarity` that best foretells `target`.

    Args:
        similarity: (n, n_leaves) cosines to centroids.
        target: (n, n_leaves) shares of each item's neighbours by leaf; a row sums to 1 (or 0: not counted).
    Returns:
        The temperature of least cross-entropy, within TEMPERATURES.

    >>> similarity = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    >>> round(fit_temperature(similarity, np.array([[0.8, 0.2], [0.2, 0.8]], np.float32)), 2)
    0.72
    """
    if similarity.shape[1] < 2 or not target.any():
        return TEMPERATURES[0]
    mass = target.sum(axis=1, dtype=np.float64)
    hit = float((similarity * target).sum(dtype=np.float64))
    scores = similarity.astype(np.float64)

    def loss(log_temperature: float) -> float:
        t = float(np.exp(log_temperature))
        return float(mass @ logsumexp(scores / t, axis=1)) - hit / t

    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))


def soft_membership(
    values: FloatArray, centroids: FloatArray, temperature: float, *, top: int, floor: float = -2.0
) -> sp.csr_array:
    """Put each row into its few nearest leaves.

    Args:
        values: (n, d) unit rows; a row of zeros stays without a leaf.
        centroids: (n_leaves, d) unit rows.
        temperature: of the softmax over cosines.
        top: at most this many leaves a row.
        floor: rows whose best cosine lies below stay without a leaf.
    Returns:
        (n, n_leaves) CSR float32, rows sum to 1 or are empty, shares below MIN_MEMBERSHIP dropped, columns sorted.

    >>> eye = np.eye(2, dtype=np.float32)
    >>> soft_membership(eye, eye, 0.1, top=2).toarray().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    n_leaves = len(centroids)
    parts = [
        _block_membership(values[start : start + BLOCK], centroids, temperature, min(top, n_leaves), floor)
        for start in range(0, len(values), BLOCK)
    ]
    if not parts:
        return sp.csr_array((0, n_leaves), dtype=np.float32)
    return as_int32(sp.csr_array(sp.vstack(parts, format="csr")))


def _block_membership(
    values: FloatArray, centroids: FloatArray, temperature: float, top: int, floor: float
) -> sp.csr_array:
    cosine = values @ centroids.T
    # stable sort of the negated cosines: among equals the lower leaf wins, whatever the machine
    best = np.argsort(-cosine, axis=1, kind="stable")[:, :top]
    score = np.take_along_axis(cosine, best, axis=1).astype(np.float64)
    full = logsumexp(cosine.astype(np.float64) / temperature, axis=1)[:, None]
    share = np.exp(score / temperature - full)
    share[:, 1:][share[:, 1:] < MIN_MEMBERSHIP] = 0.0  # the best one always stays
    share /= share.sum(axis=1, keepdims=True)
    keep = (np.abs(values).max(axis=1, initial=0) > 0) & (score[:, 0] >= floor)
    share[~keep] = 0.0
    rows = np.repeat(np.arange(len(values)), best.shape[1])
    used = share.ravel() > 0
    out = sp.csr_array(
        (share.ravel()[used].astype(np.float32), (rows[used], best.ravel()[used])), shape=(len(values), len(centroids))
    )
    out.sort_indices()
    return out


def as_int32(matrix: sp.csr_array) -> sp.csr_array:
    """The same matrix with 32-bit indices: one form to save, whatever path built it."""
    matrix.indices = matrix.indices.astype(np.int32, copy=False)
    matrix.indptr = matrix.indptr.astype(np.int32, copy=False)
    return matrix


def weighted_centroids(values: FloatArray, membership: sp.csr_array, weights: FloatArray) -> FloatArray:
    """(n_leaves, d) unit means of the rows in each leaf, by membership and weight; zeros where no row has a value."""
    weighted = sp.csr_array(membership.multiply(weights[:, None]))
    return unit_rows(np.asarray(weighted.T @ values.astype(np.float64)))


def neighbour_shares(neighbours: IntArray, labels: IntArray, n_leaves: int) -> FloatArray:
    """(n, n_leaves) share of each row's neighbours by leaf; -1 in `neighbours` or `labels` is left out."""
    found = np.where(neighbours >= 0, labels[neighbours], -1)
    rows, cols = np.nonzero(found >= 0)
    cell = rows * n_leaves + found[rows, cols]
    counts = np.bincount(cell, minlength=len(neighbours) * n_leaves).reshape(-1, n_leaves).astype(np.float32)
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, total, out=np.zeros_like(counts), where=total > 0), np.float32)


def node_lift(parent_row: IntArray, n_leaves: int) -> sp.csr_array:
    """(n_nodes, n_leaves) 0/1: which leaves lie under each node (a leaf under itself).

    >>> node_lift(np.array([2, 2, -1], np.int32), 2).toarray().tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    """
    rows: list[IntArray] = []
    leaves: list[IntArray] = []
    node = leaf = np.arange(n_leaves, dtype=np.int32)
    while len(node):
        rows.append(node)
        leaves.append(leaf)
        up = parent_row[node]
        node, leaf = up[up >= 0], leaf[up >= 0]
    where = (np.concatenate(rows or [node]), np.concatenate(leaves or [leaf]))
    return sp.csr_array((np.ones(len(where[0]), np.float32), where), shape=(len(parent_row), n_leaves))
