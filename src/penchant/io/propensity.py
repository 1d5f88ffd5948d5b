"""The chance with which a log's own policy showed an item, and in which list and place it stood."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from penchant.errors import DataError
from penchant.io.findings import Findings
from penchant.io.ids import code_ids
from penchant.io.sources import Source
from penchant.io.values import parse_numbers

MAX_PLACE = 10_000  # no list is longer; a larger number is another column


def read_propensities(
    has: Mapping[str, pl.Series], rows: pl.Series, source: Source, book: Findings, *, named: bool
) -> dict[str, pl.Series]:
    """Read what a log says of how its items came to be shown.

    Args:
        has: our word -> the caller's column. rows: row numbers for findings. named: the caller named the column of
            propensities; where he did not and most of its values can't be any, the column is not one.
    Returns:
        propensity f64 (above 0, at most 1, null where none), list i32 (-1 none), place i32 (from 1, -1 none): those
        of which the log has a column; nothing without propensities.
    Raises:
        DataError: the column that the caller named holds mostly no propensities.
    """
    if "propensity" not in has:
        return {}
    raw = has["propensity"]
    numbers = parse_numbers(raw, source.name, decimal_comma=source.decimal_comma)
    fits = ((numbers.values > 0) & (numbers.values <= 1)).fill_null(False)
    bad = (numbers.values.is_not_null() & ~fits) | numbers.refused
    n_bad, n_given = int(bad.sum()), int((bad | fits).sum())
    if 2 * n_bad > n_given:
        first = raw.filter(bad)[0]
        if named:
            raise DataError(
                f"{source.name}: column '{raw.name}', named for 'propensity', has {n_bad:,} of {n_given:,} values that "
                f"are no chance above 0 and at most 1, such as {str(first)[:40]!r}; give chances, not percentages or "
                "scores, or leave it out with --columns propensity="
            )
        rule = "the column is not taken for 'propensity'; name it with --columns propensity=... if it is one"
        book.add(source.name, f"column '{raw.name}' holds no chances above 0 and at most 1", rows[:0].to_numpy(), rule,
                 n=n_bad)  # fmt: skip
        return {}
    rule = "kept without a propensity (allowed: above 0 and at most 1)"
    book.add(source.name, f"column '{raw.name}' is not a usable propensity", rows.filter(bad).to_numpy(), rule)
    out = {"propensity": numbers.values.set(~fits, None).alias("propensity")}
    if "list_id" in has:
        out["list"] = pl.Series("list", code_ids(has["list_id"], source.name).codes)
    if "place" in has:
        places = parse_numbers(has["place"], source.name, decimal_comma=source.decimal_comma).values
        values = places.fill_null(-1.0).to_numpy()
        whole = (values >= 1) & (values <= MAX_PLACE) & (values == np.round(values))
        wrong = rows.filter(places.is_not_null() & ~pl.Series(whole)).to_numpy()
        book.add(source.name, f"column '{has['place'].name}' is not a place from 1", wrong, "kept without a place")
        out["place"] = pl.Series("place", np.where(whole, values, -1).astype(np.int32))
    return out
