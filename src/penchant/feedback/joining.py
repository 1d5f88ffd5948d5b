"""Answers joined with a model: the user's layer and segment, the item's interest, its rank and what brought it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from penchant.data import LAYERS, IntArray
from penchant.errors import DataError
from penchant.io.feedback import Feedback
from penchant.io.ids import match_ids
from penchant.model import Model
from penchant.tables import gather

NO_LAYER, NOT_LISTED = "no such interest yet", "not listed"
N_LISTED = 20
_BANDS = ((1, 1), (2, 3), (4, 10), (11, N_LISTED))


def join_model(model: Model, feedback: Feedback, lists: pl.DataFrame | None) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Add to each answer what the model knows of it.

    Args:
        lists: user_id, item_id, rank, source, predicted of what was shown; None = the lists the model makes now.
    Returns:
        the answers with user (row of the model, or len(user_ids) and more for people it doesn't know), interest,
        layer, segment, rank (a band), source, predicted; and facts.
    Raises:
        DataError: no answer is of a user of the model.
    """
    table, n_users = feedback.table, len(model.user_ids)
    user = _rows(table["user_id"], model.user_ids)
    if not (user >= 0).any():
        raise DataError(
            f"{feedback.name}: none of its {table['user_id'].n_unique():,} users is in the model (feedback: "
            f"{', '.join(table['user_id'].head(3).to_list())}; model: {', '.join(model.user_ids.head(3).to_list())}); "
            "check --columns user_id=..."
        )
    item = _rows(table["item_id"], model.items.item_ids)
    node = np.where(item >= 0, model.tree.leaf_of_item[item], _nodes_named(model, table["interest"]))
    segment = np.where(user >= 0, model.segments.segment_row[user], -1)
    asked = _segments_named(model, table["segment"])
    segment = np.where(asked >= 0, asked, segment).astype(np.int32)
    nodes = pl.Series(node.astype(np.int32))
    places = _places(model, table, user, item, lists)
    strangers = pl.Series(np.where(user < 0, 1, 0))
    numbered = pl.DataFrame({"id": table["user_id"], "user": user.astype(np.int64)}).with_columns(
        user=pl.when(pl.col("user") < 0).then(n_users + pl.col("id").rank("dense").cast(pl.Int64)).otherwise("user")
    )
    out = table.with_columns(
        user=numbered["user"],
        interest=gather(model.tree.nodes["name"], nodes),
        layer=_layers(model, user, node),
        segment=pl.when(pl.Series(segment >= 0))
        .then(gather(model.segments.table["name"], pl.Series(segment)))
        .otherwise(pl.when(pl.Series(user >= 0)).then(pl.lit("unassigned"))),
        rank=_bands(places["rank"], item),
        source=places["source"],
        predicted=places["predicted"],
    )
    before = table["time"].drop_nulls()
    facts: dict[str, Any] = {
        "n_answers": table.height,
        "n_users": table["user_id"].n_unique(),
        "n_model_users": n_users,
        "n_answers_of_unknown_users": int(strangers.sum()),
        "n_answers_about_unknown_items": int((table["item_id"].is_not_null() & pl.Series(item < 0)).sum()),
        "n_answers_about_items": int((item >= 0).sum()),
        "heaviest_share": float(table["user_id"].value_counts()["count"].max()) / table.height,  # type: ignore[arg-type]
        "known_before": int((before <= model.profiles.at).sum()) if model.clock == "time" and len(before) else None,
        "ranks_from": "the answers" if table["rank"].is_not_null().any() else "lists given" if lists is not None
        else f"this model's lists of {N_LISTED} now",
    }  # fmt: skip
    return out, facts


def _rows(ids: pl.Series, known: pl.Series) -> IntArray:
    """(n,) row of each id, -1 where it is null or unknown; forms of an id are brought together as for a catalogue."""
    names = ids.drop_nulls().unique().sort()
    if not len(names):
        return np.full(len(ids), -1, np.int32)
    to = pl.Series(match_ids(names, known).to, dtype=pl.Int32)
    return ids.replace_strict(names, to, default=-1, return_dtype=pl.Int32).fill_null(-1).to_numpy()


