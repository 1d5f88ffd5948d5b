"""Answers of real users: words and scales, dirt told, the last answer counts."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from penchant.config import IoConfig
from penchant.errors import DataError
from penchant.io import read_feedback
from penchant.io.answers import Scale, read_answers
from penchant.io.feedback import read_shown_lists


def opinions(values: list[object], scale: Scale | None = None) -> list[int | None]:
    raw = pl.Series(values, strict=False)
    return read_answers(raw, pl.Series(["q"] * len(values)), "f.csv", scale=scale).opinion.to_list()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Thumbs up", "thumbs-down", "👍🏽", "👎", "Not helpful"], [1, -1, 1, -1, -1]),
        (["赞", "踩", "满意", "不满意", "一般", "喜欢", "不喜欢"], [1, -1, 1, -1, 0, 1, -1]),
        (["yes", "No", " TRUE ", "maybe", ""], [1, -1, 1, 0, None]),
        ([True, False], [1, -1]),
        ([1, 0, 1], [1, -1, 1]),
        ([1, 0, -1], [1, 0, -1]),
        ([5, 4, 3, 2, 1, 3.5], [1, 1, 0, -1, -1, 0]),
        ([10, 9, 8, 7, 6, 0], [1, 1, 0, 0, -1, -1]),
        (["4/5", "2/5"], [1, -1]),
        (["9/10", "5/10"], [1, -1]),
        (["5 stars", "1 star", "3星"], [1, -1, 0]),
        (["5", "4,5", "2"], [1, 1, -1]),
        ([float("nan"), 5.0, 1.0], [None, 1, -1]),
        (["wonderful?", "👍"], [None, 1]),
    ],
)
def test_answers_by_hand(values: list[object], expected: list[int | None]) -> None:
    assert opinions(values) == expected


@pytest.mark.parametrize("values", [[1, 1], [1, 2], [1, 4, 7], [100, 50], [-5, 5], [0, 3]])
def test_a_scale_that_can_t_be_told_is_asked_for(values: list[object]) -> None:
    with pytest.raises(DataError, match="--scale thumbs"):
        opinions(values)


def test_a_stated_scale_speaks_and_what_lies_outside_is_not_understood() -> None:
    assert opinions([1, 1, 2], "stars") == [-1, -1, -1]
    assert opinions([1, 5, 10], "nps") == [-1, -1, 1]
    assert opinions([1, 5, 10], "stars") == [-1, 1, None]


def test_each_question_has_its_own_scale() -> None:
    found = read_answers(pl.Series([10, 3, 5, 1, 0]), pl.Series(["nps", "nps", "s", "t", "t"]), "f")
    assert found.scales == {"nps": "nps", "s": "stars", "t": "thumbs"}
    assert found.opinion.to_list() == [1, -1, 1, 1, -1]


def test_a_csv_in_chinese_is_read(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("用户id,商品id,评价,时间\n7,x,赞,2024-05-01\n8,y,踩,2024-05-02\n", encoding="utf-8")
    table = read_feedback(tmp_path / "f.csv").table
    assert table.select("user_id", "item_id", "opinion").rows() == [("7", "x", 1), ("8", "y", -1)]
    assert table["time"].to_list() == [1714521600.0, 1714608000.0]


def test_dirt_is_told_with_its_rows() -> None:
    frame = pl.DataFrame(
        {
            "user_id": ["a", None, "b", "c", "d", "e", "f"],
            "item_id": ["x"] * 7,
            "thumb": ["up", "up", "", "purple", "down", "up", "up"],
            "rank": ["1", "1", "1", "1", "zero", "2", "2.5"],
        }
    )
    found = read_feedback(frame)
    told = {f.kind: f.rows for f in found.findings}
    assert told["no user id"] == (2,)
    assert told["no answer"] == (3,)
    assert told["answer not understood (such as 'purple')"] == (4,)
    assert told["rank is no number from 1"] == (5, 7)
    assert found.table["user_id"].to_list() == ["a", "d", "e", "f"]
    assert found.table["rank"].to_list() == [1, None, 2, None]
    with pytest.raises(DataError, match="repair them"):
        read_feedback(frame, config=IoConfig(on_error="stop"))


def test_the_last_answer_counts() -> None:
    frame = pl.DataFrame(
        {
            "user_id": ["a", "a", "a", "a"],
            "item_id": ["x", "x", "y", "x"],
            "answer": ["up", "down", "up", "up"],
            "timestamp": [300, 100, 100, 200],
        }
    ).with_columns(pl.col("timestamp") + 1_700_000_000)
    found = read_feedback(frame)
    assert sorted(found.table.select("item_id", "opinion").rows()) == [("x", 1), ("y", 1)]
    assert found.findings[0].n_rows == 2


def test_what_is_needed_is_asked_for() -> None:
    with pytest.raises(DataError, match="no column for 'answer'"):
        read_feedback(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}))
    with pytest.raises(DataError, match="no column for 'user_id'"):
        read_feedback(pl.DataFrame({"answer": ["up"]}))
    with pytest.raises(DataError, match="2 of 3 answers can't be used"):
        read_feedback(pl.DataFrame({"user_id": ["a", "b", "c"], "answer": ["up", "blue", "green"]}))


def test_shown_lists_are_read_as_recommend_writes_them() -> None:
    frame = pl.DataFrame({"user_id": ["a", "a"], "item_id": ["x", "y"], "rank": [1, 2], "score": [0.9, 0.2],
                          "interest_id": ["i", "i"], "layer": ["core", None], "reason": ["r", "r"]})  # fmt: skip
    assert read_shown_lists(frame).rows() == [("a", "x", 1, None, 0.9), ("a", "y", 2, None, 0.2)]
