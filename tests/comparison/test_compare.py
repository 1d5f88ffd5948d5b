"""`compare` on the tiny market: every figure, kept results, a spent budget, failures, wrong input."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import penchant as pc
from penchant.comparison import Comparison, parse_budget, runner
from penchant.comparison.bench import make_bench
from penchant.comparison.jobs import measure_representation, next_interest_hits
from penchant.comparison.verdict import choose_clustering, choose_representation, pareto
from penchant.config import RunOptions, build_config
from penchant.errors import ConfigError, DataError
from penchant.evaluate.ranking import score_lists
from penchant.evaluate.split import split_by_time
from penchant.io import read_log
from penchant.io.world import World
from penchant.scorers import build_scorer, top_lists
from tests.conftest import Ran

CONFIG = build_config({"encode": {"method": "tfidf"}, "segments": {"max_segments": 4, "n_random": 20}})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def found(world: World, kept: Path) -> Comparison:
    return pc.compare(
        world.events,
        world.items,
        truth_of(world),
        represent=["popular", "mean", "factors"],
        cluster=["kmeans"],
        truth=["group"],
        config=CONFIG,
        run=RunOptions(cache_dir=kept),
    )


def truth_of(world: World) -> pl.DataFrame:
    return world.truth["segments"].select("user_id", pl.col("segment_id").alias("group"))


def test_every_candidate_has_every_figure(found: Comparison) -> None:
    table = found.representations
    assert set(table["method"]) == {"popular", "mean", "factors"}
    assert table["status"].to_list() == ["done"] * 3
    assert table["ndcg"].is_sorted(descending=True)
    assert (table["ndcg_low"] <= table["ndcg"]).all()
    assert table.select(pl.all().null_count()).to_numpy().sum() == 0
    assert table.row(0, named=True)["method"] != "popular"
    row = found.segmentations.row(0, named=True)
    assert row["method"] == "kmeans"
    assert row["n_clusters"] == found.facts["n_segments"]
    assert row["group: ari"] > 0.1
    assert row["worth"] > 1
    assert all(value is not None for value in row.values())
    assert len(found.advice) == 2


def test_kept_results_are_taken_up_and_other_settings_are_not(
    world: World, kept: Path, found: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def refuse(_bench: object, job: runner.Job, *_: object) -> dict[str, object]:
        begun.append(job.method)
        return {"method": job.method, "status": "failed: not here"}

    monkeypatch.setattr(runner, "_measure_apart", refuse)
    asked = {"represent": ["popular", "factors"], "cluster": ["kmeans"], "run": RunOptions(cache_dir=kept)}
    again = pc.compare(world.events, world.items, truth_of(world), truth=["group"], config=CONFIG, **asked)
    assert begun == []
    assert again.segmentations.equals(found.segmentations)
    other = CONFIG.model_copy(update={"seed": 1})
    pc.compare(world.events, world.items, truth_of(world), truth=["group"], config=other, **asked)
    assert begun == ["popular", "factors", "kmeans"]


def test_a_spent_budget_stops_what_runs_and_begins_no_more(world: World, tmp_path: Path) -> None:
    bench = make_bench(read_log(world.events, world.items, config=CONFIG.io), {}, CONFIG, RunOptions())
    jobs = [runner.Job("representation", name, {}) for name in ("factors", "mean")]
    results = runner.run_jobs(bench, jobs, tmp_path, RunOptions(), budget_s=0.05)
    assert [r["status"] for r in results] == ["stopped: the budget was spent", "not begun: the budget was spent"]
    assert list(tmp_path.iterdir()) == []


def test_a_candidate_that_fails_says_why_and_the_others_run(world: World, tmp_path: Path) -> None:
    bench = make_bench(read_log(world.events, world.items, config=CONFIG.io), {}, CONFIG, RunOptions())
    broken = replace(bench, config=CONFIG.model_copy(update={"represent": None}))
    jobs = [runner.Job("representation", name, {}) for name in ("factors", "popular")]
    first, second = runner.run_jobs(broken, jobs, tmp_path, RunOptions(), budget_s=60)
    assert first["status"].startswith("failed: ")
    assert second["status"] == "done"
    assert [file.name.split("-")[1] for file in tmp_path.iterdir()] == ["popular"]


def test_the_popularity_row_is_that_of_evaluate(world: World, found: Comparison) -> None:
    """Same split, targets, full ranking and metric as the peers' table."""
    log = read_log(world.events, world.items, truth_of(world), config=CONFIG.io)
    split = split_by_time(log.events, CONFIG.evaluate.test_share)
    targets = split.targets(len(log.items), CONFIG.evaluate.cold_items)
    users = np.flatnonzero(np.diff(targets.indptr) > 0).astype(np.int32)
    scorer = build_scorer("popular", {}, items=log.items, seed=0)
    scorer.fit(split.train, len(log.items))
    history, seen = split.history(len(log.items)), split.seen(len(log.items))
    scores = score_lists(top_lists(scorer, users, history, 10, seen=seen), targets, users)
    ours = found.representations.filter(pl.col("method") == "popular")["ndcg"][0]
    assert ours == pytest.approx(scores["ndcg@10"].mean())


