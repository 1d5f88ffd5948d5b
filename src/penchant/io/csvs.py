"""Read a CSV as text only (ids keep their zeros), and say what is wrong with it."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.errors import DataError
from penchant.io.findings import ROW

_SEPARATORS = (",", ";", "\t", "|")
_MORE = "__more_fields"
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class CsvTable:
    """A CSV whose head was looked at. data: the decoded bytes where the file can't be read as it lies (UTF-16)."""

    path: Path
    columns: tuple[str, ...]
    separator: str
    skip_lines: int
    data: bytes | None = None

    def read(self, wanted: Sequence[str]) -> tuple[pl.DataFrame, npt.NDArray[np.uint32], int]:
        """Read some columns as text, with ROW.

        Returns:
            the frame; the numbers of rows left out for having more fields than the header; rows read. Lines with no
            field at all are no rows, but keep their number.
        """
        schema = dict.fromkeys((*self.columns, _MORE), pl.String)
        try:
            frame = (
                pl.scan_csv(
                    self.path if self.data is None else io.BytesIO(self.data),
                    separator=self.separator,
                    has_header=False,
                    skip_lines=self.skip_lines,
                    schema=schema,
                    missing_columns="insert",
                    truncate_ragged_lines=True,
                    glob=False,
                )
                .select(*dict.fromkeys(wanted), pl.col(_MORE).is_not_null().alias(_MORE), _blank(self.columns))
                .collect()
                .with_row_index(ROW, offset=1)
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._explain(error) from None
        frame = frame.filter(~pl.col("__blank")).drop("__blank") if frame["__blank"].any() else frame.drop("__blank")
        long_rows = frame.filter(pl.col(_MORE))[ROW].to_numpy()
        n_rows = frame.height
        if len(long_rows):
            frame = frame.filter(~pl.col(_MORE))
        return frame.drop(_MORE), long_rows, n_rows

    def _explain(self, error: Exception) -> DataError:
        if self.data is None and "utf-8" in str(error).lower():
            where = _first_bad_byte(self.path)
            if where is not None:
                line, byte, value = where
                return DataError(
                    f"{self.path.name}: is not UTF-8 (line {line:,}, byte {byte:,} of the file is 0x{value:02x}); "
                    f"convert it, e.g. from Latin-1: iconv -f ISO-8859-1 -t UTF-8 {self.path.name} > utf8.csv"
                )
        lines = str(error).strip().splitlines()
        return DataError(f"{self.path.name}: is not a readable CSV ({lines[0] if lines else type(error).__name__})")


def _blank(columns: Sequence[str]) -> pl.Expr:
    return pl.all_horizontal(pl.col(c).is_null() for c in columns).alias("__blank")


def open_csv(path: Path) -> CsvTable:
    """Find encoding, separator and header of a .csv or .tsv file (.gz, too).

    Raises:
        DataError: not text, no header, a name twice in the header.
    """
    name = path.name
    with _open_bytes(path) as file:
        try:
            head = file.read(_HEAD_BYTES)
        except (OSError, EOFError) as error:
            raise DataError(f"{name}: can't be unpacked ({error}); is it a gzip file?") from None
    data: bytes | None = None
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = _from_utf16(path)
        head = data[:_HEAD_BYTES]
    elif b"\r" in head and b"\n" not in head:  # line ends of old: Polars knows only \n
        with _open_bytes(path) as file:
            data = head = file.read().replace(b"\r", b"\n")
    elif b"\x00" in head:
        raise DataError(f"{name}: is not a text file (it holds NUL bytes); save it as CSV in UTF-8")
    text = head.decode("utf-8-sig", errors="replace")
    skip = len(text) - len(text.lstrip("\r\n"))
    blank_lines = text[:skip].count("\n")
    text = text[skip:]
    if not text.strip():
        raise DataError(f"{name}: is empty; it must hold a header and at least one row")
    separator = _sniff(text, name)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    columns = [h.strip() or f"column_{i}" for i, h in enumerate(next(reader), 1)]
    _refuse_doubles(columns, name)
    return CsvTable(path, tuple(columns), separator, blank_lines + reader.line_num, data)


def _open_bytes(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _from_utf16(path: Path) -> bytes:
    with _open_bytes(path) as file:
        try:
            return file.read().decode("utf-16").encode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path.name}: is broken UTF-16 at byte {error.start:,}; save it as UTF-8") from None


def _sniff(text: str, name: str) -> str:
    """The separator that splits the header into the most fields; a tie goes to the ending's own."""
    own = "\t" if ".tsv" in name.lower() else ","
    order = [own, *(s for s in _SEPARATORS if s != own)]
    line = text.splitlines()[0]
    return max(order, key=lambda s: len(next(csv.reader([line], delimiter=s))))


def _refuse_doubles(columns: list[str], name: str) -> None:
    seen: dict[str, int] = {}
    for i, column in enumerate(columns, 1):
        if column in seen:
            raise DataError(
                f"{name}: the header has '{column}' twice (columns {seen[column]} and {i}); rename or remove one"
            )
        seen[column] = i


def _first_bad_byte(path: Path) -> tuple[int, int, int] | None:
    """Line (from 1), offset and value of the first byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, line = 0, 1
    with _open_bytes(path) as file:
        while chunk := file.read(1 << 22):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                at = max(error.start - pending, 0)
                return line + chunk[:at].count(b"\n"), offset + at, error.object[error.start]
            line += chunk.count(b"\n")
            offset += len(chunk)
    return None
