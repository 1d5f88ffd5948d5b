"""Networks as signals: fitted on what came before, read for those who are in the log, kept in a saved model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from penchant.artefacts import load_folder, save_folder
from penchant.config import RecommendConfig, build_config
from penchant.data import Events, FloatArray
from penchant.errors import ConfigError
from penchant.pipeline import check_settings
from penchant.recommend import Recommender, fit_recommender

from .conftest import HALF_LIVES, N_ITEMS, N_USERS, Market, fit_market

ALL = np.arange(N_USERS, dtype=np.int32)


@dataclass(frozen=True)
class Vectors:
    users: FloatArray
    items: FloatArray


@dataclass
class Taught:
    """A network that says what it was told about each user: the item after the highest liked one. Counts its fits."""

    ends: list[float] = field(default_factory=list)

    def __call__(self, events: Events) -> Vectors:
        self.ends.append(events.end)
        liked = events.matrix(N_ITEMS, binary=True).toarray()
        last = np.where(liked.any(axis=1), N_ITEMS - 1 - liked[:, ::-1].argmax(axis=1), 0)
        return Vectors(np.eye(N_ITEMS, dtype=np.float32)[(last + 1) % N_ITEMS], np.eye(N_ITEMS, dtype=np.float32))


def fit(market: Market, network: Taught, **settings: object) -> Recommender:
    config = RecommendConfig(n_candidates=30, min_window_users=5, **settings)  # type: ignore[arg-type]
    return fit_recommender(
        market.events,
        market.items,
        market.space,
        market.tree,
        config,
        seed=0,
        half_lives=HALF_LIVES,
        networks={"taught": network},
    )


def test_a_network_is_a_signal_fitted_on_each_past(market: Market) -> None:
    network = Taught()
    one = fit(market, network)
    assert "network_taught" in one.signals.names
    assert "network_taught" in one.report["method"].to_list()
    assert network.ends[-1] == market.events.end
    assert len(network.ends) >= 3
    assert max(network.ends[:-1]) < market.events.end  # windows: only what came before them
    assert network.ends[:-1] == sorted(network.ends[:-1], reverse=True)


def test_its_scores_are_dot_products(market: Market) -> None:
    network = Taught()
    one = fit(market, network)
    users = np.array([3, 0], np.int32)
    scores = one.signals.score(one.past.take(users), frozenset({"network_taught"}))["network_taught"]
    assert scores.tolist() == network(market.events).users[users].tolist()


def test_it_can_rank_alone_and_is_told_of(market: Market) -> None:
    table = fit(market, Taught(), method="network_taught").recommend(ALL, market.profiles, k=3, why=True).table
    assert set(table["source"].to_list()) == {"network_taught"}
    assert table["why_sequence"].to_list() == pytest.approx([1.0] * table.height)


def test_people_outside_the_log_have_no_vector(market: Market) -> None:
    one = fit(market, Taught())
    table = one.recommend_from_items(np.array([1], np.int32), np.ones(1, np.float32), k=5).table
    assert table.height == 5
    past = one.past.take(ALL[:2]).of_items(np.ones(N_ITEMS, np.bool_))
    assert not one.signals.score(past)["network_taught"].any()


def test_a_saved_model_has_it(market: Market, tmp_path: Path) -> None:
    one = fit(market, Taught(), method="blend")
    save_folder(f"{tmp_path}/model", {"recommender": one.to_parts()}, {})
    again = Recommender.from_parts(load_folder(f"{tmp_path}/model").parts["recommender"])
    before, after = (r.recommend(ALL, market.profiles, k=5).table for r in (one, again))
    assert before.equals(after)


def test_without_networks_nothing_changes(market: Market, fitted: Recommender) -> None:
    assert not fitted.past.vectors
    assert not [name for name in fitted.signals.names if name.startswith("network")]
    plain = fit_market(market, method="sum_z")
    left_out = fit(market, Taught(), method="sum_z", leave_out=("network_taught",))
    tables = [r.recommend(ALL, market.profiles, k=6).table for r in (plain, left_out)]
    assert tables[0].equals(tables[1])


def test_settings_name_networks_that_exist() -> None:
    check_settings(build_config({"recommend": {"networks": ["factors"], "method": "network_factors"}}))
    with pytest.raises(ConfigError, match="factors"):
        check_settings(build_config({"recommend": {"networks": ["factor"]}}))
    with pytest.raises(ConfigError, match="network"):
        check_settings(build_config({"recommend": {"method": "network_factors"}}))
