"""What is known of an interest point before a cut, as numbers a small model can weigh.

Everything is told relative to the user and in own events as well as in days: a forecast is conditional on the user
acting, so "three baskets ago" says more than "forty days ago".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import DAY_S, BoolArray, Events, IntArray
from penchant.interests.affinity import AffinityPoints

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Crowd:
    """What all users together say of the interests of one level at one moment.

    share: (n_columns,) share of all liked touches. recent_share: (n_columns,) the same of the latest events on items
    that were placed in the tree before them. nearness: (n_columns, n_columns) rows sum to 1: where the other touches of
    those who touch a row's interest go.
    """

    share: Array
    recent_share: Array
    nearness: Array


def read_crowd(points: AffinityPoints, before: Events, home: IntArray, placed: BoolArray) -> Crowd:
    """Sum up all users. Cost: O(points x interests of a user).

    Args:
        points: of the level, at the end of `before`.
        before: the log so far.
        home: (n_items,) column an item touches, -1 if none.
        placed: (n_items,) items the tree could place without an event of theirs (by their text).
    """
    table = points.table
    n = points.n_columns
    user, column, liked = table["user_row"].to_numpy(), table["column"].to_numpy(), liked_count(table)
    share = (np.bincount(column, liked, n) + 1.0) / (liked.sum() + n)
    recent_share = _latest_shares(before.positive(), home, placed, share)
    total = np.bincount(user, liked, points.n_users)[user]
    rows = sp.csr_array((liked / np.maximum(total, 1.0), (user, column)), shape=(points.n_users, n))
    together = (rows.T @ rows).toarray()
    np.fill_diagonal(together, 0.0)
    together += PRIOR_SHARE * share
    return Crowd(share, recent_share, together / together.sum(axis=1, keepdims=True))


def _latest_shares(liked: Events, home: IntArray, placed: BoolArray, share: Array) -> Array:
    """Where the last fifth of the liked events went, seen from its start; events that can't be told are left out."""
    start = int(len(liked) * (1 - LATEST_SHARE))
    known_item = placed.copy()
    known_item[liked.item_row[:start]] = True
    item = liked.item_row[start:]
    column = home[item]
    told = known_item[item] & (column >= 0)
    counts = np.bincount(column[told], minlength=len(share)) + len(share) * share
    return np.asarray(counts / counts.sum())


def liked_count(table: pl.DataFrame) -> Array:
    """(n_points,) touches that were not negative."""
    return np.asarray((table["n_events"] - table["n_negative"]).to_numpy(), np.float64)


FEATURES = (
    "all_chance",
    "recent_chance",
    "long_chance",
    "short_chance",
    "crowd_chance",
    "near_chance",
    "parent_chance",
    "trend",
    "n_liked",
    "n_days",
    "day_share",
    "gap",
    "age",
    "idle",
    "span",
    "disliked",
    "aversion",
    "n_own",
    "n_interests",
    "spread",
)
LATEST_SHARE = 0.2  # of the liked events: what "lately" means for the crowd
PRIOR_SHARE = 0.1  # how much of the crowd is mixed into `nearness`
PRIOR_EVENTS = 2.0  # how many events' worth the crowd weighs in a user's own shares
SMALL = 1e-6


def user_totals(points: AffinityPoints, values: Array) -> Array:
    """(n_points,) the sum of `values` over the point's user."""
    user = points.table["user_row"].to_numpy()
    return np.asarray(np.bincount(user, values, points.n_users)[user], np.float64)


def chance_logit(share: Array, horizon: int) -> Array:
    """Log odds that at least one of H independent events, each touching with `share`, touches.

    >>> chance_logit(np.array([0.5]), 1).tolist()
    [0.0]
    """
    stay_out = horizon * np.log1p(-np.clip(share, SMALL, 1 - SMALL))  # log of (1 - share) ** H
    return np.asarray(np.log(-np.expm1(stay_out)) - stay_out)


