"""A sequence network that has learned on one log, as the start of another; texts are what the two have in common.

Carried over: the directions in which texts are read, how events in order become what is expected next, and what items
are by themselves where the other log has an item of nearly the same text. See docs/transfer.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from penchant.config import NeuralConfig
from penchant.data import FloatArray, Vectors, unit_rows
from penchant.errors import ConfigError, ModelError
from penchant.threads import one_thread

# The form of a network: weights fit only one of the same.
_FORM = ("n_dims", "n_layers", "n_heads", "max_length", "text_map")
# Of a text's unit vector less the mean: a shorter rest is rounding, and says nothing.
NO_LENGTH = 1e-4
# Rows of cosines worked on at once.
BLOCK = 1024


@dataclass(frozen=True)
class TextReading:
    """How a network reads texts: centred on the log's own mean, and turned onto shared directions (m, t) if any.

    Texts of one log are alike in what they are texts of; unless that is taken away first, it is what a map learns from.
    """

    basis: FloatArray | None

    @classmethod
    def of(cls, text: FloatArray, neural: NeuralConfig) -> Self:
        """Of a log that begins anew: the leading directions of its own texts, where `neural.text_map` asks for them."""
        if neural.text_map == "learned":
            return cls(None)
        there = text[np.asarray(text.any(axis=1))].astype(np.float64)
        off = there - there.mean(axis=0)
        with one_thread():
            directions = np.linalg.eigh(off.T @ off)[1][:, ::-1].T[: neural.n_dims]
        largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
        return cls((directions * np.sign(largest)).astype(np.float32))

    def read(self, text: FloatArray) -> FloatArray:
        """(n_items, m) unit rows that go into the network; rows of zeros stay."""
        there = np.asarray(text.any(axis=1))
        read = text - text[there].mean(axis=0)
        there &= np.linalg.norm(read, axis=1) > NO_LENGTH
        read *= there[:, None]
        if self.basis is not None:
            with one_thread():
                read = read @ self.basis.T
        return unit_rows(read)


@dataclass(frozen=True)
class Start:
    """A trained sequence network.

    weights: by name. text_map: (n_dims, m). reading: how texts go in. text, table: (n_items, t) and (n_items, n_dims)
    of its log's items. gap_share: how often each row of the time gaps came up.
    """

    method: str
    neural: NeuralConfig
    actions: Sequence[str]
    weights: Mapping[str, np.ndarray[Any, Any]]
    text_map: FloatArray
    reading: TextReading
    text: FloatArray
    table: FloatArray
    gap_share: FloatArray

    @property
    def has_time(self) -> bool:
        return "gap.weight" in self.weights

    def check(self, method: str, neural: NeuralConfig, text: Vectors | None) -> None:
        """Refuse what can't be started from here.

        Raises:
            ConfigError: another method or form of network. ModelError: no texts, or texts of another encoder's size.
        """
        if method != self.method:
            raise ConfigError(
                f"represent.start_from: that model's network is a {self.method}, represent.method is '{method}'; "
                f"set represent.method={self.method}"
            )
        for name in _FORM:
            got, needed = getattr(neural, name), getattr(self.neural, name)
            if got != needed:
                raise ConfigError(
                    f"represent.start_from: that network has {name}={needed}. Got {got} instead; "
                    f"set represent.neural.{name}={needed}"
                )
        n_dims = text.values.shape[1] if text is not None and text.present.any() else 0
        if n_dims != self.text.shape[1]:
            raise ModelError(
                f"represent.start_from: that network reads texts as {self.text.shape[1]} numbers. Got {n_dims} "
                "(0: no item has a text); give items with texts, read by that model's encoder"
            )

    def alike(self, text: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What items are known to be, from the nearest item of the source by text.

        Nearer than items of the source usually are to each other counts, in full where the texts are the same.

        Args:
            text: (n, t) unit rows or zeros, of the other log.
        Returns:
            (n, n_dims) vectors of the nearest, and (n,) how sure it is the same item, 0 to 1.
        """
        known = np.flatnonzero(self.text.any(axis=1) & self.table.any(axis=1))
        vectors, sure = np.zeros((len(text), self.table.shape[1]), np.float32), np.zeros(len(text), np.float32)
        if not len(known):
            return vectors, sure
        centre = self.text[known].mean(axis=0)
        source = unit_rows(self.text[known] - centre)
        usual = float(np.median(_nearest(source, source, itself=True)[1])) if len(known) > 1 else 0.0
        there = np.flatnonzero(text.any(axis=1))
        row, cosine = _nearest(unit_rows(text[there] - centre), source, itself=False)
        vectors[there] = self.table[known[row]]
        sure[there] = np.clip((cosine - usual) / max(1 - usual, 1e-6), 0, 1)
        return vectors, sure


def _nearest(rows: FloatArray, others: FloatArray, *, itself: bool) -> tuple[np.ndarray[Any, Any], FloatArray]:
    """Row and cosine of the nearest other. itself: both are the same rows, and a row is not its own nearest."""
    row, cosine = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.float32)
    with one_thread():
        for start in range(0, len(rows), BLOCK):
            like = rows[start : start + BLOCK] @ others.T
            if itself:
                at = np.arange(len(like))
                like[at, start + at] = -np.inf
            row[start : start + len(like)] = like.argmax(axis=1)
            cosine[start : start + len(like)] = like.max(axis=1)
    return row, cosine
