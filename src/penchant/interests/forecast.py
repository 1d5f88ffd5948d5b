"""The small models that turn features of an interest point into a chance, and the forecast that holds them.

Forms, in one table: `logistic` (features clipped to the range seen, standardised, L2), `boosted` (gradient-boosted
trees, LightGBM), `blend` (mean of their log odds). All are trained on log loss, whose minimum is the true chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.data import Parts
from penchant.errors import ModelError
from penchant.interests.calibration import logit, sigmoid
from penchant.interests.features import FEATURES

Array = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]

CLIP_QUANTILES = (0.005, 0.995)
RIDGE = 0.01  # penalty a row of data on standardised coefficients
NEWTON_STEPS = 50
BOOSTING = {
    "objective": "binary",
    "learning_rate": 0.1,
    "num_leaves": 7,
    "min_data_in_leaf": 200,
    "lambda_l2": 20.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
BOOSTING_ROUNDS = 60


class ChanceModel(Protocol):
    """Features to chances."""

    def predict(self, features: Array) -> Array: ...

    def to_parts(self) -> Parts: ...


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on clipped, standardised features."""

    low: Array
    high: Array
    centre: Array
    scale: Array
    weights: Array  # the last one is the intercept

    def predict(self, features: Array) -> Array:
        z = (np.clip(features, self.low, self.high) - self.centre) / self.scale
        return sigmoid(z @ self.weights[:-1] + self.weights[-1])

    def to_parts(self) -> Parts:
        names = ("low", "high", "centre", "scale", "weights")
        return Parts({"kind": "logistic"}, {name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class Boosted:
    """Gradient-boosted trees, kept as LightGBM's own text."""

    text: str

    def predict(self, features: Array) -> Array:
        import lightgbm

        return np.asarray(lightgbm.Booster(model_str=self.text).predict(features), np.float64)

    def to_parts(self) -> Parts:
        return Parts({"kind": "boosted", "text": self.text})


@dataclass(frozen=True)
class Blend:
    """Mean of the log odds of two models."""

    logistic: Logistic
    boosted: Boosted

    def predict(self, features: Array) -> Array:
        return sigmoid((logit(self.logistic.predict(features)) + logit(self.boosted.predict(features))) / 2)

    def to_parts(self) -> Parts:
        return Parts({"kind": "blend", "text": self.boosted.text}, self.logistic.to_parts().arrays)


@dataclass(frozen=True)
class SmoothedShare:
    """Stands in where a log has too little past to learn from: 1 - (1 - share) ** H, the share of the user's liked
    touches drawn towards the crowd's (a Beta prior of two events)."""

    def predict(self, features: Array) -> Array:
        return sigmoid(features[:, FEATURES.index("all_chance")])

    def to_parts(self) -> Parts:
        return Parts({"kind": "smoothed_share"})


def fit_logistic(features: Array, outcome: BoolVector, *, seed: int = 0) -> Logistic:
    """Fit by Newton's method; a log loss with an L2 penalty has one minimum, so `seed` changes nothing.

    Args:
        features: (n, d). outcome: (n,).
    """
    del seed
    low, high = np.quantile(features, CLIP_QUANTILES, axis=0)
    clipped = np.clip(features, low, high)
    centre, scale = clipped.mean(axis=0), clipped.std(axis=0)
    scale[scale < 1e-9] = 1.0
    z = np.column_stack([(clipped - centre) / scale, np.ones(len(features))])
    penalty = np.full(z.shape[1], RIDGE * len(features))
    penalty[-1] = 0.0
    weights = np.zeros(z.shape[1])
    weights[-1] = logit(np.array([(outcome.sum() + 0.5) / (len(outcome) + 1.0)]))[0]
    for _ in range(NEWTON_STEPS):
        chance = sigmoid(z @ weights)
        slope = z.T @ (chance - outcome) + penalty * weights
        curve = (z * (chance * (1 - chance))[:, None]).T @ z + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curve, slope)
        weights = weights - step / max(1.0, float(np.abs(step).max()))  # at most 1 a step: no overshooting
        if float(np.abs(step).max()) < 1e-8:
            break
    return Logistic(low, high, centre, scale, weights)


def fit_boosted(features: Array, outcome: BoolVector, *, seed: int = 0) -> Boosted:
    """Fit 60 trees of 7 leaves: small enough to predict millions of points in seconds."""
    import lightgbm

    data = lightgbm.Dataset(features, outcome.astype(np.float64), params={"verbosity": -1})
    booster = lightgbm.train({**BOOSTING, "seed": seed}, data, BOOSTING_ROUNDS)
    return Boosted(booster.model_to_string())


def fit_blend(features: Array, outcome: BoolVector, *, seed: int = 0) -> Blend:
    """Fit both."""
    return Blend(fit_logistic(features, outcome, seed=seed), fit_boosted(features, outcome, seed=seed))


FORMS: dict[str, Callable[..., ChanceModel]] = {
    "logistic": fit_logistic,
    "boosted": fit_boosted,
    "blend": fit_blend,
}


REPORT_TABLES = ("reliability", "methods", "layers", "methods_by_level", "layers_by_level")


@dataclass(frozen=True)
class LayerReport:
    """How a forecast held on a window that no fit saw.

    reliability: of the leaves: bin · low · high · n · mean_probability · hit_rate (ten bins of equally many points).
    methods: of the leaves: method · auc · brier · ece (equal-mass bins) · ece_by_chance (what a perfect forecast shows
        on as many points) · ece_width (equal-width bins); all but auc only where scores are chances.
    layers: of the leaves, by forecast: layer · n_points · hit_rate (share of the points touched) · next_share (share of
        all next events that fall on the layer's points) · hit_share (share of the user's next H events a point gets);
        rates of an empty layer are null.
    methods_by_level, layers_by_level: the same at every level and, for layers, by every rule too.
    facts: users, points, base rate, the cut, the share of next events on any point.
    """

    reliability: pl.DataFrame
    methods: pl.DataFrame
    layers: pl.DataFrame
    methods_by_level: pl.DataFrame
    layers_by_level: pl.DataFrame
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_parts(self) -> Parts:
        return Parts({"facts": dict(self.facts)}, tables={name: getattr(self, name) for name in REPORT_TABLES})


@dataclass(frozen=True)
class Forecast:
    """One model a level.

    method_used: the form, or "smoothed_share: <why>" where the log has too little past.
    report: on the last window of the log, fitted on what lies before; None where there is too little.
    """

    models: Mapping[int, ChanceModel]
    method_used: str
    horizon: int
    report: LayerReport | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, features: Array, level: int) -> npt.NDArray[np.float32]:
        """(n_points,) chance that the user's next H liked item events touch the interest."""
        return self.models[level].predict(features).astype(np.float32)

    def to_parts(self) -> Parts:
        """As settings and arrays: a level's parts are named by it."""
        config: dict[str, Any] = {
            "method_used": self.method_used,
            "horizon": self.horizon,
            "facts": dict(self.facts),
            "features": list(FEATURES),
            "levels": {},
        }
        arrays: dict[str, npt.NDArray[Any]] = {}
        for level, model in sorted(self.models.items()):
            parts = model.to_parts()
            config["levels"][str(level)] = dict(parts.config)
            arrays |= {f"level{level}_{name}": values for name, values in parts.arrays.items()}
        tables: dict[str, pl.DataFrame] = {}
        if self.report is not None:
            parts = self.report.to_parts()
            config["report"] = dict(parts.config)
            tables = {f"report_{name}": table for name, table in parts.tables.items()}
        return Parts(config, arrays, tables)

    @classmethod
    def from_parts(cls, parts: Parts) -> Forecast:
        """Read what `to_parts` gave.

        Raises:
            ModelError: made for other features, or of an unknown kind.
        """
        config = parts.config
        if tuple(config["features"]) != FEATURES:
            raise ModelError("forecast: the model was made for other features; fit it anew with this version")
        models = {int(level): _model_from(int(level), c, parts.arrays) for level, c in config["levels"].items()}
        report = None
        if "report" in config:
            tables = {name: parts.tables[f"report_{name}"] for name in REPORT_TABLES}
            report = LayerReport(**tables, facts=config["report"]["facts"])
        return cls(models, config["method_used"], int(config["horizon"]), report, config["facts"])


def _model_from(level: int, config: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> ChanceModel:
    kind = config["kind"]
    if kind == "smoothed_share":
        return SmoothedShare()
    if kind == "boosted":
        return Boosted(config["text"])
    if kind not in ("logistic", "blend"):
        raise ModelError(f"forecast: unknown kind {kind!r} at level {level}; known: {', '.join(sorted(FORMS))}")
    names = ("low", "high", "centre", "scale", "weights")
    linear = Logistic(*(np.asarray(arrays[f"level{level}_{name}"], np.float64) for name in names))
    return linear if kind == "logistic" else Blend(linear, Boosted(config["text"]))
