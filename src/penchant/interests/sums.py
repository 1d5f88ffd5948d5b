"""Sums over a log by (user, interest), a block of users at a time: the kernel under affinity.

Events are brought into user order by one counting sort; each block of users then needs one dense table of
users x leaves, filled by `bincount`. Memory is bounded by the block, not by the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.data import DAY_S, BoolArray, Clock, Events, IntArray, TimeArray
from penchant.errors import DataError

BLOCK_CELLS = 1_000_000  # users x leaves of one block
BLOCK_EVENTS = 500_000  # and about this many events: a block's arrays stay near the processor

LongArray = npt.NDArray[np.int64]

POINT_COLUMNS: dict[str, type[pl.DataType]] = {
    "user_row": pl.Int32,
    "column": pl.Int32,
    "affinity": pl.Float64,
    "affinity_short": pl.Float64,
    "aversion": pl.Float64,
    "n_events": pl.Int32,
    "n_negative": pl.Int32,
    "n_active_days": pl.Int32,
    "first_time": pl.Float64,
    "last_time": pl.Float64,
    "recent": pl.Float64,
    "gap": pl.Int32,
}


@dataclass(frozen=True)
class Gathered:
    """The events that say something (weight not 0, item or text known to the tree), by user, then time.

    row: index into `membership`, whose rows are the items followed by the text events. age: days (own later events in
    a log without time). user_start: (n_users + 1,) where each user's events begin.
    """

    user: IntArray
    row: IntArray
    weight: TimeArray
    time: TimeArray
    age: TimeArray
    user_start: LongArray
    membership: sp.csr_array
    clock: Clock
    at: float

    @cached_property
    def home(self) -> IntArray:
        """(n_rows,) the strongest leaf of each row, -1 where it has none (ties: the lower leaf)."""
        return home_column(self.membership)

    @property
    def n_users(self) -> int:
        return len(self.user_start) - 1


@dataclass(frozen=True)
class Block:
    """Users `first_user` onwards: flat (n_users * n_columns,) tables, and each event's home cell and day."""

    first_user: int
    n_columns: int
    affinity: TimeArray
    affinity_short: TimeArray
    aversion: TimeArray
    n_events: LongArray
    n_negative: LongArray
    n_active_days: LongArray
    first_time: TimeArray
    last_time: TimeArray
    recent: TimeArray
    gap: LongArray
    touched: LongArray
    day: LongArray

    def lift(self, parent: IntArray, n_parents: int) -> Block:
        """The same sums one level up: `parent` is the (n_columns,) column of each leaf's ancestor there."""
        n_users = len(self.affinity) // max(1, self.n_columns)
        n_cells = n_users * n_parents
        onto = np.zeros((self.n_columns, n_parents))
        onto[np.arange(self.n_columns), parent] = 1.0
        live = np.flatnonzero(self.n_events)
        cell = live // self.n_columns * n_parents + parent[live % self.n_columns]
        first_time, last_time = np.full(n_cells, np.inf), np.full(n_cells, -np.inf)
        np.minimum.at(first_time, cell, self.first_time[live])
        np.maximum.at(last_time, cell, self.last_time[live])
        gap = np.full(n_cells, np.iinfo(np.int64).max)
        np.minimum.at(gap, cell, self.gap[live])
        touched = self.touched // self.n_columns * n_parents + parent[self.touched % self.n_columns]
        n_events = np.bincount(touched, minlength=n_cells)
        none = n_events == 0
        first_time[none], last_time[none], gap[none] = np.nan, np.nan, -1

        def total(values: TimeArray) -> TimeArray:
            return np.asarray((values.reshape(n_users, self.n_columns) @ onto).ravel())

        def count(values: LongArray) -> LongArray:
            return add_up(cell, values[live].astype(np.float64), n_cells).astype(np.int64)

        return Block(
            self.first_user,
            n_parents,
            total(self.affinity),
            total(self.affinity_short),
            total(self.aversion),
            n_events,
            count(self.n_negative),
            count_days(touched, self.day, n_cells),
            first_time,
            last_time,
            add_up(cell, self.recent[live], n_cells),
            gap,
            touched,
            self.day,
        )

    def table(self, chosen: BoolArray) -> pl.DataFrame:
        """The chosen cells as rows of POINT_COLUMNS, by user, then column."""
        live = np.flatnonzero(chosen)
        values: dict[str, npt.NDArray[np.generic]] = {
            "user_row": live // self.n_columns + self.first_user,
            "column": live % self.n_columns,
        }
        values |= {name: getattr(self, name)[live] for name in POINT_COLUMNS if name not in values}
        return pl.DataFrame(
            {name: v.astype(np.int32) if POINT_COLUMNS[name] == pl.Int32 else v for name, v in values.items()},
            schema=POINT_COLUMNS,
        )


