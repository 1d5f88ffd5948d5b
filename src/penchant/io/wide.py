"""A wide user-by-item matrix as a long log."""

from __future__ import annotations

import polars as pl

from penchant.errors import DataError
from penchant.io.findings import ROW, Findings
from penchant.io.sources import Source
from penchant.io.values import parse_numbers


def long_from_wide(source: Source, book: Findings) -> tuple[pl.DataFrame, int]:
    """One row a filled cell: ROW, `__user_id`, `__item_id`, `__value`, by row, then by column; and the rows read.

    The first column holds the users, every other column is an item; an empty cell or a zero is no event.

    Raises:
        DataError: fewer than two columns, or no filled cell.
    """
    where = source.name
    if len(source.columns) < 2:
        raise DataError(
            f"{where}: a wide log needs a column of users and one column an item; it has {len(source.columns)}"
        )
    loaded = source.load(source.columns)
    book.found += loaded.findings
    first, items = source.columns[0], source.columns[1:]
    frame = loaded.frame
    cells = {}
    for item in items:
        numbers = parse_numbers(frame[item], where, decimal_comma=source.decimal_comma)
        refused = frame[ROW].filter(numbers.refused).to_numpy()
        book.add(where, f"column '{item}' is not a usable number", refused, "no event")
        cells[item] = numbers.values.set((numbers.values == 0).fill_null(False), None)
    table = pl.DataFrame([frame[ROW], frame[first].alias("__user_id"), *(v.alias(k) for k, v in cells.items())])
    long = table.unpivot(list(items), index=[ROW, "__user_id"], variable_name="__item_id", value_name="__value")
    long = long.filter(pl.col("__value").is_not_null()).sort(ROW, maintain_order=True)
    if not long.height:
        raise DataError(
            f"{where}: a wide log without a cell other than 0 ({frame.height:,} rows, {len(items):,} items)"
        )
    return long, long.height
