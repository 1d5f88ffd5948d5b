"""One signed weight an event: its action's weight times what its value says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

# A quantity of 7 or more says no more than 7: log2(1 + 7) = 3.
QUANTITY_CAP = 3.0
# A user's own mean and spread count from this many ratings on; below, the log's pull them in (as so many ratings more).
RATING_PRIOR = 5.0
# A rating in the top 30 % of the scale (4 or 5 of 5) is never a dislike, however high the user's mean.
LIKED_SHARE = 0.7
AVERSE_Z = -1.0


def quantity_factor(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """log2(1 + |value|), at most 3; 1 where there is no value (NaN).

    >>> quantity_factor(np.array([1.0, 3.0, 1000.0, np.nan])).tolist()
    [1.0, 2.0, 3.0, 1.0]
    """
    factor = np.minimum(np.log2(1.0 + np.abs(values)), QUANTITY_CAP)
    return np.where(np.isnan(values), 1.0, factor)


def rating_factor(
    user: npt.NDArray[np.int32], values: npt.NDArray[np.float64], *, min_value: float | None = None
) -> npt.NDArray[np.float64]:
    """What a rating says beside the user's other ratings: 0.25..2 for liking, -0.5..-1 for clear dislike.

    z = (value - mean) / spread, the user's own, drawn towards the log's as by 5 ratings more. z <= -1 is aversion
    (z/2, from -0.5 to -1) unless the value lies in the top 30 % of the scale or at least at `min_value`;
    -1..0 rises from 0.25 to 1, and above 0 it is 1 + z/2, at most 2. No value (NaN) counts 1.

    Args:
        user: (n,) row of the user of each rating.
        values: (n,) ratings, NaN where missing; all of the log, those below `min_value` too.

    >>> rating_factor(np.zeros(4, np.int32), np.array([4.0, 4.0, 5.0, 1.0])).round(2).tolist()
    [1.17, 1.17, 1.5, -0.83]
    """
    known = ~np.isnan(values)
    out = np.ones(len(values))
    if not known.any():
        return out
    rated, u = values[known], user[known]
    grand, variance = float(rated.mean()), float(rated.var())
    n = np.bincount(u).astype(np.float64)
    total, squares = np.bincount(u, rated), np.bincount(u, rated**2)
    mean = (total + RATING_PRIOR * grand) / (n + RATING_PRIOR)
    about = np.maximum(squares - 2 * mean * total + n * mean**2, 0.0)
    spread = np.sqrt((about + RATING_PRIOR * variance) / (n + RATING_PRIOR))
    z = (rated - mean[u]) / np.maximum(spread[u], 1e-9)
    z = np.where(spread[u] > 1e-9, z, 0.0)  # everyone gives the same: nothing to tell apart
    low, high = min(1.0, float(rated.min())), float(rated.max())
    liked = rated >= low + LIKED_SHARE * (high - low)
    if min_value is not None:
        liked |= rated >= min_value
    mild = np.where(z < 0, 1.0 + 0.75 * np.maximum(z, -1.0), np.minimum(1.0 + z / 2, 2.0))
    out[known] = np.where((z <= AVERSE_Z) & ~liked, np.maximum(z / 2, -1.0), mild)
    return out


def meaning_of_values(values: pl.Series, column: str) -> tuple[str, str]:
    """What values without an action are: ("ratings" | "quantities" | "strengths", why).

    The column's name decides, else the look: ratings have at most 20 different values between 0.5 and 10, the highest
    at least 3, and the lowest is not the most frequent (counts are mostly 1).
    """
    key = "".join(c for c in column.casefold() if c.isalnum())
    if key in ("rating", "ratings", "stars", "score", "overall", "preference", "评分"):
        return "ratings", f"the name '{column}'"
    if key in ("quantity", "qty", "units", "数量"):
        return "quantities", f"the name '{column}'"
    known = values.drop_nulls()
    if len(known) and known.n_unique() <= 20:
        low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]
        counts = known.alias("v").value_counts().sort(["count", "v"], descending=[True, False])
        if low >= 0.5 and 3 <= high <= 10 and counts["v"][0] > low:
            return "ratings", "their look"
    return "strengths", "their look"