def add_up(cell: LongArray, values: npt.NDArray[np.float64], n_cells: int) -> TimeArray:
    """(n_cells,) float64 sums of `values` by cell."""
    return np.asarray(np.bincount(cell, values, n_cells), np.float64)


def home_column(membership: sp.csr_array) -> IntArray:
    """(n_rows,) int32 column of the largest entry of each row, -1 for an empty row (ties: the lower column).

    >>> home_column(sp.csr_array(np.array([[0.2, 0.8], [0.5, 0.5], [0.0, 0.0]]))).tolist()
    [1, 0, -1]
    """
    matrix = sp.csr_array(membership)
    sizes = np.diff(matrix.indptr)
    row = np.repeat(np.arange(matrix.shape[0]), sizes)
    order = np.lexsort((-matrix.indices, matrix.data, row))  # the last entry of a row is its best
    out = np.full(matrix.shape[0], -1, np.int32)
    out[row[order]] = matrix.indices[order]
    return out


def gather(
    events: Events, membership: sp.csr_array, *, at: float | None = None, text_membership: sp.csr_array | None = None
) -> Gathered:
    """Bring a log into the form that sums need. Cost: a few passes over the events.

    Args:
        events: the log; events after `at` are left out (a log without time has no `at`).
        membership: (n_items, n_columns) CSR.
        at: the moment ages are counted to; the end of the log if None.
        text_membership: (n_text_events, n_columns), a row for each event without an item, in the order of the log.
    Raises:
        DataError: rows or columns of the two memberships do not fit the log.
    """
    row = events.item_row
    text = row < 0
    if text_membership is not None:
        n_text = int(text.sum())
        if text_membership.shape != (n_text, membership.shape[1]):
            raise DataError(
                f"affinity: text_membership must be (text events, interests) = ({n_text}, {membership.shape[1]}). "
                f"Got {text_membership.shape}; give one row for each event without an item, in the order of the log."
            )
        row = row.copy()
        row[text] = membership.shape[0] + np.arange(n_text, dtype=np.int32)
        membership = sp.csr_array(sp.vstack([membership, text_membership], format="csr"))
    if len(row) and int(row.max()) >= membership.shape[0]:
        raise DataError(
            f"affinity: an event names item row {int(row.max())}, but the tree knows {membership.shape[0]} items; "
            "build the tree on the catalogue the events were read with."
        )
    moment = events.end if at is None else float(at)
    keep = (row >= 0) & (events.weight != 0)
    if events.clock == "time" and moment < events.end:
        keep &= events.time <= moment
    age = events.age_days(moment)
    user = events.user_row
    weight = events.weight
    time = events.time
    if not keep.all():
        user, row, weight, time, age = user[keep], row[keep], weight[keep], time[keep], age[keep]
    # One entry a column: turning columns into rows is a stable counting sort by user.
    n = len(user)
    shelf = sp.csc_array((np.ones(n, np.int8), user, np.arange(n + 1)), shape=(events.n_users, n)).tocsr()
    order = shelf.indices
    return Gathered(
        user[order],
        row[order],
        weight[order].astype(np.float64),
        time[order],
        age[order],
        shelf.indptr.astype(np.int64),
        membership,
        events.clock,
        moment,
    )


