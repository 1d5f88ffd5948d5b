"""Lists drawn by chance with chances that are known: a log's policy that off-policy estimates can be tried on."""

from __future__ import annotations

import numpy as np

from penchant.data import FloatArray, IntArray
from penchant.errors import DataError


def inclusion_chances(scores: FloatArray, k: int, *, temperature: float = 1.0) -> FloatArray:
    """Chance of each item to be in a list of k: k times the softmax of the scores, cut at 1, the rest scaled up.

    Args:
        scores: (n, n_items) finite, higher = shown rather. temperature: above 0; higher = more even.
    Returns:
        (n, n_items) float32 in 0..1; rows sum to k.
    Raises:
        DataError: k is not in 1..n_items, or the temperature is not above 0.

    >>> inclusion_chances(np.array([[0.0, 0.0, 9.0]], np.float32), 2).tolist()
    [[0.5, 0.5, 1.0]]
    """
    if not 1 <= k <= scores.shape[1] or not temperature > 0:
        raise DataError(
            f"inclusion_chances: k must be in 1..{scores.shape[1]} and temperature above 0. Got {k}, {temperature}"
        )
    logits = np.asarray(scores, np.float64) / temperature
    mass = np.exp(logits - logits.max(axis=1, keepdims=True))
    sure = np.zeros(mass.shape, np.bool_)
    for _ in range(k):  # each pass makes at least one more item of an unfinished row sure
        left = (k - sure.sum(axis=1, keepdims=True)) / np.maximum(
            np.where(sure, 0, mass).sum(axis=1, keepdims=True), 1e-300
        )
        chance = np.where(sure, 1.0, mass * left)
        if not (chance > 1).any():
            break
        sure |= chance > 1
    return np.minimum(chance, 1.0).astype(np.float32)


def draw_lists(chances: FloatArray, *, seed: int) -> IntArray:
    """Draw a list a row in which each item stands with its chance exactly: systematic sampling (Madow 1949).

    Items of a row are put in a random order, and the list in another: an item's chance to stand at a given place is
    its chance over the length.

    Args:
        chances: (n, n_items) in 0..1, rows summing to the same whole number k (`inclusion_chances`).
    Returns:
        (n, k) int32 different items.
    """
    rng = np.random.default_rng([seed, 23])
    n, n_items = chances.shape
    k = round(float(chances[0].sum(dtype=np.float64))) if n else 0
    order = rng.permuted(np.broadcast_to(np.arange(n_items), (n, n_items)), axis=1)
    ends = np.cumsum(np.take_along_axis(chances, order, axis=1), axis=1, dtype=np.float64)
    ends *= k / ends[:, -1:]
    ends[:, -1] = k
    marks = rng.random((n, 1)) + np.arange(k)
    # the first end above each mark: ends of row r lie in (r k, (r + 1) k] when shifted, so one search does for all
    shift = (np.arange(n) * k)[:, None]
    found = np.searchsorted((ends + shift).ravel(), (marks + shift).ravel(), side="right").reshape(n, k)
    drawn = np.take_along_axis(order, found - (np.arange(n) * n_items)[:, None], axis=1)
    return rng.permuted(drawn, axis=1).astype(np.int32)
