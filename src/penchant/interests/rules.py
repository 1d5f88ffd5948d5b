"""Layers by rule: what is in common use, as options and as the baselines a forecast must beat.

Each rule gives every point a score (higher = more of an interest) and a layer. One table, RULES, names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.data import DAY_S, own_sessions
from penchant.interests.affinity import AffinityPoints
from penchant.interests.features import liked_count, user_totals
from penchant.interests.sums import add_up, home_column
from penchant.interests.windows import Knowledge

Array = npt.NDArray[np.float64]
LayerArray = npt.NDArray[np.int8]

SHARE_BANDS = (0.6, 0.3)  # of the user's strongest interest
FIRST_POINTS, LATER_POINTS, NEGATIVE_POINTS = 10.0, 5.0, -1.0
POINT_BANDS = (10.0, 2.5)  # met in the last session; met two sessions ago
TOUCH_BANDS = (5.0, 2.0)
MAX_LLOYD_STEPS = 100


@dataclass(frozen=True)
class Ruled:
    """score: (n_points,), higher is stronger; layer: (n_points,) int8, 0 core, 1 secondary, 2 peripheral.

    share: (n_points,) what the rule holds each point's share of the user's events to be; None where it holds nothing.
    """

    score: Array
    layer: LayerArray
    share: Array | None = None


def apply_rule(name: str, known: Knowledge, level: int, points: AffinityPoints) -> Ruled:
    """Score and layer points of a level by one rule of RULES.

    Args:
        points: all of `known.points[level]`, or those of some users.
    """
    return RULES[name](known, level, points)


def bands(values: Array, core: float, secondary: float) -> LayerArray:
    """Layer by two lower bounds.

    >>> bands(np.array([0.7, 0.3, 0.1]), 0.6, 0.3).tolist()
    [0, 1, 2]
    """
    return np.where(values >= core, 0, np.where(values >= secondary, 1, 2)).astype(np.int8)


def by_share(known: Knowledge, level: int, points: AffinityPoints) -> Ruled:
    """Share of the user's affinity; bands of 0.6 and 0.3 relative to the user's strongest interest."""
    affinity = points.table["affinity"].to_numpy()
    total = user_totals(points, affinity)
    user = points.table["user_row"].to_numpy()
    best = np.zeros(points.n_users)
    np.maximum.at(best, user, affinity)
    share = np.divide(affinity, total, out=np.zeros(len(affinity)), where=total > 0)
    relative = np.divide(affinity, best[user], out=np.zeros(len(affinity)), where=total > 0)
    return Ruled(share, bands(relative, *SHARE_BANDS), share)


def by_points(known: Knowledge, level: int, points: AffinityPoints) -> Ruled:
    """10 points for the first touch in a session, 5 for each later one, -1 for a negative one, halved at each new
    session of the user."""
    history, n = known.history, points.n_columns
    events = history.events
    column = np.full(len(events), -1, np.int64)
    item = events.item_row >= 0
    column[item] = known.home(level)[events.item_row[item]]
    if history.text_membership is not None:
        leaf = home_column(history.text_membership)
        column[~item] = np.where(leaf >= 0, known.ancestors(level)[leaf], -1)
    session, n_sessions = own_sessions(events)
    keep = (column >= 0) & (events.weight != 0)
    user, column, session = events.user_row[keep].astype(np.int64), column[keep], session[keep]
    liked = events.weight[keep] > 0
    age = n_sessions[user] - 1 - session
    cells = points.table["user_row"].to_numpy().astype(np.int64) * n + points.table["column"].to_numpy()
    width = int(n_sessions.max(initial=1))
    visit, first = np.unique((user[liked] * n + column[liked]) * width + age[liked], return_counts=True)
    gained = (FIRST_POINTS + LATER_POINTS * (first - 1)) * np.exp2(-(visit % width).astype(np.float64))
    lost = np.full(int((~liked).sum()), NEGATIVE_POINTS) * np.exp2(-age[~liked].astype(np.float64))
    where = np.r_[visit // width, user[~liked] * n + column[~liked]]
    value = np.r_[gained, lost]
    at = np.minimum(np.searchsorted(cells, where), max(0, len(cells) - 1))
    mine = cells[at] == where if len(cells) else np.zeros(len(where), bool)
    score = add_up(at[mine], value[mine], len(cells))
    return Ruled(score, bands(score, *POINT_BANDS))


def by_recency(known: Knowledge, level: int, points: AffinityPoints) -> Ruled:
    """The later touched, the stronger; core within the short half-life, secondary within the long one."""
    config = known.config
    age = point_age(points)
    return Ruled(-age, bands(-age, -config.short_half_life_days, -config.half_life_days))


def by_frequency(known: Knowledge, level: int, points: AffinityPoints) -> Ruled:
    """Number of liked touches; core from five, secondary from two."""
    liked = liked_count(points.table)
    total = user_totals(points, liked)
    share = np.divide(liked, total, out=np.zeros(len(liked)), where=total > 0)
    return Ruled(liked, bands(liked, *TOUCH_BANDS), share)


def by_kmeans(known: Knowledge, level: int, points: AffinityPoints) -> Ruled:
    """Log affinity of all points cut into three by k-means in one dimension."""
    strength = np.log1p(points.table["affinity"].to_numpy())
    return Ruled(strength, (2 - kmeans_1d(strength, 3)).astype(np.int8))


RULES: dict[str, Callable[[Knowledge, int, AffinityPoints], Ruled]] = {
    "share": by_share,
    "points": by_points,
    "recency": by_recency,
    "frequency": by_frequency,
    "kmeans": by_kmeans,
}


def point_age(points: AffinityPoints) -> Array:
    """(n_points,) days since the last touch (own events since, in a log without time)."""
    if points.clock == "order":
        return points.table["gap"].to_numpy().astype(np.float64)
    return np.maximum(points.at - points.table["last_time"].to_numpy(), 0.0) / DAY_S


def kmeans_1d(values: Array, k: int) -> npt.NDArray[np.int64]:
    """(n,) cluster of each value, 0 the lowest: Lloyd's steps on sorted values from evenly spaced quantiles.

    With fewer different quantiles than clusters, those between the lowest and the highest stay empty.

    >>> kmeans_1d(np.array([0.0, 9.0, 5.0, 0.1, 9.1, 5.1]), 3).tolist()
    [0, 2, 1, 0, 2, 1]
    """
    if len(values) == 0:
        return np.zeros(0, np.int64)
    ordered = np.sort(values)
    sums = np.r_[0.0, np.cumsum(ordered)]
    centres = np.unique(np.quantile(ordered, (np.arange(k) + 0.5) / k))
    for _ in range(MAX_LLOYD_STEPS):
        edges = np.r_[0, np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2), len(ordered)]
        sizes = np.diff(edges)
        moved = np.where(sizes > 0, np.diff(sums[edges]) / np.maximum(sizes, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    found = np.searchsorted((centres[1:] + centres[:-1]) / 2, values, side="right")
    return np.asarray(found + (k - len(centres)) * (found > 0))
