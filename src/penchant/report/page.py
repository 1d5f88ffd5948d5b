"""Put the facts into the template and write the page, all or nothing."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from penchant.errors import OutputError
from penchant.evaluate.table import brief
from penchant.report import collect
from penchant.report.words import Language, words
from penchant.show import cell

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
    target = Path(out)
    page = render(model, evaluation=evaluation, language=language)
    beside = target.with_name(f".{target.name}.writing-{uuid.uuid4().hex[:8]}")
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "is a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(page, encoding="utf-8")
        os.replace(beside, target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"{target}: can't be written ({error.strerror or error}); choose another place") from error


def render(model: Model, *, evaluation: Path | None = None, language: Language = "en") -> str:
    """Return the page as text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["pct"] = lambda value: f"{value:.0%}"
    environment.filters["num"] = lambda value: f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
    environment.filters["cell"] = partial(cell, yes="✓", no="–")
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
    return environment.from_string(_asset("templates/report.html.j2")).render(
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
        chosen=model.recommender.chosen,
        validation=model.recommender.report,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        css=Markup(_asset("static/report.css")),  # noqa: S704  ours, not the caller's
        js=Markup(_asset("static/report.js")),  # noqa: S704
        plotly=Markup(_plotly()),  # noqa: S704
        data=Markup(_script_json(charts)),  # noqa: S704  escaped in _script_json
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


def _script_json(value: Any) -> str:
    """JSON that can't end its script element, whatever the item texts say."""
    text = json.dumps(value, ensure_ascii=False, default=lambda v: v.item())
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return files("penchant.report").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script
