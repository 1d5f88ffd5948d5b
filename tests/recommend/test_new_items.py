"""Items with only a text: known items near to them in text speak for them, and past windows tell how much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import Items
from penchant.recommend import Recommender
from penchant.recommend.fit_signals import fit_signals
from penchant.recommend.new_items import (
    category_matrix,
    find_new,
    item_traits,
    nearest,
    new_item_lesson,
    new_item_signals,
    weigh_labels,
)
from penchant.recommend.past import read_past
from penchant.recommend.windows import past_windows

from .conftest import HALF_LIVES, N_GROUPS, N_ITEMS, N_USERS, NEW_ITEM, Market, fit_market

USERS = np.arange(N_USERS, dtype=np.int32)
WITHHELD = np.array([9, 10, 11, 12, 13, 14])  # two of each group
NEW = np.isin(np.arange(N_ITEMS), [*WITHHELD, NEW_ITEM])


@pytest.fixture(scope="module")
def thin(market: Market) -> Market:
    """The market before anybody touched the withheld items."""
    kept = market.events.table.filter(~pl.col("item_row").is_in(WITHHELD.tolist()))
    return replace(market, events=replace(market.events, table=kept))


@pytest.fixture(scope="module")
def of_new(thin: Market) -> Recommender:
    return fit_market(thin, window_share=0.25)


def test_shares_of_the_nearest_known_items() -> None:
    text = np.array([[1, 0], [0.8, 0.6], [0, 1], [1, 0]], np.float32)
    known, new = np.array([False, True, True, False]), np.array([False, False, False, True])
    near = nearest(text, known, new).toarray()
    assert not near[:3].any()
    assert near[3].sum() == pytest.approx(1)
    assert near[3, 1] / near[3, 2] == pytest.approx(np.exp(8), rel=1e-4)  # cosines .8 and 0 at a temperature of 0.1


def test_what_is_said_of_a_new_item_is_said_of_its_neighbours(of_new: Recommender) -> None:
    traits = of_new.signals.text
    assert traits is not None
    signals = new_item_signals(of_new.signals, traits, NEW)
    past = of_new.past.take(USERS[:4])
    usual, told = of_new.signals.score(past), signals.score(past)
    assert list(told) == list(signals.names)
    assert not any(values[:, ~NEW].any() for name, values in told.items() if not name.startswith("popular"))
    np.testing.assert_allclose(told["ease"], (signals.near @ usual["ease"].T).T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(told["popular"][0], signals.near @ of_new.signals.popular("popular"), rtol=1e-5)
    np.testing.assert_allclose(told["text"][:, NEW], usual["text"][:, NEW])
    np.testing.assert_allclose(signals.item_features, signals.near @ of_new.signals.item_features, rtol=1e-5)
    assert find_new(of_new.signals, traits).tolist() == NEW.tolist()


def test_regressions_foretell_what_like_texts_have(of_new: Recommender) -> None:
    traits = of_new.signals.text
    assert traits is not None
    signals = new_item_signals(of_new.signals, traits, NEW)
    told = signals.score(of_new.past.take(USERS))
    for name in ("als_by_text", "text_fit", "text_fit_last5"):  # each user's own group first
        of_own = told[name][:, WITHHELD].argmax(axis=1) % N_GROUPS == USERS % N_GROUPS
        assert of_own.mean() > 0.9, name


def test_a_lesson_hides_known_items(market: Market) -> None:
    config = RecommendConfig(min_window_users=5, n_candidates=30, window_share=0.3)
    text = market.space.text
    assert text is not None
    window = past_windows(market.events, N_ITEMS, text.present, config, seed=0)[0]
    signals = fit_signals(window.before, N_ITEMS, text.values, market.tree.membership, config, HALF_LIVES, seed=0)
    past = read_past(window.before, N_ITEMS)
    lesson = new_item_lesson(window, past, signals, text.values, config, seed=0)
    assert lesson is not None
    assert lesson.candidates.valid.sum(axis=1).max() < N_ITEMS / 2  # of a fifth of the items
    assert lesson.hit.any(axis=1).all()
    bare = item_traits(None, sp.csr_array((N_ITEMS, 0), dtype=np.float32))
    assert new_item_lesson(window, past, signals, bare, config, seed=0) is None


def test_likes_of_hidden_items_are_not_read(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    config = RecommendConfig(min_window_users=5, n_candidates=30, window_share=0.3)
    text = market.space.text
    assert text is not None
    window = past_windows(market.events, N_ITEMS, text.present, config, seed=0)[0]
    signals = fit_signals(window.before, N_ITEMS, text.values, market.tree.membership, config, HALF_LIVES, seed=0)
    past = read_past(window.before, N_ITEMS)
    monkeypatch.setattr("penchant.recommend.new_items.ENOUGH_USERS", 1)  # one fold
    lesson = new_item_lesson(window, past, signals, text.values, config, seed=0)
    assert lesson is not None
    hidden = np.unique(lesson.candidates.item_rows[lesson.candidates.valid])
    blind = past.where(~np.isin(past.indices, hidden))
    again = new_item_lesson(window, blind, signals, text.values, config, seed=0)
    assert again is not None
    np.testing.assert_array_equal(lesson.candidates.features, again.candidates.features)


def test_categories_count_where_they_foretell(market: Market, of_new: Recommender) -> None:
    def weight(labels: list[list[str]]) -> float:
        table = market.items.table.with_columns(pl.Series("categories", labels, dtype=pl.List(pl.String)))
        return float(weigh_labels(category_matrix(Items(table)), of_new.signals).max())

    mute = replace(of_new.signals, text=np.random.default_rng(0).normal(size=(N_ITEMS, 3)).astype(np.float32))
    by_group = [[f"g{i % N_GROUPS}"] for i in range(N_ITEMS)]
    table = market.items.table.with_columns(pl.Series("categories", by_group, dtype=pl.List(pl.String)))
    assert weigh_labels(category_matrix(Items(table)), mute).max() == 1.0  # such texts tell nothing
    lot = np.random.default_rng(1).integers(0, 5, N_ITEMS)
    assert weight([[f"c{i}"] for i in lot]) == 0.0
    assert category_matrix(market.items).shape == (N_ITEMS, 0)
    few = [["rare"] if i < 4 else ["often", "often"] for i in range(N_ITEMS)]
    matrix = category_matrix(Items(market.items.table.with_columns(pl.Series("categories", few))))
    assert matrix.toarray().tolist() == [[0.0]] * 4 + [[1.0]] * (N_ITEMS - 4)


def test_lists_of_new_items_follow_the_users_group(of_new: Recommender, thin: Market) -> None:
    table = of_new.recommend(USERS, thin.profiles, k=2, allowed=NEW).table
    assert set(table["item_row"].to_list()) <= set(np.flatnonzero(NEW).tolist())
    own = (table["item_row"] % N_GROUPS == table["user_row"] % N_GROUPS).mean()
    assert own is not None
    assert own > 0.9  # a third by chance
    assert not table["source"].str.starts_with("popular").any()
    stranger = of_new.recommend_from_items(np.array([1, 4], np.int32), np.ones(2, np.float32), k=2, allowed=NEW).table
    assert (stranger["item_row"] % N_GROUPS).to_list() == [1, 1]
    why = of_new.recommend(USERS[:2], thin.profiles, k=2, allowed=NEW, why=True).table
    assert why["why_together"].null_count() == 0


def test_a_known_item_among_the_allowed_brings_the_usual_lists(of_new: Recommender, thin: Market) -> None:
    allowed = NEW.copy()
    allowed[0] = True
    usual = replace(of_new, new_item_ranker=None).recommend(USERS, thin.profiles, k=3, allowed=allowed).table
    assert of_new.recommend(USERS, thin.profiles, k=3, allowed=allowed).table.equals(usual)


def test_places_for_new_items_go_by_their_ranker(thin: Market) -> None:
    fitted = fit_market(thin, n_explore=1, window_share=0.25)
    table = fitted.recommend(USERS, thin.profiles, k=5).table.filter(pl.col("source") == "exploration")
    assert set(table["rank"].to_list()) == {5}
    assert (table["item_row"] % N_GROUPS == table["user_row"] % N_GROUPS).mean() > 0.9  # type: ignore[operator]


def test_saved_and_loaded(of_new: Recommender, thin: Market) -> None:
    again = Recommender.from_parts(of_new.to_parts())
    assert of_new.new_item_report is not None
    assert again.new_item_report is not None
    assert again.new_item_report.equals(of_new.new_item_report)
    lists = [one.recommend(USERS, thin.profiles, k=3, allowed=NEW).table for one in (of_new, again)]
    assert lists[0].equals(lists[1])


@pytest.mark.parametrize("method", ["ease", "sum_z"])
def test_a_method_that_is_named_serves_new_items(thin: Market, method: str) -> None:
    fitted = fit_market(thin, method=method, n_windows=1)
    assert fitted.new_item_ranker is not None
    assert fitted.new_item_ranker.name == method
    table = fitted.recommend(USERS, thin.profiles, k=1, allowed=NEW).table
    assert (table["item_row"] % N_GROUPS == table["user_row"] % N_GROUPS).mean() > 0.8  # type: ignore[operator]


def test_without_texts_nothing_is_said_of_new_items(thin: Market) -> None:
    bare = replace(thin, space=replace(thin.space, text=None))
    fitted = fit_market(bare, method="sum_z", n_windows=1)
    assert fitted.new_item_ranker is None
    assert fitted.recommend(USERS, thin.profiles, k=2).table.height == 2 * N_USERS
