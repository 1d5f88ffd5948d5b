"""Tfidf: words, word pairs and the character n-grams of words, reduced by SVD. Needs nothing but the base install."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.data import FloatArray, Parts
from penchant.errors import ModelError
from penchant.text import segment, tokenise
from penchant.threads import one_thread

WORD_PATTERN = r"[\p{L}\p{M}\p{N}]+"
CHAR_SIZES = (3, 4, 5)
# Above these the rarest terms are left out: SVD gains nothing from terms that few texts share.
MAX_WORD_TERMS, MAX_CHAR_TERMS = 60_000, 60_000
# Small or narrow corpora are decomposed exactly, larger ones by random projections.
EXACT_BELOW = 400
N_POWER_ITERATIONS, N_OVERSAMPLES = 5, 16
# Singular values below this share of the first are numerical noise (texts repeated, fewer topics than dimensions).
NOISE_SHARE = 1e-5


class TfidfEncoder:
    """Latent semantic analysis (Deerwester et al. 1990) on sublinear tf-idf, one vector a text.

    Two blocks of equal weight: phrases of one or two words without stop words (Chinese segmented), and character
    3-5-grams within words, which bring word forms, rare names and texts of stop words alone ("Them!") together.
    The vectors are never wider than the corpus has independent directions.

    >>> encoder = TfidfEncoder(n_dims=2, seed=0)
    >>> encoder.fit(["red apple", "green apple", "blue car"])
    >>> vectors = encoder.encode(["apples", ""])
    >>> vectors.shape, round(float(np.linalg.norm(vectors[0])), 3), float(np.linalg.norm(vectors[1]))
    ((2, 2), 1.0, 0.0)
    """

    def __init__(self, *, n_dims: int = 256, seed: int = 0) -> None:
        self.n_dims = n_dims
        self.seed = seed
        self.fitted = False
        self.name = "tfidf (not fitted)"
        self._words = _Terms.empty()
        self._chars = _Terms.empty()
        self._components: FloatArray = np.zeros((0, 0), np.float32)

    def fit(self, texts: list[str]) -> None:
        """Learn the terms, their idf and the SVD of a corpus. Blank texts teach nothing; there may be no others."""
        texts = [text for text in texts if text.strip()]
        words, chars = _count_words(texts), _count_chars(texts)
        self._words = _Terms.learn(words, len(texts), MAX_WORD_TERMS)
        self._chars = _Terms.learn(chars, len(texts), MAX_CHAR_TERMS)
        matrix = self._weigh(words, chars, len(texts))
        with one_thread():  # the order of sums must not hang on the number of threads
            self._components = _decompose(matrix, self.n_dims, self.seed)
        self._mark_fitted()

    def encode(self, texts: list[str]) -> FloatArray:
        """Return (n, d) float32 rows of unit length; zeros where a text shares no term with the corpus."""
        if not self.fitted:
            raise ModelError("tfidf encoder: not fitted; call fit(texts) first")
        matrix = self._weigh(_count_words(texts), _count_chars(texts), len(texts))
        with one_thread():
            projected = np.asarray(matrix @ self._components.T, dtype=np.float32)
        norm = np.linalg.norm(projected, axis=1, keepdims=True)
        # a text outside all kept directions leaves a tiny remainder that says nothing
        unit: FloatArray = np.divide(projected, norm, out=np.zeros_like(projected), where=norm > 1e-4)
        return unit

    def to_parts(self) -> Parts:
        return Parts(
            config={"kind": "tfidf", "n_dims": self.n_dims, "seed": self.seed},
            arrays={"word_idf": self._words.idf, "char_idf": self._chars.idf, "components": self._components},
            tables={"word_term": self._words.table(), "char_term": self._chars.table()},
        )

    @classmethod
    def from_parts(cls, parts: Parts) -> TfidfEncoder:
        encoder = cls(n_dims=int(parts.config["n_dims"]), seed=int(parts.config["seed"]))
        encoder._words = _Terms(parts.tables["word_term"]["term"], parts.arrays["word_idf"])
        encoder._chars = _Terms(parts.tables["char_term"]["term"], parts.arrays["char_idf"])
        encoder._components = parts.arrays["components"]
        n_terms = len(encoder._words.idf) + len(encoder._chars.idf)
        if len(encoder._components) and encoder._components.shape[1] != n_terms:
            raise ModelError(
                f"tfidf encoder: {encoder._components.shape[1]} component columns for {n_terms} terms; fit it again"
            )
        encoder._mark_fitted()
        return encoder

    def _mark_fitted(self) -> None:
        self.fitted = True
        self.name = f"tfidf (word 1-2 + char 3-5, SVD {len(self._components)})"

    def _weigh(self, words: pl.DataFrame, chars: pl.DataFrame, n_texts: int) -> sp.csr_array:
        """Two unit-length blocks side by side; rows of unit length where anything is known."""
        blocks = [self._words.matrix(words, n_texts), self._chars.matrix(chars, n_texts)]
        return sp.csr_array(_unit_rows(sp.csr_array(sp.hstack(blocks, format="csr"))))


class _Terms:
    """The terms of one block with their inverse document frequencies, in alphabetical order."""

    def __init__(self, term: pl.Series, idf: npt.NDArray[Any]) -> None:
        self.term = term
        self.idf = idf

    @classmethod
    def empty(cls) -> _Terms:
        return cls(pl.Series("term", [], dtype=pl.String), np.zeros(0, np.float32))

    @classmethod
    def learn(cls, counts: pl.DataFrame, n_texts: int, limit: int) -> _Terms:
        """Keep the terms of two or more texts (of one, in corpora too small for that), the commonest first."""
        seen = counts.group_by("term").agg(n_texts=pl.len()).sort(["n_texts", "term"], descending=[True, False])
        shared = seen.filter(pl.col("n_texts") >= 2)
        # one text, or texts with nothing in common: single terms are all there is to tell them apart
        kept = (shared if n_texts > 50 and shared.height >= n_texts else seen).head(limit).sort("term")
        # smoothed as if one more text held every term once
        idf = np.log((1 + n_texts) / (1 + kept["n_texts"].to_numpy())) + 1
        return cls(kept["term"], idf.astype(np.float32))

    def table(self) -> pl.DataFrame:
        return self.term.to_frame("term")

    def matrix(self, counts: pl.DataFrame, n_texts: int) -> sp.csr_array:
        """(n_texts, n_terms) sublinear tf (1 + ln count) times idf, rows of unit length."""
        column = self.term.to_frame("term").with_row_index("column")
        known = counts.join(column, on="term", how="inner").sort("row", "column")
        index = known["column"].to_numpy().astype(np.int64)
        value = (1 + np.log(known["count"].to_numpy())) * self.idf[index]
        shape = (n_texts, len(self.term))
        raw = sp.csr_array((value.astype(np.float32), (known["row"].to_numpy(), index)), shape=shape)
        return _unit_rows(raw)


def _count_words(texts: list[str]) -> pl.DataFrame:
    """Row, term, count of phrases of one or two words."""
    phrases = pl.Series("term", tokenise(texts, max_words=2), dtype=pl.List(pl.String))
    return _count(_rows(texts, phrases))


def _count_chars(texts: list[str]) -> pl.DataFrame:
    """Row, term, count of character n-grams within words, each word between blanks.

    The grams of a distinct word are cut once and then counted through the words, so long texts cost their words only.
    """
    spaced = pl.Series("term", segment(texts), dtype=pl.String)
    words = _count(_rows(texts, spaced.str.extract_all(WORD_PATTERN)))
    distinct = words.select("term").unique().sort("term").with_columns(padded=" " + pl.col("term") + " ")
    length = pl.col("padded").str.len_chars().cast(pl.Int64)
    grams = [
        distinct.filter(length >= size)
        .select("term", "padded", start=pl.int_ranges(length - size + 1))
        .explode("start", empty_as_null=True)
        .select("term", gram=pl.col("padded").str.slice(pl.col("start"), size))
        for size in CHAR_SIZES
    ]
    # a single letter has one gram, with its blanks
    per_word = pl.concat(grams).group_by("term", "gram").agg(times=pl.len())
    return (
        words.join(per_word, on="term", how="inner")
        .group_by("row", "gram")
        .agg(count=(pl.col("count") * pl.col("times")).sum())
        .rename({"gram": "term"})
    )


def _rows(texts: list[str], terms: pl.Series) -> pl.DataFrame:
    rows = pl.int_range(len(texts), dtype=pl.Int64, eager=True)
    return pl.DataFrame({"row": rows, "term": terms}).explode("term", empty_as_null=True).drop_nulls()


def _count(terms: pl.DataFrame) -> pl.DataFrame:
    return terms.group_by("row", "term").agg(count=pl.len().cast(pl.Int64))


def _unit_rows(matrix: sp.csr_array) -> sp.csr_array:
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float64)).ravel()
    scale = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0).astype(np.float32)
    return sp.csr_array(sp.diags_array(scale) @ matrix).astype(np.float32)


def _decompose(matrix: sp.csr_array, n_dims: int, seed: int) -> FloatArray:
    """(d, n_terms) right singular vectors; d <= n_dims, the entry of largest size in each positive."""
    if not matrix.nnz:
        return np.zeros((min(1, matrix.shape[1]), matrix.shape[1]), np.float32)
    if min(matrix.shape) <= EXACT_BELOW:
        strengths, components = _exact_svd(matrix.toarray().astype(np.float64))
    else:
        from sklearn.utils.extmath import randomized_svd

        _, strengths, components = randomized_svd(
            matrix,
            n_components=min(n_dims, min(matrix.shape) - 1),
            n_oversamples=N_OVERSAMPLES,
            n_iter=N_POWER_ITERATIONS,
            random_state=seed,
            flip_sign=False,
        )
    kept = np.asarray(components)[:n_dims][strengths[:n_dims] > NOISE_SHARE * strengths[0]]
    peak = np.abs(kept).argmax(axis=1)
    sign = np.sign(kept[np.arange(len(kept)), peak])
    return np.ascontiguousarray(kept * sign[:, None], dtype=np.float32)


def _exact_svd(dense: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Singular values and right vectors from the smaller Gram matrix: the wide side is never decomposed."""
    n, m = dense.shape
    if n <= m:
        values, left = np.linalg.eigh(dense @ dense.T)
        strengths = np.sqrt(np.maximum(values[::-1], 0))
        scale = np.divide(1.0, strengths, out=np.zeros_like(strengths), where=strengths > 1e-9)
        return strengths, (left[:, ::-1].T @ dense) * scale[:, None]
    values, right = np.linalg.eigh(dense.T @ dense)
    return np.sqrt(np.maximum(values[::-1], 0)), right[:, ::-1].T