def measure_features(
    points: AffinityPoints,
    crowd: Crowd,
    config: InterestsConfig,
    *,
    parent: AffinityPoints | None = None,
    parent_column: IntArray | None = None,
) -> Array:
    """(n_points, len(FEATURES)) float64, all finite.

    Args:
        points: of one level.
        crowd: of the same level and moment.
        parent: the points of the level above at the same moment, for a leaf's parent chance.
        parent_column: (n_columns,) column of each interest's parent in `parent`.
    """
    table = points.table
    column = table["column"].to_numpy()
    liked = liked_count(table)
    horizon = config.horizon
    day = DAY_S if points.clock == "time" else 1.0

    def of(name: str) -> Array:
        return table[name].to_numpy().astype(np.float64)

    def share_of(values: Array, prior: Array, weight: float) -> Array:
        return np.asarray((values + weight * prior) / (user_totals(points, values) + weight))

    crowd_share = crowd.share[column]
    own = user_totals(points, liked)
    all_share = share_of(liked, crowd_share, PRIOR_EVENTS)
    long_share = _safe_share(of("affinity"), user_totals(points, of("affinity")), all_share)
    short_share = _safe_share(of("affinity_short"), user_totals(points, of("affinity_short")), all_share)
    recent_share = share_of(of("recent"), crowd_share, PRIOR_EVENTS)
    near = _near_share(points, crowd, liked, own)
    parent_share = (
        all_share if parent is None or parent_column is None else _parent_share(points, parent, parent_column[column])
    )
    last_user = _user_last(points, of("last_time"))
    age = np.maximum(points.at - of("last_time"), 0.0) / day if points.clock == "time" else of("gap")
    idle = np.maximum(points.at - last_user, 0.0) / day if points.clock == "time" else np.zeros(len(age))
    days = of("n_active_days")
    entropy = user_totals(points, -all_share * np.log(all_share))
    return np.column_stack(
        [
            chance_logit(all_share, horizon),
            chance_logit(recent_share, horizon),
            chance_logit(0.9 * long_share + 0.1 * all_share, horizon),
            chance_logit(0.9 * short_share + 0.1 * all_share, horizon),
            chance_logit(crowd.recent_share[column], horizon),
            chance_logit(near, horizon),
            chance_logit(parent_share, horizon),
            np.log(crowd.recent_share[column] / crowd_share),
            np.log1p(liked),
            np.log1p(days),
            days / np.maximum(user_totals(points, days), 1.0),
            np.log1p(of("gap") / horizon),
            np.log1p((age - idle) / config.half_life_days),
            np.log1p(idle / config.half_life_days),
            np.log1p((of("last_time") - of("first_time")) / day / config.half_life_days)
            if points.clock == "time"
            else np.log1p(liked / horizon),
            of("n_negative") / np.maximum(of("n_events"), 1.0),
            _safe_share(of("aversion"), of("aversion") + of("affinity"), np.zeros(len(age))),
            np.log1p(own),
            np.log(user_totals(points, np.ones(len(age)))),
            entropy,
        ]
    )


def _safe_share(values: Array, total: Array, fallback: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, values / total, fallback))


def _user_last(points: AffinityPoints, last_time: Array) -> Array:
    user = points.table["user_row"].to_numpy()
    last = np.full(points.n_users, -np.inf)
    np.maximum.at(last, user, last_time)
    return np.asarray(last[user])


def _near_share(points: AffinityPoints, crowd: Crowd, liked: Array, own: Array) -> Array:
    """Share that the user's other interests foretell for each point. Dense by blocks of users."""
    user = points.table["user_row"].to_numpy()
    column = points.table["column"].to_numpy()
    out = np.empty(len(user))
    n = points.n_columns
    step = max(1, 1_000_000 // max(1, n))
    for first in range(0, points.n_users, step):
        a, b = np.searchsorted(user, [first, first + step])
        if a == b:
            continue
        rows = np.zeros((step, n))
        rows[user[a:b] - first, column[a:b]] = liked[a:b] / np.maximum(own[a:b], 1.0)
        out[a:b] = (rows @ crowd.nearness)[user[a:b] - first, column[a:b]]
    return out


def _parent_share(points: AffinityPoints, parent: AffinityPoints, parent_column: IntArray) -> Array:
    """Each point's parent's share of the user's touches; every touched leaf has a touched parent."""
    liked = liked_count(parent.table)
    share = liked / np.maximum(user_totals(parent, liked), 1.0)
    cells = parent.table["user_row"].to_numpy().astype(np.int64) * parent.n_columns + parent.table["column"].to_numpy()
    wanted = points.table["user_row"].to_numpy().astype(np.int64) * parent.n_columns + parent_column
    return np.asarray(share[np.searchsorted(cells, wanted)])
