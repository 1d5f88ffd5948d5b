"""Scores to ranked lists: the one place where ties are broken (equal scores: the lower item row first)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray
from penchant.protocols import Ranks

BATCH_BYTES = 32_000_000  # scores of one batch of users; their 64-bit keys take up to ten times as much beside them


def top_items(scores: FloatArray, k: int, seen: sp.csr_array | None = None) -> IntArray:
    """Rank the items of each row by score, high first; equal scores by item row (a stable sort).

    Each (score, row) pair becomes one distinct 64-bit key, so a partition gives the list that a full stable sort would,
    in linear time.

    Args:
        scores: (n, n_items) float32. NaN and -inf never enter a list.
        seen: (n, n_items) sparse; stored entries are left out.
    Returns:
        (n, k) int32 item rows; -1 where fewer than k items are left.

    >>> top_items(np.array([[1.0, 3.0, 3.0, np.nan]], np.float32), 4).tolist()
    [[1, 2, 0, -1]]
    """
    n, n_items = scores.shape
    key = _keys(scores)
    if seen is not None:
        rows = np.repeat(np.arange(n), np.diff(seen.indptr))
        key[rows, seen.indices] = _NEVER
    width = min(k, n_items)
    if width < n_items:
        key = np.partition(key, width - 1, axis=1)[:, :width] if width else key[:, :0]
    key = np.sort(key, axis=1)
    out = np.full((n, k), -1, np.int32)
    out[:, :width] = np.where(key == _NEVER, -1, key & 0xFFFFFFFF)
    return out


def top_lists(
    scorer: Ranks,
    user_rows: IntArray,
    history: sp.csr_array,
    k: int,
    *,
    seen: sp.csr_array | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> IntArray:
    """Full ranking over all items for many users, in batches of bounded memory.

    Args:
        user_rows: (n,) rows of `history`.
        history: (n_users, n_items) what the scorer reads of each user's past.
        seen: (n_users, n_items) entries to leave out; None keeps all.
        on_batch: told the number of users done after each batch.
    Returns:
        (n, k) int32 item rows, best first; -1 where fewer than k are left.
    """
    step = max(1, BATCH_BYTES // (4 * max(1, history.shape[1])))
    out = np.full((len(user_rows), k), -1, np.int32)
    for start in range(0, len(user_rows), step):
        rows = user_rows[start : start + step]
        out[start : start + step] = top_items(scorer.score(rows, history), k, None if seen is None else seen[rows])
        if on_batch is not None:
            on_batch(len(rows))
    return out


def top_neighbours(similarity: FloatArray, rows: IntArray, k: int) -> sp.csr_array:
    """Keep the k most similar other items of each row, only those above zero.

    Args:
        similarity: (n, n_items); entry [i, rows[i]] (an item with itself) is left out.
    Returns:
        (n, n_items) CSR float32, indices sorted.

    >>> s = np.array([[9.0, 0.5, 0.2, 0.0]], np.float32)
    >>> top_neighbours(s, np.array([0], np.int32), 1).toarray().tolist()
    [[0.0, 0.5, 0.0, 0.0]]
    """
    n, n_items = similarity.shape
    itself = sp.csr_array((np.ones(n, np.int8), (np.arange(n), rows)), shape=(n, n_items))
    top = top_items(similarity, min(k, n_items), itself)
    at = np.repeat(np.arange(n), top.shape[1])
    column = top.ravel()
    keep = column >= 0
    at, column = at[keep], column[keep]
    value = similarity[at, column]
    positive = value > 0
    out = sp.csr_array((value[positive], (at[positive], column[positive])), shape=(n, n_items), dtype=np.float32)
    out.sort_indices()
    return out


_NEVER = np.iinfo(np.int64).max


def _keys(scores: FloatArray) -> npt.NDArray[Any]:
    """Distinct int64 keys that rise as the score falls and, at equal scores, as the column rises."""
    values = np.ascontiguousarray(scores, np.float32) + np.float32(0.0)  # a copy; -0.0 becomes 0.0
    bits = values.view(np.int32).astype(np.int64)
    # IEEE floats order like their bits when positive and against them when negative
    falling = np.where(bits >= 0, -bits - 1, bits & 0x7FFFFFFF)
    key = (falling << 32) | np.arange(scores.shape[1], dtype=np.int64)
    key[~(values > -np.inf)] = _NEVER
    return key