def blocks(gathered: Gathered, half_life: float, short_half_life: float, horizon: int) -> Iterator[Block]:
    """Leaf sums, block of users after block of users. Cost: O(events x leaves of an item)."""
    for first, last in user_blocks(gathered.user_start, gathered.membership.shape[1]):
        yield _sum_block(gathered, first, last, half_life, short_half_life, horizon)


def user_blocks(user_start: LongArray, n_columns: int) -> Iterator[tuple[int, int]]:
    """Cut users into ranges of bounded cells and (but for one heavy user) bounded events."""
    first, n_users = 0, len(user_start) - 1
    while first < n_users:
        by_events = int(np.searchsorted(user_start, user_start[first] + BLOCK_EVENTS, side="right")) - 1
        last = min(n_users, max(first + 1, min(by_events, first + BLOCK_CELLS // max(1, n_columns))))
        yield first, last
        first = last


def spread(rows: IntArray, membership: sp.csr_array) -> tuple[LongArray, LongArray]:
    """Which event and which stored entry of `membership`, for every (event, leaf) pair of the given rows."""
    start = membership.indptr[rows].astype(np.int64)
    sizes = membership.indptr[rows + 1] - start
    event = np.repeat(np.arange(len(rows)), sizes)
    within = np.arange(len(event)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return event, start[event] + within


def _sum_block(e: Gathered, first: int, last: int, half_life: float, short_half_life: float, horizon: int) -> Block:
    a, b = int(e.user_start[first]), int(e.user_start[last])
    n_columns = e.membership.shape[1]
    n_cells = (last - first) * n_columns
    base = (e.user[a:b].astype(np.int64) - first) * n_columns
    row, weight, age, time = e.row[a:b], e.weight[a:b], e.age[a:b], e.time[a:b]

    event, entry = spread(row, e.membership)
    key = base[event] + e.membership.indices[entry]
    share = e.membership.data[entry].astype(np.float64)
    liked = np.maximum(weight, 0.0)
    long = add_up(key, (liked * np.exp2(-age / half_life))[event] * share, n_cells)
    short = add_up(key, (liked * np.exp2(-age / short_half_life))[event] * share, n_cells)
    aversion = np.zeros(n_cells)
    bad = weight < 0
    if bad.any():
        pairs = bad[event]
        aged = np.where(bad, -weight * np.exp2(-age / half_life), 0.0)
        aversion = add_up(key[pairs], aged[event[pairs]] * share[pairs], n_cells)

    n_own = np.diff(e.user_start)[e.user[a:b]]
    own_index = np.arange(a, b) - e.user_start[e.user[a:b]]
    own_age = n_own - 1 - own_index
    home = e.home[row]
    at_home: BoolArray = home >= 0
    if not at_home.all():
        base, home, bad, time = base[at_home], home[at_home], bad[at_home], time[at_home]
        own_age, own_index = own_age[at_home], own_index[at_home]
    touched = base + home
    day = np.floor(time / DAY_S).astype(np.int64) if e.clock == "time" else own_index
    first_time, last_time = np.full(n_cells, np.nan), np.full(n_cells, np.nan)
    first_time[touched[::-1]] = time[::-1]  # of repeated cells the last written stays
    last_time[touched] = time
    gap = np.full(n_cells, -1, np.int64)
    gap[touched] = own_age
    return Block(
        first,
        n_columns,
        long,
        short,
        aversion,
        np.bincount(touched, minlength=n_cells),
        np.bincount(touched[bad], minlength=n_cells),
        count_days(touched, day, n_cells),
        first_time,
        last_time,
        add_up(touched[~bad], np.exp2(-own_age[~bad] / horizon), n_cells),
        gap,
        touched,
        day,
    )


def count_days(cell: LongArray, day: LongArray, n_cells: int) -> LongArray:
    """(n_cells,) number of different days of each cell."""
    if len(cell) == 0:
        return np.zeros(n_cells, np.int64)
    low = int(day.min())
    width = int(day.max()) - low + 1
    pair = np.sort(cell * width + (day - low))
    new = np.r_[True, pair[1:] != pair[:-1]]
    return np.bincount(pair[new] // width, minlength=n_cells)
