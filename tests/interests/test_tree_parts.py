"""The moves that leaves are made of, each by hand-worked numbers or against an independent implementation."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from sklearn.metrics import adjusted_rand_score, v_measure_score

from penchant.config import InterestsConfig
from penchant.interests.dendrogram import ward
from penchant.interests.grouping import MAX_GRAINS, grow, refine
from penchant.interests.leaves import find_leaves, merge_small
from penchant.interests.levels import group_leaves
from penchant.interests.membership import fit_temperature, soft_membership
from penchant.interests.neighbours import nearest_others
from penchant.interests.number import Search, choose_number, dissolve
from penchant.interests.sharpen import sharpen
from tests.interests.mixtures import mixture

CONFIG = InterestsConfig()


def test_ward_agrees_with_scipy():
    points = np.random.default_rng(0).normal(size=(60, 5))
    ours, theirs = ward(points, np.ones(60)), linkage(points, "ward")
    np.testing.assert_allclose(np.sqrt(2 * ours.merges[:, 2]), theirs[:, 2])
    assert (ours.merges[:, :2] == theirs[:, :2]).all()


def test_a_weight_of_two_is_two_points():
    points = np.random.default_rng(1).normal(size=(20, 3))
    doubled = ward(np.vstack([points, points[:5]]), np.ones(25)).merges[5:, 2]
    np.testing.assert_allclose(doubled, ward(points, np.r_[np.full(5, 2.0), np.ones(15)]).merges[:, 2])


def test_cuts_nest_and_order_keeps_groups_together():
    tree = ward(np.random.default_rng(2).normal(size=(30, 4)), np.ones(30))
    for k in (1, 2, 5, 30):
        labels = tree.cut(k)
        assert len(np.unique(labels)) == k
        along = labels[tree.order()]
        assert (np.diff(along) != 0).sum() == k - 1


@pytest.mark.parametrize("k", [3, 8])
def test_the_number_of_leaves_is_found(k):
    values, truth = mixture(n=60 * k, k=k, d=30, noise=0.45, seed=k)
    found = find_leaves(values, CONFIG, seed=0)
    assert abs(found.n_leaves - k) <= 1
    assert v_measure_score(truth, found.labels) > 0.9
    assert found.facts["agreement"] > 0.8


def test_one_blob_stays_one_leaf():
    values = mixture(n=300, k=1, d=30)[0]
    found = find_leaves(values, CONFIG, seed=0)
    assert found.n_leaves == 1
    assert "agree less" in found.facts["chosen_by"]


def test_sharpening_helps_where_nuisance_is_strong():
    plain, sharp = [], []
    for seed in range(4):
        values, truth = mixture(n=600, k=10, d=30, noise=1.0, seed=seed)
        space = sharpen(values, seed=0)
        plain.append(v_measure_score(truth, refine(values, grow(values, seed=0).cut(10), 10)))
        sharp.append(v_measure_score(truth, refine(space, grow(space, seed=0).cut(10), 10)))
    assert np.mean(sharp) > np.mean(plain) + 0.03


def test_many_items_grow_from_grains():
    values, truth = mixture(n=MAX_GRAINS + 500, k=5, d=10, noise=0.2)
    growth = grow(values, seed=0)
    assert growth.tree.n <= MAX_GRAINS
    assert adjusted_rand_score(truth, growth.cut(5)) > 0.95


def test_small_leaves_join_the_nearest_large_one():
    values = np.array([[1, 0], [1, 0], [1, 0], [0.9, 0.436], [0, 1], [0, 1]], np.float32)
    assert merge_small(values, np.array([0, 0, 0, 1, 2, 2], np.int32), 2).tolist() == [0, 0, 0, 0, 1, 1]
    assert merge_small(values, np.arange(6, dtype=np.int32), 2).tolist() == [0] * 6


def test_a_leaf_that_no_half_found_is_dissolved():
    values = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    seen = np.repeat([0, 1, 2], 10).astype(np.int32)
    search = Search(4, {}, np.arange(30, dtype=np.int32), [[seen], [seen]])
    labels = seen.copy()
    labels[:2] = 3  # two of ten: a Jaccard overlap of 0.2 with what the halves saw, 0.8 to 1 for the others
    assert dissolve(values, labels, search).tolist() == seen.tolist()


def test_too_few_items_to_halve():
    assert choose_number(np.eye(2, dtype=np.float32), 1, seed=0).k == 1


def test_temperature_makes_memberships_foretell():
    """Cosines 1 and 0, neighbours 9 : 1 -> exp(1/t) = 9."""
    similarity = np.array([[1, 0], [0, 1]], np.float32)
    found = fit_temperature(similarity, np.array([[0.9, 0.1], [0.1, 0.9]], np.float32))
    assert found == pytest.approx(1 / np.log(9), rel=1e-2)


def test_membership_by_hand():
    """Cosines 1, 0.8 and -1 at t = 0.2: weights e^0, e^-1 and nearly nothing -> 0.731, 0.269."""
    centroids = np.array([[1, 0], [0.8, 0.6], [-1, 0]], np.float32)
    values = np.array([[1, 0], [0, 0]], np.float32)
    got = soft_membership(values, centroids, 0.2, top=3).toarray()
    np.testing.assert_allclose(got, [[0.7311, 0.2689, 0], [0, 0, 0]], atol=1e-3)
    assert soft_membership(values, centroids, 0.2, top=1).toarray()[0].tolist() == [1, 0, 0]
    assert soft_membership(values[:1], centroids, 0.2, top=3, floor=1.1).nnz == 0


def test_neighbours_leave_out_oneself_and_empty_rows():
    values = np.array([[1, 0], [1, 0], [0, 0], [0, 1]], np.float32)
    assert nearest_others(values, np.array([0, 2, 3], np.int32), 4).tolist() == [
        [1, 3, -1, -1],
        [-1, -1, -1, -1],
        [0, 1, -1, -1],
    ]


def test_equally_far_leaves_still_get_even_parents():
    order, (middle, top) = group_leaves(np.eye(24), np.ones(24), 3)
    assert sorted(order.tolist()) == list(range(24))
    assert np.bincount(middle).min() > 1
    assert len(np.unique(top)) > 1
