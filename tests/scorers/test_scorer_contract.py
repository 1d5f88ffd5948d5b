"""One suite over the whole table of scorers: a new row is tested the day it is added."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from penchant.data import Parts
from penchant.errors import ConfigError, ModelError
from penchant.scorers import SCORERS, SavedScorer, build_scorer, load_scorer, top_lists
from tests.scorers.logs import make_items, make_log, make_weighted_log, taste_log

N_ITEMS = 40
TITLES: list[str | None] = [
    f"{'red lamp' if i < N_ITEMS // 2 else '蓝色 碗 soup bowl'} number{i}" for i in range(N_ITEMS)
]
NAMES = sorted(SCORERS)
SMALL = {"als": {"n_factors": 4}, "plain": {"n_clusters": 2}}


def fitted(name: str) -> SavedScorer:
    scorer = build_scorer(name, SMALL.get(name), items=make_items(N_ITEMS, TITLES), seed=1)
    scorer.fit(taste_log(n_items=N_ITEMS), N_ITEMS)
    return scorer


def history() -> sp.csr_array:
    return taste_log(n_items=N_ITEMS).matrix(N_ITEMS, binary=True)


@pytest.mark.parametrize("name", NAMES)
class TestScorer:
    def test_scores_are_finite_and_shaped(self, name: str) -> None:
        scores = fitted(name).score(np.array([3, 0], np.int32), history())
        assert scores.shape == (2, N_ITEMS)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_a_batch_is_its_users_one_by_one(self, name: str) -> None:
        scorer, past = fitted(name), history()
        together = scorer.score(np.array([5, 2], np.int32), past)
        alone = np.vstack([scorer.score(np.array([u], np.int32), past) for u in (5, 2)])
        np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)

    def test_inputs_and_state_stay_as_they_were(self, name: str) -> None:
        events, past = taste_log(n_items=N_ITEMS), history()
        table, data = events.table.clone(), past.data.copy()
        scorer = build_scorer(name, SMALL.get(name), items=make_items(N_ITEMS, TITLES))
        scorer.fit(events, N_ITEMS)
        before = saved_bytes(scorer)
        scorer.score(np.arange(60, dtype=np.int32), past)
        assert events.table.equals(table)
        assert (past.data == data).all()
        assert saved_bytes(scorer) == before

    def test_saved_and_loaded_it_scores_the_same(self, name: str) -> None:
        scorer, users = fitted(name), np.arange(60, dtype=np.int32)
        again = load_scorer(scorer.to_parts())
        assert (again.score(users, history()) == scorer.score(users, history())).all()
        assert saved_bytes(again) == saved_bytes(scorer)
        assert again.notes == scorer.notes

    def test_an_empty_log_gives_zeros(self, name: str) -> None:
        scorer = build_scorer(name, SMALL.get(name))
        scorer.fit(make_log([], 2), 3)
        scores = scorer.score(np.array([0, 1], np.int32), sp.csr_array((2, 3), dtype=np.float32))
        assert scores.tolist() == [[0.0] * 3] * 2

    def test_one_event_is_enough(self, name: str) -> None:
        scorer = build_scorer(name, SMALL.get(name), items=make_items(3, ["a", "b", None]))
        log = make_log([(0, 1, 5.0)], 1)
        scorer.fit(log, 3)
        assert np.isfinite(scorer.score(np.array([0], np.int32), log.matrix(3, binary=True))).all()

    def test_identical_users_fit_without_a_warning(self, name: str) -> None:
        log = make_log([(u, i, float(u)) for u in range(6) for i in range(2)], 6)
        scorer = build_scorer(name, {**SMALL.get(name, {})}, items=make_items(2, ["same", "same"]))
        scorer.fit(log, 2)
        scores = scorer.score(np.arange(6, dtype=np.int32), log.matrix(2, binary=True))
        assert (scores == scores[0]).all()

    def test_only_positive_events_with_an_item_count(self, name: str) -> None:
        good = [(0, 0, 1.0, 1.0), (1, 0, 2.0, 1.0), (1, 1, 3.0, 1.0), (2, 1, 4.0, 1.0)]
        noise = [(0, 2, 2.5, -3.0), (2, 2, 2.6, 0.0), (1, -1, 2.7, 1.0)]
        past = make_weighted_log(good, 3).matrix(3, binary=True)
        scores = []
        for rows in (good, good + noise):
            scorer = build_scorer(name, SMALL.get(name))
            scorer.fit(make_weighted_log(rows, 3), 3)
            scores.append(scorer.score(np.arange(3, dtype=np.int32), past))
        assert (scores[0] == scores[1]).all()

    def test_every_setting_of_the_grid_fits(self, name: str) -> None:
        for settings in SCORERS[name].GRID:
            scorer = build_scorer(name, settings, items=make_items(N_ITEMS, TITLES))
            scorer.fit(taste_log(n_items=N_ITEMS), N_ITEMS)
            assert scorer.score(np.array([0], np.int32), history()).any()


@pytest.mark.parametrize("name", ["item_knn", "als", "ease", "plain"])
def test_personal_scorers_find_the_camp(name: str) -> None:
    """Even users like the first half of the items; most of an unseen top 5 must come from there."""
    past = history()
    lists = top_lists(fitted(name), np.arange(60, dtype=np.int32), past, 5, seen=past)
    in_first_half = (lists < N_ITEMS // 2).mean(axis=1)
    assert in_first_half[::2].mean() > 0.8
    assert in_first_half[1::2].mean() < 0.2


@pytest.mark.parametrize("name", ["item_knn", "als", "ease"])
def test_similar_items_lie_in_the_same_camp(name: str) -> None:
    scorer = fitted(name)
    rows = np.array([2, 22], np.int32)
    near = scorer.similar(rows)  # type: ignore[attr-defined]
    assert near.shape == (2, N_ITEMS)
    assert (near.data > 0).all()
    assert near[[0], [2]] == 0  # never the item itself
    assert near.toarray()[0, : N_ITEMS // 2].sum() > near.toarray()[0, N_ITEMS // 2 :].sum()
    assert near.toarray()[1, : N_ITEMS // 2].sum() < near.toarray()[1, N_ITEMS // 2 :].sum()


def test_same_bytes_in_two_processes_with_other_threads_and_hashes() -> None:
    code = "from tests.scorers.test_scorer_contract import *; print(*[digest(name) for name in NAMES])"
    answers = [
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "OMP_NUM_THREADS": n,
                "OPENBLAS_NUM_THREADS": n,
                "PYTHONPATH": ".",
            },
        ).stdout
        for seed, n in (("1", "1"), ("2", "2"))
    ]
    assert answers[0] == answers[1]
    assert len(answers[0].split()) == len(NAMES)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'item_knn'"):
        build_scorer("item_kn")
    with pytest.raises(ModelError, match="unknown kind 'magic'"):
        load_scorer(Parts(config={"name": "magic"}))


def saved_bytes(scorer: SavedScorer) -> bytes:
    parts = scorer.to_parts()
    return repr(dict(parts.config)).encode() + b"".join(np.asarray(a).tobytes() for a in parts.arrays.values())


def digest(name: str) -> str:
    return hashlib.sha256(saved_bytes(fitted(name))).hexdigest()
