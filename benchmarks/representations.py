"""Every representation on real logs and the made-up market: time split, and each user's last item out.

    python benchmarks/representations.py --data DIR [--logs ml_1m,online_retail,...] [--methods a,b] [--keep DIR]
        [--choose-on everyone]

DIR holds one folder a log with events.parquet and items.parquet (see real_logs.py for how each is read); "market" is
the made-up one. Users' items are ranked by a plain dot product over the whole catalogue, items already acted on left
out. Time split: the last fifth of the events; last one out: the last liked item of every user with three or more, the
rest is known. Each method runs in a process of its own; with --keep, results are kept and taken up again.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl

from last_items import last_items, without
from penchant.comparison.bench import Bench, make_bench
from penchant.comparison.jobs import POPULARITY
from penchant.comparison.runner import Job, run_jobs
from penchant.config import Config, RunOptions, build_config
from penchant.data import Log
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.represent import METHODS
from real_logs import LOGS

DEFAULT = "ml_1m,online_retail,goodbooks_sample,market"


def main() -> None:
    """Print one table a log and split."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, help="not needed for the market")
    ask.add_argument("--logs", default=DEFAULT)
    ask.add_argument("--methods", default=",".join((*POPULARITY, *METHODS)))
    ask.add_argument("--splits", default="time,last")
    ask.add_argument("--keep", type=Path, help="folder for results, to be taken up again")
    ask.add_argument("--choose-on", choices=("late", "everyone"), help="represent.neural.choose_on")
    ask.add_argument("--minutes", type=float, default=600, help="stop after this long")
    asked = ask.parse_args()
    if asked.data is None and asked.logs != "market":
        ask.error("--data DIR is needed for real logs")
    pl.Config.set_tbl_rows(50).set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True)
    pl.Config.set_tbl_cols(20).set_tbl_width_chars(200).set_fmt_str_lengths(60)
    with tempfile.TemporaryDirectory() as short:
        keep = asked.keep or Path(short)
        keep.mkdir(parents=True, exist_ok=True)
        run = RunOptions(progress=True, cache_dir=keep / "texts")
        for name in asked.logs.split(","):
            log, config = read(name, asked.data, asked.choose_on)
            bench = make_bench(log, {}, config, run)
            for split in asked.splits.split(","):
                judged = bench if split == "time" else last_one_out(bench, log)
                jobs = [Job("representation", method, {"split": split}) for method in asked.methods.split(",")]
                results = run_jobs(judged, jobs, keep, run, asked.minutes * 60)
                print(f"\n{name}, {split}: {len(judged.train):,} events, {len(judged.user_rows):,} users tested")
                print(table(results, len(judged.train)))


def read(name: str, data: Path | None, choose_on: str | None) -> tuple[Log, Config]:
    """A log and its settings."""
    chosen = {} if choose_on is None else {"represent": {"neural": {"choose_on": choose_on}}}
    if name == "market":
        config = build_config(chosen)
        world = make_world(n_users=2000, seed=10)
        return read_log(world.events, world.items, config=config.io), config
    assert data is not None
    config = build_config({**LOGS[name], **chosen})
    return read_log(*(data / name / f"{part}.parquet" for part in ("events", "items")), config=config.io), config


def last_one_out(bench: Bench, log: Log) -> Bench:
    """The same bench with each user's last liked item as the only target; repeats of it leave the past too.

    An item nobody else liked can't be found by behaviour: such targets stay, and count as misses.
    """
    targets, users = last_items(log.events, len(bench.items))
    train = without(log.events, targets)
    seen = train.touched(len(bench.items))
    return replace(bench, train=train, targets=targets, user_rows=users, seen=seen)


def table(results: list[dict[str, object]], n_events: int) -> pl.DataFrame:
    """The figures that count, the best first; `cpu_seconds` do not grow with what else the machine does."""
    figures = ("ndcg", "ndcg_low", "ndcg_high", "recall", "interest_hit_rate")
    names = ("method", *figures, "seconds", "cpu_seconds", "memory_mb", "status")
    rows = pl.DataFrame([{n: r.get(n) for n in names} for r in results], infer_schema_length=None)
    costs = pl.col("seconds", "cpu_seconds", "memory_mb").cast(pl.Float64).round(1)
    rows = rows.with_columns(costs, pl.col(*figures).cast(pl.Float64).round(4)).with_columns(
        cpu_s_per_million=(pl.col("cpu_seconds") / n_events * 1e6).round(0)
    )
    return rows.sort("ndcg", descending=True, nulls_last=True, maintain_order=True)


if __name__ == "__main__":
    main()
