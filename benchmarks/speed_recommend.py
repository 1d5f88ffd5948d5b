"""Users per second of batch recommendation on a large made-up log, beside implicit's ALS in the same run.

    python benchmarks/speed_recommend.py [--users 1000000] [--items 50000] [--fit-users 30000] [--timed 100000]
        [--sample 2000] [--threads 1,2]

The log: 20 events a user, six interests each of falling strength, a fifth of noise; items of an interest are taken
nearly by Zipf's law (`make_log` of affinity_cost.py). Factors, neighbours, EASE and the recommender are fitted on
every n-th user, `--fit-users` of them; everybody's past is read. Speed does not hang on how well they were fitted.

Retrieval: top 10 of all items, those of the past left out, by one scorer. implicit gets the same factors of users and
items and the same threads, and is asked for all its users at once. With the first number of threads `--timed` users
are asked for, best of two; with the last all of them, once. Two stages: `Recommender.recommend` on `--sample` users,
and what all would take at that rate.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import scipy.sparse as sp

from affinity_cost import make_log
from penchant.config import InterestsConfig, RecommendConfig
from penchant.data import Events, FloatArray, IntArray, InterestTree, Items, ItemSpace, Profiles, Vectors, unit_rows
from penchant.dot_product import DotProduct
from penchant.interests.layers import fit_forecast
from penchant.interests.profiles import make_profiles
from penchant.protocols import Ranks
from penchant.recommend import Recommender, batch, fit_recommender, listing
from penchant.recommend.past import Past, read_past
from penchant.recommend.signals import Signals
from penchant.scorers import build_scorer, top, top_lists
from penchant.scorers.als import Als
from penchant.threads import one_thread

K, EVENTS, DIMS = 10, 20, 32
METHOD = "blend+trees"  # the dearest


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--users", type=int, default=1_000_000)
    ask.add_argument("--items", type=int, default=50_000)
    ask.add_argument("--fit-users", type=int, default=30_000)
    ask.add_argument("--timed", type=int, default=100_000)
    ask.add_argument("--sample", type=int, default=2_000)
    ask.add_argument("--threads", default="1,2")
    asked = ask.parse_args()
    pl.Config.set_tbl_rows(50).set_tbl_cols(12).set_tbl_width_chars(140).set_tbl_hide_dataframe_shape(True)
    pl.Config.set_tbl_hide_column_data_types(True).set_fmt_str_lengths(60).set_float_precision(2)
    threads = [int(n) for n in asked.threads.split(",")]
    started = time.perf_counter()
    events, tree = make_log(asked.users * EVENTS, events_per_user=EVENTS, n_items=asked.items, skew=5.0)
    step = max(1, asked.users // asked.fit_users)
    few = every(events, step)
    made = time.perf_counter()
    past = read_past(events, asked.items)
    del events
    print(
        f"{past.n_users:,} users, {asked.items:,} items, {len(past.indices):,} different likes; fitted on {len(few):,} "
        f"events of {few.n_users:,} users\nlog {made - started:.0f} s, past {time.perf_counter() - made:.0f} s",
        flush=True,
    )
    retrieval(few, past, asked.timed, threads)
    two_stages(few, tree, past, step, asked.sample, threads)


def every(events: Events, step: int) -> Events:
    """The events of every step-th user alone."""
    table = events.table.filter(pl.col("user_row") % step == 0).with_columns(pl.col("user_row") // step)
    return Events(table, events.user_ids.gather_every(step), events.actions, events.clock)


# --- one scorer ---


def retrieval(few: Events, past: Past, timed: int, threads: list[int]) -> None:
    """Users per second of single scorers and of implicit."""
    history, n_items = past.matrix(), past.n_items
    als = build_scorer("als")
    assert isinstance(als, Als)
    others: dict[str, Any] = {"item_knn": build_scorer("item_knn"), "ease": build_scorer("ease", {"max_items": 4000})}
    for scorer in (als, *others.values()):
        scorer.fit(few, n_items)
    users = np.arange(past.n_users, dtype=np.int32)
    blocks = np.array_split(users, max(1, len(users) // 20_000))
    factors = np.concatenate([als.user_factors(rows, history) for rows in blocks])
    fixed = DotProduct("als, factors given", {}, factors, als.item_factors)
    rows: list[dict[str, Any]] = []
    for n in dict.fromkeys(threads):
        whole = n == threads[-1] and n != threads[0]
        asked = users if whole else users[:: max(1, len(users) // timed)]
        repeats, liked = 1 if whole else 2, sp.csr_matrix(history[asked])
        with one_thread("blas"):
            ours = best(partial(ranked, fixed, asked, history, n), repeats)
            theirs = best(partial(by_implicit, factors[asked], als.item_factors, liked, n), repeats)
        same = float((ours[1] == theirs[1]).mean())
        name = f"ours, same factors ({same:.2%} of places alike)"
        rows += [line("implicit ALS recommend", n, len(asked), theirs[0]), line(name, n, len(asked), ours[0])]
        rows[-1]["to implicit"] = theirs[0] / ours[0]
        asked = users[:: max(1, len(users) // min(timed, 20_000))]
        for title, scorer in {"ours, users' factors solved anew": als, **others}.items():
            rows.append(line(title, n, len(asked), best(partial(ranked, scorer, asked, history, n), 1)[0]))
    print("\nRetrieval: top 10, the past left out")
    print(pl.DataFrame(rows, infer_schema_length=None))
    print(f"scores in memory at once: {top.BATCH_BYTES / 1e6:.0f} MB", flush=True)


def ranked(scorer: Ranks, users: IntArray, history: sp.csr_array, threads: int) -> IntArray:
    return top_lists(scorer, users, history, K, seen=history, threads=threads)


def by_implicit(users: FloatArray, items: FloatArray, liked: sp.csr_matrix, threads: int) -> IntArray:
    """implicit's own lists, from the factors given."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=items.shape[1], num_threads=threads)
    model.user_factors, model.item_factors = users, items
    lists: IntArray = model.recommend(np.arange(len(users)), liked, N=K, filter_already_liked_items=True)[0]
    return lists


