"""Behaviour by order: a network reads a user's liked events and foretells the next item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch

from penchant.artefacts import fingerprint
from penchant.config import RepresentConfig, RunOptions
from penchant.data import BoolArray, Events, FloatArray, IntArray, Items, Parts, Vectors
from penchant.errors import ConfigError, ModelError
from penchant.represent.held_out import HeldOut, hold_out, ndcg
from penchant.represent.history import count_users, latest_events, latest_liked
from penchant.represent.sequence_networks import ItemTable, Sequence, SequenceTraining
from penchant.represent.sequence_windows import (
    Histories,
    batches_by_length,
    cut_windows,
    latest_windows,
    pad,
    read_histories,
)
from penchant.represent.softmax_loss import sampled_softmax_loss, softmax_loss
from penchant.represent.training import (
    Batch,
    Task,
    Trained,
    array_fingerprint,
    inference,
    pick_device,
    restore,
    train,
    untrained,
    weights_to_arrays,
)
from penchant.represent.transfer import Start
from penchant.threads import one_thread

# Users (and rows of scores) worked on at once.
BLOCK = 1024
# Negatives are drawn by frequency to this power (Mikolov et al. 2013): seldom items come up too; log-Q evens it out.
DRAW_POWER = 0.75
# Unit vectors turn by about the learning rate a step: 0.003 gave in 3 rounds over movie ratings what 0.001 gave in 7.
GAIN = 3.0


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
        self._network: Sequence | None = None  # None: there was nothing to learn
        self._text_map: FloatArray | None = None  # (n_dims, n_text_dims)
        self._start: Start | None = None
        self.name = self.method
        self.item_vectors: FloatArray = self._table
        self.facts: Mapping[str, Any] = {}

    def start_from(self, source: Any) -> None:
        """Let the next `fit` begin where another representation stands; see `penchant.represent.transfer`.

        Raises:
            ConfigError: `source` is no sequence network. ModelError: it has learned nothing, or without texts.
        """
        if not isinstance(source, SequenceMethod):
            raise ConfigError(
                f"represent.start_from: that model's representation is '{source.name}', not a sequence network; "
                "fit it with represent.method=transformer (or gru, lstm, convolution)"
            )
        if source._network is None or source._text_map is None:
            raise ModelError(
                f"represent.start_from: the network of that model ({source.name}) was not trained on items with texts; "
                "fit it again on a log whose items have texts"
            )
        self._start = Start(
            source.method,
            source.name,
            source._config.neural,
            source._actions,
            weights_to_arrays(source._network),
            source._text_map,
        )

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None:
        """Items below `min_item_events` get a vector only if they have a text.

        Raises:
            ConfigError: no such device, training diverged, or a network to start from that does not fit.
        """
        neural = self._config.neural
        liked = latest_events(events, self._config.max_history)
        values = text.values if text is not None and text.present.any() else None
        self._actions, self._has_time = events.actions, events.clock == "time"
        if neural.item_dropout > 0 and values is None:
            raise ConfigError("represent.neural.item_dropout: no item has a text to be known by; set it to 0")
        if self._start is not None:
            self._start.check(self.method, neural, text)
        self._network, self._text_map = None, None
        self._table = np.zeros((len(items), neural.n_dims), np.float32)
        self.item_vectors, self.facts = self._table, {"n_rounds": 0, "chosen_by": "no user with two liked events"}
        self.name = f"{self.method} ({neural.n_dims}, nothing learned)"
        trained = self._train(liked, values, len(items))
        if trained is None:
            return
        network = trained.network
        with inference(network, pick_device(self._run.device)):
            rows = torch.arange(len(items), device=network.table.known.device)
            self._table = network.table(rows).cpu().numpy()
        enough = count_users(latest_liked(liked, self._config.max_history), len(items)) >= self._config.min_item_events
        given = enough if values is None else enough | values.any(axis=1)
        self._network = network.sequence
        if network.table.from_text is not None:
            self._text_map = network.table.from_text.weight.detach().cpu().numpy().copy()
        self.item_vectors = self._table * given[:, None]
        self.facts = {**trained.facts, "temperature": round(1 / float(self._network.scale.detach()), 4)}
        begun = "" if self._start is None else f", begun elsewhere, fine-tuned: {self._config.fine_tune}"
        self.name = (
            f"{self.method} ({neural.n_dims} x {neural.n_layers} layers"
            f"{', texts' if values is not None else ''}{begun})"
        )

    def _train(self, liked: Events, text: FloatArray | None, n_items: int) -> Trained | None:
        """None: there is nothing to learn from, and nothing learned before."""
        neural, start = self._config.neural, self._start
        whole = self._task(liked, text, n_items, None)
        has_pairs = liked.n_by_user.max(initial=0) >= 2
        if start is not None and (self._config.fine_tune == "nothing" or not has_pairs):
            why = "no user with two liked events" if not has_pairs else "represent.fine_tune = nothing"
            return untrained(whole, self._run, seed=self._seed, why=why)
        if not has_pairs:
            return None
        held = hold_out(liked, neural.validation_share, n_items, seed=self._seed)
        begun = array_fingerprint(*start.weights.values(), start.text_map) if start is not None else ""
        return train(
            whole,
            self._task(held.train, text, n_items, held) if held is not None else None,
            neural,
            self._run,
            seed=self._seed,
            name=self.method,
            data=fingerprint(liked.table) + array_fingerprint(text) + begun + self._config.fine_tune,
        )

    def user_vectors(self, events: Events) -> FloatArray:
        """(n_users, d) unit rows: what the network expects after each user's latest liked event."""
        out = np.zeros((events.n_users, self._table.shape[1]), np.float32)
        if self._network is None or not events.n_users:
            return out
        device = pick_device(self._run.device)
        histories = read_histories(events, np.asarray(self._table.any(axis=1)), self._actions)
        users = np.flatnonzero(histories.lengths).astype(np.int32)
        with inference(self._network, device):
            table = torch.from_numpy(self._table).to(device)
            out[users] = _encode(self._network, table, histories, users, self._config.neural.max_length)
        return out

    def next_interests(self, events: Events, membership: sp.csr_array) -> FloatArray:
        """The chance that each user's next item is of each interest: the softmax over items, summed by membership.

        Args:
            membership: (n_items, n_leaves), rows sum to 1 or are empty; chances of items without one are left out.

        Returns:
            (n_users, n_leaves); rows sum to 1, zeros for users without a liked event.
        """
        out = np.zeros((events.n_users, membership.shape[1]), np.float32)
        if self._network is None:
            return out
        users = self.user_vectors(events)
        there, scale = users.any(axis=1), float(self._network.scale.detach())
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
        told = {"actions": list(self._actions), "has_time": self._has_time, "learned": self._network is not None}
        config = {"method": self.method, "name": self.name, "config": self._config.model_dump(), "seed": self._seed}
        arrays: dict[str, Any] = {"table": self._table, "item_vectors": self.item_vectors}
        if self._network is not None:
            arrays |= weights_to_arrays(self._network)
        if self._text_map is not None:
            arrays["text_map"] = self._text_map
        return Parts(config={**config, **told, "facts": dict(self.facts)}, arrays=arrays)

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        out = cls(RepresentConfig.model_validate(parts.config["config"]), run, seed=parts.config["seed"])
        out.name, out.facts = parts.config["name"], parts.config["facts"]
        out._actions, out._has_time = tuple(parts.config["actions"]), parts.config["has_time"]
        out._table, out.item_vectors = parts.arrays["table"], parts.arrays["item_vectors"]
        out._text_map = parts.arrays.get("text_map")
        if parts.config["learned"]:
            out._network = restore(out._new_network, parts.arrays)
        return out

    def _new_network(self) -> Sequence:
        return Sequence(self.method, len(self._actions), self._has_time, self._config.neural)

    def _task(self, liked: Events, text: FloatArray | None, n_items: int, held: HeldOut | None) -> Task:
        neural = self._config.neural
        counts = np.bincount(liked.item_row, minlength=n_items)
        known = counts > 0
        known_rows = np.flatnonzero(known)
        column = np.cumsum(known) - 1  # of an item among the known
        histories = read_histories(liked, known, self._actions)
        draw = _Draw(counts[known_rows].astype(np.int32), neural.n_negatives)

        def build() -> SequenceTraining:
            texts = torch.from_numpy(text) if text is not None else None
            table = ItemTable(torch.from_numpy(known), texts, neural.n_dims, neural.item_dropout)
            network = SequenceTraining(table, self._new_network())
            if self._start is not None:
                self._start.carry(network, self._actions, self._config.fine_tune)
            return network

        def batches(rng: np.random.Generator) -> Iterator[Batch]:
            begin, length = cut_windows(histories, neural.max_length, rng)
            for starts, lengths in batches_by_length(begin, length, neural.n_windows, rng):
                padded = pad(histories, starts, lengths)
                target = pad(histories, starts + 1, lengths)["item"][padded["there"]]
                batch = {k: torch.from_numpy(v) for k, v in padded.items()}
                batch |= {"target": torch.from_numpy(column[target]), "items": torch.from_numpy(known_rows)}
                yield {**batch, **draw(rng)}

        def loss(network: SequenceTraining, batch: Batch, step: int) -> torch.Tensor:
            hidden = network.sequence(network.table(batch["item"]), batch)[batch["there"]] * network.sequence.scale
            target, items = batch["target"], batch["items"]
            if not draw:
                vectors = network.table(items)
                return softmax_loss(hidden, vectors, torch.arange(len(target), device=target.device), target) / len(
                    target
                )
            drawn = batch["drawn"]
            positive, negatives = network.table(items[target]), network.table(items[drawn])
            hit = target[:, None] == drawn
            return sampled_softmax_loss(hidden, positive, negatives, batch["bias"], hit) / len(target)

        score = self._score(held, known, text) if held is not None else None
        return Task(build, batches, loss, score, GAIN, is_trained=self._start is not None)

    def _score(self, held: HeldOut, known: BoolArray, text: FloatArray | None) -> Any:
        speaks = known if text is None else known | text.any(axis=1)
        histories = read_histories(held.history, speaks, self._actions)
        length = self._config.neural.max_length

        def score(network: SequenceTraining) -> float:
            table = network.table(torch.arange(len(known), device=network.table.known.device))
            items = np.ascontiguousarray(table.cpu().numpy().T)

            def of(users: IntArray) -> FloatArray:
                out = np.zeros((len(users), len(items)), np.float32)
                some = histories.lengths[users] > 0
                out[some] = _encode(network.sequence, table, histories, users[some], length)
                return np.asarray((torch.from_numpy(out) @ torch.from_numpy(items)).numpy())

            return ndcg(held, of)

        return score


