"""The items behind each interest point: what a user can be shown as the reason."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import Events
from penchant.interests.affinity import AffinityPoints
from penchant.interests.sums import Gathered, LongArray, gather, spread, user_blocks

Array = npt.NDArray[np.float64]


def find_evidence(
    events: Events, membership: sp.csr_array, points: AffinityPoints, config: InterestsConfig
) -> pl.DataFrame:
    """Find the items that add most to each point, and the medoid among them.

    Only liked item events count. An item's strength is the sum of its decayed events times its membership; ties go to
    the lower item row. The medoid is the evidence item that lies in the interest most (ties: the stronger one).

    Args:
        events: the log the points were measured on.
        membership: (n_items, n_columns) of the points' level.
        points: of one level, sorted by user and column.
        config: `n_evidence` items a point at most; the long half-life.
    Returns:
        One row a point: medoid_item_row i32 (-1 if none) · evidence list[i32], strongest first.
        Cost: O(events x leaves of an item), by blocks of users.
    """
    gathered = gather(events, membership, at=points.at)
    user = points.table["user_row"].to_numpy()
    column = points.table["column"].to_numpy()
    medoids, counts, rows = [], [], []
    for first, last in user_blocks(gathered.user_start, points.n_columns):
        a, b = np.searchsorted(user, [first, last])
        cells = (user[a:b].astype(np.int64) - first) * points.n_columns + column[a:b]
        best, share = _block_evidence(gathered, (first, last), cells, points.n_columns, config)
        present = best >= 0
        # Of equal memberships the stronger item, which comes first, is taken.
        pick = np.argmax(np.where(present, share, -1.0), axis=1)
        medoids.append(best[np.arange(len(best)), pick])
        counts.append(present.sum(axis=1))
        rows.append(best[present])
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts) if counts else [])]).astype(np.int64)
    flat = (np.concatenate(rows) if rows else np.zeros(0)).astype(np.int32)
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat))
    medoid = (np.concatenate(medoids) if medoids else np.zeros(0)).astype(np.int32)
    return pl.DataFrame({"medoid_item_row": medoid, "evidence": pl.Series(pl.from_arrow(lists))})


def _block_evidence(
    gathered: Gathered, users: tuple[int, int], cells: LongArray, n_columns: int, config: InterestsConfig
) -> tuple[LongArray, Array]:
    """(n_cells, n_evidence) item rows, strongest first, -1 where fewer, and their memberships."""
    first, last = users
    a, b = int(gathered.user_start[first]), int(gathered.user_start[last])
    liked = np.flatnonzero(gathered.weight[a:b] > 0) + a
    strength = gathered.weight[liked] * np.exp2(-gathered.age[liked] / config.half_life_days)
    event, entry = spread(gathered.row[liked], gathered.membership)
    cell = (gathered.user[liked].astype(np.int64) - first)[event] * n_columns + gathered.membership.indices[entry]
    position = np.full((last - first) * n_columns, -1, np.int64)
    position[cells] = np.arange(len(cells))
    keep = position[cell] >= 0
    event, entry, point = event[keep], entry[keep], position[cell[keep]]

    n_items = gathered.membership.shape[0]
    key = point * n_items + gathered.row[liked][event]
    order = np.argsort(key, kind="stable")
    key = key[order]
    start = np.flatnonzero(np.r_[True, key[1:] != key[:-1]][: len(key)])
    share = gathered.membership.data[entry[order]][start].astype(np.float64)
    total = np.add.reduceat(strength[event[order]], start) * share if len(start) else np.zeros(0)
    return _best(key[start] // n_items, key[start] % n_items, total, share, len(cells), config.n_evidence)


def _best(
    point: LongArray, item: LongArray, strength: Array, share: Array, n_points: int, n_best: int
) -> tuple[LongArray, Array]:
    """The `n_best` strongest items of each point, by as many passes; `point` is sorted, then `item`."""
    best = np.full((n_points, n_best), -1, np.int64)
    best_share = np.zeros((n_points, n_best))
    for place in range(n_best):
        if len(point) == 0:
            break
        starts = np.flatnonzero(np.r_[True, point[1:] != point[:-1]])
        top = np.repeat(np.maximum.reduceat(strength, starts), np.diff(np.r_[starts, len(point)]))
        at_top = np.flatnonzero(strength == top)
        taken = at_top[np.r_[True, point[at_top][1:] != point[at_top][:-1]]]  # the lowest item row of a tie
        best[point[taken], place] = item[taken]
        best_share[point[taken], place] = share[taken]
        left = np.ones(len(point), bool)
        left[taken] = False
        point, item, strength, share = point[left], item[left], strength[left], share[left]
    return best, best_share
