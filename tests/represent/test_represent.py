"""Behaviour vectors and their fusion with texts, on worlds small enough to know the answer."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from penchant.config import RepresentConfig
from penchant.data import Events, Items, ItemSpace, Vectors
from penchant.represent import represent
from penchant.represent.fuse import fit_map, fuse
from penchant.represent.history import latest_liked
from tests.represent.small_logs import GROUP, N_ITEMS, RUN, events_of, items_of, market, texts


def _purity(vectors: Vectors, k: int = 5) -> float:
    """Share of each item's nearest items that are of its group."""
    similarity = vectors.values @ vectors.values.T
    np.fill_diagonal(similarity, -9)
    near = np.argsort(-similarity, axis=1)[:, :k]
    return float((GROUP[near] == GROUP[:, None]).mean())


def _space(events: Events, text: Vectors | None, items: Items | None = None, **settings: object) -> ItemSpace:
    config = RepresentConfig.model_validate({"n_factors": 8, "weights": {"behaviour": 1.0}, **settings})
    return represent(events, items or items_of(), text, config, RUN, seed=0)[0]


def _without(text: Vectors, rows: list[int]) -> Vectors:
    values = text.values.copy()
    values[rows] = 0
    return Vectors(values, text.name)


@pytest.mark.parametrize("method", ["factors", "mean"])
def test_items_of_the_same_users_lie_together_withouttexts(method: str):
    space = _space(market(), None, method=method, n_factors=32)
    assert space.text is None
    assert space.behaviour is not None
    assert _purity(space.behaviour) > 0.9
    assert np.allclose(space.fused.values, space.behaviour.values, atol=1e-6)


def test_mean_with_texts_leaves_behaviour_out_and_without_says_what_it_does():
    space = _space(market(), texts(), method="mean")
    assert space.behaviour is None
    assert np.allclose(space.fused.values, texts().values, atol=1e-6)
    assert "mean of users" in _space(market(), None, method="mean").fused.name


def test_cosines_of_mean_estimate_those_of_user_sets():
    events = market()
    seen = events.matrix(N_ITEMS, binary=True).toarray()
    seen /= np.linalg.norm(seen, axis=0)
    behaviour = _space(events, None, method="mean", n_factors=1024).behaviour
    assert behaviour is not None
    assert np.abs(behaviour.values @ behaviour.values.T - seen.T @ seen).mean() < 0.05


def test_both_together_beat_each_alone():
    events, text = market(n_users=60, noise=0.45), texts(noise=0.45)
    space = _space(events, text)
    assert space.behaviour is not None
    assert _purity(space.fused) > max(_purity(space.behaviour), _purity(text))


def test_fused_cosines_are_weighted_means_of_the_parts():
    space = _space(market(), texts(), weights={"behaviour": 1, "text": 3})
    assert space.text is not None
    assert space.behaviour is not None
    text, behaviour = space.text.values, space.behaviour.values
    expected = 0.75 * text @ text.T + 0.25 * behaviour @ behaviour.T
    assert np.allclose(space.fused.values @ space.fused.values.T, expected, atol=1e-5)
    assert space.fused.name == "0.75 texts + 0.25 factors (ALS 8)"


def test_a_weight_of_zero_leaves_a_part_out():
    space = _space(market(), texts(), weights={"behaviour": 0})
    assert np.allclose(space.fused.values, texts().values, atol=1e-6)
    assert space.behaviour is not None


def test_items_below_the_least_events_have_no_behaviour():
    events = market()
    counts = np.bincount(latest_liked(events, 500).item_row, minlength=N_ITEMS)
    behaviour = _space(events, None, min_item_events=int(np.median(counts))).behaviour
    assert behaviour is not None
    assert np.array_equal(behaviour.present, counts >= np.median(counts))
    assert _space(events, None, min_item_events=10_000).behaviour is None


def test_cold_items_lie_with_their_likes_by_text():
    cold = [0, 11, 22, 33]
    events = market().take(~np.isin(market().item_row, cold))
    space = _space(events, texts(noise=0.2))
    similarity = space.fused.values[cold] @ space.fused.values.T
    similarity[np.arange(4), cold] = -9
    near = similarity.argmax(axis=1)
    assert np.array_equal(GROUP[near], GROUP[cold])
    # and they are nearer to them than without a guess: no island of cold items
    like = (GROUP[cold][:, None] == GROUP) & ~np.isin(np.arange(N_ITEMS), cold)
    plain = _space(events, texts(noise=0.2), impute=False).fused.values
    assert similarity[like].mean() > (plain[cold] @ plain.T)[like].mean() + 0.1


