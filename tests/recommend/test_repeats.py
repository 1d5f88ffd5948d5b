"""Repeats: what is learned of a log where users come back to what they took, and which lists may hold it."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from penchant.config import RecommendConfig, build_config
from penchant.data import Events
from penchant.errors import ConfigError
from penchant.pipeline import check_settings
from penchant.recommend import Recommender, explain
from penchant.recommend.past import read_past
from penchant.recommend.repeats import REPEAT, fit_repeats
from penchant.recommend.windows import wanted_likes

from .conftest import DAY, N_GROUPS, N_ITEMS, N_USERS, Market, events_of, fit_market, make_market

STAPLE = 0  # of each group: bought every seven days by every user of the group
ALL = np.arange(N_USERS, dtype=np.int32)


def habits() -> Market:
    """The small market, and beside it one staple of each group that its users take every week."""
    market = make_market()
    rows = list(market.events.table.select("user_row", "item_row", "weight", "time").rows())
    for user in range(N_USERS):
        staple = user % N_GROUPS  # items 0, 1 and 2 lie in groups 0, 1 and 2
        rows += [(user, staple, 1.0, (user % 7 + 7 * week) * DAY) for week in range(14)]
    rows.append((0, 7, -2.0, 50 * DAY))  # disliked by user 0, who never liked it
    rows = [r for r in rows if not (r[0] == 0 and r[1] == 7 and r[2] > 0)]
    return Market(**{**vars(market), "events": events_of(rows, N_USERS + 1)})


@pytest.fixture(scope="module")
def market() -> Market:
    return habits()


@pytest.fixture(scope="module")
def predict(market: Market) -> Recommender:
    return fit_market(market, repeat="predict")


def lists(recommender: Recommender, market: Market, **how: object) -> np.ndarray:
    return recommender.recommend(ALL, market.profiles, k=5, **how).lists(ALL, 5)  # type: ignore[arg-type]


def test_never_allow_and_predict(market: Market, predict: Recommender) -> None:
    staple = (ALL % N_GROUPS)[:, None]
    touched = market.events.touched(N_ITEMS).toarray() > 0
    never = lists(fit_market(market), market)
    assert not touched[ALL[:, None], never].any()
    allow = lists(fit_market(market, repeat="allow"), market)
    assert touched[ALL[:, None], allow].any()
    foretold = lists(predict, market)
    assert (foretold[:, :1] == staple).mean() > 0.9  # the staple comes first
    assert (allow[:, :1] == staple).mean() < (foretold[:, :1] == staple).mean()
    assert 7 not in foretold[0].tolist()  # only disliked: out
    assert not set(REPEAT) & set(fit_market(market, repeat="allow", method="als").signals.names)


@pytest.mark.parametrize("method", ["auto", "repeat", "sum_z"])
def test_a_repeat_says_so_and_nothing_else_does(market: Market, method: str) -> None:
    one = fit_market(market, repeat="predict", method=method, n_windows=3)
    touched = market.events.touched(N_ITEMS).toarray() > 0
    for k, allow_seen in ((20, None), (3, False)):
        found = one.recommend(ALL, market.profiles, k=k, allow_seen=allow_seen)
        told = explain(found, market.items, market.tree)
        again = touched[found.table["user_row"].to_numpy(), found.table["item_row"].to_numpy()]
        assert [reason == "You chose it before" for reason in told] == again.tolist()
        assert again.any() == (allow_seen is None)


def test_the_argument_goes_before_the_setting(market: Market, predict: Recommender) -> None:
    touched = market.events.touched(N_ITEMS).toarray() > 0
    assert not touched[ALL[:, None], lists(predict, market, allow_seen=False)].any()
    assert touched[ALL[:, None], lists(fit_market(market, method="als"), market, allow_seen=True)].any()


def test_the_chance_follows_what_comes_back(market: Market) -> None:
    found = fit_repeats(market.events, N_ITEMS, seed=0)
    past = read_past(market.events, N_ITEMS)
    chance = past.matrix(found.chance(past)).toarray()
    staple = chance[ALL, ALL % N_GROUPS]
    once = past.matrix(past.n_times).toarray() == 1
    assert staple.min() > chance[once].max()
    assert staple.mean() > 0.5
    # calibrated in sum: about as many as come back in a tenth of the log
    assert 0 < chance[once].mean() < 0.2
    assert found.item_share[:N_GROUPS].min() > found.item_share[N_GROUPS:].max()
    assert found.item_gap[:N_GROUPS] == pytest.approx(7.0, rel=0.3)


def test_signals_of_repeats_by_hand() -> None:
    rows = [(0, 2, 1.0, 0.0), (0, 1, 1.0, DAY), (0, 2, 1.0, 2 * DAY), (0, 2, 1.0, 2 * DAY + 60), (0, 0, 1.0, 9 * DAY)]
    events = events_of(rows, 1)
    past = read_past(events, 4)
    found = fit_repeats(events, 4, seed=0)  # too few to learn from
    assert found.score("repeat_count", past)[0].tolist() == pytest.approx([1.5, 1 + 1 / 5, 2 + 1 / 3, 0])  # 2 sessions
    assert found.score("repeat_last", past)[0].tolist() == pytest.approx([1, 1 / 4, 1 / 2, 0])
    chance = found.score("repeat", past)[0]
    assert chance[3] == 0
    assert (chance[:3] > 0).all()
    assert chance[1] == chance[:3].min()  # once, and longer ago than the others


def test_learning_reads_nothing_after_the_moment(market: Market) -> None:
    """The same log with a later part that turns every habit round: what is learned before it stays."""
    cut = market.events.cut_at(0.8)
    before = market.events.before(cut)
    one, two = fit_repeats(before, N_ITEMS, seed=0), fit_repeats(market.events.before(cut), N_ITEMS, seed=0)
    assert one.constant == two.constant
    assert one.weights.tolist() == two.weights.tolist()


def test_targets_with_repeats() -> None:
    before = events_of([(0, 0, 1.0, 1.0), (0, 1, -1.0, 2.0), (1, 2, 1.0, 3.0)], 3)
    after = events_of([(0, 0, 1.0, 4.0), (0, 1, 1.0, 5.0), (0, 2, 1.0, 6.0), (2, 0, 1.0, 7.0)], 3)
    none = np.zeros(3, np.bool_)
    assert wanted_likes(before, after, 3, none).toarray().tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert wanted_likes(before, after, 3, none, repeats=True).toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_a_log_without_repeats_can_be_asked(tmp_path: object) -> None:
    rows = [(u, i, 1.0, float(DAY * (u + 3 * i))) for u in range(40) for i in range(u % 5, 30, 5)]
    market = make_market()
    plain = Market(**{**vars(market), "events": events_of(rows, N_USERS + 1)})
    one = fit_market(plain, repeat="predict", n_windows=3)
    assert set(REPEAT) <= set(one.signals.names)
    two = Recommender.from_parts(one.to_parts())
    assert two.config.repeat == "predict"
    assert (lists(one, plain) == lists(two, plain)).all()


def test_the_session_of_somebody_new_may_repeat(predict: Recommender) -> None:
    items, weights = np.array([5, 0, 5], np.int32), np.ones(3, np.float32)
    table = predict.recommend_from_items(items, weights, k=N_ITEMS).table
    assert {0, 5} <= set(table["item_row"].to_list())
    assert not {0, 5} & set(
        predict.recommend_from_items(items, weights, k=N_ITEMS, allow_seen=False).table["item_row"].to_list()
    )


def test_the_old_setting_says_what_it_is_now(market: Market) -> None:
    with pytest.raises(ValidationError, match="'allow_seen' is now 'repeat'"):
        RecommendConfig.model_validate({"allow_seen": True})
    with pytest.raises(ConfigError, match="Got 'repeat'"):
        fit_market(market, method="repeat")  # no such signal where lists hold nothing twice


def test_events_of_order_have_gaps_in_own_events() -> None:
    rows = [(0, i % 2 if i % 3 else 3, 1.0, float(i)) for i in range(12)]
    log = events_of(rows, 1)
    ordered = Events(log.table, log.user_ids, log.actions, "order")
    found = fit_repeats(ordered, 4, seed=0)
    assert np.isfinite(found.chance(read_past(ordered, 4))).all()


def test_a_method_of_repeats_is_refused_before_the_work() -> None:
    plain = {"encode": {"method": "tfidf"}}
    check_settings(build_config({**plain, "recommend": {"method": "repeat", "repeat": "predict"}}))
    with pytest.raises(ConfigError, match="Got 'repeat'"):
        check_settings(build_config({**plain, "recommend": {"method": "repeat"}}))
