"""The search: repeatable, resumable, never behind k-means for nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import penchant.segments.optimise as search
from penchant.config import SegmentsConfig
from penchant.errors import ConfigError, DataError, MissingExtraError, OutputError
from penchant.segments.optimise import optimise
from penchant.segments.recipe import Recipe

pytest.importorskip("optuna")
QUICK = ("kmeans", "ward")


def market(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(3), [60, 50, 40])
    rows = np.eye(5)[group] + rng.normal(0, 0.15, (150, 5))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_finds_the_number_and_makes_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_N_FRESH", 2)
    found = optimise(market(), seed=0, n_trials=3, methods=QUICK, max_segments=4)
    assert found.trials.height == 3
    assert found.trials["method"][0] == "kmeans"
    assert (found.trials["score"][0], found.trials["n_segments"][0]) == (found.trials["score"].max(), 3)
    assert found.gain >= 0
    config = SegmentsConfig(**found.settings())
    assert config.n_segments == found.n_segments == 3
    assert Recipe.of(config) == found.recipe


def test_stopped_and_resumed_is_the_same_as_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_BLIND", 1)  # so that the sampler learns from few trials
    monkeypatch.setattr(search, "_N_FRESH", 2)
    rows = market()
    before = rows.copy()
    at_once = optimise(rows, seed=1, n_trials=4, methods=QUICK, max_segments=3, max_users=100)
    for n in (2, 4):
        parts = optimise(
            rows, seed=1, n_trials=n, methods=QUICK, max_segments=3, max_users=100, study=tmp_path / "s.db"
        )
    assert parts.trials.equals(at_once.trials)
    assert (parts.recipe, parts.n_segments, parts.gain) == (at_once.recipe, at_once.n_segments, at_once.gain)
    assert rows.tobytes() == before.tobytes()
    with pytest.raises(DataError, match="study of other rows"):
        optimise(market(5), seed=1, n_trials=1, methods=QUICK, max_segments=3, max_users=100, study=tmp_path / "s.db")


def test_a_time_budget_ends_it() -> None:
    found = optimise(market(), seed=0, n_trials=None, seconds=0.0, methods=("kmeans",), max_segments=3)
    assert found.trials.height == 1
    assert found.gain == 0


def test_too_few_users_are_one_segment() -> None:
    found = optimise(market()[:8], seed=0, n_trials=3)
    assert (found.n_segments, found.trials.height) == (1, 0)
    assert "too few" in found.rule


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="budget"):
        optimise(market(), seed=0, n_trials=None)
    with pytest.raises(ConfigError, match="did you mean 'kmeans'"):
        optimise(market(), seed=0, methods=("kmean",))
    with pytest.raises(ConfigError, match="name a method"):
        optimise(market(), seed=0, methods=())


def test_a_file_that_is_no_study_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database, but long enough to be one, by its size and by its looks" * 99)
    for study in (tmp_path / "notes.db", tmp_path / "nowhere" / "s.db"):
        with pytest.raises(OutputError, match="study file"):
            optimise(market(), seed=0, n_trials=1, max_segments=3, study=study)


def test_a_search_killed_in_a_trial_goes_on_as_if_it_had_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_BLIND", 1)
    monkeypatch.setattr(search, "_N_FRESH", 2)
    judge, n_calls = search.judge, iter(range(99))

    def killed(*arguments: object) -> object:
        if next(n_calls) in (0, 2):
            raise KeyboardInterrupt
        return judge(*arguments)  # type: ignore[arg-type]

    ways = {"seed": 2, "n_trials": 3, "methods": ("kmeans",), "max_segments": 3, "max_users": 80}
    whole = optimise(market(), **ways)  # type: ignore[arg-type]
    monkeypatch.setattr(search, "judge", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            optimise(market(), **ways, study=tmp_path / "s.db")  # type: ignore[arg-type]
    assert optimise(market(), **ways, study=tmp_path / "s.db").trials.equals(whole.trials)  # type: ignore[arg-type]


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"penchant\[tune\]"):
        optimise(market(), seed=0)
