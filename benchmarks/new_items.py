"""New items with only a text: who will like them? Lists of new items alone, against popularity and likeness of texts.

    python benchmarks/new_items.py --data DIR [--only online_retail,goodbooks_sample,ml_1m,markets] [--seeds 0,1,2]
        [--natural] [--out DIR]

DIR holds one folder a log with events.parquet and items.parquet (see real_logs.py); `markets` are made-up ones, of the
seeds given. The fit sees the first four fifths of the events. Of the catalogue a fifth of the distinct texts, drawn by
the seed, is withheld: the items stay in the catalogue with their texts, but no event on them is read. With --natural
none is withheld: new are the items that fewer than three users liked before the cut. Each user who liked one after
the cut, and anything before it, gets a list of new items alone, all of which are ranked.

popular of leaf, of category, of kin  how many liked the known items of the same leaf of the interest tree, of the same
                    category (its best), the 20 nearest in text: what popularity can know of an item nobody took
texts               cosine to the mean text of what the user liked, the encoder of the fit
head                the same with texts tuned on the log (`encode.tune=head`)
ridge               ALS factors foretold from the text, times the user's
random              by lot

NDCG@10 and recall@20 with 95 % intervals over users; "ours less it": of NDCG@10 on the same users and redraws.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
from sklearn.linear_model import RidgeCV

from penchant.config import Config, RunOptions, build_config
from penchant.data import BoolArray, Events, FloatArray, IntArray, Log
from penchant.encode import tune_encoder
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.ranking import score_lists
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.pipeline import Ground, lay_ground, train_recommender
from penchant.recommend import Recommender
from penchant.recommend.new_items import FEW_USERS, nearest
from penchant.scorers import top_items
from real_logs import LOGS

WITHHELD, TEST_SHARE = 0.2, 0.2
FEW = {"recommend": {"n_windows": 4}}  # more of them serve the usual lists alone, which are not asked for here
MARKET = {"n_users": 800, "n_items": 1000, "n_days": 150}


@dataclass(frozen=True)
class Task:
    """train: events of the fit · new: (n_items,) · target: (n_users, n_items) 0/1, new items alone · users: rows."""

    log: Log
    config: Config
    train: Events
    new: BoolArray
    target: sp.csr_array
    users: IntArray


def make_task(name: str, seed: int, data: Path | None, *, natural: bool) -> Task:
    """Read a log or make a market, and withhold items."""
    if name == "markets":
        config = build_config(FEW)
        world = make_world(**MARKET, seed=seed)
        log = read_log(world.events, world.items, None, config=config.io)
    else:
        if data is None:
            raise SystemExit("--data: where are the logs? Only --only markets needs none")
        config = build_config({**LOGS[name], **FEW})
        log = read_log(*(data / name / f"{part}.parquet" for part in ("events", "items")), config=config.io)
    n, cut = len(log.items), log.events.cut_at(1 - TEST_SHARE)
    before, after = log.events.before(cut), log.events.take(log.events.time >= cut)
    texts = np.array(log.items.texts(config.encode.fields), dtype=object)
    if natural:
        new = np.bincount(before.positive().matrix(n, binary=True).indices, minlength=n) < FEW_USERS
        new &= np.array([bool(text) for text in texts])
        train = before
    else:
        distinct = np.array(sorted({text for text in texts if text}), dtype=object)
        lot = np.random.default_rng(seed).permutation(len(distinct))[: int(WITHHELD * len(distinct))]
        new = np.isin(texts, distinct[lot])
        train = before.take((before.item_row < 0) | ~new[before.item_row])
    target = after.matrix(n, binary=True)
    target = sp.csr_array(target - target.multiply(before.touched(n)))
    has_past = np.diff(train.matrix(n, binary=True).indptr) > 0
    target.data *= new[target.indices] & np.repeat(has_past, np.diff(target.indptr))
    target.eliminate_zeros()
    target.sort_indices()
    users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
    return Task(log, config, train, new, target, users)


def by_scores(score: Callable[[IntArray], FloatArray], task: Task) -> IntArray:
    """(n_users, 20) the best new items of each tested user."""
    closed = task.train.touched(len(task.new))
    values = np.where(task.new, score(task.users), -np.inf).astype(np.float32)
    return top_items(values, 20, sp.csr_array(closed[task.users]))


def kin(task: Task, ground: Ground) -> dict[str, FloatArray]:
    """(n_items,) what popularity can know of an item that nobody took."""
    liked = np.bincount(task.train.positive().item_row, minlength=len(task.new)).astype(np.float32)
    known = liked > 0

    def mean_of(group: sp.csr_array) -> FloatArray:
        size = np.maximum(group[known].sum(axis=0), 1e-9)
        return np.asarray((group[known].T @ liked[known]) / size, np.float32)

    member = ground.tree.membership
    out = {"popular of leaf": np.asarray(member @ mean_of(member), np.float32)}
    labels = task.log.items.table["categories"].to_list()
    names = sorted({label for row in labels for label in row or []})
    if names:
        place = {name: i for i, name in enumerate(names)}
        pairs = [(row, place[label]) for row, own in enumerate(labels) for label in own or []]
        at = np.array(pairs).T
        group = sp.coo_array((np.ones(len(pairs), np.float32), (at[0], at[1])), shape=(len(labels), len(names))).tocsr()
        best = sp.csr_array(group.multiply(mean_of(sp.csr_array(group))[None, :]))
        out["popular of category"] = np.asarray(best.max(axis=1).todense(), np.float32).ravel()
    if ground.space.text is not None:
        near = nearest(ground.space.text.values, known & ground.space.text.present, task.new)
        out["popular of kin"] = np.asarray(near @ liked, np.float32)
    return out


def lists_of(task: Task, ground: Ground, fitted: Recommender, run: RunOptions, seed: int) -> dict[str, IntArray]:
    """(n_users, 20) lists of every method."""
    users, n = task.users, len(task.new)
    past = task.train.matrix(n, binary=True)
    out = {"penchant": fitted.recommend(users, ground.profiles, k=20, allowed=task.new).lists(users, 20)}
    for name, value in kin(task, ground).items():
        out[name] = by_scores(lambda rows, v=value: np.tile(v, (len(rows), 1)), task)
    assert ground.space.text is not None
    assert ground.encoder is not None
    text = ground.space.text.values
    out["texts"] = by_scores(lambda rows: np.asarray(past[rows] @ text @ text.T, np.float32), task)
    settings = task.config.encode.model_copy(update={"tune": "head"})
    tuned = tune_encoder(ground.encoder, task.train, task.log.items, settings, run, seed=seed)
    if tuned is not None:
        words = [text or "" for text in task.log.items.texts(task.config.encode.fields)]
        head = tuned.encode(words)
        out["head"] = by_scores(lambda rows: np.asarray(past[rows] @ head @ head.T, np.float32), task)
    als, known = fitted.signals.als, ~task.new & ground.space.text.present
    told = RidgeCV((0.1, 1.0, 10.0, 100.0)).fit(text[known], als.item_factors[known]).predict(text)
    out["ridge"] = by_scores(lambda rows: als.user_factors(rows, past) @ told.T, task)
    lot = np.random.default_rng(seed)
    out["random"] = by_scores(lambda rows: lot.random((len(rows), n), np.float32), task)
    return out


def scores_of(task: Task, lists: dict[str, IntArray]) -> dict[str, FloatArray]:
    """(n_users, 2) NDCG@10 and recall@20 of each tested user, by method."""
    out = {}
    for name, found in lists.items():
        ndcg = score_lists(np.ascontiguousarray(found[:, :10]), task.target, task.users, (10,))["ndcg@10"]
        recall = score_lists(found, task.target, task.users, (20,))["recall@20"]
        out[name] = np.column_stack([ndcg.to_numpy(), recall.to_numpy()])
    return out


def table(scores: dict[str, FloatArray]) -> pl.DataFrame:
    """A row a method, best first."""
    ours, rows = scores["penchant"], []
    for name, own in scores.items():
        ends = bootstrap(np.column_stack([own, ours[:, 0] - own[:, 0]]), n_bootstrap=1000, seed=0)
        cells = [f"{m:.4f} ({a:.4f}-{b:.4f})" for m, a, b in zip(ends.mean, ends.low, ends.high, strict=True)]
        less = "" if name == "penchant" else f"{ends.mean[2]:+.4f} ({ends.low[2]:+.4f} to {ends.high[2]:+.4f})"
        rows.append({"method": name, "ndcg@10": cells[0], "recall@20": cells[1], "ours less it": less})
    return pl.DataFrame(rows).sort("ndcg@10", descending=True)


def main() -> None:
    """One table a log and seed, and one of all seeds together."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path)
    ask.add_argument("--only", default="online_retail,goodbooks_sample,ml_1m,markets")
    ask.add_argument("--seeds", default="0,1,2")
    ask.add_argument("--natural", action="store_true")
    ask.add_argument("--out", type=Path, help="folder for text vectors")
    asked = ask.parse_args()
    pl.Config.set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True).set_tbl_width_chars(140)
    run = RunOptions(progress=True, cache_dir=asked.out)
    for name in asked.only.split(","):
        pooled: list[dict[str, FloatArray]] = []
        seeds = [0] if asked.natural and name != "markets" else [int(seed) for seed in asked.seeds.split(",")]
        for seed in seeds:
            task = make_task(name, seed, asked.data, natural=asked.natural)
            ground = lay_ground(task.train, task.log.items, task.config, run)
            fitted = train_recommender(task.train, task.log.items, ground, task.config, run)
            ranker = fitted.new_item_ranker
            pooled.append(scores_of(task, lists_of(task, ground, fitted, run, seed)))
            what = f"{len(task.users):,} users, {task.new.sum():,} new items, {task.target.nnz:,} likes"
            print(f"\n{name}, seed {seed}: {what}; by {ranker.name if ranker else None}")
            print(table(pooled[-1]), flush=True)
        common = [method for method in pooled[0] if all(method in each for each in pooled)]
        print(f"\n{name}, all seeds, a user and seed is one row")
        print(table({method: np.concatenate([each[method] for each in pooled]) for method in common}), flush=True)


if __name__ == "__main__":
    main()
