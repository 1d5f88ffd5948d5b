from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.config import InterestsConfig
from penchant.data import DAY_S, Events
from penchant.errors import DataError
from penchant.interests import sums
from penchant.interests.affinity import measure, measure_levels
from penchant.interests.affinity_state import AffinityState
from tests.interests.small_logs import Row, habits_log, log_of, tree_of

CONFIG = InterestsConfig(half_life_days=10.0, short_half_life_days=2.0, horizon=4)
SOFT = np.array([[1.0, 0.0, 0.0], [0.6, 0.4, 0.0], [0.0, 0.3, 0.7], [0.0, 0.0, 0.0]])

times = st.integers(0, 40).map(lambda half_days: half_days / 2)
rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-1, 3), times, st.sampled_from([-2.0, 0.0, 1.0, 3.0])),
    min_size=1,
    max_size=40,
)


def by_hand(events: Events, texts: np.ndarray | None = None) -> dict[tuple[int, int], dict[str, float]]:
    """The formula, one event at a time."""
    out: dict[tuple[int, int], dict[str, float]] = {}
    age = events.age_days()
    n_text = -1
    said = np.zeros(events.n_users, int)
    for user, item, weight, time, days in zip(
        events.user_row, events.item_row, events.weight, events.time, age, strict=True
    ):
        n_text += int(item < 0)
        if item < 0 and texts is None:
            continue
        leaves = SOFT[item] if item >= 0 else texts[n_text]
        if weight == 0:
            continue
        said[user] += 1
        for (u, _), cell in out.items():
            if u == user:
                cell["gap"] += 1
        for leaf, share in enumerate(leaves):
            cell = out.setdefault(
                (user, leaf),
                {"affinity": 0.0, "affinity_short": 0.0, "aversion": 0.0, "n_events": 0, "gap": 0} | {"days": set()},
            )
            if weight > 0:
                cell["affinity"] += weight * share * 2 ** (-days / 10)
                cell["affinity_short"] += weight * share * 2 ** (-days / 2)
            else:
                cell["aversion"] -= weight * share * 2 ** (-days / 10)
        if leaves.any():
            cell = out[user, int(np.argmax(leaves))]
            cell["n_events"] += 1
            cell["gap"] = 0
            cell["days"].add(int(time // DAY_S))
            cell.setdefault("first_time", time)
            cell["last_time"] = time
    return {key: cell for key, cell in out.items() if cell["n_events"]}


@settings(max_examples=40, deadline=None)
@given(rows)
def test_measure_is_the_formula(log: list[Row]) -> None:
    events = log_of(log, n_users=4)
    table = measure(events, sp.csr_array(SOFT), CONFIG).table
    expected = by_hand(events)
    assert list(zip(table["user_row"], table["column"], strict=True)) == sorted(expected)
    for row in table.iter_rows(named=True):
        cell = expected[row["user_row"], row["column"]]
        for name in ("affinity", "affinity_short", "aversion", "first_time", "last_time", "n_events", "gap"):
            assert row[name] == pytest.approx(cell[name], rel=1e-6), name
        assert row["n_active_days"] == len(cell["days"])


def test_text_events_join_by_their_own_membership() -> None:
    events = log_of([(0, 0, 0.0, 1.0), (0, -1, 10.0, 2.0), (1, -1, 10.0, 1.0)])
    texts = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    table = measure(events, sp.csr_array(SOFT), CONFIG, text_membership=sp.csr_array(texts)).table
    assert table.select("user_row", "column", "affinity").rows() == [(0, 0, 0.5), (0, 1, 2.0), (1, 2, 1.0)]


def test_text_membership_of_another_length_is_refused() -> None:
    events = log_of([(0, -1, 0.0, 1.0)])
    with pytest.raises(DataError, match=r"\(1, 3\). Got \(2, 3\)"):
        measure(events, sp.csr_array(SOFT), CONFIG, text_membership=sp.csr_array(np.zeros((2, 3))))


def test_an_item_unknown_to_the_tree_is_refused() -> None:
    with pytest.raises(DataError, match="item row 9"):
        measure(log_of([(0, 9, 0.0, 1.0)]), sp.csr_array(SOFT), CONFIG)


def test_events_after_the_moment_are_left_out() -> None:
    events = log_of([(0, 0, 0.0, 1.0), (0, 0, 20.0, 1.0)])
    table = measure(events, sp.csr_array(SOFT), CONFIG, at=10.0 * DAY_S).table
    assert table["affinity"].to_list() == [0.5]
    assert table["n_events"].to_list() == [1]


def test_a_log_without_time_ages_by_own_events() -> None:
    events = log_of([(0, 0, 0.1, 1.0), (1, 0, 0.2, 1.0), (0, 2, 0.9, 1.0)], clock="order")
    table = measure(events, sp.csr_array(SOFT), CONFIG).table.filter(pl.col("column") == 0)
    assert table["affinity"].to_list() == pytest.approx([2 ** (-1 / 10), 1.0])


def test_empty_log() -> None:
    assert len(measure(log_of([], n_users=2), sp.csr_array(SOFT), CONFIG)) == 0


def test_levels_agree_with_membership_summed_up() -> None:
    events, tree = habits_log(n_users=20, n_events=30)
    both = measure_levels(events, tree, CONFIG)
    for level, points in both.items():
        alone = measure(events, tree.membership_at(level), CONFIG).table
        assert points.table.select("user_row", "column", "n_events", "n_active_days", "gap").equals(
            alone.select("user_row", "column", "n_events", "n_active_days", "gap")
        )
        np.testing.assert_allclose(points.table["affinity"], alone["affinity"], rtol=1e-9)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    events, tree = habits_log(n_users=20, n_events=30)
    whole = measure(events, tree.membership, CONFIG).table
    monkeypatch.setattr(sums, "BLOCK_CELLS", 24)
    monkeypatch.setattr(sums, "BLOCK_EVENTS", 40)
    assert measure(events, tree.membership, CONFIG).table.equals(whole)


@settings(max_examples=15, deadline=None)
@given(rows, st.floats(0.1, 20))
def test_shares_do_not_change_when_all_weights_are_scaled(log: list[Row], factor: float) -> None:
    def shares(scale: float) -> np.ndarray:
        events = log_of([(u, i, d, w * scale) for u, i, d, w in log], n_users=4)
        values = measure(events, sp.csr_array(SOFT), CONFIG).table["affinity"].to_numpy()
        return np.asarray(values / max(values.sum(), 1e-12))

    np.testing.assert_allclose(shares(1.0), shares(factor), rtol=1e-4, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(rows, st.lists(st.integers(0, 40), max_size=3), st.sampled_from(["time", "order"]))
def test_adding_events_gives_what_a_replay_gives(log: list[Row], cuts: list[int], clock: str) -> None:
    events = log_of(log, n_users=4, clock=clock)  # type: ignore[arg-type]
    edges = [0, *sorted(min(c, len(events)) for c in cuts), len(events)]
    parts = [
        Events(events.table.slice(a, b - a), events.user_ids, events.actions, events.clock) for a, b in pairwise(edges)
    ]
    states = [AffinityState.of(part, sp.csr_array(SOFT), CONFIG) for part in parts]
    state = states[0]
    for later in states[1:]:
        state = state.merge(later)
    state = AffinityState.from_parts(state.to_parts())
    replay = measure(events, sp.csr_array(SOFT), CONFIG).table
    grown = state.points().table
    exact = ["user_row", "column", "n_events", "n_negative", "n_active_days", "first_time", "last_time", "gap"]
    assert grown.select(exact).equals(replay.select(exact))
    for name in ("affinity", "affinity_short", "aversion", "recent"):
        np.testing.assert_allclose(grown[name], replay[name], rtol=1e-9, atol=1e-12)


def test_a_state_moves_on_by_itself() -> None:
    events = log_of([(0, 0, 0.0, 8.0)])
    state = AffinityState.of(events, sp.csr_array(SOFT), CONFIG).advance(20.0 * DAY_S)
    assert state.cells["affinity"].to_list() == [2.0]
    with pytest.raises(DataError, match="must not lie before"):
        state.advance(0.0)


def test_late_events_are_refused() -> None:
    early, late = (AffinityState.of(log_of([(0, 0, day, 1.0)]), sp.csr_array(SOFT), CONFIG) for day in (1.0, 2.0))
    with pytest.raises(DataError, match="in the order of time"):
        late.merge(early)


def test_inputs_stay_as_they_were() -> None:
    events, tree = habits_log(n_users=5, n_events=10)
    before, membership = events.table.clone(), tree.membership.copy()
    measure_levels(events, tree, CONFIG)
    assert events.table.equals(before)
    assert (tree.membership != membership).nnz == 0


def test_home_of_ties_is_the_lower_leaf() -> None:
    assert tree_of(np.array([[0.5, 0.5]]), [0, 0]).leaf_of_item.tolist() == [0]
    assert sums.home_column(sp.csr_array(np.array([[0.5, 0.5]]))).tolist() == [0]
