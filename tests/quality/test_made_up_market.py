"""Floors on the made-up market: each claim of the README in small, against its baseline in the same run."""

from __future__ import annotations

import pytest
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import v_measure_score

import penchant as pc
from penchant.config import build_config
from penchant.demo import segment_of_user
from penchant.io.world import World, make_world
from penchant.io.world.truth import score_layers, score_leaves, score_names, score_segments
from penchant.model import Model


@pytest.fixture(scope="module")
def market() -> World:
    return make_world(n_users=500, n_items=800, n_days=90, seed=11)


@pytest.fixture(scope="module")
def fitted(market: World) -> Model:
    return pc.fit(market.events, market.items, config=build_config({"encode": {"method": "tfidf"}}))


def test_leaves_find_the_planted_interests_better_than_texts_alone(market: World, fitted: Model) -> None:
    ours = score_leaves(market.truth["items"], fitted.items_table())["v_measure"]
    truth = market.truth["items"].sort("item_id")
    words = TfidfVectorizer().fit_transform(market.items.sort("item_id")["title"].fill_null("").to_list())
    plain = KMeans(truth["interest_id"].n_unique(), n_init=3, random_state=0).fit_predict(words)
    assert ours >= 0.85
    assert ours > v_measure_score(truth["interest_id"].to_list(), plain)


def test_names_say_a_true_word(market: World, fitted: Model) -> None:
    found = score_names(market.truth, fitted.interests_table(), fitted.items_table())
    assert found["name_share"] >= 0.9


def test_layers_are_near_the_truth(market: World, fitted: Model) -> None:
    assert score_layers(market.truth, fitted.profiles_table(), fitted.items_table())["macro_f1"] >= 0.7


def test_segments_are_near_the_truth(market: World, fitted: Model) -> None:
    assert score_segments(market.truth["segments"], segment_of_user(fitted))["ari"] >= 0.6


def test_the_forecast_holds_on_the_last_window(fitted: Model) -> None:
    report = fitted.forecast.report
    assert report is not None
    rows = {row["method"]: row for row in report.methods.to_dicts()}
    ours = rows.pop(fitted.forecast.method_used)
    assert ours["ece"] <= 0.06  # a small market: a few thousand points
    assert all(ours["auc"] > row["auc"] for row in rows.values())
    hits = report.layers.sort("hit_share", descending=True)["layer"].to_list()
    assert hits == ["core", "secondary", "peripheral"]
