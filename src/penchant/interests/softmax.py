"""Layers by a small network: a softmax over each user's interests, trained on the weighted squared error of shares.

A network scores every (user, interest) point from the features that the forecast reads too,

    s = z . a + tanh(z W + b) . v + c,        z = the features, clipped and standardised,

and a softmax over one user's points turns scores into the expected shares of the user's next H events,

    y_hat(k) = exp(s_k) / (1 + sum over the user's points of exp(s)).

The 1 stands for "somewhere new": an interest without a point yet, of score 0. W and the others are shared by all
points, so users may have any number of interests. What is made least is

    J = sum over users and their points of w (y - y_hat)^2,

y = share of the user's next H events that touched the point. Every user counted has exactly H such events, so a weight
by events and a weight by users are the same one; w = 1. The chance that H events touch a point follows from its share
as if they were drawn one by one, 1 - (1 - y_hat)^H, and beta calibration (Kull et al. 2017: logistic regression on
log q and -log(1 - q), slopes not below 0, so the order of chances stays) on the same past windows mends what that
leaves out: events of one interest come in bunches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from penchant.data import IntArray, Parts
from penchant.interests.calibration import sigmoid
from penchant.interests.features import SMALL
from penchant.interests.logistic import Rows, Scaling, learn_scaling, newton_weights

Array = npt.NDArray[np.float64]

N_HIDDEN = 8
PENALTY = 2.0  # on squared weights, beside J: the more users, the less it weighs
MAX_STEPS = 200
MAX_FIT_POINTS = 60_000  # a few hundred numbers are learnt well from these


@dataclass(frozen=True)
class Softmax:
    """hidden: (d + 1, n_hidden) W, its last row b. out: (d + n_hidden + 1,) a, v, c. beta: (3,) slopes on log q and
    -log(1 - q) of a chance q, and the intercept. horizon: H."""

    scaling: Scaling
    hidden: Array
    out: Array
    beta: Array
    horizon: int

    def shares(self, features: Array, user: Rows) -> Array:
        """(n_points,) expected share of the user's next events on each point; a user's sum is below 1.

        Args:
            features: (n_points, d). user: (n_points,) whose point it is; the points of one user lie together.
        """
        z = self.scaling.apply(features)
        width = z.shape[1]
        unit = np.tanh(z @ self.hidden[:-1] + self.hidden[-1])
        return softmax_by_user(z @ self.out[:width] + unit @ self.out[width:-1] + self.out[-1], user)

    def predict(self, features: Array, user: Rows) -> Array:
        """(n_points,) chance that the user's next H events touch the point; never nothing, never all."""
        odds = _logs(self.shares(features, user), self.horizon) @ self.beta[:-1] + self.beta[-1]
        return np.clip(sigmoid(odds), SMALL, 1 - SMALL)

    def to_parts(self) -> Parts:
        arrays = {**self.scaling.arrays(), "hidden": self.hidden, "out": self.out, "beta": self.beta}
        return Parts({"kind": "softmax", "horizon": self.horizon}, arrays)

    @classmethod
    def from_parts(cls, parts: Parts) -> Softmax:
        def of(name: str) -> Array:
            return np.asarray(parts.arrays[name], np.float64)

        scaling = Scaling(of("low"), of("high"), of("centre"), of("scale"))
        return cls(scaling, of("hidden"), of("out"), of("beta"), int(parts.config["horizon"]))


def softmax_by_user(score: Array, user: Rows) -> Array:
    """(n_points,) exp(score) over the user's sum of them plus 1; the points of one user lie together.

    >>> softmax_by_user(np.array([0.0, 0.0, np.log(3.0)]), np.array([4, 4, 7])).round(4).tolist()
    [0.3333, 0.3333, 0.75]
    """
    group, first = _groups(user)
    if not len(first):
        return np.zeros(0)
    top = np.maximum(np.maximum.reduceat(score, first), 0.0)  # the largest score of a user: no overflow
    raised = np.exp(score - top[group])
    return np.asarray(raised / (np.add.reduceat(raised, first) + np.exp(-top))[group])


def scaled_by_user(values: Array, user: Rows) -> Array:
    """(n_points,) values over their user's sum; zeros where that is 0. The points of one user lie together.

    >>> scaled_by_user(np.array([1.0, 3.0, 0.0]), np.array([4, 4, 7])).tolist()
    [0.25, 0.75, 0.0]
    """
    group, first = _groups(user)
    total = np.add.reduceat(values, first)[group] if len(first) else np.zeros(0)
    return np.divide(values, total, out=np.zeros(len(values)), where=total > 0)


def squared_error(actual: Array, expected: Array, user: Rows) -> float:
    """J of a user, on average: sum of squared differences of shares over a user's points, mean over users.

    >>> squared_error(np.array([0.5, 0.5, 1.0]), np.array([0.5, 0.0, 0.9]), np.array([0, 0, 1]))
    0.13
    """
    n_users = len(_groups(user)[1])
    return float(np.square(actual - expected).sum() / n_users) if n_users else float("nan")


