"""Behaviour by autoencoders: a user's bag of items squeezed through a few numbers that must foretell the bag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn import functional as F

from penchant.artefacts import fingerprint
from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, FloatArray, IntArray, Items, Parts, Vectors
from penchant.represent.held_out import HeldOut, hold_out, ndcg
from penchant.represent.history import count_users, latest_events, latest_liked
from penchant.represent.softmax_loss import softmax_loss
from penchant.represent.training import (
    Batch,
    Task,
    array_fingerprint,
    inference,
    pick_device,
    restore,
    train,
    weights_to_arrays,
)

# The first hidden layer is this many times as wide as the second, which is the user vector.
WIDENING = 4
# Weight of the Kullback-Leibler term at the end, and the rounds over which it grows from 0 (Liang et al. 2018: a
# weight of 1 would prefer a smooth space to one that foretells).
KL_WEIGHT, KL_ROUNDS = 0.2, 10
# Updates in a round, at least: a log of few users is passed over several times, or a score after each pass would be
# mostly noise, and `n_epochs` too few.
MIN_STEPS = 50
# Users worked on at once when nothing is trained.
BLOCK = 4096


class AutoencoderMethod:
    """What both forms share: a weighted bag of items in, a softmax over items out.

    `bag` weighs the input: the summed event weights, logarithmic, and for "tfidf" times the inverse user frequency of
    the item, scaled to unit length a user. The output layer has no hidden layer of its own, so that the logits are
    user vector . item vector: the bias is the last column of the item vectors (and a 1 in the user vectors). The item
    vectors have mean zero over the items known, which leaves every softmax as it is.

    Time: rounds x (pairs x width + users x items x n_dims). Batches are sparse; no (users, items) matrix is built.
    """

    method: ClassVar[str]
    variational: ClassVar[bool]

    def __init__(self, config: RepresentConfig, run: RunOptions, *, seed: int) -> None:
        self._config, self._run, self._seed = config, run, seed
        self._network: Autoencoder | None = None  # None: there was nothing to learn
        self._importance: FloatArray = np.zeros(0, np.float32)  # of each item in the bag; 0 = not known
        self.name = self.method
        self.item_vectors: FloatArray = np.zeros((0, config.neural.n_dims + 1), np.float32)
        self.facts: Mapping[str, Any] = {}

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None:
        """Texts are not read. Items below `min_item_events` get zeros.

        Raises:
            ConfigError: no such device, or training diverged.
        """
        neural = self._config.neural
        liked = latest_events(events, self._config.max_history)
        self._network, self._importance = None, np.zeros(len(items), np.float32)
        self.item_vectors = np.zeros((len(items), neural.n_dims + 1), np.float32)
        self.name = f"{self.method} ({neural.n_dims}, nothing learned)"
        self.facts = {"n_rounds": 0, "chosen_by": "no item with enough users"}
        enough = count_users(latest_liked(liked, self._config.max_history), len(items)) >= self._config.min_item_events
        if not enough.any():
            return
        held = hold_out(liked, neural.validation_share, len(items), seed=self._seed)
        self._importance = self._item_importance(liked, enough)
        trained = train(
            self._task(liked, self._importance, None),
            self._task(held.train, self._item_importance(held.train, enough), held) if held is not None else None,
            neural,
            self._run,
            seed=self._seed,
            name=self.method,
            data=fingerprint(liked.table) + array_fingerprint(enough) + self._config.neural.bag,
        )
        self._network = trained.network
        with inference(self._network, "cpu"):
            self.item_vectors[enough] = _centred(self._network)
        self.facts = trained.facts
        self.name = f"{self.method} ({WIDENING * neural.n_dims}, {neural.n_dims}; {self._config.neural.bag})"

    def user_vectors(self, events: Events) -> FloatArray:
        """(n_users, d + 1): the hidden layer of each user's bag, and a 1; zeros for users without a known item."""
        out = np.zeros((events.n_users, self.item_vectors.shape[1]), np.float32)
        if self._network is None or not events.n_users:
            return out
        bag = self._bag(latest_events(events, self._config.max_history), self._importance)
        users = np.flatnonzero(np.diff(bag.indptr)).astype(np.int32)
        with inference(self._network, pick_device(self._run.device)):
            out[users] = _encode(self._network, bag, users)
        return out

    def to_parts(self) -> Parts:
        config = {"method": self.method, "name": self.name, "config": self._config.model_dump(), "seed": self._seed}
        arrays: dict[str, Any] = {"item_vectors": self.item_vectors, "importance": self._importance}
        if self._network is not None:
            arrays |= weights_to_arrays(self._network)
        learned = self._network is not None
        return Parts(config={**config, "learned": learned, "facts": dict(self.facts)}, arrays=arrays)

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        out = cls(RepresentConfig.model_validate(parts.config["config"]), run, seed=parts.config["seed"])
        out.name, out.facts = parts.config["name"], parts.config["facts"]
        out.item_vectors, out._importance = parts.arrays["item_vectors"], parts.arrays["importance"]
        if parts.config["learned"]:
            n_known = int((out._importance > 0).sum())
            out._network = restore(lambda: out._new_network(n_known), parts.arrays)
        return out

    def _new_network(self, n_known: int) -> Autoencoder:
        return Autoencoder(n_known, self._config.neural.n_dims, self._config.neural.dropout, self.variational)

    def _item_importance(self, liked: Events, enough: np.ndarray[Any, np.dtype[np.bool_]]) -> FloatArray:
        if self._config.neural.bag == "counts":
            return enough.astype(np.float32)
        n_users = count_users(latest_liked(liked, self._config.max_history), len(enough))
        idf = np.log((1 + (liked.n_by_user > 0).sum()) / (1 + n_users)) + 1
        return np.asarray(np.where(enough, idf, 0.0), np.float32)

    def _bag(self, liked: Events, importance: FloatArray) -> sp.csr_array:
        """(n_users, n_known) unit rows."""
        bag = liked.matrix(len(importance)).tocsc()[:, np.flatnonzero(importance)].tocsr()
        known = importance[importance > 0]
        bag.data = np.log1p(bag.data) * known[bag.indices]
        norm = np.sqrt(bag.multiply(bag).sum(axis=1))
        bag.data /= np.repeat(np.maximum(norm, 1e-12), np.diff(bag.indptr)).astype(np.float32)
        return sp.csr_array(bag, dtype=np.float32)

    def _task(self, liked: Events, importance: FloatArray, held: HeldOut | None) -> Task:
        neural = self._config.neural
        bag = self._bag(liked, importance)
        users = np.flatnonzero(np.diff(bag.indptr)).astype(np.int32)
        n_batches = max(1, -(-len(users) // neural.batch_size))
        n_passes = -(-MIN_STEPS // n_batches)

        def build() -> nn.Module:
            return self._new_network(bag.shape[1])

        def batches(rng: np.random.Generator) -> Iterator[Batch]:
            for _ in range(n_passes):
                for rows in np.array_split(rng.permutation(users), n_batches):
                    yield _sparse_batch(bag[rows])

        def loss(network: Autoencoder, batch: Batch, step: int) -> torch.Tensor:
            hidden, divergence = network.encode_noisily(batch)
            ones = hidden.new_ones(len(hidden), 1)
            items = torch.cat([network.items.weight, network.bias[:, None]], dim=1)
            rows, weights = batch["row"], torch.ones_like(batch["value"])
            told = softmax_loss(torch.cat([hidden, ones], dim=1), items, rows, batch["column"], weights)
            kl_weight = KL_WEIGHT * min(1.0, step / (KL_ROUNDS * n_batches * n_passes))
            return (told + kl_weight * divergence) / len(hidden)

        return Task(build, batches, loss, self._score(held, importance) if held is not None else None)

    def _score(self, held: HeldOut, importance: FloatArray) -> Any:
        bag = self._bag(held.history, importance)
        known = importance > 0

        def score(network: Autoencoder) -> float:
            items = torch.from_numpy(_centred(network))

            def of(users: IntArray) -> FloatArray:
                out = np.zeros((len(users), len(known)), np.float32)
                out[:, known] = (torch.from_numpy(_encode(network, bag, users)) @ items.T).numpy()
                return out

            return ndcg(held, of)

        return score


class Autoencoder(nn.Module):  # type: ignore[misc]
    """Two hidden layers in, one linear layer out; with `variational` the second is a normal distribution."""

    def __init__(self, n_items: int, n_dims: int, dropout: float, variational: bool) -> None:
        super().__init__()
        self.variational, self.dropout = variational, dropout
        width = WIDENING * n_dims
        self.first = nn.Embedding(n_items, width)
        nn.init.normal_(self.first.weight, std=(1 / width) ** 0.5)
        self.first_bias = nn.Parameter(torch.zeros(width))
        self.second = nn.Linear(width, 2 * n_dims if variational else n_dims)
        self.items = nn.Embedding(n_items, n_dims)
        nn.init.normal_(self.items.weight, std=n_dims**-0.5)
        self.bias = nn.Parameter(torch.zeros(n_items))

    def encode(self, batch: Batch, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance (of no width in the plain form) of each user's bag."""
        bag = F.embedding_bag(batch["column"], self.first.weight, batch["start"], mode="sum", per_sample_weights=value)
        hidden = self.second(torch.tanh(bag + self.first_bias))
        mean, log_variance = hidden.chunk(2, dim=1) if self.variational else (torch.tanh(hidden), hidden[:, :0])
        return mean, log_variance

    def encode_noisily(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """A noisy hidden layer of a damaged bag, and its summed divergence from the standard normal distribution."""
        value = F.dropout(batch["value"], self.dropout, training=self.training)
        mean, log_variance = self.encode(batch, value)
        if not self.variational:
            return mean, mean.new_zeros(())
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum()
        return mean + torch.randn_like(mean) * (0.5 * log_variance).exp(), divergence


def _sparse_batch(bag: sp.csr_array) -> Batch:
    row = np.repeat(np.arange(bag.shape[0]), np.diff(bag.indptr))
    return {
        "row": torch.from_numpy(row),
        "column": torch.from_numpy(bag.indices.astype(np.int64)),
        "value": torch.from_numpy(bag.data),
        "start": torch.from_numpy(bag.indptr[:-1].astype(np.int64)),
    }


def _encode(network: Autoencoder, bag: sp.csr_array, users: IntArray) -> FloatArray:
    """(len(users), d + 1): the hidden layer and a 1; under `inference`."""
    device = network.bias.device
    blocks = [np.zeros((0, network.items.weight.shape[1]), np.float32)]
    for start in range(0, len(users), BLOCK):
        batch = {k: v.to(device) for k, v in _sparse_batch(bag[users[start : start + BLOCK]]).items()}
        blocks.append(network.encode(batch, batch["value"])[0].float().cpu().numpy())
    return np.hstack([np.concatenate(blocks), np.ones((len(users), 1), np.float32)])


def _centred(network: Autoencoder) -> FloatArray:
    """(n_known, d + 1) output layer and bias, less their mean: scores above 0 are above a user's average."""
    vectors = np.hstack([network.items.weight.cpu().numpy(), network.bias.cpu().numpy()[:, None]])
    return np.asarray(vectors - vectors.mean(axis=0, dtype=np.float64), np.float32)


class DenoisingAutoencoder(AutoencoderMethod):
    """A part of the bag is hidden and the whole to be foretold (Liang et al. 2018, Mult-DAE)."""

    method = "autoencoder"
    variational = False


class VariationalAutoencoder(AutoencoderMethod):
    """The multinomial variational autoencoder (Liang et al. 2018, Mult-VAE)."""

    method = "variational"
    variational = True
