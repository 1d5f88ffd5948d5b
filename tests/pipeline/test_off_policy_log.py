"""`evaluate` on a log whose last days were shown by chance: off-policy table, notes, files, page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

import penchant as pc
from penchant import show as printed
from penchant.assessment import Evaluation
from penchant.config import build_config
from penchant.errors import DataError
from penchant.evaluate.off_policy import LOGGED, OFF, RANDOM
from penchant.evaluate.split import split_windows
from penchant.io.world import World
from penchant.io.world.audience import hide_interests
from penchant.io.world.chance_lists import draw_lists, inclusion_chances
from penchant.io.world.sessions import DAY, Behaviour, Memory, as_events, show
from penchant.report.page import read_off_policy
from tests.conftest import Ran

K = 5
CONFIG = build_config(
    {
        "encode": {"method": "tfidf"},
        "recommend": {"n_windows": 1, "method": "item_knn"},
        "interests": {"forecast_model": "logistic"},
        "segments": {"n_segments": 4, "n_random": 20},
        "evaluate": {"n_bootstrap": 100, "k": K, "test_share": 0.4},
    }
)


@dataclass(frozen=True)
class Logged:
    """A log with propensities, and the true takes from a list of k items drawn evenly."""

    events: pl.DataFrame
    random_value: float


@pytest.fixture(scope="module")
def logged(world: World) -> Logged:
    audience = hide_interests(world, per_user=0).audience
    plain = Behaviour(position=0.0, boredom=0.0, again=1.0)
    chances = inclusion_chances(audience.strength[:, audience.interest_of_item], K, temperature=0.4)
    end = int(world.events["timestamp"].max())  # type: ignore[arg-type]
    days = []
    for day in range(1, 9):
        lists = draw_lists(chances, seed=day)
        outcome = show(audience, plain, Memory.fresh(audience), lists, day=0, seed=day)
        p = np.take_along_axis(chances, lists, axis=1)
        days.append(as_events(audience, outcome, start=end + day * DAY, propensity=p))
    events = pl.concat([world.events, *days], how="diagonal_relaxed")
    whole = np.tile(np.arange(len(audience.item_ids), dtype=np.int32), (audience.n_users, 1))
    chance = show(audience, plain, Memory.fresh(audience), whole, day=0, seed=0).chance
    log = pc.read_log(events, world.items, config=CONFIG.io)
    split = split_windows(log.events, CONFIG.evaluate.test_share, 1)[0]
    user = _rows_in(audience.user_ids, log.events.user_ids)
    item = _rows_in(audience.item_ids, log.items.item_ids)
    known = np.diff(split.history(len(log.items)).indptr) > 0
    unseen = split.seen(len(log.items)).toarray()[known] == 0
    own = chance[user][:, item][known]
    return Logged(events, float(K * ((own * unseen).sum(axis=1) / unseen.sum(axis=1)).mean()))


def _rows_in(ids: pl.Series, wanted: pl.Series) -> npt.NDArray[np.int64]:
    row = {name: i for i, name in enumerate(ids.to_list())}
    return np.array([row[name] for name in wanted.to_list()])


@pytest.fixture(scope="module")
def result(logged: Logged, world: World) -> Evaluation:
    return pc.assess(logged.events, world.items, against=["popular"], config=CONFIG)


def test_the_table_judges_ours_and_peers_by_what_was_shown(result: Evaluation, logged: Logged) -> None:
    table = result.off_policy
    assert table is not None
    assert table["method"].to_list() == [LOGGED, "penchant", "popular", RANDOM]
    row = table.row(3, named=True)
    assert row["ips_low"] < logged.random_value < row["ips_high"]
    assert row["mean_weight"] == pytest.approx(1, abs=0.1)
    assert row["n_lists"] * K == row["n_shown"]
    ours = table.row(1, named=True)
    assert 0 < ours["match_share"] < 0.5
    assert any("off-policy, latest window" in note and "item alone" in note for note in result.notes)


def test_other_tables_do_not_change_with_propensities(result: Evaluation, logged: Logged, world: World) -> None:
    bare = pc.assess(
        logged.events.drop("propensity", "list_id", "place"), world.items, against=["popular"], config=CONFIG
    )
    assert bare.off_policy is None
    assert bare.ranking.equals(result.ranking)
    assert not any("off-policy" in note for note in bare.notes)


def test_it_is_printed_saved_and_shown_on_the_page(
    result: Evaluation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed.evaluation(result)
    assert "Off-policy: expected takes from a list of 5" in capsys.readouterr().out
    result.save(tmp_path / "e")
    saved = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert [row["method"] for row in saved["off_policy"]] == [LOGGED, "penchant", "popular", RANDOM]
    assert pl.read_csv(tmp_path / "e" / "off_policy.csv").height == 4
    shown = read_off_policy(tmp_path / "e")
    assert shown is not None
    assert "trust" in shown.columns
    assert read_off_policy(tmp_path) is None


def test_wrong_propensities_are_told(logged: Logged, world: World) -> None:
    wrong = logged.events.with_columns(pl.min_horizontal(pl.col("propensity") * 2.5, 1.0))
    result = pc.assess(wrong, world.items, against=["popular"], config=CONFIG)
    assert result.off_policy is not None
    assert result.off_policy.row(3, named=True)["trust"] == OFF
    assert any("NOT RELIABLE for random" in note and "too high" in note for note in result.notes)


def test_a_missing_place_stops_before_any_fit(logged: Logged, world: World) -> None:
    asked = build_config({**CONFIG.model_dump(), "evaluate": {"propensity": "place"}})
    with pytest.raises(DataError, match="--columns place="):
        pc.assess(logged.events.drop("place"), world.items, against=["popular"], config=asked)


def test_the_report_page_carries_the_table(
    result: Evaluation, model_folder: Path, tmp_path: Path, cli: Callable[..., Ran]
) -> None:
    result.save(tmp_path / "e")
    ran = cli("report", model_folder, "-o", tmp_path / "r.html", "--evaluation", tmp_path / "e")
    assert ran.code == 0, ran.err
    assert "effective n" in (tmp_path / "r.html").read_text(encoding="utf-8")
