"""Sign flips counted by hand, the adjustment for many methods, and what chance gives."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from penchant.evaluate import paired
from penchant.evaluate.paired import adjust_p_values, sign_flip_p_values, user_means


def test_few_users_are_counted_in_full() -> None:
    """1, 2, 3: of 8 sign patterns one has a mean as high, so 2 * 1/8; 1, -1, 3: 3 of 8 sums (5, 3, 3) reach 3."""
    rows = np.array([[1.0, 2.0, 3.0], [1.0, -1.0, 3.0], [0.0, 0.0, 0.0]])
    assert sign_flip_p_values(rows, n_permutations=999, seed=0).tolist() == [0.25, 0.75, 1.0]
    assert sign_flip_p_values(-rows, n_permutations=999, seed=0).tolist() == [0.25, 0.75, 1.0]


def test_random_flips_come_near_the_full_count() -> None:
    differences = np.random.default_rng(4).normal(0.4, 1, (1, 14))
    means = [float(np.mean(differences[0] * signs)) for signs in product([1, -1], repeat=14)]
    observed = differences[0].mean()
    exact = 2 * min(np.mean([m >= observed for m in means]), np.mean([m <= observed for m in means]))
    found = sign_flip_p_values(differences, n_permutations=9999, seed=0)[0]
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact / 9999) * 2)


def test_the_least_p_is_that_of_the_flip_observed() -> None:
    certain = np.full((1, 200), 0.5)
    assert sign_flip_p_values(certain, n_permutations=199, seed=0)[0] == 2 / 200


def test_a_seed_repeats_and_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(0).normal(0.1, 1, (3, 60))
    before = differences.copy()
    whole = sign_flip_p_values(differences, n_permutations=500, seed=3)
    monkeypatch.setattr(paired, "_BATCH", 3 * 60 * 7)
    assert sign_flip_p_values(differences, n_permutations=500, seed=3).tolist() == whole.tolist()
    assert sign_flip_p_values(differences, n_permutations=500, seed=4).tolist() != whole.tolist()
    np.testing.assert_array_equal(differences, before)


def test_one_user_or_no_method_has_no_p() -> None:
    assert np.isnan(sign_flip_p_values(np.ones((2, 1)), n_permutations=199, seed=0)).all()
    assert len(sign_flip_p_values(np.ones((0, 5)), n_permutations=199, seed=0)) == 0
    assert np.isnan(adjust_p_values(np.array([np.nan, np.nan]))).all()
    assert len(adjust_p_values(np.zeros(0))) == 0


def test_adjusted_by_hand() -> None:
    """Sorted .005 .009 .05 .5 times 4/1, 4/2, 4/3, 4/4 = .02 .018 .0667 .5, and none above a later one."""
    found = adjust_p_values(np.array([0.05, 0.005, 0.5, 0.009]))
    assert found == pytest.approx([0.2 / 3, 0.018, 0.5, 0.018])


def test_a_user_of_two_windows_is_one_user() -> None:
    found = user_means(np.array([[1.0, 0.0], [4.0, 1.0], [3.0, 2.0]]), np.array([5, 2, 5]))
    assert found.tolist() == [[4.0, 1.0], [2.0, 1.0]]
