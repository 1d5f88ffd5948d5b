"""Lists for people who are not in the log are learned from those who were new in past windows."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.config import RecommendConfig
from penchant.recommend import Recommender
from penchant.recommend.newcomers import MAX_FIRST, find_newcomers

from .conftest import N_ITEMS, Market, events_of, fit_market

NO_TEXT = np.zeros(6, np.bool_)
CONFIG = RecommendConfig(min_window_users=1)


def test_newcomers_by_hand() -> None:
    """User 0 is known; 1 likes items 0 and 1; 2 has one like, 3 likes what nobody had before, 4 dislikes first."""
    before = events_of([(0, 0, 1.0, 0.0), (0, 1, 1.0, 0.0), (0, 2, 1.0, 0.0)], 5)
    rows = [(0, 3, 1.0), (1, 0, 1.0), (1, 1, 1.0), (2, 1, 1.0), (3, 0, 1.0), (3, 5, 1.0), (4, 2, -1.0), (4, 1, 1.0)]
    rows += [(4, 2, 1.0)]
    after = events_of([(*row, 10.0 + i) for i, row in enumerate(rows)], 5)
    found = find_newcomers(before, after, 6, NO_TEXT, CONFIG, seed=0)
    assert found is not None
    assert found.past.n_users == 2  # 1 and 4: one like is known of each, the other asked for
    assert found.past.indices.tolist() == [0, 1]
    assert found.target.indices.tolist() == [1, 2]
    with_text = find_newcomers(before, after, 6, ~NO_TEXT, CONFIG, seed=0)
    assert with_text is not None
    assert with_text.target.indices.tolist() == [1, 5, 2]
    assert find_newcomers(before, after, 6, NO_TEXT, RecommendConfig(min_window_users=3), seed=0) is None
    assert find_newcomers(before, before, 6, NO_TEXT, CONFIG, seed=0) is None


def test_first_likes_are_few_and_never_asked_for() -> None:
    draw = np.random.default_rng(0)
    rows = [(0, i, 1.0, 0.0) for i in range(6)]
    rows += [
        (user, int(item), 1.0, 10.0 + i) for user in range(1, 40) for i, item in enumerate(draw.integers(0, 6, 12))
    ]
    log = events_of(rows, 40)
    before, after = log.before(5.0), log.take(log.time >= 5)
    found = find_newcomers(before, after, 6, NO_TEXT, CONFIG, seed=0)
    assert found is not None
    n_first = np.diff(found.past.indptr)
    assert n_first.min() == 1
    assert n_first.max() <= MAX_FIRST
    assert found.past.matrix().multiply(found.target).nnz == 0
    capped = find_newcomers(before, after, 6, NO_TEXT, RecommendConfig(max_train_users=10), seed=0)
    assert capped is not None
    assert capped.past.n_users == 10


def test_newcomers_get_the_method_that_did_best_for_newcomers(market: Market) -> None:
    """Users come one after the other, so every window has new ones; a few regulars touch everything."""
    draw = np.random.default_rng(1)
    rows = [(u, int(i), 1.0, float(t)) for u in range(12) for t, i in enumerate(draw.integers(0, N_ITEMS - 1, 40))]
    for user in range(12, 61):
        own = np.flatnonzero(np.arange(N_ITEMS - 1) % 3 == user % 3)
        rows += [(user, int(i), 1.0, (user - 12) * 0.8 + 0.05 * n) for n, i in enumerate(draw.permutation(own)[:8])]
    log = events_of([(u, i, w, t * 86_400.0) for u, i, w, t in rows], 61)
    fitted = fit_market(Market(log, market.items, market.space, market.tree, market.profiles))
    assert fitted.newcomer_report["n_users"].max() > 0
    assert not fitted.newcomer_report.equals(fitted.report)
    table = fitted.recommend_from_items(np.array([4, 7], np.int32), np.ones(2, np.float32), k=6).table
    assert (table["item_row"] % 3 == 1).mean() > 0.8  # type: ignore[operator]
    again = Recommender.from_parts(fitted.to_parts())
    assert again.newcomer_ranker.name == fitted.newcomer_ranker.name
    lists = again.recommend_from_items(np.array([4, 7], np.int32), np.ones(2, np.float32), k=6).table
    assert lists.equals(table)


@pytest.mark.parametrize("method", ["item_knn", "blend"])
def test_a_method_that_is_named_serves_everybody(market: Market, method: str) -> None:
    fitted = fit_market(market, method=method)
    assert fitted.newcomer_ranker.name == method
