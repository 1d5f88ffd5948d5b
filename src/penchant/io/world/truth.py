"""Score any method's tables against the truth of a made-up market.

The tables are those of the command line: `items` (item_id, interest_id, membership), `profiles` (user_id, interest_id,
layer, probability), `interests` (interest_id, name, keywords), segments (user_id, segment_id). So a peer, a rule or a
spreadsheet can be scored like Penchant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.data import LAYERS
from penchant.errors import DataError
from penchant.io.world.users import layer_of

UNASSIGNED = "-1"


def score_leaves(truth_items: pl.DataFrame, items: pl.DataFrame) -> dict[str, float]:
    """Compare the leaf of each item with its true interest.

    Args:
        truth_items: truth of a world, item_id and interest_id. items: item_id, interest_id and, where an item lies in
        several leaves, membership (the strongest counts; ties: the lower id). Items left out count as one leaf "-1".
    Returns:
        homogeneity, completeness, v_measure, ari, ami (0..1, higher is better), n_leaves, unassigned_share.

    >>> truth = pl.DataFrame({"item_id": ["a", "b", "c"], "interest_id": ["tea", "tea", "golf"]})
    >>> score_leaves(truth, pl.DataFrame({"item_id": ["a", "b", "c"], "interest_id": ["1", "1", "2"]}))["v_measure"]
    1.0
    """
    _need(truth_items, "truth_items", "item_id", "interest_id")
    joined = truth_items.select("item_id", true="interest_id").join(strongest_leaf(items), on="item_id", how="left")
    return {
        **_agreement(joined["true"], joined["interest_id"].cast(pl.String).fill_null(UNASSIGNED)),
        "n_leaves": float(joined["interest_id"].drop_nulls().n_unique()),
        "unassigned_share": _null_share(joined["interest_id"]),
    }


def score_segments(truth_segments: pl.DataFrame, users: pl.DataFrame) -> dict[str, float]:
    """Compare the segment of each user with the true one.

    Args:
        truth_segments: truth of a world, user_id and segment_id (bots are not in it and are not judged).
        users: user_id, segment_id, one row a user. Users left out count as one segment "-1".
    Returns:
        homogeneity, completeness, v_measure, ari, ami, n_segments, unassigned_share.
    """
    _need(truth_segments, "truth_segments", "user_id", "segment_id")
    _need(users, "users", "user_id", "segment_id")
    given = users.select(pl.col("user_id").cast(pl.String), pl.col("segment_id").cast(pl.String))
    if given["user_id"].n_unique() != given.height:
        raise DataError("users: column 'user_id' must be unique; a user lies in one segment")
    joined = truth_segments.select("user_id", true="segment_id").join(given, on="user_id", how="left")
    found = joined["segment_id"].replace({UNASSIGNED: None})
    return {
        **_agreement(joined["true"], found.fill_null(UNASSIGNED)),
        "n_segments": float(found.drop_nulls().n_unique()),
        "unassigned_share": _null_share(found),
    }


def strongest_leaf(items: pl.DataFrame) -> pl.DataFrame:
    """One row an item: item_id, interest_id (string; "-1" and null are left out)."""
    _need(items, "items", "item_id", "interest_id")
    weight = pl.col("membership") if "membership" in items.columns else pl.lit(1.0)
    rows = items.select(pl.col("item_id").cast(pl.String), pl.col("interest_id").cast(pl.String), weight=weight)
    rows = rows.filter(pl.col("interest_id").is_not_null() & (pl.col("interest_id") != UNASSIGNED))
    rows = rows.sort("item_id", "weight", "interest_id", descending=[False, True, False])
    return rows.unique("item_id", keep="first", maintain_order=True).select("item_id", "interest_id")


def true_interest_of_leaf(truth_items: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Name each leaf by the majority of its items.

    Returns: interest_id (the leaf), true_interest_id, purity (0..1), n_items; sorted by leaf; ties: the lower true id.
    """
    joined = strongest_leaf(items).join(truth_items.select("item_id", true_interest_id="interest_id"), on="item_id")
    counts = joined.group_by("interest_id", "true_interest_id").len("n")
    counts = counts.with_columns(n_items=pl.col("n").sum().over("interest_id")).sort(
        "interest_id", "n", "true_interest_id", descending=[False, True, False]
    )
    top = counts.unique("interest_id", keep="first", maintain_order=True)
    return top.select("interest_id", "true_interest_id", purity=pl.col("n") / pl.col("n_items"), n_items="n_items")


