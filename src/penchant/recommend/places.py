"""Which item takes which place of a list: by rank alone, with places for new items, or by slots a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray
from penchant.recommend.candidates import Candidates
from penchant.recommend.cold import near_new_items
from penchant.recommend.past import Past


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
    at = np.maximum(order, 0)
    items = np.where(order >= 0, np.take_along_axis(found.item_rows, at, axis=1), -1).astype(np.int32)
    score = np.take_along_axis(ranked, at, axis=1).astype(np.float32)
    return Places(items, order, score, np.full(order.shape, -1, np.int32))


def with_new_items(
    places: Places, past: Past, closed: sp.csr_array, n_users_of_item: FloatArray, vectors: FloatArray, n: int
) -> Places:
    """Give the last n places to new items near to the user's past, where there are any. Arguments as `near_new_items`.

    A list of fewer than k items keeps the places it has.
    """
    k = places.items.shape[1]
    n = min(n, k)
    row, place = np.nonzero(places.items >= 0)
    new, likeness = near_new_items(past, closed, (row, places.items[row, place]), n_users_of_item, vectors, n)
    out = Places(places.items.copy(), places.columns.copy(), places.score.copy(), places.leaf)
    row, place = np.nonzero((places.items[:, k - n :] >= 0) & (new >= 0))
    item, place_of_all = new[row, place], place + k - n
    out.items[row, place_of_all] = item
    out.columns[row, place_of_all] = -1
    out.score[row, place_of_all] = likeness[row, item]
    return out
