"""Behaviour vectors: thin first version."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from penchant.config import RepresentConfig
from penchant.data import Events, Vectors


def behaviour_factors(events: Events, n_items: int, config: RepresentConfig, *, seed: int) -> Vectors | None:
    """SVD of the normalised user-item matrix."""
    from sklearn.utils.extmath import randomized_svd

    matrix = events.matrix(n_items, binary=True)
    counts = np.asarray(matrix.sum(axis=0)).ravel()
    if not matrix.nnz:
        return None
    users = np.asarray(matrix.sum(axis=1)).ravel()
    scaled = (
        sp.diags_array(1 / np.sqrt(np.maximum(users, 1))) @ matrix @ sp.diags_array(1 / np.sqrt(np.maximum(counts, 1)))
    )
    k = min(config.n_factors, min(matrix.shape))
    _, s, vt = randomized_svd(sp.csr_array(scaled), n_components=k, n_iter=5, random_state=seed)
    values = (vt.T * s).astype(np.float32)
    values[counts < config.min_item_events] = 0
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    values = np.divide(values, norm, out=np.zeros_like(values), where=norm > 1e-8)
    return Vectors(values, f"factors ({k})")
