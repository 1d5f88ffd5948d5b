"""What becomes of explored interests: shown, taken up, and grown into the user's secondary or core ones."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from penchant.data import LAYERS, Profiles

GROWN = (LAYERS.index("core"), LAYERS.index("secondary"))


@dataclass(frozen=True)
class Graduation:
    """n_explored: (user, interest) pairs first met through an exploration place · n_touched: of these, liked by now ·
    n_graduated: of these, core or secondary by now.
    """

    n_explored: int
    n_touched: int
    n_graduated: int

    @property
    def rate(self) -> float:
        """Graduated of touched; 0 where none was touched.

        >>> Graduation(n_explored=50, n_touched=4, n_graduated=1).rate
        0.25
        """
        return self.n_graduated / self.n_touched if self.n_touched else 0.0


def graduation(explored: pl.DataFrame, before: Profiles, after: Profiles) -> Graduation:
    """Count what explored interests have become.

    Args:
        explored: user_row, interest_row: shown rows of lists whose source is "exploration"; a pair counts once.
        before: profiles when the exploration began: pairs that had a point then are left out.
        after: profiles now, in the same tree.
    """
    pair = ["user_row", "interest_row"]
    new = explored.select(pl.col(pair).cast(pl.Int32)).unique().join(before.points.select(pair), on=pair, how="anti")
    now = new.join(after.points.filter(pl.col("affinity") > 0).select(*pair, "layer"), on=pair)
    return Graduation(new.height, now.height, now.filter(pl.col("layer").is_in(GROWN)).height)
