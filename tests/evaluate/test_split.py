"""The time split: what is train, what is a target, and that the future can't leak in."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from penchant.errors import DataError
from penchant.evaluate.split import Split, split_by_time, split_windows
from tests.scorers.logs import make_log, make_weighted_log, taste_log


def test_the_last_share_of_events_is_the_test() -> None:
    log = make_log([(0, i, float(t)) for i, t in enumerate([0, 1, 2, 3, 4, 5, 6, 7, 8, 1000])], 1)
    split = split_by_time(log, 0.2)
    assert split.cut == 8.0
    assert (len(split.train), len(split.test)) == (8, 2)


def test_ties_at_the_cut_all_go_to_the_test() -> None:
    log = make_log([(0, i, t) for i, t in enumerate([0.0, 1.0, 5.0, 5.0, 5.0])], 1)
    split = split_by_time(log, 0.2)
    assert (split.cut, len(split.train), len(split.test)) == (5.0, 2, 3)


@pytest.mark.parametrize("clock", ["time", "order"])
def test_every_train_event_is_before_every_test_event(clock: str) -> None:
    log = taste_log(clock=clock)  # type: ignore[arg-type]
    split = split_by_time(log, 0.2)
    assert split.train.end < split.cut <= split.test.start
    assert len(split.train) + len(split.test) == len(log)
    assert split.train.clock == clock
    assert abs(len(split.test) / len(log) - 0.2) < 0.01


def test_each_users_own_positions_split_too() -> None:
    """A log whose order is each user's own position 0..1: every user keeps the first part."""
    log = make_log([(u, i, i / 9) for u in range(5) for i in range(10)], 5, clock="order")
    split = split_by_time(log, 0.2)
    assert np.bincount(split.train.user_row).tolist() == [8] * 5


def test_a_planted_future_event_in_train_is_caught() -> None:
    split = split_by_time(taste_log(), 0.2)
    log = taste_log()
    leaky = log.take(log.time < split.cut + 1e6)
    with pytest.raises(DataError, match=r"train events lie at or after the cut .* leak"):
        Split(leaky, split.test, split.cut)
    with pytest.raises(DataError, match="test events lie before the cut"):
        Split(split.train, log, split.cut)
    with pytest.raises(DataError, match="share user rows"):
        Split(split.train, make_log([(0, 0, split.cut)], 3), split.cut)


def test_targets_are_new_liked_items_of_known_users() -> None:
    rows = [
        (0, 0, 1.0, 1.0),
        (1, 1, 1.0, 1.0),
        (1, 3, 1.5, -1.0),
        (3, 2, 1.6, -1.0),
        (0, 4, 1.7, 0.0),
        (0, 0, 5.0, 1.0),  # a repeat: no target
        (0, 1, 5.0, 1.0),  # a target
        (0, 1, 5.5, 1.0),  # the same target
        (0, 4, 5.6, 1.0),  # a target: an impression is not an act
        (1, 3, 5.0, 1.0),  # acted on (disliked) in train: no target
        (1, 2, 5.0, -1.0),  # not liked: no target
        (1, 5, 5.0, 1.0),  # a target nobody liked in train
        (2, 0, 5.0, 1.0),  # unknown user
        (3, 0, 5.0, 1.0),  # liked nothing in train: unknown
        (1, -1, 6.0, 1.0),  # a text event
    ]
    log = make_weighted_log(rows, 4)
    split = Split(log.before(2.0), log.take(log.time >= 2.0), 2.0)
    targets = split.targets(6)
    assert [targets[[u], :].indices.tolist() for u in range(4)] == [[1, 4], [5], [], []]
    assert set(targets.data.tolist()) == {1.0}
    warm = split.targets(6, "leave_out")
    assert [warm[[u], :].indices.tolist() for u in range(4)] == [[1], [], [], []]
    assert split.cold_share(6) == pytest.approx(2 / 3)
    again = split.targets(6, "leave_out", "count")
    assert [again[[u], :].indices.tolist() for u in range(4)] == [[0, 1], [], [], []]


def test_seen_counts_dislikes_but_not_impressions() -> None:
    log = make_weighted_log([(0, 0, 1.0, 1.0), (0, 1, 1.0, -2.0), (0, 2, 1.0, 0.0), (0, 0, 2.0, 1.0)], 1)
    assert log.touched(3).toarray().tolist() == [[1, 1, 0]]


@pytest.mark.parametrize("times", [[], [1.0], [3.0, 3.0, 3.0]])
def test_a_log_that_cannot_be_split_says_so(times: list[float]) -> None:
    with pytest.raises(DataError, match="no event lies before the last 20%"):
        split_by_time(make_log([(0, i, t) for i, t in enumerate(times)], 1), 0.2)


def test_the_share_is_checked() -> None:
    with pytest.raises(DataError, match=r"above 0 and below 1\. Got 1\.0"):
        split_by_time(taste_log(), 1.0)


def test_windows_follow_each_other_and_each_learns_from_what_came_before_it() -> None:
    log = make_log([(0, i, float(i)) for i in range(10)], 1)
    found = split_windows(log, 0.2, 3)
    assert [s.test.time.tolist() for s in found] == [[8.0, 9.0], [6.0, 7.0], [4.0, 5.0]]
    assert [s.train.time.tolist()[-1] for s in found] == [7.0, 5.0, 3.0]
    assert [(s.cut, s.end) for s in found] == [(8.0, np.inf), (6.0, 8.0), (4.0, 6.0)]


@pytest.mark.parametrize("clock", ["time", "order"])
def test_windows_share_the_log_without_a_gap(clock: str) -> None:
    log = taste_log(clock=clock)  # type: ignore[arg-type]
    found = split_windows(log, 0.15, 4)
    assert found[0].cut == split_by_time(log, 0.15).cut
    assert sum(len(s.test) for s in found) + len(found[-1].train) == len(log)
    for later, earlier in pairwise(found):
        assert earlier.train.end < earlier.cut <= earlier.test.start
        assert earlier.test.end < earlier.end == later.cut
        assert len(later.train) == len(earlier.train) + len(earlier.test)


def test_ties_at_a_window_s_cut_go_to_the_later_side() -> None:
    log = make_log([(0, i, t) for i, t in enumerate([0.0, 0.5, 1.0, 2.0, 2.0, 2.0, 3.0])], 1)
    first, second = split_windows(log, 0.15, 2)
    assert (first.cut, second.cut) == (2.0, 0.5)
    assert second.test.time.tolist() == [0.5, 1.0]  # two events, as many as the share asks for


@pytest.mark.parametrize(
    ("times", "share", "n", "window"),
    [
        (list(range(10)), 0.2, 5, 5),  # five fifths: nothing is left to learn from
        (list(range(10)), 0.4, 6, 3),
        ([0, 1, 5, 5, 5, 5, 5, 5, 5, 5], 0.2, 2, 2),  # one moment holds what two windows would share
    ],
)
def test_a_log_too_short_for_the_windows_says_so(times: list[int], share: float, n: int, window: int) -> None:
    log = make_log([(0, i, float(t)) for i, t in enumerate(times)], 1)
    with pytest.raises(DataError, match=rf"too short for {n} windows of .* window {window} has .*evaluate\.n_windows"):
        split_windows(log, share, n)


def test_no_window_is_no_split() -> None:
    with pytest.raises(DataError, match="at least 1"):
        split_windows(taste_log(), 0.2, 0)
