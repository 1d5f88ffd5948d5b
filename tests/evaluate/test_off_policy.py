"""Off-policy estimates: numbers by hand, every possible log of a small world, simulated logs with known truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.config import EvaluateConfig
from penchant.data import Events, FloatArray, IntArray
from penchant.errors import DataError
from penchant.evaluate.off_policy import FEW, LOGGED, OFF, OK, RANDOM, brief_off_policy, estimate
from penchant.evaluate.shown import Shown, read_shown
from penchant.io import read_log
from penchant.io.world.audience import Audience
from penchant.io.world.chance_lists import draw_lists, inclusion_chances
from penchant.io.world.sessions import DAY, Behaviour, Memory, as_events, show
from penchant.recommend.ignored import is_impression

PLAIN = Behaviour(position=0.0, boredom=0.0, again=1.0)  # a click depends on user and item alone
N_USERS, N_ITEMS, N_KINDS, K = 120, 60, 12, 5
USERS = np.arange(N_USERS, dtype=np.int32)
CONFIG = EvaluateConfig(k=K, n_bootstrap=100)
NONE_SEEN = sp.csr_array((N_USERS, N_ITEMS), dtype=np.float32)


def shown_of(rows: list[tuple[int, int, float, int, int, bool]]) -> Shown:
    """From (user, item, propensity, list, place, taken)."""
    user, item, p, lists, place, taken = (np.array(column) for column in zip(*rows, strict=True))
    ints = (a.astype(np.int32) for a in (user, item, lists, place))
    u, i, s, at = ints
    return Shown(u, i, p.astype(float), s, at, taken.astype(bool), 0)


def row_of(table: pl.DataFrame, method: str) -> dict[str, float]:
    return table.row(by_predicate=pl.col("method") == method, named=True)


HAND = [
    (0, 0, 0.5, 0, 1, True),
    (0, 1, 0.25, 0, 2, True),
    (0, 2, 0.5, 1, 1, False),
    (0, 0, 0.5, 1, 2, False),
    (1, 3, 0.1, 2, 1, True),
    (1, 0, 1.0, 2, 2, False),
]
LISTS = {"a": np.array([[0, 1], [3, 2]], np.int32)}


def hand(config: EvaluateConfig) -> dict[str, float]:
    seen = sp.csr_array((2, 4), dtype=np.float32)
    return row_of(estimate(shown_of(HAND), LISTS, np.arange(2, dtype=np.int32), seen, config, seed=0), "a")


def test_numbers_by_hand() -> None:
    """Weights 2, 4, 0, 2, 10, 0; taken 1, 1, 0, 0, 1, 0; three lists of two."""
    row = hand(EvaluateConfig(k=2, max_weight=5))
    assert row["ips"] == pytest.approx((2 + 4 + 10) / 3)
    assert row["clipped_ips"] == pytest.approx((2 + 4 + 5) / 3)
    assert row["snips"] == pytest.approx(2 * 16 / 18)
    assert row["mean_weight"] == pytest.approx(18 / 6)
    assert row["clipped_share"] == pytest.approx(1 - 13 / 18)
    assert row["effective_n"] == pytest.approx(18**2 / (4 + 16 + 4 + 100))
    assert (row["n_matched"], row["n_taken"], row["n_lists"], row["n_shown"]) == (4, 3, 3, 6)
    assert row["trust"] == FEW


def test_numbers_by_hand_where_places_count() -> None:
    """Matching places: weights 2, 4, 0, 0, 10, 0 over six shown places, of lists of two."""
    row = hand(EvaluateConfig(k=2, max_weight=100, propensity="place"))
    assert row["ips"] == pytest.approx(2 * 16 / 6)
    assert row["snips"] == pytest.approx(2 * 16 / 16)
    assert row["mean_weight"] == pytest.approx(16 / 6)
    assert row["n_matched"] == 3


@pytest.mark.parametrize("propensity", ["list", "place"])
def test_the_mean_over_every_possible_log_is_the_truth(propensity: str) -> None:
    """All lists of two out of four items, drawn with unequal chances, and all ways to click."""
    of_pair = dict(zip(combinations(range(4), 2), (0.3, 0.05, 0.15, 0.1, 0.25, 0.15), strict=True))
    lists = {order: p / 2 for pair, p in of_pair.items() for order in (pair, pair[::-1])}
    click = np.array([[0.9, 0.6], [0.2, 0.1], [0.5, 0.3], [0.05, 0.7]])  # by item and place
    if propensity == "list":
        click[:, 1] = click[:, 0]
    stands = np.zeros((4, 2))
    for order, p in lists.items():
        stands[list(order), [0, 1]] += p
    target = (2, 0)
    config = EvaluateConfig(k=2, max_weight=1e9, propensity=propensity, n_bootstrap=50)  # type: ignore[arg-type]
    ips = weight = 0.0
    for order, p in lists.items():
        for taken in product([False, True], repeat=2):
            chance = np.prod(
                [click[i, j] if t else 1 - click[i, j] for j, (i, t) in enumerate(zip(order, taken, strict=True))]
            )
            logged = [stands[i, j] if propensity == "place" else stands[i].sum() for j, i in enumerate(order)]
            log = shown_of([(0, i, logged[j], 0, j + 1, taken[j]) for j, i in enumerate(order)])
            seen = sp.csr_array((1, 4), dtype=np.float32)
            row = row_of(estimate(log, {"a": np.array([target])}, np.zeros(1, np.int32), seen, config, seed=0), "a")
            ips += p * chance * (row["ips"] or 0.0)
            weight += p * chance * row["mean_weight"]
    assert ips == pytest.approx(click[2, 0] + click[0, 1])
    assert weight == pytest.approx(1.0)


# --- simulated logs ---


def small_market() -> tuple[Audience, FloatArray, IntArray]:
    """An audience, chances with which the log's policy lists items, and the lists of another policy."""
    rng = np.random.default_rng(5)
    strength = (rng.random((N_USERS, N_KINDS)) ** 2).astype(np.float32)
    nobody = np.zeros((N_USERS, N_KINDS), np.bool_)
    audience = Audience(
        user_ids=pl.Series([f"u{i:03d}" for i in range(N_USERS)]),
        item_ids=pl.Series([f"i{i:02d}" for i in range(N_ITEMS)]),
        interest_ids=pl.Series([f"k{i}" for i in range(N_KINDS)]),
        interest_of_item=np.arange(N_ITEMS) % N_KINDS,
        strength=strength,
        hidden=nobody,
        averse=nobody,
        human=np.ones(N_USERS, np.bool_),
    )
    thought = strength[:, audience.interest_of_item] + rng.normal(0, 0.5, (N_USERS, N_ITEMS))
    chances = inclusion_chances(thought.astype(np.float32), K, temperature=0.5)
    best = np.argsort(-strength[:, audience.interest_of_item], axis=1, kind="stable")[:, :K]
    return audience, chances, best.astype(np.int32)


