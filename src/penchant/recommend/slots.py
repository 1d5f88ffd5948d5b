"""Slots: a list's places shared out over core, secondary and peripheral interests, and over new ones.

Shares of k places are rarely whole numbers: of ten places 5 % are half a place. Largest remainders alone would give
that half to nobody, ever. So each user's shares are rounded systematically (Madow 1949): with c_j the running sum of
k * shares and one offset u in 0..1, layer j gets floor(c_j + u) - floor(c_(j-1) + u) places. Each number is one of the
two whole ones next to the share, they add up to k, and over offsets spread evenly the mean is the share itself. The
offset is a low-discrepancy sequence (Roberts 2018) over users and over how many events a user has: the same state of
the log gives the same list, and the next event may turn it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.recommend.explain import attribute
from penchant.recommend.past import Past
from penchant.recommend.places import Places
from penchant.recommend.transitions import Transitions
from penchant.scorers import top_items

EXPLORE = 3  # column of the share for new interests, after the three layers
STEPS = (0.7548776662466927, 0.5698402909980532)  # 1 / g and 1 / g^2, g the plastic number
SPARE = 3  # interests looked at beyond the places, for those that have no item to show
POPULAR_IN_LEAF = "popular_last_10%"  # which item speaks for a new interest
AGAIN = 0.5  # an item that was shown and left alone stands back by this factor each time


@dataclass(frozen=True)
class Slots:
    """shares: of core, secondary, peripheral and new interests, sum 1 · membership: (n_items, n_leaves) of the tree ·
    transitions: propose new interests · popularity: (n_items,).
    """

    shares: tuple[float, float, float, float]
    membership: sp.csr_array
    transitions: Transitions
    popularity: FloatArray

    def place(
        self,
        ranked: Places,
        past: Past,
        points: pl.DataFrame | None,
        closed: sp.csr_array,
        k: int,
        user_rows: IntArray | None,
    ) -> Places:
        """Make lists of k for a batch of users.

        Args:
            ranked: (n, c) all candidates, best first. points: the batch's leaf points, see `explain.attribute`.
            closed: (n, n_items) items that must not be listed. user_rows: (n,) of the log; None for strangers, whose
            new interests follow from `past`.
        """
        n, c = ranked.items.shape
        row, place = np.nonzero(ranked.items >= 0)
        layer = np.full((n, c), -1, np.int8)
        layer[row, place] = attribute(row.astype(np.int32), ranked.items[row, place], self.membership, points)[1]
        if user_rows is None:
            chances = self.transitions.of_stranger(past)
            ignored, turns = sp.csr_array(closed.shape, dtype=np.float32), np.diff(past.touched.indptr)
            user_rows = np.zeros(n, np.int32)
        else:
            chances, ignored = self.transitions.chances(user_rows), self.transitions.ignored[user_rows]
            turns = self.transitions.turns[user_rows]
        quota = quotas(self.shares, k, user_rows, turns)
        leaf_of_item = self.transitions.leaf_of_item
        new = proposals(chances, leaf_of_item, self.popularity, closed, ignored, quota[:, EXPLORE])
        return fill(ranked, layer, new, quota, k)


def quotas(shares: tuple[float, ...], k: int, user_rows: IntArray, turns: IntArray) -> npt.NDArray[np.int64]:
    """(n, len(shares)) whole numbers of places, rows sum to k.

    Args:
        shares: sum to 1. user_rows, turns: (n,) spread the offset.

    >>> quotas((0.6, 0.25, 0.1, 0.05), 20, np.array([0, 7]), np.array([0, 3])).tolist()
    [[12, 5, 2, 1], [12, 5, 2, 1]]
    """
    offset = (np.asarray(user_rows) * STEPS[0] + np.asarray(turns) * STEPS[1] + 0.5) % 1.0
    edges = np.round(np.cumsum((0.0, *shares)) * k, 9)
    edges[-1] = k
    return np.diff(np.floor(edges[None, :] + offset[:, None]), axis=1).astype(np.int64)


def proposals(
    chances: FloatArray,
    leaf_of_item: IntArray,
    popularity: FloatArray,
    closed: sp.csr_array,
    ignored: sp.csr_array,
    n: npt.NDArray[np.int64],
) -> Places:
    """For each user the best open item of each of the n likeliest new interests.

    Best is most popular, times AGAIN for each time it was shown to this user and left alone.

    Args:
        chances: (n_users, n_leaves), 0 = never. leaf_of_item: (n_items,). popularity: (n_items,), 0 = never shown.
        closed, ignored: (n_users, n_items). n: (n_users,) places of each.
    Returns:
        Places of width max(n), the likeliest first; `columns` are all -1, scores are chances.
    """
    width = int(n.max(initial=0))
    shape = (len(chances), width)
    items, columns, leaf = (np.full(shape, -1, np.int32) for _ in range(3))
    out = Places(items, columns, np.zeros(shape, np.float32), leaf)
    if not width:
        return out
    leaves = top_items(np.where(chances > 0, chances, -np.inf).astype(np.float32), width + SPARE)
    worth = np.broadcast_to(popularity, closed.shape) * AGAIN ** ignored.toarray()
    worth[np.repeat(np.arange(len(chances)), np.diff(closed.indptr)), closed.indices] = 0.0
    filled, rows = np.zeros(len(chances), np.int64), np.arange(len(chances))
    for of_rank in leaves.T:
        of_leaf = np.where((leaf_of_item == of_rank[:, None]) & (of_rank >= 0)[:, None], worth, 0.0)
        item = of_leaf.argmax(axis=1).astype(np.int32)
        user = np.flatnonzero((of_leaf[rows, item] > 0) & (filled < n))
        at = (user, filled[user])
        out.items[at], out.leaf[at], out.score[at] = item[user], of_rank[user], chances[user, of_rank[user]]
        filled[user] += 1
    return out


def fill(ranked: Places, layer: npt.NDArray[np.int8], new: Places, quota: npt.NDArray[np.int64], k: int) -> Places:
    """Fill lists of k: each layer's places by its best candidates, new interests last, gaps by rank.

    Args:
        ranked: (n, c) all candidates, best first. layer: (n, c) of each, -1 = of no interest of the user's.
        new: see `proposals`. quota: (n, 4) places of core, secondary, peripheral, new.
    Returns:
        (n, k) or narrower, where there are fewer than k columns in all: what comes by rank in the order of rank, then
        what is new; no item twice.
    """
    again = ((ranked.items[:, :, None] == new.items[:, None, :]) & (new.items >= 0)[:, None, :]).any(axis=2)
    open_ = (ranked.items >= 0) & ~again
    picked = np.zeros(open_.shape, np.bool_)
    for row in range(EXPLORE):
        own = open_ & (layer == row)
        picked |= _first(own, quota[:, row])
    room = k - (new.items >= 0).sum(axis=1) - picked.sum(axis=1)
    picked |= _first(open_ & ~picked, room)
    held = np.concatenate([picked, new.items >= 0], axis=1)
    order = np.argsort(~held, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(held, order, axis=1)

    def join(one: npt.NDArray[np.generic], two: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.take_along_axis(np.concatenate([one, two], axis=1), order, axis=1)

    items, columns, leaf = (
        np.where(kept, join(getattr(ranked, name), getattr(new, name)), -1).astype(np.int32)
        for name in ("items", "columns", "leaf")
    )
    return Places(items, columns, join(ranked.score, new.score).astype(np.float32), leaf)


def tell_new(table: pl.DataFrame, leaf: IntArray) -> pl.DataFrame:
    """Tie what was proposed for a new interest to it: no layer, and no past item speaks for it.

    Args:
        leaf: (m,) the interest proposed, -1 where the row came by rank.
    """
    new = pl.Series(leaf >= 0)
    return table.with_columns(
        interest_row=pl.when(new).then(pl.Series(leaf, dtype=pl.Int32)).otherwise("interest_row"),
        layer=pl.when(new).then(pl.lit(-1, pl.Int8)).otherwise("layer"),
        evidence=pl.when(new).then(pl.lit([], pl.List(pl.Int32))).otherwise("evidence"),
    )


def _first(flags: BoolArray, n: npt.NDArray[np.int64]) -> BoolArray:
    """The first n[i] true entries of each row i."""
    return np.asarray(flags & (np.cumsum(flags, axis=1) <= n[:, None]))
