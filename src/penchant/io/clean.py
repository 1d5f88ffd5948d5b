"""The log itself: each kind of dirt counted, named and treated by a stated rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from penchant.config import IoConfig
from penchant.data import Clock
from penchant.errors import DataError
from penchant.io.actions import Actions, action_name, code_actions, recode
from penchant.io.columns import Columns, need
from penchant.io.findings import ROW, Findings, say
from penchant.io.ids import Coded, code_ids, differing_by_case
from penchant.io.order import clock_of, drop_bad_times, in_order
from penchant.io.propensity import read_propensities
from penchant.io.sources import Source
from penchant.io.values import HUGE, parse_numbers
from penchant.io.weights import meaning_of_values, rating_factor

# A rating this many times the 99th percentile is no rating of this scale (999 among stars).
RATING_STRAY = 10.0


@dataclass(frozen=True)
class RawLog:
    """A log on its way: `table` has, in codes, what is known of each event that was kept, sorted by time.

    columns of table: ROW u32 · user i32 · item i32 (-1 none) · action i16 · value f64? · factor f64? (ratings only) ·
    time f64 · text str? · session i32 (-1 none) · propensity f64?, list i32, place i32 (-1 none).
    The codes point into `users`, `items` and `actions`.
    """

    table: pl.DataFrame
    users: Coded
    items: Coded
    actions: Actions
    clock: Clock
    item_words: pl.DataFrame | None
    facts: Mapping[str, Any]


def read_events(source: Source, columns: Columns, config: IoConfig, book: Findings) -> RawLog:
    """Read a log and clean it.

    Raises:
        DataError: a word that is needed has no column; no row is left, or fewer than `max_drop_share` allows.
    """
    where = source.name
    need(where, columns, "user_id", source.columns, "who did it")
    if "item_id" not in columns.used and "text" not in columns.used:
        need(where, columns, "item_id", source.columns, "what it was done to; or a 'text' of the event")
    loaded = source.load(list(dict.fromkeys(columns.used.values())))
    book.found += loaded.findings
    if not loaded.n_rows:
        raise DataError(f"{where}: has a header but no rows; a log needs at least one event")
    frame = loaded.frame.rename({c: f"__{w}" for w, c in columns.used.items()})
    return clean_events(frame, source, columns.used, config, book, loaded.n_rows)


def clean_events(
    frame: pl.DataFrame, source: Source, used: Mapping[str, str], config: IoConfig, book: Findings, n_rows: int
) -> RawLog:
    """Apply the rules in order: ids, actions, values, `min_value`, times, duplicates, share dropped.

    Args:
        frame: ROW and one column `__word` for each word in `used` (the caller's names, for messages).
    """
    where = source.name
    facts: dict[str, Any] = {"n_rows": n_rows}
    has = {w: frame[f"__{w}"].alias(c) for w, c in used.items() if f"__{w}" in frame.columns}
    users, items = _ids(has, frame, where, book)
    item_words = _item_words(has, items)
    values = _values(has, frame[ROW], source, book, facts)
    default = _default_action(has, values, used, config, facts)
    actions = code_actions(has.get("action"), frame.height, config, where, default)
    actions, values = _signs(actions, values, frame[ROW], config, where, book)
    table = pl.DataFrame({ROW: frame[ROW], "user": users.codes, "item": items.codes, "action": actions.codes})
    table = table.with_columns(values.alias("value"))
    if "text" in has:
        text = has["text"].cast(pl.String)
        table = table.with_columns(text=text.set((text.str.strip_chars() == "").fill_null(False), None))
    if "session_id" in has:
        table = table.with_columns(session=pl.Series(code_ids(has["session_id"], where).codes))
    named = any(config.columns.get(key) for key in ("propensity", "events.propensity"))
    table = table.with_columns(read_propensities(has, frame[ROW], source, book, named=named).values())
    clock, time = clock_of(has, source, config, facts)
    table = table.with_columns(time)
    del frame, has

    table = _with_ids(table, where, book)
    table = _rated(table, actions, config, where, book)
    table = drop_bad_times(table, clock, facts, config, where, book)
    table = in_order(table, clock, facts)
    table = _once(table, facts, config, where, book)
    book.stop_if_losing(config.on_error, where)
    _check_share(table, n_rows, where, config, book)
    return RawLog(table, users, items, actions, clock, item_words, facts)


def _ids(has: Mapping[str, pl.Series], frame: pl.DataFrame, where: str, book: Findings) -> tuple[Coded, Coded]:
    nothing = Coded(np.full(frame.height, -1, np.int32), pl.Series([], dtype=pl.String))
    users = code_ids(has["user_id"], where)
    items = code_ids(has["item_id"], where) if "item_id" in has else nothing
    rows = frame[ROW].to_numpy()
    for what, coded in (("user", users), ("item", items)):
        book.add(where, f"space around {what} ids", rows[:0], "the space is taken off", n=coded.n_spaces)
        cased = differing_by_case(coded.names)
        if len(cased):
            at = np.flatnonzero(coded.names.is_in(cased.implode()).to_numpy())
            rule = f"kept apart: {len(cased):,} ids such as {', '.join(cased.head(2).to_list())}"
            book.add(where, f"{what} ids that differ only in letter case", rows[np.isin(coded.codes, at)], rule)
    return users, items


def _item_words(has: Mapping[str, pl.Series], items: Coded) -> pl.DataFrame | None:
    """What a log without a catalogue says of its items, one row an item: the first that is not blank."""
    words = [w for w in ("title", "categories") if w in has]
    if not words:
        return None
    table = pl.DataFrame([pl.Series("item", items.codes), *(has[w].alias(w) for w in words)])
    firsts = [pl.col(w).drop_nulls().first() for w in words]
    n_titles = [pl.col("title").drop_nulls().n_unique().alias("n_titles")] if "title" in words else []
    return table.filter(pl.col("item") >= 0).group_by("item").agg(*firsts, *n_titles).sort("item")


def _values(
    has: Mapping[str, pl.Series], rows: pl.Series, source: Source, book: Findings, facts: dict[str, Any]
) -> pl.Series:
    if "value" not in has:
        return pl.Series("value", [None], dtype=pl.Float64).new_from_index(0, len(rows))
    numbers = parse_numbers(has["value"], source.name, decimal_comma=source.decimal_comma)
    facts["value_form"] = numbers.form
    refused = rows.filter(numbers.refused).to_numpy()
    rule = f"kept without a value (allowed: finite numbers up to {HUGE:.0e})"
    book.add(source.name, f"column '{has['value'].name}' is not a usable number", refused, rule)
    return numbers.values


def _default_action(
    has: Mapping[str, pl.Series], values: pl.Series, used: Mapping[str, str], config: IoConfig, facts: dict[str, Any]
) -> str:
    """The action of a log without an action column: its values say whether they are ratings or quantities."""
    if "value" not in has or "action" in has:
        return config.default_action
    meaning, reason = meaning_of_values(values, used["value"])
    default = config.default_action
    if meaning == "ratings":
        default = "rate"
    elif meaning == "quantities" and "default_action" not in config.model_fields_set:
        default = "purchase"
    facts["value_meaning"] = f"{meaning}, by {reason}; every event is a '{default}'"
    return default


def _signs(
    actions: Actions, values: pl.Series, rows: pl.Series, config: IoConfig, where: str, book: Findings
) -> tuple[Actions, pl.Series]:
    """A purchase of less than nothing is a return; elsewhere but in ratings and takings-back a minus means nothing."""
    below = (values < 0).fill_null(False).to_numpy()
    if not below.any():
        return actions, values
    usual = [action_name(a) for a in actions.names]
    free = {"purchase", "adjust", *_rating_names(config)}
    bought = np.array([u == "purchase" for u in usual])[actions.codes] & below
    signed = np.array([u in free or w < 0 for u, w in zip(usual, actions.weights, strict=True)])
    odd = below & ~signed[actions.codes]
    book.add(where, "purchase of a negative quantity", rows.filter(pl.Series(bought)).to_numpy(), "taken as a return")
    book.add(where, "negative value", rows.filter(pl.Series(odd)).to_numpy(), "kept without a value")
    actions = recode(actions, bought, "return", config.weight_of()["return"])
    return actions, values.set(pl.Series(odd), None) if odd.any() else values


def _rating_names(config: IoConfig) -> set[str]:
    return {*config.rating_actions, *(action_name(a) for a in config.rating_actions)}


def _with_ids(table: pl.DataFrame, where: str, book: Findings) -> pl.DataFrame:
    table = book.drop(table, pl.col("user") < 0, where, "no user id", "left out")
    if "text" in table.columns:
        bare = (pl.col("item") < 0) & pl.col("text").is_null()
        return book.drop(table, bare, where, "neither item id nor text", "left out")
    return book.drop(table, pl.col("item") < 0, where, "no item id", "left out")


def _rated(table: pl.DataFrame, actions: Actions, config: IoConfig, where: str, book: Findings) -> pl.DataFrame:
    """Relate each rating to its user's own (all of them, so before `min_value` and missing times take some away)."""
    names = _rating_names(config)
    codes = [i for i, a in enumerate(actions.names) if a in names]
    is_rating = np.isin(table["action"].to_numpy(), codes)
    factor = np.full(table.height, np.nan)
    values = table["value"].fill_null(float("nan")).to_numpy().copy()
    if is_rating.any():
        known = np.abs(values[is_rating & np.isfinite(values)])
        high = np.quantile(known, 0.99) if len(known) else np.nan
        absurd = is_rating & (np.abs(values) > RATING_STRAY * high)
        rule = f"kept without a value (beyond {RATING_STRAY:g} times the 99th percentile of the ratings)"
        book.add(where, "rating far off the scale", table[ROW].to_numpy()[absurd], rule)
        values[absurd] = np.nan
        user = table["user"].to_numpy()[is_rating]
        factor[is_rating] = rating_factor(user, values[is_rating], min_value=config.min_value)
    table = table.with_columns(value=pl.Series(values).fill_nan(None), factor=pl.Series(factor).fill_nan(None))
    if config.min_value is None:
        return table
    low = pl.col("action").is_in(codes) & (pl.col("value") < config.min_value)
    return book.drop(table, low, where, f"rated below {config.min_value:g}", "left out, as min_value asks", asked=True)


def _once(table: pl.DataFrame, facts: Mapping[str, Any], config: IoConfig, where: str, book: Findings) -> pl.DataFrame:
    """Exact duplicates: same user, item, action, value, text and time. Without any time they may be true repeats."""
    keys = [c for c in ("user", "item", "action", "value", "text", "time") if c in table.columns]
    by_position = facts["order_by"] == "position"
    if by_position:
        keys.remove("time")
    # By place, not by ROW: in a wide log one row of the caller's holds many events.
    places = table.select(keys).with_row_index("place")
    first = places.unique(keys, keep="first", maintain_order=True)["place"].to_numpy()
    if len(first) == table.height:
        return table
    again = np.ones(table.height, bool)
    again[first] = False
    rows = table[ROW].to_numpy()[again]
    if by_position or config.duplicate_rule == "keep":
        why = "without a time they may be true repeats" if by_position else "as duplicate_rule asks"
        book.add(where, "exact duplicate", rows, f"kept: {why}")
        return table
    book.add(where, "exact duplicate", rows, "the first is kept", dropped=True)
    return table.filter(pl.Series(~again))


def _check_share(table: pl.DataFrame, n_rows: int, where: str, config: IoConfig, book: Findings) -> None:
    lost = book.lost(where)
    asked = sum(f.n_rows for f in book.asked)
    of = max(n_rows - asked, 1)
    worst = sorted((f for f in book.found if f.n_dropped and f.where == where), key=lambda f: -f.n_dropped)
    kinds = "; ".join(say(f) for f in worst[:3])
    if not table.height:
        low = f"{asked:,} rated below io.min_value; lower it" if asked else ""
        steps = "; ".join(s for s in (low, _next_step(book, where) if kinds else "") if s)
        raise DataError(
            f"{where}: no event is left of {n_rows:,} rows" + (f" ({kinds})" if kinds else "") + f"; {steps}"
        )
    if lost / of > config.max_drop_share:
        raise DataError(
            f"{where}: {lost:,} of {of:,} rows would be left out ({lost / of:.0%}; allowed: "
            f"{config.max_drop_share:.0%}): {kinds}; {_next_step(book, where)}, or raise io.max_drop_share"
        )


def _next_step(book: Findings, where: str) -> str:
    worst = max((f for f in book.found if f.where == where), key=lambda f: f.n_dropped, default=None)
    if worst is not None and "time" in worst.kind:
        return (
            "check the column's unit; or leave it out with --columns timestamp= and let the order speak "
            "(--columns seq=... names a column of order)"
        )
    return "check the columns that were taken (penchant doctor shows them)"
