"""Search for the way to make segments that scores best by `choose`: told of later, so far as members meet again.

Optuna's tree-structured Parzen estimator (Bergstra et al. 2011) proposes method, number, starts and the steps after the
clustering; each proposal is judged on the same deals of the users. The first one is what is done without a search:
k-means with the number `choose_n` takes. Since the best of many noisy scores is partly luck, the leaders are judged
once more on deals that no trial has seen, and one takes the place of the first only where it is ahead there by more
than a standard error. Needs the extra `tune`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import FloatArray
from penchant.errors import ConfigError, DataError, MissingExtraError, OutputError, did_you_mean
from penchant.segments.algorithms import METHODS, method_row
from penchant.segments.choose import Bench, choose_n, judge, make_bench
from penchant.segments.method import Init
from penchant.segments.recipe import Recipe

QUICK = ("kmeans", "minibatch", "bisecting", "ward", "average", "gmm", "dbscan", "hdbscan")
_BLIND = 15  # first trials, drawn by chance
_N_LEADERS = 4
_N_FRESH = 8  # deals that the leaders are judged on
_NAME = "penchant segments"
Way = tuple[Recipe, int | None]  # a recipe and the number of segments asked of it


@dataclass(frozen=True)
class Optimised:
    """recipe, n_segments (None = left to the method): what to take. gain: its score on fresh deals, relative to
    k-means without a search; 0 where nothing was ahead. rule: in words.

    trials: number i64 · method, init str · n_segments i64? · split_above, merge_above f64? · min_share, score,
    stability, separation, assigned_share f64; as settings: `settings()`.
    """

    recipe: Recipe
    n_segments: int | None
    gain: float
    rule: str
    trials: pl.DataFrame

    def settings(self) -> dict[str, Any]:
        """The section `segments` of a config that makes these segments."""
        return {
            "method": self.recipe.method,
            "n_segments": "auto" if self.n_segments is None else self.n_segments,
            "init": self.recipe.init,
            "split_above": self.recipe.split_above,
            "merge_above": self.recipe.merge_above,
            "min_segment_share": self.recipe.min_share,
        }


def optimise(
    rows: FloatArray,
    *,
    seed: int,
    n_trials: int | None = 60,
    seconds: float | None = None,
    study: Path | None = None,
    later: sp.csr_array | None = None,
    methods: tuple[str, ...] = QUICK,
    max_segments: int = 20,
    max_users: int = 3000,
) -> Optimised:
    """Choose method, number of segments, starts, splitting, merging and joining by search.

    Same rows, settings and number of trials: same result, whether run at once or resumed; a budget in seconds ends at
    a number of trials that depends on the machine.

    Args:
        rows: (n_users, d) finite; rows of zeros are left out.
        n_trials: trials of the study in all, those of earlier runs among them. seconds: no trial starts after them.
            At least one of the two.
        study: an SQLite file to keep trials in; an existing one is gone on with.
        later: (n_users, n_leaves) shares of each user's later events, see `choose_n`; None = separation is the
            silhouette.
        methods: names of `METHODS` to search among; optics and deep are left out unless named, as they take long.
        max_users: a larger log is judged by this many users.
    Raises:
        MissingExtraError: Optuna is not installed.
        ConfigError: no budget, or an unknown method.
        DataError: the study file is of other rows or settings.
        OutputError: the study file can't be read or written.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("segments.optimise", "tune") from None

    if n_trials is None and seconds is None:
        raise ConfigError("segments.optimise: give a budget, n_trials or seconds (or both)")
    if not methods:
        raise ConfigError(f"segments.optimise: name a method at least; {did_you_mean('', list(METHODS))}")
    for method in methods:
        method_row(method)
    plain = choose_n(rows, Recipe(), max_segments=max_segments, max_users=max_users, seed=seed, later=later)
    bench = make_bench(rows, max_users=max_users, seed=seed, later=later)
    most = min(max_segments, bench.most)
    if plain.n_segments is None or plain.n_segments < 2 or most < 2:
        return Optimised(Recipe(), 1, 0.0, plain.rule, _table([]))
    first: Way = Recipe(), plain.n_segments

    about = {"rows": _fingerprint(bench), "seed": seed, "methods": list(methods), "max_segments": most}
    loud = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        record = _open(optuna, study, about)
        _search(optuna, record, bench, first[1], methods, most, seed, n_trials, seconds)
        return _conclude(bench, first, _done(optuna, record), seed)
    finally:
        optuna.logging.set_verbosity(loud)


def _search(
    optuna: Any,
    record: Any,
    bench: Bench,
    n_first: int | None,
    methods: tuple[str, ...],
    most: int,
    seed: int,
    n_trials: int | None,
    seconds: float | None,
) -> None:
    """Add trials to the record until the budget is spent."""
    for trial in record.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:  # cut off: left so, the sampler would reckon with it
            record.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    deals, started = bench.deals(), time.monotonic()
    space = ("kmeans", *(m for m in methods if m != "kmeans"))  # the first trial is always k-means
    n_done = len(_done(optuna, record))
    while n_trials is None or n_done < n_trials:
        if n_done and seconds is not None and time.monotonic() - started > seconds:
            break
        if n_done == 0:
            record.enqueue_trial({"method": "kmeans", "n_segments": n_first, "init": "plusplus", **_OFF})
        # a sampler for each trial, seeded by how many are done: a search that was resumed, or killed in a trial, goes
        # on as the unbroken one would have
        record.sampler = optuna.samplers.TPESampler(seed=seed * 1_000_003 + n_done, n_startup_trials=_BLIND)
        trial = record.ask()
        recipe, n = _suggest(trial, space, most)
        found = judge(bench, deals, recipe, n, seed)
        for name in ("stability", "separation", "assigned_share"):
            trial.set_user_attr(name, getattr(found, name))
        record.tell(trial, found.score)
        n_done += 1