def _nodes_named(model: Model, named: pl.Series) -> IntArray:
    """(n,) node of an interest by id or name (letter case aside; of equal names the finest), -1 for none."""
    nodes = model.tree.nodes
    rows = {name.casefold(): row for row, name in reversed(list(enumerate(nodes["name"].to_list())))}
    rows |= {name.casefold(): row for row, name in enumerate(nodes["interest_id"].to_list())}
    return _looked_up(named, rows)


def _segments_named(model: Model, named: pl.Series) -> IntArray:
    table = model.segments.table
    rows = {name.casefold(): row for row, name in enumerate(table["name"].to_list())}
    rows |= {name.casefold(): row for row, name in enumerate(table["segment_id"].to_list())}
    return _looked_up(named, rows)


def _looked_up(named: pl.Series, rows: dict[str, int]) -> IntArray:
    found = {name: rows.get(name.casefold(), -1) for name in named.drop_nulls().unique().to_list()}
    if not found:
        return np.full(len(named), -1, np.int32)
    return named.replace_strict(found, default=-1, return_dtype=pl.Int32).fill_null(-1).to_numpy()


def _layers(model: Model, user: IntArray, node: IntArray) -> pl.Series:
    """(n,) layer of the answer's interest for its user; null where either is not known."""
    points = model.profiles.points.select("user_row", "interest_row", "layer", "probability")
    asked = pl.DataFrame({"user_row": user.astype(np.int32), "interest_row": node.astype(np.int32)})
    layer = asked.join(points, on=["user_row", "interest_row"], how="left", maintain_order="left")["layer"]
    named = gather(pl.Series(LAYERS), layer)
    both = pl.Series((user >= 0) & (node >= 0))
    return pl.select(layer=pl.when(both).then(named.fill_null(NO_LAYER)))["layer"]


def _places(
    model: Model, table: pl.DataFrame, user: IntArray, item: IntArray, lists: pl.DataFrame | None
) -> pl.DataFrame:
    """rank, source, predicted of each answer: the answers' own, else those of the lists."""
    own = table.select("rank", "source", "predicted")
    if lists is not None:
        keys = ["user_id", "item_id"]
        found = table.select(keys).join(lists, on=keys, how="left", maintain_order="left")
        # whoever was shown lists of k, but not this item, is told so by no rank at all
        return own.with_columns(
            pl.coalesce("rank", found["rank"]),
            pl.coalesce("source", found["source"]),
            pl.coalesce("predicted", found["predicted"]),
        )
    both = (user >= 0) & (item >= 0)
    if not both.any():
        return own
    users = np.unique(user[both])
    keys = ["user_row", "item_row"]
    asked = pl.DataFrame({"user_row": user.astype(np.int32), "item_row": item.astype(np.int32)})
    recommend = model.recommender.recommend
    listed = recommend(users, model.profiles, k=N_LISTED, evidence=False).table.select(*keys, "rank", "source")
    found = asked.join(listed, on=keys, how="left", maintain_order="left")
    # the whole order the model can tell: its candidates, what was touched among them; all else stands below, as one
    deep = max(N_LISTED, model.config.recommend.n_candidates)
    order = recommend(users, model.profiles, k=deep, allow_seen=True, evidence=False).table.select(*keys, deep="rank")
    predicted = -asked.join(order, on=keys, how="left", maintain_order="left")["deep"].cast(pl.Float64)
    predicted = predicted.fill_null(-(deep + 1.0)).set(pl.Series(~both), None)
    return own.with_columns(
        pl.coalesce("rank", found["rank"]),
        pl.coalesce("source", found["source"]),
        pl.coalesce("predicted", predicted),
    )


def _bands(rank: pl.Series, item: IntArray) -> pl.Series:
    """(n,) words for ranks; null for answers about no item of the model and without a rank."""
    said: pl.Expr = pl.when(pl.Series(item >= 0)).then(pl.lit(NOT_LISTED))
    for low, high in _BANDS:
        said = (
            pl.when(rank.is_between(low, high))
            .then(pl.lit(str(low) if low == high else f"{low} to {high}"))
            .otherwise(said)
        )
    said = pl.when(rank > N_LISTED).then(pl.lit(f"{N_LISTED + 1} and below")).otherwise(said)
    return pl.select(said.alias("rank"))["rank"]
