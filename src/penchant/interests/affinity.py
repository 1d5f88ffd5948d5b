"""Affinity: how strongly each user is tied to each interest, decayed and weighted by action.

    a(u, k, t) = sum over events e of u:  weight(e) * membership(item(e), k) * 2 ** (-(t - t(e)) / half_life)

with a long and a short half-life; negative weights add to `aversion` instead, and never lower affinity. An event
*touches* the one interest its item (or text) lies in most. A point is a (user, interest) pair touched at least once:
a small share of a neighbouring interest alone makes no interest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import Clock, Events, IntArray, InterestTree
from penchant.interests.sums import POINT_COLUMNS, Block, Gathered, blocks, gather


@dataclass(frozen=True)
class AffinityPoints:
    """All interest points of one level, sorted by user_row, then column.

    table columns: user_row i32 · column i32 (leaf row, or position in `tree.rows_of_level`) · affinity, affinity_short,
    aversion f64 · n_events i32 (events that touch the interest, liked or not) · n_negative i32 (those with a negative
    weight) · n_active_days i32 · first_time, last_time f64 · recent f64 (liked touches, halved with every `horizon`
    own events since) · gap i32 (own events since the last touch).
    """

    table: pl.DataFrame
    n_users: int
    n_columns: int
    at: float
    clock: Clock

    def __len__(self) -> int:
        return self.table.height


def measure(
    events: Events,
    membership: sp.csr_array,
    config: InterestsConfig,
    *,
    at: float | None = None,
    text_membership: sp.csr_array | None = None,
) -> AffinityPoints:
    """Measure every user's tie to every interest it touched.

    Args:
        events: the log. Events with weight 0 (impressions) say nothing; events after `at` are left out.
        membership: (n_items, n_columns) CSR, rows sum to 1; an empty row is an unassigned item.
        config: half-lives and the horizon.
        at: the moment of the measure (default: the last event). A log without time counts ages in own events.
        text_membership: (n_text_events, n_columns), one row for each event with item_row -1, in order.
    Raises:
        DataError: a membership does not fit the log.

    >>> log = pl.DataFrame({"user_row": [0, 0], "item_row": [0, 1], "action": [0, 0], "weight": [1.0, 1.0],
    ...     "time": [0.0, 60 * 86400.0]}, schema={"user_row": pl.Int32, "item_row": pl.Int32, "action": pl.Int16,
    ...     "weight": pl.Float32, "time": pl.Float64})
    >>> events = Events(log, pl.Series(["ann"]), ("view",))
    >>> points = measure(events, sp.csr_array(np.array([[1.0, 0.0], [0.25, 0.75]])), InterestsConfig())
    >>> points.table["affinity"].to_list()  # leaf 0: half of the old event and a quarter of the new one
    [0.75, 0.75]
    """
    gathered = gather(events, membership, at=at, text_membership=text_membership)
    tables = [block.table(block.n_events > 0) for block in _blocks(gathered, config)]
    return _join(tables, gathered, membership.shape[1])


def measure_levels(
    events: Events,
    tree: InterestTree,
    config: InterestsConfig,
    *,
    at: float | None = None,
    text_membership: sp.csr_array | None = None,
) -> dict[int, AffinityPoints]:
    """As `measure`, at every level of the tree in one pass: level -> points (1 = top).

    An event touches the ancestors of the leaf it touches.
    """
    gathered = gather(events, tree.membership, at=at, text_membership=text_membership)
    leaf_level = tree.n_levels
    columns = {level: ancestor_column(tree, level) for level in range(1, leaf_level)}
    sizes = {level: len(tree.rows_of_level(level)) for level in range(1, leaf_level + 1)}
    tables: dict[int, list[pl.DataFrame]] = {level: [] for level in range(1, leaf_level + 1)}
    for block in _blocks(gathered, config):
        tables[leaf_level].append(block.table(block.n_events > 0))
        for level, column in columns.items():
            lifted = block.lift(column, sizes[level])
            tables[level].append(lifted.table(lifted.n_events > 0))
    return {level: _join(tables[level], gathered, sizes[level]) for level in tables}


def ancestor_column(tree: InterestTree, level: int) -> IntArray:
    """(n_leaves,) position in `tree.rows_of_level(level)` of each leaf's ancestor there."""
    node = np.arange(tree.n_leaves, dtype=np.int32)
    for _ in range(tree.n_levels - level):
        node = tree.parent_row[node]
    return np.searchsorted(tree.rows_of_level(level), node).astype(np.int32)


def _blocks(gathered: Gathered, config: InterestsConfig) -> Iterator[Block]:
    return blocks(gathered, config.half_life_days, config.short_half_life_days, config.horizon)


def _join(tables: list[pl.DataFrame], gathered: Gathered, n_columns: int) -> AffinityPoints:
    table = pl.concat(tables, rechunk=True) if tables else pl.DataFrame(schema=POINT_COLUMNS)
    return AffinityPoints(table, gathered.n_users, n_columns, gathered.at, gathered.clock)
