"""What came in: events, catalogue, what cleaning found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data.kinds import DAY_S, BoolArray, Clock, FloatArray, IntArray, TimeArray
from penchant.errors import DataError


@dataclass(frozen=True)
class Events:
    """A cleaned log, sorted by time (stably), one row an event.

    table columns: user_row i32 · item_row i32 (-1: a text event without item) · action i16 (index into `actions`) ·
    weight f32 (signed: negative is evidence of aversion) · time f64 · and, where the log has them, value f32,
    text str, session_row i32, propensity f32 (the chance with which the log's policy showed the item; null where not
    known) and beside it list_row i32, place i32 (of the shown list and from 1 in it; -1 where not known).
    clock: "time" = `time` is seconds since 1970 (UTC); "order" = the log has no usable timestamps and `time` is only
    a global order (a given sequence number, or each user's own position from 0 to 1).
    """

    table: pl.DataFrame
    user_ids: pl.Series
    actions: tuple[str, ...]
    clock: Clock = "time"

    def __post_init__(self) -> None:
        need = {
            "user_row": pl.Int32,
            "item_row": pl.Int32,
            "action": pl.Int16,
            "weight": pl.Float32,
            "time": pl.Float64,
        }
        for name, kind in need.items():
            if self.table.schema.get(name) != kind:
                raise DataError(f"Events.table: column '{name}' must be {kind}. Got {self.table.schema.get(name)}.")
        if self.table.height and not self.table["time"].is_sorted():
            raise DataError("Events.table: must be sorted by 'time'.")

    def __len__(self) -> int:
        return self.table.height

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @cached_property
    def user_row(self) -> IntArray:
        return self.table["user_row"].to_numpy()

    @cached_property
    def item_row(self) -> IntArray:
        return self.table["item_row"].to_numpy()

    @cached_property
    def weight(self) -> FloatArray:
        return self.table["weight"].to_numpy()

    @cached_property
    def time(self) -> TimeArray:
        return self.table["time"].to_numpy()

    @property
    def start(self) -> float:
        return float(self.time[0]) if len(self) else 0.0

    @property
    def end(self) -> float:
        """Time of the last event: the "now" of a log."""
        return float(self.time[-1]) if len(self) else 0.0

    @cached_property
    def own_index(self) -> IntArray:
        """(n,) position of each event in its user's history, from 0."""
        order = np.argsort(self.user_row, kind="stable")
        users = self.user_row[order]
        starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]]) if len(users) else np.zeros(0, np.int64)
        sizes = np.diff(np.r_[starts, len(users)])
        out = np.empty(len(users), np.int32)
        out[order] = (np.arange(len(users)) - np.repeat(starts, sizes)).astype(np.int32)
        return out

    @cached_property
    def n_by_user(self) -> IntArray:
        """(n_users,) events of each user."""
        return np.bincount(self.user_row, minlength=self.n_users).astype(np.int32)

    def age_days(self, at: float | None = None) -> TimeArray:
        """(n,) age of each event in days at time `at` (default: the end of the log).

        In an "order" log an event is one "day" older for each later event of the same user (`at` is ignored), so
        half-lives count own events there.
        """
        if self.clock == "time":
            return ((self.end if at is None else at) - self.time) / DAY_S
        return (self.n_by_user[self.user_row] - 1 - self.own_index).astype(np.float64)

    def take(self, mask: BoolArray) -> Events:
        """Keep the events under a (n,) mask; users and items keep their rows."""
        return Events(self.table.filter(pl.Series(mask)), self.user_ids, self.actions, self.clock)

    def before(self, cut: float) -> Events:
        """Events with time < cut."""
        n = int(np.searchsorted(self.time, cut, side="left"))
        return Events(self.table.slice(0, n), self.user_ids, self.actions, self.clock)

    def between(self, start: float, end: float) -> Events:
        """Events with start <= time < end."""
        a, b = np.searchsorted(self.time, [start, end], side="left")
        return Events(self.table.slice(int(a), int(b - a)), self.user_ids, self.actions, self.clock)

    def positive(self) -> Events:
        """Events with an item and weight > 0: what counts as liking."""
        return self.take((self.item_row >= 0) & (self.weight > 0))

    def cut_at(self, share: float) -> float:
        """The moment before which `share` of the events lie (0 for an empty log)."""
        n = len(self)
        return float(self.time[min(n - 1, self.index_at(share))]) if n else 0.0

    def index_at(self, share: float) -> int:
        """The number of events in the first `share` of the log, rounded down."""
        return int(share * len(self) + 1e-9)  # 0.8 * 10 may be 7.999...

    def touched(self, n_items: int) -> sp.csr_array:
        """(n_users, n_items) float32 0/1: items a user acted on, liked or not (an impression, weight 0, is no act)."""
        acts = (self.item_row >= 0) & (self.weight != 0)
        pairs = (self.user_row[acts], self.item_row[acts])
        out = sp.coo_array((np.ones(len(pairs[0]), np.float32), pairs), shape=(self.n_users, n_items)).tocsr()
        out.sum_duplicates()
        out.data[:] = 1.0
        return sp.csr_array(out)

    def matrix(self, n_items: int, *, binary: bool = False) -> sp.csr_array:
        """(n_users, n_items) float32, summed positive weights (or 0/1): duplicates merged, indices sorted."""
        keep = (self.item_row >= 0) & (self.weight > 0)
        out = sp.coo_array(
            (self.weight[keep], (self.user_row[keep], self.item_row[keep])), shape=(self.n_users, n_items)
        ).tocsr()
        out.sum_duplicates()
        if binary:
            out.data = np.ones_like(out.data)
        return out


