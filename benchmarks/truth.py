"""The made-up market against its truth: ours beside rule methods (plain_world.py has the plain rows).

    python benchmarks/truth.py [--level middle] [--seeds 0,1,2] [--language en]

Leaves: V-measure of the leaf of each item. Segments: ARI. Layers: macro-F1 over observed points, for the forecast and
for every rule method. Names: share of leaves whose name says a true word. The truth is read by the score only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from typing import get_args

import penchant as pc
from penchant import show
from penchant.config import InterestsConfig, RunOptions, build_config
from penchant.demo import segment_of_user
from penchant.interests.profiles import make_profiles
from penchant.io import read_log
from penchant.io.world import World, make_world
from penchant.io.world.truth import score_layers, score_leaves, score_names, score_segments
from penchant.model import Model
from penchant.pipeline import place_text_events

RULES = [m for m in get_args(InterestsConfig.model_fields["layer_method"].annotation) if m != "forecast"]


def layers_by(model: Model, world: World, method: str) -> float:
    """Macro-F1 of the layers a rule gives the same points."""
    settings = model.config.interests.model_copy(update={"layer_method": method})
    events = read_log(world.events, world.items, config=model.config.io).events
    texts = place_text_events(events, model.tree, model.encoder, model.config)
    profiles = make_profiles(events, model.items, model.tree, model.forecast, settings, text_membership=texts)
    ruled = replace(model, profiles=profiles)
    return float(score_layers(world.truth, ruled.profiles_table(), model.items_table())["macro_f1"])


def score(level: str, language: str, seed: int, *, rules: bool) -> dict[str, float]:
    """Fit one market and score it."""
    world = make_world(level=level, language=language, seed=seed)
    config = build_config({"seed": seed})
    started = time.perf_counter()
    model = pc.fit(world.events, world.items, world.users, config=config, run=RunOptions(progress=False))
    took = time.perf_counter() - started
    items = model.items_table()
    leaves = score_leaves(world.truth["items"], items)
    segments = score_segments(world.truth["segments"], segment_of_user(model))
    out = {
        "leaves V": leaves["v_measure"],
        "leaves ARI": leaves["ari"],
        "n leaves": float(model.tree.n_leaves),
        "names": score_names(world.truth, model.interests_table(), items)["name_share"],
        "segments ARI": segments["ari"],
        "n segments": float(model.segments.table.height),
        "layers F1": score_layers(world.truth, model.profiles_table(), items)["macro_f1"],
    }
    if rules:
        out |= {f"layers F1 by {rule}": layers_by(model, world, rule) for rule in RULES}
    return out | {"fit s": took}


def main() -> None:
    """Print one row a figure: each seed and the mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--level", default="middle")
    parser.add_argument("--language", default="en")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--no-rules", action="store_true")
    options = parser.parse_args()
    seeds = [int(s) for s in options.seeds.split(",")]
    found = [score(options.level, options.language, seed, rules=not options.no_rules) for seed in seeds]
    rows = [(name, *(f[name] for f in found), statistics.mean(f[name] for f in found)) for name in found[0]]
    show.table(
        f"Penchant on the {options.level} market ({options.language})",
        ("", *(f"seed {s}" for s in seeds), "mean"),
        rows,
    )


if __name__ == "__main__":
    main()
