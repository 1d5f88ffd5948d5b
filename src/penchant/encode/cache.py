"""Text vectors kept on disk by content: a second fit encodes only new texts.

One SQLite file: safe under several processes, and an interrupted write leaves the last whole batch. Every row carries
a checksum; a row that fails it counts as missing and is encoded again.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penchant.data import BoolArray, FloatArray

logger = logging.getLogger(__name__)

FILE_NAME = "text_vectors.sqlite"
LOCK_WAIT_S = 60.0
_KEYS_PER_QUERY = 500  # old SQLite builds allow 999 parameters
_SCHEMA = """CREATE TABLE IF NOT EXISTS text_vector (
    key BLOB PRIMARY KEY, vector BLOB NOT NULL, made_by TEXT NOT NULL, checksum INTEGER NOT NULL
) WITHOUT ROWID"""


@dataclass(frozen=True)
class CacheHit:
    """What a look-up found: vectors (n, d; zeros where not found), found (n,), made_by (backends of those found)."""

    vectors: FloatArray
    found: BoolArray
    made_by: frozenset[str]


class VectorCache:
    """Vectors of one encoder in the file of a cache folder.

    Args:
        folder: made if missing; several encoders and processes may share it.
        identity: all that decides the vectors (checksum of the model, pooling, length): part of every key.
        n_dims: width of the vectors.

    A cache that can't be read or written is said so in the log and does without: it is never a reason to fail.
    """

    def __init__(self, folder: Path, identity: str, n_dims: int) -> None:
        self.path = Path(folder) / FILE_NAME
        self._prefix = identity.encode() + b"\0"
        self._n_dims = n_dims

    def get(self, texts: list[str]) -> CacheHit:
        """Look texts up."""
        vectors = np.zeros((len(texts), self._n_dims), np.float32)
        found = np.zeros(len(texts), np.bool_)
        makers: set[str] = set()
        row_of = {self._key(text): row for row, text in enumerate(texts)}
        keys = list(row_of)
        try:
            with self._open() as connection:
                for start in range(0, len(keys), _KEYS_PER_QUERY):
                    wanted = keys[start : start + _KEYS_PER_QUERY]
                    marks = ",".join("?" * len(wanted))
                    query = f"SELECT key, vector, made_by, checksum FROM text_vector WHERE key IN ({marks})"  # noqa: S608
                    for key, blob, made_by, checksum in connection.execute(query, wanted):
                        if _checksum(key, blob) == checksum and len(blob) == 4 * self._n_dims:
                            vectors[row_of[key]] = np.frombuffer(blob, "<f4")
                            found[row_of[key]] = True
                            makers.add(made_by)
        except sqlite3.Error as error:
            self._report(error)
            return CacheHit(np.zeros_like(vectors), np.zeros_like(found), frozenset())
        return CacheHit(vectors, found, frozenset(makers))

    def put(self, texts: list[str], vectors: FloatArray, made_by: str) -> None:
        """Keep the vectors of texts, all or none of them."""
        rows = []
        for text, vector in zip(texts, np.ascontiguousarray(vectors, "<f4"), strict=True):
            key, blob = self._key(text), vector.tobytes()
            rows.append((key, blob, made_by, _checksum(key, blob)))
        try:
            with self._open() as connection:
                connection.executemany("INSERT OR REPLACE INTO text_vector VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._report(error)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One connection and one transaction; a file that is no database is set aside first."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise sqlite3.OperationalError(f"the folder can't be made ({error.strerror})") from None
        with closing(sqlite3.connect(self.path, timeout=LOCK_WAIT_S)) as connection, connection:
            connection.execute(_SCHEMA)
            yield connection

    def _report(self, error: sqlite3.Error) -> None:
        """Say what is wrong; set a broken file aside so that the next write starts a new one."""
        if isinstance(error, sqlite3.OperationalError):  # locked, read-only, disk full: the file itself is sound
            logger.warning("text cache %s: not used this time (%s); texts are encoded without it", self.path, error)
            return
        aside = self.path.with_suffix(".broken")
        try:
            self.path.replace(aside)
            logger.warning(
                "text cache %s: broken (%s); set aside as %s, texts are encoded again", self.path, error, aside
            )
        except OSError as failure:
            logger.warning(
                "text cache %s: is broken (%s) and can't be moved (%s); remove it", self.path, error, failure
            )

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(self._prefix + text.encode("utf-8", "surrogatepass")).digest()


def _checksum(key: bytes, blob: bytes) -> int:
    return zlib.crc32(blob, zlib.crc32(key))
