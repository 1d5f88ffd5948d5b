"""The small models that turn features of an interest point into a chance, and the forecast that holds them.

Forms, in one table: `logistic` (features clipped to the range seen, standardised, L2), `boosted` (gradient-boosted
trees, LightGBM), `blend` (mean of their log odds): trained on log loss, whose minimum is the true chance. `softmax` (a
small network over all of a user's interests) is trained on the squared error of shares; see `softmax.py`.
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
from penchant.interests.logistic import Logistic, Rows, Scaling, fit_logistic
from penchant.interests.softmax import Softmax, fit_softmax, scaled_by_user

Array = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]

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


@dataclass(frozen=True)
class Lessons:
    """What a form learns from: points of acting users, the points of one user at one cut together.

    features: (n, d). hits: (n,) how many of the user's next `horizon` events touched the point. user: (n,) whose point;
    the same user at two cuts is two.
    """

    features: Array
    hits: npt.NDArray[np.int64]
    user: Rows
    horizon: int

    @property
    def outcome(self) -> BoolVector:
        """(n,) touched at all."""
        return np.asarray(self.hits > 0)


class ChanceModel(Protocol):
    """Features to chances. user: (n,) whose point it is, the points of one user together."""

    def predict(self, features: Array, user: Rows) -> Array: ...

    def to_parts(self) -> Parts: ...


@dataclass(frozen=True)
class Boosted:
    """Gradient-boosted trees, kept as LightGBM's own text."""

    text: str

    def predict(self, features: Array, user: Rows | None = None) -> Array:
        import lightgbm

        return np.asarray(lightgbm.Booster(model_str=self.text).predict(features), np.float64)

    def to_parts(self) -> Parts:
        return Parts({"kind": "boosted", "text": self.text})


@dataclass(frozen=True)
class Blend:
    """Mean of the log odds of two models."""

    logistic: Logistic
    boosted: Boosted

    def predict(self, features: Array, user: Rows | None = None) -> Array:
        return sigmoid((logit(self.logistic.predict(features)) + logit(self.boosted.predict(features))) / 2)

    def to_parts(self) -> Parts:
        return Parts({"kind": "blend", "text": self.boosted.text}, self.logistic.to_parts().arrays)


@dataclass(frozen=True)
class SmoothedShare:
    """Stands in where a log has too little past to learn from: 1 - (1 - share) ** H, the share of the user's liked
    touches drawn towards the crowd's (a Beta prior of two events)."""

    def predict(self, features: Array, user: Rows | None = None) -> Array:
        return sigmoid(features[:, FEATURES.index("all_chance")])

    def to_parts(self) -> Parts:
        return Parts({"kind": "smoothed_share"})


def fit_boosted(features: Array, outcome: BoolVector, *, seed: int) -> Boosted:
    """Fit 60 trees of 7 leaves: small enough to predict millions of points in seconds."""
    import lightgbm

    data = lightgbm.Dataset(features, outcome.astype(np.float64), params={"verbosity": -1})
    booster = lightgbm.train({**BOOSTING, "seed": seed}, data, BOOSTING_ROUNDS)
    return Boosted(booster.model_to_string())


def _logistic(seen: Lessons, seed: int) -> Logistic:
    del seed  # a log loss with an L2 penalty has one minimum
    return fit_logistic(seen.features, seen.outcome)


def _boosted(seen: Lessons, seed: int) -> Boosted:
    return fit_boosted(seen.features, seen.outcome, seed=seed)


def _blend(seen: Lessons, seed: int) -> Blend:
    return Blend(_logistic(seen, seed), _boosted(seen, seed))


def _softmax(seen: Lessons, seed: int) -> Softmax:
    return fit_softmax(seen.features, seen.hits / seen.horizon, seen.user, horizon=seen.horizon, seed=seed)


FORMS: dict[str, Callable[[Lessons, int], ChanceModel]] = {
    "logistic": _logistic,
    "boosted": _boosted,
    "blend": _blend,
    "softmax": _softmax,
}


REPORT_TABLES = ("reliability", "methods", "layers", "methods_by_level", "layers_by_level")


@dataclass(frozen=True)
class LayerReport:
    """How a forecast held on a window that no fit saw.

    reliability: of the leaves: bin · low · high · n · mean_probability · hit_rate (ten bins of equally many points).
    methods: of the leaves: method · auc · brier · ece (equal-mass bins) · ece_by_chance (what a perfect forecast shows
        on as many points) · ece_width (equal-width bins) · j; brier to ece_width only where scores are chances. j: sum
        over a user's points of (y - y_hat)^2, mean over users (each weighs 1: each has H next events), y = share of
        the next H events on the point, y_hat = the share the method expects. softmax expects shares itself, with room
        for interests without a point; a chance p of H events is taken back to one event, 1 - (1 - p)^(1 / H), and
        scaled to sum to 1 over the user's points, as the rules by share and by frequency do; the other rules hold no
        shares, so j is null.
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


def shares_of(chance: Array, user: Rows, horizon: int) -> Array:
    """Chances of H events as shares of one event, 1 - (1 - p)^(1 / H), scaled to sum to 1 over each user's points.

    >>> shares_of(np.array([0.75, 0.75, 0.36]), np.array([0, 0, 1]), 2).tolist()
    [0.5, 0.5, 1.0]
    """
    return scaled_by_user(-np.expm1(np.log1p(-np.minimum(chance, 1 - 1e-9)) / horizon), user)


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

    def predict(self, features: Array, level: int, user: Rows) -> npt.NDArray[np.float32]:
        """(n_points,) chance that the user's next H liked item events touch the interest.

        Args:
            user: (n_points,) whose point it is, the points of one user together.
        """
        return self.models[level].predict(features, user).astype(np.float32)

    def shares(self, features: Array, level: int, user: Rows) -> Array:
        """(n_points,) expected share of the user's next events on each point; see `LayerReport` for how."""
        model = self.models[level]
        if isinstance(model, Softmax):
            return model.shares(features, user)
        return shares_of(model.predict(features, user), user, self.horizon)

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
    if kind not in FORMS:
        raise ModelError(f"forecast: unknown kind {kind!r} at level {level}; known: {', '.join(sorted(FORMS))}")
    own = {
        name.removeprefix(f"level{level}_"): np.asarray(a, np.float64)
        for name, a in arrays.items()
        if name.startswith(f"level{level}_")
    }
    if kind == "softmax":
        return Softmax.from_parts(Parts(config, own))
    linear = Logistic(Scaling(own["low"], own["high"], own["centre"], own["scale"]), own["weights"])
    return linear if kind == "logistic" else Blend(linear, Boosted(config["text"]))
