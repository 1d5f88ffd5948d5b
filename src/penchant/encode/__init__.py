"""Texts to vectors, each distinct text once. Which encoder ran is said in its name, never silently swapped.

To add an encoder: a class with the methods of `penchant.protocols.Encoder` in a file here, a row in `_MAKERS` and one
in `_LOADERS`, and its name in `EncodeConfig.method`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import polars as pl

from penchant.config import EncodeConfig, RunOptions
from penchant.data import FloatArray, Items, Parts, Vectors
from penchant.encode.auto import AutoEncoder
from penchant.encode.static import StaticEncoder
from penchant.encode.tfidf import TfidfEncoder
from penchant.encode.transformer import TransformerEncoder
from penchant.encode.tuned import TunedEncoder, check_tuning, tune_encoder
from penchant.encode.tuned_transformer import CarriedTransformer
from penchant.encode.word_vectors import WordVectorEncoder
from penchant.errors import ModelError, did_you_mean
from penchant.protocols import Encoder

__all__ = ["check_tuning", "encode_items", "encoder_from_parts", "make_encoder", "tune_encoder"]


_MAKERS: dict[str, Callable[[EncodeConfig, RunOptions, int], Encoder]] = {
    "auto": lambda config, run, seed: AutoEncoder(config, run, seed=seed),
    "tfidf": lambda config, run, seed: TfidfEncoder(n_dims=config.n_dims, seed=seed),
    "transformer": lambda config, run, seed: TransformerEncoder(config, run),
    "static": lambda config, run, seed: StaticEncoder(config, run, seed=seed),
    "words": lambda config, run, seed: WordVectorEncoder(config),
}
_LOADERS: dict[str, Callable[[Parts, RunOptions], Encoder]] = {
    "tfidf": lambda parts, run: TfidfEncoder.from_parts(parts),
    "transformer": TransformerEncoder.from_parts,
    "static": lambda parts, run: StaticEncoder.from_parts(parts),
    "words": lambda parts, run: WordVectorEncoder.from_parts(parts),
    "tuned": lambda parts, run: TunedEncoder.from_parts(parts, lambda base: encoder_from_parts(base, run)),
    "carried": CarriedTransformer.from_parts,
}


def make_encoder(config: EncodeConfig, run: RunOptions, *, seed: int) -> Encoder | None:
    """Build the encoder a config asks for, not yet fitted; None for method "none".

    Raises:
        ConfigError: method "words" without a path in `config.model`, "static" without a tokenizer.json of its teacher.
        MissingExtraError: method "transformer" or "static" without the extra.
        ModelError: the model that `config.model` names can't be found or read.

    >>> make_encoder(EncodeConfig(method="tfidf"), RunOptions(), seed=0).name
    'tfidf (not fitted)'
    """
    return None if config.method == "none" else _MAKERS[config.method](config, run, seed)


def encode_items(items: Items, encoder: Encoder | None, config: EncodeConfig, run: RunOptions) -> Vectors | None:
    """Encode the texts of a catalogue (`config.fields` joined), each distinct text once.

    An encoder that is not fitted yet learns from these texts first; one that is, is left
    as it is, so that items which come later lie in the same space.

    Returns:
        (n_items, d) rows of unit length, zeros for items without a text, named by what ran; None when no item has
        a text or `encoder` is None.
    """
    texts = pl.Series("text", items.texts(config.fields), dtype=pl.String)
    distinct = texts.filter(texts != "").unique().sort()
    if encoder is None or distinct.is_empty():
        return None
    if not encoder.fitted:
        encoder.fit(distinct.to_list())
    vectors = encoder.encode(distinct.to_list())
    # items without a text take the row of zeros behind the last
    padded = np.vstack([vectors, np.zeros((1, vectors.shape[1]), np.float32)])
    number = distinct.to_frame().with_row_index("row")
    row = texts.to_frame().join(number, on="text", how="left", maintain_order="left")["row"].fill_null(len(distinct))
    return Vectors(padded[row.to_numpy()], encoder.name)


class SavedEncoder:
    """An encoder as it was saved, opened when a text comes: reading a model needs no transformer.

    `encode` raises ModelError where the transformer's files are gone or changed, MissingExtraError without the extra.
    """

    fitted = True

    def __init__(self, parts: Parts, run: RunOptions) -> None:
        self._parts, self._run = parts, run

    @property
    def name(self) -> str:
        return self._opened.name

    @cached_property
    def _opened(self) -> Encoder:
        return _LOADERS[self._parts.config["kind"]](self._parts, self._run)

    def fit(self, texts: list[str]) -> None:
        raise ModelError("saved encoder: is fitted already; make a new one with make_encoder to learn from other texts")

    def encode(self, texts: list[str]) -> FloatArray:
        return self._opened.encode(texts)

    def to_parts(self) -> Parts:
        return self._parts


def encoder_from_parts(parts: Parts, run: RunOptions) -> Encoder:
    """Rebuild a saved encoder; a transformer is opened by its name or path when it is first used.

    Raises:
        ModelError: unknown kind.
    """
    kind = str(parts.config.get("kind"))
    if kind not in _LOADERS:
        raise ModelError(f"saved encoder: kind {kind!r} is unknown; {did_you_mean(kind, list(_LOADERS))}")
    return SavedEncoder(parts, run)
