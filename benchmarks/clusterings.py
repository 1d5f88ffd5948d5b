"""Every clustering on the made-up market against its truth, at three difficulties.

    python benchmarks/clusterings.py [--levels easy,middle,hard] [--seeds 10,11,12] [--methods kmeans,gmm] [--keep DIR]

Rows are those that `fit` clusters. "given": the true number is told (a hint to methods by density); "auto": the method
or `choose_n` finds it. Truth figures leave bots out, as they have no true segment; an unassigned user is a cluster of
its own there, so leaving users out never pays. Stability: ARI between clusterings of two random 80 % of the users.
Seconds: one clustering, or choice and clustering with auto. The last rows are what Penchant does by default, and
after a search by `optimise` (`--trials`, 0 = leave it out). With `--keep` a run that was cut off goes on where it was:
DIR holds the user rows and figures of each market; use another one after a change of code or options.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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


def kept_case(level: str, seed: int, keep: Path | None) -> Case:
    """Make a case, or read it back."""
    if keep is None:
        return make_case(level, seed)
    path = keep / f"{level}_{seed}.npz"
    if not path.exists():
        made = make_case(level, seed)
        parts = {"data": made.later.data, "indices": made.later.indices, "indptr": made.later.indptr}
        np.savez(path, rows=made.rows, earlier=made.earlier, truth=made.truth, shape=made.later.shape, **parts)
    with np.load(path) as z:
        later = sp.csr_array((z["data"], z["indices"], z["indptr"]), shape=tuple(z["shape"]))
        return Case(z["rows"], z["earlier"], later, z["truth"])


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
    stability = subsample_stability(lambda r, s: recipe.make(r, n, seed=s).labels, case.rows, n_runs=2, seed=seed)
    out |= {"sse": shape.sse, "unassigned": 1 - found.assigned_share, "stability": stability}
    out |= {"n": float(found.n_clusters), "seconds": took}
    return {name: float("nan") if value is None else float(value) for name, value in out.items()}


def score(
    case: Case, methods: list[str], auto: list[str], seed: int, trials: int, keep: Path | None
) -> dict[str, dict[str, float]]:
    """All rows of one market: name -> figures."""
    out: dict[str, dict[str, float]] = {} if keep is None or not keep.exists() else json.loads(keep.read_text())
    rows: dict[str, Callable[[], dict[str, float]]] = {"default": lambda: chosen(case, Recipe(), seed)}
    for method in methods:
        rows[f"{method}, given"] = partial(measure, case, Recipe(method), case.n_true, seed)
        if method in auto:
            # kmeans is the default; the default's number serves those that take kmeans' number
            rows[f"{method}, auto"] = partial(auto_row, case, method, seed, out)
    if trials:
        rows["optimise"] = lambda: optimised(case, seed, trials)
    for name, work in rows.items():
        if name not in out:
            out[name] = work()
            if keep is not None:
                keep.write_text(json.dumps(out))
    return {name: out[name] for name in (*(r for r in rows if r not in LAST), *(r for r in LAST if r in rows))}


LAST = ("default", "optimise")


def auto_row(case: Case, method: str, seed: int, made: dict[str, dict[str, float]]) -> dict[str, float]:
    """The number found by the method, or by `choose_n`."""
    if method == "kmeans":
        return made["default"]
    way = METHODS[method].number
    if way == "found":  # what `choose_n` measures there changes nothing
        return measure(case, Recipe(method), None, seed)
    if way == "kmeans":
        n, seconds = round(made["default"]["n"]), made["default"]["seconds"]
        return measure(case, Recipe(method), n, seed, seconds=seconds)
    return chosen(case, Recipe(method), seed)


def chosen(case: Case, recipe: Recipe, seed: int) -> dict[str, float]:
    """With the number that `fit` would take."""
    started = time.perf_counter()
    n = choose(case, recipe, seed)
    return measure(case, recipe, n, seed, seconds=time.perf_counter() - started)


def optimised(case: Case, seed: int, trials: int) -> dict[str, float]:
    """With what a search finds."""
    started = time.perf_counter()
    best = optimise(case.earlier, seed=seed, n_trials=trials, later=case.later)
    print(f"  optimise: {best.rule}: {best.recipe} n={best.n_segments}", flush=True)
    return measure(case, best.recipe, best.n_segments, seed, seconds=time.perf_counter() - started)


def main() -> None:
    """Print one table a level, the means over seeds, and how far the default is from the best row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", default="easy,middle,hard")
    parser.add_argument("--seeds", default="10,11,12")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--auto", help="methods measured with auto too (default: all)")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--keep", type=Path, help="folder for what is done, to go on from")
    parser.add_argument("--out", type=Path, help="also write every figure of every seed (.csv)")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    methods, seeds = options.methods.split(","), [int(s) for s in options.seeds.split(",")]
    auto = methods if options.auto is None else options.auto.split(",")
    every = []
    for level in options.levels.split(","):
        made = []
        for seed in seeds:
            figures = None if options.keep is None else options.keep / f"{level}_{seed}.json"
            case = kept_case(level, seed, options.keep)
            made.append(score(case, methods, auto, seed, options.trials, figures))
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
