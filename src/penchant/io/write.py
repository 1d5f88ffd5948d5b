"""Write a table by its ending: beside the target first, then renamed, so that a crash leaves the old file whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import polars as pl
from pyarrow.parquet import ParquetWriter

from penchant.artefacts import file_beside
from penchant.errors import OutputError

ENDINGS = (".parquet", ".csv", ".jsonl")


def write_table(frame: pl.DataFrame, path: str | Path) -> None:
    """Write a table as Parquet, CSV (lists as JSON) or JSON lines.

    Args:
        frame: any table.
        path: the ending says the format: .parquet, .csv or .jsonl.
    Raises:
        OutputError: another ending, a folder, no such folder, no permission, a full disk.
    """
    write_parts([frame], path)


def write_parts(frames: Iterable[pl.DataFrame], path: str | Path) -> int:
    """Write a table that comes in parts, each when it comes: memory holds one of them. As `write_table` otherwise.

    An error, also one of whoever makes the parts, leaves what was there before.

    Args:
        frames: one or more tables of the same columns.
    Returns:
        Rows written.
    """
    target = Path(path)
    check_target(target)
    n_rows = 0
    with file_beside(target) as beside, beside.open("wb") as file, ExitStack() as stack:
        parquet = None
        for i, frame in enumerate(frames):
            n_rows += frame.height
            if target.suffix.lower() == ".csv":
                _flat(frame).write_csv(file, include_header=i == 0)
            elif target.suffix.lower() == ".jsonl":
                frame.write_ndjson(file)
            else:
                table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
                if parquet is None:
                    parquet = stack.enter_context(ParquetWriter(file, table.schema, compression="zstd"))
                parquet.write_table(table)
    return n_rows


def make_folder(path: str | Path) -> None:
    """Make a folder for results, if there is none.

    Raises:
        OutputError: it can't be made or written.
    """
    target = Path(path)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target}: can't be made ({error.strerror or error}); choose another folder") from None
    if not os.access(target, os.W_OK):
        raise OutputError(f"{target}: can't be written; choose another folder")


def check_target(path: str | Path) -> None:
    """Raise before long work, if its result could not be written there.

    >>> check_target("result.xlsx")
    Traceback (most recent call last):
    ...
    penchant.errors.OutputError: result.xlsx: unknown ending '.xlsx'; allowed: .parquet, .csv, .jsonl
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; give a file name in it, e.g. {target / 'out.parquet'}")
    if target.suffix.lower() not in ENDINGS:
        raise OutputError(f"{target}: unknown ending '{target.suffix}'; allowed: {', '.join(ENDINGS)}")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: there is no folder '{target.parent}'; make it first")


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Nested columns as JSON text: a CSV has no lists."""
    nested = [n for n, kind in frame.schema.items() if kind.is_nested()]
    return frame.with_columns(_as_json(frame[n]) for n in nested)


def _as_json(column: pl.Series) -> pl.Series:
    boxed = pl.DataFrame([column.alias("v")]).select(pl.struct("v").struct.json_encode().alias("j"))["j"]
    text = boxed.str.strip_prefix('{"v":').str.strip_suffix("}").alias(column.name)
    return text.set(column.is_null(), None)
