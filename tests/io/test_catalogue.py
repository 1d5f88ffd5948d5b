"""Catalogue, attributes, and what `doctor` says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from penchant.data import Items
from penchant.errors import DataError
from penchant.io import describe_log, read_log
from penchant.io.describe import guess_language

EVENTS = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["1", "2"], "ts": [1_700_000_000, 1_700_000_001]})


def test_blank_and_repeated_ids_and_several_texts() -> None:
    items = pl.DataFrame({"id": ["1", None, "1", "2", " 2", "9"], "name": [None, "q", "first", "z", "y", "never"]})
    log = read_log(EVENTS, items)
    found = {f.kind: (f.n_rows, f.rows, f.n_dropped) for f in log.findings}
    assert found == {
        "no item id": (1, (2,), 1),
        "space around ids": (1, (), 0),
        "repeated item id": (2, (1, 5), 2),
        "another text for an item": (1, (5,), 0),
        "catalogue row without events": (1, (), 0),
    }
    assert log.items.table.select("item_id", "title").rows() == [("1", "first"), ("2", "z"), ("9", "never")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a|b c", None], [["a", "b c"], []]),
        (["a;b", "c"], [["a", "b"], ["c"]]),
        (["Home > Kitchen", ""], [["Home", "Kitchen"], []]),
        (["Home, Garden", "a,b"], [["Home, Garden"], ["a", "b"]]),
        (['["a, x", "b"]', "[]"], [["a, x", "b"], []]),
        (["['a', 'b c']", "['d']"], [["a", "b c"], ["d"]]),
        ([["a", None, " "], None], [["a"], []]),
    ],
)
def test_categories_in_every_dress(given: list[object], expected: list[list[str]]) -> None:
    items = pl.DataFrame({"item_id": ["1", "2"], "genres": given})
    assert read_log(EVENTS, items).items.table["categories"].to_list() == expected


def test_vector_columns_become_arrays() -> None:
    events = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["1", "x"]})
    image = [[1.0, 2.0], None, [float("nan"), 1.0]]
    log = read_log(events, pl.DataFrame({"item_id": ["1", "2", "3"], "title": list("abc"), "image": image}))
    assert log.items.vectors["image"].tolist() == [[1, 2], [0, 0], [0, 0], [0, 0]]
    assert "image" not in log.items.table.columns
    assert ("vector 'image' not finite", (3,)) in [(f.kind, f.rows) for f in log.findings]
    with pytest.raises(DataError, match="vectors of 1 to 2 numbers"):
        read_log(events, pl.DataFrame({"item_id": ["1", "2"], "image": [[1.0], [1.0, 2.0]]}))


def test_further_columns_stay_and_numbers_of_a_csv_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title,price,zip,brand\n1,One,2.5,01234,x\n2,Two,3,99999,\n")
    table = read_log(EVENTS, path).items.table
    assert table["price"].to_list() == [2.5, 3.0]
    assert table["zip"].to_list() == ["01234", "99999"]


def test_a_log_may_carry_its_own_titles() -> None:
    log = read_log(EVENTS.with_columns(title=pl.Series(["One", None])))
    assert log.items.table.select("item_id", "title", "in_catalogue").rows() == [("1", "One", True), ("2", None, False)]


def test_attributes_are_checked_alike_and_take_the_logs_ids() -> None:
    attributes = pl.DataFrame({"id": [" a ", "b", "b", None, "c"], "age": [1, 2, 3, 4, 5]})
    log = read_log(EVENTS, attributes=attributes)
    assert log.attributes is not None
    assert log.attributes.rows() == [("a", 1), ("b", 2), ("c", 5)]
    found = {f.kind: (f.n_rows, f.n_dropped) for f in log.findings}
    assert found == {"no user id": (1, 1), "repeated user id": (1, 1), "user without events": (1, 0)}
    with pytest.raises(DataError, match="none of its 1 user ids is in the log"):
        read_log(EVENTS, attributes=pl.DataFrame({"user_id": ["zz"], "age": [1]}))


def test_attribute_ids_of_another_type_join() -> None:
    events = pl.DataFrame({"user_id": ["01", "2"], "item_id": ["1", "2"]})
    log = read_log(events, attributes=pl.DataFrame({"user_id": [1, 2], "plan": ["p", "q"]}))
    assert log.attributes is not None
    assert log.attributes["user_id"].to_list() == ["01", "2"]


def test_describe_is_plain_data() -> None:
    items = pl.DataFrame({"item_id": ["1", "2", "3"], "title": ["Red mug", "Tea pot", None]})
    facts = describe_log(read_log(EVENTS, items))
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["n_users"], facts["n_items"], facts["n_events"]) == (2, 3, 2)
    assert facts["text_share"] == pytest.approx(2 / 3)
    assert facts["start"] == "2023-11-14T22:13:20+00:00"
    assert facts["actions"] == [{"action": "view", "n_events": 2, "weight": 1.0, "in_log": [], "unknown": False}]
    assert facts["columns"]["events"] == {"user_id": "user_id", "item_id": "item_id", "timestamp": "ts"}
    assert facts["language"] == "en"


def test_language_by_script() -> None:
    assert guess_language(pl.Series(["红色茶杯", "蓝色 T恤"])) == "zh"
    assert guess_language(pl.Series(["красная чашка"])) == "other"
    assert guess_language(pl.Series(["123", "456"])) == "other"
    assert guess_language(pl.Series([], dtype=pl.String)) == "none"
    assert guess_language(pl.Series(["茶杯", "mug"] * 5000)) == "mixed"


def test_same_log_same_bytes() -> None:
    one, other = read_log(EVENTS), read_log(EVENTS)
    assert one.events.table.equals(other.events.table)
    assert np.array_equal(one.events.weight, other.events.weight)
    assert one.facts == other.facts


def test_another_form_of_a_user_id_is_told_with_its_row() -> None:
    events = pl.DataFrame({"user_id": ["7", "8", "7"], "item_id": ["x", "y", "z"]})
    log = read_log(events, attributes=pl.DataFrame({"user_id": [None, "7", "007", "8"], "plan": ["a", "b", "c", "d"]}))
    assert log.attributes is not None
    assert log.attributes.rows() == [("7", "b"), ("8", "d")]
    found = {f.kind: f.rows for f in log.findings}
    assert found["another form of a user id"] == (3,)
    assert log.facts["n_users_with_attributes"] == 2


def test_a_title_that_opens_the_text_is_not_doubled_and_no_word_is_cut() -> None:
    table = pl.DataFrame(
        {
            "item_id": list("abcd"),
            "title": ["It", "Red shoes", "红楼", None],
            "text": ["Italian tale", "Red shoes, size 40", "红楼梦", "plain"],
            "categories": [[]] * 4,
        },
        schema_overrides={"categories": pl.List(pl.String)},
    )
    assert Items(table).texts(("title", "text")) == ["It Italian tale", "Red shoes , size 40", "红楼 梦", "plain"]


def test_vectors_may_stand_in_a_csv_as_json_lists(tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text('item_id,title,image\n1,a,"[0.5, 1]"\n2,b,\n3,c,"[1.5, -2e0]"\n4,d,no list\n5,e,"[0, 1.0]"\n')
    log = read_log(EVENTS, items)
    assert log.items.vectors["image"].tolist()[:3] == [[0.5, 1.0], [0.0, 0.0], [1.5, -2.0]]
    assert "image" not in log.items.table.columns
    found = {f.kind: f.rows for f in log.findings}
    assert found["vector 'image' not a list of numbers"] == (4,)
    items.write_text('item_id,image\n1,"[0.5, 1]"\n2,"[0.5, 1, 2]"\n3,"[0.1, 1]"\n')
    with pytest.raises(DataError, match=r"1 don't have 2, the first in row 2"):
        read_log(EVENTS, items)
