"""`fit` + `evaluate` on real logs: time, peak memory, peers' table, layers on the last window, ten profiles.

    python benchmarks/real_logs.py --data DIR [--only online_retail,ml_1m] [--out DIR]

DIR holds one folder a log with events.parquet and items.parquet (they are the owners' data and no part of Penchant).
Each log runs in a process of its own, so that peak memory is its own. Only column choices differ between logs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import penchant as pc
from penchant import show
from penchant.config import Config, RunOptions, build_config
from penchant.report.collect import typical_users

# What a user would write on the command line: nothing but columns, and the usual "ratings of 4 and 5 are likes".
LOGS: dict[str, dict[str, object]] = {
    "online_retail": {},
    "ml_1m": {"io": {"min_value": 4}, "encode": {"fields": ["title", "plot"]}},
    "goodbooks_sample": {"encode": {"fields": ["title", "authors"]}},
    "deskdrop": {},
    "ml_100k": {"encode": {"fields": ["title"]}},
    "ml_latest_small": {"encode": {"fields": ["title"]}},
}
DEFAULT = ("online_retail", "ml_1m", "goodbooks_sample", "deskdrop")


def run_one(name: str, data: Path, out: Path | None) -> dict[str, object]:
    """Evaluate one log, print everything, and return the figures."""
    config: Config = build_config(LOGS[name])
    run = RunOptions(progress=True, cache_dir=None if out is None else out / "cache")
    files = (data / name / "events.parquet", data / name / "items.parquet")
    started = time.perf_counter()
    result = pc.assess(*files, config=config, run=run)
    evaluated = time.perf_counter()
    model = pc.fit(*files, config=config, run=run)
    fitted = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\n== {name}")
    show.evaluation(result)
    print(f"evaluate {evaluated - started:.0f} s, fit {fitted - evaluated:.0f} s, peak memory {peak:.1f} GB")
    for user in typical_users(model, 10):
        show.profile(model.profile(user))
        print()
    if out is not None:
        result.save(out / name)
        model.save(out / name / "model")
        from penchant.report import write_report

        write_report(model, out / name / "report.html", evaluation=out / name)
    return {
        "log": name,
        "evaluate_s": round(evaluated - started),
        "fit_s": round(fitted - evaluated),
        "peak_gb": round(peak, 2),
        **result.to_dict(),
    }


def main() -> None:
    """Run each log in its own process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=",".join(DEFAULT))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        figures = run_one(options.here, options.data, options.out)
        if options.out is not None:
            text = json.dumps(figures, ensure_ascii=False, default=lambda v: v.item())
            (options.out / options.here / "figures.json").write_text(text, encoding="utf-8")
        return
    for name in options.only.split(","):
        command = [sys.executable, __file__, "--data", str(options.data), "--here", name]
        subprocess.run([*command, *(["--out", str(options.out)] if options.out else [])], check=True)


if __name__ == "__main__":
    main()
