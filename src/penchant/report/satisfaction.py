"""The page of what users said, and its Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penchant.report.panels import Panel, dots, write_markdown, write_panels
from penchant.report.words import Language, words

if TYPE_CHECKING:
    from penchant.feedback import Satisfaction

MAX_DOTS = 25


def write_feedback(result: Satisfaction, folder: Path, *, language: Language = "en") -> None:
    """Write feedback.html and feedback.md.

    Args:
        language: of the fixed words of the page; notes are in English.
    Raises:
        OutputError: a file can't be written.
    """
    t = words(language)
    panels = []
    for about, frame in result.sections():
        plot, key = None, "fb_agreement"
        if about != "agreement":
            covers = about == "coverage"
            key = "fb_coverage" if covers else "fb_satisfied"
            top = frame.head(MAX_DOTS)
            before = next((name for name in ("question", "by") if name in top.columns), None)
            labels = top["group"].to_list()
            if before is not None:
                labels = [
                    f"{first}: {group}" if first else group for first, group in top.select(before, "group").rows()
                ]
            value, low, high = ("response", "response_low", "response_high") if covers else ("satisfied", "low", "high")
            plot = dots(labels, top, value, low, high, t["fb_response" if covers else "fb_share"])
        panels.append(Panel(t[f"fb_by_{about}"], t[key], frame, plot))
    write_panels(t["fb_title"], t["fb_lead"], result.notes, panels, folder / "feedback.html", language=language)
    write_markdown(t["fb_title"], t["fb_lead"], result.notes, panels, folder / "feedback.md")
