"""Rows, number, names and worth against hand-worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

from penchant.config import SegmentsConfig
from penchant.errors import DataError
from penchant.segments.choose import choose_n, found_again
from penchant.segments.exemplars import cohesion
from penchant.segments.names import node_names, segment_names, segment_traits
from penchant.segments.recipe import Recipe
from penchant.segments.rows import rows_of_shares, user_rows, with_parents
from penchant.segments.worth import measure_worth, shuffled_shares
from tests.segments.market import make_tree, profiles_of


def test_row_by_hand() -> None:
    tree = make_tree(2, 2)
    config = SegmentsConfig(row_events=2, parent_weight=0.5)
    shares = np.array([[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    rows = user_rows(profiles_of(shares, tree), tree, 3, config)
    v = math.sqrt(0.75)  # the root of 1 - (1 - 0.5)^2; a share of 1 gives 1
    total = 2 * v + 1
    half, one = -math.log(v / total), -math.log(1 / total)
    np.testing.assert_allclose(rows.weights, [half, half, one, 0, 0.5 * math.log(2), 0.5 * math.log(2)], rtol=1e-5)
    raw = np.array([v * half, v * half, 0, 0, 0.5 * math.log(2), 0])
    np.testing.assert_allclose(rows.values[0], raw / np.linalg.norm(raw), rtol=1e-5)
    assert rows.present.tolist() == [True, True, False]


def test_rows_do_not_depend_on_the_order_of_points() -> None:
    tree = make_tree(2, 3)
    profiles = profiles_of(np.random.default_rng(0).dirichlet(np.ones(6), 20), tree)
    turned = type(profiles)(profiles.points.reverse(), 0.0)
    a, b = (user_rows(p, tree, 20, SegmentsConfig()) for p in (profiles, turned))
    assert a.values.tobytes() == b.values.tobytes()


def test_weights_of_another_tree_are_refused() -> None:
    tree = make_tree(2, 2)
    with pytest.raises(DataError, match=r"must be \(6,\)"):
        user_rows(profiles_of(np.eye(4), tree), tree, 4, SegmentsConfig(), weights=np.ones(3, np.float32))


def test_parents_hold_the_sum_of_their_leaves() -> None:
    out = with_parents(sp.csr_array(np.array([[0.2, 0.3, 0.5, 0]], np.float32)), make_tree(2, 2))
    np.testing.assert_allclose(out.toarray(), [[0.2, 0.3, 0.5, 0, 0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 6])
def test_number_of_plain_groups_is_found(n: int) -> None:
    rng = np.random.default_rng(0)
    rows = np.eye(8)[np.repeat(np.arange(n), 30)] + rng.normal(0, 0.1, (30 * n, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    choice = choose_n(rows, Recipe(), max_segments=7, max_users=1000, seed=0)
    assert choice.n_segments == n
    assert [c.n_segments for c in choice.candidates] == list(range(2, min(7, 3 * n) + 1))
    best = choice.candidates[n - 2]
    assert best.stability == 1
    assert best.score == pytest.approx(best.separation)  # all members meet again
    assert all(c.score == pytest.approx(np.mean(c.by_deal)) for c in choice.candidates)
    met = sorted(len(c.by_deal) for c in choice.candidates)
    assert met == [3] * (len(met) - 4) + [8] * min(len(met), 4)  # four leaders go on after the first three deals


def test_members_found_again_by_hand() -> None:
    one, two = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    # of six users: 3 shared of 4 and 3, 2 by chance; 1 of 4 and 3, 2; 2 of 2 and 3, 1
    expected = [1 / 2, 1 / 2, 1 / 2, -1 / 4, 1 / 2, 1 / 2]
    np.testing.assert_allclose(found_again(one, two), expected)
    np.testing.assert_allclose(found_again(two, one), expected)
    assert found_again(one, one).tolist() == found_again(one, 1 - one).tolist() == [1.0] * 6
    assert found_again(np.zeros(3, np.int32), np.zeros(3, np.int32)).tolist() == [1.0] * 3


def test_groups_by_chance_are_not_found_again() -> None:
    rng = np.random.default_rng(0)
    met = [found_again(*rng.integers(0, k, (2, 4000))).mean() for k in (2, 5, 20)]
    np.testing.assert_allclose(met, 0, atol=0.01)


def test_one_uncertain_segment_leaves_the_others_found() -> None:
    """Two of four groups trade places: what the other two tell counts in full, the agreement of all falls."""
    rng = np.random.default_rng(0)
    one = np.repeat([0, 1, 2, 3], 100)
    two = np.where(one > 1, rng.integers(2, 4, 400), one)
    met = found_again(one, two)
    assert met[:200].tolist() == [1.0] * 200
    assert abs(met[200:].mean()) < 0.35


def test_number_is_chosen_on_a_sample_of_a_large_log() -> None:
    rows = np.repeat(np.eye(3, dtype=np.float32), 500, axis=0)
    choice = choose_n(rows, Recipe(), max_segments=4, max_users=200, seed=0)
    assert (choice.n_segments, choice.n_users) == (3, 200)


def test_traits_by_hand() -> None:
    tree = make_tree(2, 2)
    leaves = sp.csr_array(
        np.array([[0.8, 0, 0.2, 0], [0.8, 0, 0.2, 0], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]], np.float32)
    )
    traits = segment_traits(
        with_parents(leaves, tree), np.array([0, 0, 1, 1], np.int32), 2, tree, n_top=3, min_coverage=0.1
    )
    assert traits.interest_rows[0] == [0]  # a parent does not speak for one child alone
    assert traits.lift[0] == pytest.approx([2.0])  # 0.8 against a mean of 0.4
    assert traits.coverage[0] == [1.0]
    assert traits.interest_rows[1] == [5]  # both leaves are lifted, and their parent keeps what they tell
    assert traits.lift[1] == pytest.approx([1 / 0.6])


def test_an_interest_of_few_members_does_not_speak() -> None:
    tree = make_tree(1, 3)
    shares = np.zeros((40, 3), np.float32)
    shares[:20, 0] = 1
    shares[0] = [0, 1, 0]
    shares[20:, 2] = 1
    labels = np.repeat([0, 1], 20).astype(np.int32)
    traits = segment_traits(with_parents(sp.csr_array(shares), tree), labels, 2, tree, n_top=5, min_coverage=0.1)
    assert traits.interest_rows[0] == [0]


def test_names_are_unique_and_tell_twins_apart() -> None:
    names = ["shoes", "bags", "shoes", "balls", "City", "Sport"]
    tree = make_tree(2, 2, names)
    assert node_names(tree) == ["City: shoes", "bags", "Sport: shoes", "balls", "City", "Sport"]
    leaves = np.repeat(np.array([[0.6, 0, 0.4, 0], [0.55, 0, 0.4, 0.05], [0, 1, 0, 0]], np.float32), 10, axis=0)
    labels = np.repeat([0, 1, 2], 10).astype(np.int32)
    traits = segment_traits(with_parents(sp.csr_array(leaves), tree), labels, 3, tree, n_top=3, min_coverage=0.1)
    found = segment_names(traits, tree)
    assert len(set(found)) == 3
    assert found[2] == "bags"


def test_cohesion_of_equal_members_is_one() -> None:
    rows = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert cohesion(rows, np.array([0, 0, 1], np.int32), rows[[0, 2]]).tolist() == [1.0, 1.0]


def test_worth_by_hand_in_the_limit() -> None:
    """Two equal groups that share nothing: the segment halves what one has to guess among."""
    shares = sp.csr_array(np.repeat(np.eye(2, dtype=np.float32), 2000, axis=0))
    worth = measure_worth(np.repeat([0, 1], 2000).astype(np.int32), shares, n_random=20)
    assert worth.ratio == pytest.approx(2.0, abs=0.01)
    assert worth.beaten == 1.0
    assert worth.in_sample


def test_worth_of_a_random_partition_is_one() -> None:
    rng = np.random.default_rng(0)
    shares = sp.csr_array(rng.dirichlet(np.ones(6), 400).astype(np.float32))
    worth = measure_worth(rng.integers(0, 4, 400).astype(np.int32), shares, n_random=50)
    assert worth.ratio == pytest.approx(1.0, abs=0.01)
    assert not worth.passes.any()


def test_worth_on_later_events_sees_what_did_not_last() -> None:
    labels = np.repeat([0, 1], 100).astype(np.int32)
    now = sp.csr_array(np.repeat(np.eye(2, dtype=np.float32), 100, axis=0))
    later = sp.csr_array(np.random.default_rng(0).permutation(now.toarray()))
    assert measure_worth(labels, now, n_random=20).passes.all()
    out = measure_worth(labels, later, in_sample=False, n_random=20)
    assert not out.in_sample
    assert not out.passes.any()


def test_users_without_later_events_do_not_count() -> None:
    later = np.repeat(np.eye(2, dtype=np.float32), 50, axis=0)
    later[[3, 60]] = 0
    worth = measure_worth(np.repeat([0, 1], 50).astype(np.int32), sp.csr_array(later), in_sample=False, n_random=20)
    assert worth.n_users == 98
    assert worth.passes.all()


def test_a_number_that_tells_nothing_of_later_is_not_chosen() -> None:
    """Four groups by their rows, but only the two pairs of groups go on to differ."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 60)
    rows = np.eye(4)[group] + 0.5 * np.eye(4)[group ^ 1] + rng.normal(0, 0.1, (240, 4))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    pair = sp.csr_array(np.eye(2, dtype=np.float32)[group // 2])
    four = sp.csr_array(np.eye(4, dtype=np.float32)[group])
    found = {
        name: choose_n(rows, Recipe(), max_segments=6, max_users=1000, seed=0, later=later)
        for name, later in (("pair", pair), ("four", four))
    }
    assert found["four"].n_segments == 4
    assert found["pair"].n_segments == 2
    assert found["pair"].separation_is.startswith("nats")
    assert found["pair"].candidates[0].separation == pytest.approx(np.log(2), abs=0.05)
    few = choose_n(rows, Recipe(), max_segments=3, max_users=1000, seed=0, later=sp.csr_array((240, 2)))
    assert few.separation_is.startswith("mean silhouette")


def test_worth_needs_the_same_users() -> None:
    shares = sp.csr_array(np.eye(3, dtype=np.float32))
    with pytest.raises(DataError, match="same users"):
        measure_worth(np.zeros(2, np.int32), shares)


def test_relabelling_changes_no_worth() -> None:
    rng = np.random.default_rng(0)
    shares = sp.csr_array(rng.dirichlet(np.ones(5), 200).astype(np.float32))
    labels = rng.integers(0, 3, 200).astype(np.int32)
    a = measure_worth(labels, shares, n_random=20)
    b = measure_worth(((labels + 1) % 3).astype(np.int32), shares, n_random=20)
    assert a.ratio == pytest.approx(b.ratio, rel=2e-3)


def test_shuffling_keeps_popularity_and_breadth() -> None:
    rng = np.random.default_rng(0)
    shares = sp.csr_array(np.where(rng.random((50, 8)) < 0.3, 1.0, 0.0).astype(np.float32))
    out = shuffled_shares(shares, 1)
    np.testing.assert_allclose(out.sum(), shares.sum())
    np.testing.assert_allclose(out.sum(axis=0), shares.sum(axis=0))
    np.testing.assert_allclose(out.sum(axis=1), shares.sum(axis=1))


def test_same_rows_from_shares_as_from_profiles() -> None:
    tree = make_tree(2, 2)
    leaves = np.random.default_rng(0).dirichlet(np.ones(4), 10).astype(np.float32)
    a = user_rows(profiles_of(leaves, tree), tree, 10, SegmentsConfig()).values
    b = rows_of_shares(with_parents(sp.csr_array(leaves), tree), tree, SegmentsConfig()).values
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_segment_where_nobody_was_before_has_a_worth_too() -> None:
    later = sp.csr_array(np.repeat(np.eye(2, dtype=np.float32), 30, axis=0))
    worth = measure_worth(np.repeat([0, 1], 30).astype(np.int32), later, n_segments=3, in_sample=False, n_random=20)
    assert worth.passes.tolist() == [True, True, False]
