"""Written whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pytest

from penchant.errors import OutputError
from penchant.io import write_table

TABLE = pl.DataFrame({"a": ["x", 'quote " and, comma', None], "l": [["p", 'q"r'], [], None], "n": [[1], [2, 3], None]})


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
def test_formats_that_know_lists(name: str, tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / name)
    read = pl.read_parquet if name.endswith("parquet") else pl.read_ndjson
    assert read(tmp_path / name).equals(TABLE)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_csv_has_lists_as_json(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "t.csv")
    back = pl.read_csv(tmp_path / "t.csv")
    assert back["l"].to_list() == ['["p","q\\"r"]', "[]", None]
    assert back["n"].str.json_decode(pl.List(pl.Int64)).to_list() == TABLE["n"].to_list()
    assert back["a"].to_list() == TABLE["a"].to_list()


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"unknown ending '.xlsx'; allowed: .parquet, .csv, .jsonl"):
        write_table(TABLE, tmp_path / "t.xlsx")
    with pytest.raises(OutputError, match="there is no folder"):
        write_table(TABLE, tmp_path / "none" / "t.csv")
    with pytest.raises(OutputError, match="is a folder"):
        write_table(TABLE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "t.csv"
    target.write_text("old")

    def full(_frame: pl.DataFrame, file: BinaryIO, **_: object) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_table(TABLE, target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
