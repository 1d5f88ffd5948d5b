"""Pretrained word vectors as a text encoder: a text is the weighted mean of its words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import EncodeConfig
from penchant.data import FloatArray, Parts, unit_rows
from penchant.encode.vector_file import VectorFile, open_vector_file, read_words
from penchant.errors import ModelError
from penchant.text import segment
from penchant.threads import one_thread

# Arora et al. 2017: a word of this share of all words counts half; 1e-3 to 1e-4 did equally well there.
SIF_A = 1e-3
# How common a word is, by the catalogue alone, would be guesswork for words it holds once or never: so many words
# of a text in general, spread by Zipf's law over the order of the file, are counted with those of the catalogue.
PRIOR_WORDS = 10_000
# The first component of a few texts is what they are about, not what all texts share.
MIN_TEXTS_FOR_COMPONENT = 50

WORD = r"[\p{L}\p{M}\p{N}]+(?:['’\-][\p{L}\p{M}\p{N}]+)*"
# A word the file lacks is read by its parts: a compound by its words, a stretch of Chinese by the longest known words.
PART = r"\p{Han}+|[\p{L}\p{M}\p{N}&&[^\p{Han}]]+"
MAX_CHINESE_PART = 4
HAN = re.compile(r"[\u2e80-\u2fdf\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")


class WordVectorEncoder:
    """Smooth inverse frequency (Arora, Liang & Ma 2017) over a file of Word2Vec or GloVe vectors.

    A text is the sum of its words' vectors, each weighted a / (a + p(word)), less its part along the first principal
    component of the catalogue (what all texts share), scaled to unit length; so the divisor of a mean drops out. p is
    the word's share in the catalogue, smoothed by Zipf's law over the order of the file, which is by frequency in
    files as they are published. Words are matched in lower case; Chinese is segmented; a word the file lacks counts by
    its parts, and where those are lacking too it is unknown. Texts of unknown words alone give zeros.

    Kept, and saved with the model, are the words of the catalogue and the first `n_words` of the file, so that new
    texts have vectors and the file is needed no more.

    Attributes:
        name: the file, its size, what was done, and the share of the catalogue's words that are unknown.
        facts: counts, and the commonest unknown words.
    """

    def __init__(self, config: EncodeConfig) -> None:
        """Look at the head of the file; `fit` reads it.

        Raises:
            ConfigError: no path in `config.model`.
            ModelError: there is no such file, or in another form.
        """
        self.config = config
        self.fitted = False
        self.facts: Mapping[str, Any] = {}
        self._file: VectorFile | None = open_vector_file(config.model)
        self.name = f"word vectors ({self._file.path.name}, not fitted)"
        self._words = pl.Series("word", [], dtype=pl.String)
        self._weights: FloatArray = np.zeros(0, np.float32)
        self._vectors: FloatArray = np.zeros((0, self._file.n_dims), np.float32)
        self._component: FloatArray = np.zeros(self._file.n_dims, np.float32)

    def fit(self, texts: list[str]) -> None:
        """Read the file for the words of a corpus, and learn weights and the first component.

        Raises:
            ModelError: the file breaks off or can't be read; or the encoder came from a saved model.
        """
        if self._file is None:
            raise ModelError(
                "word vectors: read back from a saved model, they can't be fitted again; make a new encoder"
            )
        tokens = _tokens(texts)
        table = read_words(self._file, _wanted(tokens), self.config.n_words)
        self._words, self._vectors = pl.Series("word", table.words, dtype=pl.String), table.vectors
        told = _read(tokens, self._words)
        known = told.drop_nulls()["column"].to_numpy()
        counts = np.bincount(known, minlength=len(table.words))
        self._weights = _weights(counts, table.rank)
        sums, n_texts = self._sum(told, len(texts)), sum(1 for text in texts if text.strip())
        with_component = n_texts >= MIN_TEXTS_FOR_COMPONENT
        self._component = _first_component(sums) if with_component else np.zeros(self._file.n_dims, np.float32)
        self.facts = self._tell(tokens, told, sums, n_texts)
        removed = "first component removed" if with_component else "no component removed, too few texts"
        share = self.facts["unknown_share"]
        self.name = (
            f"word vectors ({self._file.path.name}, {self._file.n_dims} dims, SIF weights, {removed}, "
            f"{share:.1%} of words unknown)"
        )
        self.fitted = True

    def encode(self, texts: list[str]) -> FloatArray:
        """Return (n, d) float32 rows of unit length; zeros where no word of a text is known."""
        if not self.fitted:
            raise ModelError("word vectors: not fitted; call fit(texts) first")
        sums = self._sum(_read(_tokens(texts), self._words), len(texts))
        with one_thread():
            rest = sums - np.outer(sums @ self._component, self._component).astype(np.float32)
        # a text along the component alone leaves rounding errors that say nothing
        much = np.linalg.norm(rest, axis=1) > 1e-4 * np.linalg.norm(sums, axis=1)
        return unit_rows(rest * much[:, None])

    def to_parts(self) -> Parts:
        config = {"kind": "words", "config": self.config.model_dump(mode="json"), "name": self.name}
        arrays = {"vectors": self._vectors, "weights": self._weights, "component": self._component}
        return Parts({**config, "facts": dict(self.facts)}, arrays, {"word": self._words.to_frame("word")})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Read the saved form back; the file is not needed.

        Raises:
            ModelError: a part is missing, or parts don't fit together.
        """
        out = cls.__new__(cls)
        try:
            out.config = EncodeConfig.model_validate(parts.config["config"])
            out.name, out.facts = parts.config["name"], parts.config["facts"]
            out._words = parts.tables["word"]["word"]
            out._vectors, out._weights = parts.arrays["vectors"], parts.arrays["weights"]
            out._component = parts.arrays["component"]
        except KeyError as error:
            raise ModelError(f"word vectors: the saved part {error} is missing; fit the model again") from None
        n, d = out._vectors.shape
        if (n, n, d) != (len(out._words), len(out._weights), len(out._component)):
            raise ModelError(
                f"word vectors: {len(out._words):,} words, {len(out._weights):,} weights and vectors of shape {(n, d)} "
                "don't fit together; fit the model again"
            )
        out._file, out.fitted = None, True
        return out

    def _sum(self, told: pl.DataFrame, n_texts: int) -> FloatArray:
        """(n_texts, d) weighted sums of the known words."""
        known = told.drop_nulls()
        column = known["column"].to_numpy().astype(np.int64)
        places = (known["row"].to_numpy(), column)
        matrix = sp.csr_array((self._weights[column], places), shape=(n_texts, len(self._words)))
        return np.asarray(matrix @ self._vectors, np.float32)

    def _tell(self, tokens: pl.DataFrame, told: pl.DataFrame, sums: FloatArray, n_texts: int) -> Mapping[str, Any]:
        unknown = told.filter(pl.col("column").is_null())
        common = unknown.group_by("word").agg(n=pl.len()).sort(["n", "word"], descending=[True, False]).head(20)
        return {
            "n_words_kept": len(self._words),
            "n_dims": self._vectors.shape[1],
            "n_words_read": told.height,
            "n_unknown": unknown.height,
            "unknown_share": round(unknown.height / max(1, told.height), 4),
            "commonest_unknown": common["word"].to_list(),
            "n_texts_without_vector": n_texts - int(sums.any(axis=1).sum()),
            "component_removed": bool(self._component.any()),
        }


