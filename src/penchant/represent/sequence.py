"""Behaviour by order: a network reads a user's liked events and foretells the next item.

Training needs torch (`penchant.represent.sequence_training`); reading users with what was learned does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, FloatArray, Items, Parts, Vectors
from penchant.errors import ConfigError, ModelError
from penchant.represent.history import count_users, latest_events, latest_liked
from penchant.represent.sequence_reading import BLOCK, encode_latest, reader
from penchant.represent.sequence_windows import read_histories
from penchant.represent.transfer import Start, TextReading
from penchant.threads import one_thread


class SequenceMethod:
    """Next-item prediction over a user's time-ordered liked events, repeats and all.

    An event goes in as item vector + action + time since the event before, where the log has them; item vectors are a
    row of their own plus a linear map of the text, and the same vectors are what the softmax chooses among: cosines
    with a learned temperature, all unit length. So an item with a text and no event has a place too. Trained with the
    cross-entropy over all items, without which such networks lag (Klenitskiy & Vasilev 2023), or over `n_negatives`
    drawn ones with the log-Q correction.

    Time: rounds x events x (items x n_dims + network). Memory: items x n_dims, a batch, and the index of the events.
    """

    method: ClassVar[str]

    def __init__(self, config: RepresentConfig, run: RunOptions, *, seed: int) -> None:
        self._config, self._run, self._seed = config, run, seed
        self._actions: tuple[str, ...] = ()
        self._has_time = False
        self._table: FloatArray = np.zeros((0, config.neural.n_dims), np.float32)  # what goes into the network
        self._weights: Mapping[str, np.ndarray[Any, Any]] = {}  # of the network; empty: there was nothing to learn
        self._reading = TextReading(None)
        self._text_map: FloatArray | None = None  # (n_dims, n_text_dims or the directions of `_reading`)
        self._gap_share: FloatArray = np.zeros(0, np.float32)
        self._start: Start | None = None
        self.name = self.method
        self.item_vectors: FloatArray = self._table
        self.facts: Mapping[str, Any] = {}

    def start_from(self, source: Any, text: FloatArray) -> None:
        """Let the next `fit` begin where another representation stands; see `penchant.represent.transfer`.

        Args:
            text: (n_items, d) texts of the items that `source` was fitted on.
        Raises:
            ConfigError: `source` is no sequence network. ModelError: it has learned nothing, or without texts.
        """
        if not isinstance(source, SequenceMethod):
            raise ConfigError(
                f"represent.start_from: that model's representation is '{source.name}', not a sequence network; "
                "fit it with represent.method=transformer (or gru, lstm, convolution)"
            )
        if not source._weights or source._text_map is None:
            raise ModelError(
                f"represent.start_from: the network of that model ({source.name}) was not trained on items with texts; "
                "fit it again on a log whose items have texts"
            )
        self._start = Start(
            source.method,
            source._config.neural,
            source._actions,
            source._weights,
            source._text_map,
            source._reading,
            text,
            source._table,
            source._gap_share,
        )

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None:
        """Items below `min_item_events` get a vector only if they have a text.

        Raises:
            ConfigError: no such device, training diverged, or a network to start from that does not fit.
        """
        from penchant.represent.sequence_training import STARTS, Lesson, train_sequence

        neural = self._config.neural
        liked = latest_events(events, self._config.max_history)
        values = text.values if text is not None and text.present.any() else None
        self._actions, self._has_time = events.actions, events.clock == "time"
        if neural.item_dropout > 0 and values is None:
            raise ConfigError("represent.neural.item_dropout: no item has a text to be known by; set it to 0")
        if self._start is not None:
            self._start.check(self.method, neural, text)
        self._weights, self._text_map = {}, None
        self._table = np.zeros((len(items), neural.n_dims), np.float32)
        self.item_vectors, self.facts = self._table, {"n_rounds": 0, "chosen_by": "no user with two liked events"}
        self.name = f"{self.method} ({neural.n_dims}, nothing learned)"
        alike = None
        if values is not None:
            alike = self._start.alike(values) if self._start is not None else None
            self._reading = self._start.reading if self._start is not None else TextReading.of(values, neural)
            values = self._reading.read(values)
        lesson = Lesson(
            self.method,
            liked,
            len(items),
            values,
            self._actions,
            self._has_time,
            self._start,
            alike,
            self._config.fine_tune,
        )
        learned = train_sequence(lesson, neural, self._run, seed=self._seed)
        if learned is None:
            return
        enough = count_users(latest_liked(liked, self._config.max_history), len(items)) >= self._config.min_item_events
        given = enough if values is None else enough | values.any(axis=1)
        self._weights, self._table, self._text_map = learned.weights, learned.table, learned.text_map
        self._gap_share = learned.gap_share
        self.item_vectors = self._table * given[:, None]
        self.facts = {**learned.facts, "temperature": round(1 / self._scale, 4)}
        begun = "" if self._start is None else f", begun elsewhere, fine-tuned: {self._config.fine_tune}"
        if "begun" in self.facts:
            scores, taken = self.facts["score_of_starts"], self.facts["begun"]
            begun = f", begun {taken}"
            if taken != STARTS[0]:
                begun += (
                    f": better than {STARTS[0]} ({scores[STARTS[0]]:.3f} -> {scores[taken]:.3f} on held-out events)"
                )
        self.name = (
            f"{self.method} ({neural.n_dims} x {neural.n_layers} layers"
            f"{', texts' if values is not None else ''}{begun})"
        )

    @property
    def _scale(self) -> float:
        """1 / temperature of the softmax over items."""
        return float(np.exp(self._weights["log_scale"]))

    def user_vectors(self, events: Events) -> FloatArray:
        """(n_users, d) unit rows: what the network expects after each user's latest liked event."""
        out = np.zeros((events.n_users, self._table.shape[1]), np.float32)
        if not self._weights or not events.n_users:
            return out
        histories = read_histories(events, np.asarray(self._table.any(axis=1)), self._actions)
        users = np.flatnonzero(histories.lengths).astype(np.int32)
        forward = reader(self.method, self._weights, self._config.neural.n_heads)
        with one_thread():  # the order of sums, and so the last bits, would follow the number of threads
            out[users] = encode_latest(forward, self._table, histories, users, self._config.neural.max_length)
        return out

    def next_interests(self, events: Events, membership: sp.csr_array) -> FloatArray:
        """The chance that each user's next item is of each interest: the softmax over items, summed by membership.

        Args:
            membership: (n_items, n_leaves), rows sum to 1 or are empty; chances of items without one are left out.

        Returns:
            (n_users, n_leaves); rows sum to 1, zeros for users without a liked event.
        """
        out = np.zeros((events.n_users, membership.shape[1]), np.float32)
        if not self._weights:
            return out
        users = self.user_vectors(events)
        there, scale = users.any(axis=1), self._scale
        told = self.item_vectors.any(axis=1)
        items, leaves = self.item_vectors[told], sp.csr_array(membership[told])
        rows = np.flatnonzero(there)
        with one_thread():
            for block in np.split(rows, range(BLOCK, len(rows), BLOCK)):
                logits = np.float32(scale) * (users[block] @ items.T)
                chance = np.exp(logits - logits.max(axis=1, keepdims=True, initial=0))
                out[block] = chance @ leaves
        total = out.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(out, total, out=out, where=total > 0), np.float32)

    def to_parts(self) -> Parts:
        told = {"actions": list(self._actions), "has_time": self._has_time, "weights": sorted(self._weights)}
        config = {"method": self.method, "name": self.name, "config": self._config.model_dump(), "seed": self._seed}
        arrays: dict[str, Any] = {
            "table": self._table,
            "item_vectors": self.item_vectors,
            "gap_share": self._gap_share,
        }
        arrays |= {f"weights.{name}": array for name, array in self._weights.items()}
        for name, array in (("text_map", self._text_map), ("text_basis", self._reading.basis)):
            if array is not None:
                arrays[name] = array
        return Parts(config={**config, **told, "facts": dict(self.facts)}, arrays=arrays)

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        out = cls(RepresentConfig.model_validate(parts.config["config"]), run, seed=parts.config["seed"])
        out.name, out.facts = parts.config["name"], parts.config["facts"]
        out._actions, out._has_time = tuple(parts.config["actions"]), parts.config["has_time"]
        out._table, out.item_vectors = parts.arrays["table"], parts.arrays["item_vectors"]
        out._text_map, out._gap_share = parts.arrays.get("text_map"), parts.arrays["gap_share"]
        out._reading = TextReading(parts.arrays.get("text_basis"))
        out._weights = {name: parts.arrays[f"weights.{name}"] for name in parts.config["weights"]}
        return out


class Gru(SequenceMethod):
    """Gated recurrent units (Hidasi et al. 2016)."""

    method = "gru"


class Lstm(SequenceMethod):
    """Long short-term memory (Hochreiter & Schmidhuber 1997)."""

    method = "lstm"


class Convolution(SequenceMethod):
    """Causal 1-D convolutions (Yuan et al. 2019)."""

    method = "convolution"


class Transformer(SequenceMethod):
    """Causal self-attention (Kang & McAuley 2018)."""

    method = "transformer"
