"""Lists in another domain are learned on users of whom one domain is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from penchant.config import RecommendConfig
from penchant.data import Items
from penchant.recommend import Recommender
from penchant.recommend.crossings import NO_DOMAIN, crossing_lesson, domains_of
from penchant.recommend.fit_signals import fit_signals
from penchant.recommend.past import read_past
from penchant.recommend.windows import past_windows

from .conftest import HALF_LIVES, N_GROUPS, N_ITEMS, N_USERS, Market, fit_market

USERS = np.arange(N_USERS, dtype=np.int32)
BOOKS = np.arange(N_ITEMS) < 24


@pytest.fixture(scope="module")
def two(market: Market) -> Market:
    domain = pl.Series("domain", np.where(BOOKS, "books", "films").tolist())
    return replace(market, items=Items(market.items.table.with_columns(domain)))


def test_domains_by_row(market: Market) -> None:
    named = [None, "films", "books", *["films"] * (N_ITEMS - 3)]
    items = Items(market.items.table.with_columns(pl.Series("domain", named)))
    assert domains_of(items)[:4].tolist() == [NO_DOMAIN, 1, 0, 1]
    assert set(domains_of(market.items).tolist()) == {NO_DOMAIN}


def test_a_lesson_reads_one_domain_and_asks_for_another(two: Market) -> None:
    config = RecommendConfig(min_window_users=5, n_candidates=30)
    text = two.space.text
    assert text is not None
    window = past_windows(two.events, N_ITEMS, text.present, config, seed=0)[0]
    signals = fit_signals(window.before, N_ITEMS, text.values, two.tree.membership, config, HALF_LIVES, seed=0)
    past = read_past(window.before, N_ITEMS)
    lesson = crossing_lesson(window, past, signals, domains_of(two.items), config, seed=0)
    assert lesson is not None
    found = lesson.candidates
    books = np.where(found.valid, BOOKS[found.item_rows], np.nan)
    assert set(np.nanmean(books, axis=1).tolist()) == {0.0, 1.0}  # of each user one domain alone; both are asked for
    assert (lesson.hit.sum(axis=1) <= lesson.ideal).all()
    assert lesson.hit.any()
    one = np.zeros(N_ITEMS, np.int32)
    assert crossing_lesson(window, past, signals, one, config, seed=0) is None


def test_only_lists_from_a_source_go_by_the_crossing_ranker(two: Market, market: Market) -> None:
    fitted = fit_market(two, window_share=0.25)
    assert fitted.crossing_ranker is not None
    table = fitted.recommend(USERS, two.profiles, k=1, source=BOOKS, allowed=~BOOKS).table
    assert (table["item_row"] % N_GROUPS == table["user_row"] % N_GROUPS).mean() > 0.6  # type: ignore[operator]
    plain = replace(fitted, crossing_ranker=None)
    usual, crossed = (one.recommend(USERS, two.profiles, k=5, source=BOOKS).table for one in (plain, fitted))
    assert usual["score"].to_list() != crossed["score"].to_list()
    whole = [one.recommend(USERS, two.profiles, k=5, allowed=~BOOKS).table for one in (plain, fitted)]
    assert whole[0].equals(whole[1])
    again = Recommender.from_parts(fitted.to_parts())
    assert again.recommend(USERS, two.profiles, k=5, source=BOOKS).table.equals(crossed)
    assert fit_market(market, method="sum_z", n_windows=1).crossing_ranker is None