def _tokens(texts: list[str]) -> pl.DataFrame:
    """row, word: lower-case words in the order of the texts, Chinese segmented."""
    spaced = pl.Series("word", segment(texts), dtype=pl.String).str.replace_all("[’‘]", "'")
    rows = pl.int_range(len(texts), dtype=pl.Int64, eager=True)
    words = spaced.str.extract_all(WORD)
    return pl.DataFrame({"row": rows, "word": words}).explode("word", empty_as_null=True).drop_nulls()


def _wanted(tokens: pl.DataFrame) -> frozenset[str]:
    """All that a corpus may be read by: its words and their parts."""
    words = tokens["word"].unique()
    parts = words.str.extract_all(PART).explode(empty_as_null=True).drop_nulls().unique()
    return frozenset(words) | frozenset(piece for part in parts for piece in _pieces(part))


def _pieces(part: str) -> list[str]:
    """Every stretch of a Chinese part that may be a word of its own; another part whole."""
    if not HAN.match(part):
        return [part]
    return [part[a : a + size] for size in range(1, MAX_CHINESE_PART + 1) for a in range(len(part) - size + 1)]


def _read(tokens: pl.DataFrame, words: pl.Series) -> pl.DataFrame:
    """row, word, column: tokens with their place in `words`; unknown ones by their parts, null where those lack too."""
    place = words.to_frame("word").with_row_index("column")
    told = tokens.join(place, on="word", how="left", maintain_order="left")
    unknown = told.filter(pl.col("column").is_null()).select("row", whole="word")
    distinct = unknown.select("whole").unique(maintain_order=True)
    known, parts = frozenset(words), distinct["whole"].str.extract_all(PART).to_list()
    cut = [[piece for part in of_word for piece in _cut(part, known)] for of_word in parts]
    pieces = distinct.with_columns(word=pl.Series(cut, dtype=pl.List(pl.String)))
    read = (
        unknown.join(pieces, on="whole", how="left", maintain_order="left")
        .explode("word", empty_as_null=True)
        .drop_nulls()
        .join(place, on="word", how="left", maintain_order="left")
    )
    return pl.concat([told.drop_nulls(), read.select(told.columns)])


def _cut(part: str, known: frozenset[str]) -> list[str]:
    """A Chinese part into the longest known words from the left, what is unknown by characters."""
    if not HAN.match(part):
        return [part]
    out, at = [], 0
    while at < len(part):
        sizes = range(min(MAX_CHINESE_PART, len(part) - at), 1, -1)
        size = next((size for size in sizes if part[at : at + size] in known), 1)
        out.append(part[at : at + size])
        at += size
    return out


def _weights(counts: np.ndarray[Any, Any], rank: np.ndarray[Any, Any]) -> FloatArray:
    """(n_words,) a / (a + p)."""
    prior = 1 / (rank + 1.0)
    prior /= max(prior.sum(), 1.0)
    p = (counts + PRIOR_WORDS * prior) / (counts.sum() + PRIOR_WORDS)
    return np.asarray(SIF_A / (SIF_A + p), np.float32)


def _first_component(sums: FloatArray) -> FloatArray:
    """(d,) the first right singular vector of the unit rows, from their Gram matrix."""
    rows = unit_rows(sums).astype(np.float64)
    with one_thread():
        values, vectors = np.linalg.eigh(rows.T @ rows)
    if not values[-1] > 0:
        return np.zeros(sums.shape[1], np.float32)
    first = vectors[:, -1]
    return np.asarray(first * np.sign(first[np.abs(first).argmax()]), np.float32)
