"""Behaviour by autoencoders: a user's bag of items squeezed through a few numbers that must foretell the bag.

Training needs torch (`penchant.represent.autoencoder_training`); reading users with what was learned does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from penchant.artefacts import fingerprint
from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, FloatArray, IntArray, Items, Parts, Vectors
from penchant.represent.held_out import hold_out
from penchant.represent.history import count_users, latest_events, latest_liked
from penchant.threads import one_thread

# Users worked on at once when nothing is trained.
BLOCK = 4096
# Of the network, what reads users; the output layer is the item vectors.
WEIGHTS = ("weights.first.weight", "weights.first_bias", "weights.second.weight", "weights.second.bias")


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
        self._weights: Mapping[str, np.ndarray[Any, Any]] = {}  # empty: there was nothing to learn
        self._importance: FloatArray = np.zeros(0, np.float32)  # of each item in the bag; 0 = not known
        self.name = self.method
        self.item_vectors: FloatArray = np.zeros((0, config.neural.n_dims + 1), np.float32)
        self.facts: Mapping[str, Any] = {}

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None:
        """Texts are not read. Items below `min_item_events` get zeros.

        Raises:
            ConfigError: no such device, or training diverged.
        """
        from penchant.represent.autoencoder_training import WIDENING, train_autoencoder

        neural = self._config.neural
        liked = latest_events(events, self._config.max_history)
        self._weights, self._importance = {}, np.zeros(len(items), np.float32)
        self.item_vectors = np.zeros((len(items), neural.n_dims + 1), np.float32)
        self.name = f"{self.method} ({neural.n_dims}, nothing learned)"
        self.facts = {"n_rounds": 0, "chosen_by": "no item with enough users"}
        enough = count_users(latest_liked(liked, self._config.max_history), len(items)) >= self._config.min_item_events
        if not enough.any():
            return
        self._importance, earlier = self._item_importance(liked, enough), None
        held = hold_out(liked, neural.validation_share, len(items), seed=self._seed, choose_on=neural.choose_on)
        if held is not None:
            importance = self._item_importance(held.train, enough)
            earlier = (self._bag(held.train, importance), held, self._bag(held.history, importance))
        weights, self.item_vectors[enough], self.facts = train_autoencoder(
            self._bag(liked, self._importance),
            earlier,
            enough,
            neural,
            self._run,
            partial(read_users, variational=self.variational),
            variational=self.variational,
            seed=self._seed,
            name=self.method,
            data=f"{fingerprint(liked.table)}-{self._config.min_item_events}",
        )
        self._weights = {name: weights[name] for name in WEIGHTS}
        self.name = f"{self.method} ({WIDENING * neural.n_dims}, {neural.n_dims}; {neural.bag})"

    def user_vectors(self, events: Events) -> FloatArray:
        """(n_users, d + 1): the hidden layer of each user's bag, and a 1; zeros for users without a known item."""
        out = np.zeros((events.n_users, self.item_vectors.shape[1]), np.float32)
        if not self._weights or not events.n_users:
            return out
        bag = self._bag(latest_events(events, self._config.max_history), self._importance)
        users = np.flatnonzero(np.diff(bag.indptr)).astype(np.int32)
        out[users] = read_users(self._weights, bag, users, variational=self.variational)
        return out

    def to_parts(self) -> Parts:
        config = {"method": self.method, "name": self.name, "config": self._config.model_dump(), "seed": self._seed}
        arrays = {"item_vectors": self.item_vectors, "importance": self._importance, **self._weights}
        return Parts(config={**config, "learned": bool(self._weights), "facts": dict(self.facts)}, arrays=arrays)

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        out = cls(RepresentConfig.model_validate(parts.config["config"]), run, seed=parts.config["seed"])
        out.name, out.facts = parts.config["name"], parts.config["facts"]
        out.item_vectors, out._importance = parts.arrays["item_vectors"], parts.arrays["importance"]
        out._weights = {name: parts.arrays[name] for name in WEIGHTS} if parts.config["learned"] else {}
        return out

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


def read_users(
    weights: Mapping[str, np.ndarray[Any, Any]], bag: sp.csr_array, users: IntArray, *, variational: bool
) -> FloatArray:
    """(len(users), d + 1): the hidden layer of each user's bag, and a 1.

    Args:
        weights: `WEIGHTS`. variational: the second layer gives means, then variances; the means are the user vector.
    """
    first, first_bias, second, second_bias = (weights[name] for name in WEIGHTS)
    n_dims = len(second) // 2 if variational else len(second)
    out = np.ones((len(users), n_dims + 1), np.float32)
    with one_thread():  # the order of sums, and so the last bits, would follow the number of threads
        for start in range(0, len(users), BLOCK):
            rows = bag[users[start : start + BLOCK]]
            hidden = np.tanh(rows @ first + first_bias) @ second.T + second_bias
            out[start : start + BLOCK, :n_dims] = hidden[:, :n_dims] if variational else np.tanh(hidden)
    return out


class DenoisingAutoencoder(AutoencoderMethod):
    """A part of the bag is hidden and the whole to be foretold (Liang et al. 2018, Mult-DAE)."""

    method = "autoencoder"
    variational = False


class VariationalAutoencoder(AutoencoderMethod):
    """The multinomial variational autoencoder (Liang et al. 2018, Mult-VAE)."""

    method = "variational"
    variational = True
