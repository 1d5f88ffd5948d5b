"""Static text encoder: a transformer's knowledge as a table of token vectors, for millions of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import polars as pl

from penchant.config import EncodeConfig, RunOptions
from penchant.data import FloatArray, IntArray, Parts, unit_rows
from penchant.encode.distil import N_NEIGHBOURS, Distilled, distil
from penchant.encode.token_bags import TokenReader, Tokens
from penchant.encode.transformer import TransformerEncoder
from penchant.errors import ConfigError, ModelError


class StaticEncoder:
    """A text is the weighted sum of its tokens' vectors, of unit length: one sparse product, no transformer.

    The vectors begin as what the teacher makes of each token alone (as in model2vec, Tulkens & van Dongen 2024), in the
    directions that matter most. Then they learn from up to `static.n_texts` of the user's own texts, which the teacher
    reads once, and are measured on a fifth of those that had no part in it; see `penchant.encode.distil`. Kept, and
    saved with the tokeniser, are the tokens of the texts and, up to `static.n_tokens`, the first of the vocabulary, so
    that new texts can be read without the teacher. Other tokens are passed over; texts of these alone give zeros.

    Attributes:
        name: the teacher, sizes, and how near the encoder comes to it on held-out texts.
        reason: how it was taught.
        facts: the same in numbers.
    """

    def __init__(self, config: EncodeConfig, run: RunOptions, *, seed: int) -> None:
        """Look for the teacher; `fit` runs it.

        Raises:
            ModelError: there is no such model.
            ConfigError: it has no tokenizer.json.
            MissingExtraError: the transformer or the tokeniser needs an extra that is not installed.
        """
        self._seed, self._static, self._n_dims = seed, config.static, config.n_dims
        self._teacher: TransformerEncoder | None = TransformerEncoder(config, run)
        folder = self._teacher.folder
        source = folder.path / "tokenizer.json"
        if not source.is_file():
            raise ConfigError(
                f"encode.method 'static': {folder.path} has no tokenizer.json, by which texts are read without the "
                "transformer; name another teacher by encode.model"
            )
        self._reader = TokenReader(
            source.read_text(encoding="utf-8"), max_tokens=folder.max_tokens, lower_case=folder.lower_case
        )
        self._label = folder.label
        self._column_of: IntArray = np.full(self._reader.n_ids, -1, np.int32)
        self._made = Distilled(np.zeros((0, min(config.n_dims, folder.n_dims)), np.float32), np.inf)
        self.fitted = False
        self.name = f"static:{folder.label} (not fitted)"

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._made.facts

    @property
    def reason(self) -> str:
        return _reason(self.facts) if self.fitted else ""

    def fit(self, texts: list[str]) -> None:
        """Let the teacher read tokens and some of the texts, and learn from it.

        Raises:
            ModelError: the encoder came from a saved model.
        """
        if self._teacher is None:
            raise ModelError(
                "static encoder: read back from a saved model, it can't be fitted again; make a new encoder"
            )
        distinct = sorted({text for text in texts if text.strip()})
        counts = self._reader.count(distinct)
        kept = self._keep(counts)
        before, after = self._reader.frame(distinct)
        self._column_of[kept] = np.arange(len(kept), dtype=np.int32)
        drawn = np.random.default_rng(self._seed).permutation(len(distinct))[: self._static.n_texts]
        sample, read = self._read([distinct[row] for row in drawn])
        self._teacher.n_expected = len(read.row)
        alone = self._teacher.encode_ids([[*before, token, *after] for token in kept.tolist()])
        made = distil(alone, counts[kept], read, self._teacher.encode(sample), self._n_dims)
        facts = {
            "teacher": self._label,
            "teacher_checksum": self._teacher.folder.checksum,
            "n_tokens": len(kept),
            "n_tokens_in_texts": int((counts > 0).sum()),
            "n_dims": made.vectors.shape[1],
            "n_texts_read_by_teacher": len(sample),
            **made.facts,
        }
        self._made = Distilled(made.vectors, made.half_place, facts)
        self.name, self.fitted = _name(facts), True

    def encode(self, texts: list[str]) -> FloatArray:
        """Return (n, d) float32 rows of unit length; zeros where no token of a text is known."""
        if not self.fitted:
            raise ModelError("static encoder: not fitted; call fit(texts) first")
        vectors = self._made.vectors
        out = np.zeros((len(texts), vectors.shape[1]), np.float32)
        done = 0
        for tokens in self._reader.read(texts, self._column_of):
            rows = tokens.bags(len(vectors), self._made.half_place) @ vectors
            out[done : done + len(rows)] = unit_rows(rows)
            done += len(rows)
        return out

    def to_parts(self) -> Parts:
        if not self.fitted:
            raise ModelError("static encoder: not fitted; call fit(texts) first")
        config = {
            "kind": "static",
            "max_tokens": self._reader.max_tokens,
            "lower_case": self._reader.lower_case,
            # JSON has no infinity
            "half_place": self._made.half_place if np.isfinite(self._made.half_place) else None,
            "facts": dict(self.facts),
        }
        kept = np.flatnonzero(self._column_of >= 0).astype(np.int32)
        source = pl.DataFrame({"json": [self._reader.source]})
        return Parts(config, {"vectors": self._made.vectors, "token_id": kept}, {"tokeniser": source})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Read the saved form back; the teacher is not needed.

        Raises:
            ModelError: a part is missing, or parts don't fit together.
            MissingExtraError: the library tokenizers is not installed.
        """
        out = cls.__new__(cls)
        try:
            config, vectors, kept = parts.config, parts.arrays["vectors"], parts.arrays["token_id"]
            source = parts.tables["tokeniser"]["json"].item()
            half = np.inf if config["half_place"] is None else float(config["half_place"])
            max_tokens, lower_case = int(config["max_tokens"]), bool(config["lower_case"])
            out._made = Distilled(vectors, half, config["facts"])
        except (KeyError, pl.exceptions.ColumnNotFoundError) as error:
            raise ModelError(f"static encoder: the saved part {error} is missing; fit the model again") from None
        out._reader = TokenReader(source, max_tokens=max_tokens, lower_case=lower_case)
        if vectors.ndim != 2 or len(kept) != len(vectors) or not (kept < out._reader.n_ids).all():
            raise ModelError(
                f"static encoder: {len(kept):,} tokens, vectors of shape {vectors.shape} and a vocabulary of "
                f"{out._reader.n_ids:,} don't fit together; fit the model again"
            )
        out._column_of = np.full(out._reader.n_ids, -1, np.int32)
        out._column_of[kept] = np.arange(len(kept), dtype=np.int32)
        out._teacher, out._label, out.fitted = None, str(out.facts["teacher"]), True
        out.name = _name(out.facts)
        return out

    def _keep(self, counts: np.ndarray[Any, Any]) -> IntArray:
        """(V,) ids in order: those that occur, and the first others: vocabularies begin with what is frequent."""
        others = np.setdiff1d(np.flatnonzero(counts == 0), self._reader.silent)
        occur = np.flatnonzero(counts)
        return np.sort(np.r_[occur, others[: max(0, self._static.n_tokens - len(occur))]]).astype(np.int32)

    def _read(self, texts: list[str]) -> tuple[list[str], Tokens]:
        """The texts that have a known token, and their tokens."""
        said: list[str] = []
        done = 0
        for tokens in self._reader.read(texts, self._column_of):
            said += [texts[done + row] for row in np.unique(tokens.row)]
            done += tokens.n_texts
        parts = list(self._reader.read(said, self._column_of))
        first = np.cumsum([0, *(part.n_texts for part in parts)])
        row = [part.row + at for part, at in zip(parts, first[:-1], strict=True)]
        columns, places = [part.column for part in parts], [part.place for part in parts]
        empty = [np.zeros(0, np.int32)]
        return said, Tokens(len(said), *(np.concatenate(a or empty) for a in (row, columns, places)))


def _name(facts: Mapping[str, Any]) -> str:
    told = "not measured: too few texts"
    if "spearman" in facts:
        told = (
            f"to its teacher on {facts['n_texts_judging']:,} held-out texts: Spearman of cosines "
            f"{facts['spearman']:.2f}, {facts['neighbours']:.0%} of {N_NEIGHBOURS} nearest neighbours"
        )
    return f"static:{facts['teacher']} ({facts['n_tokens']:,} tokens, {facts['n_dims']} dims; {told})"


def _reason(facts: Mapping[str, Any]) -> str:
    if facts["learned"]:
        plain = f"; from tokens alone Spearman {facts['plain_spearman']:.2f}" if "plain_spearman" in facts else ""
        return f"taught by {facts['teacher']} on {facts['n_texts_learned']:,} of your texts{plain}"
    why = "learning from texts was no better" if "choosing_spearman" in facts else "too few texts to learn from"
    return f"taught by {facts['teacher']} on tokens alone: {why}"
