"""Weights by hand; outliers capped by the stated rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from penchant.config import IoConfig
from penchant.data import Log
from penchant.errors import ConfigError, DataError
from penchant.io import read_log
from penchant.io.outliers import find_outliers
from penchant.io.weights import rating_factor

T = 1_700_000_000


def _log(actions: list[str | None], values: list[float | None] | None = None, **options: Any) -> Log:
    n = len(actions)
    frame = {"user_id": ["u"] * n, "item_id": [f"i{k:03}" for k in range(n)], "event": actions, "ts": range(T, T + n)}
    if values is not None:
        frame["value"] = values
    return read_log(pl.DataFrame(frame, strict=False), config=IoConfig(**options))


def _names(log: Log) -> list[str]:
    return [log.events.actions[a] for a in log.events.table["action"]]


def test_actions_take_their_usual_names_and_weights() -> None:
    log = _log(["Add-To-Cart", "addtocart", "comment_created", "transaction", "pv", "购买", None, "poke", "impression"])
    assert _names(log) == [
        "add_to_cart", "add_to_cart", "comment", "purchase", "view", "purchase", "view", "poke", "impression",
    ]  # fmt: skip
    assert log.events.weight.tolist() == [3, 3, 3, 5, 1, 5, 1, 1, 0]
    assert log.facts["unknown_actions"] == ["poke"]


def test_the_callers_weights_win_and_unused_ones_are_told() -> None:
    log = _log(["buy", "view", "poke"], action_weights={"buy": 7, "pok": 2}, unknown_action_weight=0.5)
    assert log.events.weight.tolist() == [7, 1, 0.5]
    assert log.facts["unused_action_weights"] == {"pok": "did you mean 'poke'?"}
    with pytest.raises(ValueError, match="finite"):
        IoConfig(action_weights={"view": float("nan")})
    assert issubclass(ConfigError, ValueError)


def test_quantities_grow_by_the_logarithm_and_a_negative_purchase_is_a_return() -> None:
    log = _log(["purchase"] * 5 + ["cancel", "view"], [1, 3, 1000, None, -3, -3, -2])
    assert log.events.weight.tolist() == [5, 10, 15, 5, -8, -8, 1]
    assert _names(log)[4] == "return"
    assert {f.kind: f.rows for f in log.findings} == {"purchase of a negative quantity": (5,), "negative value": (7,)}


def test_ratings_stand_beside_the_users_own() -> None:
    user = np.repeat(np.arange(2, dtype=np.int32), 6)
    stars = np.array([5, 5, 5, 4, 5, 1, 2, 2, 3, 2, 2, 1], float)
    factor = rating_factor(user, stars)
    assert factor[5] < 0  # a 1 beside fives
    assert factor[8] > factor[3] > 0  # a 3 of one who gives twos says more than a 4 of one who gives fives
    assert ((factor >= 0.25) & (factor <= 2) | (factor <= -0.5) & (factor >= -1)).all()


@pytest.mark.parametrize("stars", [[5.0] * 8, [4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0], [1.0] * 8])
def test_a_log_of_liking_has_no_aversion(stars: list[float]) -> None:
    assert (_log(["rate"] * 8, stars).events.weight > 0).all()


def test_min_value_leaves_low_ratings_out_and_the_rest_is_liking() -> None:
    log = _log(["rate"] * 6 + ["view"], [5, 5, 5, 4, 3, 1, None], min_value=3)
    assert log.events.table["value"].to_list() == [5, 5, 5, 4, 3, None]
    assert (log.events.weight > 0).all()
    assert [(f.kind, f.n_rows, f.n_dropped) for f in log.findings] == [("rated below 3", 1, 0)]
    with pytest.raises(DataError, match=r"no event is left.*min_value; lower it"):
        _log(["rate"], [1], min_value=3)


def test_values_without_an_action_are_told_apart() -> None:
    base = {"user_id": list("aabbcc"), "item_id": list("xyxyxz")}
    rated = read_log(pl.DataFrame({**base, "value": [5, 4, 4, 1, 3, 4]}))
    counted = read_log(pl.DataFrame({**base, "value": [1, 1, 1, 2, 3, 1]}))
    bought = read_log(pl.DataFrame({**base, "Quantity": [1, 1, 1, 2, -3, 1]}))
    assert (rated.events.actions, counted.events.actions) == (("rate",), ("view",))
    assert bought.events.actions == ("purchase", "return")
    own = read_log(pl.DataFrame({**base, "Quantity": [1] * 6}), config=IoConfig(default_action="play"))
    assert own.events.actions == ("play",)


def test_too_many_actions_are_another_column() -> None:
    with pytest.raises(DataError, match="1,001 different values"):
        _log([f"a{k}" for k in range(1001)])


def _crowd(n_users: int = 60, *, heavy: int = 3000) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    users = [f"u{u:03}" for u, n in enumerate(rng.integers(8, 20, n_users)) for _ in range(n)] + ["zbot"] * heavy
    n = len(users)
    return pl.DataFrame({"user_id": users, "item_id": [f"i{k % 97}" for k in range(n)], "ts": range(T, T + n)})


def test_a_bot_is_found_and_capped_not_deleted() -> None:
    log = read_log(_crowd())
    assert log.facts["outliers"]["busy"]["user_ids"] == ["zbot"]
    mass = np.bincount(log.events.user_row, log.events.weight)
    assert log.events.n_by_user[-1] == 3000
    assert mass[-1] <= 20
    assert any("zbot" in f.rule for f in log.findings)


def test_bot_score_and_cap_do_what_they_say() -> None:
    log = read_log(_crowd(), config=IoConfig(bot_score=50, cap_user_share=0.05))
    assert log.facts["outliers"]["busy"]["n_users"] == 0
    mass = np.bincount(log.events.user_row, log.events.weight)
    assert mass[-1] / mass.sum() == pytest.approx(0.05, abs=1e-4)
    free = read_log(_crowd(), config=IoConfig(bot_score=50, cap_user_share=1))
    assert (free.events.weight == 1).all()


def test_one_awake_around_the_clock_is_no_person() -> None:
    hours = np.arange(48) * 3600.0 + 1_699_920_000
    user = np.r_[np.zeros(48, np.int32), np.repeat(np.arange(1, 31, dtype=np.int32), 30)]
    time = np.r_[hours, np.tile(np.linspace(hours[0], hours[0] + 7200, 30), 30)]
    weight = np.ones(len(user), np.float32)
    found = find_outliers(user, weight, time, 31, bot_score=9, cap_user_share=1, bot_hours=20)
    assert found.sleepless.tolist() == [0]
    assert found.factor[0] == pytest.approx(30 / 48)
    assert (found.factor[1:] == 1).all()


def test_a_handful_of_users_is_left_alone() -> None:
    log = read_log(pl.DataFrame({"user_id": ["a"] * 50 + ["b"], "item_id": [f"i{k}" for k in range(51)]}))
    assert (log.events.weight == 1).all()