def best(work: Callable[[], IntArray], repeats: int) -> tuple[float, IntArray]:
    """Seconds of the quickest run, and what it gave."""
    seconds, out = np.inf, np.zeros(0, np.int32)
    for _ in range(repeats):
        started = time.perf_counter()
        out = work()
        seconds = min(seconds, time.perf_counter() - started)
    return seconds, out


def line(name: str, threads: int, users: int, seconds: float) -> dict[str, Any]:
    return {"": name, "threads": threads, "users": users, "users a second": round(users / seconds),
            "to implicit": None}  # fmt: skip


# --- two stages ---


def two_stages(few: Events, tree: InterestTree, past: Past, step: int, sample: int, threads: list[int]) -> None:
    """Users per second of the whole, where the time goes, and memory for a few and for four times as many users."""
    recommender = fit(few, tree, past)
    points = profiles_of(few, tree).points.with_columns(pl.col("user_row") * step)
    profiles = Profiles(points, few.end)
    users = (np.arange(few.n_users, dtype=np.int32) * step)[:: max(1, few.n_users // sample)]
    recommender.recommend(users[:50], profiles, k=K)
    rows = []
    for n in dict.fromkeys(threads):
        for evidence in (True, False):
            with patch("penchant.recommend.recommender.n_threads", lambda n=n: n):
                seconds = timed(lambda e=evidence: recommender.recommend(users, profiles, k=K, evidence=e))
            rows.append(
                {
                    "": f"{METHOD}, {'with' if evidence else 'without'} evidence items",
                    "threads": n,
                    "users": len(users),
                    "users a second": round(len(users) / seconds),
                    f"{past.n_users:,} users, hours": past.n_users / len(users) * seconds / 3600,
                }
            )
    print("\nTwo stages: candidates of all signals, ranker, tables")
    print(pl.DataFrame(rows))
    with patch("penchant.recommend.recommender.n_threads", lambda: 1), stopwatch() as spent:
        spent["all"] = timed(lambda: recommender.recommend(users, profiles, k=K))
    print("\nWhere the time goes, one thread")
    spent["the rest"] = 2 * spent["all"] - sum(spent.values())
    table = {"": list(spent), "ms a user": [1e3 * s / len(users) for s in spent.values()]}
    print(pl.DataFrame(table).with_columns((pl.col("ms a user") / table["ms a user"][-2]).alias("share")))
    rows = []
    for part in (users[: len(users) // 4], users):
        with memory() as used:
            table_bytes = recommender.recommend(part, profiles, k=K).table.estimated_size()
        rows.append(
            {"users": len(part), "more memory at the peak, MB": used[0] / 1e6, "of it lists": table_bytes / 1e6}
        )
    print(f"\nMemory beside the model; BATCH_BYTES is {batch.BATCH_BYTES / 1e6:.0f} MB")
    print(pl.DataFrame(rows))


def fit(few: Events, tree: InterestTree, past: Past) -> Recommender:
    """A recommender fitted on few users, with the past of all."""
    rng = np.random.default_rng(0)
    leaf = rng.normal(size=(tree.n_leaves, DIMS))[tree.leaf_of_item]
    fused = unit_rows((leaf + rng.normal(size=leaf.shape)).astype(np.float32))
    config = RecommendConfig(
        method=METHOD, n_windows=2, max_train_users=300, ease_max_items=2000, aversion=0, saturation=0
    )
    space = ItemSpace(Vectors(fused, "made up"))
    out = fit_recommender(few, catalogue(past.n_items), space, tree, config, seed=0, half_lives=(60.0, 7.0))
    return replace(out, past=past)


def catalogue(n: int) -> Items:
    none = pl.DataFrame({"categories": [[]]}, schema={"categories": pl.List(pl.String)})
    ids = pl.DataFrame({"item_id": [f"i{k}" for k in range(n)], "title": "", "text": ""})
    return Items(ids.join(none, how="cross"))


def profiles_of(few: Events, tree: InterestTree) -> Profiles:
    config = InterestsConfig()
    n_items = tree.membership.shape[0]
    return make_profiles(few, catalogue(n_items), tree, fit_forecast(few, tree, config, seed=0), config)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds spent in each part of a list's making."""
    spent: dict[str, float] = defaultdict(float)

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return work(*args, **options)
            finally:
                spent[name] += time.perf_counter() - started

        return run

    with (
        patch.object(Past, "take", watched("past of the batch", Past.take)),
        patch.object(Signals, "score", watched("signals", Signals.score)),
        patch.object(listing, "pick_candidates", watched("candidates", listing.pick_candidates)),
        patch.object(listing, "describe", watched("features", listing.describe)),
        patch.object(listing, "_scores", watched("ranker", listing._scores)),
        patch.object(listing, "find_evidence", watched("evidence items", listing.find_evidence)),
        patch.object(listing, "attribute", watched("interests of items", listing.attribute)),
    ):
        yield spent


@contextmanager
def memory() -> Iterator[list[float]]:
    """Resident bytes at the peak, less those at the start, looked at every five milliseconds (Linux)."""
    used, done = [0.0], threading.Event()
    before = resident()

    def look() -> None:
        while not done.wait(0.005):
            used[0] = max(used[0], resident() - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield used
    finally:
        done.set()
        thread.join()


def resident() -> float:
    return float(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