@dataclass(frozen=True)
class Items:
    """The catalogue, one row an item: also items that only the log knows (their title is null).

    table columns: item_id str (unique) · title str? · text str? · categories list[str] · domain str? · in_catalogue
    bool · any further columns the caller gave.
    vectors: name -> (n_items, d) float32 from vector columns (image, audio, ...); rows of zeros where missing.
    """

    table: pl.DataFrame
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("item_id", "title", "text", "categories"):
            if name not in self.table.columns:
                raise DataError(f"Items.table: column '{name}' is missing.")
        if self.table["item_id"].n_unique() != self.table.height:
            raise DataError("Items.table: 'item_id' must be unique.")

    def __len__(self) -> int:
        return self.table.height

    @property
    def item_ids(self) -> pl.Series:
        return self.table["item_id"]

    @cached_property
    def titles(self) -> list[str]:
        """What a person reads: the title, else the start of the text, else the id."""
        return self.table.select(pl.coalesce("title", pl.col("text").str.slice(0, 80), "item_id")).to_series().to_list()

    def texts(self, fields: tuple[str, ...] = ("title", "text", "categories")) -> list[str]:
        """One text an item, its fields joined; "" where there is none; a title that opens the text is not doubled."""
        title = pl.col("title").fill_null("")
        parts: list[pl.Expr] = []
        for name in fields:
            if name not in self.table.columns:
                continue
            if name == "text" and "title" in fields:
                text = pl.col("text").fill_null("")
                rest = text.str.strip_prefix(title)
                inside = rest.str.contains(r"^[\p{L}\p{N}&&[^\p{Han}]]")  # "It" does not open "Italian tale"
                opens = text.str.starts_with(title) & ~inside
                parts.append(pl.when(opens).then(rest).otherwise(text))
            elif self.table.schema[name] == pl.List(pl.String):
                parts.append(pl.col(name).list.join(" ").fill_null(""))
            else:
                parts.append(pl.col(name).cast(pl.String).fill_null(""))
        if not parts:
            return [""] * len(self)
        joined = pl.concat_str(parts, separator=" ").str.replace_all(r"\s+", " ").str.strip_chars()
        return self.table.select(joined.alias("t"))["t"].to_list()


@dataclass(frozen=True)
class Finding:
    """One kind of dirt: how many rows, the first few of them (1-based, header not counted), and what was done."""

    where: str
    kind: str
    n_rows: int
    rows: tuple[int, ...]
    rule: str
    n_dropped: int = 0


@dataclass(frozen=True)
class Log:
    """What io hands over: checked events and items, optional user attributes, and all that was found on the way.

    attributes: one row a known user (`user_id` and the caller's columns), or None.
    facts: counts and choices worth printing (rows read, clock, span, columns used, actions with weights, ...).
    """

    events: Events
    items: Items
    attributes: pl.DataFrame | None = None
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
