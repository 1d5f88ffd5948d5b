"""Training of the autoencoders: the network, its batches and its loss. See `penchant.represent.autoencoder`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn import functional as F

from penchant.config import NeuralConfig, RunOptions
from penchant.data import FloatArray, IntArray
from penchant.represent.held_out import HeldOut, ndcg
from penchant.represent.softmax_loss import softmax_loss
from penchant.represent.training import Batch, Task, inference, train, weights_to_arrays

# The first hidden layer is this many times as wide as the second, which is the user vector.
WIDENING = 4
# Weight of the Kullback-Leibler term at the end, and the rounds over which it grows from 0 (Liang et al. 2018: a
# weight of 1 would prefer a smooth space to one that foretells).
KL_WEIGHT, KL_ROUNDS = 0.2, 10
# Updates in a round, at least: a log of few users is passed over several times, or a score after each pass would be
# mostly noise, and `n_epochs` too few.
MIN_STEPS = 50

Weights = Mapping[str, np.ndarray[Any, Any]]
Reader = Callable[[Weights, sp.csr_array, IntArray], FloatArray]


def train_autoencoder(
    bag: sp.csr_array,
    earlier: tuple[sp.csr_array, HeldOut, sp.csr_array] | None,
    known: np.ndarray[Any, np.dtype[np.bool_]],
    neural: NeuralConfig,
    run: RunOptions,
    read: Reader,
    *,
    variational: bool,
    seed: int,
    name: str,
    data: str,
) -> tuple[Weights, FloatArray, Mapping[str, Any]]:
    """Learn to foretell users' bags.

    Args:
        bag: (n_users, n_known) unit rows. earlier: the bag of the part to choose the rounds on, what is held out, and
            the bag of those tested; None = nothing to choose on. known: (n_items,) which items the columns are.
        read: weights, bag and user rows to user vectors: what is used after training is what is validated.

    Returns:
        Weights by name, centred item vectors (n_known, n_dims + 1) with the bias last, and facts.

    Raises:
        ConfigError: no such device, or training diverged.
    """

    def task(bag: sp.csr_array, held: HeldOut | None, history: sp.csr_array | None) -> Task:
        return _task(bag, known, neural, read, variational, held, history)

    trained = train(
        task(bag, None, None),
        task(earlier[0], earlier[1], earlier[2]) if earlier is not None else None,
        neural,
        run,
        seed=seed,
        name=name,
        data=data,
    )
    with inference(trained.network, "cpu"):
        return weights_to_arrays(trained.network), _centred(trained.network), trained.facts


def _task(
    bag: sp.csr_array,
    known: np.ndarray[Any, np.dtype[np.bool_]],
    neural: NeuralConfig,
    read: Reader,
    variational: bool,
    held: HeldOut | None,
    history: sp.csr_array | None,
) -> Task:
    users = np.flatnonzero(np.diff(bag.indptr)).astype(np.int32)
    n_batches = max(1, -(-len(users) // neural.batch_size))
    n_passes = -(-MIN_STEPS // n_batches)

    def build() -> nn.Module:
        return Autoencoder(bag.shape[1], neural.n_dims, neural.dropout, variational)

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

    def score(network: Autoencoder) -> float:
        assert held is not None
        items, weights = _centred(network), weights_to_arrays(network)

        def of(users: IntArray) -> FloatArray:
            out = np.zeros((len(users), len(known)), np.float32)
            out[:, known] = read(weights, history, users) @ items.T
            return out

        return ndcg(held, of)

    return Task(build, batches, loss, score if held is not None else None)


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

    def encode_noisily(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """A noisy hidden layer of a damaged bag, and its summed divergence from the standard normal distribution.

        Without the damage and the noise it is what `autoencoder.read_users` does without torch; a test compares them.
        """
        value = F.dropout(batch["value"], self.dropout, training=self.training)
        bag = F.embedding_bag(batch["column"], self.first.weight, batch["start"], mode="sum", per_sample_weights=value)
        hidden = self.second(torch.tanh(bag + self.first_bias))
        if not self.variational:
            return torch.tanh(hidden), hidden.new_zeros(())
        mean, log_variance = hidden.chunk(2, dim=1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum()
        noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
        return mean + noise * (0.5 * log_variance).exp(), divergence


def _sparse_batch(bag: sp.csr_array) -> Batch:
    row = np.repeat(np.arange(bag.shape[0]), np.diff(bag.indptr))
    return {
        "row": torch.from_numpy(row),
        "column": torch.from_numpy(bag.indices.astype(np.int64)),
        "value": torch.from_numpy(bag.data),
        "start": torch.from_numpy(bag.indptr[:-1].astype(np.int64)),
    }


def _centred(network: Autoencoder) -> FloatArray:
    """(n_known, d + 1) output layer and bias, less their mean: scores above 0 are above a user's average."""
    vectors = np.hstack([network.items.weight.cpu().numpy(), network.bias.cpu().numpy()[:, None]])
    return np.asarray(vectors - vectors.mean(axis=0, dtype=np.float64), np.float32)
