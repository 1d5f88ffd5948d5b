"""Items nobody has met: who will like them, told by their texts alone. Untuned encoder, tuned ones, and a ridge map.

    python benchmarks/cold_items.py --data DIR --log ml_1m [--tune head,full] [--seed 0] [--set KEY=VALUE]

DIR holds one folder a log with events.parquet and items.parquet (the owners' data, no part of Penchant). A fifth of the
texts, drawn by the seed, is withheld: neither they nor any event on them is in training. Training sees the events
before the moment that 80 % of them precede. A user's profile is the mean vector of the texts liked before it; the
withheld texts alone are ranked by it, all of them. Targets: the withheld texts a user liked after the cut ("after": a
new item in the time to come), and at any time ("ever": more users and likes, the same unseen texts).
`ridge` predicts ALS item factors from the text by a ridge map and scores them by the user's ALS factors: it knows the
user by behaviour, not by text. `random` is a row of random vectors. 95 % intervals: bootstrap over users; `ratio` is
recall over that of the untuned encoder, on the same users and redraws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import Config, RunOptions, load_config
from penchant.data import Events, FloatArray, IntArray, Items
from penchant.encode import make_encoder, tune_encoder
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.ranking import score_lists
from penchant.io import read_log
from penchant.scorers.als import Als

# What a user would write on the command line, as in real_logs.py
SETTINGS = {
    "ml_1m": ["io.min_value=4", 'encode.fields=["title", "plot"]'],
    "online_retail": ['encode.fields=["title"]'],
    "goodbooks_sample": ['encode.fields=["title", "authors"]'],
}
COLD_SHARE, TEST_SHARE = 0.2, 0.2
N_FACTORS, REGULARIZATION, ALPHA, RIDGES = 64, 10.0, 10.0, (0.1, 1.0, 10.0, 100.0)

Score = Callable[[IntArray], FloatArray]  # user rows to (n, n_cold) scores


@dataclass(frozen=True)
class Task:
    """past: (n_users, n_warm) likes before the cut. after, ever: (n_users, n_cold) targets. train: events of it."""

    train: Events
    warm_items: Items
    warm: list[str]
    cold: list[str]
    past: sp.csr_array
    after: sp.csr_array
    ever: sp.csr_array


def make_task(config: Config, folder: Path, seed: int) -> Task:
    """Withhold a fifth of the distinct texts with all their events."""
    log = read_log(folder / "events.parquet", folder / "items.parquet", None, config=config.io)
    texts = np.array(log.items.texts(config.encode.fields), dtype=object)
    distinct = np.array(sorted({text for text in texts if text}), dtype=object)
    drawn = np.zeros(len(distinct), np.bool_)
    drawn[np.random.default_rng(seed).permutation(len(distinct))[: int(COLD_SHARE * len(distinct))]] = True
    warm, cold = distinct[~drawn].tolist(), distinct[drawn].tolist()
    liked = log.events.positive()
    cut = log.events.cut_at(1 - TEST_SHARE)
    is_cold = np.isin(texts, distinct[drawn])
    # the encoder and its tuning get a catalogue and a log in which the withheld items do not exist
    new_row = np.where(is_cold, -1, np.cumsum(~is_cold) - 1).astype(np.int32)
    before = log.events.before(cut)
    kept = before.take((before.item_row >= 0) & ~is_cold[before.item_row])
    table = kept.table.with_columns(item_row=pl.Series(new_row[kept.item_row]))
    items = Items(log.items.table.filter(pl.Series(~is_cold)))
    past = _likes(liked.before(cut), texts, warm)
    ever = _likes(liked, texts, cold)
    seen = _likes(liked.before(cut), texts, cold)
    after = sp.csr_array(ever - ever.multiply(seen))
    after.eliminate_zeros()
    return Task(replace(kept, table=table), items, warm, cold, past, after, ever)


def _likes(liked: Events, texts: npt.NDArray[np.object_], of: list[str]) -> sp.csr_array:
    column = {text: row for row, text in enumerate(of)}
    of_item = np.array([column.get(text, -1) for text in texts], np.int32)
    row = of_item[liked.item_row]
    there = row >= 0
    pairs = (liked.user_row[there], row[there])
    out = sp.coo_array((np.ones(int(there.sum()), np.float32), pairs), shape=(liked.n_users, len(of))).tocsr()
    out.sum_duplicates()
    out.data[:] = 1.0
    return sp.csr_array(out)


def by_text(task: Task, warm: FloatArray, cold: FloatArray) -> Score:
    """Profile = mean of the vectors liked; the division by their number changes no order."""
    return lambda users: np.asarray((task.past[users] @ warm) @ cold.T, np.float32)


def by_ridge(task: Task, warm: FloatArray, cold: FloatArray, seed: int) -> tuple[Score, float]:
    """Text -> ALS factors, the ridge chosen by the error on a tenth of the warm texts."""
    als = Als(n_factors=N_FACTORS, regularization=REGULARIZATION, alpha=ALPHA, seed=seed)
    owner, column = task.past.nonzero()
    als.fit(_events(owner, column, task.past.shape[0]), task.past.shape[1])
    factors, users = als.item_factors, als.user_factors(np.arange(task.past.shape[0], dtype=np.int32), task.past)
    known = np.flatnonzero(np.asarray(task.past.sum(axis=0)).ravel() >= 3)
    known = np.random.default_rng(seed).permutation(known)
    tenth = len(known) // 10
    x, y = np.c_[warm, np.ones(len(warm))], factors

    def fit(rows: npt.NDArray[np.int64], ridge: float) -> npt.NDArray[np.float64]:
        return np.linalg.solve(x[rows].T @ x[rows] + ridge * np.eye(x.shape[1]), x[rows].T @ y[rows])

    test, rest = known[:tenth], known[tenth:]
    ridge = min(RIDGES, key=lambda r: float(((x[test] @ fit(rest, r) - y[test]) ** 2).sum()))
    predicted = np.c_[cold, np.ones(len(cold))] @ fit(known, ridge)
    return lambda rows: np.asarray(users[rows] @ predicted.T, np.float32), ridge


def _events(user: IntArray, item: IntArray, n_users: int) -> Events:
    n = len(user)
    columns = {"user_row": user.astype(np.int32), "item_row": item.astype(np.int32), "action": np.zeros(n, np.int16)}
    table = pl.DataFrame({**columns, "weight": np.ones(n, np.float32), "time": np.arange(n, dtype=np.float64)})
    return Events(table, pl.Series("user_id", np.arange(n_users).astype(str)), ("like",), "order")


def measure(score: Score, past: sp.csr_array, targets: sp.csr_array) -> pl.DataFrame:
    """Recall@20 and NDCG@10 of every user with a past and a target; ties go to the lower row."""
    users = np.flatnonzero((np.diff(targets.indptr) > 0) & (np.diff(past.indptr) > 0)).astype(np.int32)
    lists = np.argsort(-score(users), axis=1, kind="stable")[:, :20].astype(np.int32)
    recall = score_lists(lists, targets, users)["recall@20"]
    return pl.DataFrame({"recall@20": recall, "ndcg@10": score_lists(lists[:, :10], targets, users)["ndcg@10"]})


def show(name: str, found: pl.DataFrame, untuned: pl.DataFrame, seed: int) -> None:
    """One row: mean, interval, and the ratio to the untuned encoder with its own interval."""
    values = bootstrap(found.to_numpy().astype(np.float64), n_bootstrap=500, seed=seed)
    cells = [f"{m:.4f} [{a:.4f}, {b:.4f}]" for m, a, b in zip(values.mean, values.low, values.high, strict=True)]
    own, base = found["recall@20"].to_numpy(), untuned["recall@20"].to_numpy()
    redraws = np.random.default_rng(seed).integers(0, len(own), (500, len(own)))
    low, high = np.quantile(own[redraws].mean(axis=1) / base[redraws].mean(axis=1), [0.025, 0.975])
    print(f"{name:<10}{cells[0]:>28}{cells[1]:>28}{own.mean() / base.mean():8.2f} [{low:.2f}, {high:.2f}]", flush=True)


def main() -> None:
    """Measure one log."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--log", choices=sorted(SETTINGS), required=True)
    ask.add_argument("--tune", default="head,full")
    ask.add_argument("--method", default="transformer", help="transformer, tfidf, ...")
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--cache", type=Path, help="folder for text vectors")
    ask.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    asked = ask.parse_args()
    settings = [*SETTINGS[asked.log], f"encode.method={asked.method}", "encode.max_tokens=64", *asked.overrides]
    config = load_config(overrides=settings)
    run = RunOptions(progress=True, cache_dir=asked.cache)
    task = make_task(config, asked.data / asked.log, asked.seed)
    print(
        f"{asked.log}: {len(task.warm):,} texts to learn from, {len(task.cold):,} withheld; {len(task.train):,} events"
    )

    encoder = make_encoder(config.encode, run, seed=asked.seed)
    if encoder is None:
        raise SystemExit("--method: must be one that reads texts")
    encoder.fit(task.warm)
    warm, cold = encoder.encode(task.warm), encoder.encode(task.cold)
    noise = np.random.default_rng(asked.seed).normal(size=(len(warm) + len(cold), 64)).astype(np.float32)
    ridge_score, ridge = by_ridge(task, warm, cold, asked.seed)
    scores = {
        "untuned": by_text(task, warm, cold),
        "random": by_text(task, noise[: len(warm)], noise[len(warm) :]),
        "ridge": ridge_score,
    }
    print(f"{encoder.name}; ridge {ridge:g}")
    for tune in asked.tune.split(","):
        started = time.perf_counter()
        tuned = tune_encoder(
            encoder,
            task.train,
            task.warm_items,
            config.encode.model_copy(update={"tune": tune}),
            run,
            seed=asked.seed,
        )
        if tuned is None:
            continue
        scores[tune] = by_text(task, tuned.encode(task.warm), tuned.encode(task.cold))
        print(f"{tune}: {time.perf_counter() - started:.0f} s with encoding; {tuned.name}")
    for kind, targets in (("after", task.after), ("ever", task.ever)):
        found = {name: measure(score, task.past, targets) for name, score in scores.items()}
        print(f"\nliked {kind}: {found['untuned'].height:,} users, {targets.nnz:,} likes")
        print(f"{'':<10}{'recall@20':>28}{'NDCG@10':>28}{'ratio of recall':>22}")
        for name, table in found.items():
            show(name, table, found["untuned"], asked.seed)


if __name__ == "__main__":
    main()
