"""Shared: a tiny made-up market, a model fitted on it once a run, and the command line run in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import penchant as pc
from penchant.cli import main
from penchant.config import build_config
from penchant.io.world import World, make_world, write_world
from penchant.model import Model


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Ran]:
    """Run `penchant ...` in this process."""
    cache = tmp_path_factory.getbasetemp() / "cache"

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["penchant", *map(str, arguments)])
        monkeypatch.setenv("PENCHANT_CACHE", str(cache))  # never the cache of whoever runs the tests
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0) if not isinstance(stop.code, str) else 1
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def world() -> World:
    return make_world(n_users=150, n_items=300, n_days=60, seed=3)


@pytest.fixture(scope="session")
def world_folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(world, folder / "world")
    return folder / "world"


@pytest.fixture(scope="session")
def model(world_folder: Path) -> Model:
    """A model of the tiny market with the tfidf encoder: quick, and the same on every machine."""
    config = build_config({"encode": {"method": "tfidf"}})
    files = [world_folder / f"{name}.parquet" for name in ("events", "items", "users")]
    return pc.fit(*files, config=config)


@pytest.fixture(scope="session")
def model_folder(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    model.save(folder)
    return folder
