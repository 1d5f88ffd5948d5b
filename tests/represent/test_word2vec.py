"""Item2vec: what its sentences, scores and readings are, beside the contract of all methods."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from penchant.config import RepresentConfig

pytest.importorskip("gensim")

from penchant.represent.word2vec import BIAS_UNIT, ItemToVec, Reading, _learn, _Sentences, _users
from tests.represent.small_logs import GROUP, N_ITEMS, RUN, events_of, items_of, market


def _config(**settings: object) -> RepresentConfig:
    return RepresentConfig.model_validate({"n_factors": 8, "min_item_events": 1, **settings})


def _fitted(**settings: object) -> ItemToVec:
    made = ItemToVec(_config(**settings), RUN, seed=0)
    made.fit(market(), items_of(), None)
    return made


def test_sentences_hold_each_users_items_once_in_an_order_of_the_round() -> None:
    users = np.repeat(np.arange(3, dtype=np.int32), [4, 1, 20])
    words = np.arange(25).astype(np.str_)
    sentences = _Sentences(words, users, seed=3)
    first, second = list(sentences), list(sentences)
    assert len(sentences) == 3
    assert [sorted(s, key=int) for s in first] == [sorted(s, key=int) for s in second]
    assert [sorted(s, key=int) for s in first] == [s.tolist() for s in np.split(words, [4, 5])]
    assert first != second
    assert first == list(_Sentences(words, users, seed=3))


@pytest.mark.parametrize("subsample", [0.0, 0.01])
def test_scores_follow_how_often_items_go_together(subsample: float) -> None:
    """With what noise and subsampling took given back, the scores beside one item are log frequencies."""
    rng = np.random.default_rng(0)
    chance = 1 / np.arange(2, 42)
    second = rng.choice(40, 4000, p=chance / chance.sum())
    first = rng.integers(40, 100, 4000)  # items that say nothing
    log = events_of(np.repeat(np.arange(4000), 2), np.column_stack([first, second]).ravel())
    learned = _learn(log, 100, _config(word2vec={"n_epochs": 20, "subsample": subsample}), seed=0)
    user = _users(events_of(np.array([0]), np.array([50])), learned.input, Reading(scale=1.0))
    score = (user @ learned.items(Reading(scale=1.0)).T)[0, :40]
    slope = np.polyfit(np.log(np.bincount(second, minlength=40)), score, 1)[0]
    assert 0.75 < slope < 1.3


def test_a_user_is_the_mean_of_items_later_ones_weighing_more() -> None:
    vectors = np.eye(4, dtype=np.float32)
    vectors[3] = 0  # unknown: does not count, not even as an age
    log = events_of(np.array([0, 0, 0, 1]), np.array([0, 1, 3, 3]))
    users = _users(log, vectors, Reading("output", half_life=1.0, scale=3.0))
    assert np.allclose(users[0], [1.0, 2.0, 0.0, 0.0, BIAS_UNIT])
    assert not users[1].any()
    assert np.allclose(_users(log, vectors, Reading("input", 1.0, 1.0))[0], np.array([1, 2, 0, 0]) / np.sqrt(5))


def test_no_known_item_scores_below_unknown_ones() -> None:
    made = _fitted(min_item_events=25)
    known = made.item_vectors.any(axis=1)
    assert 0 < known.sum() < N_ITEMS
    scores = made.user_vectors(market(seed=4)) @ made.item_vectors.T
    assert scores[:, known].min() > 0
    assert not scores[:, ~known].any()


def test_items_of_a_group_lie_together_in_spite_of_the_bias_column() -> None:
    vectors = _fitted().item_vectors
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = unit @ unit.T
    same = GROUP[:, None] == GROUP
    assert similarity[same].mean() > similarity[~same].mean() + 0.5


def test_the_reading_is_chosen_and_told() -> None:
    made = _fitted()
    assert made.facts["chosen_by"] == "validation on the latest events"
    assert (made.facts["n_words"], made.facts["n_sentences"]) == (N_ITEMS, 200)
    few = ItemToVec(_config(), RUN, seed=0)
    few.fit(events_of(np.zeros(1), np.zeros(1)), items_of(), None)
    assert few.facts["chosen_by"].startswith("default")


def test_another_hash_seed_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from tests.represent.test_word2vec import _fitted\n"
        "print(hashlib.sha256(_fitted().item_vectors.tobytes()).hexdigest())"
    )
    here = hashlib.sha256(_fitted().item_vectors.tobytes()).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert other.stdout.strip() == here


def test_other_seeds_give_other_vectors() -> None:
    made = ItemToVec(_config(), RUN, seed=1)
    made.fit(market(), items_of(), None)
    assert made.item_vectors.tobytes() != _fitted().item_vectors.tobytes()
