"""`assess` end to end on the made-up market, over two windows: what each model saw, what the tables hold and say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import penchant as pc
import penchant.assessment
import penchant.assessment.window
from penchant import show
from penchant.config import Config, build_config
from penchant.data import IntArray, Log
from penchant.errors import DataError
from penchant.evaluate.peers import fit_peers
from penchant.evaluate.ranking import score_lists
from penchant.evaluate.split import split_windows
from penchant.io.world import World
from penchant.model import Model
from tests.conftest import Ran

CONFIG = build_config({"encode": {"method": "tfidf"}, "evaluate": {"n_windows": 2, "n_bootstrap": 100}})


@dataclass(frozen=True)
class Watched:
    """An evaluation, and the span of events each fit was given."""

    result: penchant.assessment.Evaluation
    fits: list[tuple[float, float, int]]


@pytest.fixture(scope="module")
def watched(world: World) -> Watched:
    fits: list[tuple[float, float, int]] = []
    fit_log = penchant.assessment.window.fit_log

    def watch(log: Log, *rest: object) -> Model:
        fits.append((log.events.start, log.events.end, len(log.events)))
        return fit_log(log, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(penchant.assessment.window, "fit_log", watch)
        result = pc.assess(world.events, world.items, against=["popular", "item_knn"], config=CONFIG)
    return Watched(result, fits)


def test_each_window_s_model_was_given_its_past_alone(watched: Watched, world: World) -> None:
    log = pc.read_log(world.events, world.items, config=CONFIG.io)
    latest, earlier = split_windows(log.events, CONFIG.evaluate.test_share, 2)
    assert watched.fits == [(s.train.start, s.train.end, len(s.train)) for s in (earlier, latest)]  # the latest last
    table = watched.result.windows
    assert table["n_train_events"].unique(maintain_order=True).to_list() == [len(latest.train), len(earlier.train)]
    assert watched.result.model.facts["n_events"] == len(latest.train)


def test_a_peer_s_row_of_the_earlier_window_is_what_it_gets_alone(watched: Watched, world: World) -> None:
    log = pc.read_log(world.events, world.items, config=CONFIG.io)
    split = split_windows(log.events, CONFIG.evaluate.test_share, 2)[1]
    targets = split.targets(len(log.items), CONFIG.evaluate.cold_items)
    users = np.flatnonzero(np.diff(targets.indptr) > 0).astype(np.int32)
    peer = fit_peers(split.train, log.items, ["item_knn"], users, CONFIG.evaluate, seed=CONFIG.seed)["item_knn"]
    scores = score_lists(peer.lists, targets, users, CONFIG.evaluate.cutoffs)
    row = watched.result.windows.filter((pl.col("window") == 2) & (pl.col("method") == "item_knn")).row(0, named=True)
    assert row["n_users"] == len(users)
    assert row["ndcg@10"] == pytest.approx(scores["ndcg@10"].mean())
    assert row["recall@20"] == pytest.approx(scores["recall@20"].mean())


def test_tables_pool_the_windows(watched: Watched) -> None:
    result = watched.result
    weights = result.windows.filter(pl.col("method") == "penchant")
    pooled = (weights["ndcg@10"] * weights["n_users"]).sum() / weights["n_users"].sum()
    ours = result.ranking.filter(pl.col("method") == "penchant").row(0, named=True)
    assert ours["ndcg@10"] == pytest.approx(pooled)
    assert ours["coverage"] == pytest.approx(weights["coverage"].mean())
    assert ours["n_users"] < weights["n_users"].sum()  # most users are in both windows, and count once
    assert ours["serendipity_low"] <= ours["serendipity"] <= ours["serendipity_high"]
    peers = result.ranking.filter(pl.col("method") != "penchant")
    assert (peers["p_adjusted"] >= peers["p_value"]).all()
    best = peers.sort("ndcg@10", descending=True).row(0, named=True)
    assert result.facts["best_peer"] == best["method"]
    assert result.facts["ratio"] == pytest.approx(ours["ndcg@10"] / best["ndcg@10"])
    assert any("the latest first" in note and "below 1 in" in note.lower() for note in result.notes)


def test_groups_share_the_users_of_the_latest_window(watched: Watched) -> None:
    result = watched.result
    n_users = result.windows.filter(pl.col("window") == 1)["n_users"][0]
    whole = result.windows.filter((pl.col("window") == 1) & (pl.col("method") == "popular"))["ndcg@10"][0]
    for kind in ("activity", "segment"):
        own = result.groups.filter((pl.col("group_kind") == kind) & (pl.col("method") == "popular"))
        assert own["n_users"].sum() == n_users, kind
        assert (own["ndcg@10"] * own["n_users"]).sum() / n_users == pytest.approx(whole), kind
    segments = result.groups.filter(pl.col("group_kind") == "segment")["group"]
    assert set(segments) <= {*result.model.segments.table["name"], "unassigned"}


def test_everything_is_printed_saved_and_plain_data(
    watched: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = watched.result
    show.evaluation(result)
    printed = capsys.readouterr().out
    for title in ("Window by window", "The same at 5", "The same at 20", "By group of users", "p adjusted"):
        assert title in printed, title
    result.save(tmp_path)
    assert pl.read_csv(tmp_path / "windows.csv").columns == result.windows.columns
    assert pl.read_csv(tmp_path / "groups.csv").height == result.groups.height
    saved = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert saved == json.loads(json.dumps(result.to_dict(), default=lambda v: v.item()))
    assert saved["windows"][0]["from"].endswith("Z")
    assert {"groups", "windows", "ranking"} <= set(saved)


def test_windows_are_asked_for_on_the_command_line(
    world_folder: Path, cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def stop(*_args: object, config: Config, **_kwargs: object) -> None:
        asked.append(config.evaluate.n_windows)
        raise DataError("enough")

    monkeypatch.setattr(penchant.assessment, "assess", stop)
    events = world_folder / "events.parquet"
    for options in ((), ("--windows", "3"), ("--set", "evaluate.n_windows=2")):
        assert cli("evaluate", events, "--quiet", *options).code == 2
    assert asked == [1, 3, 2]
    assert cli("evaluate", events, "--windows", "7").code == 2
    assert len(asked) == 3


def test_too_many_windows_are_refused_before_any_fit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def worked(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(penchant.assessment.window, "fit_log", worked)
    config = build_config({"evaluate": {"n_windows": 5}})
    with pytest.raises(DataError, match="too short for 5 windows of 20%: window 5 has 0 events before it"):
        pc.assess(world.events, world.items, config=config)


def test_a_longer_list_starts_with_the_shorter_one(model: Model) -> None:
    users = np.arange(40, dtype=np.int32)
    short, long = _lists(model, users, 10), _lists(model, users, 20)
    assert (long[:, :10] == short).all()

    explore = model.config.recommend.model_copy(update={"n_explore": 1})
    config = model.config.model_copy(update={"recommend": explore})
    exploring = replace(model, config=config, recommender=replace(model.recommender, config=explore))
    short, long = _lists(exploring, users, 10), _lists(exploring, users, 20)
    assert (long[:, :10] == short).all()
    listed = [[item for item in row if item >= 0] for row in long.tolist()]
    assert all(len(set(row)) == len(row) >= 19 for row in listed)
    assert _differ(short, _lists(model, users, 10))


def _lists(model: Model, users: IntArray, longest: int) -> IntArray:
    return model.recommender.lists(users, model.profiles, k=10, longest=longest)


def _differ(a: IntArray, b: IntArray) -> bool:
    return bool((a != b).any())
