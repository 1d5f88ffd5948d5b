"""A page of panels, each a picture over its table; and the same as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from penchant.artefacts import file_beside
from penchant.report.render import render_page, write_page
from penchant.report.words import Language, words
from penchant.show import cell


@dataclass(frozen=True)
class Panel:
    """title, help: texts · frame: the table · plot: `dots` or `lines` below, or None."""

    title: str
    help: str
    frame: pl.DataFrame
    plot: Mapping[str, Any] | None = None


def dots(labels: Sequence[str], frame: pl.DataFrame, value: str, low: str, high: str, axis: str) -> dict[str, Any]:
    """Shares with their intervals, one a row, the first on top."""
    ends = {key: frame[name].to_list() for key, name in (("value", value), ("low", low), ("high", high))}
    return {"kind": "dots", "label": list(labels), "axis": axis, **ends}


def lines(frame: pl.DataFrame, x: str, of: str, value: str, axis: str, x_axis: str) -> dict[str, Any]:
    """A line for each value of column `of`, with its interval (`value`_low, `value`_high) as a band."""
    series = [
        {"name": str(name), **{key: own[f"{value}{end}"].to_list() for key, end in _ENDS}, "x": own[x].to_list()}
        for (name,), own in frame.group_by(of, maintain_order=True)
    ]
    return {"kind": "lines", "series": series, "axis": axis, "x_axis": x_axis}


_ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))


def write_panels(
    title: str, lead: str, notes: Sequence[str], panels: Sequence[Panel], target: Path, *, language: Language = "en"
) -> None:
    """Write one self-contained page (`.html`); all texts are escaped.

    Raises:
        OutputError: the file can't be written.
    """
    page = render_page(
        "panels.html.j2",
        "panels.js",
        {"plots": [panel.plot for panel in panels]},
        t=words(language),
        language=language,
        title=title,
        lead=lead,
        notes=notes,
        panels=panels,
    )
    write_page(page, target)


def write_markdown(title: str, lead: str, notes: Sequence[str], panels: Sequence[Panel], target: Path) -> None:
    """Write the same without pictures; names are escaped, so none of them can be a link, a tag or a table's edge.

    Raises:
        OutputError: the file can't be written.
    """
    parts = [f"# {as_markdown(title)}", as_markdown(lead), "\n".join(f"- {as_markdown(note)}" for note in notes)]
    for panel in panels:
        parts += [f"## {as_markdown(panel.title)}", as_markdown(panel.help), _table(panel.frame)]
    with file_beside(target) as beside:
        beside.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def as_markdown(text: str) -> str:
    """A text that Markdown shows as it is.

    >>> as_markdown("a|b <i> [x](y)")
    'a\\\\|b &lt;i&gt; \\\\[x\\\\](y)'
    """
    plain = escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_|\[\]#~])", r"\\\1", plain)


def _table(frame: pl.DataFrame) -> str:
    sides = ["--:" if kind.is_numeric() else "---" for kind in frame.dtypes]
    rows = [[as_markdown(cell(value)) for value in row] for row in frame.rows()]
    return "\n".join("| " + " | ".join(row) + " |" for row in [frame.columns, sides, *rows])
