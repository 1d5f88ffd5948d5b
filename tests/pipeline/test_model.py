"""The model as a caller sees it: saved and loaded whole, same bytes in two processes, honest about the unknown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import penchant as pc
from penchant.config import build_config
from penchant.errors import ConfigError, ModelError, NotFoundError
from penchant.model import Model

TFIDF = build_config({"encode": {"method": "tfidf"}})


def _busy_user(model: Model) -> str:
    counts = model.profiles.of_level(1).group_by("user_row").agg(pl.col("n_events").sum()).sort("n_events", "user_row")
    return str(model.user_ids[counts["user_row"][counts.height // 2]])


def test_a_loaded_model_says_the_same(model: Model, model_folder: Path) -> None:
    again = pc.load(model_folder)
    for level in (None, 1):
        assert_frame_equal(again.profiles_table(level), model.profiles_table(level))
    assert_frame_equal(again.interests_table(), model.interests_table())
    assert_frame_equal(again.items_table(), model.items_table())
    assert_frame_equal(again.segments_table(), model.segments_table())
    users = model.user_ids.head(20).to_list()
    assert_frame_equal(again.recommend(users, k=5), model.recommend(users, k=5))
    assert_frame_equal(again.place_items(["trail running shoes"]), model.place_items(["trail running shoes"]))
    assert again.profile(users[3]) == model.profile(users[3])


def test_a_loaded_model_saves_to_the_same_bytes(model_folder: Path, tmp_path: Path) -> None:
    pc.load(model_folder).save(tmp_path / "again")
    names = [f.relative_to(model_folder) for f in sorted(model_folder.rglob("*")) if f.is_file()]
    assert names
    assert [n for n in names if (tmp_path / "again" / n).read_bytes() != (model_folder / n).read_bytes()] == []


def test_two_processes_give_the_same_bytes(world_folder: Path, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        command = [
            sys.executable,
            "-m",
            "penchant",
            "fit",
            world_folder / "events.parquet",
            world_folder / "items.parquet",
        ]
        options = ["-o", tmp_path / seed, "--quiet", "--set", "encode.method=tfidf"]
        environment = os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed, "POLARS_MAX_THREADS": seed}
        subprocess.run([*command, *options], check=True, capture_output=True, env=environment)
    names = [f.relative_to(tmp_path / "1") for f in sorted((tmp_path / "1").rglob("*")) if f.is_file()]
    assert len(names) > 20
    differ = [str(n) for n in names if (tmp_path / "1" / n).read_bytes() != (tmp_path / "2" / n).read_bytes()]
    assert differ == []


def test_layers_follow_the_probabilities(model: Model) -> None:
    points = model.profiles_table()
    settings = model.config.interests
    p = points["probability"].to_numpy()
    wanted = np.where(p >= settings.core, "core", np.where(p >= settings.secondary, "secondary", "peripheral"))
    assert (points["layer"].to_numpy() == wanted).all()
    assert points["share"].is_between(0, 1).all()
    shares = points.group_by("user_id").agg(pl.col("share").sum())["share"]
    assert ((shares - 1).abs().lt(1e-3) | shares.eq(0)).all()


def test_a_profile_reads_well(model: Model) -> None:
    profile = model.profile(_busy_user(model))
    assert {*profile.core, *profile.secondary, *profile.peripheral} == set(profile.points)
    titles = set(model.items.titles)
    assert all(title in titles for p in profile.points for _, title in p.evidence)
    assert any(p.evidence for p in profile.points)


def test_recommendations_are_new_complete_and_explained(model: Model) -> None:
    table = model.recommend(k=7)
    assert table.columns == ["user_id", "item_id", "rank", "score", "interest_id", "layer", "reason"]
    assert table.group_by("user_id").len()["len"].unique().to_list() == [7]
    assert table.select("user_id", "item_id").is_unique().all()
    assert table["reason"].str.len_chars().min() > 5  # type: ignore[operator]
    seen = model.recommender.interactions.tocoo()
    known = pl.DataFrame(
        {"user_id": model.user_ids.gather(seen.row.tolist()), "item_id": model.items.item_ids.gather(seen.col.tolist())}
    )
    assert table.join(known, on=["user_id", "item_id"]).is_empty()


def test_an_unknown_user_is_told_so(model: Model) -> None:
    with pytest.raises(NotFoundError, match="'nobody' is not among"):
        model.profile("nobody")
    table = model.recommend(["nobody", model.user_ids[0]], k=3)
    assert table["user_id"].to_list() == ["nobody"] * 3 + [model.user_ids[0]] * 3
    assert table.filter(pl.col("user_id") == "nobody")["reason"].str.contains("not in the log").all()
    with pytest.raises(ConfigError, match="at least 1"):
        model.recommend(["nobody"], k=0)


def test_lists_in_parts_are_those_of_the_whole(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    users = [*model.user_ids[:8].to_list(), "nobody", *model.user_ids[5:12].to_list()]
    whole = model.recommend(users, k=3)
    monkeypatch.setattr("penchant.tables.PART_ROWS", 12)
    parts = list(model.recommend_in_parts(users, k=3))
    sizes = [part["user_id"].n_unique() for part in parts]
    assert sizes == [4, 4, 4, 1]  # twelve users and nobody, each once
    assert_frame_equal(pl.concat(parts), whole, rel_tol=1e-4)
    with pytest.raises(ConfigError, match="no user was asked for"):
        model.recommend_in_parts([])


def test_a_new_user_is_served_from_the_first_event(model: Model) -> None:
    liked = model.items_table().filter(pl.col("membership") > 0.9)["item_id"][0]
    table = model.recommend_from([liked], k=10)
    assert table.height == 10
    assert liked not in table["item_id"]
    popular = model.recommend(["nobody"], k=10)["item_id"].to_list()
    assert table["item_id"].to_list() != popular


def test_a_new_item_is_placed_by_its_text(model: Model) -> None:
    row = model.items_table().filter(pl.col("membership") > 0.95).row(0, named=True)
    texts = dict(zip(model.items.item_ids.to_list(), model.items.texts(), strict=True))
    placed = model.place_items([texts[row["item_id"]]])
    assert placed.filter(pl.col("text_row") == 0).height >= 1
    assert abs(float(placed["membership"].sum()) - 1.0) < 1e-3


def test_a_log_without_texts_says_what_it_cannot_do(world_folder: Path) -> None:
    events = pl.read_parquet(world_folder / "events.parquet").filter(pl.col("item_id").is_not_null()).drop("text")
    before = events.clone()
    model = pc.fit(events, config=TFIDF)
    assert_frame_equal(events, before)
    assert model.encoder is None
    with pytest.raises(ModelError, match="without item texts"):
        model.place_items(["shoes"])
    assert model.interests_table()["name"].is_unique().all()


def test_a_log_without_times_has_layers_and_no_dates(world_folder: Path) -> None:
    events = pl.read_parquet(world_folder / "events.parquet").drop("timestamp")
    model = pc.fit(events, pl.read_parquet(world_folder / "items.parquet"), config=TFIDF)
    assert model.clock == "order"
    table = model.profiles_table()
    assert table["last_seen"].null_count() == table.height
    assert set(table["layer"].unique()) <= {"core", "secondary", "peripheral"}


@pytest.mark.parametrize("kind", ["pandas", "duckdb", "arrow", "lazy"])
def test_any_arrow_table_is_read(kind: str, world_folder: Path) -> None:
    frame = (
        pl.read_parquet(world_folder / "events.parquet").drop_nulls("item_id").select("user_id", "item_id", "timestamp")
    )
    given = {
        "pandas": lambda: frame.to_pandas(),
        "arrow": lambda: frame.to_arrow(),
        "lazy": lambda: frame.lazy(),
        "duckdb": lambda: _duckdb(frame),
    }[kind]()
    log = pc.read_log(given)
    plain = pc.read_log(frame)
    assert_frame_equal(log.events.table, plain.events.table)


def _duckdb(frame: pl.DataFrame) -> object:
    import duckdb

    return duckdb.connect().from_arrow(frame.to_arrow())
