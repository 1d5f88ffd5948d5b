"""Two shops without a common user: lists lead from one to the other, and the command line says what they go by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import penchant as pc
from penchant.config import build_config
from penchant.io.world import make_world
from tests.conftest import Ran

SETTINGS = {"encode": {"method": "tfidf"}, "recommend": {"n_windows": 2}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = make_world(n_users=120, n_items=160, n_days=60, seed=4, overlap=0.0)
    place = tmp_path_factory.mktemp("strangers") / "model"
    pc.fit(world.events, world.items, config=build_config(SETTINGS)).save(place)
    return place


def test_lists_between_strangers_and_their_reasons(folder: Path, cli: Callable[..., Ran], tmp_path: Path) -> None:
    model = pc.load(folder)
    assert model.recommender.strangers is not None
    here, there = model.items.table["domain"].drop_nulls().unique().sort().to_list()
    ran = cli("recommend", folder, "--from", here, "--to", there, "-k", "3", "--why", "-o", tmp_path / "lists.parquet")
    assert ran.code == 0, ran.err
    assert f"hardly anybody acts in both '{here}' and '{there}'" in " ".join(ran.err.split())
    lists = pl.read_parquet(tmp_path / "lists.parquet")
    domain = model.items.table.select("item_id", "domain")
    assert lists.join(domain, on="item_id")["domain"].unique().to_list() == [there]
    assert lists.equals(model.recommend(k=3, source_domain=here, target_domain=there, why=True))
    assert "hardly anybody" not in cli("recommend", folder, "--from", here, "-k", "3").err
