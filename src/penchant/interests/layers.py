"""Layers as forecasts: learn from the log's own past how likely a user comes back to an interest, and prove it.

For cuts in the past: features of (user, interest) before the cut; outcome = any of the user's next H liked item events
touches it. One small model a level gives `probability`; two thresholds make layers of it. The forecast is conditional
on the user acting: only users with at least H events after a cut are counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import LAYERS, Events, InterestTree
from penchant.interests.calibration import auc, brier, calibration_error, check_probabilities, reliability
from penchant.interests.features import FEATURES
from penchant.interests.forecast import FORMS, ChanceModel, Forecast, LayerReport, SmoothedShare
from penchant.interests.rules import RULES, apply_rule, bands
from penchant.interests.windows import History, Knowledge, Window, know, last_cut, place_windows, read_outcomes

__all__ = ["Forecast", "LayerReport", "assign_layers", "fit_forecast", "test_forecast"]

MIN_ACTING_USERS = 50  # user-windows; fewer say nothing about a chance
MIN_OUTCOMES = 50  # points touched, and as many not touched
MIN_TEST_USERS = 10

Array = npt.NDArray[np.float64]
FloatVector = npt.NDArray[np.float32] | Array


class Samples:
    """Points of acting users at some cuts: features, outcomes, and the cut each came from."""

    def __init__(self) -> None:
        self.features: list[Array] = []
        self.hits: list[npt.NDArray[np.int64]] = []
        self.users: list[int] = []
        self.windows: list[Window] = []

    def add(self, features: Array, hits: npt.NDArray[np.int64], n_users: int, window: Window) -> None:
        self.features.append(features)
        self.hits.append(hits)
        self.users.append(n_users)
        self.windows.append(window)

    def of(self, chosen: list[int]) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Features and outcomes of some windows."""
        if not chosen:
            return np.zeros((0, len(FEATURES))), np.zeros(0, bool)
        return np.concatenate([self.features[i] for i in chosen]), np.concatenate([self.hits[i] for i in chosen]) > 0

    def enough(self, chosen: list[int]) -> str:
        """Why these windows say too little; "" if they say enough."""
        users = sum(self.users[i] for i in chosen)
        n_hit = sum(int((self.hits[i] > 0).sum()) for i in chosen)
        n_miss = sum(len(self.hits[i]) for i in chosen) - n_hit
        if users < MIN_ACTING_USERS:
            return f"{users} users acted often enough after the cuts, {MIN_ACTING_USERS} are needed"
        if min(n_hit, n_miss) < MIN_OUTCOMES:
            return f"{n_hit} points touched and {n_miss} not after the cuts, {MIN_OUTCOMES} of each are needed"
        return ""


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
        A forecast. Where the past is too short it is the smoothed share, and `method_used` says why. Its report is
        told of the tree given, which has seen the last window; `test_forecast` on a log cut in two has no such help.
    """
    history = _draw(History(events, text_membership), config, seed)
    models, used, facts = _learn(history, tree, config, seed)
    report = None
    cut = last_cut(history.events)
    past = history.before(cut)
    if len(past.events):
        earlier, earlier_used, _ = _learn(past, tree, config, seed)
        trial = Forecast(earlier, earlier_used, config.horizon)
        report = _test(trial, past, history.events.between(cut, np.inf), tree, config, cut)
    return Forecast(models, used, config.horizon, report, facts)


def test_forecast(
    forecast: Forecast,
    train: Events,
    test: Events,
    tree: InterestTree,
    config: InterestsConfig,
    *,
    seed: int = 0,
    text_membership: sp.csr_array | None = None,
) -> LayerReport | None:
    """Test a forecast on events that neither it nor the tree has seen.

    Args:
        forecast: fitted on `train`. test: what came after. tree: grown on `train`.
        seed: draws the users tested where there are more than `max_forecast_users`.
        text_membership: of the text events of `train`.
    Returns:
        None where fewer than 10 users have points and at least H liked item events in `test`.
    """
    if not len(test) or not len(train):
        return None
    acting = test.positive().n_by_user >= config.horizon
    chosen = _draw_users(acting & (train.n_by_user > 0), config.max_forecast_users, seed)
    return _test(forecast, History(train, text_membership), test.take(chosen[test.user_row]), tree, config, test.start)


test_forecast.__test__ = False  # type: ignore[attr-defined]  # pytest: this is no test


def _draw(history: History, config: InterestsConfig, seed: int) -> History:
    able = history.events.positive().n_by_user > config.horizon
    if int(able.sum()) <= config.max_forecast_users:
        return history
    return history.of_users(_draw_users(np.asarray(able), config.max_forecast_users, seed))


def _draw_users(able: npt.NDArray[np.bool_], n: int, seed: int) -> npt.NDArray[np.bool_]:
    rows = np.flatnonzero(able)
    if len(rows) <= n:
        return able
    out = np.zeros(len(able), bool)
    out[np.random.default_rng(seed).choice(rows, n, replace=False)] = True
    return out


def _learn(
    history: History, tree: InterestTree, config: InterestsConfig, seed: int
) -> tuple[dict[int, ChanceModel], str, dict[str, Any]]:
    """Models by level, the method used, and facts of the fit."""
    samples = _sample(history, tree, config)
    all_windows = list(range(len(samples[tree.n_levels].windows)))
    why = samples[tree.n_levels].enough(all_windows)
    if why:
        return {level: SmoothedShare() for level in samples}, f"smoothed_share: {why}", {"n_windows": len(all_windows)}
    chosen, trials = _choose_form(samples[tree.n_levels], last_cut(history.events), config, seed)
    models = {level: _fit_level(FORMS[chosen], sample, all_windows, seed) for level, sample in samples.items()}
    stood_in = [level for level, model in models.items() if isinstance(model, SmoothedShare)]
    used = chosen + (f"; smoothed_share at level {', '.join(map(str, stood_in))}: too few outcomes" if stood_in else "")
    facts = {
        "n_windows": len(all_windows),
        "n_users": sum(samples[tree.n_levels].users),
        "n_points": sum(len(h) for h in samples[tree.n_levels].hits),
        "trials": trials,
    }
    return models, used, facts


def _fit_level(form: Any, samples: Samples, windows: list[int], seed: int) -> ChanceModel:
    if samples.enough(windows):
        return SmoothedShare()
    features, outcome = samples.of(windows)
    return form(features, outcome, seed=seed)  # type: ignore[no-any-return]


def _choose_form(
    samples: Samples, cut: float, config: InterestsConfig, seed: int
) -> tuple[str, list[dict[str, Any]]]:
    """The form asked for, or the one of least Brier score on the windows after `cut` when fitted on those before."""
    if config.forecast_model != "auto":
        return config.forecast_model, []
    early = [i for i, w in enumerate(samples.windows) if w.end <= cut]
    late = [i for i, w in enumerate(samples.windows) if w.cut >= cut]
    if samples.enough(early) or samples.enough(late):
        return "logistic", []  # too little to compare: the form with the fewest free numbers
    features, outcome = samples.of(early)
    later_features, later_outcome = samples.of(late)
    trials = []
    for name in sorted(FORMS):
        chance = FORMS[name](features, outcome, seed=seed).predict(later_features)
        trials.append({"form": name, "brier": brier(later_outcome, chance)})
    return min(trials, key=lambda t: (t["brier"], t["form"]))["form"], trials


def _sample(history: History, tree: InterestTree, config: InterestsConfig) -> dict[int, Samples]:
    """Points of acting users at every window, by level."""
    out = {level: Samples() for level in range(1, tree.n_levels + 1)}
    for window in place_windows(history.events):
        known = know(history.before(window.cut), tree, config, window.cut)
        after = history.events.between(window.cut, window.end)
        for level, samples in out.items():
            features, _, hits, n_users = _observe(known, after, level)
            if n_users:
                samples.add(features, hits, n_users, window)
    return out


def _observe(known: Knowledge, after: Events, level: int) -> tuple[Array, Any, npt.NDArray[np.int64], int]:
    home = np.where(known.placed, known.home(level), -1).astype(np.int32)
    outcome = read_outcomes(after, home, known.points[level].n_columns, known.config.horizon)
    points, features = known.features(level, known.crowd(level), outcome.acting)
    user = points.table["user_row"].to_numpy()
    return features, points, outcome.hits(user, points.table["column"].to_numpy()), len(np.unique(user))


def _test(
    forecast: Forecast, train: History, test: Events, tree: InterestTree, config: InterestsConfig, cut: float
) -> LayerReport | None:
    known = know(train, tree, config, cut)
    tables: dict[str, list[pl.DataFrame]] = {"methods": [], "layers": []}
    finest: dict[str, Any] = {}
    for level in range(1, tree.n_levels + 1):
        features, points, hits, n_users = _observe(known, test, level)
        if n_users < MIN_TEST_USERS:
            return None
        chance = forecast.predict(features, level).astype(np.float64)
        outcome = hits > 0
        share = SmoothedShare().predict(features)
        tables["methods"].append(_method_row(level, forecast.method_used.split(":")[0], outcome, chance, True))
        tables["methods"].append(_method_row(level, "smoothed_share", outcome, share, True))
        layered = assign_layers(chance, core=config.core, secondary=config.secondary)
        tables["layers"].append(_layer_rows(level, "forecast", layered, hits, n_users, config.horizon))
        for name in RULES:
            ruled = apply_rule(name, known, level, points)
            tables["methods"].append(_method_row(level, name, outcome, ruled.score, False))
            tables["layers"].append(_layer_rows(level, name, ruled.layer, hits, n_users, config.horizon))
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
    level: int, name: str, outcome: npt.NDArray[np.bool_], score: Array, is_chance: bool
) -> pl.DataFrame:
    row = {
        "level": level,
        "method": name,
        "auc": auc(outcome, score),
        "brier": brier(outcome, score) if is_chance else None,
        "ece": calibration_error(outcome, score) if is_chance else None,
        "ece_width": calibration_error(outcome, score, equal="width") if is_chance else None,
    }
    kinds = {"level": pl.Int32, "method": pl.String} | dict.fromkeys(("auc", "brier", "ece", "ece_width"), pl.Float64)
    return pl.DataFrame([row], schema=kinds)


def _layer_rows(
    level: int, method: str, layer: npt.NDArray[np.int8], hits: npt.NDArray[np.int64], n_users: int, horizon: int
) -> pl.DataFrame:
    n = np.bincount(layer, minlength=3)
    touched = np.bincount(layer, hits > 0, 3)
    events = np.bincount(layer, hits, 3)
    return pl.DataFrame(
        {
            "level": np.full(3, level, np.int32),
            "method": [method] * 3,
            "layer": list(LAYERS),
            "n_points": n.astype(np.int64),
            "hit_rate": touched / np.maximum(n, 1),
            "next_share": events / (n_users * horizon),
            "hit_share": events / (np.maximum(n, 1) * horizon),
        }
    )
