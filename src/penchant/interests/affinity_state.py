"""Affinity kept as state: adding events later gives what a replay of the whole log gives.

Every sum is kept as a value at one moment; a decayed sum moves on by one factor, so old events need not be read again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import DAY_S, Clock, Events, Parts
from penchant.errors import DataError, ModelError
from penchant.interests.affinity import AffinityPoints
from penchant.interests.sums import POINT_COLUMNS, blocks, gather

DECAYS = {"affinity": "half_life", "affinity_short": "short_half_life", "aversion": "half_life"}

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AffinityState:
    """All sums of a log up to a moment, at the leaves.

    cells: the columns of `AffinityPoints.table` for every (user, leaf) that any event lies in, touched or not
        (untouched: n_events 0, times null, gap -1); sorted by user_row, column.
    n_log, n_own: (n_users,) events of each user, and those that say something (see `sums.Gathered`).
    at: the moment the decayed values are of. start, end: times of the first and the last event.
    """

    cells: pl.DataFrame
    n_log: Counts
    n_own: Counts
    n_columns: int
    at: float
    start: float
    end: float
    clock: Clock
    half_life: float
    short_half_life: float
    horizon: int

    @classmethod
    def of(
        cls,
        events: Events,
        membership: sp.csr_array,
        config: InterestsConfig,
        *,
        text_membership: sp.csr_array | None = None,
    ) -> AffinityState:
        """Sum up a log; arguments as `affinity.measure`, the moment is the last event."""
        gathered = gather(events, membership, text_membership=text_membership)
        settings = (config.half_life_days, config.short_half_life_days, config.horizon)
        tables = [
            block.table((block.affinity > 0) | (block.aversion > 0) | (block.n_events > 0))
            for block in blocks(gathered, *settings)
        ]
        cells = pl.concat(tables) if tables else pl.DataFrame(schema=POINT_COLUMNS)
        return cls(
            cells.with_columns(pl.col("first_time", "last_time").fill_nan(None)),
            events.n_by_user.astype(np.int64),
            np.diff(gathered.user_start),
            membership.shape[1],
            events.end,
            events.start,
            events.end,
            events.clock,
            *settings,
        )

    def advance(self, at: float) -> AffinityState:
        """The same state at a later moment. A log without time does not age by itself.

        Raises:
            DataError: `at` lies before the state's moment: decayed values can't be turned back.
        """
        if self.clock == "order":
            return self
        if at < self.at:
            raise DataError(f"AffinityState.advance: the moment must not lie before {self.at}. Got {at}.")
        days = np.full(self.cells.height, (at - self.at) / DAY_S)
        return replace(self, cells=self._aged(days), at=at)

    def merge(self, later: AffinityState) -> AffinityState:
        """Add the state of events that follow this state's events. Same as a replay of both logs in a row.

        Raises:
            DataError: the states differ in leaves, clock or half-lives, or `later` begins before this state ends.
        """
        self._check_fits(later)
        n_users = max(len(self.n_log), len(later.n_log))
        n_log, n_own = (_pad(later.n_log, n_users), _pad(later.n_own, n_users))
        user = self.cells["user_row"].to_numpy()
        if self.clock == "time":
            at = max(self.at, later.at)
            earlier, after = self.advance(at).cells, later.advance(at).cells
        else:
            at = later.at
            earlier, after = self._aged(n_log[user].astype(np.float64)), later.cells
        since = n_own[user]
        earlier = earlier.with_columns(
            pl.Series("recent", earlier["recent"].to_numpy() * np.exp2(-since / self.horizon)),
            pl.Series("gap", np.where(earlier["gap"].to_numpy() >= 0, earlier["gap"].to_numpy() + since, -1), pl.Int32),
        )
        return replace(
            self,
            cells=_join_cells(earlier, after, self.clock),
            n_log=_pad(self.n_log, n_users) + n_log,
            n_own=_pad(self.n_own, n_users) + n_own,
            at=at,
            start=self.start if self.n_log.any() else later.start,
            end=later.end if later.n_log.any() else self.end,
        )

    def points(self) -> AffinityPoints:
        """The touched cells: what `affinity.measure` gives for the whole log."""
        return AffinityPoints(
            self.cells.filter(pl.col("n_events") > 0), len(self.n_log), self.n_columns, self.at, self.clock
        )

    def to_parts(self) -> Parts:
        """As settings, two arrays and a table."""
        names = ("n_columns", "at", "start", "end", "clock", "half_life", "short_half_life", "horizon")
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        return Parts(settings, {"n_log": self.n_log, "n_own": self.n_own}, {"cells": self.cells})

    @classmethod
    def from_parts(cls, parts: Parts) -> AffinityState:
        """Read what `to_parts` gave.

        Raises:
            ModelError: the table has other columns.
        """
        cells = parts.tables["cells"]
        if cells.columns != list(POINT_COLUMNS):
            raise ModelError(f"affinity state: columns must be {list(POINT_COLUMNS)}. Got {cells.columns}.")
        return cls(cells=cells, n_log=parts.arrays["n_log"], n_own=parts.arrays["n_own"], **parts.config)

    def _aged(self, days: npt.NDArray[np.float64]) -> pl.DataFrame:
        """Cells whose decayed values are `days` (one number a cell) older."""
        return self.cells.with_columns(
            pl.Series(name, self.cells[name].to_numpy() * np.exp2(-days / getattr(self, half_life)))
            for name, half_life in DECAYS.items()
        )

    def _check_fits(self, later: AffinityState) -> None:
        for name in ("n_columns", "clock", "half_life", "short_half_life", "horizon"):
            mine, other = getattr(self, name), getattr(later, name)
            if mine != other:
                raise DataError(f"AffinityState.merge: both must have the same {name}. Got {mine} and {other}.")
        if self.n_log.any() and later.n_log.any() and later.start < self.end:
            raise DataError(
                f"AffinityState.merge: the events to add begin at {later.start}, before the last known one "
                f"({self.end}); add events in the order of time, or replay the log"
            )


def _pad(counts: Counts, n: int) -> Counts:
    return np.concatenate([counts, np.zeros(n - len(counts), np.int64)])


def _join_cells(earlier: pl.DataFrame, after: pl.DataFrame, clock: Clock) -> pl.DataFrame:
    """Sum two tables of cells; a day met in both counts once."""
    touched = pl.col("n_events") > 0
    last_day = (pl.col("last_time") / DAY_S).floor().filter(touched).first()
    first_day = (pl.col("first_time") / DAY_S).floor().filter(touched).last()
    twice = (touched.sum() == 2) & (last_day == first_day) if clock == "time" else pl.lit(False)
    both = pl.concat([earlier, after]).sort("user_row", "column", maintain_order=True)
    summed = ("affinity", "affinity_short", "aversion", "n_events", "n_negative", "recent")
    return (
        both.group_by("user_row", "column", maintain_order=True)
        .agg(
            *(pl.col(name).sum() for name in summed),
            (pl.col("n_active_days").sum() - twice.cast(pl.Int32)).alias("n_active_days"),
            pl.col("first_time").min(),
            pl.col("last_time").max(),
            pl.col("gap").filter(touched).last().fill_null(-1),
        )
        .select(list(POINT_COLUMNS))
        .cast(pl.Schema(POINT_COLUMNS))
    )
