"""What an evaluation hands back: tables to print, to save and to read by a program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from penchant.artefacts import write_json
from penchant.assessment.window import OURS
from penchant.evaluate.groups import brief_groups
from penchant.evaluate.off_policy import brief_off_policy
from penchant.evaluate.table import P_ADJUSTED, brief, other_cutoffs
from penchant.interests.forecast import LayerReport
from penchant.io import make_folder, write_table
from penchant.model import Model


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found, as tables and plain notes.

    ranking: one row a method with its metrics, 95 % intervals over users and p-values, over all windows together.
    windows: one row a window and method. groups: one row a group of users and method, in the latest window.
    layers: how well the forecast held on the latest window, or None where it is too small.
    segments: shape, and worth on the latest window, of the segments found before it.
    model: fitted before the latest window.
    off_policy: estimates from what the log's own policy showed in the latest window (`evaluate.off_policy.estimate`);
    None for a log without propensities.
    """

    ranking: pl.DataFrame
    windows: pl.DataFrame
    groups: pl.DataFrame
    layers: LayerReport | None
    segments: pl.DataFrame
    notes: tuple[str, ...]
    facts: dict[str, Any]
    model: Model
    off_policy: pl.DataFrame | None = None

    def frames(self) -> list[tuple[str, pl.DataFrame]]:
        """Title and table, in the order to print."""
        table = brief(self.ranking)
        against = [next(c for c in table.columns if c.startswith("vs ")), P_ADJUSTED]
        first = table.columns[:2]
        out = [
            ("Recommendations: ours and what you would use instead (95 % interval)", table.select(*first, *against)),
            ("More of the same lists", table.drop(first[1], *against)),
        ]
        out += [(f"The same at {k}", at_k) for k, at_k in other_cutoffs(self.ranking).items()]
        if self.windows["window"].max() != 1:
            out.append(("Window by window (1 = the latest)", self.windows))
        if self.off_policy is not None:
            title = f"Off-policy: expected takes from a list of {self.facts['k']} (95 % interval)"
            out.append((title, brief_off_policy(self.off_policy)))
        shown = [OURS, *([self.facts["best_peer"]] if self.facts["best_peer"] else [])]
        title = f"By group of users, {first[1]} (95 % interval)"
        out.append((title, brief_groups(self.groups, shown)))
        if self.layers is not None:
            out += [("Layers against rule methods", self.layers.methods), ("Layers", self.layers.layers)]
            top = self.layers.layers_by_level.filter((pl.col("level") == 1) & (pl.col("method") == "forecast"))
            out.append(("Layers at the top of the tree", top.drop("level", "method")))
        return [*out, ("Segments found before the cut, judged after it", self.segments)]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; moments as ISO 8601 in UTC."""
        return {
            "ranking": self.ranking.to_dicts(),
            "windows": self.windows.with_columns(cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_dicts(),
            "groups": self.groups.to_dicts(),
            "layers": None
            if self.layers is None
            else {
                "methods": self.layers.methods.to_dicts(),
                "layers": self.layers.layers.to_dicts(),
                "reliability": self.layers.reliability.to_dicts(),
            },
            "segments": self.segments.to_dicts(),
            "off_policy": None if self.off_policy is None else self.off_policy.to_dicts(),
            "notes": list(self.notes),
            "facts": self.facts,
        }

    def save(self, folder: str | Path) -> None:
        """Write ranking.parquet and .csv, windows.csv, groups.csv, the layers' tables, evaluation.json; for a log
        with propensities also off_policy.parquet and .csv."""
        target = Path(folder)
        make_folder(target)
        write_table(self.ranking, target / "ranking.parquet")
        tables = {"ranking": self.ranking, "windows": self.windows, "groups": self.groups, "segments": self.segments}
        if self.layers is not None:
            tables |= {
                "layers_methods": self.layers.methods,
                "layers": self.layers.layers,
                "layers_reliability": self.layers.reliability,
            }
        if self.off_policy is not None:
            write_table(self.off_policy, target / "off_policy.parquet")
            tables["off_policy"] = self.off_policy
        for name, table in tables.items():
            write_table(table, target / f"{name}.csv")
        write_json(self.to_dict(), target / "evaluation.json")
