"""A leaderboard on the caller's own log: which representation and which clustering to take, by evidence."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from penchant.artefacts import write_json
from penchant.comparison.bench import Bench, make_bench
from penchant.comparison.jobs import POPULARITY
from penchant.comparison.runner import Job, run_jobs
from penchant.comparison.verdict import choose_clustering, choose_representation, clustering_score, pareto
from penchant.config import Config, RunOptions
from penchant.data import Log
from penchant.errors import ConfigError, DataError, did_you_mean
from penchant.io import make_folder, read_log, write_table
from penchant.represent import METHODS as REPRESENTATIONS
from penchant.segments.algorithms import METHODS as CLUSTERINGS

__all__ = ["Comparison", "compare", "compare_log", "parse_budget"]

_REPRESENTATION_COLUMNS = (
    "ndcg",
    "ndcg_low",
    "ndcg_high",
    "recall",
    "interest_hit_rate",
    "seconds",
    "seconds_per_million_events",
    "memory_mb",
)
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    representations: a row a method, the best NDCG first: method · name · ndcg (of 10), ndcg_low, ndcg_high (95 % over
    users) · recall (of 20) · interest_hit_rate · seconds · seconds_per_million_events · memory_mb · pareto bool ·
    status ("done", or why not).
    segmentations: a row a method, the best score first: method · n_clusters · unassigned_share · silhouette ·
    davies_bouldin · calinski_harabasz · sse · within_distance · between_distance · seed_ari · subsample_ari · worth,
    worth_low, worth_high · score · agreement with each truth given · seconds · memory_mb · pareto · status.
    advice: which to take, and why, in words. facts: the split, the sizes, what was asked.
    """

    representations: pl.DataFrame
    segmentations: pl.DataFrame
    advice: tuple[str, ...]
    facts: dict[str, Any]

    def frames(self) -> list[tuple[str, pl.DataFrame]]:
        """Title and table, in the order to print: the figures that decide; all of them are in the saved tables."""
        return [
            ("Representations", _brief(self.representations, "ndcg", ("recall", "interest_hit_rate"))),
            (
                "Clusterings of users",
                _brief(
                    self.segmentations,
                    "worth",
                    ("n_clusters", "score", "subsample_ari", "silhouette", "unassigned_share"),
                ),
            ),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "representations": self.representations.to_dicts(),
            "segmentations": self.segmentations.to_dicts(),
            "advice": list(self.advice),
            "facts": self.facts,
        }

    def save(self, folder: str | Path) -> None:
        """Write representations.csv, segmentations.csv, comparison.json and comparison.html.

        Raises:
            OutputError: the folder can't be made or written.
        """
        from penchant.report.leaderboard import write_leaderboard

        target = Path(folder)
        make_folder(target)
        write_table(self.representations, target / "representations.csv")
        write_table(self.segmentations, target / "segmentations.csv")
        write_json(self.to_dict(), target / "comparison.json")
        write_leaderboard(self, target / "comparison.html")


def compare(
    events: Any,
    items: Any = None,
    attributes: Any = None,
    *,
    represent: Sequence[str] | None = None,
    cluster: Sequence[str] | None = None,
    truth: Sequence[str] = (),
    budget: str | float = "30m",
    config: Config | None = None,
    run: RunOptions | None = None,
) -> Comparison:
    """Measure representations and clusterings on a log, each against the simple baselines.

    Args:
        events, items, attributes: as for `penchant.fit`.
        represent: rows of `penchant.represent.METHODS` (default: all that can run here).
        cluster: rows of `penchant.segments.algorithms.METHODS` (default: all that can run here).
        truth: columns of `attributes` that tell users' true groups.
        budget: seconds, or "90s", "30m", "2h": when it is spent the rest is not begun; kept results are free.
        run: with a `cache_dir`, results are kept there and taken up again.

    Raises:
        DataError: the log is too short to hold out a window, or a truth column is missing.
        ConfigError: an unknown method or budget.
    """
    config, run = config or Config(), run or RunOptions()
    log = read_log(events, items, attributes, config=config.io)
    return compare_log(log, represent, cluster, truth, parse_budget(budget), config, run)


def compare_log(
    log: Log,
    represent: Sequence[str] | None,
    cluster: Sequence[str] | None,
    truth: Sequence[str],
    budget_s: float,
    config: Config,
    run: RunOptions,
) -> Comparison:
    """Compare on a log already read."""
    vectors, absent = _asked("--represent", represent, REPRESENTATIONS, POPULARITY)
    groups, lacking = _asked("--cluster", cluster, CLUSTERINGS, ())
    bench = make_bench(log, _truth(log, truth), config, run)
    jobs = [Job("representation", name, {}) for name in vectors]
    jobs += [Job("clustering", name, {"n_segments": bench.n_segments}) for name in groups]
    kept = nullcontext(run.cache_dir / "compare") if run.cache_dir else tempfile.TemporaryDirectory()
    with kept as folder:
        make_folder(folder)
        results = run_jobs(bench, jobs, Path(folder), run, budget_s)
    n = len(vectors)
    representations = _representations([*results[:n], *absent])
    segmentations = _segmentations([*results[n:], *lacking])
    advice = (choose_representation(representations), choose_clustering(segmentations))
    return Comparison(representations, segmentations, advice, _facts(bench, log, budget_s))


