"""Transitions between interests: counts by hand, laws, and what they find in the made-up market."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from penchant.data import Events
from penchant.recommend import transitions as module
from penchant.recommend.ignored import read_ignored
from penchant.recommend.past import past_of_new
from penchant.recommend.transitions import Transitions, count, fit_transitions, read_steps, strongest_leaf

from .conftest import events_of

LEAF = np.array([0, 1, 2], np.int32)  # item i lies in leaf i
MEMBERSHIP = sp.csr_array(np.eye(3, dtype=np.float32))


def visits(*rows: tuple[int, int], n_users: int) -> Events:
    """Events of weight 1, a second apart: (user, item)."""
    return events_of([(user, item, 1.0, float(t)) for t, (user, item) in enumerate(rows)], n_users)


def test_an_interest_is_had_from_the_second_visit_on() -> None:
    """User 0: leaf 0 in one long visit, then 1, then 0 again; twenty events, two a window."""
    rows = [(0, 0), (0, 0), (0, 0), (0, 1), (0, 0), (0, 1), *[(1, 2)] * 14]
    steps = read_steps(visits(*rows, n_users=2), LEAF, 3)
    had = {(int(u), int(k)): int(w) for u, k, w in zip(steps.user, steps.leaf, steps.window, strict=True)}
    assert had == {(0, 0): 2, (0, 1): 2}  # user 1 visited once, for long
    assert steps.acts[0].tolist() == [True] * 3 + [False] * 7
    assert steps.had(3).nnz == 0  # user 0 does not act in window 3
    assert steps.taken(2).toarray().tolist() == [[1, 1, 0], [0, 0, 0]]


def test_counts_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two users have leaf 0 in window 0 and act in window 1; one of them takes leaf 1 up there."""
    monkeypatch.setattr(module, "N_WINDOWS", 2)
    monkeypatch.setattr(module, "SMOOTHING", 1.0)
    first = [(0, 0), (0, 2), (0, 0), (1, 0), (1, 2), (1, 0), (2, 1), (2, 1)]
    second = [(0, 1), (0, 2), (0, 1), (1, 2), (1, 2), (1, 2), (2, 1), (2, 1)]
    steps = read_steps(visits(*first, *second, n_users=3), LEAF, 3)
    base, log_lift = count(steps, 2)
    # leaf 1: three could, one did; leaf 2: three could, users 0 and 1 came back to it; leaf 0: one could, none did
    np.testing.assert_allclose(base, [(0 + 1 / 3) / 2, (1 + 1 / 3) / 4, (2 + 1 / 3) / 4], rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_lift[0, 1]), (1 + base[1]) / (2 + 1) / base[1], rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_lift[0, 2]), (2 + base[2]) / (2 + 1) / base[2], rtol=1e-5)
    assert log_lift[1, 0] == 0  # nobody had leaf 1: nothing to lift
    assert np.diag(log_lift).tolist() == [0, 0, 0]


