"""Logistic regression on clipped, standardised features: the form with the fewest free numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant.data import Parts
from penchant.interests.calibration import logit, sigmoid

Array = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.integer[Any]]

CLIP_QUANTILES = (0.005, 0.995)
RIDGE = 0.01  # penalty a row of data on standardised coefficients
NEWTON_STEPS = 50


@dataclass(frozen=True)
class Scaling:
    """Features clipped to the range seen, then standardised; each field is (d,)."""

    low: Array
    high: Array
    centre: Array
    scale: Array

    def apply(self, features: Array) -> Array:
        """(n, d) of mean 0 and deviation 1 where it was learnt."""
        return np.asarray((np.clip(features, self.low, self.high) - self.centre) / self.scale)

    def arrays(self) -> dict[str, Array]:
        """For saving."""
        return {"low": self.low, "high": self.high, "centre": self.centre, "scale": self.scale}


def learn_scaling(features: Array) -> Scaling:
    """From (n, d) features; a constant one stays unscaled."""
    low, high = np.quantile(features, CLIP_QUANTILES, axis=0)
    clipped = np.clip(features, low, high)
    centre, scale = clipped.mean(axis=0), clipped.std(axis=0)
    scale[scale < 1e-9] = 1.0
    return Scaling(low, high, centre, scale)


@dataclass(frozen=True)
class Logistic:
    """weights: (d + 1,), the last one is the intercept."""

    scaling: Scaling
    weights: Array

    def predict(self, features: Array, user: Rows | None = None) -> Array:
        return sigmoid(self.scaling.apply(features) @ self.weights[:-1] + self.weights[-1])

    def to_parts(self) -> Parts:
        return Parts({"kind": "logistic"}, {**self.scaling.arrays(), "weights": self.weights})


def fit_logistic(features: Array, outcome: BoolVector) -> Logistic:
    """Fit by Newton's method; a log loss with an L2 penalty has one minimum.

    Args:
        features: (n, d). outcome: (n,).
    """
    scaling = learn_scaling(features)
    return Logistic(scaling, newton_weights(scaling.apply(features), outcome, ridge=RIDGE))


def newton_weights(values: Array, outcome: BoolVector, *, ridge: float) -> Array:
    """(d + 1,) weights of least log loss, the intercept last; `ridge` is the penalty a row on all but that.

    >>> newton_weights(np.zeros((3, 0)), np.array([True, True, False]), ridge=0.0).round(4).tolist()
    [0.6931]
    """
    z = np.column_stack([values, np.ones(len(values))])
    penalty = np.full(z.shape[1], ridge * len(values))
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
    return weights