AUDIENCE, CHANCES, TARGET = small_market()


def log_of(seed: int, n_rounds: int = 4, behaviour: Behaviour = PLAIN) -> Shown:
    """Rounds of chance lists and what was clicked."""
    drawn = [draw_lists(CHANCES, seed=100 * seed + r) for r in range(n_rounds)]
    fresh = Memory.fresh(AUDIENCE)
    clicked = [show(AUDIENCE, behaviour, fresh, x, day=0, seed=100 * seed + r).clicked for r, x in enumerate(drawn)]
    n = N_USERS * n_rounds
    return Shown(
        np.tile(np.repeat(USERS, K), n_rounds),
        np.concatenate([x.ravel() for x in drawn]),
        np.concatenate([np.take_along_axis(CHANCES, x, axis=1).ravel() for x in drawn]).astype(float),
        np.repeat(np.arange(n), K).astype(np.int32),
        np.tile(np.arange(1, K + 1), n).astype(np.int32),
        np.concatenate([c.ravel() for c in clicked]),
        0,
    )


def value_of(lists: IntArray) -> float:
    """True expected clicks a list."""
    return float(show(AUDIENCE, PLAIN, Memory.fresh(AUDIENCE), lists, day=0, seed=0).chance.sum(axis=1).mean())


@pytest.fixture(scope="module")
def trials() -> pl.DataFrame:
    tables = [estimate(log_of(s), {"best": TARGET}, USERS, NONE_SEEN, CONFIG, seed=s) for s in range(150)]
    return pl.concat([t.with_columns(trial=pl.lit(i)) for i, t in enumerate(tables)])


@pytest.mark.parametrize("method", ["best", RANDOM])
def test_ips_and_snips_hit_the_truth_of_the_simulator(method: str, trials: pl.DataFrame) -> None:
    every = np.broadcast_to(np.arange(N_ITEMS, dtype=np.int32), (N_USERS, N_ITEMS))
    truth = value_of(TARGET) if method == "best" else value_of(every) * K / N_ITEMS
    own = trials.filter(pl.col("method") == method)
    for name in ("ips", "snips"):
        error = own[name].std() / np.sqrt(own.height)  # type: ignore[operator]
        assert own[name].mean() == pytest.approx(truth, abs=4 * error)
        held = ((own[f"{name}_low"] < truth) & (truth < own[f"{name}_high"])).mean()
        assert held > 0.88
    assert own["mean_weight"].mean() == pytest.approx(1, abs=0.02)


