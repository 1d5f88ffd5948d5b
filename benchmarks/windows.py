"""Ours against the peers on three consecutive windows of every log: does it win once, or again and again?

    python benchmarks/windows.py --data DIR [--only online_retail,ml_1m] [--share 0.1] [--windows 3] [--out DIR]
        [--against popular_7d,ease,medoids]

DIR holds one folder a log with events.parquet and items.parquet (see real_logs.py). Each window holds `--share` of the
events and is judged by fits on what came before it. Printed: ours and the best peer over all windows together (picked
by the figures it is compared on), and their ratio by window; at last the geometric mean of the ratios. Each log runs in
a process of its own; with --out its tables are kept, and logs that are there are not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import penchant as pc
from penchant.config import RunOptions, build_config
from real_logs import LOGS

METRICS = ("ndcg@10", "recall@20", "coverage")


def main() -> None:
    """Print a row a log."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--only", default=",".join(LOGS))
    ask.add_argument("--share", type=float, default=0.1)
    ask.add_argument("--windows", type=int, default=3)
    ask.add_argument("--against", default="")
    ask.add_argument("--out", type=Path)
    ask.add_argument("--here", help=argparse.SUPPRESS)
    asked = ask.parse_args()
    if asked.here:
        run_one(asked)
        return
    pl.Config.set_tbl_rows(50).set_tbl_cols(30).set_tbl_width_chars(220).set_tbl_hide_dataframe_shape(True)
    pl.Config.set_tbl_hide_column_data_types(True).set_fmt_str_lengths(60)
    with tempfile.TemporaryDirectory() as short:
        out = asked.out or Path(short)
        rows = []
        for name in asked.only.split(","):
            if not (out / name / "evaluation.json").is_file():
                options = ["--data", str(asked.data), "--share", str(asked.share), "--windows", str(asked.windows)]
                options += ["--against", asked.against, "--out", str(out), "--here", name]
                subprocess.run([sys.executable, __file__, *options], check=True)
            rows.append(row(name, json.loads((out / name / "evaluation.json").read_text(encoding="utf-8"))))
            print(pl.DataFrame(rows[-1:]), flush=True)
    table = pl.DataFrame(rows)
    print(table)
    for metric in METRICS[:2]:
        ratio = np.exp(np.log(table[f"{metric} ratio"].to_numpy()).mean())
        print(f"geometric mean of the ratios, {metric}: {ratio:.2f}; least {table[f'{metric} ratio'].min():.2f}")


def run_one(asked: argparse.Namespace) -> None:
    """Evaluate one log and keep its tables."""
    evaluate = {"n_windows": asked.windows, "test_share": asked.share}
    config = build_config({**LOGS[asked.here], "evaluate": evaluate})
    folder = asked.data / asked.here
    run = RunOptions(progress=True, cache_dir=asked.out / "texts")
    against = asked.against.split(",") if asked.against else None
    files = (folder / "events.parquet", folder / "items.parquet")
    pc.assess(*files, against=against, config=config, run=run).save(asked.out / asked.here)


def row(name: str, found: dict[str, Any]) -> dict[str, object]:
    """Ours, the best peer of each metric over all windows, and the ratios of ndcg@10 by window, the latest first."""
    methods = {r["method"]: r for r in found["ranking"]}
    ours = methods.pop("penchant")
    out: dict[str, object] = {"log": name, "users": ours["n_users"]}
    best = max(methods.values(), key=lambda r: r["ndcg@10"])
    for metric in METRICS[:2]:
        peer = max(methods.values(), key=lambda r, m=metric: r[m])
        out[metric] = f"{ours[metric]:.4f} / {peer[metric]:.4f} {peer['method']}"
        out[f"{metric} ratio"] = round(ours[metric] / peer[metric], 3)
    out["difference"] = f"{-best['difference']:.4f} ({-best['difference_high']:.4f} to {-best['difference_low']:.4f})"
    out["coverage"] = f"{ours['coverage']:.3f} / {best['coverage']:.3f}"
    windows = [r for r in found["windows"] if r["method"] == "penchant"]
    out["by window"] = " ".join(f"{r['ratio']:.2f}" for r in sorted(windows, key=lambda r: r["window"]))
    out["chosen"] = found["facts"]["chosen"]
    return out


if __name__ == "__main__":
    main()
