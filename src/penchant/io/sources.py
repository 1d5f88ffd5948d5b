"""Open whatever the caller gives: files, globs, and any table that speaks Arrow."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from penchant.data import Finding
from penchant.errors import DataError
from penchant.io.csvs import open_csv
from penchant.io.findings import ROW, Findings, say

RaggedRows = Literal["stop", "drop"]
ENDINGS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".csv.gz", ".tsv.gz")


@dataclass(frozen=True)
class Loaded:
    """frame: the asked columns and ROW (u32, from 1); n_rows: data rows read, dropped ones included."""

    frame: pl.DataFrame
    n_rows: int
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Source:
    """A table not read yet. texts: every column is text (a CSV), so numbers and lists are still to be parsed."""

    name: str
    columns: tuple[str, ...]
    load: Callable[[Sequence[str]], Loaded]
    texts: bool = False
    decimal_comma: bool = False


def open_source(given: Any, what: str, *, ragged_rows: RaggedRows = "stop") -> Source:
    """Look at the head of a source: its name and columns.

    Args:
        given: a path (str or Path), a glob, or a table with `__arrow_c_stream__` (Polars, pandas, PyArrow, DuckDB).
        what: what it is for in messages ("events", "items", "attributes").
        ragged_rows: rows of a CSV with more fields than its header: stop, or leave them out and count them.
    Raises:
        DataError: it is missing, unreadable, empty, a folder, of an unknown ending or broken.
    """
    if isinstance(given, str | Path):
        return _open_files(str(given), what, ragged_rows)
    if isinstance(given, pl.LazyFrame):
        return _open_lazy(given, f"{what} table")
    if isinstance(given, pl.DataFrame) or hasattr(given, "__arrow_c_stream__"):
        return _open_lazy(_as_frame(given, what).lazy(), f"{what} table")
    raise DataError(
        f"{what}: can't read a {type(given).__name__}; give a path, or a Polars, pandas, PyArrow or DuckDB table"
    )


def _as_frame(given: Any, what: str) -> pl.DataFrame:
    try:
        return given if isinstance(given, pl.DataFrame) else pl.DataFrame(given)
    except Exception as error:  # every library raises its own kind here
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"{what} table: a {type(given).__name__} can't be handed over as Arrow ({reason}); "
            "give each column one type, e.g. ids as text: df['user_id'].astype(str)"
        ) from None


def _open_lazy(frame: pl.LazyFrame, name: str) -> Source:
    try:
        columns = tuple(frame.collect_schema().names())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{name}: can't be read ({_first_line(error)})") from None

    def load(wanted: Sequence[str]) -> Loaded:
        try:
            table = frame.select(wanted).collect().with_row_index(ROW, offset=1)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{name}: can't be read ({_first_line(error)})") from None
        return Loaded(table, table.height)

    return Source(name, columns, load)


def _open_files(given: str, what: str, ragged_rows: RaggedRows) -> Source:
    path = Path(given)
    if "://" in given:
        raise DataError(f"{what}: '{given}' is no file; give a path to {_allowed()}, or a table in memory")
    if not path.exists() and any(c in given for c in "*?["):
        paths = [Path(p) for p in sorted(glob.glob(given, recursive=True)) if Path(p).is_file()]
        if not paths:
            raise DataError(f"{what}: no file matches '{given}'; check the folder and the ending")
        sources = [_open_file(p, what, ragged_rows) for p in paths]
        return sources[0] if len(sources) == 1 else _join(sources, Path(given).name)
    return _open_file(path, what, ragged_rows)


def _open_file(path: Path, what: str, ragged_rows: RaggedRows) -> Source:
    _check_file(path, what)
    name = path.name
    low = name.lower()
    if low.endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")):
        table = open_csv(path)

        def load(wanted: Sequence[str]) -> Loaded:
            frame, long_rows, n_rows = table.read(wanted)
            book = Findings()
            rule = "left out: its fields can't be told apart (quote a text that has the separator in it)"
            book.add(name, "more fields than the header", long_rows, rule, dropped=True)
            if book.found and ragged_rows == "stop":
                raise DataError(
                    f"{name}: {say(book.found[0])}; quote texts that hold the separator '{table.separator}', or set "
                    "io.ragged_rows to drop to leave such rows out"
                )
            return Loaded(frame, n_rows, tuple(book.found))

        return Source(name, table.columns, load, texts=True, decimal_comma=table.separator == ";")
    if low.endswith(".parquet"):
        return _open_lazy(pl.scan_parquet(path, glob=False), name)
    if low.endswith((".jsonl", ".ndjson")):
        return _open_jsonl(path)
    raise DataError(f"{name}: can't tell its format from the ending '{path.suffix}'; allowed: {_allowed()}")


def _open_jsonl(path: Path) -> Source:
    try:
        frame = pl.read_ndjson(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path.name}: is not one JSON object a line ({_first_line(error)})") from None
    return _open_lazy(frame.lazy(), path.name)


def _check_file(path: Path, what: str) -> None:
    if path.is_dir():
        raise DataError(f"{path}: is a folder; give a file in it, or a glob such as '{path}/*.parquet'")
    if not path.exists():
        folder = path.parent
        if not folder.is_dir():
            raise DataError(f"{what}: no such file '{path}', nor its folder '{folder}'; check the path")
        near = get_close_matches(path.name, sorted(p.name for p in folder.iterdir()), n=1, cutoff=0.6)
        hint = f"did you mean '{near[0]}'?" if near else "check the name"
        raise DataError(f"{what}: no such file '{path}'; {hint}")
    try:
        with path.open("rb") as file:
            head = file.read(1)
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}); check its permissions") from None
    if not head:
        raise DataError(f"{path.name}: is empty; it must hold a header and at least one row")


def _join(sources: list[Source], name: str) -> Source:
    """Several files as one table; rows are counted through in the order of the file names."""
    columns = tuple(dict.fromkeys(c for s in sources for c in s.columns))

    def load(wanted: Sequence[str]) -> Loaded:
        frames, findings, n_rows = [], [], 0
        for source in sources:
            part = source.load([c for c in wanted if c in source.columns])
            frames.append(part.frame.with_columns((pl.col(ROW) + n_rows).cast(pl.UInt32)))
            findings += [_shift(f, name, n_rows) for f in part.findings]
            n_rows += part.n_rows
        return Loaded(_stack(frames), n_rows, tuple(findings))

    return Source(name, columns, load, any(s.texts for s in sources), any(s.decimal_comma for s in sources))


def _shift(finding: Finding, name: str, by: int) -> Finding:
    rows = tuple(int(r) for r in np.asarray(finding.rows) + by)
    return Finding(name, finding.kind, finding.n_rows, rows, finding.rule, finding.n_dropped)


def _stack(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """One under the other; a column of different types becomes text, a missing one null."""
    kinds: dict[str, set[pl.DataType]] = {}
    for frame in frames:
        for name, kind in frame.schema.items():
            kinds.setdefault(name, set()).add(kind)
    mixed = [n for n, k in kinds.items() if len(k - {pl.Null()}) > 1]
    return pl.concat(
        [f.with_columns(pl.col(n).cast(pl.String) for n in mixed if n in f.columns) for f in frames],
        how="diagonal_relaxed",
    )


def _allowed() -> str:
    return ", ".join(ENDINGS)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
