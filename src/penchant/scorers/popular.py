"""Popularity of the whole log, of its last 7, 30 and 90 days: the rows no comparison may leave out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp

from penchant.data import DAY_S, Events, FloatArray, IntArray, Parts

YEAR_DAYS = 365.0


class Popular:
    """The same scores for everybody: how many users (or events) took each item within the window.

    The window ends with the log's last event. A log without times has no days: it is taken as one year long, so its
    "last 30 days" are the last 30/365 of its events. Items that tie in the window follow the whole log's popularity.

    Args:
        count: "users" counts each user once an item, "events" every event.
    """

    name = "popular"
    days: ClassVar[float | None] = None
    draws = False
    reads_texts = False
    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = ({"count": "users"}, {"count": "events"})

    def __init__(self, *, count: Literal["users", "events"] = "users") -> None:
        self.count = count
        self.notes: tuple[str, ...] = ()
        self.item_score: FloatArray = np.zeros(0, np.float32)

    def fit(self, events: Events, n_items: int) -> None:
        """Count; O(events). Memory: one number an item."""
        liked = events.positive()
        total = self._counts(liked, n_items)
        if self.days is None:
            self.item_score = total.astype(np.float32)
            return
        recent = self._counts(liked.take(in_last_days(events, liked, self.days)), n_items)
        self.item_score = (recent + 0.5 * total / max(1.0, float(total.max(initial=0.0)))).astype(np.float32)

    def score(self, user_rows: IntArray, history: sp.csr_array) -> FloatArray:
        """Return (len(user_rows), n_items) float32: a read-only view of one row."""
        return np.broadcast_to(self.item_score, (len(user_rows), len(self.item_score)))

    def to_parts(self) -> Parts:
        return Parts(config={"name": self.name, "count": self.count}, arrays={"item_score": self.item_score})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        out = cls(count=parts.config["count"])
        out.item_score = parts.arrays["item_score"]
        return out

    def _counts(self, events: Events, n_items: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        if self.count == "events":
            return np.bincount(events.item_row, minlength=n_items).astype(np.float64)
        pairs = np.unique(events.user_row.astype(np.int64) * n_items + events.item_row)
        return np.bincount(pairs % n_items, minlength=n_items).astype(np.float64)


class Popular7Days(Popular):
    """Popularity in the last 7 days of the log."""

    name = "popular_7d"
    days: ClassVar[float | None] = 7.0


class Popular30Days(Popular):
    """Popularity in the last 30 days of the log."""

    name = "popular_30d"
    days: ClassVar[float | None] = 30.0


class Popular90Days(Popular):
    """Popularity in the last 90 days of the log."""

    name = "popular_90d"
    days: ClassVar[float | None] = 90.0


def n_days(events: Events) -> float:
    """How long a log is; one without times counts as a year."""
    return (events.end - events.start) / DAY_S if events.clock == "time" else YEAR_DAYS


def in_last_days(events: Events, liked: Events, days: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(len(liked),) whether an event lies within the last days of the whole log."""
    if events.clock == "time":
        return np.asarray(liked.time > events.end - days * DAY_S)
    if not len(events):
        return np.zeros(0, np.bool_)
    n = max(1, round(len(events) * days / YEAR_DAYS))
    return np.asarray(liked.time >= events.time[-min(n, len(events))])
