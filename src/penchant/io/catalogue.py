"""The catalogue and the user attributes: checked, ids unique, texts cleaned of nothing but blanks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from penchant.data import FloatArray
from penchant.errors import DataError
from penchant.io.columns import Columns, need
from penchant.io.findings import ROW, Findings
from penchant.io.ids import code_ids, differing_by_case
from penchant.io.sources import Source

_OURS = ("item_id", "title", "text", "categories", "domain", "in_catalogue")
_SCHEMA = {
    "item_id": pl.String(),
    "title": pl.String(),
    "text": pl.String(),
    "categories": pl.List(pl.String),
    "domain": pl.String(),
    "in_catalogue": pl.Boolean(),
}


@dataclass(frozen=True)
class Catalogue:
    """table: the columns of `Items.table`, ids unique, in the caller's order; vectors: name -> (n, d) float32."""

    name: str
    table: pl.DataFrame
    vectors: Mapping[str, FloatArray]
    n_rows: int
    columns: Mapping[str, str]


def empty_catalogue() -> Catalogue:
    """No catalogue at all."""
    return Catalogue("", pl.DataFrame(schema=_SCHEMA), {}, 0, {})


def read_catalogue(source: Source, columns: Columns, book: Findings, on_error: str) -> Catalogue:
    """Read and check a catalogue.

    Raises:
        DataError: no column for the ids, no row, a vector column of different lengths.
    """
    where = source.name
    need(where, columns, "item_id", source.columns, "the id of each item")
    loaded = source.load(source.columns)
    book.found += loaded.findings
    frame = _first_of_each_id(loaded.frame, columns, where, book)
    if not frame.height:
        raise DataError(
            f"{where}: no row has an item_id ({loaded.n_rows:,} rows read); give at least one, or no catalogue"
        )
    if source.texts:
        frame = _parse_vectors(frame, columns, where, book)
    vectors, frame = _take_vectors(frame, columns, where, book)
    table = _build(frame, columns, source)
    book.stop_if_losing(on_error, where)
    return Catalogue(where, table, vectors, loaded.n_rows, dict(columns.used))


def catalogue_from_log(words: pl.DataFrame, names: pl.Series, where: str, book: Findings) -> Catalogue:
    """A catalogue out of what the log itself says of its items.

    Args:
        words: `item` (row of `names`), and of `title`, `categories` what the log has (`n_titles`: how many differ).
        names: the item ids.
    """
    titled = "title" in words.columns
    said = [c for c in ("title", "categories") if c in words.columns]
    words = words.filter(pl.any_horizontal(pl.col(c).is_not_null() for c in said))
    if titled:
        n = int((words["n_titles"] > 1).sum())
        book.add(where, "item with several titles", np.zeros(0, np.int64), "the first title is kept", n=n)
    lists = _lists(words["categories"]) if "categories" in words.columns else None
    table = words.select(
        names.gather(words["item"]).alias("item_id"),
        _text("title") if titled else pl.lit(None, pl.String).alias("title"),
        pl.lit(None, pl.String).alias("text"),
        lists if lists is not None else pl.lit([], pl.List(pl.String)).alias("categories"),
        pl.lit(None, pl.String).alias("domain"),
        pl.lit(True).alias("in_catalogue"),
    )
    return Catalogue(where, table, {}, 0, {})


def add_log_items(catalogue: Catalogue, names: list[str]) -> tuple[pl.DataFrame, dict[str, FloatArray]]:
    """The catalogue with the items only the log knows after it (in the order given): no texts, vectors of zeros."""
    if not names:
        return catalogue.table, dict(catalogue.vectors)
    more = pl.DataFrame({"item_id": names}, schema={"item_id": pl.String}).with_columns(
        categories=pl.lit([], pl.List(pl.String)), in_catalogue=pl.lit(False)
    )
    table = pl.concat([catalogue.table, more], how="diagonal_relaxed")
    vectors = {
        k: np.concatenate([v, np.zeros((len(names), v.shape[1]), np.float32)]) for k, v in catalogue.vectors.items()
    }
    return table, vectors


def read_attributes(source: Source, columns: Columns, book: Findings, on_error: str) -> pl.DataFrame:
    """Read user attributes: ROW (of the file), `user_id` (unique), then the caller's columns."""
    where = source.name
    need(where, columns, "user_id", source.columns, "the id of each user")
    loaded = source.load(source.columns)
    book.found += loaded.findings
    theirs = columns.used["user_id"]
    frame = loaded.frame
    coded = code_ids(frame[theirs], where)
    names = coded.names.gather(pl.Series(np.maximum(coded.codes, 0))) if len(coded.names) else None
    rows = frame[ROW].to_numpy()
    book.add(where, "no user id", rows[coded.codes < 0], "left out", dropped=True)
    ids = pl.Series("user_id", names, dtype=pl.String).set(pl.Series(coded.codes < 0), None)
    rest = [c for c in source.columns if c not in (theirs, "user_id")]
    table = frame.select(ROW, *(_tidy(frame[c], source.texts) for c in rest)).with_columns(ids)
    table = table.filter(pl.col("user_id").is_not_null())
    again = ~table["user_id"].is_first_distinct()
    book.add(where, "repeated user id", table[ROW].to_numpy()[again.to_numpy()], "the first row is kept", dropped=True)
    book.stop_if_losing(on_error, where)
    return table.filter(~again).select(ROW, "user_id", *rest)


