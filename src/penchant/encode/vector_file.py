"""Files of pretrained word vectors: Word2Vec text and binary, GloVe and fastText text, each also as .gz.

Read from front to end once, without building what is not asked for: such files hold millions of words.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import numpy as np

from penchant.data import FloatArray
from penchant.errors import ConfigError, ModelError

Form = Literal["word2vec text", "word2vec binary", "glove text"]

CHUNK_BYTES = 1 << 20
# Longer lines or words than these are no word vectors.
MAX_LINE_BYTES, MAX_WORD_BYTES = 1 << 18, 10_000
FASTTEXT_MAGIC = b"\xba\x16\x4f\x2f"
GZIP_MAGIC = b"\x1f\x8b"
ALLOWED = "give a Word2Vec file (text or binary) or a GloVe file (text), also as .gz"


@dataclass(frozen=True)
class VectorFile:
    """What the head of a file says. n_words: of the header; -1 where the form has none (GloVe)."""

    path: Path
    form: Form
    n_words: int
    n_dims: int


@dataclass(frozen=True)
class WordTable:
    """Words of a file in its order. rank: (n,) place in the file from 0; vectors: (n, d)."""

    words: list[str]
    rank: np.ndarray[tuple[int], np.dtype[np.int64]]
    vectors: FloatArray


def open_vector_file(model: str) -> VectorFile:
    """Look at the head of a file: which form, how many words and dimensions.

    Raises:
        ConfigError: no path is given.
        ModelError: there is no such file, or it is in another form; pickled ones are refused unread.
    """
    if not model:
        raise ConfigError(f"encode.model: method 'words' needs the path of a file of word vectors; {ALLOWED}")
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelError(f"encode.model: no file at '{path}'; {ALLOWED}")
    with _opened(path) as stream:
        head = stream.read(CHUNK_BYTES)
    if head[:1] == b"\x80" or path.suffix in (".kv", ".model", ".npy"):
        raise ModelError(
            f"{path}: looks like gensim's own form, a pickle, which can run any code when opened; where gensim and the "
            "file are trusted, write it with KeyedVectors.save_word2vec_format(path, binary=True) and give that file"
        )
    if head[:4] == FASTTEXT_MAGIC:
        raise ModelError(f"{path}: is fastText's binary form; give the .vec file that comes with it")
    line, newline, rest = head.partition(b"\n")
    fields = line.split()
    if newline and len(fields) == 2 and all(f.isdigit() for f in fields) and int(fields[1]) > 0:
        n_words, n_dims = int(fields[0]), int(fields[1])
        second = rest.partition(b"\n")[0]
        is_text = _numbers(second, n_dims) is not None or not n_words
        return VectorFile(path, "word2vec text" if is_text else "word2vec binary", n_words, n_dims)
    if len(fields) > 2 and _numbers(line, len(fields) - 1) is not None:
        return VectorFile(path, "glove text", -1, len(fields) - 1)
    raise ModelError(f"{path}: the first line is not of a file of word vectors (got {line[:60]!r}); {ALLOWED}")


def read_words(file: VectorFile, wanted: frozenset[str], n_first: int) -> WordTable:
    """The first `n_first` words of a file (the commonest, as these files are written) and those wanted, in lower case.

    A word is matched in lower case: a file that knows "Paris" only gives it for "paris"; where it knows both, the
    lower-case one counts, and among several others the first. Time: one pass over the file; memory: the words kept.

    Raises:
        ModelError: the file breaks off, or an entry can't be read; names its number.
    """
    row_of: dict[str, int] = {}
    exact: list[bool] = []
    rank: list[int] = []
    rows: list[FloatArray] = []
    entries = _binary_entries if file.form == "word2vec binary" else _text_entries
    n_read = 0
    with _opened(file.path) as stream:
        for n_read, (raw, vector) in enumerate(entries(stream, file), start=1):
            word = raw.decode("utf-8", errors="replace")
            key = word.lower()
            if n_read > n_first and key not in wanted:
                continue
            row = row_of.get(key)
            if row is not None and (exact[row] or word != key):
                continue
            values = _vector(vector, file, n_read)
            if row is None:
                row_of[key] = len(rows)
                rows.append(values)
                rank.append(n_read - 1)
                exact.append(word == key)
            else:
                rows[row], exact[row] = values, True
    if file.n_words >= 0 and n_read < file.n_words:
        raise ModelError(f"{file.path}: broken off: {n_read:,} of {file.n_words:,} words are there; fetch it again")
    vectors = np.stack(rows) if rows else np.zeros((0, file.n_dims), np.float32)
    return WordTable(list(row_of), np.array(rank, np.int64), vectors)


def _text_entries(stream: IO[bytes], file: VectorFile) -> Iterator[tuple[bytes, bytes]]:
    """Word and the text of its numbers. Some GloVe words hold spaces, so a line is cut from its end."""
    if file.form == "word2vec text":
        stream.readline()
    for number, line in enumerate(_lines(stream, file), start=1):
        if 0 <= file.n_words < number:
            if line.strip():
                raise ModelError(
                    f"{file.path}: holds more than the {file.n_words:,} words of its header; fetch it again"
                )
            continue
        word, space, numbers = line.partition(b" ")
        if numbers.count(b" ") >= file.n_dims:  # a space at the end of the line, or within the word
            parts = line.rstrip().rsplit(b" ", file.n_dims)
            word, space, numbers = parts[0], b" ", b" ".join(parts[1:])
        if not space and line.strip():
            raise ModelError(f"{file.path}: word {number:,} has no numbers (got {line[:60]!r}); fetch it again")
        if space:
            yield word, numbers


def _lines(stream: IO[bytes], file: VectorFile) -> Iterator[bytes]:
    while line := stream.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES:
            raise ModelError(f"{file.path}: a line of {MAX_LINE_BYTES:,} bytes is not of a word vector; {ALLOWED}")
        yield line.rstrip(b"\r\n").replace(b"\t", b" ")


def _binary_entries(stream: IO[bytes], file: VectorFile) -> Iterator[tuple[bytes, bytes]]:
    """Word and the bytes of its float32 values, from a buffer that grows by chunks."""
    stream.readline()
    size = 4 * file.n_dims
    buffer, at = b"", 0
    for number in range(1, file.n_words + 1):
        space = buffer.find(b" ", at)
        while space < 0 or len(buffer) < space + 1 + size:
            more = stream.read(max(CHUNK_BYTES, size))
            if not more or (space < 0 and len(buffer) - at > MAX_WORD_BYTES):
                raise ModelError(
                    f"{file.path}: broken off, or not a binary Word2Vec file: {number - 1:,} of {file.n_words:,} words "
                    "are there; fetch it again"
                )
            buffer, at = buffer[at:] + more, 0
            space = buffer.find(b" ")
        yield buffer[at:space].lstrip(b"\n"), buffer[space + 1 : space + 1 + size]
        at = space + 1 + size


def _vector(raw: bytes, file: VectorFile, number: int) -> FloatArray:
    if file.form == "word2vec binary":
        values: FloatArray | None = np.frombuffer(raw, "<f4").astype(np.float32)
    else:
        values = _floats(raw.split())
    if values is None or len(values) != file.n_dims or not np.isfinite(values).all():
        raise ModelError(
            f"{file.path}: word {number:,} has not {file.n_dims} finite numbers (got {raw[:60]!r}); fetch it again"
        )
    return values


def _numbers(line: bytes, n: int) -> FloatArray | None:
    """The last n fields of a line as numbers; None if it is no word with n numbers."""
    parts = line.rstrip().rsplit(maxsplit=n)
    return _floats(parts[1:]) if len(parts) == n + 1 else None


def _floats(parts: list[bytes]) -> FloatArray | None:
    try:
        return np.array(parts, dtype=np.float32)
    except ValueError:
        return None


class _opened:
    """A file, unpacked where it is gzip; errors of the disk and of broken archives become ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> IO[bytes]:
        try:
            self._raw = self._path.open("rb")
            is_gzip = self._raw.read(2) == GZIP_MAGIC
            self._raw.seek(0)
        except OSError as error:
            raise ModelError(f"{self._path}: can't be read ({error.strerror})") from None
        return cast(IO[bytes], gzip.open(self._raw)) if is_gzip else self._raw

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._raw.close()
        if isinstance(error, EOFError | gzip.BadGzipFile | zlib.error):
            raise ModelError(f"{self._path}: the archive is broken off or damaged ({error}); fetch it again") from None
