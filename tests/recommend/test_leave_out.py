"""`recommend.leave_out`: what is named is not there, and nothing else changes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from penchant.artefacts import load_folder, save_folder
from penchant.config import RecommendConfig
from penchant.errors import ConfigError
from penchant.recommend import Recommender
from penchant.recommend.candidates import feature_names
from penchant.recommend.signals import EASE, INTEREST, POPULAR_DAYS, POPULAR_SHARES, TREND, check_left_out, signal_names

from .conftest import N_USERS, Market, fit_market

ALL = np.arange(N_USERS + 1, dtype=np.int32)


def lists(recommender: Recommender, market: Market) -> pl.DataFrame:
    return recommender.recommend(ALL, market.profiles, k=6).table


@pytest.mark.parametrize(
    "names", [INTEREST, ("text", "text_last5"), EASE, ("als",), (*POPULAR_DAYS, *POPULAR_SHARES, TREND)]
)
def test_a_left_out_signal_is_nowhere(market: Market, fitted: Recommender, names: tuple[str, ...]) -> None:
    one = fit_market(market, leave_out=names, method="blend")
    assert one.signals.names == tuple(name for name in fitted.signals.names if name not in names)
    past = one.past.take(ALL[:3])
    assert set(one.signals.score(past)) == set(one.signals.names)
    table = lists(one, market)
    assert not set(table["source"].to_list()) & set(names)
    assert not any(f.split(":")[0] in names for f in feature_names(one.ranker.signal_names))  # type: ignore[attr-defined]
    auto = fit_market(market, leave_out=names)
    assert not set(auto.report["method"].to_list()) & set(names)
    # with no popularity to fall back on there is nothing to tell a user without a past
    assert table["user_row"].n_unique() == N_USERS + ("popular" not in names)


def test_lists_without_a_signal_differ(market: Market) -> None:
    whole = lists(fit_market(market, method="sum_z"), market)
    assert not lists(fit_market(market, method="sum_z", leave_out=INTEREST), market).equals(whole)


def test_one_signal_alone_ranks_as_before(market: Market) -> None:
    """Under one signal no other is read: to leave others out changes no list."""
    whole = lists(fit_market(market, method="item_knn"), market)
    for names in (INTEREST, ("popular", "text"), EASE):
        assert lists(fit_market(market, method="item_knn", leave_out=names), market).equals(whole)


def test_without_slots_layers_bring_no_candidate(market: Market) -> None:
    """With as many candidates as places, the layers' slots take places from other candidates."""
    settings = {"method": "sum_z"}
    with_slots, without = (fit_market(market, **settings, leave_out=names) for names in ((), ("slots",)))
    assert without.signals.names == with_slots.signals.names
    empty = market.profiles.points.clear()
    bare = type(market.profiles)(empty, market.profiles.at)
    columns = ["user_row", "item_row", "rank", "score", "source"]
    narrow = [
        Recommender(**{**vars(one), "config": one.config.model_copy(update={"n_candidates": 10})})
        for one in (with_slots, without)
    ]
    told, silent = (one.recommend(ALL, market.profiles, k=6).table for one in narrow)
    none = narrow[0].recommend(ALL, bare, k=6).table
    assert silent.select(columns).equals(none.select(columns))
    assert not told.select(columns).equals(silent.select(columns))
    assert silent["layer"].max() == 0  # a layer still explains an item


def test_it_is_saved_and_loaded(market: Market, tmp_path: object) -> None:
    one = fit_market(market, leave_out=(*INTEREST, "slots", "ease_recent", "ease_recent_decayed"))
    save_folder(f"{tmp_path}/model", {"recommender": one.to_parts()}, {})
    two = Recommender.from_parts(load_folder(f"{tmp_path}/model").parts["recommender"])
    assert two.signals.names == one.signals.names
    assert two.config.leave_out == one.config.leave_out
    assert "ease_recent" not in two.signals.linear
    assert lists(two, market).equals(lists(one, market))


def test_new_users_and_popular_items_stay(market: Market, fitted: Recommender) -> None:
    one = fit_market(market, leave_out=(*POPULAR_DAYS, *POPULAR_SHARES))
    assert one.popular(5).table.equals(fitted.popular(5).table)
    table = one.recommend_from_items(np.array([2, 5], np.int32), np.ones(2, np.float32), k=5).table
    assert table.height == 5


def test_wrong_names_are_refused(market: Market) -> None:
    with pytest.raises(ConfigError, match=r"recommend\.leave_out: no signal 'slot'; did you mean 'slots'"):
        fit_market(market, leave_out=("slot",))
    with pytest.raises(ConfigError, match="no signal would be left"):
        check_left_out(signal_names(has_text=True))
    with pytest.raises(ConfigError, match="no signal would be left"):
        check_left_out(signal_names(has_text=False), has_text=False)
    with pytest.raises(ConfigError, match="Got 'ease'"):
        fit_market(market, method="ease", leave_out=("ease",))


def test_nothing_is_left_out_by_default() -> None:
    assert RecommendConfig().leave_out == ()
