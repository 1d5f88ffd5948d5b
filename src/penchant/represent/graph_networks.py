"""Convolutions over a bipartite graph, by sparse products, and the network of rounds built from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from penchant.config import NeuralConfig
from penchant.represent.graph_sampling import Edges, Sample
from penchant.represent.training import Batch

# Vectors of items move this many times as far in a step as other weights: each is in few edges.
GAIN = 30.0


class Flow:
    """Edges as tensors: what a convolution reads."""

    def __init__(self, batch: Batch, name: str) -> None:
        self.to, self.source = batch[f"{name}.to"], batch[f"{name}.source"]
        self.share, self.weight = batch[f"{name}.share"], batch[f"{name}.weight"]
        self.n_to = len(batch[f"{name}.size"])

    @classmethod
    def of(cls, edges: Edges, device: torch.device) -> Flow:
        return cls({k: torch.from_numpy(v).to(device) for k, v in edges.arrays("edges").items()}, "edges")

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """(n_to, d): sums of share x value of the source. A sparse product: 8 times as fast as gather and scatter."""
        matrix = torch.sparse_coo_tensor(
            torch.stack([self.to, self.source]),
            self.share,
            (self.n_to, len(values)),
            is_coalesced=True,
            check_invariants=False,
        )
        with torch.autocast(values.device.type, enabled=False):
            return torch.sparse.mm(matrix, values.float())


class Light(nn.Module):  # type: ignore[misc]
    """Sums alone (He et al. 2020, equation 3)."""

    def __init__(self, n_dims: int, n_heads: int) -> None:
        super().__init__()

    def forward(self, flow: Flow, source: torch.Tensor, to: torch.Tensor | None) -> torch.Tensor:
        return flow.sum(source)


class Convolution(nn.Module):  # type: ignore[misc]
    """Sums and a linear map (Kipf & Welling 2017, equation 2); the map begins as the identity."""

    def __init__(self, n_dims: int, n_heads: int) -> None:
        super().__init__()
        self.map = nn.Linear(n_dims, n_dims)
        nn.init.eye_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, flow: Flow, source: torch.Tensor, to: torch.Tensor | None) -> torch.Tensor:
        total: torch.Tensor = self.map(flow.sum(source))
        return total


class Attention(nn.Module):  # type: ignore[misc]
    """Means weighted by attention (Velickovic et al. 2018, equations 1 to 5); an edge of weight w counts w times.

    Nodes without a vector of their own (users) attend by their sources alone. Begins as the identity of plain means.
    """

    def __init__(self, n_dims: int, n_heads: int) -> None:
        super().__init__()
        self.map = nn.Linear(n_dims, n_dims)
        nn.init.eye_(self.map.weight)
        nn.init.zeros_(self.map.bias)
        self.by_source = nn.Parameter(torch.zeros(n_heads, n_dims // n_heads))
        self.by_to = nn.Parameter(torch.zeros(n_heads, n_dims // n_heads))

    def forward(self, flow: Flow, source: torch.Tensor, to: torch.Tensor | None) -> torch.Tensor:
        heads, width = self.by_source.shape
        values = F.linear(source, self.map.weight).view(len(source), heads, width)
        logit = (values * self.by_source).sum(-1)[flow.source]
        if to is not None:
            own = F.linear(to, self.map.weight).view(len(to), heads, width)
            logit = logit + (own * self.by_to).sum(-1)[flow.to]
        logit = F.leaky_relu(logit, 0.2) + flow.weight.clamp_min(1e-12).log()[:, None]
        places = flow.to[:, None].expand_as(logit)
        most = torch.full((flow.n_to, heads), -torch.inf, device=logit.device, dtype=logit.dtype)
        most = most.scatter_reduce(0, places, logit.detach(), "amax")
        mass = torch.exp(logit - most[flow.to])
        total = torch.zeros((flow.n_to, heads), device=mass.device, dtype=mass.dtype).index_add(0, flow.to, mass)
        part = (mass / total[flow.to])[:, :, None] * values[flow.source]
        out = torch.zeros((flow.n_to, heads, width), device=part.device, dtype=part.dtype).index_add(0, flow.to, part)
        there = (total[:, :1] > 0).to(out.dtype)  # a node without an edge stays zero
        return out.flatten(1) + self.map.bias * there


CONVOLUTIONS: dict[str, Callable[[int, int], nn.Module]] = {"lightgcn": Light, "gcn": Convolution, "gat": Attention}


class GraphNetwork(nn.Module):  # type: ignore[misc]
    """Items have vectors of their own; users are what they read from their items, so new users need no training.

    A round: users read their items, items read their users, like items and themselves. Final vectors are means over
    the rounds (He et al. 2020, equation 6). Between rounds GCN and GAT pass an ELU.
    """

    def __init__(self, method: str, n_items: int, log_share: torch.Tensor, n_rounds: int, config: NeuralConfig) -> None:
        super().__init__()
        make = CONVOLUTIONS[method]
        self.own = nn.Parameter(torch.randn(n_items, config.n_dims) / np.sqrt(config.n_dims) / GAIN)
        known = torch.isfinite(log_share)
        with torch.no_grad():
            self.own *= known[:, None]  # items without an event begin at zero: they are what they read
        # and count as rare as the rarest that has one
        self.bias = nn.Parameter(torch.where(known, log_share, log_share[known].min() if known.any() else 0.0))
        self.to_users = nn.ModuleList([make(config.n_dims, config.n_heads) for _ in range(n_rounds + 1)])
        self.to_items = nn.ModuleList([make(config.n_dims, config.n_heads) for _ in range(n_rounds)])
        self.between: Callable[[torch.Tensor], torch.Tensor] = (lambda x: x) if method == "lightgcn" else F.elu
        self.dropout = nn.Dropout(config.dropout)

    def items(
        self, flows: list[tuple[Flow, Flow]], places: list[torch.Tensor], rows: torch.Tensor
    ) -> list[torch.Tensor]:
        """Vectors of the top items after each round, from 0 rounds on: n_rounds + 1 times (n_top, d).

        Args:
            flows: (to users, to items) of each round from the bottom up.
            places: places of each round's items among those below; rows: item rows of the bottom.
        """
        now = self.own[rows] * GAIN
        after = [now]
        for number, (to_users, to_items) in enumerate(flows):
            users = self.between(self.to_users[number](to_users, self.dropout(now), None))
            now = self.to_items[number](to_items, torch.cat([users, now]), now[places[number]])
            if number + 1 < len(flows):
                now = self.between(now)
            after = [x[places[number]] for x in after] + [now]
        return after

    def users(self, flow: Flow, after: list[torch.Tensor]) -> torch.Tensor:
        """(n_users, d) from items after each round."""
        read = [conv(flow, vectors, None) for conv, vectors in zip(self.to_users, after, strict=True)]
        return torch.stack(read).mean(0)


def sample_arrays(sample: Sample) -> dict[str, Any]:
    """A sample as arrays with names, as batches carry it."""
    out: dict[str, Any] = {"rows": sample.items}
    for number, layer in enumerate(sample.layers):
        out |= layer.to_users.arrays(f"users{number}") | layer.to_items.arrays(f"items{number}")
        out[f"place{number}"] = layer.place
    return out


def read_sample(batch: Batch, n_rounds: int) -> tuple[list[tuple[Flow, Flow]], list[torch.Tensor], torch.Tensor]:
    """What `GraphNetwork.items` takes, from a batch made of `sample_arrays`."""
    flows = [(Flow(batch, f"users{number}"), Flow(batch, f"items{number}")) for number in range(n_rounds)]
    return flows, [batch[f"place{number}"] for number in range(n_rounds)], batch["rows"]