_OFF = {"split": False, "merge": False, "join": False}


def _suggest(trial: Any, methods: tuple[str, ...], most: int) -> Way:
    method = trial.suggest_categorical("method", methods)
    spec = METHODS[method]
    n = trial.suggest_int("n_segments", 2, most)
    init: Init = trial.suggest_categorical("init", spec.inits) if len(spec.inits) > 1 else "plusplus"
    split = trial.suggest_float("split_above", 1.05, 1.6) if trial.suggest_categorical("split", (False, True)) else None
    merge = trial.suggest_float("merge_above", 0.05, 0.6) if trial.suggest_categorical("merge", (False, True)) else None
    share = trial.suggest_float("min_share", 0.01, 0.08) if trial.suggest_categorical("join", (False, True)) else 0.0
    return Recipe(method, init, split, merge, share), n


def _recipe_of(params: dict[str, Any]) -> Way:
    return Recipe(
        params["method"],
        params.get("init", "plusplus"),
        params.get("split_above"),
        params.get("merge_above"),
        params.get("min_share", 0.0),
    ), params["n_segments"]


def _conclude(bench: Bench, first: Way, done: list[Any], seed: int) -> Optimised:
    """Judge the leaders on fresh deals, one by one, beside the first."""
    ranked = sorted(done, key=lambda t: -t.value)  # stable: of equal scores the earlier trial
    leaders: list[Way] = []
    for t in ranked:
        if _recipe_of(t.params) not in (*leaders, first) and len(leaders) < _N_LEADERS:
            leaders.append(_recipe_of(t.params))
    fresh = bench.deals(_N_FRESH)

    def scores(recipe: Recipe, n: int | None) -> Any:
        return np.array([judge(bench, [deal], recipe, n, seed + 1000 + i).score for i, deal in enumerate(fresh)])

    base = scores(*first)
    best, gain = first, 0.0
    for recipe, n in leaders:
        ahead = scores(recipe, n) - base
        error = float(ahead.std(ddof=1) / np.sqrt(len(ahead)))
        if ahead.mean() > error and ahead.mean() > gain:
            best, gain = (recipe, n), float(ahead.mean())
    table = _table(done)
    if best == first:
        rule = f"k-means as without a search: none of {len(done)} trials is ahead on fresh deals by a standard error"
        return Optimised(*first, 0.0, rule, table)
    share = gain / max(float(base.mean()), 1e-12)
    rule = f"best of {len(done)} trials; {share:.0%} ahead of k-means without a search on fresh deals"
    return Optimised(*best, share, rule, table)


def _table(done: list[Any]) -> pl.DataFrame:
    made = [(t, *_recipe_of(t.params)) for t in done]
    columns: dict[str, tuple[list[Any], Any]] = {
        "number": (list(range(len(made))), pl.Int64),
        "method": ([r.method for _, r, _ in made], pl.String),
        "n_segments": ([n for _, _, n in made], pl.Int64),
        "init": ([r.init for _, r, _ in made], pl.String),
        "split_above": ([r.split_above for _, r, _ in made], pl.Float64),
        "merge_above": ([r.merge_above for _, r, _ in made], pl.Float64),
        "min_share": ([r.min_share for _, r, _ in made], pl.Float64),
        "score": ([t.value for t, _, _ in made], pl.Float64),
    }
    for name in ("stability", "separation", "assigned_share"):
        columns[name] = ([t.user_attrs[name] for t, _, _ in made], pl.Float64)
    return pl.DataFrame([pl.Series(name, values, dtype=kind) for name, (values, kind) in columns.items()])


def _done(optuna: Any, record: Any) -> list[Any]:
    """Trials that ended, in order; one that was cut off is left out."""
    return [t for t in record.trials if t.state == optuna.trial.TrialState.COMPLETE]


def _open(optuna: Any, path: Path | None, about: dict[str, Any]) -> Any:
    """A study in memory, or in a file that is gone on with if it is of the same rows and settings."""
    from sqlalchemy.exc import SQLAlchemyError

    storage = None if path is None else f"sqlite:///{Path(path).resolve()}"
    try:
        record = optuna.create_study(study_name=_NAME, storage=storage, direction="maximize", load_if_exists=True)
    except SQLAlchemyError as error:
        raise OutputError(
            f"{path}: can't be used as a study file ({type(error).__name__}); give the path of a new file in an "
            "existing folder, or one that an earlier search wrote"
        ) from None
    known = record.user_attrs.get("about")
    if known is None:
        record.set_user_attr("about", about)
    elif known != about:
        other = ", ".join(sorted(k for k in about if known.get(k) != about[k]))
        raise DataError(f"{path}: is a study of other {other}; give another file, or the same data and settings")
    return record


def _fingerprint(bench: Bench) -> str:
    import hashlib

    return hashlib.sha256(bench.rows.tobytes() + bench.apart.name.encode()).hexdigest()[:16]
