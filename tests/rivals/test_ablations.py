"""Ablations: the part that is taken out can change as it likes, and no list does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penchant.config import Config, RunOptions
from penchant.errors import ConfigError
from penchant.pipeline import lay_ground, train_recommender
from penchant.rivals.ablations import config_without
from tests.rivals.logs import N_ITEMS, TITLES, K, fit_one, market, quick
from tests.scorers.logs import make_items

SUM = {"recommend": {"method": "sum_z", "n_candidates": 12}}


def ours(config: Config) -> Any:
    log, items, users = market()
    ground = lay_ground(log, items, config, RunOptions())
    made = train_recommender(log, items, ground, config, RunOptions())
    return made.recommend(users, ground.profiles, k=K).lists(users, K)


def test_without_layers_they_may_be_any() -> None:
    one, other = (
        fit_one("without_layers", config=quick(**SUM, interests={"core": core, "secondary": core / 2}))
        for core in (0.5, 0.001)
    )
    assert (one.lists == other.lists).all()
    assert one.settings["leave_out"] == ("slots",)


def test_without_the_tree_it_may_be_any() -> None:
    few, many = (fit_one("without_tree", config=quick(**SUM, interests={"n_leaves": n})) for n in (2, 8))
    assert (few.lists == many.lists).all()
    assert few.settings["leave_out"] == ("interest", "interest_short", "interest_all", "slots")
    assert (ours(quick(**SUM, interests={"n_leaves": 2})) != ours(quick(**SUM, interests={"n_leaves": 8}))).any()


def test_without_text_it_may_be_any() -> None:
    texts: list[str | None] = [f"{'green' if i % 3 else 'velvet'} thing" for i in range(N_ITEMS)]
    config = quick(**SUM)
    one, other = (fit_one("without_text", items=make_items(N_ITEMS, t), config=config) for t in (TITLES, texts))
    assert (one.lists == other.lists).all()
    assert one.settings["encode.method"] == "none"


@pytest.mark.parametrize("name", ["without_tree", "without_text"])
def test_each_part_changes_some_list(name: str) -> None:
    config = quick(**SUM)
    assert (fit_one(name, config=config).lists != ours(config)).any()


def test_nothing_else_is_changed() -> None:
    """The recommender with the same setting by hand gives the same lists."""
    by_hand = quick(recommend={**SUM["recommend"], "leave_out": ("slots",)})
    assert (fit_one("without_layers", config=quick(**SUM)).lists == ours(by_hand)).all()
    assert (fit_one("without_text", config=quick(**SUM)).lists == ours(quick(**SUM, encode={"method": "none"}))).all()


def test_under_one_signal_the_layers_change_nothing_and_it_says_so() -> None:
    config = quick(recommend={"method": "item_knn"})
    peer = fit_one("without_layers", config=config)
    assert (peer.lists == ours(config)).all()
    assert any("one signal ranks here (item_knn)" in note for note in peer.notes)


def test_what_is_left_out_already_stays_out() -> None:
    config = quick(recommend={"leave_out": ("als",)})
    assert fit_one("without_layers", config=config).settings["leave_out"] == ("als", "slots")


def test_seen_items_are_left_out_whatever_the_setting() -> None:
    log, _, users = market()
    peer = fit_one("without_layers", config=quick(recommend={"repeat": "allow"}))
    assert not log.touched(N_ITEMS).toarray()[users[:, None], np.maximum(peer.lists, 0)].any()


def test_a_method_that_needs_the_part_is_refused_before_the_work() -> None:
    with pytest.raises(ConfigError, match="Got 'interest'"):
        fit_one("without_tree", config=quick(recommend={"method": "interest"}))


def test_without_text_drops_what_only_reads_texts() -> None:
    told = {"represent": {"neural": {"item_dropout": 0.5}}, "encode": {"tune": "head"}}
    config = config_without("without_text", Config.model_validate(told))
    assert config.represent.neural.item_dropout == 0
    assert config.encode.tune == "off"
    assert config_without("without_tree", Config.model_validate(told)).encode.tune == "head"
