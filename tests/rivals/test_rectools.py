"""RecTools' models: how they are found, what is told when they are not, and a run where they are installed."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import numpy as np
import pytest

from penchant.config import RunOptions
from penchant.errors import ConfigError, PenchantError
from penchant.evaluate.split import split_by_time
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.rivals import fit_rivals
from penchant.rivals.rectools import MODELS, VARIABLE, WORKER, run_worker, settings_of
from tests.rivals.logs import fit_one, needs_rectools, quick
from tests.scorers.logs import make_items, make_log


@pytest.mark.parametrize("told", ["", "/no/such/python"])
def test_without_an_environment_it_says_how_to_make_one(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, told)
    with pytest.raises(ConfigError, match=r"rectools/bin/pip install torch .*\n.*export PENCHANT_RECTOOLS_PYTHON="):
        fit_one("sasrec")


def test_a_run_that_fails_tells_its_last_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """This interpreter has no RecTools."""
    monkeypatch.setenv(VARIABLE, sys.executable)
    with pytest.raises(PenchantError, match=r"SASRec ended with code 1 (?s:.*)No module named 'rectools'"):
        fit_one("sasrec")


def test_the_worker_imports_nothing_of_ours() -> None:
    tree = ast.parse(WORKER.read_text(encoding="utf-8"))
    names = [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert names
    assert not [name for name in names if name.startswith("penchant")]


def test_a_log_too_short_to_fit_gives_popular_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, sys.executable)  # not started
    log = make_log([(0, 0, 1.0), (1, 0, 2.0), (1, 1, 3.0)], 2)
    peer = fit_one("bert4rec", log, make_items(4), np.array([0], np.int32))
    assert peer.lists.tolist() == [[1, 2, 3, -1, -1]]
    assert "too short" in peer.notes[0]


@needs_rectools
@pytest.mark.parametrize("name", sorted(MODELS))
def test_it_learns_a_small_market(name: str) -> None:
    """Better than chance by far on a few hundred users, the same twice, lists whole."""
    world = make_world(n_users=200, n_items=120, n_days=60, n_events=6000, seed=1)
    config = quick(represent={"neural": {"n_dims": 16, "n_epochs": 8, "patience": 2, "max_length": 20}})
    log = read_log(world.events, world.items, config=config.io)
    split = split_by_time(log.events, 0.2)
    targets = split.targets(len(log.items))
    users = np.flatnonzero(np.diff(targets.indptr) > 0).astype(np.int32)
    one, two = (fit_rivals(split.train, log.items, [name], users, config, RunOptions(), k=10)[name] for _ in range(2))
    assert (one.lists >= 0).all()
    assert (one.lists == two.lists).all()
    assert one.settings["rate"] in (0.001, 0.003)
    assert len(one.validation) == 2
    hits = targets.toarray()[users[:, None], one.lists].mean()
    by_chance = targets[users].toarray().mean()
    assert hits > 1.5 * by_chance


@needs_rectools
def test_the_worker_lists_what_each_user_has_not_liked() -> None:
    """Users in two camps of a chain: after 0, 1, 2 comes 3, after 10, 11, 12 comes 13."""
    import os

    rows = [(u, (u % 2) * 10 + i, float(10 * u + i)) for u in range(60) for i in range(3 if u < 2 else 4)]
    log = make_log(rows, 60)
    config = quick(represent={"neural": {"n_dims": 16, "n_epochs": 30, "patience": 30, "max_length": 10}})
    users = np.array([0, 1], np.int32)
    python = Path(os.environ[VARIABLE])
    answer = run_worker(python, "SASRec", log.positive(), users, settings_of(config), 2)
    assert answer.lists[:, 0].tolist() == [3, 13]
    assert answer.about["epochs"] >= 1
