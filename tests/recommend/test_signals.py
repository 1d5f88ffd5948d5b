"""Signals by hand: trend, price, attributes, last session, segments."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.data import Items
from penchant.recommend import Recommender
from penchant.recommend.attributes import PRIOR, ItemFacts, read_facts
from penchant.recommend.fit_signals import _trend
from penchant.recommend.past import past_of_new, read_past
from penchant.recommend.signals import signal_names

from .conftest import DAY, N_GROUPS, N_ITEMS, N_USERS, Market, events_of, fit_market, make_market


def catalogue(**columns: object) -> Items:
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    table = pl.DataFrame({"item_id": [f"i{i}" for i in range(n)], "title": [f"Title {i}" for i in range(n)]})
    nothing = pl.Series("text", [None] * n, dtype=pl.String)
    empty = pl.Series("categories", [[]] * n, dtype=pl.List(pl.String))
    return Items(table.with_columns(nothing, empty).with_columns(**{k: pl.Series(v) for k, v in columns.items()}))


def test_trend_by_hand() -> None:
    # item 0: one user long ago, two now; item 1: three users long ago, none now; 100 days in all
    old = [(0, 0, 1.0, 20 * DAY), (1, 1, 1.0, 20 * DAY), (2, 1, 1.0, 20 * DAY), (3, 1, 1.0, 20 * DAY)]
    events = events_of([(0, 2, 1.0, 0.0), *old, (4, 0, 1.0, 99 * DAY), (5, 0, 1.0, 100 * DAY)], 6)
    found = _trend(events, events.positive(), 3)
    expected = np.array([3, 3, 0]) * 2 / 6  # item 2 was taken more than 90 days ago
    assert found == pytest.approx((np.array([2, 0, 0]) - expected) / np.sqrt(expected + 1))
    short = events_of([(user, item, w, t / 100) for user, item, w, t in events.table.select(
        "user_row", "item_row", "weight", "time").rows()], 6)  # fmt: skip
    assert _trend(short, short.positive(), 3)[0] > 0  # a log of one day has its last hours


def test_price_is_told_in_the_users_own_spread() -> None:
    log_price = np.log(np.array([10, 10, 10, 10, 20, 1, 400, np.nan], np.float32))
    facts = ItemFacts(log_price)
    narrow, wide = np.zeros(8), np.zeros(8)
    narrow[:4], wide[[0, 5, 6]] = 1, 1
    score = facts.score("price", sp.csr_array(np.stack([narrow, wide, np.zeros(8)]).astype(np.float32)))
    known = np.isfinite(log_price)
    x = log_price[known] - log_price[known].mean()
    mean = 4 * x[0] / (4 + PRIOR)
    spread = np.sqrt((4 * x[0] ** 2 + PRIOR * x.std() ** 2) / (4 + PRIOR) - mean**2)
    assert score[0][known] == pytest.approx(-np.abs(x - mean) / spread, rel=1e-4)
    assert score[0, 6] < score[1, 6]  # 400 is odder for who always pays 10
    assert score[0, 7] == pytest.approx(score[0][known].mean(), rel=1e-4)
    assert not score[2].any()
    assert (score <= 0).all()


def test_attributes_are_what_items_share() -> None:
    items = catalogue(
        categories=[["a", "b"], ["a"], ["b"], []],
        maker=["x", "x", "y", "y"],
        serial=["1", "2", "3", "4"],  # all different: no attribute
        sold=[900, 2, 3, 4],  # a count is not read
        listed=[True, True, True, True],  # what all have says nothing
    )
    facts = read_facts(items)
    assert facts.names == ("attributes",)
    assert facts.attributes is not None
    assert facts.attributes.shape == (4, 5)  # categories a and b, maker x and y, listed
    score = facts.score("attributes", sp.csr_array(np.array([[1, 0, 0, 0]], np.float32)))[0]
    a = np.log(2) * np.array([[1, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 1]])
    cosine = a @ a[0] / np.linalg.norm(a, axis=1) / np.linalg.norm(a[0])
    assert score == pytest.approx(cosine - 1, abs=1e-5)


def test_the_price_column_is_found() -> None:
    assert read_facts(catalogue(price_note=[1.0, 2.0])).names == ()
    assert read_facts(catalogue(unit_price=[0.0, -1.0])).names == ()  # nothing to take a logarithm of
    both = read_facts(catalogue(unit_price=[1.0, 2.0], price=[np.e, 1.0])).log_price
    assert both == pytest.approx([1.0, 0.0])


def test_without_price_and_attributes_their_signals_are_not_there(fitted: Recommender, market: Market) -> None:
    assert not {"price", "attributes"} & set(fitted.signals.names)
    assert {"popular_90d", "popular_trend", "item_knn_session", "segment_popular"} <= set(fitted.signals.names)
    group = pl.Series("group", [f"g{i % N_GROUPS}" for i in range(N_ITEMS)])
    price = pl.Series("price", 1.0 + np.arange(N_ITEMS))
    told = fit_market(Market(**{**vars(market), "items": Items(market.items.table.with_columns(group, price))}))
    assert {"price", "attributes"} <= set(told.signals.names)
    again = Recommender.from_parts(told.to_parts())
    past = told.past.take(np.arange(5, dtype=np.int32))
    one, two = told.signals.score(past), again.signals.score(past)
    assert all((one[name] == two[name]).all() for name in told.signals.names)
    own = np.arange(N_ITEMS) % N_GROUPS == 0
    assert one["attributes"][0][own].mean() > one["attributes"][0][~own].mean()  # user 0 is of group 0


def test_the_last_session_alone_is_read() -> None:
    hour = 3600.0
    rows = [(0, 0, 1.0, 0.0), (0, 1, 1.0, 60.0), (0, 0, 1.0, 48 * hour), (0, 2, 1.0, 48 * hour + 60.0)]
    past = read_past(events_of([*rows, (1, 1, 1.0, 50 * hour)], 2), 3)
    assert past.matrix(past.in_session).toarray().tolist() == [[1, 0, 1], [0, 1, 0]]
    assert past.matrix(past.n_times).toarray().tolist() == [[2, 1, 1], [0, 1, 0]]
    assert past.matrix(past.gap).toarray()[0].tolist() == [2.0, 0.0, 0.0]  # two days between the two times
    now = past_of_new(np.zeros(2, np.int32), np.array([2, 0], np.int32), np.ones(2, np.float32), n_users=1, n_items=3)
    assert now.in_session.tolist() == [1, 1]


def test_the_session_signal_is_item_knn_of_that_session(fitted: Recommender) -> None:
    past = fitted.past.take(np.arange(10, dtype=np.int32))
    weight = past.in_session * np.exp2(-past.own_age / 5)
    expected = (past.matrix(weight.astype(np.float32)) @ fitted.signals.linear["item_knn"]).toarray()
    assert fitted.signals.score(past)["item_knn_session"] == pytest.approx(expected, rel=1e-5)


def test_segments_know_the_users_own_group(fitted: Recommender) -> None:
    """Sixty users make one segment; with small ones each group of users has its own."""
    past = fitted.past.take(np.arange(N_USERS + 1, dtype=np.int32))
    score = fitted.signals.score(past)["segment_popular"]
    assert not score[-1].any()  # nothing is known of the last user
    assert (score[:-1] > 0).any(axis=1).all()


def test_small_segments_follow_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penchant.recommend.fit_signals.SEGMENT_USERS", 20)
    one = fit_market(make_market(), method="segment_popular", n_windows=1)
    assert len(one.signals.segment_centres) == N_GROUPS
    score = one.signals.score(one.past.take(np.arange(N_USERS, dtype=np.int32)))["segment_popular"]
    own = np.arange(N_ITEMS)[None, :] % N_GROUPS == np.arange(N_USERS)[:, None] % N_GROUPS
    assert score[own].mean() > 3 * score[~own].mean()


def test_names_keep_their_order() -> None:
    every = signal_names(has_text=True)
    assert every[-4:] == ("attributes", "price", "text", "text_last5")
    assert signal_names(has_text=True, optional=("price",))[-3:] == ("price", "text", "text_last5")
