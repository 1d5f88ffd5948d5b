"""The recommender alone on one log: its list, each single signal and the peers, on the events after the cut.

    python benchmarks/recommend.py EVENTS [ITEMS] [--set section.key=value ...] [--peers popular,popular_7d,ease]

Peers run with their default settings here (`benchmarks/peers.py` picks them inside train). "chosen by" is the
comparison on past windows inside train, which saw nothing after the cut. The last column is the ratio to the best peer.
"penalties": our lists with aversion and saturation of stated strengths, whatever the windows chose.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace

import numpy as np
import polars as pl

from penchant.config import Config, RunOptions, load_config
from penchant.data import IntArray, Items, Profiles
from penchant.encode import encode_items, make_encoder
from penchant.evaluate.ranking import score_lists
from penchant.evaluate.split import Split, split_by_time
from penchant.interests.tree import build_tree
from penchant.io import read_log
from penchant.recommend import Recommender, fit_recommender
from penchant.represent import represent
from penchant.scorers import build_scorer, top_items, top_lists

K = 10


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("events")
    ask.add_argument("items", nargs="?")
    ask.add_argument("--set", action="append", default=[], metavar="section.key=value", dest="overrides")
    ask.add_argument("--peers", default="popular,popular_7d,popular_30d,item_knn,als,ease")
    ask.add_argument("--known-items", action="store_true", help="leave out targets that nobody liked before the cut")
    asked = ask.parse_args()
    config = load_config(None, asked.overrides)
    run = RunOptions()
    log = read_log(asked.events, asked.items, config=config.io)
    n_items = len(log.items)
    split = split_by_time(log.events, config.evaluate.test_share)
    target = split.targets(n_items, "leave_out" if asked.known_items else "miss")
    users = np.flatnonzero(np.diff(target.indptr) > 0).astype(np.int32)

    def ndcg(lists: IntArray) -> float:
        return float(score_lists(lists, target, users)[f"ndcg@{K}"].mean())  # type: ignore[arg-type]

    recommender, seconds = fit(split, log.items, config, run)
    start = time.perf_counter()
    table = recommender.recommend(users, no_profiles(split), k=K).table
    listing = time.perf_counter() - start
    rows = [("penchant", recommender.chosen, ndcg(as_lists(table, users)))]
    seen = split.seen(n_items)
    for name in asked.peers.split(","):
        scorer = build_scorer(name, items=log.items, seed=config.seed)
        scorer.fit(split.train, n_items)
        rows.append(("peer", name, ndcg(top_lists(scorer, users, split.history(n_items), K, seen=seen))))
    best = max(value for kind, _, value in rows if kind == "peer")
    for aversion, saturation in ((0.0, 0.0), (1.0, 0.0), (0.0, 0.5)):
        stated = replace(recommender.penalties, aversion=aversion, saturation=saturation)
        lists = as_lists(replace(recommender, penalties=stated).recommend(users, no_profiles(split), k=K).table, users)
        rows.append(("penalties", f"aversion {aversion:g}, saturation {saturation:g}", ndcg(lists)))
    rows += [("signal", name, ndcg(lists)) for name, lists in signal_lists(recommender, users).items()]
    out = pl.DataFrame(rows, schema=["kind", "method", f"ndcg@{K}"], orient="row").with_columns(
        (pl.col(f"ndcg@{K}") / best).round(2).alias("to_best_peer"), pl.col(f"ndcg@{K}").round(4)
    )
    with pl.Config(tbl_rows=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        print(f"{len(split.train):,} events before the cut, {len(users):,} test users, {n_items:,} items")
        print(out.sort(f"ndcg@{K}", descending=True, maintain_order=True))
        print(f"chosen by (past windows inside train): {recommender.chosen}")
        print(recommender.report.head(12))
    print(*recommender.penalties.notes, recommender.penalties.report, sep="\n")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = sum(a.nbytes for a in recommender.to_parts().arrays.values()) / 2**20
    print(f"fit {seconds:.1f} s, lists {listing:.1f} s, peak memory {memory:,.0f} MB, saved arrays {size:,.0f} MB")


def fit(split: Split, items: Items, config: Config, run: RunOptions) -> tuple[Recommender, float]:
    """Fit what the recommender stands on, then the recommender; the seconds are its own."""
    text = encode_items(items, make_encoder(config.encode, run, seed=config.seed), config.encode, run)
    space, _ = represent(split.train, items, text, config.represent, run, seed=config.seed)
    tree = build_tree(space, items, split.train, config.interests, seed=config.seed)
    start = time.perf_counter()
    out = fit_recommender(
        split.train,
        items,
        space,
        tree,
        config.recommend,
        seed=config.seed,
        half_lives=(config.interests.half_life_days, config.interests.short_half_life_days),
    )
    return out, time.perf_counter() - start


def no_profiles(split: Split) -> Profiles:
    """Lists without layers: this script measures ranking alone."""
    schema = {"user_row": pl.Int32, "interest_row": pl.Int32, "level": pl.Int32, "probability": pl.Float32}
    return Profiles(pl.DataFrame(schema={**schema, "layer": pl.Int8}), split.train.end)


def as_lists(table: pl.DataFrame, users: IntArray) -> IntArray:
    """(n_users, K) item rows, -1 where fewer."""
    out = np.full((len(users), K), -1, np.int32)
    out[np.searchsorted(users, table["user_row"].to_numpy()), table["rank"].to_numpy() - 1] = table["item_row"]
    return out


def signal_lists(recommender: Recommender, users: IntArray, step: int = 200) -> dict[str, IntArray]:
    """Full ranking by each single signal."""
    parts: dict[str, list[IntArray]] = {}
    for start in range(0, len(users), step):
        past = recommender.past.take(users[start : start + step])
        for name, scores in recommender.signals.score(past).items():
            parts.setdefault(name, []).append(top_items(scores, K, past.touched))
    return {name: np.concatenate(lists) for name, lists in parts.items()}


if __name__ == "__main__":
    main()
