"""Networks over a user's events in order: from the events up to each place to a vector near what comes next.

All are causal, so padding at the end never reaches an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn import functional as F

from penchant.config import NeuralConfig
from penchant.represent.sequence_windows import N_GAPS

KERNEL = 3
# 1 / temperature of the softmax over cosines at the start, learned from there.
START_SCALE = 10.0
# Length of what an item is by itself, at the start, where it has a text.
LENGTH_BESIDE_TEXT = 0.1


class ItemTable(nn.Module):  # type: ignore[misc]
    """A unit vector an item: its own (of items the training log knows) plus a linear map of its text vector.

    Of unit length on both sides of the network: how often an item comes up then moves no scale, only directions.
    """

    def __init__(
        self,
        known: torch.Tensor,
        text: torch.Tensor | None,
        n_dims: int,
        item_dropout: float = 0.0,
        *,
        is_principal: bool = False,
    ) -> None:
        super().__init__()
        self.item_dropout = item_dropout if text is not None else 0.0
        has_text = text.any(dim=1) if text is not None else torch.zeros_like(known)
        if self.item_dropout == 1:
            known = known & ~has_text
        self.own = nn.Embedding(len(known), n_dims)
        # small beside a text's part: what an item is by itself grows only as far as behaviour asks for it
        length = 1.0 if text is None else LENGTH_BESIDE_TEXT
        nn.init.normal_(self.own.weight, std=length * n_dims**-0.5)
        self.register_buffer("known", known.float()[:, None], persistent=False)
        self.register_buffer("has_text", has_text[:, None], persistent=False)
        self.register_buffer("text", text, persistent=False)
        self.from_text = nn.Linear(text.shape[1], n_dims, bias=False) if text is not None else None
        if self.from_text is not None:
            if is_principal:  # the texts come in n_dims directions or fewer: as they are, and held so
                nn.init.eye_(self.from_text.weight)
                self.from_text.requires_grad_(False)
            else:
                nn.init.normal_(self.from_text.weight, std=n_dims**-0.5)  # a unit text gives a length of about 1

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        vectors = self.own(rows) * self.known[rows]
        if self.training and 0 < self.item_dropout < 1:  # an item's text must be enough at times (Volkovs et al. 2017)
            kept = torch.rand(*rows.shape, 1, device=rows.device) >= self.item_dropout
            vectors = vectors * (kept | ~self.has_text[rows])
        if self.from_text is not None:
            vectors = vectors + self.from_text(self.text[rows])
        return F.normalize(vectors.float(), dim=-1)


class Sequence(nn.Module):  # type: ignore[misc]
    """Item vectors plus embeddings of action and time gap, read in order by one of `BODIES`."""

    def __init__(self, body: str, n_actions: int, has_time: bool, config: NeuralConfig) -> None:
        super().__init__()
        self.action = nn.Embedding(n_actions + 1, config.n_dims) if n_actions > 1 else None
        self.gap = nn.Embedding(N_GAPS, config.n_dims) if has_time else None
        for embedding in (self.action, self.gap):
            if embedding is not None:
                nn.init.normal_(embedding.weight, std=0.1 * config.n_dims**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        self.body = BODIES[body](config)
        self.log_scale = nn.Parameter(torch.tensor(START_SCALE).log())

    def forward(self, vectors: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """(b, l, d) unit item vectors to (b, l, d) unit vectors: what is expected after each event."""
        x = vectors
        if self.action is not None:
            x = x + self.action(batch["action"])
        if self.gap is not None:
            x = x + self.gap(batch["gap"])
        x = x * vectors.shape[-1] ** 0.5
        return F.normalize(self.body(self.dropout(x)).float(), dim=-1)

    @property
    def scale(self) -> torch.Tensor:
        """1 / temperature."""
        return self.log_scale.exp()


class SequenceTraining(nn.Module):  # type: ignore[misc]
    """What is trained: the item table and the network over it."""

    def __init__(self, table: ItemTable, sequence: Sequence) -> None:
        super().__init__()
        self.table, self.sequence = table, sequence


class Transformer(nn.Module):  # type: ignore[misc]
    """Causal self-attention, pre-norm, learned positions (Kang & McAuley 2018, with the loss over all items)."""

    def __init__(self, config: NeuralConfig) -> None:
        super().__init__()
        self.position = nn.Embedding(config.max_length, config.n_dims)
        nn.init.normal_(self.position.weight, std=0.1)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.n_dims)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.position.weight[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Block(nn.Module):  # type: ignore[misc]
    """Attention, then two layers place by place, each added to what came in."""

    def __init__(self, config: NeuralConfig) -> None:
        super().__init__()
        n_dims = config.n_dims
        self.n_heads = config.n_heads
        self.norm_attention, self.norm_layers = nn.LayerNorm(n_dims), nn.LayerNorm(n_dims)
        self.query_key_value = nn.Linear(n_dims, 3 * n_dims)
        self.out = nn.Linear(n_dims, n_dims)
        self.layers = nn.Sequential(nn.Linear(n_dims, 4 * n_dims), nn.GELU(), nn.Linear(4 * n_dims, n_dims))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, n_dims = x.shape
        mixed = self.query_key_value(self.norm_attention(x)).view(n, length, 3, self.n_heads, n_dims // self.n_heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(n, length, n_dims)))
        return x + self.dropout(self.layers(self.norm_layers(x)))


class Recurrent(nn.Module):  # type: ignore[misc]
    """GRU (Hidasi et al. 2016) or LSTM layers."""

    def __init__(self, kind: type[nn.Module], config: NeuralConfig) -> None:
        super().__init__()
        dropout = config.dropout if config.n_layers > 1 else 0.0
        self.layers = kind(config.n_dims, config.n_dims, config.n_layers, batch_first=True, dropout=dropout)
        self.out = nn.Linear(config.n_dims, config.n_dims)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layers(x)[0])


class Convolution(nn.Module):  # type: ignore[misc]
    """Causal convolutions that look 1, 2, 4, ... events apart, each added to what came in (Yuan et al. 2019)."""

    def __init__(self, config: NeuralConfig) -> None:
        super().__init__()
        n_dims = config.n_dims
        self.spread = [2**layer for layer in range(config.n_layers)]
        self.norms = nn.ModuleList(nn.LayerNorm(n_dims) for _ in self.spread)
        self.layers = nn.ModuleList(nn.Conv1d(n_dims, n_dims, KERNEL, dilation=s) for s in self.spread)
        self.mix = nn.ModuleList(nn.Linear(n_dims, n_dims) for _ in self.spread)
        self.dropout = nn.Dropout(config.dropout)
        self.norm = nn.LayerNorm(n_dims)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for spread, norm, layer, mix in zip(self.spread, self.norms, self.layers, self.mix, strict=True):
            earlier = F.pad(norm(x).transpose(1, 2), ((KERNEL - 1) * spread, 0))
            x = x + self.dropout(mix(F.relu(layer(earlier).transpose(1, 2))))
        return self.norm(x)


BODIES: Mapping[str, Callable[[NeuralConfig], nn.Module]] = {
    "transformer": Transformer,
    "gru": lambda config: Recurrent(nn.GRU, config),
    "lstm": lambda config: Recurrent(nn.LSTM, config),
    "convolution": Convolution,
}
