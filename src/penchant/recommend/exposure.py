"""How often each item is listed, and the price of being listed often: a number an item, the same for all users.

    list(u)  = the k items of highest  score(u, i) - strength * spread(u) * price(i)
    price(i) = log(1 + exposure(i) / even),  even = k / n_items

exposure(i) is the share of users whose list holds i, even what it would be if all items were listed alike. Both lines
hold at once where the sum of scores (in spreads) less strength * sum of F(exposure) over items is largest, F' = price:
F is convex, so that being listed once more costs the more, the more often an item is listed already. That is the
concave welfare of items of Do, Corbett-Davies, Atif & Usunier 2021 ("Two-sided fairness in rankings via Lorenz
dominance"), found as there by Frank-Wolfe: lists at the prices of now, exposure a step towards theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.recommend.candidates import row_spread
from penchant.recommend.past import Past

Float64Array = npt.NDArray[np.float64]

K = 10  # places that count as listed
LEAST_CROWD = 300  # users whose lists tell what is listed often; of fewer, prices are noise
N_STEPS = 20  # of Frank-Wolfe


@dataclass(frozen=True)
class Crowd:
    """Users whose lists make the exposure. item_rows: (n, c) candidates, all different within a row · valid: (n, c) ·
    scores: (n, c) before any price.
    """

    item_rows: IntArray
    valid: BoolArray
    scores: FloatArray

    @classmethod
    def nobody(cls) -> Self:
        return cls(np.zeros((0, 0), np.int32), np.zeros((0, 0), np.bool_), np.zeros((0, 0), np.float32))


def joined(parts: Sequence[Crowd]) -> Crowd:
    """Several crowds as one."""
    return Crowd(
        np.concatenate([part.item_rows for part in parts]),
        np.concatenate([part.valid for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


def prices(crowd: Crowd, n_items: int, strength: float) -> FloatArray:
    """(n_items,) the price of each item at a strength (0: of the lists as ranked); 0 for items that no list holds.

    Memory: a few times the scores. Cost: N_STEPS partitions of them.

    Twelve users like items 0..9 best and 10..19 hardly less. As ranked these are never listed; with prices all are:

    >>> rows, ok = np.tile(np.arange(20, dtype=np.int32), (12, 1)), np.ones((12, 20), bool)
    >>> crowd = Crowd(rows, ok, np.where(rows < 10, 1.0, 0.9).astype(np.float32))
    >>> [int((prices(crowd, 20, strength) > 0).sum()) for strength in (0.0, 4.0)]
    [10, 20]
    """
    if not crowd.scores.size:
        return np.zeros(n_items, np.float32)
    even = K / n_items
    scale = strength * row_spread(crowd.scores, crowd.valid)
    exposure = listed(crowd, n_items)
    for step in range(1, N_STEPS if strength else 1):
        price = np.log1p(exposure / even).astype(np.float32)
        now = listed(replace(crowd, scores=crowd.scores - scale * price[crowd.item_rows]), n_items)
        exposure += 2 / (step + 2) * (now - exposure)
    return np.asarray(np.log1p(exposure / even), np.float32)


def listed(crowd: Crowd, n_items: int) -> Float64Array:
    """(n_items,) share of the users whose K best candidates hold each item."""
    closed = np.where(crowd.valid, crowd.scores, -np.inf)
    width = min(K, closed.shape[1])
    top = np.argpartition(-closed, width - 1, axis=1)[:, :width]
    items = np.take_along_axis(crowd.item_rows, top, axis=1)[np.take_along_axis(crowd.valid, top, axis=1)]
    return np.asarray(np.bincount(items, minlength=n_items) / len(closed))


def latest_users(past: Past, n: int, *, but: IntArray | None = None) -> IntArray:
    """At most n users with a liked past, those who acted last, as sorted rows.

    Args:
        but: rows to leave out.
    """
    open_ = past.n_liked > 0
    if but is not None:
        open_[but] = False
    rows = np.flatnonzero(open_)
    order = np.argsort(past.activity[rows, 1], kind="stable")  # time since the last event
    return np.sort(rows[order[:n]]).astype(np.int32)
