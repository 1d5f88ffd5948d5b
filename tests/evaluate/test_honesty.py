"""What a sceptic would try: random lists, a second implementation, a planted future, tests where nothing differs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import permutations

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from scipy.stats import hypergeom

from penchant.data import FloatArray, IntArray, Vectors
from penchant.errors import DataError
from penchant.evaluate.paired import adjust_p_values, sign_flip_p_values
from penchant.evaluate.ranking import coverage, diversity, gini, miscalibration, novelty, score_lists, serendipity
from penchant.evaluate.split import Split, split_by_time, split_windows
from penchant.scorers import top_lists
from tests.scorers.logs import taste_log

CUTOFFS = (10, 3, 20)
N_ERRORS = 4.0  # standard errors a mean may lie from its expectation: by luck beyond them once in 16,000


# --- random scores give what chance gives ---


def by_chance(n_items: int, m: int, k: int) -> dict[str, float]:
    """Expectation of each metric for a random list of k over n_items of which m are right, from the definitions.

    A rank holds a hit with chance m/n_items; given one there, each other rank does with (m-1)/(n_items-1); the number
    of hits is hypergeometric; the first hit is at r if the r-1 before miss: C(n_items-r, m-1) of C(n_items, m) ways.
    """
    rate, most, rank = m / n_items, min(m, k), np.arange(1, k + 1)
    discount = 1 / np.log2(rank + 1)
    n_hits = hypergeom(n_items, m, k)
    first = np.array([math.comb(n_items - r, m - 1) for r in rank]) / math.comb(n_items, m)
    return {
        "precision": rate,
        "recall": k / n_items,
        "f1": sum(n_hits.pmf(h) * 2 * h / (k + m) for h in range(1, most + 1)),
        "hit_rate": 1 - n_hits.pmf(0),
        "ndcg": rate * discount.sum() / discount[:most].sum(),
        "map": float((rate * (1 + (rank - 1) * (m - 1) / (n_items - 1)) / rank).sum()) / most,
        "mrr": float((first / rank).sum()),
    }


class RandomScores:
    """A method that knows nothing."""

    name = "random"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def score(self, user_rows: IntArray, history: sp.csr_array) -> FloatArray:
        return self._rng.random((len(user_rows), history.shape[1]), np.float32)


def random_targets(n_users: int, n_items: int, m: int, seed: int) -> sp.csr_array:
    """m right answers a user, any as likely as the others."""
    column = np.argsort(np.random.default_rng(seed).random((n_users, n_items)), axis=1)[:, :m]
    rows = np.repeat(np.arange(n_users), m)
    return sp.csr_array((np.ones(n_users * m), (rows, column.ravel())), shape=(n_users, n_items))


def is_near(sample: np.ndarray, expected: float) -> bool:
    """Whether a mean lies within N_ERRORS of its standard errors from what is expected."""
    error = float(np.std(sample, ddof=1)) / math.sqrt(len(sample))
    return abs(float(np.mean(sample)) - expected) <= N_ERRORS * error


@pytest.mark.parametrize(("n_items", "m", "k"), [(5, 2, 3), (6, 3, 2), (5, 1, 5), (4, 4, 2)])
def test_the_expectations_are_the_mean_over_every_possible_list(n_items: int, m: int, k: int) -> None:
    """Nothing is sampled here: all ordered lists of k, each once."""
    lists = np.array(list(permutations(range(n_items), k)), np.int32)
    right = np.zeros((1, n_items), np.float32)
    right[0, :m] = 1
    found = score_lists(lists, sp.csr_array(right), np.zeros(len(lists), np.int32))
    for name, expected in by_chance(n_items, m, k).items():
        assert found[f"{name}@{k}"].mean() == pytest.approx(expected, abs=1e-12), name


@pytest.mark.parametrize("m", [1, 4, 15])
def test_random_scores_give_the_known_expectation_of_every_metric(m: int) -> None:
    n_users, n_items = 20_000, 60
    users = np.arange(n_users, dtype=np.int32)
    targets = random_targets(n_users, n_items, m, seed=m)
    lists = top_lists(RandomScores(m), users, sp.csr_array((n_users, n_items)), max(CUTOFFS))
    found = score_lists(lists, targets, users, CUTOFFS)
    for k in CUTOFFS:
        for name, expected in by_chance(n_items, m, k).items():
            assert is_near(found[f"{name}@{k}"].to_numpy(), expected), (name, k)

    plain = np.tile(np.arange(10, dtype=np.int32), (n_users, 1))  # a hit is a surprise unless it is one of these ten
    surprise = serendipity(lists[:, :10], targets, plain, users)
    assert is_near(surprise, m / n_items * (1 - 10 / n_items))


def test_random_lists_give_the_known_expectation_of_what_speaks_of_lists() -> None:
    """An item is in a list of k with chance k/n, so in one of n_users lists with 1 - (1 - k/n) ** n_users."""
    n_users, n_items, k, n_worlds = 25, 60, 3, 800
    rng = np.random.default_rng(0)
    worlds = np.argsort(rng.random((n_worlds, n_users, n_items)), axis=2)[:, :, :k]
    covered = np.array([coverage(lists, n_items) for lists in worlds])
    assert is_near(covered, 1 - (1 - k / n_items) ** n_users)

    every = worlds.reshape(-1, k)
    users_of_item = rng.integers(0, 50, n_items)
    bits = -np.log2((users_of_item + 1) / 51)
    assert is_near(novelty(every, users_of_item, 50), bits.mean())

    rows = rng.normal(size=(n_items, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    unlike = (1 - rows @ rows.T)[~np.eye(n_items, dtype=bool)].mean()
    assert is_near(diversity(every, Vectors(rows, "x")), float(unlike))


# --- a second implementation ---


def thousand_lists() -> tuple[IntArray, sp.csr_array]:
    """1,000 users with 1 to 12 right answers among 80 items; every fifth list is short."""
    rng = np.random.default_rng(7)
    lists = np.argsort(rng.random((1000, 80)), axis=1)[:, :20].astype(np.int32)
    for row in range(0, 1000, 5):
        lists[row, rng.integers(1, 20) :] = -1
    right = np.zeros((1000, 80), np.float32)
    for row in range(1000):
        right[row, rng.choice(80, rng.integers(1, 13), replace=False)] = 1
        if row % 2:  # half of the lists are good ones, so that hits at the top are many
            best = np.flatnonzero(right[row])[:4]
            rest = [i for i in lists[row] if i >= 0 and i not in best]
            lists[row, : (lists[row] >= 0).sum()] = [*best, *rest][: (lists[row] >= 0).sum()]
    return lists, sp.csr_array(right)


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_hit_metrics_equal_those_of_trec_eval(k: int) -> None:
    """trec_eval, the C program of the TREC conferences, by its Python binding.

    Its average precision is divided by all n right answers, ours by the min(n, k) a list of k can hold; it has no F1
    at a cutoff, so that is made of its precision and recall.
    """
    import pytrec_eval

    lists, targets = thousand_lists()
    users = np.arange(1000, dtype=np.int32)
    ours = score_lists(lists, targets, users, (k,) if k == 20 else (k, 20))
    right = {str(u): dict.fromkeys(map(str, targets[[u]].indices.tolist()), 1) for u in users}
    given = {
        str(u): {str(i): float(20 - rank) for rank, i in enumerate(row[:k].tolist()) if i >= 0}
        for u, row in zip(users, lists, strict=True)
    }
    names = {f"ndcg_cut.{k}", f"recall.{k}", f"P.{k}", f"success.{k}", "map", "recip_rank"}
    theirs = pytrec_eval.RelevanceEvaluator(right, names).evaluate(given)
    for u, row in enumerate(ours.iter_rows(named=True)):
        found: Mapping[str, float] = theirs[str(u)]
        precision, recall, n = found[f"P_{k}"], found[f"recall_{k}"], len(right[str(u)])
        expected = {
            "ndcg": found[f"ndcg_cut_{k}"],
            "recall": recall,
            "precision": precision,
            "hit_rate": found[f"success_{k}"],
            "mrr": found["recip_rank"],
            "map": found["map"] * n / min(n, k),
            "f1": 2 * precision * recall / (precision + recall) if precision else 0.0,
        }
        for name, value in expected.items():
            assert row[f"{name}@{k}"] == pytest.approx(value, abs=1e-9), (name, u)


def test_metrics_of_lists_equal_loops_over_their_definitions() -> None:
    lists, targets = thousand_lists()
    users = np.arange(1000, dtype=np.int32)
    rng = np.random.default_rng(1)
    plain = np.argsort(rng.random((1000, 80)), axis=1)[:, :20].astype(np.int32)
    known_by = rng.integers(0, 900, 80)
    vectors = rng.normal(size=(80, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    membership = rng.dirichlet(np.ones(5), 80)
    history = (rng.random((1000, 80)) < 0.1).astype(np.float64)
    history[:, 0] = 1

    surprise, bits, unlike, apart = [], [], [], []
    times = dict.fromkeys(range(80), 0)
    for u in range(1000):
        items = [i for i in lists[u].tolist() if i >= 0]
        right, obvious = set(targets[[u]].indices.tolist()), set(plain[u].tolist())
        surprise.append(sum(1 for i in items if i in right and i not in obvious) / 20)
        bits.append(sum(-math.log2((known_by[i] + 1) / 1001) for i in items) / len(items))
        pairs = [(a, b) for a in items for b in items if a != b]
        cosines = [sum(float(x) * float(y) for x, y in zip(vectors[a], vectors[b], strict=True)) for a, b in pairs]
        unlike.append(1 - sum(cosines) / len(cosines) if pairs else math.nan)
        past = [i for i in range(80) if history[u, i]]
        p = [sum(membership[i, j] for i in past) / len(past) for j in range(5)]
        q = [0.99 * sum(membership[i, j] for i in items) / len(items) + 0.01 * p[j] for j in range(5)]
        apart.append(sum(p[j] * math.log(p[j] / q[j]) for j in range(5)))
        for i in items:
            times[i] += 1
    counts = list(times.values())
    assert serendipity(lists, targets, plain, users) == pytest.approx(surprise)
    assert novelty(lists, known_by, 1000) == pytest.approx(bits)
    assert diversity(lists, Vectors(vectors, "x")) == pytest.approx(unlike, nan_ok=True, abs=1e-6)
    found = miscalibration(lists, sp.csr_array(history), sp.csr_array(membership), users)
    assert found == pytest.approx(apart, abs=1e-9)
    assert coverage(lists, 80) == sum(1 for c in counts if c) / 80
    assert gini(lists, 80) == pytest.approx(sum(abs(a - b) for a in counts for b in counts) / (2 * 80 * sum(counts)))


# --- a planted future ---


def with_one_event_of(split: Split, at: int) -> Split:
    """The same split, but train holds one event of the window as well."""
    table = pl.concat([split.train.table, split.test.table[at : at + 1]])
    return Split(type(split.train)(table, split.train.user_ids, split.train.actions), split.test, split.cut, split.end)


@pytest.mark.parametrize("at", [0, -1])  # the event at the cut itself, and the window's last
@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_event_of_the_future_in_train_is_caught_in_every_window(number: int, at: int) -> None:
    log = taste_log()
    split = split_windows(log, 0.15, 3)[number]
    where = at % len(split.test)
    with pytest.raises(DataError, match=r"split: 1 of [\d,]+ train events lie at or after the cut .* leak"):
        with_one_event_of(split, where)


def test_an_event_of_a_later_window_is_caught_in_an_earlier_test() -> None:
    later, earlier = split_windows(taste_log(), 0.15, 2)
    table = pl.concat([earlier.test.table, later.test.table[:1]])
    test = type(later.test)(table, later.test.user_ids, later.test.actions)
    with pytest.raises(DataError, match=r"1 of [\d,]+ test events lie at or after the end of the window"):
        Split(earlier.train, test, earlier.cut, earlier.end)


def test_a_split_without_a_leak_is_taken() -> None:
    split = split_by_time(taste_log(), 0.2)
    assert Split(split.train, split.test, split.cut).cut == split.cut


# --- where nothing differs, nothing is found ---


def test_p_values_of_equal_methods_are_even() -> None:
    """Two methods from one hat, 3,000 trials: p <= a in a share a of them, within the errors of so many trials."""
    rng = np.random.default_rng(0)
    a, b = rng.beta(0.3, 2, (2, 3000, 40))  # as skewed as NDCG is, most of it near 0
    p = sign_flip_p_values(a - b, n_permutations=999, seed=0)
    for level in (0.05, 0.2, 0.5):
        assert abs((p <= level).mean() - level) <= N_ERRORS * math.sqrt(level * (1 - level) / len(p))


def test_seven_equal_peers_are_seldom_called_different() -> None:
    """One false alarm among seven in at most a twentieth of the trials, where raw p-values give one in a third."""
    rng = np.random.default_rng(1)
    differences = rng.normal(size=(2100, 30))
    p = sign_flip_p_values(differences, n_permutations=999, seed=0).reshape(300, 7)
    adjusted = np.array([adjust_p_values(row) for row in p])
    allowed = 0.05 + N_ERRORS * math.sqrt(0.05 * 0.95 / 300)
    assert (adjusted.min(axis=1) < 0.05).mean() <= allowed
    assert (p.min(axis=1) < 0.05).mean() > 0.2
