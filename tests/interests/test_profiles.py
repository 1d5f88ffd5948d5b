from __future__ import annotations

from functools import lru_cache

import numpy as np
import polars as pl
import pytest

from penchant.config import InterestsConfig
from penchant.data import DAY_S, LAYERS, STATES, Events, InterestTree, Profiles
from penchant.errors import DataError
from penchant.interests import profiles as profiles_module
from penchant.interests import sums
from penchant.interests.layers import Forecast, fit_forecast
from penchant.interests.profiles import POINT_SCHEMA, make_profiles
from tests.interests.small_logs import habits_log, items_of, log_of, tree_of

CONFIG = InterestsConfig(horizon=5, n_evidence=2)


@lru_cache
def market() -> tuple[Events, InterestTree, Forecast]:
    events, tree = habits_log(n_users=60, n_events=50)
    return events, tree, fit_forecast(events, tree, CONFIG, seed=0)


def made(config: InterestsConfig = CONFIG, at: float | None = None) -> Profiles:
    events, tree, forecast = market()
    return make_profiles(events, items_of(80), tree, forecast, config, at=at)


def test_profiles_keep_the_contract() -> None:
    points = made().points
    assert dict(points.schema) == {
        name: pl.List(pl.Int32) if name == "evidence" else t for name, t in POINT_SCHEMA.items()
    }
    assert set(points["level"].unique()) == {1, 2}
    shares = points.group_by("user_row", "level").agg(pl.col("share").sum())["share"]
    np.testing.assert_allclose(shares, 1.0, atol=1e-5)
    assert points["probability"].is_between(0, 1).all()
    assert points["layer"].is_between(0, len(LAYERS) - 1).all()
    assert points["state"].is_between(0, len(STATES) - 1).all()
    assert (points["n_active_days"] <= points["n_events"]).all()
    order = points.sort("user_row", "level", pl.col("probability") * -1, "interest_row", maintain_order=True)
    assert order.equals(points)
    below, above = CONFIG.secondary, CONFIG.core
    expected = np.where(points["probability"] >= above, 0, np.where(points["probability"] >= below, 1, 2))
    assert points["layer"].to_list() == expected.tolist()


def test_chunks_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made().points
    monkeypatch.setattr(profiles_module, "CHUNK_POINTS", 37)
    monkeypatch.setattr(sums, "BLOCK_EVENTS", 300)
    assert made().points.equals(whole)


def test_evidence_and_medoid_by_hand() -> None:
    membership = np.array([[0.6, 0.4], [0.9, 0.1], [1.0, 0.0], [0.0, 1.0]])
    tree = tree_of(membership, [0, 0])
    # Strengths in leaf 0: item 0 1.8, item 1 0.9, item 2 0.5; item 3 was returned and is no evidence.
    events = log_of([(0, 0, 0.0, 3.0), (0, 1, 0.0, 1.0), (0, 2, 0.0, 0.5), (0, 3, 0.0, -1.0)])
    forecast = fit_forecast(events, tree, CONFIG, seed=0)
    points = make_profiles(events, items_of(4), tree, forecast, CONFIG).of_level(2).sort("interest_row")
    assert points["evidence"].to_list() == [[0, 1], [0, 1]]
    assert points["medoid_item_row"].to_list() == [1, 0]
    assert points["aversion"].to_list() == [0.0, 1.0]
    assert points["affinity"].to_list() == pytest.approx([3.2, 1.3])


def test_an_interest_only_disliked_has_no_share() -> None:
    tree = tree_of(np.eye(2), [0, 1])
    events = log_of([(0, 0, 0.0, 1.0), (0, 1, 0.0, -2.0), (1, 1, 0.0, -2.0)])
    forecast = fit_forecast(events, tree, CONFIG, seed=0)
    points = make_profiles(events, items_of(2), tree, forecast, CONFIG).of_level(2).sort("user_row", "interest_row")
    assert points["share"].to_list() == [1.0, 0.0, 0.0]
    assert points["medoid_item_row"].to_list() == [0, -1, -1]
    assert points["evidence"].to_list() == [[0], [], []]


def test_a_moment_in_the_past_leaves_later_events_out() -> None:
    past = made(at=100 * DAY_S)
    assert past.at == 100 * DAY_S
    assert past.points["last_time"].max() <= 100 * DAY_S


@pytest.mark.parametrize("rule", ["share", "points", "recency", "frequency", "kmeans"])
def test_layers_by_rule(rule: str) -> None:
    by_rule = made(CONFIG.model_copy(update={"layer_method": rule}))
    by_forecast = made()
    assert by_rule.points["probability"].equals(by_forecast.points["probability"])
    assert not by_rule.points["layer"].equals(by_forecast.points["layer"])


def test_a_catalogue_of_another_size_is_refused() -> None:
    events, tree = habits_log(n_users=5, n_events=5)
    forecast = fit_forecast(events, tree, CONFIG, seed=0)
    with pytest.raises(DataError, match="the tree knows 80 items, the catalogue has 3"):
        make_profiles(events, items_of(3), tree, forecast, CONFIG)


def test_no_events_give_no_points() -> None:
    tree = tree_of(np.eye(2), [0, 1])
    events = log_of([], n_users=2)
    forecast = fit_forecast(events, tree, CONFIG, seed=0)
    points = make_profiles(events, items_of(2), tree, forecast, CONFIG).points
    assert points.height == 0
    assert points.columns == list(POINT_SCHEMA)