class _Draw:
    """Items drawn for a batch, and what the log-Q correction adds to their logits; false when none are to be drawn."""

    def __init__(self, counts: IntArray, n: int) -> None:
        chance = counts.astype(np.float64) ** DRAW_POWER
        self._chance, self._n = chance / chance.sum(), n

    def __bool__(self) -> bool:
        return self._n > 0

    def __call__(self, rng: np.random.Generator) -> Batch:
        if not self._n:
            return {}
        drawn = rng.choice(len(self._chance), self._n, p=self._chance)
        bias = -np.log(self._n * self._chance[drawn])
        return {"drawn": torch.from_numpy(drawn), "bias": torch.from_numpy(bias.astype(np.float32))}


def _encode(
    network: Sequence, table: torch.Tensor, histories: Histories, users: IntArray, max_length: int
) -> FloatArray:
    """(len(users), d) vectors after the latest event, users of near lengths together; under `inference`."""
    begin, length = latest_windows(histories, users, max_length)
    order = np.argsort(length, kind="stable")
    out = np.zeros((len(users), table.shape[1]), np.float32)
    for block in np.split(order, range(BLOCK, len(order), BLOCK)):
        if not len(block):
            continue
        padded = {
            k: torch.from_numpy(v).to(table.device) for k, v in pad(histories, begin[block], length[block]).items()
        }
        hidden = network(table[padded["item"]], padded)
        last = torch.from_numpy(length[block] - 1).to(table.device)
        out[block] = hidden[torch.arange(len(block), device=table.device), last].float().cpu().numpy()
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
