"""One log, whatever it comes in; and what is wrong with a file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from penchant.config import IoConfig
from penchant.errors import DataError
from penchant.io import read_log

HEADER = "user_id,item_id,timestamp,value\n"
ROWS = "u1,01,1700000000,2\nu2,02,1700000060,1\n"
GOOD = pl.DataFrame(
    {"user_id": ["u1", "u2"], "item_id": ["01", "02"], "timestamp": [1700000000, 1700000060], "value": [2.0, 1.0]}
)


def _relation() -> Any:
    return duckdb.from_arrow(GOOD.to_arrow())


MEMORY: dict[str, Callable[[], Any]] = {
    "polars": lambda: GOOD,
    "lazy": lambda: GOOD.lazy(),
    "pandas": lambda: GOOD.to_pandas(),
    "arrow": lambda: GOOD.to_arrow(),
    "duckdb": _relation,
}
FILES: dict[str, Callable[[Path], object]] = {
    "e.parquet": GOOD.write_parquet,
    "e.jsonl": GOOD.write_ndjson,
    "e.csv": lambda p: p.write_text(HEADER + ROWS),
    "e.tsv": lambda p: p.write_text((HEADER + ROWS).replace(",", "\t")),
    "semicolon.csv": lambda p: p.write_text((HEADER + ROWS).replace(",", ";")),
    "tab.csv": lambda p: p.write_text((HEADER + ROWS).replace(",", "\t")),
    "bom.csv": lambda p: p.write_text(HEADER + ROWS, encoding="utf-8-sig"),
    "utf16.csv": lambda p: p.write_text(HEADER + ROWS, encoding="utf-16"),
    "crlf.csv": lambda p: p.write_bytes((HEADER + ROWS).replace("\n", "\r\n").encode()),
    "cr.csv": lambda p: p.write_bytes((HEADER + ROWS).replace("\n", "\r").encode()),
    "blank_lines.csv": lambda p: p.write_text("\n" + HEADER + "\n" + ROWS + "\n\n"),
    "e.csv.gz": lambda p: p.write_bytes(gzip.compress((HEADER + ROWS).encode())),
}


def _same(log: Any) -> None:
    assert log.events.user_ids.to_list() == ["u1", "u2"]
    assert log.items.item_ids.to_list() == ["01", "02"]
    assert log.events.time.tolist() == [1700000000.0, 1700000060.0]
    assert log.events.weight.tolist() == pytest.approx([1.5849625, 1.0])


@pytest.mark.parametrize("kind", MEMORY)
def test_tables_in_memory(kind: str) -> None:
    _same(read_log(MEMORY[kind]()))


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    FILES[name](path)
    _same(read_log(path))


def test_the_callers_table_is_not_edited() -> None:
    before = GOOD.clone()
    read_log(GOOD, pl.DataFrame({"item_id": ["01"], "title": ["x"]}))
    assert GOOD.equals(before)


def test_a_glob_counts_rows_through_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "p2.csv").write_text(HEADER + ",02,1700000060,1\nu2,02,1700000060,1\n")
    (tmp_path / "p1.csv").write_text(HEADER + "u1,01,1700000000,2\n")
    log = read_log(tmp_path / "p*.csv")
    _same(log)
    assert [(f.kind, f.rows) for f in log.findings] == [("no user id", (2,))]


def test_parts_of_different_types_become_text(tmp_path: Path) -> None:
    GOOD.head(1).write_parquet(tmp_path / "a.parquet")
    GOOD.tail(1).with_columns(pl.col("timestamp").cast(pl.String)).write_parquet(tmp_path / "b.parquet")
    _same(read_log(str(tmp_path / "*.parquet")))


def test_ragged_rows_stop_or_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(HEADER + ROWS + "u3,a,b,1700000000,1\nu1,01,1700000099,1,\n")
    with pytest.raises(DataError, match=r"more fields than the header: 1 row \(rows 3\); quote .*io.ragged_rows"):
        read_log(path)
    log = read_log(path, config=IoConfig(ragged_rows="drop"))
    assert len(log.events) == 3  # an empty field at the end of a line is no extra field
    assert [(f.rows, f.n_dropped) for f in log.findings] == [((3,), 1)]


def test_line_breaks_and_markup_in_quoted_text_are_data(tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text('item_id,title\n01,"<b>two\nlines, one cell</b>"\n02,x\n')
    log = read_log(GOOD, items)
    assert log.items.table["title"].to_list() == ["<b>two\nlines, one cell</b>", "x"]


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "empty": ("e.csv", b"", "is empty"),
    "blank": ("e.csv", b"\n\n", "is empty"),
    "header only": ("e.csv", HEADER.encode(), "no rows"),
    "latin-1": (
        "e.csv",
        HEADER.encode() + "u1,caf\xe9,1700000000,1\n".encode("latin-1"),
        r"line 2, byte 38 .*0xe9.*iconv",
    ),
    "binary": ("e.csv", b"ab\x00c", "NUL bytes"),
    "double header": ("e.csv", b"user_id,item_id,user_id\n1,2,3\n", r"'user_id' twice \(columns 1 and 3\)"),
    "no header": ("e.csv", b"1,2,3\n4,5,6\n", "a header line may be missing"),
    "no parquet": ("e.parquet", b"not parquet at all, no", "e.parquet: can't be read"),
    "no jsonl": ("e.jsonl", b'{"user_id": 1,\n', "not one JSON object a line"),
    "no gzip": ("e.csv.gz", b"plain", "is it a gzip file"),
    "ending": ("e.xlsx", b"x", r"ending '.xlsx'; allowed: .parquet, .csv"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_explained(name: str, tmp_path: Path) -> None:
    file, content, words = BROKEN[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_log(tmp_path / file)


def test_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "events.csv").write_text(HEADER + ROWS)
    with pytest.raises(DataError, match=r"no such file .*did you mean 'events.csv'"):
        read_log(tmp_path / "event.csv")
    with pytest.raises(DataError, match="nor its folder"):
        read_log(tmp_path / "none" / "event.csv")
    with pytest.raises(DataError, match="is a folder; give a file in it"):
        read_log(tmp_path)
    with pytest.raises(DataError, match="no file matches"):
        read_log(tmp_path / "*.parquet")
    with pytest.raises(DataError, match="is no file"):
        read_log("sqlite:///x.db")
    with pytest.raises(DataError, match="can't read a list"):
        read_log([1])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        read_log(tmp_path / "events.csv")


def test_a_column_of_mixed_types_in_pandas_is_explained() -> None:
    mixed = pl.DataFrame({"item_id": ["a", "b"]}).to_pandas()
    mixed["user_id"] = [1, "x"]
    with pytest.raises(DataError, match="astype"):
        read_log(mixed)


def test_nested_columns_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="'user_id' has type List"):
        read_log(pa.table({"user_id": [["a"]], "item_id": ["x"]}))
