"""The data types that pass between stages: frozen, checked when built.

Words are those of docs/glossary.md. `*_id` is the caller's id (a string), `*_row` our index (int32).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.errors import DataError

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
TimeArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LAYERS = ("core", "secondary", "peripheral")
STATES = ("emerging", "steady", "fading", "dormant")
DAY_S = 86_400.0

Clock = Literal["time", "order"]


@dataclass(frozen=True)
class Parts:
    """The saved form of anything: settings, arrays and tables. No pickle."""

    config: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Events:
    """A cleaned log, sorted by time (stably), one row an event.

    table columns: user_row i32 · item_row i32 (-1: a text event without item) · action i16 (index into `actions`) ·
    weight f32 (signed: negative is evidence of aversion) · time f64 · and, where the log has them, value f32,
    text str, session_row i32.
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
                parts.append(pl.when(text.str.starts_with(title)).then(text.str.strip_prefix(title)).otherwise(text))
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


def unit_rows(values: npt.NDArray[np.floating]) -> FloatArray:
    """Rows scaled to length 1; rows of zeros stay.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norms = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))[:, None]
    return np.asarray(np.divide(values, norms, out=np.zeros(values.shape, np.float64), where=norms > 0), np.float32)


@dataclass(frozen=True)
class Vectors:
    """(n, d) float32 rows of unit length; a row of zeros where there is nothing to say. `name` tells the source."""

    values: FloatArray
    name: str

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype != np.float32:
            raise DataError(f"Vectors: must be (n, d) float32. Got {self.values.shape} {self.values.dtype}.")
        if not np.isfinite(self.values).all():
            raise DataError("Vectors: every value must be finite.")

    @cached_property
    def present(self) -> BoolArray:
        """(n,) rows that are not all zero."""
        return np.asarray(np.abs(self.values).sum(axis=1) > 0)


@dataclass(frozen=True)
class ItemSpace:
    """Where items lie: texts, behaviour, and both fused. Any of the three may be missing (None)."""

    fused: Vectors
    text: Vectors | None = None
    behaviour: Vectors | None = None


@dataclass(frozen=True)
class InterestTree:
    """The interests. Rows 0..n_leaves-1 of `nodes` are the leaves; upper nodes follow, the top level last.

    nodes columns: interest_id str (unique) · parent_row i32 (-1 at the top) · level i32 (1 = top, n_levels = leaves) ·
    name str · keywords list[str] · n_items i32 · medoid_item_row i32 · coverage f32 · distinctiveness f32.
    membership: (n_items, n_leaves) CSR float32, rows sum to 1; an empty row is an unassigned item.
    centroids: (n_leaves, d) in the fused space; text_centroids: (n_leaves, d_text) or None, for items by text alone.
    facts: how the tree was found: temperatures and floors of membership, how the number of leaves was chosen, ...
    """

    nodes: pl.DataFrame
    membership: sp.csr_array
    centroids: FloatArray
    text_centroids: FloatArray | None
    version: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.nodes["interest_id"].n_unique() != self.nodes.height:
            raise DataError("InterestTree.nodes: 'interest_id' must be unique.")
        if self.membership.shape[1] != len(self.centroids):
            raise DataError("InterestTree: membership columns must equal centroids.")

    @property
    def n_leaves(self) -> int:
        return len(self.centroids)

    @property
    def n_levels(self) -> int:
        return int(self.nodes["level"].max() or 1)  # type: ignore[arg-type]

    @cached_property
    def parent_row(self) -> IntArray:
        return self.nodes["parent_row"].to_numpy()

    def rows_of_level(self, level: int) -> IntArray:
        """Rows of `nodes` at a level (1 = top)."""
        return np.flatnonzero(self.nodes["level"].to_numpy() == level).astype(np.int32)

    def membership_at(self, level: int) -> sp.csr_array:
        """(n_items, n_nodes_of_level) membership summed up to `level`; columns in the order of `rows_of_level`."""
        if level == self.n_levels:
            return self.membership
        rows = self.rows_of_level(level)
        column = np.full(self.nodes.height, -1, np.int32)
        column[rows] = np.arange(len(rows), dtype=np.int32)
        node = np.arange(self.n_leaves, dtype=np.int32)
        for _ in range(self.n_levels - level):
            node = self.parent_row[node]
        lift = sp.csr_array(
            (np.ones(self.n_leaves, np.float32), (np.arange(self.n_leaves), column[node])),
            shape=(self.n_leaves, len(rows)),
        )
        return sp.csr_array(self.membership @ lift)

    @cached_property
    def leaf_of_item(self) -> IntArray:
        """(n_items,) the strongest leaf of each item, -1 if unassigned (ties: the lower row)."""
        dense = self.membership.tocsr()
        out = np.full(dense.shape[0], -1, np.int32)
        filled = np.diff(dense.indptr) > 0
        if filled.any():
            out[filled] = np.asarray(dense[filled].argmax(axis=1)).ravel()
        return out


@dataclass(frozen=True)
class Profiles:
    """All interest points of all users, at every level of the tree.

    points columns: user_row i32 · interest_row i32 (row of tree.nodes) · level i32 · affinity f32 ·
    affinity_short f32 · share f32 (0..1 over the user's interests of that level) · aversion f32 (>= 0, negative
    evidence, kept apart) · probability f32 · layer i8 (index into LAYERS) · state i8 (index into STATES) ·
    n_events i32 · n_active_days i32 · first_time f64 · last_time f64 · medoid_item_row i32 (-1 if none) ·
    evidence list[i32] (item rows, strongest first).
    Sorted by user_row, level, then probability (high first), interest_row.
    """

    points: pl.DataFrame
    at: float

    def of_level(self, level: int) -> pl.DataFrame:
        return self.points.filter(pl.col("level") == level)


@dataclass(frozen=True)
class PastShares:
    """The log seen from an earlier moment.

    before: (n_users, n_nodes) each user's share of every interest then; shares of one level sum to 1 or 0.
    after: (n_users, n_leaves) how each user's later liked items spread over the leaves; rows sum to 1 or 0.
    """

    before: sp.csr_array
    after: sp.csr_array


@dataclass(frozen=True)
class Segments:
    """Users with a like mix of interests.

    segment_row: (n_users,) int32, -1 = unassigned.
    table columns: segment_id str · name str · n_users i32 · share f32 · top_interests list[str] (names) ·
    top_interest_rows list[i32] · lift list[f32] · coverage list[f32] (share of members who have it) ·
    exemplars list[i32] (user rows) · cohesion f32 · worth f32 (ratio to random partitions) · passes bool.
    row_weights: (n_nodes,) what the columns of a user row are multiplied by; makes rows of new users comparable.
    facts: how the number was chosen, stability, separation, worth with its interval, share of unassigned.
    """

    segment_row: IntArray
    table: pl.DataFrame
    centroids: FloatArray
    facts: Mapping[str, Any] = field(default_factory=dict)
    row_weights: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True)
class Recommendations:
    """table columns: user_row i32 · item_row i32 · rank i32 (from 1) · score f32 · interest_row i32 (-1 if none) ·
    layer i8 (-1 if none) · source str (the signal that brought it) · evidence list[i32] (item rows of the user's past).
    """

    table: pl.DataFrame
