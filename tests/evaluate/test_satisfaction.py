"""Shares with Wilson's interval against scipy, design effects, and AUC within users against all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from penchant.evaluate.interval import wilson
from penchant.evaluate.satisfaction import agreement, satisfaction_table


@pytest.mark.parametrize(("yes", "n"), [(0, 5), (3, 7), (50, 50), (17, 400)])
def test_wilson_is_scipy_s(yes: int, n: int) -> None:
    ends = binomtest(yes, n).proportion_ci(method="wilson")
    low, high = wilson(yes, n)
    assert (float(low), float(high)) == pytest.approx((ends.low, ends.high), abs=1e-6)
    assert np.isnan(wilson(0, 0)[0])


def test_groups_are_counted() -> None:
    table = satisfaction_table(np.array([1, 2, 1, 3]), np.array([1, -1, 0, 1]), ["a", "a", "a", None])
    assert table.height == 1
    row = table.row(0, named=True)
    assert [row[c] for c in ("group", "n_users", "n_answers", "n_for", "n_neither", "n_against")] == [
        "a",
        2,
        3,
        1,
        1,
        1,
    ]


def test_one_answer_each_is_the_plain_interval_and_copies_add_nothing() -> None:
    users, opinions = np.arange(40), np.array([1] * 30 + [-1] * 10)
    once = satisfaction_table(users, opinions, ["a"] * 40).row(0, named=True)
    assert once["effective_n"] == pytest.approx(40)
    ends = binomtest(30, 40).proportion_ci(method="wilson")
    assert (once["low"], once["high"]) == pytest.approx((ends.low, ends.high), abs=1e-6)
    again = satisfaction_table(np.tile(users, 5), np.tile(opinions, 5), ["a"] * 200).row(0, named=True)
    assert again["effective_n"] == pytest.approx(40, rel=0.03)
    assert again["low"] == pytest.approx(once["low"], abs=0.005)


def test_intervals_hold_the_true_share_with_answers_that_cluster() -> None:
    """Each user has an own taste around 0.6 and gives ten answers: the plain interval is too narrow."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        taste = rng.beta(1.2, 0.8, 40)
        opinions = np.where(rng.random((40, 10)) < taste[:, None], 1, -1).ravel()
        row = satisfaction_table(np.repeat(np.arange(40), 10), opinions, ["a"] * 400).row(0, named=True)
        held += row["low"] <= 0.6 <= row["high"]
    assert 0.91 < held / 300 < 0.985


def test_everybody_for_it_is_as_many_people_as_there_are() -> None:
    row = satisfaction_table(np.repeat(np.arange(5), 10), np.ones(50, int), ["a"] * 50).row(0, named=True)
    assert row["effective_n"] == 5


def test_auc_is_the_share_of_pairs_of_a_user() -> None:
    rng = np.random.default_rng(3)
    users, scores = rng.integers(0, 30, 300), rng.integers(0, 6, 300).astype(float)
    opinions = rng.integers(-1, 2, 300)
    expected = []
    for user in range(30):
        up = scores[(users == user) & (opinions == 1)]
        down = scores[(users == user) & (opinions == -1)]
        if len(up) and len(down):
            expected.append(np.mean((up[:, None] > down) + 0.5 * (up[:, None] == down)))
    found = agreement(users, scores, opinions, n_bootstrap=100, seed=0)
    assert found.auc == pytest.approx(np.mean(expected))
    assert found.n_users == len(expected)
    assert found.low is not None
    assert found.low < np.mean(expected) < found.high


def test_nobody_with_both_kinds_says_nothing() -> None:
    found = agreement(np.array([1, 2]), np.array([1.0, 0.0]), np.array([1, -1]), n_bootstrap=50, seed=0)
    assert (found.auc, found.n_users) == (None, 0)
