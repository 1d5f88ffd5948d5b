"""Layers as forecasts: learn from the log's own past how likely a user comes back to an interest, and prove it.

For cuts in the past: features of (user, interest) before the cut; outcome = any of the user's next H liked events on
items that the tree can place touches it. One small model a level gives `probability`; two thresholds make layers of it.
The forecast is conditional on the user acting: only users with at least H such events after a cut are counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import LAYERS, Events, InterestTree
from penchant.interests.calibration import (
    auc,
    brier,
    calibration_error,
    calibration_noise,
    check_probabilities,
    reliability,
)
from penchant.interests.forecast import Forecast, LayerReport, SmoothedShare, shares_of
from penchant.interests.learning import choose_form, draw_users, facts_of, fit_levels, observe, sample
from penchant.interests.rules import RULES, apply_rule, bands
from penchant.interests.softmax import squared_error
from penchant.interests.windows import WINDOW_SHARE, History, know
from penchant.threads import one_thread

__all__ = ["Forecast", "LayerReport", "assign_layers", "fit_forecast", "test_forecast"]

MIN_TEST_USERS = 10

Array = npt.NDArray[np.float64]


def assign_layers(
    probabilities: npt.NDArray[np.floating], *, core: float = 0.5, secondary: float = 0.15
) -> npt.NDArray[np.int8]:
    """Put each interest point into core (0), secondary (1) or peripheral (2) by its forecast.

    Args:
        probabilities: (n_points,) chance in 0..1 that the user's next events touch the interest.
        core: lower bound of core. secondary: lower bound of secondary.
    Returns:
        (n_points,) int8, in the order given.
    Raises:
        DataError: a probability is not finite or not in 0..1; names the first.

    >>> assign_layers(np.array([0.2, 0.9, 0.01])).tolist()
    [1, 0, 2]
    """
    check_probabilities(probabilities, "assign_layers")
    return bands(np.asarray(probabilities), core, secondary)


def fit_forecast(
    events: Events,
    tree: InterestTree,
    config: InterestsConfig,
    *,
    seed: int,
    text_membership: sp.csr_array | None = None,
) -> Forecast:
    """Learn the forecast from windows in the log's past, report it on the last one, then learn from all.

    Args:
        events: the log. tree: its interests. config: horizon, thresholds, form, cap of users.
        seed: draws the users learnt from where the log has more than `max_forecast_users`, and the boosted trees.
        text_membership: (n_text_events, n_leaves), a row for each event without an item, in order.
    Returns:
        A forecast. Where the past is too short it is the smoothed share, and `method_used` says why. The report is of
        a model fitted on the windows that end before the last one begins, of a form chosen on those too; but the tree
        given has seen the last window. `test_forecast` on a log cut in two has no such help.
    """
    with one_thread():  # sums in one order: the same bytes on any number of cores
        able = np.asarray(events.positive().n_by_user > config.horizon)
        history = History(events, text_membership)
        if int(able.sum()) > config.max_forecast_users:
            history = history.of_users(draw_users(able, config.max_forecast_users, seed))
        samples = sample(history, tree, config, seed)
        finest = samples[tree.n_levels]
        cut = history.events.cut_at(1 - WINDOW_SHARE)
        form, trials = choose_form(finest, history.events.cut_at(1 - 2 * WINDOW_SHARE), cut, config, seed)
        trial = Forecast(*fit_levels(samples, form, seed, end=cut), config.horizon)
        report = _test(trial, history.before(cut), history.events.between(cut, np.inf), tree, config, cut)
        models, used = fit_levels(samples, form, seed)
        facts = facts_of(finest, trials)
    return Forecast(models, used, config.horizon, report, facts)


def test_forecast(
    forecast: Forecast,
    train: Events,
    test: Events,
    tree: InterestTree,
    config: InterestsConfig,
    *,
    seed: int = 0,  # noqa: PT028 - this is no pytest test
    text_membership: sp.csr_array | None = None,  # noqa: PT028
) -> LayerReport | None:
    """Test a forecast on events that neither it nor the tree has seen.

    Args:
        forecast: fitted on `train`. test: what came after. tree: grown on `train`.
        seed: draws the users tested where there are more than `max_forecast_users`.
        text_membership: of the text events of `train`.
    Returns:
        None where fewer than 10 users have points and at least H liked events in `test` on items of the tree.
    """
    if not len(test) or not len(train):
        return None
    acting = test.positive().n_by_user >= config.horizon
    chosen = draw_users(acting & (train.n_by_user > 0), config.max_forecast_users, seed)
    with one_thread():
        history = History(train, text_membership)
        return _test(forecast, history, test.take(chosen[test.user_row]), tree, config, test.start)


test_forecast.__test__ = False  # type: ignore[attr-defined]  # pytest: this is no test


def _test(
    forecast: Forecast, train: History, test: Events, tree: InterestTree, config: InterestsConfig, cut: float
) -> LayerReport | None:
    known = know(train, tree, config, cut)
    test = known.told(test)
    tables: dict[str, list[pl.DataFrame]] = {"methods": [], "layers": []}
    finest: dict[str, Any] = {}
    for level in range(1, tree.n_levels + 1):
        seen = observe(known, test, level)
        features, points, hits, n_users = seen.features, seen.points, seen.hits, seen.n_users
        if n_users < MIN_TEST_USERS:
            return None
        chance = forecast.predict(features, level, seen.user).astype(np.float64)
        outcome = hits > 0
        name = str(forecast.models[level].to_parts().config["kind"])
        actual = hits / config.horizon
        j = squared_error(actual, forecast.shares(features, level, seen.user), seen.user)
        tables["methods"].append(_method_row(level, name, outcome, chance, True, j))
        if name != "smoothed_share":
            share = SmoothedShare().predict(features)
            j = squared_error(actual, shares_of(share, seen.user, config.horizon), seen.user)
            tables["methods"].append(_method_row(level, "smoothed_share", outcome, share, True, j))
        layered = assign_layers(chance, core=config.core, secondary=config.secondary)
        tables["layers"].append(_layer_rows(level, "forecast", layered, hits, n_users, config.horizon))
        for rule in RULES:
            ruled = apply_rule(rule, known, level, points)
            error = None if ruled.share is None else squared_error(actual, ruled.share, seen.user)
            tables["methods"].append(_method_row(level, rule, outcome, ruled.score, False, error))
            tables["layers"].append(_layer_rows(level, rule, ruled.layer, hits, n_users, config.horizon))
        finest = {"n_users": n_users, "n_points": len(hits), "base_rate": float(outcome.mean()), "cut": cut}
        finest |= {"next_share_on_points": float(hits.sum() / (n_users * config.horizon))}
        if level == tree.n_levels:
            diagram = reliability(outcome, chance)
    methods, layers = pl.concat(tables["methods"]), pl.concat(tables["layers"])
    at_leaves = pl.col("level") == tree.n_levels
    return LayerReport(
        diagram,
        methods.filter(at_leaves).drop("level"),
        layers.filter(at_leaves & (pl.col("method") == "forecast")).drop("level", "method"),
        methods,
        layers,
        finest,
    )


def _method_row(
    level: int, name: str, outcome: npt.NDArray[np.bool_], score: Array, is_chance: bool, j: float | None
) -> pl.DataFrame:
    row = {
        "level": level,
        "method": name,
        "auc": auc(outcome, score),
        "brier": brier(outcome, score) if is_chance else None,
        "ece": calibration_error(outcome, score) if is_chance else None,
        "ece_by_chance": calibration_noise(score) if is_chance else None,
        "ece_width": calibration_error(outcome, score, equal="width") if is_chance else None,
        "j": j,
    }
    names = ("auc", "brier", "ece", "ece_by_chance", "ece_width", "j")
    kinds = {"level": pl.Int32, "method": pl.String} | dict.fromkeys(names, pl.Float64)
    return pl.DataFrame([row], schema=kinds)


def _layer_rows(
    level: int, method: str, layer: npt.NDArray[np.int8], hits: npt.NDArray[np.int64], n_users: int, horizon: int
) -> pl.DataFrame:
    n = np.bincount(layer, minlength=3)
    events = np.bincount(layer, hits, 3)
    filled = [int(k) or None for k in n]  # an empty layer has no rate
    return pl.DataFrame(
        {
            "level": np.full(3, level, np.int32),
            "method": [method] * 3,
            "layer": list(LAYERS),
            "n_points": n.astype(np.int64),
            "hits": np.bincount(layer, hits > 0, 3),
            "events": events,
            "filled": pl.Series(filled, dtype=pl.Int64),
        }
    ).select(
        "level",
        "method",
        "layer",
        "n_points",
        hit_rate=pl.col("hits") / pl.col("filled"),
        next_share=pl.col("events") / (n_users * horizon),
        hit_share=pl.col("events") / (pl.col("filled") * horizon),
    )
