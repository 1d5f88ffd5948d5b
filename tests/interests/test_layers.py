from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from penchant.config import InterestsConfig
from penchant.data import DAY_S, Clock, Events, InterestTree, Parts
from penchant.errors import DataError, ModelError
from penchant.interests import layers
from penchant.interests.calibration import auc, brier, calibration_error, calibration_noise, reliability
from penchant.interests.features import FEATURES, chance_logit
from penchant.interests.forecast import FORMS, Forecast, SmoothedShare
from penchant.interests.layers import assign_layers, fit_forecast
from penchant.interests.logistic import RIDGE, fit_logistic
from penchant.interests.windows import History, know, place_windows, read_outcomes
from tests.interests.small_logs import habits_log, log_of, tree_of

CONFIG = InterestsConfig(horizon=5)


def halves(clock: Clock = "time", n_users: int = 80) -> tuple[Events, Events, InterestTree]:
    events, tree = habits_log(n_users=n_users, clock=clock)
    cut = events.cut_at(0.8)
    return events.before(cut), events.between(cut, np.inf), tree


def test_assign_layers_refuses_what_is_no_chance() -> None:
    assert assign_layers(np.array([0.5, 0.15, 0.149])).tolist() == [0, 1, 2]
    for bad in (np.nan, -0.1, 1.5):
        with pytest.raises(DataError, match="at 1"):
            assign_layers(np.array([0.2, bad]))


@pytest.mark.parametrize("clock", ["time", "order"])
def test_forecast_is_calibrated_and_beats_every_rule_on_unseen_events(clock: Clock) -> None:
    train, test, tree = halves(clock, n_users=250)
    forecast = fit_forecast(train, tree, CONFIG, seed=0)
    report = layers.test_forecast(forecast, train, test, tree, CONFIG)
    assert report is not None
    methods = {row["method"]: row for row in report.methods.iter_rows(named=True)}
    ours = methods.pop(forecast.method_used)
    assert ours["ece"] < 0.05
    assert ours["brier"] < methods["smoothed_share"]["brier"]
    assert all(ours["auc"] > row["auc"] - 0.005 for row in methods.values())
    assert report.layers["hit_share"].is_sorted(descending=True)
    assert report.layers["n_points"].min() > 0
    assert report.layers["next_share"].sum() == pytest.approx(report.facts["next_share_on_points"])


def test_report_of_the_log_alone_and_save_and_load() -> None:
    train, _, tree = halves()
    forecast = fit_forecast(train, tree, CONFIG, seed=0)
    assert forecast.report is not None
    parts = forecast.to_parts()
    assert all(a.dtype != object for a in parts.arrays.values())
    again = Forecast.from_parts(Parts(json.loads(json.dumps(parts.config)), parts.arrays, parts.tables))
    features = np.random.default_rng(0).normal(size=(50, len(FEATURES)))
    user = np.arange(50) // 5
    for level in (1, 2):
        assert again.predict(features, level, user).tobytes() == forecast.predict(features, level, user).tobytes()
    assert again.report is not None
    assert again.report.methods.equals(forecast.report.methods)
    assert (again.method_used, again.horizon) == (forecast.method_used, forecast.horizon)
    with pytest.raises(ModelError, match="other features"):
        Forecast.from_parts(replace(parts, config={**parts.config, "features": ["x"]}))


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_is_deterministic_and_survives_saving(form: str) -> None:
    events, tree = habits_log(n_users=50, n_events=50)
    config = CONFIG.model_copy(update={"forecast_model": form})
    first, second = (fit_forecast(events, tree, config, seed=1) for _ in range(2))
    assert first.method_used == form
    assert first.to_parts().config == second.to_parts().config
    features, user = np.random.default_rng(0).normal(size=(20, len(FEATURES))), np.arange(20) // 4
    loaded = Forecast.from_parts(first.to_parts())
    chance = loaded.predict(features, 2, user)
    assert chance.tolist() == second.predict(features, 2, user).tolist()
    assert ((chance > 0) & (chance < 1)).all()


def test_too_short_a_past_is_said_aloud() -> None:
    events = log_of([(0, 0, 0.0, 1.0), (0, 1, 1.0, 1.0)])
    tree = tree_of(np.eye(2), [0, 0])
    forecast = fit_forecast(events, tree, CONFIG, seed=0)
    assert forecast.method_used.startswith("smoothed_share: 0 users acted often enough")
    assert forecast.report is None
    assert isinstance(forecast.models[2], SmoothedShare)
    assert layers.test_forecast(forecast, events, events, tree, CONFIG) is None
    assert fit_forecast(log_of([], n_users=1), tree, CONFIG, seed=0).report is None


def test_a_cap_of_users_bounds_what_is_learnt_from() -> None:
    events, tree = habits_log(n_users=110, n_events=50)
    all_users = fit_forecast(events, tree, CONFIG, seed=0)
    some = fit_forecast(events, tree, CONFIG.model_copy(update={"max_forecast_users": 100}), seed=0)
    assert some.facts["n_points"] < all_users.facts["n_points"]


def test_smoothed_share_is_the_chance_of_independent_events() -> None:
    features = np.zeros((1, len(FEATURES)))
    features[0, FEATURES.index("all_chance")] = chance_logit(np.array([0.2]), 5)[0]
    assert SmoothedShare().predict(features)[0] == pytest.approx(1 - 0.8**5)


def test_logistic_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5))
    y = rng.random(400) < 1 / (1 + np.exp(-(x @ [1.0, -2.0, 0.0, 0.5, 0.0]) + 0.3))
    ours = fit_logistic(x, y)
    theirs = LogisticRegression(C=1 / (RIDGE * len(x)), tol=1e-9, max_iter=1000).fit(ours.scaling.apply(x), y)
    np.testing.assert_allclose(ours.weights[:-1], theirs.coef_[0], atol=1e-4)


