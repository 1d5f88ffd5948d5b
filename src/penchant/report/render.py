"""What every page shares: the template environment, inlined assets, data that can't end its script element."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from penchant.artefacts import file_beside
from penchant.io import make_folder
from penchant.show import cell


def render_page(template: str, script: str, data: Mapping[str, Any], **values: Any) -> str:
    """One self-contained page: style, script and Plotly stand in it, so it works without a network.

    Args:
        template: of `templates/`. script: of `static/`; it reads `data` from the element `page-data`.
        values: what the template names; texts are escaped.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["pct"] = lambda value: f"{value:.0%}"
    environment.filters["num"] = lambda value: f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
    environment.filters["cell"] = partial(cell, yes="✓", no="–")
    return environment.from_string(_asset(f"templates/{template}")).render(
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        css=Markup(_asset("static/report.css")),  # noqa: S704  ours, not the caller's
        js=Markup(_asset(f"static/{script}")),  # noqa: S704
        plotly=Markup(_plotly()),  # noqa: S704
        data=Markup(_script_json(data)),  # noqa: S704  escaped in _script_json
        **values,
    )


def write_page(page: str, target: Path) -> None:
    """Write a page, all or nothing.

    Raises:
        OutputError: the file can't be written.
    """
    make_folder(target.parent)
    with file_beside(target) as beside:
        beside.write_text(page, encoding="utf-8")


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
