"""Timestamps of any form to seconds since 1970 (UTC)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from penchant.errors import DataError

# Before this no behaviour log was kept, and a day count, a year or a number of another unit lands far below it.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
# A typical epoch number below the bound is of the unit: 1e11 s is the year 5138, 1e11 ms is 1973, and so on.
_UNITS = (("seconds", 1e11, 1.0), ("milliseconds", 1e14, 1e3), ("microseconds", 1e17, 1e6), ("nanoseconds", 1e30, 1e9))
_DATE_NUMBERS = {8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}

_CLOCKS = ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
_YEAR_FIRST = tuple(f"%Y-%m-%d{c}" for c in _CLOCKS)
_DAYS = ("%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y")
_WORDS = (*(f"{day}{clock}" for day in _DAYS for clock in ("", " %H:%M:%S", " %H:%M")), "%a %b %d %H:%M:%S %Y")
_ZONE = r"\s*(Z|z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})$"
_DATE = r"^(\d{1,2})[/.\-](\d{1,2})[/.\-](\d{4})"


@dataclass(frozen=True)
class Times:
    """seconds: (n,) f64, null where missing or not a time; given: (n,) bool, something stood there; form: in words."""

    seconds: pl.Series
    given: pl.Series
    form: str


def parse_times(raw: pl.Series, where: str, *, day_first: bool | None = None) -> Times:
    """Read timestamps; a time without a zone is taken as UTC.

    Args:
        raw: epoch numbers (s, ms, us or ns: the unit by their median), dates, datetimes, or text of these (ISO with or
            without zone, mixed; 31/12/2024 and 12/31/2024 where the log itself shows which).
        where: name of the table for messages.
        day_first: 1/2/2024 is the first of February (True) or the second of January (False); None: the log must show.
    Raises:
        DataError: a type that can't be a time, or a day and month that can't be told apart.

    >>> parse_times(pl.Series("t", ["2024-01-01T00:00:00Z", "2024-01-01 01:00+01:00"]), "e").seconds.to_list()
    [1704067200.0, 1704067200.0]
    """
    kind = raw.dtype
    if kind == pl.Null:
        return Times(raw.cast(pl.Float64), raw.is_not_null(), "nothing")
    if kind == pl.Datetime:
        zone = kind.time_zone  # type: ignore[attr-defined]
        utc = raw if zone is None else raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return Times(_seconds(utc), raw.is_not_null(), "datetimes" + ("" if zone else " without zone, taken as UTC"))
    if kind == pl.Date:
        return Times(_seconds(raw.cast(pl.Datetime("us"))), raw.is_not_null(), "dates")
    if kind.is_numeric():
        return _from_numbers(raw)
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return _from_texts(raw.cast(pl.String), where, day_first)
    raise DataError(
        f"{where}: column '{raw.name}' has type {kind}; a time must be a number, a date, a datetime or text"
    )


def latest_allowed(text: str) -> float:
    """The latest time that can be true: the setting, or a day from now (clocks and zones are off by hours).

    >>> latest_allowed("2024-01-01")
    1704067200.0
    """
    if not text:
        return time.time() + 86_400
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seconds(moments: pl.Series) -> pl.Series:
    """Whole microseconds to seconds: exact to the second, and to about a microsecond below it."""
    return moments.dt.epoch("us").cast(pl.Float64) / 1e6


def _from_numbers(raw: pl.Series) -> Times:
    numbers = raw.cast(pl.Float64)
    if raw.dtype.is_float():
        numbers = numbers.fill_nan(None)
    given = numbers.is_not_null()
    numbers = numbers.set(~numbers.is_finite().fill_null(True), None)
    known = numbers.drop_nulls()
    if not len(known):
        return Times(numbers, given, "nothing")
    dates = _from_date_numbers(numbers, known)
    if dates is not None:
        return Times(dates, given, "dates as numbers (20240131)")
    middle = float(known.abs().median() or 0.0)  # type: ignore[arg-type]
    unit, _, divisor = next(u for u in _UNITS if middle < u[1] or u[0] == "nanoseconds")
    return Times(numbers / divisor, given, f"epoch {unit} (by their median)")


def _from_date_numbers(numbers: pl.Series, known: pl.Series) -> pl.Series | None:
    """Numbers such as 20240131 or 20240131235959, if every one is a date between 1900 and 2100."""
    for digits, form in _DATE_NUMBERS.items():
        scale = 10.0 ** (digits - 4)
        if known.min() >= 1900 * scale and known.max() < 2101 * scale:  # type: ignore[operator]
            texts = numbers.cast(pl.Int64).cast(pl.String)
            moments = texts.str.to_datetime(form, strict=False, time_unit="us")
            if moments.null_count() == numbers.null_count():
                return _seconds(moments)
    return None


def _from_texts(raw: pl.Series, where: str, day_first: bool | None) -> Times:
    texts = raw.str.strip_chars()
    blank = texts.is_null() | texts.str.to_lowercase().is_in(["", "nan", "nat", "null", "none", "<na>"])
    texts = texts.set(blank.fill_null(True), None)
    n_given = len(texts) - texts.null_count()
    numbers = texts.cast(pl.Float64, strict=False)
    if n_given and len(numbers) - numbers.null_count() > n_given / 2:
        found = _from_numbers(numbers)
        return Times(found.seconds, ~blank, found.form)
    table = pl.DataFrame({"t": texts}).with_columns(
        zone=pl.col("t").str.extract(_ZONE, 1),
        base=pl.col("t").str.replace(_ZONE, "").str.replace(r"^(\d{4}-?\d{2}-?\d{2})[Tt_]", "${1} "),
    )
    # "-03" at the end of a date alone is its day or year, not a zone: a zone needs a clock before it.
    bare = ~pl.col("t").str.contains(r"\d[Tt_ ]\d")
    table = table.with_columns(
        zone=pl.when(bare).then(None).otherwise("zone"), base=pl.when(bare).then("t").otherwise("base")
    )
    moments, forms = _parse(table["base"], where, raw.name, day_first)
    offset = table.select(
        pl.when(pl.col("zone").str.contains(r"^[+-]"))
        .then(
            pl.when(pl.col("zone").str.starts_with("-")).then(-1.0).otherwise(1.0)
            * (
                pl.col("zone").str.slice(1, 2).cast(pl.Float64, strict=False) * 3600
                + pl.col("zone").str.extract(r"^...:?(\d{2})$", 1).cast(pl.Float64, strict=False).fill_null(0.0) * 60
            )
        )
        .otherwise(0.0)
        .alias("s")
    )["s"]
    n_zone = len(table) - table["zone"].null_count()
    zones = (
        "with zone" if n_zone == n_given else "without zone, taken as UTC" if not n_zone else "with zone and without"
    )
    return Times(_seconds(moments) - offset, ~blank, f"text ({', '.join(forms) or 'no known form'}; {zones})")


def _parse(base: pl.Series, where: str, column: str, day_first: bool | None) -> tuple[pl.Series, list[str]]:
    """Try the forms one after the other, each only on what is left."""
    base = base.str.replace(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", "${1}-${2}-${3}").str.replace_all(",", "")
    out = pl.Series("t", [None], dtype=pl.Datetime("us")).new_from_index(0, len(base))
    forms: list[str] = []
    numeric = _numeric_forms(base, where, column, day_first)
    for form in (*_YEAR_FIRST, "%Y%m%d %H:%M:%S%.f", "%Y%m%d %H%M%S", *numeric, *_WORDS):
        left = (out.is_null() & base.is_not_null()).arg_true()
        if not len(left):
            break
        texts = base.gather(left)
        if form in numeric:
            texts = texts.str.replace(_DATE, "${1}/${2}/${3}")
        got = texts.str.to_datetime(form, strict=False, time_unit="us", ambiguous="earliest")
        hit = got.is_not_null()
        if hit.any():
            out = out.scatter(left.filter(hit), got.filter(hit))
            forms.append(form)
    return out, forms


def _numeric_forms(base: pl.Series, where: str, column: str, day_first: bool | None) -> tuple[str, ...]:
    """Forms for 31/12/2024: by the setting, else by a number above 12 in the log itself; never guessed."""
    parts = base.drop_nulls().str.extract_groups(_DATE).struct.unnest().drop_nulls()
    short = base.drop_nulls().str.contains(r"^\d{1,2} \d{1,2} \d{4}$")  # "07 9, 2012", the comma gone
    if not parts.height and not short.any():
        return ()
    order = day_first
    if order is None and parts.height:
        first, second = (parts.to_series(i).cast(pl.Int32).max() for i in (0, 1))
        first_over, second_over = first > 12, second > 12  # type: ignore[operator]
        if first_over == second_over:
            example = base.drop_nulls().filter(base.drop_nulls().str.contains(_DATE))[0]
            what = "both orders occur" if first_over else "no number is above 12"
            raise DataError(
                f"{where}: column '{column}': can't tell day from month in dates such as '{example}' ({what}); "
                "set io.day_first to true or false, or write dates as 2024-12-31"
            )
        order = bool(first_over)
    date = "%d/%m/%Y" if order else "%m/%d/%Y"
    return (*(f"{date}{c}" for c in _CLOCKS), "%d %m %Y" if order else "%m %d %Y")
