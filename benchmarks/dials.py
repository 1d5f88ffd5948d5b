"""What each dial of the recommender does and costs: one fit a window, then lists at stated strengths.

    python benchmarks/dials.py [--markets 21,22,23] [--users 200] [--data DIR --only ml_100k] [--windows 3] [--out DIR]

Made-up markets have `--users` users and twice as many items, level middle; DIR holds one folder a log (see
benchmarks/real_logs.py).
`--windows` consecutive windows of a tenth of the events: lists are for the users who newly liked something there, by a
fit of what came before; users of all windows are pooled, what lists share is the mean over windows. ndcg: NDCG@10; to
none: its ratio to strength 0, with the standard error of the paired difference; coverage: share of the catalogue in the
lists; popularity: mean share of users who had liked a listed item; diversity: mean of 1 - cosine in a list;
miscalibration: KL(past || list) in nats. "noise": seeded normal noise in place of prices, in the same unit: what
spreading lists at random costs. The row "auto" is what each window's own past chose. --out DIR
keeps dials.csv and dials.png there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from penchant.config import Config, RunOptions, build_config
from penchant.data import IntArray, Log, Vectors
from penchant.evaluate.ranking import coverage, diversity, gini, miscalibration, score_lists
from penchant.evaluate.split import Split, split_windows
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.recommend import Recommender
from penchant.recommend.candidates import row_spread
from real_logs import LOGS
from recommend import as_lists, no_profiles
from recommend import fit as fit_recommender

K = 10
STRENGTHS = {
    "popularity_bias": (0.1, 0.3, 0.6),
    "coverage": (0.05, 0.1, 0.2, 0.4, 0.8),
    "calibration": (0.25, 0.5, 0.75),
}
NOISE = (0.2, 0.4)
SHARE = 0.1
SHOWN = {"popularity_bias": "popularity", "coverage": "coverage", "calibration": "miscalibration"}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--markets", default="21,22,23")
    ask.add_argument("--users", type=int, default=200)
    ask.add_argument("--data", type=Path)
    ask.add_argument("--only", default=",".join(LOGS))
    ask.add_argument("--windows", type=int, default=1)
    ask.add_argument("--out", type=Path)
    asked = ask.parse_args()
    pl.Config.set_tbl_rows(-1).set_tbl_cols(-1).set_tbl_width_chars(200).set_tbl_hide_dataframe_shape(True)
    pl.Config.set_tbl_hide_column_data_types(True).set_float_precision(3)
    run = RunOptions(cache_dir=None if asked.out is None else asked.out / "texts")
    parts = []
    for name, log, config in logs(asked):
        parts.append(measure(name, log, config, run, asked.windows))
        print(parts[-1], flush=True)
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        table = pl.concat(parts)
        table.write_csv(asked.out / "dials.csv")
        draw(table, asked.out / "dials.png")


def logs(asked: argparse.Namespace) -> Iterator[tuple[str, Log, Config]]:
    """The logs asked for, read one at a time."""
    for seed in [int(s) for s in asked.markets.split(",") if s]:
        config = build_config({"encode": {"method": "tfidf"}})
        world = make_world(n_users=asked.users, n_items=2 * asked.users, seed=seed)
        yield f"market {seed}", read_log(world.events, world.items, config=config.io), config
    for name in asked.only.split(",") if asked.data else ():
        config, folder = build_config(LOGS[name]), asked.data / name
        yield name, read_log(folder / "events.parquet", folder / "items.parquet", config=config.io), config


def measure(name: str, log: Log, config: Config, run: RunOptions, n_windows: int) -> pl.DataFrame:
    """One row a dial and strength."""
    found: dict[tuple[str, float | None], list[dict[str, object]]] = {}
    for split in split_windows(log.events, SHARE, n_windows):
        model, _ = fit_recommender(split, log.items, config, run)
        users = np.flatnonzero(np.diff(split.targets(len(log.items), "leave_out").indptr) > 0).astype(np.int32)
        print(f"\n{name}: {len(users)} users; {model.chosen}; {model.dials.notes[1]}")
        print(model.dials.report, flush=True)
        off = model.with_dials()
        found.setdefault(("none", 0.0), []).append(figures(listed(off, split, users), model, split, users))
        found.setdefault(("auto", None), []).append(figures(listed(model, split, users), model, split, users))
        for dial, strengths in STRENGTHS.items():
            for s in strengths:
                lists = listed(model.with_dials(**{dial: s}), split, users)
                found.setdefault((dial, s), []).append(figures(lists, model, split, users))
        for s in NOISE:
            found.setdefault(("noise", s), []).append(figures(noisy(off, users, s), model, split, users))
    before = pooled(found["none", 0.0], "ndcg")
    rows = []
    for (dial, strength), parts in found.items():
        ndcg = pooled(parts, "ndcg")
        gap = ndcg - before
        row = {"log": name, "dial": dial, "strength": strength, "users": len(ndcg), "ndcg": ndcg.mean()}
        row |= {"to none": ndcg.mean() / before.mean(), "se": gap.std() / len(gap) ** 0.5 / before.mean()}
        row |= {m: np.nanmean(pooled(parts, m)) for m in ("popularity", "diversity", "miscalibration")}
        rows.append(row | {m: np.mean([part[m] for part in parts]) for m in ("coverage", "gini")})
    return pl.DataFrame(rows, schema_overrides={"strength": pl.Float64})


def pooled(parts: list[dict[str, object]], metric: str) -> np.ndarray:
    """Users of all windows."""
    return np.concatenate([np.atleast_1d(part[metric]) for part in parts])


def listed(model: Recommender, split: Split, users: IntArray) -> IntArray:
    return as_lists(model.recommend(users, no_profiles(split), k=K, evidence=False).table, users)


def noisy(model: Recommender, users: IntArray, strength: float) -> IntArray:
    """Lists with noise in place of prices."""
    crowd = model.crowd(users)
    noise = np.random.default_rng(0).normal(size=crowd.scores.shape)
    scores = np.where(crowd.valid, crowd.scores + strength * row_spread(crowd.scores, crowd.valid) * noise, -np.inf)
    top = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    at = np.take_along_axis(crowd.valid, top, axis=1)
    return np.where(at, np.take_along_axis(crowd.item_rows, top, axis=1), -1).astype(np.int32)


def figures(lists: IntArray, model: Recommender, split: Split, users: IntArray) -> dict[str, object]:
    """A number or one a user, by metric."""
    n_items = model.signals.n_items
    history, targets = split.history(n_items), split.targets(n_items, "leave_out")
    share = np.bincount(history.indices, minlength=n_items) / max(1, int((np.diff(history.indptr) > 0).sum()))
    return {
        "ndcg": score_lists(lists, targets, users)[f"ndcg@{K}"].to_numpy(),
        "coverage": coverage(lists, n_items),
        "gini": gini(lists, n_items),
        "popularity": np.nanmean(np.where(lists >= 0, share[lists], np.nan), axis=1),
        "diversity": diversity(lists, Vectors(model.fused, "fused")),
        "miscalibration": miscalibration(lists, history, model.membership, users),
    }


def draw(table: pl.DataFrame, path: Path) -> None:
    """A panel a dial: what it moves against what it costs, a line a log, a dot a strength."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(SHOWN), figsize=(13, 4.2), sharey=True, layout="constrained")
    names = table["log"].unique(maintain_order=True).to_list()
    for panel, (dial, moved) in zip(panels, SHOWN.items(), strict=True):
        for i, name in enumerate(names):
            own = table.filter(pl.col("log") == name, pl.col("dial").is_in(["none", dial])).sort("strength")
            base = own[moved][0]
            panel.plot(own[moved] / base, own["to none"], "o-", color=f"C{i}", label=name, markersize=4)
            if dial == "coverage":
                auto = table.filter(pl.col("log") == name, pl.col("dial") == "auto")
                panel.plot(auto[moved] / base, auto["to none"], "*", color=f"C{i}", markersize=13, markeredgecolor="k")
        panel.axhline(1, color="0.7", linewidth=0.8, zorder=0)
        panel.axvline(1, color="0.7", linewidth=0.8, zorder=0)
        panel.set_title(f"{dial}: {', '.join(f'{s:g}' for s in STRENGTHS[dial])}", fontsize=10)
        panel.set_xlabel(f"{moved}, ratio to none" + ("   (star: auto)" if dial == "coverage" else ""))
    panels[0].set_ylabel("NDCG@10, ratio to none")
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
