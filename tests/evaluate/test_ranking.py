"""Metrics against hand-worked numbers, a naive second implementation, and what chance gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

from penchant.data import Vectors
from penchant.errors import DataError
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.ranking import coverage, diversity, gini, miscalibration, novelty, score_lists, serendipity
from penchant.scorers import top_items


def sparse(rows: list[list[float]]) -> sp.csr_array:
    return sp.csr_array(np.array(rows, np.float32))


def test_numbers_worked_by_hand() -> None:
    """Targets 1, 3, 4; the list 3, 0, 1 hits at ranks 1 and 3."""
    found = score_lists(np.array([[3, 0, 1]]), sparse([[0, 1, 0, 1, 1]]), np.array([0])).row(0, named=True)
    assert found["ndcg@3"] == pytest.approx((1 + 0.5) / (1 + 1 / math.log2(3) + 0.5))
    assert found["recall@3"] == pytest.approx(2 / 3)
    assert found["precision@3"] == pytest.approx(2 / 3)
    assert found["hit_rate@3"] == 1
    assert found["map@3"] == pytest.approx((1 + 2 / 3) / 3)
    assert found["mrr@3"] == 1
    assert found["f1@3"] == pytest.approx(2 / 3)


def naive(items: list[int], target: set[int], k: int) -> dict[str, float]:
    """The definitions, one user, plain Python."""
    gain = [1 if i in target else 0 for i in items]
    ideal = sum(1 / math.log2(r + 2) for r in range(min(k, len(target))))
    first = [r for r, g in enumerate(gain) if g]
    return {
        "ndcg": sum(g / math.log2(r + 2) for r, g in enumerate(gain)) / ideal,
        "recall": sum(gain) / len(target),
        "hit_rate": float(any(gain)),
        "precision": sum(gain) / k,
        "map": sum(sum(gain[: r + 1]) / (r + 1) for r in first) / min(k, len(target)),
        "mrr": 1 / (first[0] + 1) if first else 0.0,
        "f1": 2 / (k / sum(gain) + len(target) / sum(gain)) if first else 0.0,
    }


@pytest.mark.parametrize("k", [1, 5, 20])
def test_equal_to_a_naive_second_implementation(k: int) -> None:
    rng = np.random.default_rng(k)
    targets = sp.csr_array((rng.random((60, 25)) < 0.15).astype(np.float32))
    users = np.flatnonzero(np.diff(targets.indptr) > 0)
    lists = np.array([rng.permutation(25)[:k] for _ in users])
    lists[::3, k // 2 :] = -1  # short lists
    found = score_lists(lists, targets, users)
    for row, (user, items) in enumerate(zip(users, lists, strict=True)):
        expected = naive([i for i in items.tolist() if i >= 0], set(targets[[user], :].indices.tolist()), k)
        for name, value in expected.items():
            assert found[f"{name}@{k}"][row] == pytest.approx(value, abs=1e-12), name


def test_random_scores_give_what_chance_gives() -> None:
    """With n items and m targets each, a random list of k hits k*m/n in the mean: recall k/n, precision m/n."""
    rng = np.random.default_rng(0)
    n_users, n_items, m, k = 4000, 50, 4, 10
    column = np.argsort(rng.random((n_users, n_items)), axis=1)[:, :m]
    targets = sp.csr_array(
        (np.ones(n_users * m), (np.repeat(np.arange(n_users), m), column.ravel())), shape=(n_users, n_items)
    )
    targets.sort_indices()
    found = score_lists(top_items(rng.random((n_users, n_items), np.float32), k), targets, np.arange(n_users))
    discount = 1 / np.log2(np.arange(2, k + 2))
    assert found["recall@10"].mean() == pytest.approx(k / n_items, abs=0.01)
    assert found["precision@10"].mean() == pytest.approx(m / n_items, abs=0.003)
    assert found["ndcg@10"].mean() == pytest.approx(m / n_items * discount.sum() / discount[:m].sum(), abs=0.01)


def test_several_cutoffs_are_what_each_gives_alone() -> None:
    rng = np.random.default_rng(0)
    targets = sp.csr_array((rng.random((50, 30)) < 0.1).astype(np.float32))
    users = np.flatnonzero(np.diff(targets.indptr) > 0)
    lists = np.array([rng.permutation(30)[:20] for _ in users])
    lists[::4, 7:] = -1
    together = score_lists(lists, targets, users, (10, 5, 20))
    assert together.columns[1] == "ndcg@10"
    assert len(together.columns) == 1 + 3 * 7
    for k in (5, 10, 20):
        alone = score_lists(lists[:, :k], targets, users)
        assert together.select(alone.columns).equals(alone), k


@pytest.mark.parametrize("cutoffs", [(4,), (0, 2), (2, 2), ()])
def test_cutoffs_outside_the_lists_are_refused(cutoffs: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"different ranks in 1\.\.3"):
        score_lists(np.array([[0, 1, 2]]), sparse([[1, 0, 0]]), np.array([0]), cutoffs)


def test_serendipity_by_hand() -> None:
    """User 0: items 1 and 2 hit, 1 is on the plain list: one of four places. User 1: the only hit is plain."""
    targets = sparse([[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]])
    lists = np.array([[1, 2, 3, -1], [0, 1, 2, 3]])
    plain = np.array([[0, 1], [0, -1]])
    assert serendipity(lists, targets, plain, np.array([0, 1])).tolist() == [0.25, 0.0]
    nothing_expected = np.full((2, 2), -1)
    assert serendipity(lists, targets, nothing_expected, np.array([0, 1])).tolist() == [0.5, 0.25]  # precision


def test_a_perfect_list_scores_one() -> None:
    found = score_lists(np.array([[1, 2, 0]]), sparse([[0, 1, 1, 0]]), np.array([0])).row(0, named=True)
    assert found["ndcg@3"] == found["map@3"] == found["mrr@3"] == found["recall@3"] == 1


def test_equal_scores_rank_by_item_row() -> None:
    assert top_items(np.zeros((1, 5), np.float32), 3).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("lists", "targets", "users", "message"),
    [
        ([[0, 0]], [[1, 0]], [0], "an item twice"),
        ([[0, 5]], [[1, 0]], [0], r"must be -1..1. Got 0..5"),
        ([[0, 1]], [[0, 0]], [0], "has no target"),
        ([[0, 1]], [[1, 0]], [0, 0], "one row a user"),
        ([[]], [[1, 0]], [0], "k >= 1"),
    ],
)
def test_wrong_lists_are_refused(
    lists: list[list[int]], targets: list[list[float]], users: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        score_lists(np.array(lists, np.int32), sparse(targets), np.array(users))


def test_padding_may_repeat() -> None:
    assert score_lists(np.array([[1, -1, -1]]), sparse([[0, 1]]), np.array([0]))["recall@3"][0] == 1


def test_novelty_in_bits() -> None:
    found = novelty(np.array([[0, 1], [2, -1], [-1, -1]]), np.array([7, 1, 0]), 7)
    assert found[:2].tolist() == [1.0, 3.0]
    assert np.isnan(found[2])


def test_diversity_of_pairs() -> None:
    unit = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], np.float32)
    found = diversity(np.array([[0, 1, -1], [0, 1, 2], [0, 3, -1]]), Vectors(unit, "x"))
    assert found[:2] == pytest.approx([0.0, 2 / 3])
    assert np.isnan(found[2])  # one item with a vector is no pair


def test_miscalibration_by_hand() -> None:
    membership = sparse([[1, 0], [0, 1], [1, 0], [0, 0]])
    history = sparse([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    lists = np.array([[2, 1], [2, 0], [0, 1]])
    found = miscalibration(lists, history, membership, np.arange(3))
    assert found[:2] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert np.isnan(found[2])  # a past without an interest has no mix
    one_sided = miscalibration(np.array([[2, -1]]), history, membership, np.array([0]))
    assert one_sided[0] == pytest.approx(0.5 * math.log(0.5 / 0.995) + 0.5 * math.log(0.5 / 0.005))


def test_coverage_and_gini() -> None:
    lists = np.array([[0, 1], [0, -1], [0, 1]])
    assert coverage(lists, 4) == 0.5
    counts = [3, 2, 0, 0]
    naive_gini = sum(abs(a - b) for a in counts for b in counts) / (2 * 4 * sum(counts))
    assert gini(lists, 4) == pytest.approx(naive_gini)
    assert gini(np.full((2, 2), -1), 4) == 0.0


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    sample = rng.exponential(1.0, (80, 200))  # 200 columns: 200 samples of 80 users
    found = bootstrap(sample, n_bootstrap=400, seed=1)
    covered = ((found.low <= 1) & (found.high >= 1)).mean()
    assert 0.88 <= covered <= 0.99
    assert (found.mean == pytest.approx(sample.mean(axis=0))) is True


def test_bootstrap_width_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(0, 2, (400, 1))
    found = bootstrap(values, n_bootstrap=4000, seed=0)
    assert found.high[0] - found.low[0] == pytest.approx(2 * 1.96 * values.std() / math.sqrt(400), rel=0.06)


def test_bootstrap_is_seeded_skips_nan_and_does_not_edit() -> None:
    values = np.array([[0.0, np.nan, np.nan], [1.0, 2.0, np.nan], [0.5, 4.0, np.nan]])
    before = values.copy()
    a, b = (bootstrap(values, n_bootstrap=300, seed=5) for _ in range(2))
    assert a.mean[:2].tolist() == [0.5, 3.0]
    assert np.isnan([a.mean[2], a.low[2], a.high[2]]).all()
    assert (a.low[:2] == b.low[:2]).all()
    np.testing.assert_array_equal(values, before)
    with pytest.raises(DataError, match="at least one user"):
        bootstrap(np.zeros((0, 1)), n_bootstrap=50, seed=0)


def test_bootstrap_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((50, 2))
    whole = bootstrap(values, n_bootstrap=100, seed=3)
    monkeypatch.setattr("penchant.evaluate.interval._BLOCK", 50 * 7)
    assert bootstrap(values, n_bootstrap=100, seed=3).low == pytest.approx(whole.low)