def _first_of_each_id(frame: pl.DataFrame, columns: Columns, where: str, book: Findings) -> pl.DataFrame:
    """Drop blank ids; of a repeated id keep the first row that has a title or a text, else the first."""
    coded = code_ids(frame[columns.used["item_id"]], where)
    rows = frame[ROW].to_numpy()
    book.add(where, "no item id", rows[coded.codes < 0], "left out", dropped=True)
    if coded.n_spaces:
        book.add(where, "space around ids", rows[:0], "the space is taken off", n=coded.n_spaces)
    frame = frame.with_columns(pl.Series("__id", coded.codes)).filter(pl.col("__id") >= 0)
    texts = [columns.used[w] for w in ("title", "text") if w in columns.used]
    said = [_text(t).alias(t) for t in texts]
    frame = frame.with_columns(
        __mute=~pl.any_horizontal(*(s.is_not_null() for s in said)) if said else pl.lit(False),
        __said=pl.concat_str([s.fill_null("") for s in said], separator="\x1f") if said else pl.lit(""),
    )
    best = frame.sort("__id", "__mute", ROW).unique("__id", keep="first", maintain_order=True)
    if best.height < frame.height:
        kept = pl.Series(best[ROW])
        extra = frame.filter(~pl.col(ROW).is_in(kept.implode()))
        rule = "the first row with a text is kept"
        book.add(where, "repeated item id", extra[ROW].to_numpy(), rule, dropped=True)
        other = extra.join(best.select("__id", first="__said"), on="__id").filter(
            ~pl.col("__mute") & (pl.col("__said") != pl.col("first"))
        )
        book.add(where, "another text for an item", other[ROW].to_numpy(), "the first text is kept")
    cased = differing_by_case(coded.names)
    if len(cased):
        at = np.flatnonzero(coded.names.is_in(cased.implode()).to_numpy())
        book.add(where, "ids that differ only in letter case", rows[np.isin(coded.codes, at)], "kept apart")
    ids = coded.names.gather(best["__id"])
    return best.with_columns(ids.alias("__item_id")).sort(ROW).drop("__id", "__mute", "__said")


def _build(frame: pl.DataFrame, columns: Columns, source: Source) -> pl.DataFrame:
    used = columns.used
    texts = {w: _text(used[w]) if w in used else pl.lit(None, pl.String) for w in ("title", "text", "domain")}
    lists = _lists(frame[used["categories"]]) if "categories" in used else pl.lit([], pl.List(pl.String))
    taken = {*used.values(), *_OURS, ROW, "__item_id"}
    return frame.select(
        pl.col("__item_id").alias("item_id"),
        texts["title"].alias("title"),
        texts["text"].alias("text"),
        lists.alias("categories"),
        texts["domain"].alias("domain"),
        pl.lit(True).alias("in_catalogue"),
        *(_tidy(frame[c], source.texts) for c in frame.columns if c not in taken),
    )


def _text(column: str) -> pl.Expr:
    """Text as it is (markup and line breaks are data); blank = none."""
    text = pl.col(column).cast(pl.String)
    return pl.when(text.str.strip_chars() == "").then(None).otherwise(text).alias(column)


def _lists(raw: pl.Series) -> pl.Series:
    """Categories: lists stay; text is a JSON list, or split at '|', else ';', else ' > ', else a comma without a space.

    >>> _lists(pl.Series(["a|b, c", None])).to_list(), _lists(pl.Series(['["x", "y"]'])).to_list()
    ([['a', 'b, c'], []], [['x', 'y']])
    """
    if isinstance(raw.dtype, pl.List | pl.Array):
        lists = raw.cast(pl.List(pl.String))
    else:
        texts = raw.cast(pl.String).str.strip_chars()
        texts = texts.set((texts == "").fill_null(False), None)
        lists = _bracketed(texts) if _all_bracketed(texts) else _split(texts)
    clean = pl.element().str.strip_chars()
    kept = lists.list.eval(clean.filter(clean.is_not_null() & (clean != "")))
    nothing = pl.lit([], pl.List(pl.String))
    return pl.DataFrame([kept.alias("l")]).select(pl.when(pl.col("l").is_null()).then(nothing).otherwise("l"))[
        "literal"
    ]