def parse_budget(budget: str | float) -> float:
    """Seconds of "90s", "30m", "2h" or a plain number.

    >>> parse_budget("30m")
    1800.0
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(budget))
    if not found or float(found[1]) <= 0:
        raise ConfigError(f"--budget: must be a time above 0, e.g. 90s, 30m or 2h. Got {budget!r}")
    return float(found[1]) * _UNITS[found[2] or "s"]


def _asked(
    option: str, names: Sequence[str] | None, table: Any, baselines: tuple[str, ...]
) -> tuple[list[str], list[dict[str, Any]]]:
    """The names to run, and rows for those of the default that lack a library here."""
    allowed = [*baselines, *table]
    for name in names or ():
        if name not in allowed:
            raise ConfigError(f"{option}: unknown method '{name}'; {did_you_mean(name, allowed)}")
    if names:
        return list(dict.fromkeys(names)), []
    run, absent = list(baselines), []
    for name in table:
        missing = table[name].missing()
        if missing:
            absent.append({"method": name, "status": f"not run: {missing}"})
        else:
            run.append(name)
    return run, absent


def _truth(log: Log, names: Sequence[str]) -> dict[str, pl.Series]:
    """Labels in the order of the log's users."""
    if not names:
        return {}
    if log.attributes is None:
        raise DataError("compare: --truth names columns of the users' attributes; give that table with --attributes")
    users = log.events.user_ids.rename("user_id").to_frame()
    for name in names:
        if name not in log.attributes.columns:
            raise DataError(f"attributes: no column '{name}'; {did_you_mean(name, log.attributes.columns)}")
    joined = users.join(log.attributes, on="user_id", how="left", maintain_order="left")
    return {name: joined[name].cast(pl.String) for name in names}


def _representations(results: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {"method": pl.String, "name": pl.String} | dict.fromkeys(_REPRESENTATION_COLUMNS, pl.Float64)
    table = pl.DataFrame([{k: r.get(k) for k in (*schema, "status")} for r in results], {**schema, "status": pl.String})
    return _with_front(table.sort("ndcg", descending=True, nulls_last=True, maintain_order=True), "ndcg")


def _segmentations(results: list[dict[str, Any]]) -> pl.DataFrame:
    known = ("method", "status", "facts")
    first = ("n_clusters", "worth", "worth_low", "worth_high", "subsample_ari", "seed_ari", "unassigned_share")
    told = dict.fromkeys(name for r in results for name in r if name not in known)
    names = [*(name for name in first if name in told), *(name for name in told if name not in first)]
    schema = {"method": pl.String} | dict.fromkeys(names, pl.Float64) | {"status": pl.String}
    if "n_clusters" not in names:
        return pl.DataFrame([{k: r.get(k) for k in schema} for r in results], schema)
    table = pl.DataFrame([{k: r.get(k) for k in schema} for r in results], schema)
    table = table.with_columns(clustering_score(table), pl.col("n_clusters").cast(pl.Int32))
    ordered = table.sort("score", descending=True, nulls_last=True, maintain_order=True)
    return _with_front(
        ordered.select("method", "n_clusters", "score", pl.exclude("method", "n_clusters", "score")), "score"
    )


def _with_front(table: pl.DataFrame, quality: str) -> pl.DataFrame:
    done = (table["status"] == "done").to_numpy()
    front = np.zeros(len(done), bool)
    if done.any():
        part = table.filter(pl.Series(done))
        front[done] = pareto(part[quality].fill_null(0.0).to_list(), part["seconds"].to_list())
    return table.with_columns(pl.Series("pareto", front)).select(pl.exclude("status"), "status")


def _brief(table: pl.DataFrame, main: str, others: tuple[str, ...]) -> pl.DataFrame:
    if main not in table.columns:
        return table
    truth = [c for c in table.columns if c.endswith((": ari", ": v_measure"))]
    ends = zip(table[main], table[f"{main}_low"], table[f"{main}_high"], strict=True)
    shown = ["" if v is None else f"{v:.4f} ({a:.4f}-{b:.4f})" for v, a, b in ends]
    return table.select("method", pl.Series(main, shown), *others, *truth, "seconds", "memory_mb", "pareto", "status")


def _facts(bench: Bench, log: Log, budget_s: float) -> dict[str, Any]:
    return {
        "n_train_events": len(bench.train),
        "n_events": len(log.events),
        "n_test_users": len(bench.user_rows),
        "n_users": log.events.n_users,
        "n_items": len(bench.items),
        "n_leaves": bench.membership.shape[1],
        "n_segments": bench.n_segments,
        "test_share": bench.config.evaluate.test_share,
        "clock": log.events.clock,
        "budget_s": budget_s,
        "seed": bench.config.seed,
    }
