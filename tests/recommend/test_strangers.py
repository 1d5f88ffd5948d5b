"""Lists in a domain that shares nobody with the user's: by what the texts say, and by how popular its items are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from penchant.config import RecommendConfig
from penchant.data import Items
from penchant.recommend import Recommender
from penchant.recommend.candidates import Candidates, feature_names
from penchant.recommend.past import read_past
from penchant.recommend.strangers import POPULARITY, Bridge, find_apart

from .conftest import N_GROUPS, N_ITEMS, N_USERS, Market, fit_market

BOOKS = np.arange(N_ITEMS) < 24
READERS = np.arange(0, N_USERS, 2, dtype=np.int32)


@pytest.fixture(scope="module")
def apart(market: Market) -> Market:
    """Even users read, odd users watch."""
    domain = pl.Series("domain", np.where(BOOKS, "books", "films").tolist())
    reads = market.events.user_row % 2 == 0
    events = market.events.take((market.events.item_row >= 0) & (BOOKS[market.events.item_row] == reads))
    return replace(market, events=events, items=Items(market.items.table.with_columns(domain)))


@pytest.fixture(scope="module")
def fitted(apart: Market) -> Recommender:
    return fit_market(apart, window_share=0.25)


def test_domains_are_apart_where_nobody_acts_in_both(apart: Market, market: Market) -> None:
    config = RecommendConfig(min_window_users=5)
    assert find_apart(apart.items, read_past(apart.events, N_ITEMS), config).tolist() == [[False, True], [True, False]]
    assert not find_apart(apart.items, read_past(market.events, N_ITEMS), config).any()
    assert find_apart(market.items, read_past(market.events, N_ITEMS), config).shape == (0, 0)


def test_readers_get_the_films_of_their_own_words(apart: Market, fitted: Recommender) -> None:
    assert fitted.strangers is not None
    table = fitted.recommend(READERS, apart.profiles, k=3, source=BOOKS, allowed=~BOOKS).table
    assert not BOOKS[table["item_row"].to_numpy()].any()
    own = (table["item_row"] % N_GROUPS == table["user_row"] % N_GROUPS).mean()
    assert own > 0.6  # type: ignore[operator]
    view = fitted.strangers.view(fitted.signals, fitted._traits, fitted.strangers.named(BOOKS))
    assert set(table["source"].unique()) <= set(view.names)


def test_only_lists_between_strangers_are_made_so(apart: Market, fitted: Recommender) -> None:
    plain = replace(fitted, strangers=None)
    for source, allowed in ((None, ~BOOKS), (BOOKS, None), (BOOKS, BOOKS), (~BOOKS, ~BOOKS)):
        lists = [
            one.recommend(READERS, apart.profiles, k=5, source=source, allowed=allowed).table for one in (plain, fitted)
        ]
        assert lists[0].equals(lists[1])
    across = [
        one.recommend(READERS, apart.profiles, k=5, source=BOOKS, allowed=~BOOKS).table for one in (plain, fitted)
    ]
    assert across[0]["item_row"].to_list() != across[1]["item_row"].to_list()


def test_kept_with_the_recommender(apart: Market, fitted: Recommender) -> None:
    again = Recommender.from_parts(fitted.to_parts())
    lists = [one.recommend(READERS, apart.profiles, k=5, source=BOOKS, allowed=~BOOKS).table for one in (fitted, again)]
    assert lists[0].equals(lists[1])


def test_popularity_there_and_words_have_their_weights() -> None:
    """Shares of a score add up to it, but for what is the same in a row."""
    draw = np.random.default_rng(0)
    names = ("popular", "als", "text")
    n_features = len(feature_names(names))
    found = Candidates(
        np.tile(np.arange(40, dtype=np.int32), (2, 1)),
        np.ones((2, 40), np.bool_),
        draw.normal(size=(2, 40, n_features)).astype(np.float32),
    )
    bridge = Bridge("bridge", names, n_shared=1)
    columns = np.tile(np.arange(40, dtype=np.int32), (2, 1))
    parts, score = bridge.parts(found, columns), bridge.score(found)
    gap = parts.sum(axis=2) - score
    assert gap.std(axis=1) == pytest.approx(0, abs=1e-5)
    assert parts[:, :, 0].std(axis=1) == pytest.approx(POPULARITY, abs=1e-4)
    assert parts[:, :, 1:].sum(axis=2).std(axis=1) == pytest.approx(1, abs=1e-4)


def test_without_texts_lists_follow_the_usual_ranker(apart: Market) -> None:
    mute = replace(apart, space=replace(apart.space, text=None))
    assert fit_market(mute, n_windows=1).strangers is None


def test_a_stated_method_ranks_here_too(apart: Market) -> None:
    assert fit_market(apart, method="popular_30d", n_windows=1).strangers is None
