from __future__ import annotations

import numpy as np
import pytest

from penchant.config import InterestsConfig
from penchant.data import STATES, own_sessions
from penchant.interests.rules import RULES, apply_rule, kmeans_1d
from penchant.interests.states import find_states
from penchant.interests.windows import History, Knowledge, know
from tests.interests.small_logs import Row, habits_log, log_of, tree_of

CONFIG = InterestsConfig(half_life_days=60.0, short_half_life_days=7.0)
TREE = tree_of(np.eye(3), [0, 0, 1])


def known(rows: list[Row], clock: str = "time") -> Knowledge:
    return know(History(log_of(rows, clock=clock)), TREE, CONFIG)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("level", [1, 2])
def test_every_rule_scores_and_layers_every_point(name: str, level: int) -> None:
    events, tree = habits_log(n_users=20, n_events=30)
    seen = know(History(events), tree, CONFIG)
    points = seen.points[level]
    ruled = apply_rule(name, seen, level, points)
    assert ruled.score.shape == ruled.layer.shape == (len(points),)
    assert np.isfinite(ruled.score).all()
    assert set(ruled.layer.tolist()) <= {0, 1, 2}
    ordered = [ruled.score[ruled.layer == layer].mean() for layer in range(3) if (ruled.layer == layer).any()]
    assert ordered == sorted(ordered, reverse=True)


@pytest.mark.parametrize("name", sorted(RULES))
def test_rules_take_an_empty_log(name: str) -> None:
    assert len(apply_rule(name, known([]), 2, known([]).points[2]).layer) == 0


def test_share_bands_by_hand() -> None:
    seen = known([(0, 0, 0.0, 10.0), (0, 1, 0.0, 4.0), (0, 2, 0.0, 1.0)])
    ruled = apply_rule("share", seen, 2, seen.points[2])
    assert ruled.score.tolist() == pytest.approx([10 / 15, 4 / 15, 1 / 15])
    assert ruled.layer.tolist() == [0, 1, 2]


def test_points_by_hand() -> None:
    # Session 1: leaf 0 twice (10 + 5), leaf 1 disliked (-1). Session 2, a day later: leaf 2. All of session 1 halves.
    seen = known([(0, 0, 0.0, 1.0), (0, 0, 0.001, 1.0), (0, 1, 0.002, -1.0), (0, 2, 1.0, 1.0)])
    ruled = apply_rule("points", seen, 2, seen.points[2])
    assert ruled.score.tolist() == [7.5, -0.5, 10.0]
    assert ruled.layer.tolist() == [1, 2, 0]


def test_recency_and_frequency_by_hand() -> None:
    seen = known([(0, 0, 0.0, 1.0), (0, 1, 90.0, 1.0), (0, 1, 90.5, 1.0), (0, 2, 100.0, 1.0)])
    assert apply_rule("recency", seen, 2, seen.points[2]).layer.tolist() == [2, 1, 0]
    assert apply_rule("frequency", seen, 2, seen.points[2]).layer.tolist() == [2, 1, 2]


def test_sessions_of_the_log_of_pauses_and_of_order() -> None:
    log = log_of([(0, 0, 0.0, 1.0), (1, 0, 0.001, 1.0), (0, 0, 0.01, 1.0), (0, 0, 0.5, 1.0)])
    session, n = own_sessions(log)
    assert (session.tolist(), n.tolist()) == ([0, 0, 0, 1], [2, 1])
    ordered = log_of([(0, 0, float(i), 1.0) for i in range(25)], clock="order")
    assert own_sessions(ordered)[1].tolist() == [3]


def test_kmeans_of_few_values() -> None:
    assert kmeans_1d(np.zeros(4), 3).tolist() == [0, 0, 0, 0]
    assert kmeans_1d(np.zeros(0), 3).tolist() == []


def state_of(rows: list[Row], clock: str = "time") -> list[str]:
    points = known(rows, clock).points[2]
    return [STATES[s] for s in find_states(points, CONFIG)]


def test_states_by_hand() -> None:
    monthly = [(0, 0, float(d), 1.0) for d in range(0, 301, 10)]
    dropped = [(0, 1, float(d), 1.0) for d in range(200, 270, 10)]
    fresh = [(0, 2, float(d), 1.0) for d in (296, 298, 300)]
    assert state_of(monthly + dropped + fresh) == ["steady", "fading", "emerging"]
    assert state_of([(0, 0, 0.0, 1.0), (0, 1, 300.0, 1.0)])[0] == "dormant"


def test_absence_lets_no_interest_fade() -> None:
    even = [(0, k, float(d), 1.0) for d in range(0, 100, 5) for k in (0, 1)]
    assert state_of(even) == ["steady", "steady"]
    assert state_of([*even, (1, 2, 180.0, 1.0)])[:2] == ["steady", "steady"]


def test_states_without_time_count_own_events() -> None:
    old, new = [(0, 0, float(i), 1.0) for i in range(150)], [(0, 1, float(i), 1.0) for i in range(150, 300)]
    assert state_of(old + new, "order")[0] == "dormant"
    assert state_of([(0, 0, 0.0, 1.0), (0, 1, 1.0, -1.0)], "order") == ["steady", "steady"]
