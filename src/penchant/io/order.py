"""When each event happened, or at least in which order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from penchant.config import IoConfig
from penchant.data import DAY_S, Clock
from penchant.errors import DataError
from penchant.io.findings import Findings
from penchant.io.sources import Source
from penchant.io.times import EARLIEST, latest_allowed, parse_times
from penchant.io.values import parse_numbers

# A time this long after 99.9 % of the others, and longer after them than they span, is a slip of a clock.
STRAY_S = 365.0 * DAY_S


def clock_of(
    has: Mapping[str, pl.Series], source: Source, config: IoConfig, facts: dict[str, Any]
) -> tuple[Clock, pl.DataFrame]:
    """Choose the clock: timestamps if any row has one, else a column of order, else the order of the rows.

    Returns:
        the clock, and a table of `time` (f64, null where it is missing or no time) and `given` (something stood there).
    """
    if "timestamp" in has:
        times = parse_times(has["timestamp"], source.name, day_first=config.day_first)
        if times.given.any():
            facts |= {"clock": "time", "order_by": "time", "time_form": times.form}
            odd = has["timestamp"].filter(times.given & times.seconds.is_null())
            if len(odd):
                facts["unreadable_time"] = f"column '{odd.name}', such as '{str(odd[0])[:40]}'"
            return "time", pl.DataFrame({"time": times.seconds, "given": times.given})
        facts["time_form"] = f"column '{has['timestamp'].name}' is empty"
    if "seq" in has:
        numbers = parse_numbers(has["seq"], source.name, decimal_comma=source.decimal_comma)
        if numbers.values.is_not_null().any():
            facts |= {"clock": "order", "order_by": f"column '{has['seq'].name}'"}
            given = numbers.values.is_not_null() | numbers.refused
            return "order", pl.DataFrame({"time": numbers.values, "given": given})
        if "seq" in config.columns or "events.seq" in config.columns:
            raise DataError(f"{source.name}: column '{has['seq'].name}' (named for 'seq') holds no number to order by")
    facts |= {"clock": "order", "order_by": "position"}
    n = next(iter(has.values())).len()
    nothing = pl.Series("time", [0.0]).new_from_index(0, n)
    return "order", pl.DataFrame({"time": nothing, "given": pl.Series([True]).new_from_index(0, n)})


def drop_bad_times(
    table: pl.DataFrame, clock: Clock, facts: Mapping[str, Any], config: IoConfig, where: str, book: Findings
) -> pl.DataFrame:
    """Leave out rows without a place in time: missing, unreadable, before 1990, in the future, far after all others."""
    if facts["order_by"] == "position":
        return table
    what = "time" if clock == "time" else "number of order"
    table = book.drop(table, ~pl.col("given"), where, f"no {what}", f"left out: the others have a {what}")
    example = facts.get("unreadable_time", "")
    kind = f"unreadable {what}" + (f" ({example})" if example else "")
    table = book.drop(table, pl.col("time").is_null(), where, kind, "left out")
    if clock == "order" or not table.height:
        return table
    early = pl.col("time") < EARLIEST
    table = book.drop(table, early, where, "time before 1990", "left out: a wrong unit or a zero, not a time")
    latest = latest_allowed(config.latest_time)
    rule = f"left out: after {_say(latest) if config.latest_time else 'tomorrow, as this machine has it'}"
    table = book.drop(table, pl.col("time") > latest, where, "time in the future", rule)
    if not table.height:
        return table
    low, high = np.quantile(table["time"].to_numpy(), [0.001, 0.999], method="nearest")
    bound = high + max(STRAY_S, high - low)
    rule = f"left out: after {_say(bound)}, more than a year and the log's own span behind 99.9 % of it"
    return book.drop(table, pl.col("time") > bound, where, "time far after all others", rule)


def in_order(table: pl.DataFrame, clock: Clock, facts: Mapping[str, Any]) -> pl.DataFrame:
    """Sort by time, ties in the order of the file; without any order, time is each user's own position in 0..1."""
    if clock == "order" and facts["order_by"] == "position":
        place = (pl.int_range(pl.len()).over("user") + 0.5) / pl.len().over("user")
        table = table.with_columns(place.cast(pl.Float64).alias("time"))
    return table.drop("given").sort("time", maintain_order=True)


def _say(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
