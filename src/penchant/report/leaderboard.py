"""The page of a comparison: both tables, a Pareto picture each, the advice, and what every figure means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from penchant.report.render import render_page, write_page
from penchant.report.words import Language, words

if TYPE_CHECKING:
    from penchant.comparison import Comparison

_FIGURES = {
    "representations": (
        "ndcg",
        "recall",
        "interest_hit_rate",
        "seconds",
        "seconds_per_million_events",
        "memory_mb",
    ),
    "segmentations": (
        "score",
        "worth",
        "seed_ari",
        "subsample_ari",
        "unassigned_share",
        "silhouette",
        "davies_bouldin",
        "calinski_harabasz",
        "sse",
        "within_distance",
        "between_distance",
    ),
}


def write_leaderboard(comparison: Comparison, out: str | Path, *, language: Language = "en") -> None:
    """Write the page.

    Args:
        out: the HTML file. language: of the fixed words; the advice is in English.
    Raises:
        OutputError: the file can't be written.
    """
    t = words(language)
    tables = {"representations": comparison.representations, "segmentations": comparison.segmentations}
    charts = {
        "fronts": [
            _front(comparison.representations, "ndcg", "NDCG@10"),
            _front(comparison.segmentations, "score", "score"),
        ],
        "words": {"seconds": t["seconds"]},
    }
    page = render_page(
        "leaderboard.html.j2",
        "leaderboard.js",
        charts,
        t=t,
        language=language,
        facts=comparison.facts,
        advice=comparison.advice,
        tables=tables,
        figures={name: [f for f in known if f in tables[name].columns] for name, known in _FIGURES.items()},
    )
    write_page(page, Path(out))


def _front(table: pl.DataFrame, quality: str, label: str) -> dict[str, Any]:
    """Quality against seconds, one point a method that was measured."""
    done = table.filter(pl.col("status") == "done")
    if done.is_empty():
        return {"label": label, "method": [], "quality": [], "low": [], "high": [], "seconds": [], "pareto": []}
    ends = {end: f"{quality}_{end}" if f"{quality}_{end}" in done.columns else quality for end in ("low", "high")}
    return {
        "label": label,
        "method": done["method"].to_list(),
        "quality": done[quality].to_list(),
        "low": done[ends["low"]].to_list(),
        "high": done[ends["high"]].to_list(),
        "seconds": done["seconds"].to_list(),
        "pareto": done["pareto"].to_list(),
    }
