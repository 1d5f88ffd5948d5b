"""Behaviour by graph: items and users that are joined by events say of each other who they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch

from penchant.artefacts import fingerprint
from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, FloatArray, IntArray, Items, Parts, Vectors
from penchant.represent.graph_networks import Flow, GraphNetwork, read_sample, sample_arrays
from penchant.represent.graph_sampling import (
    Graph,
    build_graph,
    edge_weights,
    like_items,
    only_items,
    sample,
    split_targets,
    user_edges,
)
from penchant.represent.held_out import HeldOut, hold_out, ndcg
from penchant.represent.history import count_users, latest_liked
from penchant.represent.softmax_loss import sampled_softmax_loss, softmax_loss
from penchant.represent.training import (
    Batch,
    Task,
    array_fingerprint,
    inference,
    load_weights,
    pick_device,
    train,
    weights_to_arrays,
)

# Users worked on at once.
BLOCK = 2048
# A quarter of the users at most are foretold in one step: the rest are what items read.
LEAST_STEPS = 4
# A log of few users is read several times in a round: the steps are what teaches.
MIN_STEPS = 50
# The bias of an item is kept small and its counterpart in the user large: the product is the same, and items stay
# near each other by behaviour rather than by popularity alone.
BIAS_UNIT = 1000.0


class GraphMethod:
    """Networks on the graph of users and items, edges weighted by log(1 + positive evidence), for next-item prediction.

    Only items have vectors of their own to learn; a user is what the network reads from the user's events, so users
    who come later are treated as those of the fit are. With texts, each item also reads the nearest items by text:
    an item without an event has a place too. In each step some users have a share of their items hidden; the
    cross-entropy over all items (or over `neural.n_negatives` drawn ones, log-Q corrected) is for the hidden ones, and
    items do not read the users of the step, so that no answer leaks. `graph.n_rounds` counts rounds of two hops,
    items to users and back (`neural.n_layers` is not read); in training each node reads at most `graph.n_neighbours`
    drawn neighbours.

    Time: steps x (nodes x neighbours x rounds + users x items) x n_dims. Memory: the graph, and n_rounds + 1 vectors
    an item.
    """

    method: ClassVar[str]

    def __init__(self, config: RepresentConfig, run: RunOptions, *, seed: int) -> None:
        self._config, self._run, self._seed = config, run, seed
        self._network: GraphNetwork | None = None  # None: there was nothing to learn
        self._after: FloatArray = np.zeros((0, 0, 1), np.float32)  # items after each round: (n_rounds + 1, n_items, d)
        self._degree: FloatArray = np.zeros(0, np.float32)
        self.name = self.method
        self.item_vectors: FloatArray = np.zeros((0, 1), np.float32)
        self.facts: Mapping[str, Any] = {}

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None:
        """Items below `min_item_events` get a vector only from items that are like them by text.

        Raises:
            ConfigError: no such device, or training diverged.
        """
        neural, n_items = self._config.neural, len(items)
        liked = latest_liked(events, self._config.max_history)
        like = like_items(text, n_items, self._config.graph.n_like_items)
        self._network, self.facts = None, {"n_rounds": 0, "chosen_by": "no user with two liked items"}
        self._after = np.zeros((self._config.graph.n_rounds + 1, n_items, neural.n_dims), np.float32)
        self._degree = np.ones(n_items, np.float32)
        self.item_vectors = np.zeros((n_items, neural.n_dims + 1), np.float32)
        self.name = f"{self.method} ({neural.n_dims}, nothing learned)"
        if liked.n_by_user.max(initial=0) < 2:
            return
        graph = build_graph(edge_weights(liked, events, n_items), like)
        held = hold_out(
            events.positive(), neural.validation_share, n_items, seed=self._seed, choose_on=neural.choose_on
        )
        trained = train(
            self._task(graph, None),
            self._choosing(held, like, n_items) if held is not None else None,
            neural,
            self._run,
            seed=self._seed,
            name=self.method,
            data=fingerprint(liked.table, events.table) + array_fingerprint(like.indptr, like.indices, like.data),
        )
        enough = count_users(liked, n_items) >= self._config.min_item_events
        self._keep(trained.network, graph, enough | (np.diff(like.indptr) > 0), events)
        self.facts = {**trained.facts, "n_edges": graph.users.nnz, "n_like_edges": like.nnz}
        told = ", texts" if like.nnz else ""
        self.name = f"{self.method} ({neural.n_dims}, {self._config.graph.n_rounds} rounds{told})"

    def user_vectors(self, events: Events) -> FloatArray:
        """(n_users, d): what each user reads from the own latest liked items; one column for biases."""
        out = np.zeros((events.n_users, self.item_vectors.shape[1]), np.float32)
        if self._network is None or not events.n_users:
            return out
        out[:, :-1] = self._read_users(events)
        out[:, -1] = out[:, :-1].any(axis=1) * np.float32(BIAS_UNIT)
        return out

    def to_parts(self) -> Parts:
        config = {"method": self.method, "name": self.name, "config": self._config.model_dump(), "seed": self._seed}
        arrays: dict[str, Any] = {"item_vectors": self.item_vectors, "after": self._after, "degree": self._degree}
        if self._network is not None:
            arrays |= weights_to_arrays(self._network)
        learned = {"learned": self._network is not None, "facts": dict(self.facts)}
        return Parts(config={**config, **learned}, arrays=arrays)

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        out = cls(RepresentConfig.model_validate(parts.config["config"]), run, seed=parts.config["seed"])
        out.name, out.facts = parts.config["name"], parts.config["facts"]
        out.item_vectors, out._after = parts.arrays["item_vectors"], parts.arrays["after"]
        out._degree = parts.arrays["degree"]
        if parts.config["learned"]:
            log_share = torch.zeros(len(out.item_vectors))
            out._network = out._build(log_share)
            load_weights(out._network, parts.arrays)
        return out

    def _build(self, log_share: torch.Tensor) -> GraphNetwork:
        neural, n_rounds = self._config.neural, self._config.graph.n_rounds
        return GraphNetwork(self.method, len(log_share), log_share, n_rounds, neural)

    def _keep(self, network: GraphNetwork, graph: Graph, given: np.ndarray[Any, Any], events: Events) -> None:
        """Vectors of all items from the whole graph; biases such that no known item scores below unknown ones."""
        with inference(network, pick_device(self._run.device)):
            after = _whole(graph, network).cpu().numpy()
            bias = network.bias.float().cpu().numpy()
        self._network, self._degree = network, graph.item_degree
        self._after = (after * given[None, :, None]).astype(np.float32)
        vectors = self._after.mean(axis=0)
        longest = np.linalg.norm(self._read_users(events), axis=1).max(initial=0)
        least = (bias - longest * np.linalg.norm(vectors, axis=1))[given].min(initial=np.inf)
        bias = (bias - least + 1) * given if given.any() else np.zeros_like(bias)
        self.item_vectors = np.hstack([vectors, (bias / BIAS_UNIT)[:, None]]).astype(np.float32)

    def _read_users(self, events: Events) -> FloatArray:
        assert self._network is not None
        n_items = len(self._degree)
        weights = edge_weights(latest_liked(events, self._config.max_history), events, n_items)
        weights = only_items(weights, np.abs(self._after).sum(axis=(0, 2)) > 0)
        with inference(self._network, pick_device(self._run.device)):
            after = [torch.from_numpy(x).to(self._network.own.device) for x in self._after]
            return _users(self._network, weights, self._degree, after)

    def _choosing(self, held: HeldOut, like: sp.csr_array, n_items: int) -> Task:
        earlier = latest_liked(held.train, self._config.max_history)
        graph = build_graph(edge_weights(earlier, held.train, n_items), like)
        return self._task(graph, held)

    def _task(self, graph: Graph, held: HeldOut | None) -> Task:
        steps, n_rounds = _Steps(graph, self._config), self._config.graph.n_rounds

        def build() -> GraphNetwork:
            return self._build(torch.from_numpy(steps.log_share))

        def loss(network: GraphNetwork, batch: Batch, step: int) -> torch.Tensor:
            after = network.items(*read_sample(batch, n_rounds))
            users = network.dropout(network.users(Flow(batch, "own"), after))
            hidden = torch.cat([users, torch.ones_like(users[:, :1])], dim=1)
            items = torch.cat([torch.stack(after).mean(0), network.bias[batch["top"], None]], dim=1)
            user, item = batch["target_user"], batch["target_item"]
            if "drawn" not in batch:
                return softmax_loss(hidden, items, user, item, batch["target_weight"]) / len(users)
            hit = item[:, None] == batch["drawn"]
            drawn = items[batch["drawn"]]
            return sampled_softmax_loss(hidden[user], items[item], drawn, batch["correction"], hit) / len(user)

        return Task(build, steps, loss, self._score(graph, held) if held is not None else None)

    def _score(self, graph: Graph, held: HeldOut) -> Any:
        history = latest_liked(held.history, self._config.max_history)
        weights = edge_weights(history, held.history, len(graph.item_degree))
        known = np.diff(graph.items.indptr) > 0
        weights, unknown = only_items(weights, known), torch.from_numpy(~known)

        def score(network: GraphNetwork) -> float:
            after = _whole(graph, network)
            items, bias = (
                after.mean(0).float(),
                network.bias.float().masked_fill(unknown.to(network.bias.device), -torch.inf),
            )

            def of(users: IntArray) -> FloatArray:
                read = _users(network, sp.csr_array(weights[users]), graph.item_degree, list(after))
                scores: FloatArray = (torch.from_numpy(read).to(items.device) @ items.T + bias).cpu().numpy()
                return scores

            return ndcg(held, of)

        return score


class _Steps:
    """The batches of a round: users with hidden items, and the part of the graph that foretelling those hangs on."""

    def __init__(self, graph: Graph, config: RepresentConfig) -> None:
        self._graph, self._neural, self._settings = graph, config.neural, config.graph
        counts = np.diff(graph.items.indptr)
        self._known = np.flatnonzero(counts)
        self._readers = np.flatnonzero(np.diff(graph.users.indptr) >= 2).astype(np.int32)
        self.chance = counts / max(1, counts.sum())
        self.log_share: FloatArray = np.log(np.where(counts > 0, self.chance, np.nan)).astype(np.float32)

    def __call__(self, rng: np.random.Generator) -> Iterator[Batch]:
        if not len(self._readers):  # the earlier part of a log may hold one event of each user
            return
        size = max(1, min(self._neural.batch_size, len(self._readers) // LEAST_STEPS))
        n_steps = -(-len(self._readers) // size)
        for _ in range(-(-MIN_STEPS // n_steps)):
            for rows in np.array_split(rng.permutation(self._readers), n_steps):
                yield {k: torch.from_numpy(np.asarray(v)) for k, v in self._batch(np.sort(rows), rng).items()}

    def _batch(self, rows: IntArray, rng: np.random.Generator) -> dict[str, Any]:
        graph, neural, settings = self._graph, self._neural, self._settings
        targets = split_targets(graph.users, rows, settings.target_share, rng)
        given = sp.csr_array(graph.users[rows])
        given = sp.csr_array(given - given.multiply(targets))
        given.eliminate_zeros()
        top, out = self._known, {}
        if neural.n_negatives:
            drawn = rng.choice(len(self.chance), neural.n_negatives, p=self.chance)
            top = np.unique(np.concatenate([drawn, given.indices, targets.indices])).astype(np.int64)
            out["drawn"] = np.searchsorted(top, drawn)
            out["correction"] = -np.log(neural.n_negatives * self.chance[drawn]).astype(np.float32)
        without = np.zeros(graph.users.shape[0], np.bool_)
        without[rows] = True
        part = sample(graph, top, settings.n_rounds, settings.n_neighbours, rng, without)
        user, item = targets.tocoo().coords
        out |= {"top": top, "target_user": user.astype(np.int64), "target_item": np.searchsorted(top, item)}
        out |= {"target_weight": (1 / np.diff(targets.indptr)[user]).astype(np.float32)}
        return out | sample_arrays(part) | user_edges(given, graph.item_degree, top).arrays("own")


def _whole(graph: Graph, network: GraphNetwork) -> torch.Tensor:
    """(n_rounds + 1, n_items, d): all items after each round, no neighbour left out; under `inference`."""
    n_rounds, device = len(network.to_items), network.own.device
    part = sample(graph, np.arange(len(graph.item_degree)), n_rounds, 0, None, None)
    batch = {k: torch.from_numpy(np.asarray(v)).to(device) for k, v in sample_arrays(part).items()}
    return torch.stack(network.items(*read_sample(batch, n_rounds))).float()


def _users(network: GraphNetwork, weights: sp.csr_array, degree: FloatArray, after: list[torch.Tensor]) -> FloatArray:
    """(n_users, d) in blocks; zeros for users without an edge."""
    out = np.zeros((weights.shape[0], after[0].shape[1]), np.float32)
    every = np.arange(len(degree))
    some = np.flatnonzero(np.diff(weights.indptr))
    for rows in np.split(some, range(BLOCK, len(some), BLOCK)):
        if len(rows):
            flow = Flow.of(user_edges(sp.csr_array(weights[rows]), degree, every), after[0].device)
            out[rows] = network.users(flow, after).float().cpu().numpy()
    return out


class LightGcn(GraphMethod):
    """Sums of neighbours, nothing else (He et al. 2020)."""

    method = "lightgcn"


class Gcn(GraphMethod):
    """Graph convolutions (Kipf & Welling 2017)."""

    method = "gcn"


class Gat(GraphMethod):
    """Graph attention (Velickovic et al. 2018)."""

    method = "gat"
