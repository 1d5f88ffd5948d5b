"""From the hidden states of tokens to one vector a text, the same for every backend."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penchant.data import FloatArray
from penchant.encode.model_folder import Dense


def pool(hidden: FloatArray, mask: npt.NDArray[np.int64], modes: tuple[str, ...]) -> FloatArray:
    """Pool (n, length, d) hidden states under a (n, length) mask, padded on the right, to (n, d * n_modes).

    >>> hidden = np.array([[[1.0], [3.0], [100.0]]], np.float32)
    >>> pool(hidden, np.array([[1, 1, 0]]), ("mean", "max", "lasttoken")).tolist()
    [[2.0, 3.0, 3.0]]
    """
    return np.concatenate([_pool_one(hidden, mask, mode) for mode in modes], axis=1)


def _pool_one(hidden: FloatArray, mask: npt.NDArray[np.int64], mode: str) -> FloatArray:
    weight = mask.astype(np.float32)
    if mode == "cls":
        first: FloatArray = hidden[:, 0]
        return first
    if mode == "lasttoken":
        last: FloatArray = hidden[np.arange(len(hidden)), np.maximum(mask.sum(axis=1) - 1, 0)]
        return last
    if mode == "max":
        top: FloatArray = np.where(mask[:, :, None] > 0, hidden, -np.inf).max(axis=1)
        return top
    if mode == "weightedmean":  # later tokens weigh more (SGPT, Muennighoff 2022)
        weight = weight * np.arange(1, hidden.shape[1] + 1, dtype=np.float32)
    total: FloatArray = np.einsum("nld,nl->nd", hidden, weight)
    size = weight.sum(axis=1, keepdims=True)
    pooled: FloatArray = total / (np.sqrt(size) if mode == "mean_sqrt_len_tokens" else size)
    return pooled


def apply_dense(vectors: FloatArray, layers: tuple[Dense, ...]) -> FloatArray:
    """Send (n, d) vectors through the dense layers of a model, in order."""
    for layer in layers:
        vectors = vectors @ layer.weight.T + layer.bias
        if layer.activation == "Tanh":
            vectors = np.tanh(vectors)
        elif layer.activation == "ReLU":
            vectors = np.maximum(vectors, 0)
    return vectors
