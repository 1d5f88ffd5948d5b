"""Numbers from text, and what is absurd among them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from penchant.errors import DataError

# No rating, count or quantity of one event is beyond this; sentinels such as 1e300 or 9999999999 are.
HUGE = 1e9
_THOUSANDS = r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$"
_DECIMAL_COMMA = r"^[+-]?\d*,\d+$"


@dataclass(frozen=True)
class Numbers:
    """values: (n,) f64, null where missing or refused; refused: (n,) bool, something stood there that is no number."""

    values: pl.Series
    refused: pl.Series
    form: str


def parse_numbers(raw: pl.Series, where: str, *, decimal_comma: bool = False) -> Numbers:
    """Read numbers; text may have 1,234.5 or 3,5: a comma is decimal if the file is split by ';' or some comma is not
    followed by three digits, else it parts thousands.

    >>> parse_numbers(pl.Series("v", ["3,5", "2", "x", ""]), "e").values.to_list()
    [3.5, 2.0, None, None]
    """
    kind = raw.dtype
    if kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        values, given, form = raw.cast(pl.Float64), raw.is_not_null(), "numbers"
        if kind.is_float():
            given = given & ~raw.is_nan().fill_null(False)
    elif kind in (pl.String, pl.Categorical, pl.Enum):
        values, given, form = _from_texts(raw.cast(pl.String), decimal_comma)
    else:
        raise DataError(f"{where}: column '{raw.name}' has type {kind}; values must be numbers")
    fit = (values.is_finite() & (values.abs() <= HUGE)).fill_null(False)
    return Numbers(values.set(~fit, None), given & ~fit, form)


def _from_texts(raw: pl.Series, decimal_comma: bool) -> tuple[pl.Series, pl.Series, str]:
    texts = raw.str.strip_chars()
    given = texts.is_not_null() & ~texts.str.to_lowercase().is_in(["", "nan", "null", "none", "<na>"]).fill_null(True)
    values = texts.cast(pl.Float64, strict=False)
    left = (values.is_null() & given).arg_true()
    if not len(left):
        return values, given, "numbers as text"
    commas = texts.gather(left)
    as_decimal = decimal_comma or bool((commas.str.contains(_DECIMAL_COMMA) & ~commas.str.contains(_THOUSANDS)).any())
    if as_decimal:
        found = commas.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        found = found.cast(pl.Float64, strict=False)
        form = "numbers as text, the comma decimal"
    else:
        thousands = commas.str.contains(_THOUSANDS)
        found = commas.str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False).set(~thousands, None)
        form = "numbers as text, the comma parting thousands"
    if not found.is_not_null().any():
        form = "numbers as text"
    return values.scatter(left, found), given, form