def _split(texts: pl.Series) -> pl.Series:
    separator = next((s for s in ("|", ";", " > ") if texts.str.contains(s, literal=True).any()), None)
    if separator is None:  # "Home, Garden" is one name, "home,garden" are two
        texts, separator = texts.str.replace_all(r",(\S)", "|${1}"), "|"
    return texts.str.split(separator)


def _bracketed(texts: pl.Series) -> pl.Series:
    """A JSON list, or one as Python writes it ('a', 'b')."""
    try:
        return texts.str.json_decode(pl.List(pl.String))
    except pl.exceptions.PolarsError:
        inside = texts.str.strip_prefix("[").str.strip_suffix("]")
        parts = inside.str.extract_all(r"""'[^']*'|"[^"]*"|[^,'"\s][^,]*""")
        return parts.list.eval(pl.element().str.strip_chars("\"'"))


def _all_bracketed(texts: pl.Series) -> bool:
    known = texts.drop_nulls()
    known = known.filter(known != "")
    return bool(len(known)) and bool((known.str.starts_with("[") & known.str.ends_with("]")).all())


def _tidy(column: pl.Series, texts: bool) -> pl.Series:
    """A text column of a CSV as numbers, if all of it is (a zero in front means it is a code, not a number)."""
    if not texts or column.dtype != pl.String:
        return column
    known = column.str.strip_chars()
    known = known.filter(known != "").drop_nulls()
    if not len(known) or known.str.contains(r"^[+-]?0\d").any():
        return column
    if known.str.contains(r"^[+-]?\d{1,15}$").all():
        return column.str.strip_chars().cast(pl.Int64, strict=False)
    numbers = known.cast(pl.Float64, strict=False)
    return column if numbers.null_count() else column.str.strip_chars().cast(pl.Float64, strict=False)


def _parse_vectors(frame: pl.DataFrame, columns: Columns, where: str, book: Findings) -> pl.DataFrame:
    """Columns of a CSV in which most cells are JSON lists of numbers, fractions among them, as lists."""
    for name in frame.columns:
        if frame.schema[name] != pl.String or name in columns.used.values():
            continue
        cells = frame[name].str.strip_chars()
        known = ((cells != "") & cells.is_not_null()).fill_null(False)
        is_list = cells.str.contains(r"^\[[\s\d.,eE+-]*(?:(?:NaN|nan|null|-?Infinity|-?inf)[\s\d.,eE+-]*)*\]$")
        is_list = is_list.fill_null(False)
        if 2 * is_list.sum() <= known.sum() or not cells.filter(is_list).str.contains(r"\d[.eE]").any():
            continue
        strange = frame[ROW].to_numpy()[(known & ~is_list).to_numpy()]
        book.add(where, f"vector '{name}' not a list of numbers", strange, "taken as missing (zeros)")
        numbers = pl.element().str.strip_chars().cast(pl.Float64, strict=False)
        inside = cells.set(~is_list, None).str.strip_chars("[] ")
        lists = inside.set((inside == "").fill_null(False), None).str.split(",").list.eval(numbers)
        frame = frame.with_columns(lists.alias(name))
    return frame


def _take_vectors(
    frame: pl.DataFrame, columns: Columns, where: str, book: Findings
) -> tuple[dict[str, FloatArray], pl.DataFrame]:
    """Columns that hold lists of fractions are vectors (image, audio, ...): out of the table, into arrays."""
    vectors: dict[str, FloatArray] = {}
    for name, kind in frame.schema.items():
        inner = kind.inner if isinstance(kind, pl.List | pl.Array) else None
        if inner is None or not inner.is_float() or name in columns.used.values():
            continue
        lists = frame[name].cast(pl.List(pl.Float32))
        lengths = lists.list.len().drop_nulls().to_numpy()
        lengths = lengths[lengths > 0]
        if not len(lengths):
            continue
        if lengths.min() < lengths.max():
            usual = int(np.bincount(lengths).argmax())
            n = lists.list.len().fill_null(0)
            other = frame[ROW].to_numpy()[((n > 0) & (n != usual)).to_numpy()]
            raise DataError(
                f"{where}: column '{name}' holds vectors of {lengths.min()} to {lengths.max()} numbers; all must have "
                f"as many ({len(other):,} don't have {usual}, the first in row {other[0]}); leave those cells empty"
            )
        values = np.zeros((frame.height, int(lengths[0])), np.float32)
        there = (lists.list.len().fill_null(0) > 0).to_numpy()
        values[there] = (
            lists.filter(pl.Series(there)).explode().fill_null(float("nan")).to_numpy().reshape(-1, values.shape[1])
        )
        bad = ~np.isfinite(values).all(axis=1)
        book.add(where, f"vector '{name}' not finite", frame[ROW].to_numpy()[bad], "taken as missing (zeros)")
        values[bad] = 0.0
        vectors[name] = values
    return vectors, frame.drop(list(vectors))
