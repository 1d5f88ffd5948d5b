"""Simulated sessions as a whole: counts by hand, laws of the stated behaviour, command, files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from penchant.config import Config, build_config
from penchant.errors import ConfigError, DataError
from penchant.io.world.sessions import Behaviour
from penchant.simulation import Simulation, count_days, simulate
from penchant.simulation.play import count, play
from penchant.simulation.policies import at_random, ranked
from penchant.simulation.stage import Stage, read_again, set_stage
from tests.conftest import Ran

SETTINGS = {"encode": {"method": "tfidf"}, "recommend": {"n_windows": 1, "ease_max_items": 50}, "seed": 3}
CONFIG: Config = build_config(SETTINGS)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return set_stage(80, 200, CONFIG)


def test_days_are_counted_as_the_rounds_say(stage: Stage) -> None:
    played = {"ours": play(stage, ranked(None), 2, 5, Behaviour()), "random": play(stage, at_random, 2, 5, Behaviour())}
    by_day, whole = count_days(stage, played)
    people = stage.people
    assert by_day.height == 4
    for name, found in played.items():
        rounds = found.rounds
        own = by_day.filter(pl.col("policy") == name)
        for day, r in enumerate(rounds):
            row = own.row(day, named=True)
            clicks, hides = r.clicked[people].sum(axis=1), r.hidden[people].sum(axis=1)
            assert row["clicks"] == pytest.approx(clicks.mean())
            assert row["satisfied"] == pytest.approx(((clicks > 0) & (hides == 0)).mean())
            assert row["boredom"] == pytest.approx(1 - r.freshness[people][r.seen[people]].mean(), abs=1e-6)
            assert row["satisfied_low"] <= row["satisfied"] <= row["satisfied_high"]
        total = whole.row(by_predicate=pl.col("policy") == name, named=True)
        assert total["clicks"] == pytest.approx(own["clicks"].mean())
        assert count(stage, found)["clicks"].sum() == pytest.approx(total["clicks"] * 2 * len(people))
    gap = whole.row(1, named=True)
    assert gap["clicks_vs"] == pytest.approx(gap["clicks"] - whole["clicks"][0])
    assert whole["clicks_vs"][0] is None


def test_nobody_is_shown_an_item_twice(stage: Stage) -> None:
    lists = np.concatenate([r.lists[stage.user] for r in play(stage, at_random, 3, 5, Behaviour()).rounds], axis=1)
    lists = np.sort(lists, axis=1)
    assert ((np.diff(lists, axis=1) > 0) | (lists[:, :-1] < 0)).all()  # -1: heavy users run out of items


def test_acts_of_strangers_are_refused(stage: Stage) -> None:
    strange = pl.DataFrame({"user_id": ["nobody"], "item_id": stage.log.items.item_ids.head(1), "action": ["click"],
                            "timestamp": [1_700_000_000]})  # fmt: skip
    with pytest.raises(DataError, match="does not have"):
        read_again(stage, [strange])


@pytest.fixture(scope="module")
def found() -> Simulation:
    return simulate(n_users=80, n_items=200, rounds=2, k=5, policies=["rank", "random"], config=CONFIG)


def test_ours_pleases_more_than_random_lists(found: Simulation) -> None:
    ours, random = found.whole.to_dicts()
    assert random["clicks_vs_high"] < 0
    assert ours["clicks"] > random["clicks"]
    assert ours["boredom"] > random["boredom"]  # more of the same tires


def test_users_who_never_tire_are_never_bored() -> None:
    calm = simulate(n_users=80, n_items=200, rounds=1, k=5, policies=["random"],
                    behaviour=Behaviour(boredom=0.0, hide=0.0), config=CONFIG)  # fmt: skip
    assert calm.by_day["boredom"].to_list() == [0.0]
    assert calm.by_day["hides"].to_list() == [0.0]


def test_the_same_seed_says_the_same(found: Simulation) -> None:
    again = simulate(n_users=80, n_items=200, rounds=2, k=5, policies=["rank", "random"], config=CONFIG)
    assert again.by_day.equals(found.by_day)
    assert again.whole.equals(found.whole)


@pytest.mark.parametrize(("wrong", "said"), [({"policies": ["poplar"]}, "popular"), ({"policies": []}, "none"),
                                             ({"rounds": 0}, "at least 1")])  # fmt: skip
def test_what_can_t_be_played_is_refused_before_the_work(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        simulate(**wrong)  # type: ignore[arg-type]


def test_the_command_prints_and_writes(tmp_path: Path, cli: Callable[..., Ran]) -> None:
    asked = ("simulate", "--users", "80", "--items", "200", "--rounds", "2", "--policies", "rank,random", "--quiet",
             "--set", "encode.method=tfidf", "--set", "recommend.n_windows=1", "--behaviour", "boredom=0")  # fmt: skip
    ran = cli(*asked, "--json", "-o", tmp_path / "s")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["facts"]["behaviour"]["boredom"] == 0
    names = {p.name for p in (tmp_path / "s").iterdir()}
    assert names == {"by_day.csv", "whole.csv", "simulation.json", "simulation.md", "simulation.html"}
    assert pl.read_csv(tmp_path / "s" / "by_day.csv").height == 4
    assert "did you mean 'boredom'" in cli("simulate", "--behaviour", "bordom=1").err
    assert "NAME=NUMBER" in cli("simulate", "--behaviour", "boredom=much").err
