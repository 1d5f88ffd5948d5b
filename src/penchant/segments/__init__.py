"""Segments: users with a like mix of interests, found, named, shown by exemplars and tested for worth."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import SegmentsConfig
from penchant.data import BoolArray, FloatArray, IntArray, InterestTree, Parts, PastShares, Profiles, Segments
from penchant.errors import ModelError
from penchant.segments.advice import advise
from penchant.segments.algorithms import METHODS, Clustering, assign, cluster, filled, finish
from penchant.segments.choose import MIN_LATER_USERS, Choice, choose_n
from penchant.segments.exemplars import cohesion, exemplars
from penchant.segments.imbalance import balanced_draw, group_weights, strongest_field, thicken
from penchant.segments.names import node_names, segment_names, segment_traits
from penchant.segments.recipe import Recipe
from penchant.segments.rows import UserRows, rows_of_shares, share_matrix, user_rows, with_parents
from penchant.segments.soft import membership, soft_by_distance
from penchant.segments.worth import Worth, measure_worth, shuffled_shares

__all__ = [
    "METHODS",
    "Clustering",
    "Recipe",
    "UserRows",
    "Worth",
    "advise",
    "assign_users",
    "cluster",
    "measure_worth",
    "membership",
    "segment_users",
    "segments_from_parts",
    "segments_to_parts",
    "share_matrix",
    "user_membership",
    "user_rows",
]

_FLOOR_USERS = 10_000  # users of the shuffled log that the floor of worth is measured on, at most


def segment_users(
    profiles: Profiles,
    tree: InterestTree,
    n_users: int,
    config: SegmentsConfig,
    *,
    seed: int,
    past: PastShares | None = None,
) -> Segments:
    """Group users by their mix of interests.

    Segment ids are by size: s1 is the largest. Users without evidence are unassigned (-1).

    Args:
        profiles: interest points at every level. tree: the tree they speak of.
        n_users: users of the log, with or without points.
        past: the same log seen from an earlier moment. Number and worth are then judged on the events after it: the
            worth by placing the users by what was known at that moment (the centres have seen all events).
    Returns:
        Segments; `facts` tell how the number was chosen, stability, separation, worth and the unassigned share.
    Raises:
        DataError: shares that are not in 0..1, or points outside the users or the tree.
    """
    shares = share_matrix(profiles, tree, n_users)
    rows = rows_of_shares(shares, tree, config)
    if past is not None and np.count_nonzero(np.diff(past.after.indptr)) < MIN_LATER_USERS:
        past = None
    earlier = None if past is None else rows_of_shares(past.before, tree, config, weights=rows.weights).values
    recipe = Recipe.of(config)
    choice = choose_n(
        rows.values if earlier is None else earlier,
        recipe,
        max_segments=config.max_segments,
        max_users=config.n_choice_users,
        seed=seed,
        given=None if config.n_segments == "auto" else config.n_segments,
        later=None if past is None else past.after,
    )
    fitted, thin = _thickened(rows, shares, profiles, tree, config, seed)
    found = _make(fitted.values, choice.n_segments, recipe, shares, tree, config, seed)
    if past is None or earlier is None:
        worth = _worth_in_sample(found, recipe, shares, tree, config, seed)
    else:
        placed = assign(found.centroids, earlier)
        worth = measure_worth(
            placed,
            past.after,
            n_segments=found.n_clusters,
            in_sample=False,
            n_random=config.n_random,
            seed=seed,
        )
    table = _table(found, rows.values, shares, tree, worth, config)
    facts = _facts(found, choice, worth, config) | {
        "n_thin_users": int(thin.sum()),
        "seen_again_share": _seen_again(found, rows.values),
    }
    return Segments(found.labels, table, found.centroids, facts, rows.weights)


def assign_users(segments: Segments, rows: FloatArray) -> IntArray:
    """(n,) int32 segment of each user row: the nearest centroid; -1 for rows of zeros.

    Args:
        rows: (n, n_nodes) `user_rows(profiles, tree, n, config, weights=segments.row_weights).values`.
    Raises:
        DataError: rows are not finite, or of another tree.
    """
    return assign(segments.centroids, rows)


def user_membership(segments: Segments, rows: FloatArray) -> FloatArray:
    """(n, n_segments) how surely each user belongs to each segment; rows sum to 1, or 0 for rows of zeros.

    By distance to the centroids for every method (see `membership`); arguments as of `assign_users`.
    """
    return soft_by_distance(segments.centroids, float(segments.facts["spread"]), np.asarray(rows, np.float32))


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


def _make(
    rows: FloatArray,
    n_segments: int | None,
    recipe: Recipe,
    shares: sp.csr_array,
    tree: InterestTree,
    config: SegmentsConfig,
    seed: int,
) -> Clustering:
    """Make the segments, with users of large fields held back where that is asked for."""
    from penchant.threads import one_thread

    if config.balance == "none":
        return recipe.make(rows, n_segments, seed=seed)
    field = strongest_field(shares, tree)
    if config.balance == "weights":
        return recipe.make(rows, n_segments, seed=seed, weights=group_weights(field))
    drawn = recipe.make(rows[balanced_draw(field, config.balance, seed=seed)], n_segments, seed=seed)
    labels = assign(drawn.centroids, rows)
    with one_thread():
        return finish(rows, labels, drawn.centroids, drawn.n_asked, drawn.n_fitted)


def _thickened(
    rows: UserRows, shares: sp.csr_array, profiles: Profiles, tree: InterestTree, config: SegmentsConfig, seed: int
) -> tuple[UserRows, BoolArray]:
    """Rows to fit on: as they are, or with thin users' shares mixed with like users'."""
    if not config.thin_events:
        return rows, np.zeros(len(rows.values), np.bool_)
    leaves = profiles.of_level(tree.n_levels)
    n_events = np.bincount(leaves["user_row"].to_numpy(), leaves["n_events"].to_numpy(), minlength=len(rows.values))
    made = thicken(shares, rows.values, n_events.astype(np.int32), config.thin_events, seed=seed)
    return rows_of_shares(made.shares, tree, config, weights=rows.weights), made.thin


def _seen_again(found: Clustering, rows: FloatArray) -> float:
    """Share of users with evidence who would get the same segment by their row alone, as `assign_users` gives it."""
    again = assign(found.centroids, rows)
    present = filled(rows)
    return float((again == found.labels)[present].mean()) if present.any() else 1.0


def _worth_in_sample(
    found: Clustering, recipe: Recipe, shares: sp.csr_array, tree: InterestTree, config: SegmentsConfig, seed: int
) -> Worth:
    """Measure worth in sample, against the floor that the same procedure reaches where nothing is to be found."""
    leaves = sp.csr_array(shares[:, : tree.n_leaves])
    if found.n_clusters < 2:
        return measure_worth(found.labels, leaves, n_random=config.n_random, seed=seed)
    users = np.flatnonzero(found.labels >= 0)
    if len(users) > _FLOOR_USERS:
        users = np.sort(np.random.default_rng(seed).choice(users, _FLOOR_USERS, replace=False))
    nothing = shuffled_shares(sp.csr_array(leaves[users]), seed)
    rows = rows_of_shares(with_parents(nothing, tree), tree, config)
    null = recipe.make(rows.values, found.n_clusters, seed=seed)
    floor = measure_worth(null.labels, nothing, n_random=config.n_random, seed=seed)
    return measure_worth(found.labels, leaves, floor=floor.ratio, n_random=config.n_random, seed=seed)


def _facts(found: Clustering, choice: Choice, worth: Worth, config: SegmentsConfig) -> dict[str, Any]:
    candidates = [asdict(c) | {"by_deal": list(c.by_deal)} for c in choice.candidates]  # as JSON gives them back
    if choice.n_segments is None:
        chosen = candidates[0] if candidates else None
    else:
        chosen = next((c for c in candidates if c["n_segments"] == choice.n_segments), None)
    return {
        "method": config.method,
        "n_segments": found.n_clusters,
        "n_asked": found.n_asked,
        "n_fitted": found.n_fitted,
        "spread": found.spread,
        "rule": choice.rule,
        "separation_is": choice.separation_is,
        "n_choice_users": choice.n_users,
        "candidates": candidates,
        "stability": chosen["stability"] if chosen else None,
        "separation": chosen["separation"] if chosen else None,
        "loss": found.loss,
        "unassigned_share": float(np.mean(found.labels < 0)) if len(found.labels) else 0.0,
        "worth": worth.facts(),
    }


def _table(
    found: Clustering,
    rows: FloatArray,
    shares: sp.csr_array,
    tree: InterestTree,
    worth: Worth,
    config: SegmentsConfig,
) -> pl.DataFrame:
    n = found.n_clusters
    traits = segment_traits(
        shares, found.labels, n, tree, n_top=config.n_top_interests, min_coverage=config.min_coverage
    )
    size = np.bincount(found.labels[found.labels >= 0], minlength=n)
    words = node_names(tree)
    columns: dict[str, tuple[Any, Any]] = {
        "segment_id": ([f"s{i + 1}" for i in range(n)], pl.String),
        "name": (segment_names(traits, tree), pl.String),
        "n_users": (size, pl.Int32),
        "share": (size / max(len(found.labels), 1), pl.Float32),
        "top_interests": ([[words[i] for i in top] for top in traits.interest_rows], pl.List(pl.String)),
        "top_interest_rows": (traits.interest_rows, pl.List(pl.Int32)),
        "lift": (traits.lift, pl.List(pl.Float32)),
        "coverage": (traits.coverage, pl.List(pl.Float32)),
        "exemplars": (exemplars(rows, found.labels, found.centroids, config.n_exemplars), pl.List(pl.Int32)),
        "cohesion": (cohesion(rows, found.labels, found.centroids), pl.Float32),
        "worth": (worth.by_segment, pl.Float32),
        "passes": (worth.passes, pl.Boolean),
    }
    return pl.DataFrame([pl.Series(name, values, dtype=kind, strict=False) for name, (values, kind) in columns.items()])