def test_texts_that_miss_are_guessed_from_behaviour():
    space = _space(market(), _without(texts(noise=0.2), [5, 15]))
    near = np.argsort(-(space.fused.values[[5, 15]] @ space.fused.values.T), axis=1)[:, 1:4]
    assert (GROUP[near] == GROUP[[5, 15]][:, None]).all()


def test_items_with_neither_are_zero():
    events = market().take(market().item_row != 7)
    space = _space(events, _without(texts(), [7]))
    assert not space.fused.values[7].any()
    assert space.fused.present.sum() == N_ITEMS - 1


def test_vector_columns_join_by_their_weight():
    rng = np.random.default_rng(1)
    image = rng.normal(size=(N_ITEMS, 3)).astype(np.float32) * 7  # not of unit length
    space = _space(market(), texts(), items_of(image=image), weights={"behaviour": 1, "image": 2})
    assert space.fused.values.shape[1] == 12 + 8 + 3
    assert "0.5 image" in space.fused.name
    assert np.allclose(np.linalg.norm(space.fused.values[:, -3:], axis=1), np.sqrt(0.5), atol=1e-5)


def test_nothing_at_all_is_one_column_of_zeros():
    empty = events_of(np.zeros(0), np.zeros(0))
    space = _space(empty, None)
    assert space.behaviour is None
    assert space.fused.values.shape == (N_ITEMS, 1)
    assert not space.fused.present.any()


def test_one_item_one_user():
    space, _ = represent(
        events_of(np.zeros(3), np.zeros(3)), items_of(1), None, RepresentConfig(min_item_events=1), RUN, seed=0
    )
    assert space.fused.values.shape == (1, 1)
    assert np.isfinite(space.fused.values).all()


def test_aversion_and_text_events_dont_count():
    users, items = np.repeat(np.arange(6), 2), np.tile([0, 1], 6)
    events = events_of(users, np.where(items == 1, -1, 0))
    assert latest_liked(events, 5).item_row.tolist() == [0] * 6
    assert len(latest_liked(events_of(users, items, np.where(items == 1, -1.0, 1.0)), 5)) == 6


def test_only_the_latest_distinct_items_of_a_user_count():
    events = events_of(np.zeros(5), np.array([1, 2, 1, 3, 4]))
    assert latest_liked(events, 3).item_row.tolist() == [1, 3, 4]


def test_fit_map_finds_a_linear_map_and_gives_up_on_noise():
    rng = np.random.default_rng(0)
    source, weight = rng.normal(size=(300, 6)), rng.normal(size=(6, 3))
    assert np.allclose(fit_map(source, source @ weight + 1)(source[:5]), source[:5] @ weight + 1, atol=0.05)
    noise = rng.normal(size=(300, 3)) + 5
    assert np.abs(fit_map(source, noise)(source) - noise.mean(axis=0)).mean() < 0.1


def test_inputs_stay_as_they_are_and_the_same_seed_gives_the_same_bytes():
    events, text = market(), _without(texts(), [3])
    before = events.table.clone(), text.values.copy()
    first, second = _space(events, text), _space(events, text)
    assert first.fused.values.tobytes() == second.fused.values.tobytes()
    assert events.table.equals(before[0])
    assert np.array_equal(text.values, before[1])


def test_another_process_gives_the_same_bytes():
    code = (
        "import hashlib; from tests.represent.test_represent import _space, _without\n"
        "from tests.represent.small_logs import market, texts\n"
        "print(hashlib.sha256(_space(market(), _without(texts(), [3])).fused.values.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.strip()
    here = _space(market(), _without(texts(), [3])).fused.values
    assert hashlib.sha256(here.tobytes()).hexdigest() == other


def test_too_few_pairs_leave_a_part_missing():
    text = Vectors(np.eye(5, dtype=np.float32), "texts")
    behaviour = Vectors(np.vstack([np.eye(5, dtype=np.float32)[:4], np.zeros((1, 5), np.float32)]), "behaviour")
    fused = fuse(text, behaviour, items_of(5), RepresentConfig(weights={"behaviour": 1}), seed=0)
    assert fused.present.all()
    assert not fused.values[4, 5:10].any()
    # half of it is unknown: near to nothing rather than near to everything with its text
    assert np.allclose(np.linalg.norm(fused.values[:, :10], axis=1) ** 2, [1, 1, 1, 1, 0.5], atol=1e-5)
