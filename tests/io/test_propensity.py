"""Propensities, lists and places of a log: found by name, checked, and left alone where they are something else."""

from __future__ import annotations

import polars as pl
import pytest

from penchant.config import IoConfig
from penchant.errors import DataError
from penchant.io import describe_log, read_log


def frame(**columns: list[object]) -> pl.DataFrame:
    base = {"user_id": ["a", "b", "c", "d"], "item_id": ["x", "y", "x", "y"], "action": ["impression"] * 4}
    return pl.DataFrame({**base, **columns}, strict=False)


@pytest.mark.parametrize("name", ["propensity", "p", "action_prob", "pscore", "loggingProbability", "展示概率"])
def test_usual_names_are_taken(name: str) -> None:
    log = read_log(frame(**{name: [0.5, 1.0, 0.01, None]}))
    assert log.events.table["propensity"].to_list() == [0.5, 1.0, pytest.approx(0.01), None]
    assert not log.findings
    assert describe_log(log)["n_events_with_propensity"] == 3


def test_bad_values_are_told_and_their_rows_kept() -> None:
    log = read_log(frame(propensity=["0.5", "0", "0.25", "often"]))
    assert log.events.table["propensity"].to_list() == [0.5, None, 0.25, None]
    assert [(f.kind, f.rows) for f in log.findings] == [("column 'propensity' is not a usable propensity", (2, 4))]
    assert len(log.events) == 4


def test_a_column_of_something_else_is_not_taken_but_told() -> None:
    log = read_log(frame(p=[12.5, 99.0, 0.5, 7.0]))
    assert "propensity" not in log.events.table.columns
    assert "not taken for 'propensity'" in log.findings[0].rule


def test_a_named_column_of_something_else_is_refused() -> None:
    with pytest.raises(DataError, match=r"3 of 4 values.*not percentages"):
        read_log(frame(price=[12.5, 99.0, 0.5, 7.0]), config=IoConfig(columns={"propensity": "price"}))


def test_two_columns_that_fit_are_passed_over_unless_one_is_exact() -> None:
    two = {"p": [0.5] * 4, "prob": [0.2] * 4}
    assert "propensity" not in read_log(frame(**two)).events.table.columns
    found = read_log(frame(**two, propensity=[0.1] * 4)).events.table["propensity"]
    assert found.to_list() == pytest.approx([0.1] * 4)


def test_lists_and_places_are_read_beside_a_propensity_only() -> None:
    more = {"request_id": ["r1", "r1", None, "r2"], "rank": [1, 2, 0, 2.5], "slot": [1, 2, 3, 4]}
    assert not {"list_row", "place"} & set(read_log(frame(**more)).events.table.columns)
    log = read_log(frame(propensity=[0.5] * 4, **more), config=IoConfig(columns={"place": "rank"}))
    assert log.events.table["list_row"].to_list() == [0, 0, -1, 1]
    assert log.events.table["place"].to_list() == [1, 2, -1, -1]
    assert [(f.kind, f.rows) for f in log.findings] == [("column 'rank' is not a place from 1", (3, 4))]
