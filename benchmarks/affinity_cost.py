"""What affinity and layers cost for all users: ratio to one plain group-by of the same file, in the same run.

    python benchmarks/affinity_cost.py [N_EVENTS ...]        (default 1000000 10000000)

The made-up log: 50 events a user, 50,000 items, 100 leaves, two levels, three leaves an item. Each
size runs in a process of its own, so that peak memory is its own. The group-by is Polars': user and item, count and
last time. Both read the Parquet file anew and use as many threads as they like. Learning the forecast (at most 20,000
users) and evidence items are told apart: they are not part of "affinity + layers".
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import DAY_S, Events, InterestTree
from penchant.interests.evidence import find_evidence
from penchant.interests.layers import assign_layers, fit_forecast
from penchant.interests.profiles import predict_points
from penchant.interests.windows import History, know

N_LEAVES, N_TOPS, N_ITEMS = 100, 12, 50_000
N_REPEATS = 3


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("sizes", nargs="*", type=int, default=[1_000_000, 10_000_000])
    ask.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = ask.parse_args()
    if asked.one:
        print(json.dumps(run(asked.one)))
        return
    rows = []
    for size in asked.sizes:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(size)], check=True, capture_output=True, text=True
        )
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    pl.Config.set_tbl_cols(20).set_tbl_rows(30).set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(
        True
    ).set_tbl_width_chars(160)
    print(
        pl.DataFrame(rows).transpose(include_header=True, header_name="", column_names=[f"{s:,}" for s in asked.sizes])
    )


def run(n_events: int) -> dict[str, float]:
    """Time the parts on one size; of the two compared, the best of three."""
    events, tree = make_log(n_events)
    config = InterestsConfig()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        events.table.write_parquet(path)
        user_ids, actions = events.user_ids, events.actions
        del events
        group_by = min(timed(lambda: group(path)) for _ in range(N_REPEATS))
        started = time.perf_counter()
        forecast = fit_forecast(read(path, user_ids, actions), tree, config, seed=0)
        learn = time.perf_counter() - started

        def affinity_and_layers() -> int:
            known = know(History(read(path, user_ids, actions)), tree, config)
            return sum(
                len(assign_layers(predict_points(known, forecast, level))) for level in range(1, tree.n_levels + 1)
            )

        affinity = min(timed(lambda: know(History(read(path, user_ids, actions)), tree, config)) for _ in range(2))
        ours = min(timed(affinity_and_layers) for _ in range(N_REPEATS))
        n_points = affinity_and_layers()
        log = read(path, user_ids, actions)
        known = know(History(log), tree, config)
        evidence = timed(lambda: find_evidence(log, tree.membership, known.points[tree.n_levels], config))
    return {
        "users": len(user_ids),
        "points (both levels)": n_points,
        "group-by, s": round(group_by, 2),
        "affinity, s": round(affinity, 2),
        "affinity + layers, s": round(ours, 2),
        "ratio affinity / group-by": round(affinity / group_by, 2),
        "ratio affinity + layers / group-by": round(ours / group_by, 2),
        "microseconds an event": round(ours / n_events * 1e6, 3),
        "learning the forecast, s": round(learn, 2),
        "evidence of the leaves, s": round(evidence, 2),
        "peak memory, GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2),
        "form": forecast.method_used,
    }


def timed(what: object) -> float:
    started = time.perf_counter()
    what()  # type: ignore[operator]
    return time.perf_counter() - started


def group(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).group_by("user_row", "item_row").agg(pl.len(), pl.col("time").max())


def read(path: Path, user_ids: pl.Series, actions: tuple[str, ...]) -> Events:
    return Events(pl.read_parquet(path), user_ids, actions)


def make_log(
    n_events: int, seed: int = 0, *, events_per_user: int = 50, n_items: int = N_ITEMS, skew: float = 2.0
) -> tuple[Events, InterestTree]:
    """Users of six interests each, of falling strength, a fifth of noise; popular items; a year.

    Args:
        skew: the r-th item of a leaf is taken in proportion to r ** (1 / skew - 1): 2 is mild, 5 nearly Zipf's law.
    """
    rng = np.random.default_rng(seed)
    n_users = n_events // events_per_user
    user = (n_users * rng.random(n_events) ** 1.5).astype(np.int32)
    own = rng.integers(0, N_LEAVES, (n_users, 6))
    leaf = own[user, np.minimum(rng.geometric(0.35, n_events) - 1, 5)]
    noise = rng.random(n_events) < 0.2
    leaf[noise] = rng.integers(0, N_LEAVES, int(noise.sum()))
    item = leaf + N_LEAVES * (n_items // N_LEAVES * rng.random(n_events) ** skew).astype(np.int64)
    table = pl.DataFrame(
        {
            "user_row": user,
            "item_row": item.astype(np.int32),
            "action": np.zeros(n_events, np.int16),
            "weight": np.where(rng.random(n_events) < 0.05, -1.0, 1.0).astype(np.float32),
            "time": np.sort(rng.random(n_events)) * 365 * DAY_S,
        }
    )
    rows = np.repeat(np.arange(n_items), 3)
    columns = (np.arange(n_items)[:, None] + [0, 1, 7]).ravel() % N_LEAVES
    shares = np.tile(np.array([0.7, 0.2, 0.1], np.float32), n_items)
    membership = sp.csr_array((shares, (rows, columns)), shape=(n_items, N_LEAVES))
    parents = [*(N_LEAVES + np.arange(N_LEAVES) % N_TOPS).tolist(), *[-1] * N_TOPS]
    nodes = pl.DataFrame(
        {
            "interest_id": [f"i{k}" for k in range(N_LEAVES + N_TOPS)],
            "parent_row": pl.Series(parents, dtype=pl.Int32),
            "level": pl.Series([2] * N_LEAVES + [1] * N_TOPS, dtype=pl.Int32),
        }
    )
    tree = InterestTree(nodes, membership, np.zeros((N_LEAVES, 2), np.float32), None, "t0")
    return Events(table, pl.Series("user_id", range(n_users)).cast(pl.String), ("view",)), tree


if __name__ == "__main__":
    main()
