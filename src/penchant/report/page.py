"""Put the facts into the template and write the page, all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from penchant.errors import OutputError
from penchant.evaluate.off_policy import brief_off_policy
from penchant.evaluate.table import brief
from penchant.report import collect
from penchant.report.render import render_page, write_page
from penchant.report.words import Language, words

if TYPE_CHECKING:
    from penchant.model import Model


def write_report(model: Model, out: str | Path, *, evaluation: Path | None = None, language: Language = "en") -> None:
    """Write the page.

    Args:
        out: the HTML file.
        evaluation: a folder that `penchant evaluate -o` wrote, or None.
        language: of the fixed words; names and texts stay as they are.

    Raises:
        OutputError: the file can't be written.
    """
    write_page(render(model, evaluation=evaluation, language=language), Path(out))


def render(model: Model, *, evaluation: Path | None = None, language: Language = "en") -> str:
    """Return the page as text."""
    settings = model.config.interests
    t = {
        key: text.format(
            horizon=settings.horizon,
            core=settings.core,
            secondary=settings.secondary,
            half_life=f"{settings.half_life_days:g}",
        )
        if key.startswith("def_")
        else text
        for key, text in words(language).items()
    }
    layers = model.forecast.report
    charts = {
        "map": collect.collect_map(model),
        "reliability": _diagram(layers.reliability) if layers is not None else [],
        "layers": layers.layers.to_dicts() if layers is not None else [],
        "words": t,
    }
    return render_page(
        "report.html.j2",
        "report.js",
        charts,
        t=t,
        language=language,
        facts=collect.collect_facts(model),
        tree=collect.collect_tree(model),
        layers=layers,
        profiles=collect.collect_profiles(model),
        segments=collect.collect_segments(model),
        unassigned=float((model.segments.segment_row < 0).mean()),
        lists=collect.collect_recommendations(model, language),
        evaluation=read_evaluation(evaluation),
        off_policy=read_off_policy(evaluation),
        chosen=model.recommender.chosen,
        validation=model.recommender.report,
    )


def _diagram(reliability: pl.DataFrame) -> list[dict[str, Any]]:
    """Bins as the plot wants them."""
    return reliability.select(forecast="mean_probability", observed="hit_rate", n_points="n").to_dicts()


def read_evaluation(folder: Path | None) -> pl.DataFrame | None:
    """Read the peers' table of an evaluation folder.

    Raises:
        OutputError: the folder holds no evaluation.
    """
    if folder is None:
        return None
    file = Path(folder) / "ranking.parquet"
    if not file.is_file():
        raise OutputError(
            f"{folder}: holds no ranking.parquet; make it with: penchant evaluate EVENTS ITEMS -o {folder}"
        )
    return brief(pl.read_parquet(file))


def read_off_policy(folder: Path | None) -> pl.DataFrame | None:
    """Read the off-policy table of an evaluation folder; None where its log had no propensities."""
    file = Path(folder) / "off_policy.parquet" if folder is not None else None
    return brief_off_policy(pl.read_parquet(file)) if file is not None and file.is_file() else None
