"""Several windows in one table: what is pooled how, by numbers worked by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from penchant.config import EvaluateConfig
from penchant.errors import DataError
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.scores import WindowScores, score_window
from penchant.evaluate.split import Split
from penchant.evaluate.table import brief, other_cutoffs, pool_windows
from penchant.evaluate.windows import best_peer, windows_table
from tests.scorers.logs import make_log

CONFIG = EvaluateConfig(k=2, more_k=(3,), n_bootstrap=200)


def window(users: list[int], scores: dict[str, list[float]], start: float = 0.0, share: float = 0.5) -> WindowScores:
    """A window with one metric at both cutoffs: ndcg as given, recall half of it."""
    return WindowScores(
        start=start,
        end=start + 10,
        n_train_events=int(start),
        user_rows=np.array(users, np.int32),
        per_user={
            method: pl.DataFrame({"ndcg@2": ndcg, "recall@2": [0.0] * len(ndcg), "ndcg@3": ndcg, "recall@3": 0.5})
            for method, ndcg in scores.items()
        },
        coverage=dict.fromkeys(scores, share),
        gini=dict.fromkeys(scores, share / 2),
    )


LATEST = window([0, 1, 3], {"us": [1.0, 0.5, 0.0], "them": [0.5, 0.5, 0.5]}, start=100.0, share=0.25)
EARLIER = window([0, 2], {"us": [0.4, 0.6], "them": [0.4, 0.2]}, start=90.0, share=0.75)


def test_means_are_over_users_and_windows_and_shares_of_lists_over_windows() -> None:
    table = pool_windows([LATEST, EARLIER], CONFIG, seed=0)
    us = table.filter(pl.col("method") == "us").row(0, named=True)
    them = table.filter(pl.col("method") == "them").row(0, named=True)
    assert us["ndcg@2"] == pytest.approx((1.0 + 0.5 + 0.0 + 0.4 + 0.6) / 5)
    assert them["difference"] == pytest.approx((2.1 - 2.5) / 5)
    assert (us["coverage"], us["gini"]) == (0.5, 0.25)
    assert us["n_users"] == 4
    assert (us["p_value"], us["p_adjusted"]) == (None, None)


def test_p_is_counted_over_users_whose_windows_are_one_difference() -> None:
    """them - us: user 0 (-.5 + 0) / 2, user 1 0, user 2 -.4, user 3 +.5. Sum -.15: of 8 sign patterns of the three that
    differ, those as low: -1.15, -.65, -.35, -.15; 4 of 8 on that side, so p = 1."""
    them = pool_windows([LATEST, EARLIER], CONFIG, seed=0).filter(pl.col("method") == "them").row(0, named=True)
    assert them["p_value"] == them["p_adjusted"] == 1.0
    alone = pool_windows([EARLIER], CONFIG, seed=0).filter(pl.col("method") == "them").row(0, named=True)
    assert alone["p_value"] == 1.0  # user 0 is level and user 2 can fall either way


def test_the_same_users_twice_are_no_more_evidence() -> None:
    once = pool_windows([LATEST], CONFIG, seed=0)
    twice = pool_windows([LATEST, LATEST], CONFIG, seed=0)
    assert once.equals(twice)


def test_rows_of_a_user_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(0, 1, (120, 300))
    values = np.repeat(own, 3, axis=0) + rng.normal(0, 0.1, (360, 300))
    users = np.repeat(np.arange(120), 3)
    found = bootstrap(values, n_bootstrap=300, seed=1, users=users)
    covered = ((found.low <= 0) & (found.high >= 0)).mean()
    assert 0.9 <= covered <= 0.98
    careless = bootstrap(values, n_bootstrap=300, seed=1)
    assert ((careless.low <= 0) & (careless.high >= 0)).mean() < 0.85


def test_missing_numbers_of_one_window_leave_the_other() -> None:
    values = np.array([[1.0, np.nan], [3.0, 2.0], [np.nan, np.nan]])
    found = bootstrap(values, n_bootstrap=100, seed=0, users=np.array([4, 4, 9]))
    assert found.mean.tolist() == [2.0, 2.0]
    assert found.low.tolist() == [2.0, 2.0]


def test_a_row_a_window_and_method_with_our_ratio() -> None:
    table = windows_table([LATEST, EARLIER], CONFIG, ours="us", clock="order")
    assert table["window"].to_list() == [1, 1, 2, 2]
    assert table["method"].to_list() == ["us", "them", "us", "them"]
    assert table["ndcg@2"].to_list() == pytest.approx([0.5, 0.5, 0.5, 0.3])
    assert table["ratio"].to_list() == [1.0, None, pytest.approx(5 / 3), None]
    assert table["from"].to_list() == [100.0, 100.0, 90.0, 90.0]
    assert table["n_train_events"].to_list() == [100, 100, 90, 90]
    assert "recall@3" in table.columns  # no cutoff of 20: the longest
    timed = windows_table([LATEST], CONFIG, ours="us", clock="time")
    assert str(timed["from"][0]) == "1970-01-01 00:01:40"
    alone = windows_table([window([0], {"us": [1.0]})], CONFIG, ours="us", clock="order")
    assert alone["ratio"].to_list() == [None]


def test_the_best_peer_and_no_peer() -> None:
    table = pool_windows([LATEST, EARLIER], CONFIG, seed=0)
    assert best_peer(table, ours="us", k=2) == ("them", pytest.approx(0.5 / 0.42))
    assert best_peer(table.filter(pl.col("method") == "us"), ours="us", k=2) == (None, None)
    nothing = pool_windows([window([0, 1], {"us": [1.0, 0.0], "them": [0.0, 0.0]})], CONFIG, seed=0)
    assert best_peer(nothing, ours="us", k=2) == ("them", None)


def test_words_hold_the_leading_cutoff_and_the_others_apart() -> None:
    table = pool_windows([LATEST, EARLIER], CONFIG, seed=0)
    assert brief(table).columns == ["method", "ndcg@2", "recall@2", "coverage", "gini", "vs us", "p adjusted"]
    others = other_cutoffs(table)
    assert {k: frame.columns for k, frame in others.items()} == {3: ["method", "ndcg@3", "recall@3"]}
    older = table.drop("p_value", "p_adjusted")  # a folder of an earlier build
    assert brief(older).columns[-1] == "vs us"


def test_a_window_is_scored_at_all_cutoffs_and_its_lists_at_the_leading_one() -> None:
    """Train: three users like item 0, two like 1, one likes 2 and 3 each. User 0 (saw 0) takes 1 and 3 later."""
    rows = [(0, 0, 1.0), (1, 0, 1.0), (2, 0, 1.0), (1, 1, 1.0), (2, 1, 1.0), (1, 2, 1.0), (2, 3, 1.0)]
    train = make_log(rows, 3)
    split = Split(train, make_log([(0, 1, 5.0), (0, 3, 6.0)], 3), 5.0)
    users = np.array([0], np.int32)
    found = score_window({"us": np.array([[1, 3, 2]])}, split, users, None, None, CONFIG, n_items=5)
    us = found.per_user["us"].row(0, named=True)
    assert (us["recall@2"], us["precision@2"], us["precision@3"]) == (1.0, 1.0, pytest.approx(2 / 3))
    assert us["serendipity"] == 0.5  # popular for user 0: 1, then 2 before 3 by row; so 3 is the surprise
    assert found.coverage["us"] == 2 / 5
    assert (found.start, found.end, found.n_train_events) == (5.0, 6.0, 7)
    with pytest.raises(DataError, match=r"1\.\.2"):
        score_window({"us": np.array([[1, 3]])}, split, users, None, None, CONFIG, n_items=5)
