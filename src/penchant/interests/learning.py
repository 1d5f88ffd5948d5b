"""Learning a forecast: points of acting users at past cuts, the choice of a form, one model a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant.config import InterestsConfig
from penchant.data import BoolArray, Events, IntArray, InterestTree
from penchant.interests.affinity import AffinityPoints
from penchant.interests.calibration import brier
from penchant.interests.forecast import FORMS, Blend, ChanceModel, Lessons, SmoothedShare, fit_boosted
from penchant.interests.logistic import fit_logistic
from penchant.interests.windows import History, Knowledge, Window, know, place_windows, read_outcomes

MIN_ACTING_USERS = 50  # user-windows; fewer say nothing about a chance
MIN_OUTCOMES = 50  # points touched, and as many not touched
MAX_WINDOW_POINTS = 30_000  # of a window and level: twenty numbers are learnt well from far fewer

Array = npt.NDArray[np.float64]
Hits = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Observed:
    """Points of acting users at one cut: their features, and how many of each user's next H events touched them."""

    points: AffinityPoints
    features: Array
    hits: Hits

    @property
    def user(self) -> IntArray:
        """(n_points,) row of each point's user, sorted."""
        return self.points.table["user_row"].to_numpy()

    @property
    def n_users(self) -> int:
        return int(self.points.table["user_row"].n_unique())


@dataclass(frozen=True)
class Samples:
    """What was observed of one level, window by window."""

    horizon: int
    windows: list[Window] = field(default_factory=list)
    features: list[Array] = field(default_factory=list)
    hits: list[Hits] = field(default_factory=list)
    users: list[IntArray] = field(default_factory=list)
    n_users: list[int] = field(default_factory=list)

    def add(self, window: Window, seen: Observed) -> None:
        """Take in one window."""
        self.windows.append(window)
        self.features.append(seen.features)
        self.hits.append(seen.hits)
        self.users.append(seen.user)
        self.n_users.append(seen.n_users)

    def between(self, start: float = -np.inf, end: float = np.inf) -> list[int]:
        """Which windows lie within [start, end]."""
        return [i for i, w in enumerate(self.windows) if w.cut >= start and w.end <= end]

    def of(self, chosen: Sequence[int]) -> Lessons:
        """Features and outcomes of one window or more."""
        n_users = 1 + max((int(self.users[i].max(initial=0)) for i in chosen), default=0)
        return Lessons(
            np.concatenate([self.features[i] for i in chosen]),
            np.concatenate([self.hits[i] for i in chosen]),
            np.concatenate([self.users[i].astype(np.int64) + n_users * k for k, i in enumerate(chosen)]),
            self.horizon,
        )

    def lack(self, chosen: Sequence[int]) -> str:
        """Why these windows say too little; "" if they say enough."""
        n_users = sum(self.n_users[i] for i in chosen)
        n_hit = sum(int((self.hits[i] > 0).sum()) for i in chosen)
        n_miss = sum(len(self.hits[i]) for i in chosen) - n_hit
        if n_users < MIN_ACTING_USERS:
            return f"{n_users} users acted often enough after the cuts, {MIN_ACTING_USERS} are needed"
        if min(n_hit, n_miss) < MIN_OUTCOMES:
            return f"{n_hit} points touched and {n_miss} not after the cuts, {MIN_OUTCOMES} of each are needed"
        return ""


def draw_users(able: BoolArray, n: int, seed: int) -> BoolArray:
    """Mask of at most `n` of the able users."""
    rows = np.flatnonzero(able)
    if len(rows) <= n:
        return able
    out = np.zeros(len(able), bool)
    out[np.random.default_rng(seed).choice(rows, n, replace=False)] = True
    return out


def observe(known: Knowledge, after: Events, level: int) -> Observed:
    """Points of the acting users at a cut, and what the events after it (`known.told`) did with them."""
    outcome = read_outcomes(after, known.home(level), known.points[level].n_columns, known.config.horizon)
    points, features = known.features(level, known.crowd(level), outcome.acting)
    hits = outcome.hits(points.table["user_row"].to_numpy(), points.table["column"].to_numpy())
    return Observed(points, features, hits)


def sample(history: History, tree: InterestTree, config: InterestsConfig, seed: int) -> dict[int, Samples]:
    """Observe every window at every level. Windows with more points than needed are thinned by users."""
    out = {level: Samples(config.horizon) for level in range(1, tree.n_levels + 1)}
    for number, window in enumerate(place_windows(history.events)):
        known = know(history.before(window.cut), tree, config, window.cut)
        after = known.told(history.events.between(window.cut, window.end))
        acting = np.asarray(after.n_by_user >= config.horizon)
        n_points = int(acting[known.points[tree.n_levels].table["user_row"].to_numpy()].sum())
        if n_points > MAX_WINDOW_POINTS:
            n_kept = int(acting.sum() * MAX_WINDOW_POINTS / n_points)
            after = after.take(draw_users(acting, n_kept, seed + number)[after.user_row])
        for level, samples in out.items():
            seen = observe(known, after, level)
            if seen.n_users:
                samples.add(window, seen)
    return out


def choose_form(
    samples: Samples, cut: float, end: float, config: InterestsConfig, seed: int
) -> tuple[str, dict[str, float]]:
    """The form asked for, or the one of least Brier score on the windows in [cut, end], fitted on those before.

    Returns:
        Its name, and the Brier scores compared (empty where none were). Where there is too little to compare it is
        `logistic`, the form with the fewest free numbers.
    """
    if config.forecast_model != "auto":
        return config.forecast_model, {}
    early, late = samples.between(end=cut), samples.between(cut, end)
    if samples.lack(early) or samples.lack(late):
        return "logistic", {}
    seen, later = samples.of(early), samples.of(late)
    logistic = fit_logistic(seen.features, seen.outcome)
    boosted = fit_boosted(seen.features, seen.outcome, seed=seed)
    trials: dict[str, ChanceModel] = {"logistic": logistic, "boosted": boosted, "blend": Blend(logistic, boosted)}
    scores = {name: brier(later.outcome, trials[name].predict(later.features, later.user)) for name in sorted(trials)}
    return min(scores, key=lambda name: (scores[name], name)), scores


def fit_levels(
    samples: dict[int, Samples], form: str, seed: int, end: float = np.inf
) -> tuple[dict[int, ChanceModel], str]:
    """One model a level from the windows that end by `end`, and the method used, stand-ins named."""
    models: dict[int, ChanceModel] = {}
    lacks: dict[int, str] = {}
    for level, seen in samples.items():
        chosen = seen.between(end=end)
        lack = seen.lack(chosen)
        if lack:
            models[level], lacks[level] = SmoothedShare(), lack
        else:
            models[level] = FORMS[form](seen.of(chosen), seed)
    if len(lacks) == len(samples):
        return models, f"smoothed_share: {lacks[max(lacks)]}"
    stand_ins = "".join(f"; smoothed_share at level {level}: {lack}" for level, lack in sorted(lacks.items()))
    return models, form + stand_ins


def facts_of(samples: Samples, trials: dict[str, float]) -> dict[str, Any]:
    """What the forecast was learnt from."""
    return {
        "n_windows": len(samples.windows),
        "n_user_windows": sum(samples.n_users),
        "n_points": sum(len(h) for h in samples.hits),
        "brier_of_trials": trials,
    }
