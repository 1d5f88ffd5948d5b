"""The tables a caller sees, with the column names of the contract (docs/contracts.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import LAYERS, STATES, BoolArray, FloatArray, Recommendations
from penchant.errors import ConfigError, NotFoundError, did_you_mean
from penchant.filters import domain_items
from penchant.recommend.contributions import COLUMNS as WHY_COLUMNS
from penchant.recommend.explain import explain

if TYPE_CHECKING:
    from penchant.model import Model

Language = Literal["en", "zh"]
UNKNOWN_USER: dict[Language, str] = {
    "en": "recently popular: this user is not in the log the model was fitted on",
    "zh": "近期热门：训练模型的日志里没有这个用户",
}
NOTHING_THERE: dict[Language, str] = {
    "en": "recently popular: this user likes nothing of the domain “{domain}” yet",
    "zh": "近期热门：该用户在“{domain}”领域尚无喜欢的物品",
}
PART_ROWS = 100_000  # recommendations made and told in words at a time
RECOMMENDATION_COLUMNS = ("user_id", "item_id", "rank", "score", "interest_id", "layer", "reason")


def as_date(seconds: float) -> str:
    """Seconds since 1970 as an ISO date and time in UTC.

    >>> as_date(0.0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def points_of_level(model: Model, level: int | None) -> pl.DataFrame:
    """Interest points of one level of the tree; None = leaves.

    Raises:
        ConfigError: the tree has no such level.
    """
    level = model.tree.n_levels if level is None else level
    if not 1 <= level <= model.tree.n_levels:
        raise ConfigError(f"level: must be 1 (top) to {model.tree.n_levels} (leaves). Got {level} instead")
    return model.profiles.of_level(level)


def profiles_table(model: Model, level: int | None) -> pl.DataFrame:
    """user_id, interest_id, interest, layer, state, probability, affinity, share, last_seen, medoid_item_id, ..."""
    points = points_of_level(model, level)
    nodes = model.tree.nodes
    timed = model.clock == "time"
    last_seen = pl.from_epoch((pl.col("last_time") * 1000).cast(pl.Int64), time_unit="ms")
    return points.select(
        gather(model.user_ids, points["user_row"]).alias("user_id"),
        gather(nodes["interest_id"], points["interest_row"]).alias("interest_id"),
        gather(nodes["name"], points["interest_row"]).alias("interest"),
        gather(pl.Series(LAYERS), points["layer"]).alias("layer"),
        gather(pl.Series(STATES), points["state"]).alias("state"),
        "probability",
        "affinity",
        "share",
        (last_seen if timed else pl.lit(None, pl.Datetime("ms"))).alias("last_seen"),
        gather(model.items.item_ids, points["medoid_item_row"]).alias("medoid_item_id"),
        "aversion",
        "n_events",
        "n_active_days",
    )


def interests_table(model: Model) -> pl.DataFrame:
    """interest_id, parent_id, level, name, keywords, n_items, n_users, medoid_item_id, coverage, distinctiveness."""
    nodes = model.tree.nodes
    users = np.bincount(
        model.profiles.points.filter(pl.col("affinity") > 0)["interest_row"].to_numpy(), minlength=nodes.height
    )
    return nodes.select(
        "interest_id",
        gather(nodes["interest_id"], nodes["parent_row"]).alias("parent_id"),
        "level",
        "name",
        "keywords",
        "n_items",
        pl.Series("n_users", users.astype(np.int32)),
        gather(model.items.item_ids, nodes["medoid_item_row"]).alias("medoid_item_id"),
        "coverage",
        "distinctiveness",
    )


def items_table(model: Model) -> pl.DataFrame:
    """item_id, interest_id, membership; an unassigned item has one row with no interest."""
    return _membership_table(model, model.tree.membership, model.items.item_ids, "item_id")


def placement_table(model: Model, membership: sp.csr_array) -> pl.DataFrame:
    """text_row, interest_id, membership, interest."""
    rows = pl.Series("text_row", np.arange(membership.shape[0], dtype=np.int32))
    out = _membership_table(model, membership, rows, "text_row")
    names = model.tree.nodes.select("interest_id", pl.col("name").alias("interest"))
    return out.join(names, on="interest_id", how="left", maintain_order="left")


def segments_table(model: Model) -> pl.DataFrame:
    """segment_id, name, n_users, share, top_interests, exemplars (user ids), lift, cohesion, worth, passes."""
    table = model.segments.table
    exemplars = [[model.user_ids[int(u)] for u in row] for row in table["exemplars"].to_list()]
    return table.select(
        "segment_id",
        "name",
        "n_users",
        "share",
        "top_interests",
        pl.Series("exemplars", exemplars, dtype=pl.List(pl.String)),
        "lift",
        "cohesion",
        "worth",
        "passes",
    )


def audience_table(model: Model, segment: str) -> pl.DataFrame:
    """user_id, segment_id, segment, core_interests (names of the user's core interests), and the user's attributes."""
    table, row = model.segments.table, segment_row(model, segment)
    users = np.flatnonzero(model.segments.segment_row == row).astype(np.int32)
    core = (
        profiles_table(model, None)
        .filter(pl.col("layer") == "core")
        .group_by("user_id", maintain_order=True)
        .agg(pl.col("interest").alias("core_interests"))
    )
    out = (
        pl.DataFrame({"user_id": gather(model.user_ids, pl.Series(users))})
        .with_columns(segment_id=pl.lit(table["segment_id"][row]), segment=pl.lit(table["name"][row]))
        .join(core, on="user_id", how="left", maintain_order="left")
        .with_columns(pl.col("core_interests").fill_null([]))
    )
    if model.attributes is not None:
        out = out.join(model.attributes, on="user_id", how="left", maintain_order="left")
    return out


def segment_row(model: Model, segment: str) -> int:
    """Row of a segment, by its id or its name.

    Raises:
        NotFoundError: there is none; names the nearest.
    """
    table = model.segments.table
    hits = ((table["segment_id"] == segment) | (table["name"] == segment)).arg_true()
    if hits.is_empty():
        known = table["segment_id"].to_list() + table["name"].to_list()
        raise NotFoundError(f"segment '{segment}' is not in this model; {did_you_mean(segment, known)}")
    return int(hits[0])


class ListOptions(TypedDict, total=False):
    """Keyword arguments of `Model.recommend_from` and its like."""

    language: Language
    only: Sequence[str] | None
    without: Sequence[str]
    where: Sequence[str]
    why: bool


def recommendations_in_parts(
    model: Model,
    user_ids: Sequence[str],
    k: int,
    language: Language,
    allowed: BoolArray | None,
    why: bool,
    source_domain: str | None = None,
) -> Iterator[pl.DataFrame]:
    """Recommend to users in the order asked; recently popular items to those of whom nothing is known.

    Args:
        source_domain: the past is read in this domain alone.
    Returns:
        The table in parts of about PART_ROWS rows, made one by one; no user is in two of them.
    """
    distinct = list(dict.fromkeys(user_ids))
    if not distinct:
        raise ConfigError("recommend: no user was asked for; give user ids, or none at all for every user")
    rows = model.user_rows(distinct)
    known = rows >= 0
    read = known
    if source_domain is not None:
        source = domain_items(model.items, source_domain)
        read = known & (n_liked_of(model, source)[rows] > 0)
    else:
        source = None
    silent = NOTHING_THERE[language].format(domain=source_domain)

    def part(ids: list[str], at: slice) -> pl.DataFrame:
        frames = []
        if read[at].any():
            found = model.recommender.recommend(
                rows[at][read[at]], model.profiles, k=k, allowed=allowed, source=source, why=why
            )
            frames.append(recommendation_rows(model, found, model.user_ids, language))
        for told, reason in ((known & ~read, silent), (~known, UNKNOWN_USER[language])):
            others = [ids[i] for i in np.flatnonzero(told[at])]
            if others:
                frames.append(_popular_rows(model, others, k, reason, allowed, why))
        order = pl.DataFrame({"user_id": ids, "order": np.arange(len(ids))})
        return pl.concat(frames).join(order, on="user_id", maintain_order="left").sort("order", "rank").drop("order")

    step = max(1, PART_ROWS // k)
    return (part(distinct[s : s + step], slice(s, s + step)) for s in range(0, len(distinct), step))


def n_liked_of(model: Model, items: BoolArray) -> FloatArray:
    """(n_users,) how many of these items each user likes."""
    return np.asarray(model.recommender.past.matrix() @ items.astype(np.float32), np.float32)


def recommendation_rows(
    model: Model, found: Recommendations, user_ids: pl.Series, language: Language = "en"
) -> pl.DataFrame:
    """Turn rows into ids and add the reason in words."""
    table, nodes = found.table, model.tree.nodes
    reasons = explain(found, model.items, model.tree, language)
    return table.select(
        gather(user_ids, table["user_row"]).alias("user_id"),
        gather(model.items.item_ids, table["item_row"]).alias("item_id"),
        "rank",
        "score",
        gather(nodes["interest_id"], table["interest_row"]).alias("interest_id"),
        gather(pl.Series(LAYERS), table["layer"]).alias("layer"),
        pl.Series("reason", reasons, dtype=pl.String),
        *(name for name in table.columns if name in WHY_COLUMNS),
    )


def _popular_rows(
    model: Model, user_ids: Sequence[str], k: int, reason: str, allowed: BoolArray | None, why: bool
) -> pl.DataFrame:
    popular = model.recommender.popular(k, allowed=allowed)
    one = recommendation_rows(model, popular, pl.Series(["?"])).drop("user_id")
    users = pl.DataFrame({"user_id": list(user_ids)})
    out = users.join(one, how="cross").with_columns(pl.lit(reason).alias("reason"))
    shares = {name: pl.lit(float(name == "why_popularity"), pl.Float32) for name in WHY_COLUMNS if why}
    return out.select(RECOMMENDATION_COLUMNS).with_columns(**shares)


def _membership_table(model: Model, membership: sp.csr_array, ids: pl.Series, name: str) -> pl.DataFrame:
    matrix = membership.tocsr()
    sizes = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(matrix.shape[0]), sizes)
    filled = pl.DataFrame(
        {
            "row": rows,
            "interest_id": gather(model.tree.nodes["interest_id"], pl.Series(matrix.indices.astype(np.int32))),
            "membership": matrix.data.astype(np.float32),
        }
    )
    empty = pl.DataFrame({"row": np.flatnonzero(sizes == 0)}).with_columns(
        interest_id=pl.lit(None, pl.String), membership=pl.lit(0.0, pl.Float32)
    )
    out = pl.concat([filled, empty]).sort("row", "membership", descending=[False, True], maintain_order=True)
    return out.select(gather(ids, out["row"]).alias(name), "interest_id", "membership")


def gather(values: pl.Series, rows: pl.Series) -> pl.Series:
    """values[rows], null where a row is negative or null."""
    index = rows.cast(pl.Int64)
    return values.gather(index.set(index < 0, None))
