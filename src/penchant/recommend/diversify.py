"""Diversity within a list: maximal marginal relevance on item vectors."""

from __future__ import annotations

import numpy as np

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.recommend.calibrate import Mix


def diversify(
    scores: FloatArray,
    item_rows: IntArray,
    valid: BoolArray,
    vectors: FloatArray,
    diversity: float,
    k: int,
    mix: Mix | None = None,
    calibration: float = 0.0,
) -> IntArray:
    """Pick k of each row's candidates, each time the best (1 - d) * relevance - d * likeness to what is picked already.

    Maximal marginal relevance (Carbonell & Goldstein 1998). Relevance is the score scaled to 0..1 within the row,
    likeness the highest cosine to a picked item. d = 0 is the order by score, d = 1 takes what is least like the rest.
    With a mix the value of an item is (1 - c) * the above - c * the list's divergence from the user's mix with it in:
    the greedy list of Steck 2018.

    Args:
        scores: (n, c). item_rows: (n, c) rows of `vectors`. valid: (n, c); others are never picked.
        vectors: (n_items, dims) unit rows.
        diversity: d in 0..1. mix: of the same rows, empty lists; it is filled. calibration: c in 0..1.
    Returns:
        (n, k) int32 columns of `scores` in the order picked, -1 where a row has fewer than k.

    >>> v = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    >>> s, rows, ok = np.array([[3.0, 2.0, 1.0]], np.float32), np.array([[0, 1, 2]], np.int32), np.ones((1, 3), bool)
    >>> diversify(s, rows, ok, v, 0.0, 2).tolist(), diversify(s, rows, ok, v, 0.7, 2).tolist()
    ([[0, 1]], [[0, 2]])
    """
    n, c = scores.shape
    out = np.full((n, k), -1, np.int32)
    if not c:
        return out
    relevance = _scaled(scores, valid)
    open_ = valid.copy()
    likeness = np.full((n, c), 0.0, np.float32)
    own = vectors[item_rows] if diversity > 0 else None
    row = np.arange(n)
    for place in range(min(k, c)):
        value = (1.0 - diversity) * relevance - diversity * likeness
        if diversity == 1.0 and place == 0:
            value = relevance  # nothing is picked yet: likeness says nothing
        if mix is not None:
            value = (1.0 - calibration) * value - calibration * mix.cost()
        value = np.where(open_, value, -np.inf)
        pick = np.argmax(value, axis=1)  # ties: the first column
        found = open_[row, pick]
        out[:, place] = np.where(found, pick, -1)
        open_[row, pick] = False
        if mix is not None:
            mix.take(pick, found)
        if own is not None:
            cosine = np.einsum("ncd,nd->nc", own, own[row, pick])
            likeness = cosine if place == 0 else np.maximum(likeness, cosine)
    return out


def _scaled(scores: FloatArray, valid: BoolArray) -> FloatArray:
    low = np.where(valid, scores, np.inf).min(axis=1, keepdims=True)
    high = np.where(valid, scores, -np.inf).max(axis=1, keepdims=True)
    span = high - low
    usable = np.isfinite(span) & (span > 0)
    out = np.zeros(scores.shape, np.float32)
    return np.asarray(np.divide(scores - low, span, out=out, where=usable & valid, casting="unsafe"))
