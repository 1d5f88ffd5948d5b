"""Count and name what is wrong with a table, in the order it was met."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.data import Finding
from penchant.errors import DataError

ROW = "__row"  # 1-based number of the data row in the caller's table (header not counted)
N_SHOWN = 5


@dataclass
class Findings:
    """Collects findings; `lost` counts rows that dirt (not the caller's own filters) would take."""

    found: list[Finding] = field(default_factory=list)
    asked: list[Finding] = field(default_factory=list)

    def add(
        self, where: str, kind: str, rows: npt.NDArray[np.integer], rule: str, *, dropped: bool = False, n: int = -1
    ) -> None:
        """Note one kind of dirt; `rows` are 1-based row numbers, `n` their count where only some are known."""
        count = len(rows) if n < 0 else n
        if count:
            first = np.sort(rows)[:N_SHOWN]
            self.found.append(
                Finding(where, kind, count, tuple(int(r) for r in first), rule, n_dropped=count if dropped else 0)
            )

    def drop(
        self, table: pl.DataFrame, mask: pl.Expr, where: str, kind: str, rule: str, *, asked: bool = False
    ) -> pl.DataFrame:
        """Take the rows under a mask out of a table that has ROW; `asked`: the caller's filter, no dirt."""
        hit = table.select(mask.fill_null(False).alias("hit"))["hit"]
        if not hit.any():
            return table
        self.add(where, kind, table[ROW].filter(hit).to_numpy(), rule, dropped=not asked)
        if asked:
            self.asked.append(self.found[-1])
        return table.filter(~hit)

    def lost(self, where: str) -> int:
        """Rows of one table that were dropped as dirt."""
        return sum(f.n_dropped for f in self.found if f.where == where)

    def stop_if_losing(self, on_error: str, where: str) -> None:
        """Raise when nothing may be dropped (`on_error="stop"`) and something was."""
        losing = [f for f in self.found if f.n_dropped and f.where == where]
        if on_error == "stop" and losing:
            shown = "; ".join(say(f) for f in losing[:3])
            more = f"; and {len(losing) - 3} kinds more" if len(losing) > 3 else ""
            raise DataError(f"{where}: {shown}{more}; repair them, or use --on-error drop to leave them out.")


def say(finding: Finding) -> str:
    """One finding in words.

    >>> say(Finding("e.csv", "no user id", 2, (3, 9), "left out", 2))
    'no user id: 2 rows (rows 3, 9)'
    """
    unit = "row" if finding.n_rows == 1 else "rows"
    rows = ", ".join(str(r) for r in finding.rows)
    dots = ", ..." if finding.n_rows > len(finding.rows) else ""
    return f"{finding.kind}: {finding.n_rows:,} {unit}" + (f" (rows {rows}{dots})" if rows else "")
