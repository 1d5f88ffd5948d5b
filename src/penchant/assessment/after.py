"""What else of a model the events after the cut judge: its segments, and for which users its lists work."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import polars as pl

from penchant.config import EvaluateConfig
from penchant.data import Events, IntArray
from penchant.evaluate.clustering import shape_scores
from penchant.evaluate.groups import ACTIVITY, activity_groups, group_table
from penchant.evaluate.scores import WindowScores
from penchant.evaluate.split import Split
from penchant.interests.past import leaf_shares
from penchant.model import Model
from penchant.segments import measure_worth, user_rows

NO_SEGMENT = "unassigned"


def segments_after(model: Model, split: Split) -> pl.DataFrame:
    """Judge the segments found before the cut: their shape, and how much more alike their members are in what they take
    after it than the members of random partitions of equal sizes.

    Returns:
        figure, value: one row a figure.
    """
    n_users, tree = len(model.user_ids), model.tree
    labels = model.segments.segment_row
    rows = user_rows(model.profiles, tree, n_users, model.config.segments)
    worth = measure_worth(
        labels,
        leaf_shares(split.test, tree),
        in_sample=False,
        n_random=model.config.segments.n_random,
        seed=model.config.seed,
    )
    figures: dict[str, float | None] = {
        "n_segments": float(model.segments.table.height),
        "unassigned_share": float((labels < 0).mean()),
        "worth_on_next_events": worth.ratio,
        "worth_low": worth.low,
        "worth_high": worth.high,
        "random_partitions_beaten": worth.beaten,
        "stability_ari": model.segments.facts.get("stability"),
        **asdict(shape_scores(rows.values, labels)),
    }
    del figures["n_clusters"]  # the same as n_segments
    return pl.DataFrame(
        {"figure": list(figures), "value": list(figures.values())}, schema_overrides={"value": pl.Float64}
    )


def user_groups(model: Model, train: Events, scores: WindowScores, config: EvaluateConfig) -> pl.DataFrame:
    """How each method does by activity before the cut and by segment of the model; see `group_table`."""
    names = [*model.segments.table["name"].to_list(), NO_SEGMENT]
    segment = model.segments.segment_row[scores.user_rows]
    segment = np.where(segment < 0, len(names) - 1, segment)
    activity = activity_groups(n_liked(train)[scores.user_rows])
    seed = model.config.seed
    return pl.concat(
        [
            group_table(scores, "activity", activity, ACTIVITY, config, seed=seed),
            group_table(scores, "segment", segment, names, config, seed=seed),
        ]
    )


def activity_ranges(train: Events, user_rows: IntArray) -> dict[str, tuple[int, int]]:
    """The least and the most liked events of the users in each group of activity."""
    n = n_liked(train)[user_rows]
    groups = activity_groups(n)
    there = {name: n[groups == i] for i, name in enumerate(ACTIVITY)}
    return {name: (int(own.min()), int(own.max())) for name, own in there.items() if len(own)}


def n_liked(train: Events) -> IntArray:
    """(n_users,) events with an item that each user liked."""
    return np.bincount(train.positive().user_row, minlength=train.n_users).astype(np.int32)
