"""Groups of users: who is in which, and what each method does there."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from penchant.config import EvaluateConfig
from penchant.evaluate.groups import ACTIVITY, activity_groups, brief_groups, group_table
from tests.evaluate.test_windows import window

CONFIG = EvaluateConfig(k=2, more_k=(3,), n_bootstrap=100)


def test_new_users_stand_apart_from_the_thirds() -> None:
    n = np.array([0, 5, 6, 10, 11, 12, 40, 300])
    names = [ACTIVITY[g] for g in activity_groups(n)]
    assert names == ["new", "new", "light", "light", "middle", "middle", "heavy", "heavy"]


def test_equal_numbers_stay_together() -> None:
    groups = activity_groups(np.array([7, 7, 7, 7, 7, 9]))
    assert groups.tolist() == [1, 1, 1, 1, 1, 3]
    assert activity_groups(np.array([7, 7])).tolist() == [1, 1]
    assert activity_groups(np.array([1, 2])).tolist() == [0, 0]
    assert activity_groups(np.zeros(0, np.int64)).tolist() == []


def test_a_row_a_group_and_method() -> None:
    scores = window([0, 1, 3], {"us": [1.0, 0.5, 0.0], "them": [0.5, 0.5, 0.5]})
    table = group_table(scores, "segment", np.array([2, 2, 0]), ["tea", "coffee", "rest"], CONFIG, seed=0)
    assert table.columns == ["group_kind", "group", "method", "n_users", "ndcg@2", "low", "high"]
    assert table.rows()[0] == ("segment", "tea", "us", 1, 0.0, None, None)  # one user shows no spread
    assert table.filter(pl.col("group") == "rest")["low"].null_count() == 0
    assert table["group"].to_list() == ["tea", "tea", "rest", "rest"]  # coffee has no user
    us = table.row(2, named=True)
    assert us["ndcg@2"] == pytest.approx(0.75)
    assert 0.5 <= us["low"] <= us["high"] <= 1.0
    shown = brief_groups(table, ["them", "us"])
    assert shown.columns == ["group_kind", "group", "n_users", "them", "us"]
    assert shown.row(0) == ("segment", "tea", 1, "0.5000", "0.0000")
    assert brief_groups(table, ["us"]).columns == ["group_kind", "group", "n_users", "us"]
