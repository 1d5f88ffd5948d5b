"""What speaks for each item: parts that add up to the score, shares that say so, words that fit them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from penchant.recommend import Recommender
from penchant.recommend.candidates import describe, pick_candidates
from penchant.recommend.contributions import COLUMNS, in_words
from penchant.recommend.rank import PlainSum, Single, part_names

from .conftest import N_USERS, Market, fit_market

USERS = np.arange(N_USERS, dtype=np.int32)
KINDS_OF_RANKER = ["item_knn", "sum_z", "sum_softmax", "rrf", "blend", "trees", "blend+trees"]


@pytest.mark.parametrize("method", KINDS_OF_RANKER)
def test_parts_add_up_to_the_score_but_for_a_number_equal_in_the_row(market: Market, method: str) -> None:
    fitted = fit_market(market, method=method, n_windows=2)
    past = fitted.past.take(USERS[:9])
    rows, valid = pick_candidates(fitted.signals.score(past), past.touched, 25)
    found = describe(fitted.signals, fitted.signals.score(past), past, rows, valid)
    columns = np.tile(np.arange(25, dtype=np.int32)[::-1], (9, 1))
    parts = fitted.ranker.parts(found, columns)
    assert parts.shape == (9, 25, len(part_names(fitted.signals.names)))
    left = fitted.ranker.score(found)[:, ::-1] - parts.sum(axis=2)
    left = np.where(valid[:, ::-1], left, np.nan)
    np.testing.assert_allclose(left, np.nanmean(left, axis=1, keepdims=True) + 0 * left, atol=2e-4, rtol=0)
    assert np.nanstd(fitted.ranker.score(found), axis=1).max() > 0.01


@pytest.mark.parametrize("method", KINDS_OF_RANKER)
def test_shares_of_a_list(market: Market, method: str) -> None:
    fitted = fit_market(market, method=method, n_windows=2)
    plain = fitted.recommend(USERS, market.profiles, k=5).table
    told = fitted.recommend(USERS, market.profiles, k=5, why=True).table
    assert told.drop(COLUMNS).equals(plain)
    shares = told.select(COLUMNS).to_numpy()
    total = np.abs(shares).sum(axis=1)
    assert ((np.abs(total - 1) < 1e-5) | (total == 0)).all()
    assert (total > 0).mean() > 0.9
    if method == "item_knn":
        first = told.filter(pl.col("rank") == 1)
        assert (first["why_together"] == 1).all()


def test_what_a_hand_made_ranker_says(market: Market) -> None:
    """Two signals of equal weight: the item that is high in one of them is there for that one."""
    fitted = fit_market(market, method="sum_z", n_windows=1)
    names = fitted.signals.names
    past = fitted.past.take(USERS[:1])
    rows, valid = pick_candidates(fitted.signals.score(past), past.touched, 3)
    found = describe(fitted.signals, fitted.signals.score(past), past, rows, valid)
    found.features[:, :, : len(names)] = 0
    found.features[0, :, names.index("als")] = [1, -1, 0]
    found.features[0, :, names.index("text")] = [0.5, 1, -1.5]
    parts = PlainSum("sum_z", names).parts(found, np.array([[0, 1]], np.int32))
    assert parts[0, 0, names.index("als")] == pytest.approx(1)
    assert parts[0, 0, names.index("text")] == pytest.approx(0.5)
    assert parts[0, 1, names.index("als")] == pytest.approx(-1)
    assert not parts[:, :, len(names) :].any()
    assert not Single("als", names).parts(found, np.array([[0, 1]], np.int32))[:, :, names.index("text")].any()


def test_what_no_signal_brought_has_no_shares(market: Market) -> None:
    table = fit_market(market, n_explore=1).recommend(USERS, market.profiles, k=5, why=True).table
    explored = table["source"] == "exploration"
    assert explored.any()
    assert (table["why_interests"].is_null() == explored).all()


def test_nobody_asked_gives_an_empty_table_of_the_same_columns(fitted: Recommender, market: Market) -> None:
    none = fitted.recommend(USERS[:0], market.profiles, k=3, why=True).table
    assert none.columns == fitted.recommend(USERS[:1], market.profiles, k=3, why=True).table.columns
    one = fitted.recommend_from_items(np.array([2, 5], np.int32), np.ones(2, np.float32), k=3, why=True).table
    assert one.columns == none.columns


def test_words() -> None:
    values = [
        {"why_interests": 0.6, "why_popularity": -0.3, "why_texts": 0.1},
        {"why_together": 0.09, "why_item": -0.91},
        {},
    ]
    shares = pl.DataFrame([{c: row.get(c, 0.0 if row else None) for c in COLUMNS} for row in values])
    assert in_words(shares) == ["your interests 60 %, texts 10 %", "", ""]
    assert in_words(shares, "zh")[0] == "您的兴趣 60 %，文本相近 10 %"
