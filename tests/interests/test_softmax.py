"""The softmax network: its arithmetic by hand, its slope by differences, and what it forecasts on a made-up log."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import softmax

from penchant.config import InterestsConfig
from penchant.data import LAYERS, Parts
from penchant.interests import layers
from penchant.interests.forecast import Forecast, shares_of
from penchant.interests.layers import fit_forecast
from penchant.interests.profiles import make_profiles
from penchant.interests.softmax import (
    N_HIDDEN,
    Softmax,
    fit_softmax,
    learn_beta,
    loss_and_slope,
    softmax_by_user,
    squared_error,
)
from tests.interests.small_logs import habits_log, items_of

CONFIG = InterestsConfig(horizon=5, forecast_model="softmax")


def drawn(n_users: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, shares of five events and users, whose true shares are a softmax of the first feature doubled."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), rng.integers(1, 9, n_users))
    features = rng.normal(size=(len(user), 3))
    true = softmax_by_user(2 * features[:, 0], user)
    return features, rng.binomial(5, true) / 5, user


def test_softmax_of_every_user_agrees_with_scipy() -> None:
    score = np.array([0.3, -1.0, 2.0, 800.0, 0.0, -900.0])
    user = np.array([2, 2, 2, 5, 5, 9])
    found = softmax_by_user(score, user)
    for one in (2, 5, 9):
        mine = user == one
        np.testing.assert_allclose(found[mine], softmax(np.r_[score[mine], 0.0])[:-1], atol=1e-12)
    assert softmax_by_user(np.zeros(0), np.zeros(0, np.int32)).tolist() == []


def test_j_by_hand() -> None:
    # user 0: (1/5 - 2/5)^2 + (4/5 - 2/5)^2 = 1/25 + 4/25; user 1: (0 - 1)^2; the mean of 1/5 and 1
    assert squared_error(np.array([0.2, 0.8, 0.0]), np.array([0.4, 0.4, 1.0]), np.array([0, 0, 1])) == pytest.approx(
        0.6
    )
    assert np.isnan(squared_error(np.zeros(0), np.zeros(0), np.zeros(0, np.int32)))


def test_chances_as_shares_by_hand() -> None:
    # 1 - 0.25^(1/2) = 1/2 and 1 - (9/16)^(1/2) = 1/4: 2/3 and 1/3 of the user
    found = shares_of(np.array([0.75, 7 / 16]), np.array([3, 3]), 2)
    assert found.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert shares_of(np.array([1.0]), np.array([0]), 2).tolist() == [1.0]


def test_the_slope_agrees_with_differences() -> None:
    features, share, user = drawn(6)
    first = np.flatnonzero(np.r_[True, user[1:] != user[:-1]])
    at = np.random.default_rng(1).normal(size=(3 + 1) * N_HIDDEN + N_HIDDEN + 3 + 1)
    gap = check_grad(
        lambda w: loss_and_slope(w, features, share, user, first)[0],
        lambda w: loss_and_slope(w, features, share, user, first)[1],
        at,
    )
    assert gap < 1e-6


def test_it_finds_the_shares_that_made_the_data() -> None:
    features, share, user = drawn(2000)
    model = fit_softmax(features, share, user, horizon=5, seed=0)
    new, actual, who = drawn(500, seed=1)
    best = squared_error(actual, softmax_by_user(2 * new[:, 0], who), who)  # the truth itself: only the draw is left
    equal = squared_error(actual, shares_of(np.full(len(who), 0.5), who, 5), who)
    ours = squared_error(actual, model.shares(new, who), who)
    assert ours - best < 0.1 * (equal - best)
    totals = np.bincount(who, model.shares(new, who))
    assert (totals[np.unique(who)] < 1).all()


def test_users_do_not_touch_each_other() -> None:
    features, share, user = drawn(100)
    model = fit_softmax(features, share, user, horizon=5, seed=0)
    together = model.predict(features, user)
    alone = model.predict(features[user == 7], user[user == 7])
    np.testing.assert_allclose(together[user == 7], alone, rtol=1e-9)


def test_beta_calibration_keeps_the_order() -> None:
    rng = np.random.default_rng(0)
    q = rng.uniform(0.01, 0.99, 4000)
    logs = np.column_stack([np.log(q), -np.log1p(-q)])
    right = learn_beta(logs, rng.random(4000) < q)
    np.testing.assert_allclose(right, [1.0, 1.0, 0.0], atol=0.25)
    against = learn_beta(logs, rng.random(4000) > q)  # chances that say the contrary are not turned round
    assert (against[:2] >= 0).all()


def test_same_seed_same_bytes_and_inputs_stay() -> None:
    features, share, user = drawn(80)
    copies = features.copy(), share.copy(), user.copy()
    first, second = (fit_softmax(features, share, user, horizon=5, seed=3).to_parts() for _ in range(2))
    assert {k: v.tobytes() for k, v in first.arrays.items()} == {k: v.tobytes() for k, v in second.arrays.items()}
    assert all((a == b).all() for a, b in zip((features, share, user), copies, strict=True))


def test_save_and_load() -> None:
    features, share, user = drawn(80)
    model = fit_softmax(features, share, user, horizon=5, seed=0)
    parts = model.to_parts()
    again = Softmax.from_parts(Parts(json.loads(json.dumps(dict(parts.config))), parts.arrays))
    assert again.predict(features, user).tobytes() == model.predict(features, user).tobytes()


def test_layers_by_softmax_hold_out_of_time_and_j_is_below_the_rules() -> None:
    events, tree = habits_log(n_users=250)
    cut = events.cut_at(0.8)
    train, test = events.before(cut), events.between(cut, np.inf)
    forecast = fit_forecast(train, tree, CONFIG, seed=0)
    assert forecast.method_used == "softmax"
    report = layers.test_forecast(forecast, train, test, tree, CONFIG)
    assert report is not None
    rows = {row["method"]: row for row in report.methods.iter_rows(named=True)}
    ours = rows.pop("softmax")
    assert ours["ece"] < 0.06
    assert all(ours["auc"] > row["auc"] - 0.005 for row in rows.values())
    shared = [row["j"] for row in rows.values() if row["j"] is not None]
    assert len(shared) == 3  # the smoothed share, and the rules by share and by frequency
    assert all(ours["j"] < j for j in shared)
    assert all(rows[name]["j"] is None for name in ("points", "recency", "kmeans"))
    assert report.layers["layer"].to_list() == list(LAYERS)
    assert report.layers["hit_share"].is_sorted(descending=True)


def test_profiles_take_their_layers_from_it_in_any_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    events, tree = habits_log(n_users=60, n_events=50)
    forecast = fit_forecast(events, tree, CONFIG, seed=0)
    points = make_profiles(events, items_of(80), tree, forecast, CONFIG).points
    chance = points["probability"].to_numpy()
    expected = np.where(chance >= CONFIG.core, 0, np.where(chance >= CONFIG.secondary, 1, 2))
    assert points["layer"].to_list() == expected.tolist()
    monkeypatch.setattr("penchant.interests.profiles.CHUNK_POINTS", 37)
    loaded = Forecast.from_parts(forecast.to_parts())
    assert make_profiles(events, items_of(80), tree, loaded, CONFIG).points.equals(points)
