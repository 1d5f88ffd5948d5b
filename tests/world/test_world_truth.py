"""Truth metrics: hand-worked numbers, and what the truth itself scores."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import f1_score

from penchant.errors import DataError
from penchant.io.world import World, make_world
from penchant.io.world.truth import (
    layer_f1,
    score_layers,
    score_leaves,
    score_names,
    score_segments,
    true_interest_of_leaf,
)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(n_users=150, n_items=300, n_days=60, seed=1)


TRUTH_ITEMS = pl.DataFrame({"item_id": list("abcd"), "interest_id": ["tea", "tea", "coffee", "coffee"]})
ITEMS = pl.DataFrame(
    {
        "item_id": ["a", "a", "b", "c", "d"],
        "interest_id": ["L1", "L2", "L1", "L2", "L3"],
        "membership": [0.7, 0.3, 1.0, 1.0, 1.0],
    }
)
TRUTH = {
    "items": TRUTH_ITEMS,
    "interests": pl.DataFrame(
        {
            "interest_id": ["tea", "coffee"],
            "name_en": ["Tea", "Home coffee"],
            "name_zh": ["茶饮", "家庭咖啡"],
            "keywords_en": [["oolong", "leaves"], ["beans", "espresso"]],
            "keywords_zh": [["乌龙"], ["拿铁"]],
            "base_probability": [0.01, 0.02],
        }
    ),
    "user_interests": pl.DataFrame(
        {
            "user_id": ["u1", "u1", "u2"],
            "interest_id": ["tea", "coffee", "coffee"],
            "probability": [0.9, 0.2, 0.6],
            "layer": ["core", "secondary", "core"],
        }
    ),
    "bots": pl.DataFrame({"user_id": ["bot"]}),
}


def test_truth_scores_one(world: World) -> None:
    truth = world.truth
    leaves = truth["items"].select("item_id", "interest_id")
    points = truth["user_interests"].select("user_id", "interest_id", "layer", "probability")
    assert score_leaves(truth["items"], leaves)["ari"] == pytest.approx(1.0)
    assert score_segments(truth["segments"], truth["segments"])["ami"] == pytest.approx(1.0)
    layers = score_layers(truth, points, leaves)
    assert layers["macro_f1"] == 1.0
    assert layers["core_found"] == 1.0
    assert layers["n_points"] == points.height
    named = truth["interests"].select("interest_id", pl.col("name_en").alias("name"), keywords="keywords_zh")
    assert score_names(truth, named, leaves) == {"name_share": 1.0, "keyword_share": 1.0, "n_leaves": 30.0}


def test_relabelled_leaves_score_the_same(world: World) -> None:
    truth = world.truth["items"]
    rng = np.random.default_rng(0)
    given = truth.select("item_id", interest_id=pl.Series(rng.integers(0, 9, truth.height)))
    other = given.with_columns(pl.format("leaf {}", 100 - pl.col("interest_id")).alias("interest_id"))
    assert score_leaves(truth, given) == pytest.approx(score_leaves(truth, other))


def test_strongest_membership_and_majority() -> None:
    leaves = true_interest_of_leaf(TRUTH_ITEMS, ITEMS)
    assert leaves.rows() == [("L1", "tea", 1.0, 2), ("L2", "coffee", 1.0, 1), ("L3", "coffee", 1.0, 1)]
    score = score_leaves(TRUTH_ITEMS, ITEMS)
    assert score["homogeneity"] == pytest.approx(1.0)
    assert score["completeness"] == pytest.approx(2 / 3)  # H(leaf) = 1.5 bit, H(leaf | interest) = 0.5 bit


def test_unassigned_items_are_counted_not_hidden() -> None:
    score = score_leaves(TRUTH_ITEMS, ITEMS.filter(pl.col("item_id") != "d"))
    assert score["unassigned_share"] == 0.25
    assert score["n_leaves"] == 2
    segments = pl.DataFrame({"user_id": ["u1", "u2"], "segment_id": ["1", "2"]})
    assert score_segments(segments, segments.head(1))["unassigned_share"] == 0.5


def test_layers_by_hand() -> None:
    """L2 and L3 are both coffee: u1's is merged to the likelier; u2's tea was not planted, so it is peripheral."""
    profiles = pl.DataFrame(
        {
            "user_id": ["u1", "u1", "u1", "u2", "u2", "bot"],
            "interest_id": ["L1", "L2", "L3", "L2", "L1", "L1"],
            "layer": ["core", "peripheral", "secondary", "secondary", "peripheral", "core"],
            "probability": [0.8, 0.1, 0.3, 0.4, 0.05, 0.9],
        }
    )
    score = score_layers(TRUTH, profiles, ITEMS)
    assert score["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert score["core_found"] == 0.5
    assert score["f1_core"] == pytest.approx(2 / 3)
    assert score["f1_secondary"] == pytest.approx(2 / 3)
    assert score["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert score_layers(TRUTH, profiles.drop("probability"), ITEMS)["confusion"] == score["confusion"]


def test_macro_f1_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    true, given = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    confusion = np.zeros((3, 3), np.int64)
    np.add.at(confusion, (true, given), 1)
    assert layer_f1(confusion)["macro_f1"] == pytest.approx(f1_score(true, given, average="macro"))


def test_names() -> None:
    interests = pl.DataFrame(
        {
            "interest_id": ["L1", "L2", "L3", "top"],
            "name": ["Leaf, oolong & co", "精品咖啡馆", "Pots", "Drinks"],
            "keywords": [["mug"], ["拿铁"], ["Bean"], ["tea"]],
        }
    )
    score = score_names(TRUTH, interests, ITEMS)
    assert score["n_leaves"] == 3
    assert score["name_share"] == pytest.approx(
        1 / 3
    )  # 咖啡 is no keyword of this small truth; 家庭咖啡 is not in the name
    assert score["keyword_share"] == pytest.approx(2 / 3)


def test_wrong_tables_are_named() -> None:
    with pytest.raises(DataError, match="items: column 'interest_id' is missing"):
        score_leaves(TRUTH_ITEMS, ITEMS.drop("interest_id"))
    strange = pl.DataFrame({"user_id": ["u1"], "interest_id": ["L1"], "layer": ["kern"]})
    with pytest.raises(DataError, match="'kern' is unknown; allowed: core, secondary, peripheral"):
        score_layers(TRUTH, strange, ITEMS)
    twice = pl.DataFrame({"user_id": ["u1", "u1"], "segment_id": ["1", "2"]})
    with pytest.raises(DataError, match="must be unique"):
        score_segments(twice, twice)
