"""Candidates: the best of every signal, and what the ranker reads of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.recommend.past import Past
from penchant.recommend.signals import ITEM_FEATURES, Signals
from penchant.scorers import top_items

USER_FEATURES = ("user_events", "user_idle", "user_tenure")


@dataclass(frozen=True)
class Candidates:
    """item_rows: (n, c) int32, rising in each row · valid: (n, c) false where a row has fewer than c candidates ·
    features: (n, c, f) float32, columns as `feature_names`.
    """

    item_rows: IntArray
    valid: BoolArray
    features: FloatArray


def feature_names(signal_names: tuple[str, ...]) -> tuple[str, ...]:
    """Columns of `Candidates.features`: z-scores, log ranks, then facts of the item and of the user.

    >>> feature_names(("als",))[:3]
    ('als:z', 'als:rank', 'item_age')
    """
    return (
        *(f"{n}:z" for n in signal_names),
        *(f"{n}:rank" for n in signal_names),
        *ITEM_FEATURES,
        *USER_FEATURES,
    )


def pick_candidates(scores: Mapping[str, FloatArray], blocked: sp.csr_array, n: int) -> tuple[IntArray, BoolArray]:
    """Take, for each user, the n items that stand highest in any signal.

    Items are ordered by their best rank over the signals, then by how many signals rank them well (sum of
    1 / (10 + rank)), then by row. A signal speaks only for items it scores above zero.

    Args:
        scores: name -> (n_users, n_items); a row-constant view (stride 0) is ranked once.
        blocked: (n_users, n_items) stored entries never become candidates.
    Returns:
        (n_users, c) item rows, rising, and which of them are real; c = min(n, n_items).

    >>> s = {"a": np.array([[0.0, 3.0, 1.0, 2.0]], np.float32)}
    >>> pick_candidates(s, sp.csr_array((1, 4), dtype=np.float32), 2)[0].tolist()
    [[1, 3]]
    """
    first = next(iter(scores.values()))
    n_users, n_items = first.shape
    width = min(n, n_items)
    best = np.full((n_users, n_items), np.inf, np.float32)
    total = np.zeros((n_users, n_items), np.float32)
    rank = np.arange(1, width + 1, dtype=np.float32)
    row = np.arange(n_users)[:, None] * n_items
    for values in scores.values():
        if values.strides[0] == 0:
            same = top_items(values[:1], width, above=0.0)[0]
            same = same[same >= 0]
            best[:, same] = np.minimum(best[:, same], rank[: len(same)])
            total[:, same] += 1.0 / (10.0 + rank[: len(same)])
            continue
        top = top_items(values, width, blocked, above=0.0)
        real = top >= 0
        at = (row + top)[real]
        own_rank = np.broadcast_to(rank, top.shape)[real]
        best.reshape(-1)[at] = np.minimum(best.reshape(-1)[at], own_rank)
        total.reshape(-1)[at] += 1.0 / (10.0 + own_rank)
    # the sum orders items of one best rank: it stays below one rank
    np.divide(total, total + 1.0, out=total)
    np.subtract(total, best, out=total)
    closed = np.repeat(np.arange(n_users) * n_items, np.diff(blocked.indptr)) + blocked.indices
    total.reshape(-1)[closed] = -np.inf
    rows = top_items(total, width)
    short = (rows < 0).any(axis=1)
    if short.any():  # filled with items that are not valid
        rows[short] = np.argsort(-total[short], axis=1, kind="stable")[:, :width]
    rows = np.sort(rows, axis=1)
    return rows, np.isfinite(np.take_along_axis(total, rows, axis=1))


def describe(
    signals: Signals, scores: Mapping[str, FloatArray], past: Past, rows: IntArray, valid: BoolArray
) -> Candidates:
    """Build the ranker's features: z-score and log rank of each signal among the candidates, and plain facts."""
    n, c = rows.shape
    names = signals.names
    out = np.empty((n, c, 2 * len(names) + len(ITEM_FEATURES) + len(USER_FEATURES)), np.float32)
    for i, name in enumerate(names):
        values = np.take_along_axis(scores[name], rows, axis=1)
        out[:, :, i] = standardise(values, valid)
        out[:, :, len(names) + i] = np.log1p(ranks(np.where(valid, values, -np.inf)))
    at = 2 * len(names)
    out[:, :, at : at + len(ITEM_FEATURES)] = signals.item_features[rows]
    out[:, :, at + len(ITEM_FEATURES) :] = past.activity[:, None, :]
    return Candidates(rows, valid, out)


def standardise(values: FloatArray, valid: BoolArray) -> FloatArray:
    """z-scores within each row over the valid entries; 0 for a constant row and for entries that are not valid."""
    centred, deviation = _centre(values, valid)
    out = np.zeros(values.shape, np.float32)
    return np.asarray(np.divide(centred, deviation, out=out, where=deviation > 1e-9, casting="unsafe"))


def row_spread(values: FloatArray, valid: BoolArray) -> FloatArray:
    """(n, 1) standard deviation of each row's valid entries, by which `standardise` divides."""
    return np.asarray(_centre(values, valid)[1], np.float32)


def _centre(values: FloatArray, valid: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Values less the mean of their row's valid entries (0 where not valid), and the (n, 1) standard deviations."""
    count = np.maximum(valid.sum(axis=1, keepdims=True), 1)
    mean = np.where(valid, values, 0.0).sum(axis=1, keepdims=True) / count
    centred = np.where(valid, values - mean, 0.0)
    return centred, np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)


def ranks(values: FloatArray) -> FloatArray:
    """(n, c) place of each entry in its row, from 0 for the highest; ties: the earlier column first.

    >>> ranks(np.array([[1.0, 5.0, 5.0]])).tolist()
    [[2.0, 0.0, 1.0]]
    """
    order = top_items(np.maximum(values, np.finfo(np.float32).min), values.shape[1])  # -inf enters no list
    out = np.empty(values.shape, np.float32)
    np.put_along_axis(out, order, np.arange(values.shape[1], dtype=np.float32)[None, :], axis=1)
    return out