def test_snips_varies_less_than_ips_and_clipping_loses_mass(trials: pl.DataFrame) -> None:
    own = trials.filter(pl.col("method") == "best")
    assert own["snips"].std() < own["ips"].std()
    cut = EvaluateConfig(k=K, n_bootstrap=50, max_weight=10)
    clipped = [row_of(estimate(log_of(s), {"best": TARGET}, USERS, NONE_SEEN, cut, seed=s), "best") for s in range(40)]
    assert np.std([r["clipped_ips"] for r in clipped]) < np.std([r["ips"] for r in clipped])
    assert np.mean([r["clipped_ips"] for r in clipped]) < np.mean([r["ips"] for r in clipped])
    assert all(r["clipped_share"] > 0 for r in clipped)


def test_right_propensities_pass_and_wrong_ones_are_caught(trials: pl.DataFrame) -> None:
    judged = trials.filter(pl.col("method") != LOGGED)
    assert (judged["trust"] == OFF).mean() < 0.05
    for wrong in (lambda p: np.minimum(1, 2 * p), lambda p: p / 2, lambda p: np.full_like(p, K / N_ITEMS)):
        caught = [
            row_of(estimate(_with(log_of(s), wrong(log_of(s).propensity)), {"best": TARGET}, USERS, NONE_SEEN, CONFIG,
                            seed=s), "best")["trust"]
            for s in range(5)
        ]  # fmt: skip
        assert caught.count(OFF) >= 4


def _with(shown: Shown, propensity: npt.NDArray[np.float64]) -> Shown:
    return replace(shown, propensity=propensity)


