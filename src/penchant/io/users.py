"""A list of ids from a file: a table with their column, or plain text with one id a line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from penchant.errors import DataError
from penchant.io.columns import map_columns, need
from penchant.io.ids import id_texts
from penchant.io.sources import open_source

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".gz")


def read_ids(path: str | Path, kind: Literal["user", "item"] = "user") -> list[str]:
    """Read ids of users or items in the order given; blank ones are left out, repeated ones kept once.

    Raises:
        DataError: the file is missing, unreadable, has no such column, or holds no id.
    """
    file, name = Path(path), f"{kind}s"
    if file.name.lower().endswith(TABLE_ENDINGS):
        source = open_source(file, name)
        columns = map_columns("attributes" if kind == "user" else "items", source.name, source.columns, {})
        need(source.name, columns, f"{kind}_id", source.columns, f"to know which {name} are meant")
        column = columns.used[f"{kind}_id"]
        found = id_texts(source.load([column]).frame[column], source.name).to_list()
    else:
        try:
            found = file.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            raise DataError(f"{name}: no such file '{file}'; check the path") from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{name}: '{file}' can't be read ({error}); give one id a line in UTF-8") from None
    ids = list(dict.fromkeys(text.strip() for text in found if text and text.strip()))
    if not ids:
        raise DataError(f"{name}: '{file}' holds no {kind} id; give one id a line, or a table with {kind}_id")
    return ids