def score_layers(truth: Mapping[str, pl.DataFrame], profiles: pl.DataFrame, items: pl.DataFrame) -> dict[str, Any]:
    """Compare the layer of each interest point with the true layer at the end of the log.

    A leaf stands for the true interest of most of its items. Leaves of one user that stand for the same interest are
    merged: the highest probability counts (without probabilities: the highest layer). Only listed points are judged;
    a point on an interest that was not planted is judged by its true chance; bots are left out.

    Args:
        truth: of a world (items, interests, user_interests, bots). profiles: user_id, interest_id (leaf), layer and,
        where known, probability. items: item_id, interest_id, membership.
    Returns:
        macro_f1, f1_core, f1_secondary, f1_peripheral, accuracy, n_points, core_found (truly core interests that are
        listed as core, of all), and confusion (3 x 3 counts, rows true, columns given, in the order of LAYERS).
    Raises:
        DataError: a layer is none of core, secondary, peripheral.
    """
    _need(profiles, "profiles", "user_id", "interest_id", "layer")
    strange = profiles.filter(~pl.col("layer").cast(pl.String).is_in(LAYERS) | pl.col("layer").is_null())
    if strange.height:
        raise DataError(f"profiles: column 'layer': {strange['layer'][0]!r} is unknown; allowed: {', '.join(LAYERS)}")
    rank = {name: i for i, name in enumerate(LAYERS)}
    leaf = true_interest_of_leaf(truth["items"], items).select("interest_id", "true_interest_id")
    probability = pl.col("probability") if "probability" in profiles.columns else pl.lit(0.0)
    points = (
        profiles.select(
            pl.col("user_id").cast(pl.String),
            pl.col("interest_id").cast(pl.String),
            probability.alias("probability"),
            given=pl.col("layer").cast(pl.String).replace_strict(rank, return_dtype=pl.Int8),
        )
        .join(leaf, on="interest_id")
        .join(truth["bots"].select("user_id"), on="user_id", how="anti")
        .sort("user_id", "true_interest_id", "probability", "given", descending=[False, False, True, False])
        .unique(["user_id", "true_interest_id"], keep="first", maintain_order=True)
    )
    planted = truth["user_interests"].select("user_id", "probability", "layer", true_interest_id="interest_id")
    joined = points.join(
        planted.rename({"probability": "chance"}), on=["user_id", "true_interest_id"], how="left", maintain_order="left"
    ).join(truth["interests"].select("base_probability", true_interest_id="interest_id"), on="true_interest_id")
    true = layer_of(joined.select(pl.coalesce("chance", "base_probability")).to_series().to_numpy())
    confusion = np.zeros((3, 3), np.int64)
    np.add.at(confusion, (true, joined["given"].to_numpy()), 1)
    n_core = planted.filter(pl.col("layer") == "core").height
    return {
        **layer_f1(confusion),
        "n_points": int(confusion.sum()),
        "core_found": float(confusion[0, 0] / n_core) if n_core else 0.0,
        "confusion": confusion.tolist(),
    }


def layer_f1(confusion: npt.NDArray[np.int64]) -> dict[str, float]:
    """macro_f1, f1_core, f1_secondary, f1_peripheral and accuracy of a (3, 3) confusion (rows true, columns given).

    A layer that is neither true nor given anywhere has an F1 of 0, as scikit-learn has it.

    >>> layer_f1(np.array([[1, 1, 0], [0, 2, 0], [0, 0, 4]]))["f1_secondary"]
    0.8
    """
    hit = np.diag(confusion).astype(float)
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    f1 = 2 * hit / np.maximum(both, 1)
    names = {f"f1_{layer}": float(score) for layer, score in zip(LAYERS, f1, strict=True)}
    return {"macro_f1": float(f1.mean()), **names, "accuracy": float(hit.sum() / max(1, confusion.sum()))}


def score_names(truth: Mapping[str, pl.DataFrame], interests: pl.DataFrame, items: pl.DataFrame) -> dict[str, float]:
    """Tell how many leaves are called by a true word of the interest that most of their items have.

    True words are the interest's own words and the words of its name, in both languages, upper or lower case, singular
    or plural.

    Args:
        truth: of a world (items, interests). interests: interest_id, name and, where known, keywords (list); rows that
        hold no item (upper levels) are passed over. items: item_id, interest_id, membership.
    Returns:
        name_share, keyword_share (leaves with a true word among the keywords; 0 without the column), n_leaves.
    """
    _need(interests, "interests", "interest_id", "name")
    leaf = true_interest_of_leaf(truth["items"], items)
    joined = interests.with_columns(pl.col("interest_id").cast(pl.String)).join(
        leaf.select("interest_id", "true_interest_id"), on="interest_id", maintain_order="left"
    )
    words = {row["interest_id"]: _true_words(row) for row in truth["interests"].iter_rows(named=True)}
    true = joined["true_interest_id"].to_list()
    named = [_says(name or "", words[k]) for name, k in zip(joined["name"], true, strict=True)]
    keyed = [False] * len(true)
    if "keywords" in joined.columns:
        lists = joined["keywords"].to_list()
        keyed = [any(_says(word, words[k]) for word in group or []) for group, k in zip(lists, true, strict=True)]
    n = max(1, len(true))
    return {"name_share": sum(named) / n, "keyword_share": sum(keyed) / n, "n_leaves": float(len(true))}


def _true_words(row: Mapping[str, Any]) -> frozenset[str]:
    english = {w for w in row["name_en"].lower().split() if w not in ("and", "home", "video", "house")}
    chinese = set(row["name_zh"].split("与"))
    return frozenset(_singular(w) for w in {*english, *row["keywords_en"]}) | chinese | set(row["keywords_zh"])


def _says(name: str, words: frozenset[str]) -> bool:
    tokens = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    if any(_singular(token) in words for token in tokens):
        return True
    # Chinese names are not spaced, and a segmenter may cut a word in two: look inside.
    return any(not word.isascii() and word in name for word in words)


def _singular(word: str) -> str:
    return word[:-1] if word.isascii() and len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _agreement(true: pl.Series, given: pl.Series) -> dict[str, float]:
    from sklearn import metrics

    a, b = (s.rank("dense").to_numpy() for s in (true, given))
    homogeneity, completeness, v_measure = metrics.homogeneity_completeness_v_measure(a, b)
    return {
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
        "v_measure": float(v_measure),
        "ari": float(metrics.adjusted_rand_score(a, b)),
        "ami": float(metrics.adjusted_mutual_info_score(a, b)),
    }


def _null_share(series: pl.Series) -> float:
    return series.null_count() / max(1, len(series))


def _need(table: pl.DataFrame, name: str, *columns: str) -> None:
    for column in columns:
        if column not in table.columns:
            raise DataError(f"{name}: column '{column}' is missing. Got {table.columns}; give a table that has it")