def test_items_that_could_never_be_shown_are_caught() -> None:
    """The log's policy knows half of the catalogue: weights of a list that needs the other half sum to too little."""
    scores = np.where(np.arange(N_ITEMS) < N_ITEMS // 2, 0.0, -60.0).astype(np.float32)
    chances = inclusion_chances(np.tile(scores, (N_USERS, 1)), K)
    drawn = np.concatenate([draw_lists(chances, seed=s) for s in range(6)])
    n = len(drawn)
    log = Shown(
        np.tile(np.repeat(USERS, K), 6),
        drawn.ravel(),
        np.full(n * K, 2 * K / N_ITEMS),
        np.repeat(np.arange(n), K).astype(np.int32),
        np.tile(np.arange(1, K + 1), n).astype(np.int32),
        np.random.default_rng(0).random(n * K) < 0.5,
        0,
    )
    lists = np.tile(np.array([0, 1, 40, 41, 42], np.int32), (N_USERS, 1))
    row = row_of(estimate(log, {"a": lists}, USERS, NONE_SEEN, CONFIG, seed=0), "a")
    assert row["mean_weight"] == pytest.approx(0.4, abs=0.1)
    assert row["trust"] == OFF
    few = row_of(estimate(log.take(log.list_row < 20), {"a": lists[:20]}, USERS[:20], NONE_SEEN, CONFIG, seed=0), "a")
    assert few["trust"] == FEW
    nothing = np.tile(np.arange(40, 45, dtype=np.int32), (N_USERS, 1))
    row = row_of(estimate(log, {"a": nothing}, USERS, NONE_SEEN, CONFIG, seed=0), "a")
    assert row["snips"] is None
    assert row["ips_low"] is None
    assert row["trust"] == FEW


def test_what_was_shown_is_its_own_truth_and_ours_has_no_difference(trials: pl.DataFrame) -> None:
    table = estimate(log_of(0), {"best": TARGET}, USERS, NONE_SEEN, CONFIG, seed=0)
    log = log_of(0)
    logged = row_of(table, LOGGED)
    assert logged["ips"] == logged["snips"] == pytest.approx(K * log.taken.mean())
    assert row_of(table, "best")["difference"] is None
    assert row_of(table, RANDOM)["difference"] == pytest.approx(
        row_of(table, RANDOM)["snips"] - row_of(table, "best")["snips"]
    )
    assert row_of(table, RANDOM)["difference_high"] < 0  # drawn evenly is worse than the best, surely
    assert brief_off_policy(table)["trust"].to_list() == [OK, OK, OK]


def test_an_impression_of_a_user_without_lists_is_refused() -> None:
    with pytest.raises(DataError, match="users that have lists"):
        estimate(log_of(0), {"best": TARGET[:5]}, USERS[:5], NONE_SEEN, CONFIG, seed=0)


# --- chances and lists of the simulator ---


def test_items_stand_in_drawn_lists_as_often_as_their_chance_says() -> None:
    times = np.zeros(CHANCES.shape)
    places = np.zeros(K)
    n = 400
    for s in range(n):
        lists = draw_lists(CHANCES, seed=s)
        assert (np.diff(np.sort(lists, axis=1), axis=1) > 0).all()
        times[np.arange(N_USERS)[:, None], lists] += 1
        places += (lists == np.argmax(CHANCES, axis=1)[:, None]).sum(axis=0)
    z = (times / n - CHANCES) / np.sqrt(CHANCES * (1 - CHANCES) / n + 1e-9)
    assert np.abs(z).max() < 5.5  # 7,200 of them
    assert z.std() == pytest.approx(1, abs=0.05)
    assert places.max() / places.min() < 1.1
    np.testing.assert_allclose(CHANCES.sum(axis=1), K, rtol=1e-5)


def test_impossible_chances_are_refused() -> None:
    with pytest.raises(DataError, match=r"1\.\.4"):
        inclusion_chances(np.zeros((1, 4), np.float32), 5)


# --- reading ---


def logged_frame() -> tuple[pl.DataFrame, int]:
    frames, n = [], 0
    for day in range(3):
        lists = draw_lists(CHANCES, seed=day)
        outcome = show(AUDIENCE, PLAIN, Memory.fresh(AUDIENCE), lists, day=0, seed=day)
        p = np.take_along_axis(CHANCES, lists, axis=1)
        frames.append(as_events(AUDIENCE, outcome, start=1_700_000_000 + day * DAY, propensity=p))
        n += int(outcome.clicked.sum())
    return pl.concat(frames), n


def read(frame: pl.DataFrame, **settings: object) -> Shown:
    events: Events = read_log(frame).events
    found = read_shown(events, is_impression(events), EvaluateConfig(**settings))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_written_log_is_read_back() -> None:
    frame, n_clicks = logged_frame()
    found = read(frame)
    assert (found.n_lists, len(found), int(found.taken.sum())) == (3 * N_USERS, 3 * N_USERS * K, n_clicks)
    np.testing.assert_allclose(found.propensity, CHANCES[found.user_row, found.item_row], rtol=1e-6)
    assert np.bincount(found.list_row).tolist() == [K] * (3 * N_USERS)
    assert sorted(set(found.place.tolist())) == list(range(1, K + 1))
    guessed = read(frame.drop("list_id"))
    assert (guessed.list_row == found.list_row).all() or guessed.n_lists == found.n_lists


def test_lists_numbered_anew_for_each_user_are_kept_apart() -> None:
    frame = logged_frame()[0].with_columns(list_id=pl.col("timestamp") // DAY)
    assert read(frame).n_lists == 3 * N_USERS


def test_a_take_counts_for_the_latest_impression_within_the_hours() -> None:
    hour = 3600
    rows = [
        ("a", "x", "impression", 0, 0.5),
        ("a", "x", "impression", 10 * hour, 0.5),
        ("a", "x", "click", 11 * hour, None),  # of the second
        ("a", "y", "impression", 0, 0.5),
        ("a", "y", "click", 30 * hour, None),  # too late
        ("b", "x", "impression", 5 * hour, 0.5),  # somebody else's
        ("b", "z", "click", 6 * hour, None),  # never shown
        ("b", "w", "impression", 7 * hour, None),  # not known how likely
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "action", "timestamp", "propensity"], orient="row")
    frame = frame.with_columns(pl.col("timestamp") + 1_700_000_000)
    found = read(frame)
    assert found.taken.tolist() == [False, False, False, True]  # a-x, a-y, b-x, a-x by time
    assert found.n_unknown == 1
    assert read(frame, reward_hours=48).taken.tolist() == [False, True, False, True]


def test_a_log_without_times_has_lists_between_other_acts() -> None:
    rows = [
        ("a", "x", "impression", 0.5),
        ("a", "y", "impression", 0.5),
        ("a", "x", "click", None),
        ("a", "z", "impression", 0.5),
        ("b", "x", "impression", 0.5),
    ]
    found = read(pl.DataFrame(rows, schema=["user_id", "item_id", "action", "propensity"], orient="row"))
    assert found.n_lists == 3
    assert int(found.taken.sum()) == 1


def test_propensities_of_places_need_places() -> None:
    with pytest.raises(DataError, match="--columns place="):
        read(logged_frame()[0].drop("place"), propensity="place")
    assert read(logged_frame()[0], propensity="place").place.min() == 1


def test_clicks_with_propensities_alone_tell_nothing() -> None:
    frame = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "x"], "action": ["click"] * 2, "p": [0.5, 0.1]})
    events = read_log(frame).events
    assert read_shown(events, is_impression(events), EvaluateConfig()) is None
