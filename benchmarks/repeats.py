"""Lists that may repeat: `recommend.repeat=predict` against `allow`, `never` and the plain rules of next baskets.

    python benchmarks/repeats.py [--data DIR] [--logs market10,online_retail] [--share 0.1] [--users 800]

Targets are all likes of the last `--share` of the events by users who liked something before, taken again or new.
`frequent` lists a user's own items by the number of sessions of takes, `recent` by their last take; GP-TopFreq
is `frequent` filled up with what all users take most, as in Li et al. 2023, and the lists of `recent` are filled alike.
Differences to `predict` are paired, with 95 % intervals over users (bootstrap). Texts are read by TF-IDF.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from penchant.config import RunOptions
from penchant.data import IntArray
from penchant.evaluate.ranking import score_lists
from penchant.evaluate.split import split_by_time
from penchant.pipeline import lay_ground, train_recommender
from penchant.recommend.past import read_past
from penchant.recommend.windows import wanted_likes
from penchant.scorers import build_scorer, top_items
from signals import interval, read

K = 10


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path)
    ask.add_argument("--logs", default="market10")
    ask.add_argument("--share", type=float, default=0.1)
    ask.add_argument("--users", type=int, default=800)
    ask.add_argument("--windows", type=int, default=5)
    asked = ask.parse_args()
    pl.Config.set_tbl_rows(50).set_tbl_cols(20).set_tbl_width_chars(160).set_tbl_hide_dataframe_shape(True)
    pl.Config.set_tbl_hide_column_data_types(True)
    for name in asked.logs.split(","):
        print(compare(name, asked), flush=True)


def compare(name: str, asked: argparse.Namespace) -> pl.DataFrame:
    """A row a method."""
    log, config = read(name, asked.data, asked.users)
    split = split_by_time(log.events, asked.share)
    n_items = len(log.items)
    target = wanted_likes(split.train, split.test, n_items, np.zeros(n_items, np.bool_), repeats=True)
    users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
    past = read_past(split.train, n_items).take(users)
    again = target[users].multiply(past.matrix()).sum() / target.nnz
    print(f"{name}: {len(users):,} users, {again:.0%} of the targets are repeats", flush=True)
    ground = lay_ground(split.train, log.items, config, RunOptions())
    popular = build_scorer("popular")
    popular.fit(split.train, n_items)
    by_all = popular.score(np.zeros(1, np.int32), past.matrix())[0]
    by_all = by_all / (by_all.max() + 1.0)
    rules = {"frequent": past.n_times + 1.0 / (2.0 + past.own_age), "recent": 1.0 / (1.0 + past.own_age)}
    lists: dict[str, IntArray] = {}
    for repeat in ("predict", "never"):
        settings = config.model_copy(
            update={"recommend": config.recommend.model_copy(update={"repeat": repeat, "n_windows": asked.windows})}
        )
        made = train_recommender(split.train, log.items, ground, settings, RunOptions())
        lists[repeat] = made.lists(users, ground.profiles, k=K)
        print(f"{repeat}: chose {made.chosen}", flush=True)
        if repeat == "predict":
            print(made.report.head(8), made.signals.repeats, sep="\n", flush=True)
        else:
            lists["allow"] = made.lists(users, ground.profiles, k=K, allow_seen=True)
    for rule, values in rules.items():
        own = past.matrix(values.astype(np.float32)).toarray()
        lists[f"own {rule} only"] = top_items(np.where(own > 0, own, -np.inf).astype(np.float32), K)
        mixed = np.where(own > 0, own + 1.0, by_all[None, :])
        lists["GP-TopFreq" if rule == "frequent" else "recent, then popular"] = top_items(mixed.astype(np.float32), K)
    lists["popular"] = top_items(np.broadcast_to(by_all, (len(users), n_items)).astype(np.float32), K)
    rows = []
    best = score_lists(lists["predict"], target, users)[f"ndcg@{K}"].to_numpy()
    for method, found in lists.items():
        scores = score_lists(found, target, users)
        ndcg = scores[f"ndcg@{K}"].to_numpy()
        repeats = np.take_along_axis(past.matrix().toarray(), np.maximum(found, 0), axis=1)[found >= 0].mean()
        rows.append(
            (name, method, round(float(ndcg.mean()), 4), round(float(scores[f"recall@{K}"].mean()), 4),  # type: ignore[arg-type]
             round(float(repeats), 2), *interval([best - ndcg]))
        )  # fmt: skip
    columns = ["log", "method", f"ndcg@{K}", f"recall@{K}", "repeats", "predict ahead by", "low", "high"]
    return pl.DataFrame(rows, schema=columns, orient="row").sort(f"ndcg@{K}", descending=True)


if __name__ == "__main__":
    main()
