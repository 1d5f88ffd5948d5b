"""What answers of real users said: tables to print, to save, to read as a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from penchant.artefacts import write_json
from penchant.data import Finding
from penchant.io import make_folder, write_table

FEW_ANSWERS = 30  # below it a share of answers says little, whatever its interval


@dataclass(frozen=True)
class Satisfaction:
    """What `judge_feedback` found.

    table: by (all, layer, interest, segment, rank, source) · question · the columns of `satisfaction_table`.
    agreement: question · auc, low, high · n_users, n_answers (`evaluate.satisfaction.agreement`).
    coverage: who answered, by activity and segment. answers: one row an answer, joined with what the model knows.
    """

    table: pl.DataFrame
    agreement: pl.DataFrame
    coverage: pl.DataFrame
    answers: pl.DataFrame
    findings: tuple[Finding, ...]
    facts: dict[str, Any]

    @property
    def notes(self) -> list[str]:
        """What to know before reading the figures, one line each."""
        facts, whole = self.facts, self.table.filter(pl.col("by") == "all")
        out = []
        for row in whole.to_dicts():
            about = f" to '{row['question']}'" if row["question"] else ""
            scale = facts["scales"].get(row["question"], "words")
            said = f"{row['n_answers']:,} answers{about} by {row['n_users']:,} users ({scale}): {row['satisfied']:.0%} "
            said += f"satisfied ({row['low']:.0%} to {row['high']:.0%})"
            if scale == "nps":
                said += f"; NPS {100 * (row['n_for'] - row['n_against']) / row['n_answers']:+.0f}"
            out.append(said + ("; TOO FEW to say more" if row["n_answers"] < FEW_ANSWERS else ""))
        answered = self.coverage.filter(pl.col("by") == "activity")["n_answered"].sum()
        share = answered / facts["n_model_users"]
        out.append(
            f"{share:.1%} of the model's users answered; who is pleased or angry answers more readily, and no figure "
            "here knows what the others think"
        )
        weighted, first = facts["weighted_satisfied"], whole["satisfied"][0]
        if weighted is not None and whole.height == 1:
            out.append(f"if everybody answered like those as active as they: {weighted:.0%} satisfied, not {first:.0%}")
        if facts["heaviest_share"] > 0.1:
            out.append(f"one user gave {facts['heaviest_share']:.0%} of the answers")
        if facts["known_before"]:
            out.append(
                f"{facts['known_before']:,} answers are older than the model's last event: if the log held them, or "
                "acts on the same items, agreement is flattered"
            )
        for key, what in (("of_unknown_users", "of users"), ("about_unknown_items", "about items")):
            if facts[f"n_answers_{key}"]:
                out.append(f"{facts[f'n_answers_{key}']:,} answers are {what} the model does not know")
        if facts["n_answers_about_items"]:
            out.append(f"rank and source: of {facts['ranks_from']}")
        return out

    def sections(self) -> list[tuple[str, pl.DataFrame]]:
        """What a table is about (all, layer, interest, segment, rank, source, agreement, coverage) and the table."""
        several = self.table["question"].n_unique() > 1
        left_out = ["by"] if several else ["by", "question"]
        parts = {by: own.drop(left_out) for (by,), own in self.table.group_by("by", maintain_order=True)}
        out = [(str(by), own) for by, own in parts.items()]
        if self.agreement["n_users"].sum():
            out.append(("agreement", self.agreement if several else self.agreement.drop("question")))
        return [*out, ("coverage", self.coverage)]

    def frames(self) -> list[tuple[str, pl.DataFrame]]:
        """Title and table, in the order to print."""
        from penchant.report.words import words

        t = words("en")
        return [(t[f"fb_by_{about}"], table) for about, table in self.sections()]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, answers left out."""
        return {
            "satisfaction": self.table.to_dicts(),
            "agreement": self.agreement.to_dicts(),
            "coverage": self.coverage.to_dicts(),
            "notes": self.notes,
            "findings": [asdict(f) for f in self.findings],
            "facts": self.facts,
        }

    def save(self, folder: str | Path, *, language: Literal["en", "zh"] = "en") -> None:
        """Write satisfaction.csv, agreement.csv, coverage.csv, answers.csv, feedback.json, feedback.md and .html.

        Args:
            language: of the fixed words of the page; notes are in English.
        """
        from penchant.report.satisfaction import write_feedback  # a page is drawn from a result, never the other way

        target = Path(folder)
        make_folder(target)
        for name, table in (
            ("satisfaction", self.table),
            ("agreement", self.agreement),
            ("coverage", self.coverage),
            ("answers", self.answers),
        ):
            write_table(table, target / f"{name}.csv")
        write_json(self.to_dict(), target / "feedback.json")
        write_feedback(self, target, language=language)
