"""Texts alone against texts with a planted modality, weights given and learned, on the made-up market.

    python benchmarks/modalities.py [--levels middle,hard] [--seeds 10,11,12] [--users 2000] [--items 3000]

Planted "image": 64 numbers an item. Interests of every other domain have a random direction each, and an item lies
there, plus noise of --noise times that length; items of the other domains are noise alone: of those the image says
nothing. One item in ten has no image. "Noise image": noise for all. "Behaviour off" is represent.method=mean (texts
and images alone); "on" is factors. Figures: V-measure of the leaf of each item against its true interest, mean over
seeds; shares are the learned weights of the parts. The truth is read by the planting and the score only.

    python benchmarks/modalities.py --data DIR [--logs ml_1m,goodbooks_sample]

On real logs: text and behaviour with weights given (1 to 2), learned, and each alone; everything is fitted on the log
before the last tenth of the likes, and NDCG@10 is that of the next likes by the mean of a user's past in the fused
space, items had before left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from penchant import show
from penchant.config import Config, RunOptions, build_config
from penchant.data import Events, Items, Vectors
from penchant.encode import encode_items, make_encoder
from penchant.interests.tree import build_tree
from penchant.io import read_log
from penchant.io.world import World, make_world
from penchant.io.world.truth import score_leaves
from penchant.protocols import FloatArray
from penchant.represent import represent
from penchant.represent.held_out import hold_out_late, ndcg
from penchant.represent.history import latest_liked
from real_logs import LOGS

N_DIMS = 64
MISSING = 0.1
RUN = RunOptions()
# what is measured: the planted column (None: none), and how weights are found
KINDS: dict[str, tuple[str | None, str]] = {
    "text": (None, "given"),
    "text + image, given": ("image", "given"),
    "text + image, learned": ("image", "learned"),
    "text + noise, given": ("noise", "given"),
    "text + noise, learned": ("noise", "learned"),
    "text, learned": (None, "learned"),
}


def plant(world: World, noise: float, seed: int) -> dict[str, FloatArray]:
    """The two planted modalities, in the order of the catalogue."""
    rng = np.random.default_rng([seed, 3])
    interests = world.truth["interests"].select("interest_id", "domain").unique().sort("interest_id")
    domains = interests["domain"].unique().sort()
    joined = world.items.select("item_id").join(world.truth["items"], on="item_id", how="left", maintain_order="left")
    row = interests["interest_id"].search_sorted(joined["interest_id"]).to_numpy()
    seen = (domains.search_sorted(interests["domain"]).to_numpy() % 2 == 0)[row]
    direction = rng.standard_normal((interests.height, N_DIMS)) / np.sqrt(N_DIMS)
    blur = rng.standard_normal((len(row), N_DIMS)) / np.sqrt(N_DIMS)
    image = np.where(seen[:, None], direction[row] + noise * blur, blur)
    planted = {"image": image, "noise": rng.standard_normal((len(row), N_DIMS))}
    missing = rng.random(len(row)) < MISSING
    return {name: np.where(missing[:, None], 0, values).astype(np.float32) for name, values in planted.items()}


def leaves(
    world: World, items: Items, events: Events, text: Vectors | None, config: Config, seed: int
) -> tuple[float, str, float]:
    """V-measure of the leaves, the name of the space (it tells the weights), and seconds of the represent stage."""
    started = time.perf_counter()
    space, _ = represent(events, items, text, config.represent, RUN, seed=seed)
    took = time.perf_counter() - started
    tree = build_tree(space, items, events, config.interests, seed=seed)
    found = pl.DataFrame({"item_id": items.item_ids, "interest_id": tree.leaf_of_item}).filter(
        pl.col("interest_id") >= 0
    )
    return score_leaves(world.truth["items"], found)["v_measure"], space.fused.name, took


def market(level: str, seeds: list[int], asked: argparse.Namespace) -> None:
    """Print one table: kinds by behaviour off and on."""
    scores: dict[tuple[str, str], list[float]] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    names: dict[tuple[str, str], str] = {}
    for seed in seeds:
        world = make_world(n_users=asked.users, n_items=asked.items, level=level, seed=seed)
        base = build_config({"seed": seed, "encode": {"method": "tfidf"}})
        log = read_log(world.events, world.items, config=base.io)
        text = encode_items(log.items, make_encoder(base.encode, RUN, seed=seed), base.encode, RUN)
        planted = plant(world, asked.noise, seed)
        alone = build_config({"encode": {"method": "none"}, "represent": {"method": "mean", "weights": {"text": 0}}})
        only = Items(log.items.table, {"image": planted["image"]})
        scores.setdefault(("image alone", "mean"), []).append(leaves(world, only, log.events, text, alone, seed)[0])
        for method in ("mean", "factors"):
            for kind, (column, how) in KINDS.items():
                config = build_config({"represent": {"method": method, "fuse_weights": how}})
                items = Items(log.items.table, {} if column is None else {column: planted[column]})
                v, name, took = leaves(world, items, log.events, text, config, seed)
                scores.setdefault((kind, method), []).append(v)
                seconds.setdefault((kind, method), []).append(took)
                names[kind, method] = name
    rows = []
    for kind in (*KINDS, "image alone"):
        for method in ("mean", "factors"):
            if (kind, method) not in scores:
                continue
            found, text_alone = scores[kind, method], scores["text", method]
            rise = statistics.mean(found) - statistics.mean(text_alone)
            took = statistics.mean(seconds.get((kind, method), [0.0]))
            on = "off" if method == "mean" else "on"
            rows.append((kind, on, *found, statistics.mean(found), rise, took, names.get((kind, method), "")))
    head = ("", "behaviour", *(f"seed {s}" for s in seeds), "mean", "rise", "s", "parts (last seed)")
    show.table(f"V-measure of leaves, {level} market, image noise {asked.noise:g}", head, rows)


def real(name: str, data: Path) -> None:
    """Print NDCG@10 of next likes for weights given, learned, and each part alone."""
    settings: dict[str, Any] = {**LOGS[name]}
    settings["encode"] = {**settings.get("encode", {}), "method": "tfidf"}
    base = build_config(settings)
    log = read_log(*(data / name / f"{part}.parquet" for part in ("events", "items")), config=base.io)
    held = hold_out_late(log.events.positive(), 0.1, len(log.items), seed=1)
    if held is None:
        raise SystemExit(f"{name}: no likes to hold out")
    text = encode_items(log.items, make_encoder(base.encode, RUN, seed=0), base.encode, RUN)
    ways: Mapping[str, dict[str, object]] = {
        "given, 1 to 2": {},
        "learned": {"fuse_weights": "learned"},
        "text alone": {"weights": {"behaviour": 0}},
        "behaviour alone": {"weights": {"text": 0}},
        "given, 1 to 1": {"weights": {"behaviour": 1}},
        "given, 1 to 4": {"weights": {"behaviour": 4}},
    }
    rows = []
    for way, changes in ways.items():
        config = build_config({"represent": changes}).represent
        started = time.perf_counter()
        space, _ = represent(held.train, log.items, text, config, RUN, seed=0)
        took = time.perf_counter() - started
        past = latest_liked(held.history, config.max_history).matrix(len(log.items), binary=True)
        values = space.fused.values
        user = np.asarray(past @ values, np.float32)
        rows.append((way, ndcg(held, lambda who, u=user, x=values: u[who] @ x.T), took, space.fused.name))
    show.table(f"{name}: next likes by the fused space", ("weights", "NDCG@10", "s", "parts"), rows)


def main() -> None:
    """Print the tables asked for."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--levels", default="middle,hard")
    ask.add_argument("--seeds", default="10,11,12")
    ask.add_argument("--users", type=int, default=2000)
    ask.add_argument("--items", type=int, default=3000)
    ask.add_argument("--noise", type=float, default=1.0)
    ask.add_argument("--data", type=Path, help="folder of real logs; then the market is left out")
    ask.add_argument("--logs", default="ml_1m,goodbooks_sample")
    asked = ask.parse_args()
    if asked.data is not None:
        for name in asked.logs.split(","):
            real(name, asked.data)
        return
    for level in asked.levels.split(","):
        market(level, [int(s) for s in asked.seeds.split(",")], asked)


if __name__ == "__main__":
    main()
