"""Every clustering on the made-up market against its truth, at three difficulties.

    python benchmarks/clusterings.py [--levels easy,middle,hard] [--seeds 10,11,12] [--methods kmeans,gmm] [--out FILE]

Rows are those that `fit` clusters. "given": the true number is told (a hint to methods by density); "auto": the method
or `choose_n` finds it. Truth figures leave bots out, as they have no true segment; an unassigned user is a cluster of
its own there, so leaving users out never pays. Stability: mean ARI between clusterings of random 80 % of the users.
Seconds: one clustering, or choice and clustering with auto. The last rows are what Penchant does by default, and
after a search by `optimise` (`--trials`, 0 = leave it out).
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant import show
from penchant.config import Config, RunOptions, SegmentsConfig, build_config
from penchant.data import FloatArray, IntArray
from penchant.encode import encode_items, make_encoder
from penchant.evaluate.clustering import shape_scores, subsample_stability, truth_scores
from penchant.interests.layers import fit_forecast
from penchant.interests.past import past_shares
from penchant.interests.profiles import make_profiles
from penchant.interests.tree import build_tree
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.pipeline import place_text_events
from penchant.represent import represent
from penchant.segments import METHODS, Recipe, share_matrix
from penchant.segments.algorithms import Clustering
from penchant.segments.choose import choose_n
from penchant.segments.optimise import optimise
from penchant.segments.rows import rows_of_shares

SETTINGS = SegmentsConfig()
SHOWN = ("ari", "ami", "homogeneity", "completeness", "v_measure", "silhouette", "davies_bouldin", "calinski_harabasz")
COLUMNS = {
    "ari": "ARI",
    "ami": "AMI",
    "homogeneity": "homog.",
    "completeness": "compl.",
    "v_measure": "V",
    "silhouette": "silh.",
    "davies_bouldin": "DB",
    "calinski_harabasz": "CH",
    "sse": "SSE",
    "unassigned": "none",
    "stability": "stable",
    "n": "n",
    "seconds": "s",
}


@dataclass(frozen=True)
class Case:
    """rows: what `fit` clusters. earlier, later: what the number is chosen by. truth: (n_users,), -1 = no person."""

    rows: FloatArray
    earlier: FloatArray
    later: sp.csr_array
    truth: IntArray

    @property
    def n_true(self) -> int:
        return len(np.unique(self.truth[self.truth >= 0]))


def make_case(level: str, seed: int) -> Case:
    """Run the stages of `fit` up to the user rows."""
    config: Config = build_config({"seed": seed})
    run = RunOptions()
    world = make_world(level=level, seed=seed)  # type: ignore[arg-type]
    log = read_log(world.events, world.items, world.users, config=config.io)
    encoder = make_encoder(config.encode, run, seed=seed)
    text = encode_items(log.items, encoder, config.encode, run)
    space, _ = represent(log.events, log.items, text, config.represent, run, seed=seed)
    tree = build_tree(space, log.items, log.events, config.interests, seed=seed)
    texts = place_text_events(log.events, tree, encoder if text is not None else None, config)
    forecast = fit_forecast(log.events, tree, config.interests, seed=seed, text_membership=texts)
    profiles = make_profiles(log.events, log.items, tree, forecast, config.interests, text_membership=texts)
    past = past_shares(log.events, tree, config.interests, text_membership=texts)
    made = rows_of_shares(share_matrix(profiles, tree, log.events.n_users), tree, SETTINGS)
    earlier = rows_of_shares(past.before, tree, SETTINGS, weights=made.weights)
    true = world.truth["segments"]
    names = {name: i for i, name in enumerate(sorted(true["segment_id"].unique()))}
    codes = dict(zip(true["user_id"], (names[s] for s in true["segment_id"]), strict=True))
    truth = np.array([codes.get(u, -1) for u in log.events.user_ids], np.int32)
    return Case(made.values, earlier.values, past.after, truth)


def choose(case: Case, recipe: Recipe, seed: int) -> int | None:
    """The number that `fit` would take."""
    return choose_n(
        case.earlier,
        recipe,
        max_segments=SETTINGS.max_segments,
        max_users=SETTINGS.n_choice_users,
        seed=seed,
        later=case.later,
    ).n_segments


def measure(case: Case, recipe: Recipe, n: int | None, seed: int, *, seconds: float = 0.0) -> dict[str, float]:
    """Cluster and score; `seconds` are those already spent on the choice."""
    started = time.perf_counter()
    found: Clustering = recipe.make(case.rows, n, seed=seed)
    took = seconds + time.perf_counter() - started
    truth = truth_scores(found.labels, case.truth)
    shape = shape_scores(case.rows, found.labels, seed=seed)
    out = {name: getattr(truth, name) if hasattr(truth, name) else getattr(shape, name) for name in SHOWN}
    stability = subsample_stability(lambda r, s: recipe.make(r, n, seed=s).labels, case.rows, n_runs=3, seed=seed)
    out |= {"sse": shape.sse, "unassigned": 1 - found.assigned_share, "stability": stability}
    out |= {"n": float(found.n_clusters), "seconds": took}
    return {name: float("nan") if value is None else float(value) for name, value in out.items()}


def score(case: Case, methods: list[str], auto: list[str], seed: int, trials: int) -> dict[str, dict[str, float]]:
    """All rows of one market: name -> figures."""
    out = {}
    started = time.perf_counter()
    plain = choose(case, Recipe(), seed)
    took = time.perf_counter() - started
    for method in methods:
        recipe = Recipe(method)
        out[f"{method}, given"] = measure(case, recipe, case.n_true, seed)
        if method not in auto:
            continue
        started = time.perf_counter()
        # kmeans' number serves those that take it
        same = method == "kmeans" or METHODS[method].number == "kmeans"
        n = plain if same else choose(case, recipe, seed)
        seconds = took if same else time.perf_counter() - started
        out[f"{method}, auto"] = measure(case, recipe, n, seed, seconds=seconds)
    out["default"] = measure(case, Recipe(), plain, seed, seconds=took)
    if trials:
        started = time.perf_counter()
        best = optimise(case.earlier, seed=seed, n_trials=trials, later=case.later)
        took = time.perf_counter() - started
        out["optimise"] = measure(case, best.recipe, best.n_segments, seed, seconds=took)
        print(f"  optimise: {best.rule}: {replace(best.recipe)} n={best.n_segments}", flush=True)
    return out


def main() -> None:
    """Print one table a level, the means over seeds, and how far the default is from the best row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", default="easy,middle,hard")
    parser.add_argument("--seeds", default="10,11,12")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--auto", help="methods measured with auto too (default: all)")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--out", type=Path, help="also write every figure of every seed (.csv)")
    options = parser.parse_args()
    methods, seeds = options.methods.split(","), [int(s) for s in options.seeds.split(",")]
    auto = methods if options.auto is None else options.auto.split(",")
    every = []
    for level in options.levels.split(","):
        made = [score(make_case(level, seed), methods, auto, seed, options.trials) for seed in seeds]
        every += [
            {"level": level, "seed": s, "row": row} | f
            for s, m in zip(seeds, made, strict=True)
            for row, f in m.items()
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of a figure that no seed defines stays empty
            mean = {row: {c: statistics.fmean(m[row][c] for m in made) for c in COLUMNS} for row in made[0]}
        rows = [
            (row, *(round(figures[c], 1 if abs(figures[c]) > 20 else 3) for c in COLUMNS))
            for row, figures in mean.items()
        ]
        show.table(f"{level} market, mean of seeds {options.seeds}", ("", *COLUMNS.values()), rows)
        best = max((row for row in mean if row not in ("default", "optimise")), key=lambda row: mean[row]["ari"])
        for row in ("default", "optimise"):
            if row in mean:
                behind = mean[best]["ari"] - mean[row]["ari"]
                print(f"{row}: ARI {mean[row]['ari']:.3f}, {behind:.3f} behind the best row ({best})")
    if options.out is not None:
        pl.DataFrame(every).write_csv(options.out)


if __name__ == "__main__":
    main()
