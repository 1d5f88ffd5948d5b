"""The page of simulated sessions, and its Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penchant.report.panels import Panel, lines, write_markdown, write_panels
from penchant.report.words import Language, words

if TYPE_CHECKING:
    from penchant.simulation import Simulation


def write_simulation(result: Simulation, folder: Path, *, language: Language = "en") -> None:
    """Write simulation.html and simulation.md.

    Raises:
        OutputError: a file can't be written.
    """
    t = words(language)
    panels = [Panel(t["sim_whole_title"], t["sim_whole"], result.brief())]
    for figure in ("satisfied", "clicks", "boredom", "hides"):
        ends = [figure, f"{figure}_low", f"{figure}_high"]
        plot = lines(result.by_day, "day", "policy", figure, t[f"sim_{figure}_axis"], t["sim_day"])
        panels.append(
            Panel(t[f"sim_{figure}"], t[f"sim_{figure}_help"], result.by_day.select("policy", "day", *ends), plot)
        )
    write_panels(t["sim_title"], t["sim_lead"], result.notes, panels, folder / "simulation.html", language=language)
    write_markdown(t["sim_title"], t["sim_lead"], result.notes, panels, folder / "simulation.md")
