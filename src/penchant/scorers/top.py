"""Scores to ranked lists: the one place where ties are broken (equal scores: the lower item row first)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray
from penchant.protocols import Ranks
from penchant.threads import in_batches

BATCH_BYTES = 32_000_000  # scores of one batch of users
CHUNK_BYTES = 8_000_000  # of them, what is ranked at once: it should fit a cache
BLOCK = 64  # scores that one maximum stands for, at most
WIDE = 50  # lists from which on all scores are looked at again


def top_items(scores: FloatArray, k: int, seen: sp.csr_array | None = None, *, above: float = -np.inf) -> IntArray:
    """Rank the items of each row by score, high first; equal scores by item row (a stable sort).

    The k-th highest of the maxima of blocks of items is a bar that the k best all reach and few others do: what
    reaches it becomes distinct 64-bit keys of (score, row), and these are sorted. Rows in which many are equal at the
    bar are sorted as a whole. Linear time; memory: CHUNK_BYTES and its keys, beside `scores`.

    Args:
        scores: (n, n_items) float32. NaN and -inf never enter a list.
        seen: (n, n_items) sparse; stored entries are left out.
        above: scores that are not higher are left out.
    Returns:
        (n, k) int32 item rows; -1 where fewer than k items are left.

    >>> top_items(np.array([[1.0, 3.0, 3.0, np.nan]], np.float32), 4).tolist()
    [[1, 2, 0, -1]]
    """
    n, n_items = scores.shape
    out = np.full((n, k), -1, np.int32)
    width = min(k, n_items)
    block = min(BLOCK, n_items // max(1, 3 * width))
    if block < 4:  # so few items, or so long lists, that all scores are sorted
        block = 1
    n_blocks = -(-n_items // block)
    step = max(1, CHUNK_BYTES // (4 * block * max(1, n_blocks)))
    for start in range(0, n if width else 0, step):
        size = min(step, n - start)
        part = np.empty((size, n_blocks * block), np.float32)
        part[:, :n_items] = scores[start : start + size]
        part[:, n_items:] = -np.inf
        if seen is not None:
            bounds = seen.indptr[start : start + size + 1]
            part[np.repeat(np.arange(size), np.diff(bounds)), seen.indices[bounds[0] : bounds[-1]]] = -np.inf
        out[start : start + size, :width] = _best(part, width, block, np.float32(above))
    return out


def top_lists(
    scorer: Ranks,
    user_rows: IntArray,
    history: sp.csr_array,
    k: int,
    *,
    seen: sp.csr_array | None = None,
    on_batch: Callable[[int], None] | None = None,
    threads: int = 1,
) -> IntArray:
    """Full ranking over all items for many users, in batches of bounded memory (BATCH_BYTES a thread).

    Args:
        user_rows: (n,) rows of `history`.
        history: (n_users, n_items) what the scorer reads of each user's past.
        seen: (n_users, n_items) entries to leave out; None keeps all.
        on_batch: told the number of users done after each batch.
        threads: batches at once. Lists do not hang on it; `scorer.score` must bear to be called by several.
    Returns:
        (n, k) int32 item rows, best first; -1 where fewer than k are left.
    """
    step = max(1, BATCH_BYTES // (4 * max(1, history.shape[1])))
    out = np.full((len(user_rows), k), -1, np.int32)

    def rank(start: int) -> int:
        rows = user_rows[start : start + step]
        out[start : start + step] = top_items(scorer.score(rows, history), k, None if seen is None else seen[rows])
        return len(rows)

    for done in in_batches(rank, range(0, len(user_rows), step), threads):
        if on_batch is not None:
            on_batch(done)
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


def _best(values: FloatArray, width: int, block: int, above: np.float32) -> IntArray:
    """(n, width) best columns of each row, -1 where fewer are above `above`.

    Args:
        values: (n, a multiple of `block`). block: scores that one maximum stands for; 1 = sort them all.
    """
    lowest = np.nextafter(above, np.float32(np.inf))
    if block == 1:
        return _sorted(values, width, lowest)
    highest = _block_maxima(values, block)
    if np.isnan(highest).any():  # a NaN hides what else its block holds
        values = np.where(np.isnan(values), np.float32(-np.inf), values)
        highest = _block_maxima(values, block)
    n, n_blocks = highest.shape
    bar = np.maximum(np.partition(highest, n_blocks - width, axis=1)[:, n_blocks - width], lowest)
    crowded = np.count_nonzero(highest >= bar[:, None], axis=1) > 2 * width + 16
    bar[crowded] = np.inf
    if width < WIDE:  # few blocks hold what is wanted
        row, place = np.divmod(np.flatnonzero(highest >= bar[:, None]), n_blocks)
        column = place[:, None] + n_blocks * np.arange(block)
        value = values[row[:, None], column]
        best = value >= bar[row, None]
        row, column, value = np.repeat(row, np.count_nonzero(best, axis=1)), column[best], value[best]
    else:
        row, column = np.divmod(np.flatnonzero(values >= bar[:, None]), values.shape[1])
        value = values[row, column]
    size = np.bincount(row, minlength=n)
    keys = np.full((n, max(width, int(size.max(initial=0)))), _NEVER)
    keys[row, np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)] = _keys(value, column)
    out = _rows_of(np.sort(keys, axis=1)[:, :width])
    if crowded.any():
        out[crowded] = _sorted(values[crowded], width, lowest)
    return out


def _block_maxima(values: FloatArray, block: int) -> FloatArray:
    """(n, n_blocks) maxima of `block` items each, which lie as far apart as there are blocks."""
    n, n_items = values.shape
    return np.asarray(values.reshape(n, block, n_items // block).max(axis=1))


def _sorted(values: FloatArray, width: int, lowest: np.float32) -> IntArray:
    """As `_best`, by keys of all that there is."""
    keys = _keys(values, np.arange(values.shape[1]))
    keys[~(values >= lowest)] = _NEVER
    if width < keys.shape[1]:
        keys = np.partition(keys, width - 1, axis=1)[:, :width]
    return _rows_of(np.sort(keys, axis=1))


def _rows_of(keys: npt.NDArray[np.int64]) -> IntArray:
    return np.where(keys == _NEVER, -1, keys & 0xFFFFFFFF).astype(np.int32)


def _keys(values: FloatArray, columns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Distinct int64 keys that rise as the score falls and, at equal scores, as the column rises."""
    bits = (values + np.float32(0.0)).view(np.int32).astype(np.int64)  # a copy in which -0.0 is 0.0
    # IEEE floats order like their bits when positive and against them when negative
    falling = np.where(bits >= 0, -bits - 1, bits & 0x7FFFFFFF)
    return np.asarray((falling << 32) | columns)
