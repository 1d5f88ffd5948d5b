"""Hand-worked numbers for the pieces."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.recommend import windows as windows_module
from penchant.recommend.candidates import Candidates, pick_candidates, ranks, standardise
from penchant.recommend.choose import _best, ndcg
from penchant.recommend.diversify import diversify
from penchant.recommend.explain import attribute
from penchant.recommend.fit_signals import FadedEvents
from penchant.recommend.leaves import place_in_leaves
from penchant.recommend.past import past_of_new, read_past
from penchant.recommend.rank import Lesson
from penchant.recommend.recommender import Recommender
from penchant.recommend.windows import past_windows, wanted_likes
from penchant.scorers import build_scorer

from .conftest import DAY, N_ITEMS, Market, events_of


def test_past_by_hand() -> None:
    events = events_of(
        [(0, 2, 1.0, 0.0), (0, 1, 2.0, DAY), (1, 0, 1.0, DAY), (0, 2, 3.0, 4 * DAY), (1, 3, -1.0, 5 * DAY)], 3
    )
    past = read_past(events, 4)
    assert past.matrix(past.weight).toarray().tolist() == [[0, 2, 4, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert past.indices.tolist() == [1, 2, 0]
    assert past.own_age.tolist() == [1, 0, 0]
    assert past.log_age.tolist() == [0.25, 0.0, 0.25]
    assert past.age_days.tolist() == [4, 1, 4]  # days before the log's last event
    assert past.touched.toarray().tolist() == [[0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
    taken = past.take(np.array([1, 0], np.int32))
    assert taken.indices.tolist() == [0, 1, 2]
    assert taken.weight.tolist() == [1, 2, 4]


def test_past_of_new_users() -> None:
    """The second touches items 3, 1, 3 and dislikes 0; the third nothing; the first one item between."""
    users, items = np.array([1, 1, 0, 1, 1], np.int32), np.array([3, 1, 4, 3, 0], np.int32)
    past = past_of_new(users, items, np.array([1, 1, 5, 2, -1], np.float32), n_users=3, n_items=5)
    assert past.indptr.tolist() == [0, 1, 3, 3]
    assert past.indices.tolist() == [4, 1, 3]
    assert past.weight.tolist() == [5, 1, 3]
    assert past.own_age.tolist() == [0, 1, 0]
    assert past.touched.toarray().nonzero()[1].tolist() == [4, 0, 1, 3]
    assert past.activity[:, 0].tolist() == pytest.approx(np.log1p([1, 4, 0]).tolist())


def test_windows_do_not_overlap_and_end_with_the_log(market: Market) -> None:
    config = RecommendConfig(n_windows=3, window_share=0.2, min_window_users=1)
    windows = past_windows(market.events, N_ITEMS, np.zeros(N_ITEMS, bool), config, seed=0)
    assert [w.share[1] for w in windows] == [1.0, windows[0].share[0], windows[1].share[0]]
    for w in windows:
        assert np.diff(w.target.indptr)[w.user_rows].min() > 0
        touched = read_past(w.before, N_ITEMS).touched
        assert w.target.multiply(touched).nnz == 0
    assert windows[0].share[0] == pytest.approx(0.8, abs=0.01)


def test_few_windows_are_enough_where_users_are_many(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(enough: int) -> list[int]:
        monkeypatch.setattr(windows_module, "ENOUGH_USERS", enough)
        config = RecommendConfig(min_window_users=1)
        found = past_windows(market.events, N_ITEMS, np.zeros(N_ITEMS, bool), config, seed=0)
        return [len(window.user_rows) for window in found]

    every = count(10**6)
    assert len(every) == 8
    assert count(sum(every[:5])) == every[:5]
    assert count(sum(every[:5]) + 1) == every[:6]
    assert count(1) == every[:5]


def test_new_likes_by_hand() -> None:
    before = events_of([(0, 0, 1.0, 0.0), (1, 1, 1.0, 0.0), (1, 2, -1.0, 0.0)], 3)
    after = events_of([(0, 0, 1.0, 9.0), (0, 1, 1.0, 9.0), (0, 3, 1.0, 9.0), (1, 2, 1.0, 9.0), (2, 1, 1.0, 9.0)], 3)
    none = np.zeros(5, bool)
    # repeated, unknown item, disliked before, unknown user: none of them counts
    assert wanted_likes(before, after, 5, none).toarray().nonzero()[1].tolist() == [1]
    assert wanted_likes(before, after, 5, ~none).toarray().nonzero()[1].tolist() == [1, 3]


def test_windows_are_capped_and_dropped(market: Market) -> None:
    config = RecommendConfig(max_train_users=10, min_window_users=5, window_share=0.2)
    windows = past_windows(market.events, N_ITEMS, np.zeros(N_ITEMS, bool), config, seed=0)
    assert [len(w.user_rows) for w in windows] == [10, 10, 10, 10]
    config = RecommendConfig(min_window_users=10_000)
    assert past_windows(market.events, N_ITEMS, np.zeros(N_ITEMS, bool), config, seed=0) == []
    same_time = events_of([(u, i, 1.0, 5.0) for u in range(20) for i in range(5)], 20)
    assert past_windows(same_time, 5, np.zeros(5, bool), RecommendConfig(), seed=0) == []


def test_candidates_take_the_best_of_each_signal() -> None:
    a = np.array([[5.0, 4.0, 0.0, 0.0, 0.0]], np.float32)
    b = np.broadcast_to(np.array([0.0, 0.0, 1.0, 9.0, 0.0], np.float32), (1, 5))
    rows, valid = pick_candidates({"a": a, "b": b}, sp.csr_array((1, 5), dtype=np.float32), 2)
    assert rows.tolist() == [[0, 3]]
    blocked = sp.csr_array(np.array([[1, 0, 0, 1, 0]], np.float32))
    rows, valid = pick_candidates({"a": a, "b": b}, blocked, 4)
    assert rows[valid].tolist() == [1, 2]


def test_standardise_and_ranks() -> None:
    valid = np.array([[True, True, False]])
    assert standardise(np.array([[1.0, 3.0, 99.0]], np.float32), valid).tolist() == [[-1.0, 1.0, 0.0]]
    assert ranks(np.array([[0.0, -np.inf, 2.0]], np.float32)).tolist() == [[1.0, 2.0, 0.0]]


def test_ndcg_by_hand() -> None:
    rows = np.arange(3, dtype=np.int32)[None, :]
    lesson = Lesson(
        Candidates(rows, np.ones((1, 3), bool), np.zeros((1, 3, 0), np.float32)),
        np.array([[False, True, False]]),
        np.array([2], np.int32),
    )
    got = ndcg(np.array([[3.0, 2.0, 1.0]], np.float32), lesson)
    assert got[0] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))


def test_a_combination_gives_way_only_beyond_noise() -> None:
    draw = np.random.default_rng(0)
    noise = draw.normal(0, 0.1, 400).astype(np.float32)
    base = np.full(400, 0.2, np.float32)
    close = {"als": base + noise + np.float32(0.0001) - noise.mean(), "blend": base}
    assert _best(close, ("als",), 1.0, 0) == "blend"
    assert _best(close, ("als",), 0.0, 0) == "als"
    assert _best({"als": base + noise + 0.1, "blend": base}, ("als",), 1.0, 0) == "als"


def test_diversify_by_hand() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0, 1]], np.float32)
    scores = np.array([[1.0, 0.9, 0.5, 0.0]], np.float32)
    rows = np.arange(4, dtype=np.int32)[None, :]
    every = np.ones((1, 4), bool)
    assert diversify(scores, rows, every, vectors, 0.0, 4).tolist() == [[0, 1, 2, 3]]
    # after item 0: item 1 is worth 0.5 * 0.9 - 0.5 * 0.8 = 0.05, item 2 is worth 0.5 * 0.5 = 0.25
    assert diversify(scores, rows, every, vectors, 0.5, 3).tolist() == [[0, 2, 1]]
    assert diversify(scores, rows, np.array([[True, False, False, True]]), vectors, 0.5, 3).tolist() == [[0, 3, -1]]


def test_attribute_by_hand() -> None:
    membership = sp.csr_array(np.array([[0.6, 0.4, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], np.float32))
    points = pl.DataFrame(
        {"user_row": [0, 0], "interest_row": [0, 1], "probability": [0.1, 0.9], "layer": [2, 0]},
        schema={"user_row": pl.Int32, "interest_row": pl.Int32, "probability": pl.Float32, "layer": pl.Int8},
    )
    users, items = np.zeros(3, np.int32), np.arange(3, dtype=np.int32)
    leaf, layer = attribute(users, items, membership, points)
    assert leaf.tolist() == [1, 2, -1]  # 0.4 * 0.9 beats 0.6 * 0.1; no point there; no leaf
    assert layer.tolist() == [0, -1, -1]
    assert attribute(users, items, membership, None)[0].tolist() == [0, 2, -1]


def test_single_signals_equal_the_shared_scorers(fitted: Recommender, market: Market) -> None:
    users = np.arange(20, dtype=np.int32)
    ours = fitted.signals.score(fitted.past.take(users))
    history = market.events.matrix(N_ITEMS, binary=True)
    for name in ("popular", "popular_7d", "popular_30d", "item_knn", "als", "ease"):
        scorer = build_scorer(name, seed=0)
        scorer.fit(market.events, N_ITEMS)
        np.testing.assert_allclose(ours[name], scorer.score(users, history), rtol=1e-4, atol=1e-5, err_msg=name)


def test_interest_signal_by_hand() -> None:
    events = events_of([(0, 0, 1.0, 0.0), (0, 1, 1.0, 10 * DAY)], 1)
    past = read_past(events, 2)
    assert past.age_days.tolist() == [10.0, 0.0]
    faded = FadedEvents(events.table, events.user_ids, events.actions, "time").matrix(2, binary=True)
    assert faded.toarray()[0] == pytest.approx([2 ** (-0.5 / 0.1), 1.0])


def test_shares_use_the_half_life(fitted: Recommender, market: Market) -> None:
    share = fitted.signals.shares(fitted.past, 60.0)
    total = share.sum(axis=1)
    assert total[:-1] == pytest.approx(np.ones(len(total) - 1), abs=1e-5)
    assert total[-1] == 0
    assert not np.allclose(share, fitted.signals.shares(fitted.past, 1.0))


def test_items_are_placed_by_what_was_known() -> None:
    tree = sp.csr_array(np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]], np.float32))
    factors = np.array([[1, 0], [1, 0.1], [0, 1], [1, 0], [0, 0]], np.float32)
    placed = place_in_leaves(tree, factors, None)
    leaf = placed.toarray().argmax(axis=1)
    assert leaf[:3].tolist() == [0, 0, 1]
    assert leaf[3] == 0  # the tree says leaf 1, but nothing known by then does
    assert placed[[4]].nnz == 0
    assert placed.sum(axis=1)[:4] == pytest.approx(np.ones(4), abs=1e-5)
