"""Columns by name, alias and the caller's word; never two for one word silently."""

from __future__ import annotations

import polars as pl
import pytest

from penchant.config import IoConfig
from penchant.errors import ConfigError, DataError
from penchant.io import read_log
from penchant.io.columns import map_columns


@pytest.mark.parametrize(
    ("columns", "used"),
    [
        ("userId movieId rating timestamp", {"user_id": "userId", "item_id": "movieId", "value": "rating"}),
        ("CustomerID StockCode Quantity InvoiceDate", {"user_id": "CustomerID", "value": "Quantity"}),
        ("reviewerID asin overall unixReviewTime", {"item_id": "asin", "timestamp": "unixReviewTime"}),
        ("personId contentId eventType timestamp", {"item_id": "contentId", "action": "eventType"}),
        ("visitorid itemid event ts", {"user_id": "visitorid", "action": "event", "timestamp": "ts"}),
        ("uid product_id event_type date", {"user_id": "uid", "item_id": "product_id", "timestamp": "date"}),
        ("用户ID 商品ID 行为类型 时间戳", {"user_id": "用户ID", "item_id": "商品ID", "timestamp": "时间戳"}),
    ],
)
def test_well_known_names(columns: str, used: dict[str, str]) -> None:
    found = map_columns("events", "e", columns.split(), {}).used
    assert {k: found[k] for k in used} == used


def test_two_columns_for_a_word_are_refused_unless_one_is_exact_or_named() -> None:
    with pytest.raises(DataError, match=r"'userId' and 'uid' could all be 'user_id'.*--columns user_id=userId"):
        map_columns("events", "e", ["userId", "uid", "item_id"], {})
    exact = map_columns("events", "e", ["user_id", "uid"], {})
    assert exact.used["user_id"] == "user_id"
    assert exact.passed_over == {"user_id": ("uid",)}
    assert map_columns("events", "e", ["userId", "uid"], {"user_id": "uid"}).used["user_id"] == "uid"


def test_a_named_column_serves_one_word_only_and_a_word_can_be_left_out() -> None:
    names = ["user_id", "item_id", "date", "seq"]
    assert "timestamp" not in map_columns("events", "e", names, {"timestamp": ""}).used
    assert map_columns("events", "e", names, {"seq": "date"}).used["seq"] == "date"
    assert "timestamp" not in map_columns("events", "e", names, {"seq": "date"}).used
    with pytest.raises(DataError, match="one column has one meaning"):
        map_columns("events", "e", names, {"seq": "date", "timestamp": "date"})


def test_a_key_can_be_for_one_table() -> None:
    events = pl.DataFrame({"user_id": ["a"], "item_id": ["x"], "text": ["said"]})
    items = pl.DataFrame({"item_id": ["x"], "title": ["X"], "text": ["long"], "plot": ["short"]})
    log = read_log(events, items, config=IoConfig(columns={"items.text": "plot"}))
    assert log.items.table["text"].to_list() == ["short"]
    assert log.events.table["text"].to_list() == ["said"]


def test_wrong_words_and_columns_name_the_nearest() -> None:
    events = pl.DataFrame({"usr_id": ["a"], "item_id": ["x"]})
    with pytest.raises(DataError, match=r"no column for 'user_id'.*did you mean 'usr_id'"):
        read_log(events)
    with pytest.raises(DataError, match=r"no column 'user'.*did you mean 'usr_id'"):
        read_log(events, config=IoConfig(columns={"user_id": "user"}))
    with pytest.raises(ConfigError, match=r"'usr' is no word of ours; did you mean 'user_id'"):
        read_log(events, config=IoConfig(columns={"usr": "usr_id"}))