def test_next_interest_by_hand(world: World) -> None:
    bench = make_bench(read_log(world.events, world.items, config=CONFIG.io), {}, CONFIG, RunOptions())
    leaf = bench.membership.toarray().argmax(axis=1)
    first = int(bench.user_rows[0])
    taken = bench.targets[[first]].indices
    same = np.flatnonzero(leaf == leaf[taken[0]])[:3]
    other = np.flatnonzero(bench.membership.toarray()[:, leaf[taken]].sum(axis=1) == 0)[:3]
    one = replace(bench, user_rows=bench.user_rows[:1])
    assert next_interest_hits(same[None, :].astype(np.int32), one).tolist() == [1.0]
    assert next_interest_hits(other[None, :].astype(np.int32), one).tolist() == [0.0]


def test_nothing_after_the_cut_changes_a_vector(world: World) -> None:
    log = read_log(world.events, world.items, config=CONFIG.io)
    bench = make_bench(log, {}, CONFIG, RunOptions())
    cut = log.events.cut_at(0.8)
    assert bench.train.end < cut
    later = log.events.table.with_columns(
        item_row=pl.when(pl.col("time") < cut).then("item_row").otherwise(0).cast(pl.Int32)
    )
    changed = replace(log, events=replace(log.events, table=later))
    other = make_bench(changed, {}, CONFIG, RunOptions())
    assert other.rows.tobytes() == bench.rows.tobytes()
    assert other.membership.data.tobytes() == bench.membership.data.tobytes()
    asked = replace(other, targets=bench.targets, user_rows=bench.user_rows, seen=bench.seen)
    scores = [measure_representation(b, "factors", RunOptions())["ndcg"] for b in (bench, asked)]
    assert scores[0] == scores[1]


def test_the_quicker_of_two_that_are_alike_is_advised() -> None:
    table = pl.DataFrame(
        {
            "method": ["slow", "quick", "poor"],
            "ndcg": [0.20, 0.19, 0.10],
            "ndcg_low": [0.18, 0.17, 0.08],
            "ndcg_high": [0.22, 0.21, 0.12],
            "seconds": [100.0, 2.0, 1.0],
            "status": ["done"] * 3,
        }
    )
    assert choose_representation(table).startswith("Take quick")
    clear = table.with_columns(ndcg_low=pl.Series([0.195, 0.17, 0.08]))
    assert choose_representation(clear).startswith("Take slow")
    assert pareto(table["ndcg"].to_list(), table["seconds"].to_list()).tolist() == [True, True, True]
    assert "--budget" in choose_representation(table.clear())


def test_a_clustering_that_tells_nothing_is_not_advised() -> None:
    row = {
        "method": "kmeans",
        "n_clusters": 3,
        "worth": 1.01,
        "worth_low": 0.98,
        "worth_high": 1.04,
        "subsample_ari": 0.9,
        "unassigned_share": 0.0,
        "seconds": 1.0,
        "status": "done",
    }
    assert choose_clustering(pl.DataFrame([row])).startswith("No clustering is proven")
    assert choose_clustering(pl.DataFrame([{**row, "worth_low": 1.005}])).startswith("Take kmeans with 3 segments")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5m", 90), ("2h", 7200), ("45", 45), (12.5, 12.5)])
def test_budgets(text: str | float, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1m", "3 weeks", "m"])
def test_wrong_budgets_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--budget"):
        parse_budget(text)


def test_wrong_names_are_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="--represent: unknown method 'factor'; did you mean 'factors'"):
        pc.compare(world.events, world.items, represent=["factor"], config=CONFIG)
    with pytest.raises(ConfigError, match="--cluster: unknown method 'kmean'; did you mean 'kmeans'"):
        pc.compare(world.events, world.items, cluster=["kmean"], config=CONFIG)
    with pytest.raises(DataError, match="--attributes"):
        pc.compare(world.events, world.items, truth=["group"], config=CONFIG)
    with pytest.raises(DataError, match="no column 'grop'; did you mean 'group'"):
        pc.compare(world.events, world.items, truth_of(world), truth=["grop"], config=CONFIG)


def test_the_command_writes_tables_and_a_page(world_folder: Path, tmp_path: Path, cli: Callable[..., Ran]) -> None:
    files = (world_folder / "events.parquet", world_folder / "items.parquet")
    settings = ("--set", "encode.method=tfidf", "--set", "segments.max_segments=3", "--quiet")
    asked = ("--represent", "popular,mean", "--cluster", "kmeans", "--budget", "5m", "-o", tmp_path / "c")
    ran = cli("compare", *files, *asked, *settings, "--json")
    assert ran.code == 0, ran.err
    assert {row["method"] for row in json.loads(ran.out)["representations"]} == {"popular", "mean"}
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
        "comparison.html",
        "comparison.json",
        "representations.csv",
        "segmentations.csv",
    ]
    page = (tmp_path / "c" / "comparison.html").read_text(encoding="utf-8")
    assert "popular" in page
    assert "http-equiv" in page
