"""What a log says of its own policy: items shown, with what chance, in which list, and whether they were taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.config import EvaluateConfig
from penchant.data import BoolArray, Events, IntArray
from penchant.errors import DataError

HOUR_S = 3600.0


@dataclass(frozen=True)
class Shown:
    """One row an item that was shown, of (n,) each.

    propensity: above 0, at most 1 · list_row: 0..n_lists - 1 · place: from 1, -1 where not known · taken: the user
    liked the item soon after. n_unknown: impressions left out, since their propensity (or a place that is needed) is
    not known.
    """

    user_row: IntArray
    item_row: IntArray
    propensity: npt.NDArray[np.float64]
    list_row: IntArray
    place: IntArray
    taken: BoolArray
    n_unknown: int

    def __len__(self) -> int:
        return len(self.user_row)

    @property
    def n_lists(self) -> int:
        return int(self.list_row.max(initial=-1)) + 1

    def take(self, mask: BoolArray) -> Shown:
        """The rows under a (n,) mask, lists counted anew."""
        _, lists = np.unique(self.list_row[mask], return_inverse=True)
        return Shown(
            self.user_row[mask],
            self.item_row[mask],
            self.propensity[mask],
            lists.astype(np.int32),
            self.place[mask],
            self.taken[mask],
            self.n_unknown,
        )


def read_shown(events: Events, impressions: BoolArray, config: EvaluateConfig) -> Shown | None:
    """Read the impressions of a log that carry a propensity; None where there are none.

    A shown item is taken if its user likes it (weight above 0) within `reward_hours` after it was shown and before it
    is shown again; in a log without times, at any later place. Lists are those of `list_row`; without, impressions of
    one user that are no further apart than `list_gap_seconds`, or in a log without times a user's impressions between
    two other acts.

    Args:
        impressions: (n_events,) which events say that an item was shown.
    Raises:
        DataError: propensities are said to be of places, and the log tells no place.
    """
    table = events.table
    if "propensity" not in table.columns:
        return None
    rows = table.with_row_index("at").filter(pl.Series(impressions))
    usable = rows["propensity"].is_not_null()
    if config.propensity == "place":
        if "place" not in rows.columns:
            raise DataError(
                "events: evaluate.propensity=place needs the place of each shown item in its list; "
                "name its column with --columns place=..."
            )
        usable &= rows["place"] > 0
    if not usable.any():
        return None
    lists = _lists(events, impressions, config)
    kept = rows.filter(usable)
    _, list_row = np.unique(lists[usable.to_numpy()], return_inverse=True)
    place = kept["place"].to_numpy() if "place" in kept.columns else np.full(kept.height, -1)
    taken = _taken(events, rows, config.reward_hours * HOUR_S if events.clock == "time" else np.inf)
    return Shown(
        kept["user_row"].to_numpy(),
        kept["item_row"].to_numpy(),
        kept["propensity"].cast(pl.Float64).to_numpy(),
        list_row.astype(np.int32),
        place.astype(np.int32),
        taken[usable.to_numpy()],
        int((~usable).sum()),
    )


def _lists(events: Events, impressions: BoolArray, config: EvaluateConfig) -> IntArray:
    """(n_impressions,) which list each belongs to, any numbers."""
    table = events.table.select("user_row", "time").with_columns(
        shown=pl.Series(impressions),
        given=events.table["list_row"] if "list_row" in events.table.columns else pl.lit(-1),
    )
    same = pl.col("user_row")
    if events.clock == "time":
        table = table.filter("shown")
        new = (pl.col("time").diff() > config.list_gap_seconds).over(same)
    else:
        new = (~pl.col("shown").shift(1)).over(same)
    guessed = new.fill_null(True).cast(pl.Int64).cum_sum().over(same)
    known = pl.col("given") >= 0  # an id counts within its user: some logs number each user's lists from 1
    number = pl.when(known).then(pl.col("given").cast(pl.Int64)).otherwise(guessed)
    found = table.select("shown", list=pl.struct("user_row", known.alias("known"), number.alias("number")))
    return found.filter("shown")["list"].rank("dense").to_numpy().astype(np.int32)


def _taken(events: Events, shown: pl.DataFrame, within: float) -> BoolArray:
    """(n,) rows of `shown` that a later like of the same user and item belongs to: the latest before it."""
    liked = (events.item_row >= 0) & (events.weight > 0)
    acts = events.table.with_row_index("at").filter(pl.Series(liked)).select("user_row", "item_row", "time")
    by = ["user_row", "item_row"]
    places = shown.select(*by, "time", shown_at="time").with_row_index("row")
    found = acts.join_asof(places, on="time", by=by, strategy="backward", check_sortedness=False)
    found = found.filter(pl.col("row").is_not_null() & (pl.col("time") - pl.col("shown_at") <= within))
    out = np.zeros(shown.height, np.bool_)
    out[found["row"].to_numpy()] = True
    return out
