"""Profiles: every user's interest points with share, forecast, layer, state, medoid item and evidence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import Events, IntArray, InterestTree, Items, Profiles
from penchant.errors import DataError
from penchant.interests.evidence import find_evidence
from penchant.interests.features import user_totals
from penchant.interests.forecast import Forecast
from penchant.interests.layers import assign_layers
from penchant.interests.rules import apply_rule
from penchant.interests.states import find_states
from penchant.interests.windows import History, Knowledge, know
from penchant.threads import one_thread

CHUNK_POINTS = 500_000  # features of this many points at a time

POINT_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "user_row": pl.Int32,
    "interest_row": pl.Int32,
    "level": pl.Int32,
    "affinity": pl.Float32,
    "affinity_short": pl.Float32,
    "share": pl.Float32,
    "aversion": pl.Float32,
    "probability": pl.Float32,
    "layer": pl.Int8,
    "state": pl.Int8,
    "n_events": pl.Int32,
    "n_active_days": pl.Int32,
    "first_time": pl.Float64,
    "last_time": pl.Float64,
    "medoid_item_row": pl.Int32,
    "evidence": pl.List(pl.Int32),
}


def make_profiles(
    events: Events,
    items: Items,
    tree: InterestTree,
    forecast: Forecast,
    config: InterestsConfig,
    *,
    at: float | None = None,
    text_membership: sp.csr_array | None = None,
) -> Profiles:
    """Make all profiles at every level of the tree.

    A point is a (user, interest) pair that at least one event touched. Its evidence are the user's items that add most
    to its affinity; its medoid is the one of them that lies in the interest most.

    Args:
        events: the log; items: its catalogue. tree, forecast: fitted on this log or an earlier one.
        config: half-lives, thresholds, `layer_method`, `n_evidence`.
        at: the moment of the profiles (default: the last event).
        text_membership: (n_text_events, n_leaves), a row for each event without an item, in order.
    Raises:
        DataError: tree and items do not fit together.
    """
    if tree.membership.shape[0] != len(items):
        raise DataError(
            f"make_profiles: the tree knows {tree.membership.shape[0]} items, the catalogue has {len(items)}; "
            "build the tree on this catalogue"
        )
    history = History(events, text_membership)
    if at is not None and events.clock == "time":
        history = history.before(np.nextafter(at, np.inf))
    with one_thread():  # sums in one order: the same bytes on any number of cores
        known = know(history, tree, config, at)
        tables = [_level_points(known, forecast, level) for level in range(1, tree.n_levels + 1)]
    points = pl.concat(tables).sort(
        ["user_row", "level", "probability", "interest_row"],
        descending=[False, False, True, False],
        maintain_order=True,
    )
    return Profiles(points, known.points[1].at)


def predict_points(known: Knowledge, forecast: Forecast, level: int) -> npt.NDArray[np.float32]:
    """(n_points,) forecast of all points of a level, by chunks of users: memory is bounded by the chunk."""
    user = known.points[level].table["user_row"].to_numpy()
    crowd = known.crowd(level)
    parts = []
    for first, last in _user_chunks(user):
        points, features = known.features(level, crowd, (first, last))
        parts.append(forecast.predict(features, level, points.table["user_row"].to_numpy()))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _user_chunks(user: IntArray) -> list[tuple[int, int]]:
    """Ranges of users [first, last) of about CHUNK_POINTS points each; `user` is sorted."""
    edges, start = [], 0
    while start < len(user):
        first = int(user[start])
        stop = min(len(user), start + CHUNK_POINTS)
        last = int(user[stop - 1]) + 1
        edges.append((first, last))
        start = int(np.searchsorted(user, last, side="left"))
    return edges


def _level_points(known: Knowledge, forecast: Forecast, level: int) -> pl.DataFrame:
    points, config = known.points[level], known.config
    table = points.table
    affinity = table["affinity"].to_numpy()
    total = user_totals(points, affinity)
    chance = predict_points(known, forecast, level)
    if config.layer_method == "forecast":
        layer = assign_layers(chance, core=config.core, secondary=config.secondary)
    else:
        layer = apply_rule(config.layer_method, known, level, points).layer
    evidence = find_evidence(known.history.events, known.tree.membership_at(level), points, config)
    values = {
        "user_row": table["user_row"],
        "interest_row": known.tree.rows_of_level(level)[table["column"].to_numpy()],
        "level": np.full(len(points), level, np.int32),
        "affinity": affinity,
        "affinity_short": table["affinity_short"],
        "share": np.divide(affinity, total, out=np.zeros(len(affinity)), where=total > 0),
        "aversion": table["aversion"],
        "probability": chance,
        "layer": layer,
        "state": find_states(points, config),
        "n_events": table["n_events"],
        "n_active_days": table["n_active_days"],
        "first_time": table["first_time"],
        "last_time": table["last_time"],
        "medoid_item_row": evidence["medoid_item_row"],
        "evidence": evidence["evidence"],
    }
    return pl.DataFrame(values).cast(POINT_SCHEMA)  # type: ignore[arg-type]
