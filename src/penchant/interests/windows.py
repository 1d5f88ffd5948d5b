"""Windows in a log's own past: where to cut, what was known at a cut, and what came after it.

A forecast speaks of a user's next H liked events on items that the tree can place, so a window counts only users with
at least H of them: it is conditional on the user acting, and leaving the service is not taken for losing an interest.
Items that no one had met before a cut, and that have no text to be placed by, could not be in the tree then. What
interest their events speak of can't be told; they are no sign against any, so they are left out, in past windows as
in a real test. (In a log of news without texts nine of ten next events are of that kind.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import BoolArray, Events, IntArray, InterestTree
from penchant.interests.affinity import AffinityPoints, ancestor_column, measure_levels
from penchant.interests.features import Crowd, measure_features, read_crowd

WINDOW_SHARE = 0.2  # the length of a window: of the events, and (in logs with time) of the span
CUT_SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True)
class History:
    """A log with the leaves of its text events: (n_text_events, n_leaves) in the order of the log, or None."""

    events: Events
    text_membership: sp.csr_array | None = None

    def before(self, cut: float) -> History:
        """What was there before a moment."""
        events = self.events.before(cut)
        if self.text_membership is None:
            return History(events)
        return History(events, self.text_membership[: int((events.item_row < 0).sum())])

    def of_users(self, chosen: BoolArray) -> History:
        """The events of some users; rows stay."""
        mask = chosen[self.events.user_row]
        if self.text_membership is None:
            return History(self.events.take(mask))
        return History(self.events.take(mask), self.text_membership[mask[self.events.item_row < 0]])


@dataclass(frozen=True)
class Window:
    """One cut: everything before `cut` is known, [cut, end) tells the outcome."""

    cut: float
    end: float


@dataclass(frozen=True)
class Knowledge:
    """All points known at one moment, level by level, and what a model may read from them."""

    history: History
    tree: InterestTree
    config: InterestsConfig
    points: dict[int, AffinityPoints]

    @cached_property
    def placed(self) -> BoolArray:
        """(n_items,) items that the tree could place at this moment: met before, or by their text."""
        if self.tree.text_centroids is not None:
            return np.ones(self.tree.membership.shape[0], bool)
        out = np.zeros(self.tree.membership.shape[0], bool)
        rows = self.history.events.item_row
        out[rows[rows >= 0]] = True
        return out

    def told(self, after: Events) -> Events:
        """The liked events whose interest can be told: on items that the tree could place at this moment."""
        liked = after.positive()
        return liked.take((self.placed & (self.tree.leaf_of_item >= 0))[liked.item_row])

    def home(self, level: int) -> IntArray:
        """(n_items,) column that an item touches at a level, -1 if none."""
        leaf = self.tree.leaf_of_item
        return np.where(leaf >= 0, self.ancestors(level)[leaf], -1).astype(np.int32)

    def ancestors(self, level: int) -> IntArray:
        """(n_leaves,) column of each leaf's ancestor at a level."""
        return ancestor_column(self.tree, level)

    def crowd(self, level: int) -> Crowd:
        """What all users say of the interests of a level."""
        by_text = np.full(len(self.placed), self.tree.text_centroids is not None)
        return read_crowd(self.points[level], self.history.events, self.home(level), by_text)

    def features(
        self, level: int, crowd: Crowd, chosen: BoolArray | tuple[int, int]
    ) -> tuple[AffinityPoints, npt.NDArray[np.float64]]:
        """Points and (n_points, n_features) of the chosen users: under a (n_users,) mask, or from a row up to one."""
        points = _of_users(self.points[level], chosen)
        if level == 1:
            return points, measure_features(points, crowd, self.config)
        parent_of = np.searchsorted(
            self.tree.rows_of_level(level - 1), self.tree.parent_row[self.tree.rows_of_level(level)]
        ).astype(np.int32)
        parent = _of_users(self.points[level - 1], chosen)
        return points, measure_features(points, crowd, self.config, parent=parent, parent_column=parent_of)


@dataclass(frozen=True)
class Outcomes:
    """What the next H events of each acting user touched.

    acting: (n_users,) users with at least H such events. cells: sorted user_row * n_columns + column of the touched
    interests; counts: how many of the H events touched each.
    """

    acting: BoolArray
    cells: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    n_columns: int

    def hits(self, user_row: IntArray, column: IntArray) -> npt.NDArray[np.int64]:
        """(n_points,) how many of the user's next H events touched the point's interest."""
        wanted = user_row.astype(np.int64) * self.n_columns + column
        if len(self.cells) == 0:
            return np.zeros(len(wanted), np.int64)
        at = np.minimum(np.searchsorted(self.cells, wanted), len(self.cells) - 1)
        return np.where(self.cells[at] == wanted, self.counts[at], 0)


def know(history: History, tree: InterestTree, config: InterestsConfig, at: float | None = None) -> Knowledge:
    """Measure all that is known of the interests at a moment (default: the end of the log)."""
    points = measure_levels(history.events, tree, config, at=at, text_membership=history.text_membership)
    return Knowledge(history, tree, config, points)


def read_outcomes(after: Events, home: IntArray, n_columns: int, horizon: int) -> Outcomes:
    """Read the outcome of a window.

    Args:
        after: the events of the window whose interest can be told (`Knowledge.told`).
        home: (n_items,) column that an item touches.
        n_columns: number of interests.
        horizon: H.
    """
    acting = np.asarray(after.n_by_user >= horizon)
    user, column = after.user_row, home[after.item_row]
    keep = (after.own_index < horizon) & acting[user]
    cells, counts = np.unique(user[keep].astype(np.int64) * n_columns + column[keep], return_counts=True)
    return Outcomes(acting, cells, counts, n_columns)


def place_windows(events: Events) -> list[Window]:
    """Cut a log into windows of equal numbers of events and, where it has time, of equal spans; by cut.

    Windows overlap: more cuts tell more of how a cut may fall. Those without an event on either side are left out.

    >>> import polars as pl
    >>> rows = pl.DataFrame({"user_row": [0] * 10, "item_row": [0] * 10, "action": [0] * 10, "weight": [1.0] * 10,
    ...     "time": [float(t) for t in range(10)]}, schema={"user_row": pl.Int32, "item_row": pl.Int32,
    ...     "action": pl.Int16, "weight": pl.Float32, "time": pl.Float64})
    >>> place_windows(Events(rows, pl.Series(["ann"]), ("view",), "order"))[0]
    Window(cut=3.0, end=5.0)
    """
    if not len(events):
        return []

    def by_events(share: float) -> float:
        return events.cut_at(share) if share < 1 - 1e-9 else np.inf

    def by_span(share: float) -> float:
        return events.start + share * (events.end - events.start) if share < 1 - 1e-9 else np.inf

    rulers = (by_events, by_span) if events.clock == "time" else (by_events,)
    found = {Window(ruler(s), ruler(s + WINDOW_SHARE)) for ruler in rulers for s in CUT_SHARES}
    return sorted((w for w in found if events.start < w.cut < w.end and w.cut <= events.end), key=_by_cut)


def _by_cut(window: Window) -> tuple[float, float]:
    return window.cut, window.end


def _of_users(points: AffinityPoints, chosen: BoolArray | tuple[int, int]) -> AffinityPoints:
    user = points.table["user_row"].to_numpy()
    if isinstance(chosen, tuple):
        first, last = np.searchsorted(user, chosen)
        return replace(points, table=points.table.slice(int(first), int(last - first)))
    return replace(points, table=points.table.filter(chosen[user]))