def fit_softmax(features: Array, share: Array, user: Rows, *, horizon: int, seed: int) -> Softmax:
    """Train by L-BFGS on the analytic gradient of J, then scale the chances.

    Args:
        features: (n_points, d). share: (n_points,) of the user's next H events that touched the point.
        user: (n_points,) whose point it is, the points of one user together; the same user at two cuts is two.
        seed: draws the first W, and the users learnt from where there are more than `MAX_FIT_POINTS` points.
    Cost: seconds; steps x points x d x n_hidden.
    """
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    scaling = learn_scaling(features)
    z = scaling.apply(features)
    kept = _draw(user, rng)
    width = z.shape[1]
    start = np.concatenate([rng.normal(0, 1 / np.sqrt(width), (width + 1) * N_HIDDEN), np.zeros(width + N_HIDDEN + 1)])
    group, first = _groups(user[kept])
    found = minimize(
        loss_and_slope,
        start,
        args=(z[kept], share[kept], group, first),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_STEPS},
    ).x
    n = (width + 1) * N_HIDDEN
    raw = Softmax(scaling, found[:n].reshape(width + 1, N_HIDDEN), found[n:], np.array([1.0, 1.0, 0.0]), horizon)
    return replace(raw, beta=learn_beta(_logs(raw.shares(features, user), horizon), share > 0))


def loss_and_slope(weights: Array, z: Array, share: Array, group: IntArray, first: IntArray) -> tuple[float, Array]:
    """J a user with the penalty, and its slope by every weight.

    Args:
        weights: W with b, then a, v, c, in one row. group, first: number of each point's user, each user's first point.
    """
    n_users, width = len(first), z.shape[1]
    n = (width + 1) * N_HIDDEN
    hidden, out = weights[:n].reshape(width + 1, N_HIDDEN), weights[n:]
    unit = np.tanh(z @ hidden[:-1] + hidden[-1])
    expected = softmax_by_user(z @ out[:width] + unit @ out[width:-1] + out[-1], group)
    miss = expected - share
    # d J / d s_k = 2 y_hat_k (miss_k - sum over the user of miss_j y_hat_j)
    pull = np.add.reduceat(miss * expected, first)[group]
    by_score = 2.0 * expected * (miss - pull) / n_users
    by_unit = by_score[:, None] * out[width:-1] * (1.0 - unit**2)
    free = np.ones(len(weights))
    free[n - N_HIDDEN : n] = 0.0  # b and c pay nothing
    free[-1] = 0.0
    by_weight = [(z.T @ by_unit).ravel(), by_unit.sum(axis=0), z.T @ by_score, unit.T @ by_score, [by_score.sum()]]
    penalty = PENALTY / n_users * free
    loss = float(miss @ miss) / n_users + float(penalty @ weights**2)
    return loss, np.concatenate(by_weight) + 2.0 * penalty * weights


def learn_beta(logs: Array, outcome: npt.NDArray[np.bool_]) -> Array:
    """(3,) slopes and intercept of least log loss, the slopes at least 0: one that would fall below leaves.

    Args:
        logs: (n_points, 2) log q and -log(1 - q).
    """
    both = newton_weights(logs, outcome, ridge=0.0)
    if (both[:2] >= 0).all():
        return both
    kept = int(np.argmax(both[:2]))
    one = newton_weights(logs[:, [kept]], outcome, ridge=0.0)
    beta = np.zeros(3)
    beta[[kept, 2]] = max(one[0], 0.0), one[1]
    return beta


def _logs(share: Array, horizon: int) -> Array:
    """(n, 2) log q and -log(1 - q) of q = 1 - (1 - share)^H, both finite."""
    q = np.clip(-np.expm1(horizon * np.log1p(-np.minimum(share, 1 - SMALL))), SMALL, 1 - SMALL)
    return np.column_stack([np.log(q), -np.log1p(-q)])


def _groups(user: Rows) -> tuple[IntArray, IntArray]:
    """Number of each point's user from 0, and the first point of each."""
    fresh = np.ones(len(user), bool)
    fresh[1:] = user[1:] != user[:-1]
    return (np.cumsum(fresh) - 1).astype(np.int32), np.flatnonzero(fresh).astype(np.int32)


def _draw(user: Rows, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Mask of the points of as many users as make about MAX_FIT_POINTS."""
    group, first = _groups(user)
    share = MAX_FIT_POINTS / max(1, len(user))
    if share >= 1:
        return np.ones(len(user), bool)
    chosen = np.zeros(len(first), bool)
    chosen[rng.permutation(len(first))[: max(1, round(share * len(first)))]] = True
    return np.asarray(chosen[group])
