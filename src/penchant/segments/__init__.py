"""Segments: users with a like mix of interests, found, named, shown by exemplars and tested for worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from penchant.config import SegmentsConfig
from penchant.data import FloatArray, IntArray, InterestTree, Parts, Profiles, Segments
from penchant.errors import ModelError
from penchant.segments.algorithms import Clustering, assign, cluster
from penchant.segments.choose import choose_n
from penchant.segments.exemplars import cohesion, exemplars
from penchant.segments.names import node_names, segment_names, segment_traits
from penchant.segments.rows import UserRows, share_matrix, user_rows
from penchant.segments.worth import measure_worth

__all__ = [
    "UserRows",
    "assign_users",
    "measure_worth",
    "segment_users",
    "segments_from_parts",
    "segments_to_parts",
    "share_matrix",
    "user_rows",
]


def segment_users(
    profiles: Profiles, tree: InterestTree, n_users: int, config: SegmentsConfig, *, seed: int
) -> Segments:
    """Group users by their mix of interests.

    Segment ids are by size: s1 is the largest. Users without evidence are unassigned (-1).

    Args:
        profiles: interest points at every level. tree: the tree they speak of.
        n_users: users of the log, with or without points.
    Returns:
        Segments; `facts` tell how the number was chosen, stability, separation, worth and the unassigned share.
    Raises:
        DataError: shares that are not finite, or points outside the users or the tree.
    """
    shares = share_matrix(profiles, tree, n_users)
    rows = user_rows(profiles, tree, n_users)
    facts: dict[str, Any] = {"method": config.method, "n_users": n_users}
    n_segments = config.n_segments
    if n_segments == "auto":
        choice = choose_n(
            rows.values, config.method, max_segments=config.max_segments, sample=config.n_choice_users, seed=seed
        )
        n_segments = max(choice.n_segments, 1)
        facts["choice"] = {"rule": choice.rule, "n_users": choice.n_users, "candidates": choice.candidates}
    found = cluster(rows.values, config.method, n_segments, seed=seed)
    facts |= {"n_asked": found.n_asked, "n_segments": found.n_clusters, "loss": found.loss}
    facts["unassigned_share"] = float(np.mean(found.labels < 0)) if n_users else 0.0
    leaf_shares = shares[:, : tree.n_leaves]
    worth = measure_worth(found.labels, leaf_shares, n_random=config.n_random, seed=seed)
    facts["worth"] = worth.facts()
    traits = segment_traits(
        shares, found.labels, found.n_clusters, tree, n_top=config.n_top_interests, min_coverage=config.min_coverage
    )
    size = np.bincount(found.labels[found.labels >= 0], minlength=found.n_clusters)
    words = node_names(tree)
    table = pl.DataFrame(
        {
            "segment_id": [f"s{i + 1}" for i in range(found.n_clusters)],
            "name": segment_names(traits, tree),
            "n_users": size,
            "share": size / max(n_users, 1),
            "top_interests": [[words[i] for i in rows] for rows in traits.interest_rows],
            "top_interest_rows": traits.interest_rows,
            "lift": traits.lift,
            "coverage": traits.coverage,
            "exemplars": exemplars(rows.values, found.labels, found.centroids, config.n_exemplars),
            "cohesion": cohesion(rows.values, found.labels, found.centroids),
            "worth": worth.by_segment,
            "passes": worth.passes,
        },
        schema=_SCHEMA,
    )
    return Segments(found.labels, table, found.centroids, facts, rows.weights)


_SCHEMA = {
    "segment_id": pl.String,
    "name": pl.String,
    "n_users": pl.Int32,
    "share": pl.Float32,
    "top_interests": pl.List(pl.String),
    "top_interest_rows": pl.List(pl.Int32),
    "lift": pl.List(pl.Float32),
    "coverage": pl.List(pl.Float32),
    "exemplars": pl.List(pl.Int32),
    "cohesion": pl.Float32,
    "worth": pl.Float32,
    "passes": pl.Boolean,
}


def assign_users(segments: Segments, rows: FloatArray) -> IntArray:
    """(n,) int32 segment of each row; -1 for rows of zeros.

    Args:
        rows: (n, n_nodes) `user_rows(profiles, tree, n, weights=segments.row_weights).values`.
    """
    return assign(segments.centroids, rows)


def segments_to_parts(segments: Segments) -> Parts:
    """The saved form."""
    return Parts(
        config={"facts": dict(segments.facts)},
        arrays={
            "segment_row": segments.segment_row,
            "centroids": segments.centroids,
            "row_weights": segments.row_weights,
        },
        tables={"segments": segments.table},
    )


def segments_from_parts(parts: Parts) -> Segments:
    """Read the saved form back.

    Raises:
        ModelError: a part is missing.
    """
    try:
        return Segments(
            segment_row=parts.arrays["segment_row"],
            table=parts.tables["segments"],
            centroids=parts.arrays["centroids"],
            facts=parts.config["facts"],
            row_weights=parts.arrays["row_weights"],
        )
    except KeyError as error:
        raise ModelError(
            f"segments: the saved part {error} is missing; fit the model again or restore the whole folder"
        ) from None
