"""Which item takes which place of a list: by rank alone, with places for new items, or by slots a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penchant.data import FloatArray, IntArray
from penchant.recommend.candidates import Candidates


@dataclass(frozen=True)
class Places:
    """items: (n, k) item rows, -1 = no item · columns: (n, k) column among the candidates, -1 = an item that no signal
    brought · score: (n, k) float32 · leaf: (n, k) the interest an item was proposed for, -1 = by the item itself.
    """

    items: IntArray
    columns: IntArray
    score: FloatArray
    leaf: IntArray


def by_rank(order: IntArray, ranked: FloatArray, found: Candidates) -> Places:
    """The candidates in the order given, (n, k) columns with -1 at the end of short lists."""
    if not found.item_rows.shape[1]:  # a catalogue of nothing
        return Places(order, order, np.zeros(order.shape, np.float32), order)
    at = np.maximum(order, 0)
    items = np.where(order >= 0, np.take_along_axis(found.item_rows, at, axis=1), -1).astype(np.int32)
    score = np.take_along_axis(ranked, at, axis=1).astype(np.float32)
    return Places(items, order, score, np.full(order.shape, -1, np.int32))


def with_new_items(places: Places, new: IntArray, scores: FloatArray) -> Places:
    """Give the last places to new items, where there are any. A list of fewer than k items keeps the places it has.

    Args:
        new, scores: (n, m) items for the last m places, the first of these first; -1 = none.
    """
    m = new.shape[1]
    first = places.items.shape[1] - m
    out = Places(places.items.copy(), places.columns.copy(), places.score.copy(), places.leaf)
    row, place = np.nonzero((places.items[:, first:] >= 0) & (new >= 0))
    out.items[row, place + first] = new[row, place]
    out.columns[row, place + first] = -1
    out.score[row, place + first] = scores[row, place]
    return out
