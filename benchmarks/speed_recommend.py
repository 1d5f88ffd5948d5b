"""Users per second of batch recommendation on a large made-up log, beside implicit's ALS in the same run.

    python benchmarks/speed_recommend.py [--users 1000000] [--items 50000] [--fit-users 30000] [--timed 100000]
        [--sample 2000] [--threads 1,2]

The log: 20 events a user, six interests each of falling strength, a fifth of noise; items of an interest are taken
nearly by Zipf's law (`make_log` of affinity_cost.py). Factors, neighbours, EASE and the recommender are fitted on
every n-th user, `--fit-users` of them; everybody's past is read. Speed does not hang on how well they were fitted.

Retrieval: top 10 of all items, those of the past left out, by one scorer. implicit gets the same factors of users and
items and the same threads; the two take turns of 50,000 users, so that what else the machine does hits both. With the
first number of threads `--timed` users are asked for, with the last all of them. Two stages: `Recommender.recommend` on
`--sample` users, and what all would take at that rate. "processor" is time on all cores together: it tells more than
the clock where a machine is shared.
"""

from __future__ import annotations

import argparse
import resource
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar
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

T = TypeVar("T")
K, EVENTS, DIMS, TURN = 10, 20, 32, 50_000
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
        ours, theirs, alike = Spent(), Spent(), 0.0
        with one_thread("blas"):
            for part in np.array_split(asked, max(1, len(asked) // TURN)):
                liked = sp.csr_matrix(history[part])
                one = theirs.on(partial(by_implicit, factors[part], als.item_factors, liked, n))
                two = ours.on(partial(ranked, fixed, part, history, n))
                alike += float((one == two).mean()) * len(part) / len(asked)
        rows.append(ours.line(f"factors given ({alike:.2%} of places alike)", n, len(asked)))
        rows[-1] |= {"implicit, users/s": round(len(asked) / theirs.clock), "ratio": theirs.clock / ours.clock,
                     "ratio, processor": theirs.processor / ours.processor}  # fmt: skip
        asked = users[:: max(1, len(users) // min(timed, 20_000))]
        for title, scorer in {"als, users solved anew": als, **others}.items():
            spent = Spent()
            spent.on(partial(ranked, scorer, asked, history, n))
            rows.append(spent.line(title, n, len(asked)))
    print("\nRetrieval: top 10, the past left out")
    print(pl.DataFrame(rows, infer_schema_length=None))
    print(f"scores of one thread in memory at once: {top.BATCH_BYTES / 1e6:.0f} MB", flush=True)


@dataclass
class Spent:
    """Seconds by the clock and on all cores together."""

    clock: float = 0.0
    processor: float = 0.0

    def on(self, work: Callable[[], T]) -> T:
        """Do it, and add what it took."""
        clock, processor = time.perf_counter(), time.process_time()
        out = work()
        self.clock += time.perf_counter() - clock
        self.processor += time.process_time() - processor
        return out

    def line(self, name: str, threads: int, users: int) -> dict[str, Any]:
        return {"": name, "threads": threads, "users": users, "users/s": round(users / self.clock),
                "ms, processor": 1e3 * self.processor / users}  # fmt: skip


def ranked(scorer: Ranks, users: IntArray, history: sp.csr_array, threads: int) -> IntArray:
    return top_lists(scorer, users, history, K, seen=history, threads=threads)


def by_implicit(users: FloatArray, items: FloatArray, liked: sp.csr_matrix, threads: int) -> IntArray:
    """implicit's own lists, from the factors given."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=items.shape[1], num_threads=threads)
    model.user_factors, model.item_factors = users, items
    lists: IntArray = model.recommend(np.arange(len(users)), liked, N=K, filter_already_liked_items=True)[0]
    return lists


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
            spent = Spent()
            with patch("penchant.recommend.recommender.n_threads", lambda n=n: n):
                spent.on(partial(recommender.recommend, users, profiles, k=K, evidence=evidence))
            name = f"{METHOD}, {'with' if evidence else 'without'} evidence items"
            hours = {f"{past.n_users:,} users, hours": past.n_users / len(users) * spent.clock / 3600}
            rows.append(spent.line(name, n, len(users)) | hours)
    print("\nTwo stages: candidates of all signals, ranker, tables")
    print(pl.DataFrame(rows))
    with patch("penchant.recommend.recommender.n_threads", lambda: 1), stopwatch() as spent:
        started = time.process_time()
        recommender.recommend(users, profiles, k=K)
        spent["all"] = time.process_time() - started
    print("\nWhere the processor's time goes, one thread")
    spent["the rest"] = 2 * spent["all"] - sum(spent.values())
    table = {"": list(spent), "ms a user": [1e3 * s / len(users) for s in spent.values()]}
    print(pl.DataFrame(table).with_columns((pl.col("ms a user") / table["ms a user"][-2]).alias("share")))
    rows = []
    for part in (users[: len(users) // 4], users):
        for n in dict.fromkeys(threads):
            with patch("penchant.recommend.recommender.n_threads", lambda n=n: n):
                tracemalloc.start()
                lists = recommender.recommend(part, profiles, k=K).table.estimated_size()
                arrays = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            rows.append({"users": len(part), "threads": n, "arrays, MB": arrays / 1e6, "lists, MB": lists / 1e6})
    print(f"\nMemory at the peak, beside the model; BATCH_BYTES is {batch.BATCH_BYTES / 1e6:.0f} MB a thread")
    print(pl.DataFrame(rows))
    print(f"the whole process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.1f} GB")


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


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds spent in each part of a list's making."""
    spent: dict[str, float] = defaultdict(float)

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return work(*args, **options)
            finally:
                spent[name] += time.process_time() - started

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


if __name__ == "__main__":
    main()