def planted(n_users: int = 400, seed: int = 0) -> Events:
    """Six leaves; who has leaf 0 takes up 3 later, who has 1 takes up 4; everybody now and then touches 5."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        first = user % 2
        turn = rng.uniform(0.2, 1.1)
        for t in np.sort(rng.random(24)):
            later = t > turn and rng.random() < 0.6
            item = 5 if rng.random() < 0.1 else first + 3 if later else first if rng.random() < 0.7 else 2
            rows.append((user, item, 1.0, float(t)))
    return events_of(rows, n_users)


@pytest.fixture(scope="module")
def fitted() -> Transitions:
    return fit_transitions(planted(), sp.csr_array(np.eye(6, dtype=np.float32)), seed=0)


def test_planted_transitions_are_found_and_pass_the_test_in_time(fitted: Transitions) -> None:
    report = fitted.report.rows(named=True)[0]
    assert report["used"] == "lifts"
    assert report["auc"] > report["auc_base"]
    assert report["log_loss"] < report["log_loss_base"]
    assert fitted.log_lift[0, 3] > 0.2 > fitted.log_lift[1, 3]
    assert fitted.log_lift[1, 4] > 0.2 > fitted.log_lift[0, 4]


def test_touched_interests_are_never_proposed(fitted: Transitions) -> None:
    users = np.arange(400, dtype=np.int32)
    chances = fitted.chances(users)
    touched = fitted.touched.toarray() > 0
    assert (chances[touched] == 0).all()
    assert ((chances[~touched] > 0) & (chances[~touched] < 1)).all()
    table = fitted.propose(users, 3)
    assert not touched[table["user_row"].to_numpy(), table["interest_row"].to_numpy()].any()
    first = table.filter(table["rank"] == 1)
    open_ = ~touched[:, 3] & ~touched[:, 4]
    guessed = {u: k for u, k in first.select("user_row", "interest_row").iter_rows() if open_[u]}
    assert np.mean([k == 3 + u % 2 for u, k in guessed.items()]) > 0.9


def test_chances_of_part_are_a_part_of_chances(fitted: Transitions) -> None:
    some = np.array([7, 3], np.int32)
    np.testing.assert_array_equal(fitted.chances(some), fitted.chances(np.arange(400, dtype=np.int32))[some])


def test_a_stranger_with_the_same_interests_gets_the_like(fitted: Transitions) -> None:
    past = past_of_new(np.zeros(2, np.int32), np.array([0, 2], np.int32), np.ones(2, np.float32), n_users=1, n_items=6)
    chances = fitted.of_stranger(past)[0]
    assert chances[[0, 2]].tolist() == [0, 0]
    assert chances[3] > chances[4]


def test_without_a_pattern_the_base_rate_speaks() -> None:
    rng = np.random.default_rng(5)
    rows = [(int(u), int(i), 1.0, float(t)) for t, (u, i) in enumerate(rng.integers(0, (200, 6), (2400, 2)))]
    fitted = fit_transitions(events_of(rows, 200), sp.csr_array(np.eye(6, dtype=np.float32)), seed=0)
    report = fitted.report.rows(named=True)[0]
    if report["log_loss"] is None or report["log_loss"] >= report["log_loss_base"]:
        assert report["used"] == "base"
        assert fitted.weights[2] == 0
    assert report["auc"] is None or report["auc"] < 0.7


def test_a_short_log_proposes_by_what_is_usual() -> None:
    fitted = fit_transitions(visits((0, 0), (0, 1), (1, 1), n_users=3), MEMBERSHIP, seed=0)
    assert fitted.report["used"].to_list() == ["base"]
    assert np.isfinite(fitted.chances(np.arange(3, dtype=np.int32))).all()


def with_impressions(times: int) -> Events:
    """User 0 likes item 0; item 1 is shown `times` without an answer, item 0 once with one; the action 0 is a view."""
    rows = [(0, 0, 1.0, 1.0), *[(0, 1, 0.0, 2.0 + t) for t in range(times)], (0, 0, 0.0, 0.5), (1, 2, 1.0, 50.0)]
    events = events_of(rows, 2)
    shown = (events.weight == 0).astype(np.int16)
    table = events.table.with_columns(action=shown)
    return Events(table, events.user_ids, ("view", "impression"))


def test_ignored_interests_step_back_and_those_never_shown_do_not() -> None:
    chances = [fit_transitions(with_impressions(n), MEMBERSHIP, seed=0).chances(np.array([0, 1]))[0] for n in (1, 2, 5)]
    assert chances[0][1] > chances[1][1] > chances[2][1] > 0
    assert chances[0][2] == pytest.approx(chances[2][2])  # never shown: nothing lost


def test_impressions_by_hand() -> None:
    ignored = read_ignored(with_impressions(3), 3)
    assert ignored.counts.toarray().tolist() == [[0, 3, 0], [0, 0, 0]]
    assert ignored.taken_share == 0.5  # of the pairs (0, 0) and (0, 1) one was liked
    assert read_ignored(visits((0, 0), n_users=1), 3).counts.nnz == 0


def test_strongest_leaf_of_a_tie_is_the_lower() -> None:
    assert strongest_leaf(sp.csr_array(np.array([[0.5, 0.5], [0.0, 0.0], [0.1, 0.9]]))).tolist() == [0, -1, 1]


def test_saved_and_loaded_says_the_same(fitted: Transitions) -> None:
    again = Transitions.from_parts(fitted.to_parts())
    users = np.arange(400, dtype=np.int32)
    np.testing.assert_array_equal(again.chances(users), fitted.chances(users))
    assert again.report.equals(fitted.report)
