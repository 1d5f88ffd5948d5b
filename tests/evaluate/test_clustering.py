"""Clustering metrics: hand-worked numbers, laws, and an independent count for the overlapping ones."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import DataError
from penchant.evaluate.clustering import (
    agreement,
    bcubed,
    mean_agreement,
    memberships,
    omega_index,
    seed_stability,
    shape_scores,
    subsample_stability,
    truth_scores,
)

LINE = np.array([[0.0], [2.0], [10.0], [12.0]], np.float32)
PAIRS = np.array([0, 0, 1, 1])


def test_shape_by_hand() -> None:
    scores = shape_scores(LINE, PAIRS)
    assert (scores.n_clusters, scores.sse, scores.within_distance, scores.between_distance) == (2, 4.0, 1.0, 10.0)
    # a = 2 for all; b = 11, 9, 9, 11
    assert scores.silhouette == pytest.approx((2 * 9 / 11 + 2 * 7 / 9) / 4)
    assert scores.davies_bouldin == pytest.approx((1 + 1) / 10)
    assert scores.calinski_harabasz == pytest.approx((100 / 1) / (4 / 2))
    assert scores.unassigned_share == 0


def test_unassigned_rows_are_left_out_of_shape_and_counted() -> None:
    rows = np.vstack([LINE, [[1000.0]]]).astype(np.float32)
    scores = shape_scores(rows, np.array([0, 0, 1, 1, -1]))
    assert scores.unassigned_share == pytest.approx(0.2)
    assert dataclasses.replace(scores, unassigned_share=0.0) == shape_scores(LINE, PAIRS)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [-1, -1, -1, -1], [3, -1, -1, -1]])
def test_what_is_not_defined_is_none(labels: list[int]) -> None:
    scores = shape_scores(LINE, np.array(labels))
    assert scores.silhouette is scores.davies_bouldin is scores.calinski_harabasz is scores.between_distance is None


def test_every_row_its_own_cluster() -> None:
    scores = shape_scores(LINE, np.arange(4))
    assert scores.sse == 0
    assert scores.silhouette is None
    assert scores.between_distance == pytest.approx((2 + 10 + 12 + 8 + 10 + 2) / 6)


def test_identical_rows() -> None:
    scores = shape_scores(np.ones((6, 2), np.float32), np.array([0, 0, 0, 1, 1, 1]))
    assert scores.sse == 0
    assert scores.silhouette == 0


def test_truth_by_hand() -> None:
    """Rows 1,1,1 | 0 against 0,0 | 1,1: of 6 pairs 1 is together in both."""
    scores = truth_scores(np.array([1, 1, 1, 0]), np.array([0, 0, 1, 1]))
    expected = 3 * 2 / 6  # pairs together in found x in truth / all pairs
    assert scores.ari == pytest.approx((1 - expected) / ((3 + 2) / 2 - expected))
    entropy_true = np.log(2)
    given_found = 3 / 4 * -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    assert scores.homogeneity == pytest.approx(1 - given_found / entropy_true)
    v = 2 * scores.homogeneity * scores.completeness / (scores.homogeneity + scores.completeness)
    assert scores.v_measure == pytest.approx(v)


def test_leaving_rows_out_does_not_pay() -> None:
    truth = np.repeat([0, 1], 10)
    whole = truth_scores(truth, truth)
    part = np.where(np.arange(20) % 3 == 0, -1, truth)
    left_out = truth_scores(part, truth)
    assert whole.ari == whole.v_measure == 1.0
    assert left_out.ari < 1
    assert left_out.v_measure < 1
    assert left_out.unassigned_share == pytest.approx(7 / 20)


def test_rows_of_unknown_truth_are_left_out() -> None:
    scores = truth_scores(np.array([0, 0, 1, 1, 0]), np.array([0, 0, 1, 1, -1]))
    assert (scores.ari, scores.n_rows) == (1.0, 4)
    with pytest.raises(DataError, match="no row has a true label"):
        truth_scores(PAIRS, np.full(4, -1))


labellings = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), min_size=2, max_size=25)


@given(labellings, st.permutations(range(4)))
@settings(max_examples=40, deadline=None)
def test_truth_scores_keep_bounds_and_ignore_names(pairs: list[tuple[int, int]], names: list[int]) -> None:
    found, truth = (np.array(x) for x in zip(*pairs, strict=True))
    a = truth_scores(found, truth)
    for value in (a.homogeneity, a.completeness, a.v_measure, a.unassigned_share):
        assert -1e-9 <= value <= 1 + 1e-9
    assert -1 <= a.ari <= 1
    renamed = np.where(found >= 0, np.array(names)[np.maximum(found, 0)], -1)
    b = truth_scores(renamed, truth)
    np.testing.assert_allclose(dataclasses.astuple(a), dataclasses.astuple(b), atol=1e-9)
    assert agreement(found, truth) == pytest.approx(agreement(truth, found))


@given(labellings)
@settings(max_examples=40, deadline=None)
def test_shape_keeps_bounds_and_ignores_names(pairs: list[tuple[int, int]]) -> None:
    labels = np.array([p[0] for p in pairs])
    rows = np.random.default_rng(0).normal(size=(len(pairs), 2)).astype(np.float32)
    a = shape_scores(rows, labels)
    assert a.silhouette is None or -1 <= a.silhouette <= 1
    assert a.sse >= 0
    b = shape_scores(rows, np.where(labels >= 0, 3 - labels, -1))
    known = [np.array([np.nan if x is None else x for x in dataclasses.astuple(c)], float) for c in (a, b)]
    np.testing.assert_allclose(*known, rtol=1e-6)


def test_without_overlap_omega_is_the_adjusted_rand_index() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, 60), rng.integers(0, 3, 60)
    assert omega_index(memberships(a), memberships(b)) == pytest.approx(agreement(a, b))


@pytest.mark.parametrize("seed", range(5))
def test_overlapping_scores_against_a_plain_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (sp.csr_array((rng.random((12, k)) < 0.4).astype(float)) for k in (3, 4))
    sets = [[set(np.flatnonzero(row)) for row in m.toarray()] for m in (a, b)]
    pairs = [(len(sets[0][i] & sets[0][j]), len(sets[1][i] & sets[1][j])) for i, j in combinations(range(12), 2)]
    n = len(pairs)
    observed = sum(x == y for x, y in pairs) / n
    expected = sum(sum(x == t for x, _ in pairs) * sum(y == t for _, y in pairs) for t in range(5)) / n**2
    assert omega_index(a, b) == pytest.approx((observed - expected) / (1 - expected))
    for first, second, got in ((0, 1, bcubed(a, b).precision), (1, 0, bcubed(a, b).recall)):
        means = []
        for i in range(12):
            parts = []
            for j in range(12):
                x = len(sets[first][i] & sets[first][j])
                if x:
                    parts.append(min(x, len(sets[second][i] & sets[second][j])) / x)
            if parts:
                means.append(np.mean(parts))
        assert got == pytest.approx(np.mean(means))


def test_overlapping_scores_of_equal_clusterings_are_one() -> None:
    a = sp.csr_array((np.random.default_rng(0).random((30, 4)) < 0.5).astype(float))
    assert omega_index(a, a) == pytest.approx(1.0)
    assert bcubed(a, a) == bcubed(a, sp.csr_array(a[:, [3, 1, 0, 2]]))
    assert bcubed(a, a).f1 == 1.0


def test_overlapping_scores_on_a_sample_of_many_rows() -> None:
    a = memberships(np.arange(300) % 3)
    assert omega_index(a, a, max_rows=50) == 1.0
    assert bcubed(a, a, max_rows=50).f1 == 1.0


def test_stability() -> None:
    rows = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)

    def by_argmax(x: np.ndarray, seed: int) -> np.ndarray:
        return (x.argmax(axis=1) + seed) % 3

    def at_random(x: np.ndarray, seed: int) -> np.ndarray:
        return np.random.default_rng([seed, len(x), int(x.sum())]).integers(0, 3, len(x))

    assert seed_stability(by_argmax, rows) == subsample_stability(by_argmax, rows) == 1.0
    assert abs(seed_stability(at_random, rows)) < 0.2


def test_wrong_input_is_named() -> None:
    with pytest.raises(DataError, match="one label a row"):
        shape_scores(LINE, np.zeros(3, int))
    with pytest.raises(DataError, match="finite"):
        shape_scores(LINE * np.nan, PAIRS)
    with pytest.raises(DataError, match="Got 4 and 3"):
        agreement(PAIRS, np.zeros(3, int))
    with pytest.raises(DataError, match="same rows"):
        omega_index(memberships(PAIRS), memberships(PAIRS[:3]))
    with pytest.raises(DataError, match="two clusterings"):
        mean_agreement([PAIRS])
    with pytest.raises(DataError, match="'share'"):
        subsample_stability(lambda x, seed: x.argmax(axis=1), LINE, share=0.5)
