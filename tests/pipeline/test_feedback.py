"""`penchant feedback`: answers joined with a model, pages that no name can break, who answered and who did not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from penchant.errors import DataError
from penchant.feedback import Satisfaction, judge_feedback
from penchant.feedback.joining import NO_LAYER, NOT_LISTED
from penchant.io.world import World
from penchant.model import Model
from tests.conftest import Ran

EVIL = "<script>alert(1)</script>|*x*"


def answers_of(world: World, model: Model, *, noise: float = 0.1) -> pl.DataFrame:
    """Every third user says what they think of ten items: up where the item's true interest is one of theirs."""
    rng = np.random.default_rng(1)
    truth = world.truth["user_interests"].filter(pl.col("role") != "aversion")
    own = truth.group_by("user_id").agg(pl.col("interest_id"))
    of_item = dict(world.truth["items"].select("item_id", "interest_id").rows())
    items = world.truth["items"]["item_id"].to_list()
    rows = []
    for user, interests in own.sort("user_id").rows()[::3]:
        for item in rng.choice(items, 10, replace=False):
            good = (of_item[item] in interests) != (rng.random() < noise)
            rows.append((user, str(item), "👍" if good else "👎"))
    return pl.DataFrame(rows, schema=["user", "item", "thumb"], orient="row")


@pytest.fixture(scope="module")
def told(world: World, model: Model) -> Satisfaction:
    return judge_feedback(model, answers_of(world, model))


def part(result: Satisfaction, by: str) -> dict[str, dict[str, float]]:
    return {row["group"]: row for row in result.table.filter(pl.col("by") == by).to_dicts()}


def test_core_interests_please_more_than_none(told: Satisfaction) -> None:
    layers = part(told, "layer")
    assert list(layers)[:1] == ["core"]
    assert layers["core"]["low"] > layers[NO_LAYER]["high"]
    assert sum(row["n_answers"] for row in layers.values()) <= told.facts["n_answers"]


def test_the_predicted_order_agrees_with_true_likes(told: Satisfaction) -> None:
    row = told.agreement.row(0, named=True)
    assert row["low"] > 0.5
    assert row["n_users"] > 20


def test_tables_add_up(told: Satisfaction, model: Model) -> None:
    whole = part(told, "all")["all"]
    assert whole["n_answers"] == told.facts["n_answers"] == told.answers.height
    assert sum(row["n_answers"] for row in part(told, "segment").values()) == whole["n_answers"]
    assert sum(row["n_answers"] for row in part(told, "rank").values()) == whole["n_answers"]
    assert NOT_LISTED in part(told, "rank")
    for by in ("activity", "segment"):
        own = told.coverage.filter(pl.col("by") == by)
        assert own["n_users"].sum() == len(model.user_ids)
        assert own["share_of_answers"].sum() == pytest.approx(1)
    assert any("of the model's users answered" in note for note in told.notes)


def test_answers_by_rank_follow_the_lists_given(model: Model) -> None:
    users = model.user_ids.head(4).to_list()
    lists = model.recommend(users, k=3)
    asked = lists.with_columns(answer=pl.when(pl.col("rank") == 1).then(pl.lit("yes")).otherwise(pl.lit("no")))
    result = judge_feedback(model, asked.select("user_id", "item_id", "answer"), lists=lists)
    ranks = part(result, "rank")
    assert ranks["1"]["satisfied"] == 1
    assert ranks["2 to 3"]["satisfied"] == 0
    assert result.agreement["auc"][0] == 1
    now = judge_feedback(model, asked.select("user_id", "item_id", "answer"))
    assert part(now, "rank")["1"]["n_answers"] == ranks["1"]["n_answers"]
    assert part(now, "source")


def test_interests_and_segments_are_named_or_known_by_id(model: Model) -> None:
    nodes, segments = model.tree.nodes, model.segments.table
    user = model.user_ids[0]
    frame = pl.DataFrame(
        {
            "user_id": [user, user, user, "stranger"],
            "interest": [nodes["interest_id"][0], nodes["name"][1].upper(), None, None],
            "segment": [None, None, segments["segment_id"][0], segments["name"][0]],
            "answer": [5, 1, 4, 2],
        }
    )
    result = judge_feedback(model, frame)
    assert set(part(result, "interest")) == {nodes["name"][0], nodes["name"][1]}
    assert part(result, "segment")[segments["name"][0]]["n_answers"] >= 2
    assert result.facts["n_answers_of_unknown_users"] == 1
    assert result.agreement["n_users"].sum() == 0


def test_several_questions_are_told_apart(model: Model) -> None:
    users = model.user_ids.head(6).to_list()
    frame = pl.DataFrame(
        {"user_id": users * 2, "question": ["again?"] * 6 + ["like it?"] * 6, "answer": ["10", "9", "9", "7", "3", "0"]
         + ["yes"] * 6}
    )  # fmt: skip
    result = judge_feedback(model, frame)
    whole = {row["question"]: row for row in result.table.filter(pl.col("by") == "all").to_dicts()}
    assert (whole["again?"]["n_for"], whole["like it?"]["n_for"]) == (3, 6)
    assert any("NPS +17" in note for note in result.notes)


def test_feedback_of_other_people_is_refused(model: Model) -> None:
    with pytest.raises(DataError, match="none of its 1 users is in the model"):
        judge_feedback(model, pl.DataFrame({"user_id": ["zzz"], "answer": ["up"]}))


def test_the_command_prints_and_writes(
    world: World, model: Model, model_folder: Path, tmp_path: Path, cli: Callable[..., Ran]
) -> None:
    frame = answers_of(world, model).rename({"thumb": "verdict"})
    frame.write_csv(tmp_path / "said.csv")
    asked = ("feedback", model_folder, tmp_path / "said.csv", "--columns", "answer=verdict")
    ran = cli(*asked, "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "By the layer of the interest" in ran.out
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"satisfaction.csv", "agreement.csv", "coverage.csv", "answers.csv", "feedback.json", "feedback.md",
                     "feedback.html"}  # fmt: skip
    facts = json.loads(cli(*asked, "--json").out)
    assert facts["facts"]["n_answers"] == pl.read_csv(tmp_path / "out" / "answers.csv").height
    assert cli("feedback", model_folder, tmp_path / "said.csv").code == 2
    assert "--scale" in cli(*asked, "--scale", "hearts").err


def test_no_name_can_break_a_page(model: Model, tmp_path: Path) -> None:
    users = model.user_ids.head(3).to_list()
    frame = pl.DataFrame({"user_id": users, "answer": ["up", "down", "up"], "item_id": model.items.item_ids.head(3)})
    frame = frame.with_columns(source=pl.lit(EVIL), question=pl.lit(EVIL))
    judge_feedback(model, frame).save(tmp_path)
    page = (tmp_path / "feedback.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    text = (tmp_path / "feedback.md").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert r"\|\*x\*" in text