def test_measures_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    p = np.round(rng.random(300), 2)
    y = rng.random(300) < p
    assert auc(y, p) == pytest.approx(roc_auc_score(y, p))
    assert brier(y, p) == pytest.approx(brier_score_loss(y, p))
    assert np.isnan(auc(np.ones(3, bool), np.ones(3)))


def test_calibration_error_by_hand() -> None:
    y = np.array([False, False, True, True])
    p = np.array([0.1, 0.3, 0.6, 0.8])
    assert calibration_error(y, p, equal="width") == pytest.approx((0.1 + 0.3 + 0.4 + 0.2) / 4)
    assert reliability(y, p)["n"].sum() == 4
    with pytest.raises(DataError, match="'mass' or 'width'"):
        reliability(y, p, equal="size")


def test_noise_of_a_perfect_forecast_falls_with_points() -> None:
    few, many = (calibration_noise(np.full(n, 0.5)) for n in (100, 10_000))
    # Ten bins of ten fair coins: the mean absolute deviation of a share is sqrt(0.25 / 10) * sqrt(2 / pi), nearly.
    assert few == pytest.approx(0.126, abs=0.01)
    assert many == pytest.approx(few / 10, rel=0.2)


def test_outcomes_by_hand() -> None:
    after = log_of([(0, 0, 1.0, 1.0), (0, 2, 3.0, 1.0), (0, 1, 4.0, 1.0), (1, 0, 1.0, 1.0)])
    found = read_outcomes(after, np.array([0, 1, 0]), 2, horizon=2)
    assert found.acting.tolist() == [True, False]  # user 1 acts once
    hits = found.hits(np.array([0, 0, 1]), np.array([0, 1, 0]))
    assert hits.tolist() == [2, 0, 0]  # the third event is too late


def test_events_that_can_not_be_told_are_no_sign_against_an_interest() -> None:
    tree = tree_of(np.eye(2)[[0, 1, 0]], [0, 0])  # nobody had met item 2 before the cut, and it has no text
    before = log_of([(0, 0, 1.0, 1.0), (0, 1, 2.0, 1.0)])
    after = log_of([(0, 2, 3.0, 1.0), (0, 0, 4.0, 1.0), (0, 1, 5.0, -1.0), (0, 1, 6.0, 1.0)])
    told = know(History(before), tree, CONFIG).told(after)
    assert told.item_row.tolist() == [0, 1]
    assert (told.time / DAY_S).tolist() == [4.0, 6.0]


def test_windows_lie_in_the_log_and_end_after_they_begin() -> None:
    events, _ = habits_log(n_users=10, n_events=20)
    found = place_windows(events)
    assert len(found) == 12
    assert all(events.start < w.cut < w.end and w.cut <= events.end for w in found)
    same_time = log_of([(0, 0, 1.0, 1.0)] * 5)
    assert place_windows(same_time) == []


def test_no_feature_sees_the_future_and_all_are_finite() -> None:
    events, tree = habits_log(n_users=30, n_events=40)
    cut = 100 * DAY_S
    everyone = np.ones(events.n_users, bool)
    known = know(History(events.before(cut)), tree, CONFIG, cut)
    changed = events.before(cut)
    again = know(History(changed), tree, CONFIG, cut)
    for level in (1, 2):
        _, features = known.features(level, known.crowd(level), everyone)
        assert np.isfinite(features).all()
        assert features.tobytes() == again.features(level, again.crowd(level), everyone)[1].tobytes()


def test_items_nobody_had_met_touch_nothing_without_texts() -> None:
    events = log_of([(0, 0, 0.0, 1.0), (0, 1, 10.0, 1.0)])
    tree = tree_of(np.eye(2), [0, 0])
    known = know(History(events.before(5 * DAY_S)), tree, CONFIG)
    assert known.placed.tolist() == [True, False]
    with_texts = replace(tree, text_centroids=np.eye(2, dtype=np.float32))
    assert know(History(events.before(5 * DAY_S)), with_texts, CONFIG).placed.tolist() == [True, True]


def test_very_old_and_huge_evidence_stays_finite() -> None:
    rows = [(0, 0, 0.0, 1e30), (0, 1, 1.0, 1.0), (1, 0, 40_000.0, 1.0), (1, 1, 0.0, -3.0)]
    known = know(History(log_of(rows)), tree_of(np.eye(2), [0, 1]), CONFIG)
    for level in (1, 2):
        assert np.isfinite(known.features(level, known.crowd(level), (0, 2))[1]).all()


def test_inputs_stay_as_they_were() -> None:
    train, test, tree = halves()
    copies = train.table.clone(), test.table.clone(), tree.nodes.clone()
    forecast = fit_forecast(train, tree, CONFIG, seed=0)
    layers.test_forecast(forecast, train, test, tree, CONFIG)
    assert all(a.equals(b) for a, b in zip((train.table, test.table, tree.nodes), copies, strict=True))


def test_text_events_feed_the_forecast_and_its_windows() -> None:
    import scipy.sparse as sp

    events, tree = habits_log(n_users=50, n_events=50)
    as_text = np.arange(len(events)) % 5 == 0
    table = events.table.with_columns(
        pl.when(pl.Series(as_text)).then(pl.lit(-1, pl.Int32)).otherwise("item_row").alias("item_row")
    )
    texts = sp.csr_array(tree.membership[events.item_row[as_text]])
    mixed = replace(events, table=table)
    forecast = fit_forecast(mixed, tree, CONFIG, seed=0, text_membership=texts)
    assert forecast.report is not None
    points = know(History(mixed, texts), tree, CONFIG).points[2].table
    assert points["n_events"].sum() == len(events)
