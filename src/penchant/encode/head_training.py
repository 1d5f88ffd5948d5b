"""Training of a head; the only part of it that needs torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from penchant.config import HeadConfig
from penchant.data import FloatArray, IntArray
from penchant.encode.contrast import Embedder
from penchant.encode.head import Head


class HeadNetwork(Embedder):
    """`Head` as a network; before training it leaves vectors as they are."""

    def __init__(self, vectors: FloatArray, config: HeadConfig) -> None:
        super().__init__()
        d = vectors.shape[1]
        self.register_buffer("vectors", torch.from_numpy(np.array(vectors)), persistent=False)
        self.straight = nn.Linear(d, d, bias=False)
        self.inner, self.outer = nn.Linear(d, config.n_hidden), nn.Linear(config.n_hidden, d)
        self.dropout = nn.Dropout(config.dropout)
        for layer in (self.straight, self.outer):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.outer.bias)

    def embed(self, rows: IntArray) -> torch.Tensor:
        x = self.vectors[torch.from_numpy(rows.astype(np.int64)).to(self.vectors.device)]
        seen = self.dropout(x)
        moved = x + self.straight(seen) + self.outer(self.dropout(torch.relu(self.inner(seen))))
        return nn.functional.normalize(moved, dim=1)

    def head(self) -> Head:
        """The weights as arrays."""

        def array(tensor: torch.Tensor) -> FloatArray:
            return np.array(tensor.detach().cpu().numpy(), np.float32)

        return Head(
            straight=array(self.straight.weight),
            inner=array(self.inner.weight),
            inner_bias=array(self.inner.bias),
            outer=array(self.outer.weight),
            outer_bias=array(self.outer.bias),
        )
