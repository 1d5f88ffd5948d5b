"""A list of user ids from a file: a table with a user column, or plain text with one id a line."""

from __future__ import annotations

from pathlib import Path

from penchant.errors import DataError
from penchant.io.columns import map_columns, need
from penchant.io.ids import id_texts
from penchant.io.sources import open_source

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".gz")


def read_user_ids(path: str | Path) -> list[str]:
    """Read user ids in the order given; blank ones are left out, repeated ones kept once.

    Raises:
        DataError: the file is missing, unreadable, has no user column, or holds no id.
    """
    file = Path(path)
    if file.name.lower().endswith(TABLE_ENDINGS):
        source = open_source(file, "users")
        columns = map_columns("attributes", source.name, source.columns, {})
        need(source.name, columns, "user_id", source.columns, "to know whom to recommend to")
        column = columns.used["user_id"]
        found = id_texts(source.load([column]).frame[column], source.name).to_list()
    else:
        try:
            found = file.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            raise DataError(f"users: no such file '{file}'; check the path") from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"users: '{file}' can't be read ({error}); give one id a line in UTF-8") from None
    ids = list(dict.fromkeys(text.strip() for text in found if text and text.strip()))
    if not ids:
        raise DataError(f"users: '{file}' holds no user id; give one id a line, or a table with user_id")
    return ids
