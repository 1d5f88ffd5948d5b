"""Texts as bags of a transformer's tokens, by its saved tokeniser alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import IntArray
from penchant.errors import MissingExtraError, ModelError

# so many texts are tokenised at once: bounds the memory, some 100 MB for texts of 128 tokens
TEXTS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Tokens:
    """The tokens of n_texts texts: row (of the text), column (of the vocabulary) and place (in the text), each (m,)."""

    n_texts: int
    row: npt.NDArray[np.integer]
    column: npt.NDArray[np.integer]
    place: npt.NDArray[np.integer]

    def bags(self, n_columns: int, half_place: float) -> sp.csr_array:
        """(n_texts, n_columns) float32: each token by its count, those at `half_place` half as much as the first.

        >>> tokens = Tokens(1, np.array([0, 0]), np.array([1, 1], np.int32), np.array([0, 4]))
        >>> tokens.bags(2, 4.0).toarray().tolist(), tokens.bags(2, np.inf).toarray().tolist()
        ([[0.0, 1.5]], [[0.0, 2.0]])
        """
        weight = (1 / (1 + self.place / half_place)).astype(np.float32)
        bags = sp.csr_array((weight, (self.row, self.column)), shape=(self.n_texts, n_columns))
        bags.sum_duplicates()
        return bags

    def of_texts(self, start: int, stop: int) -> Tokens:
        """Those of some texts in a row; the tokens must be in the order of the texts."""
        inner = slice(*np.searchsorted(self.row, [start, stop]))
        return Tokens(stop - start, self.row[inner] - start, self.column[inner], self.place[inner])


class TokenReader:
    """A tokeniser without the special tokens of its model.

    Args:
        source: content of a tokenizer.json.
        max_tokens: of the model, its special tokens among them; later tokens of a text are left out.

    Raises:
        MissingExtraError: the library tokenizers is not installed.
        ModelError: it can't read `source`.
    """

    def __init__(self, source: str, *, max_tokens: int, lower_case: bool) -> None:
        if find_spec("tokenizers") is None:
            raise MissingExtraError("the static text encoder", "static")
        from tokenizers import Tokenizer

        self.source, self.max_tokens, self.lower_case = source, max_tokens, lower_case
        try:
            self._tokeniser = Tokenizer.from_str(source)
            model = json.loads(source)["model"]
        except Exception as error:  # its errors are bare Exceptions
            raise ModelError(f"static encoder: its tokeniser can't be read ({error}); fit the model again") from None
        self._tokeniser.no_padding()
        self._tokeniser.enable_truncation(max(1, max_tokens - self._tokeniser.num_special_tokens_to_add(is_pair=False)))
        self.n_ids = 1 + max(self._tokeniser.get_vocab(with_added_tokens=True).values(), default=-1)
        unknown = model.get("unk_token")
        unknown_id = self._tokeniser.token_to_id(unknown) if unknown is not None else model.get("unk_id")
        special = {row for row, token in self._tokeniser.get_added_tokens_decoder().items() if token.special}
        # they say nothing of a text; of two texts in a script that the model can't read, not that they are alike
        self.silent = np.array(sorted(special | ({unknown_id} if unknown_id is not None else set())), np.int64)

    def ids(self, texts: list[str]) -> Iterator[list[list[int]]]:
        """Token ids of the texts, by parts of `TEXTS_AT_ONCE`."""
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            read = self._tokeniser.encode_batch_fast(
                [text.lower() for text in part] if self.lower_case else part, add_special_tokens=False
            )
            yield [encoding.ids for encoding in read]

    def count(self, texts: list[str]) -> npt.NDArray[np.int64]:
        """(n_ids,) how often each token occurs; 0 for those that say nothing."""
        total = np.zeros(self.n_ids, np.int64)
        for ids in self.ids(texts):
            total += np.bincount(_flat(ids), minlength=self.n_ids)
        total[self.silent] = 0
        return total

    def read(self, texts: list[str], column_of: IntArray) -> Iterator[Tokens]:
        """The tokens of the texts, by parts of them; `column_of` (n_ids,) is -1 for tokens left out."""
        for ids in self.ids(texts):
            sizes = np.array([len(of_text) for of_text in ids], np.int64)
            first = np.cumsum(sizes) - sizes
            row, column = np.repeat(np.arange(len(ids)), sizes), column_of[_flat(ids)]
            place = np.arange(len(column)) - np.repeat(first, sizes)
            kept = column >= 0
            yield Tokens(len(ids), row[kept], column[kept], place[kept])

    def frame(self, texts: list[str]) -> tuple[list[int], list[int]]:
        """Special tokens that the model has before and after a text; any one with a token tells."""
        for text in [*texts[:100], "a"]:
            read = self._tokeniser.encode(text)  # cut to fewer tokens, the special ones stay
            inner = np.flatnonzero(np.array(read.special_tokens_mask) == 0)
            if len(inner):
                return read.ids[: inner[0]], read.ids[inner[-1] + 1 :]
        return [], []


def _flat(ids: list[list[int]]) -> npt.NDArray[Any]:
    return np.concatenate([np.array(of_text, np.int64) for of_text in ids]) if ids else np.zeros(0, np.int64)
