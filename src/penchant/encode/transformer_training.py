"""A transformer as a network to train: from rows of texts to pooled vectors of unit length."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from penchant.data import FloatArray, IntArray
from penchant.encode.contrast import Embedder
from penchant.encode.model_folder import ModelFolder
from penchant.encode.torch_runtime import load_torch_model, quiet
from penchant.encode.transformer import load_tokeniser
from penchant.errors import ConfigError

TEXTS_AT_ONCE = 64


class TransformerNetwork(Embedder):
    """The model of a folder over given texts; what its files say of pooling, length and dense layers holds.

    Args:
        n_layers: only the last so many layers are trained; "all" = every weight, those of the words too.

    Raises:
        ConfigError: the model has an encoder and a decoder.
    """

    def __init__(self, folder: ModelFolder, texts: list[str], n_layers: int | str) -> None:
        super().__init__()
        self.model = load_torch_model(folder)
        about = json.loads((folder.path / "config.json").read_text(encoding="utf-8"))
        if about.get("is_encoder_decoder"):  # half of it would have no weights when it is read back
            raise ConfigError(
                f"encode.tune 'full': {folder.label} has an encoder and a decoder, and is not tuned here; use 'head', "
                "or name a model of the BERT or GPT kind by encode.model"
            )
        if n_layers != "all":
            for weight in self.model.parameters():
                weight.requires_grad_(False)
            stacks = [m for m in self.model.modules() if isinstance(m, nn.ModuleList)]
            for weight in max(stacks, key=len)[-int(n_layers) :].parameters():
                weight.requires_grad_(True)
        self._folder = folder
        self._ids = [ids or [folder.pad_id] for ids in load_tokeniser(folder)(texts)]

    def embed(self, rows: IntArray) -> torch.Tensor:
        ids = [self._ids[row] for row in rows]
        length = max(len(i) for i in ids)
        tokens = torch.full((len(ids), length), self._folder.pad_id)
        mask = torch.zeros((len(ids), length), dtype=torch.int64)
        for place, text_ids in enumerate(ids):
            tokens[place, : len(text_ids)] = torch.tensor(text_ids)
            mask[place, : len(text_ids)] = 1
        device = self.log_scale.device
        tokens, mask = tokens.to(device), mask.to(device)
        with quiet():
            hidden = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        vectors = pool_torch(hidden, mask, self._folder.pooling)
        for layer in self._folder.dense:
            weight, bias = (torch.from_numpy(np.array(a)).to(device) for a in (layer.weight, layer.bias))
            vectors = vectors @ weight.T + bias
            vectors = {"Tanh": torch.tanh, "ReLU": torch.relu}.get(layer.activation, nn.Identity())(vectors)
        return normalize(vectors, dim=1)

    def embed_all(self, rows: IntArray) -> FloatArray:
        """(n, d) vectors, in batches of like length."""
        order = np.argsort([-len(self._ids[row]) for row in rows], kind="stable")
        out: FloatArray | None = None
        for start in range(0, len(order), TEXTS_AT_ONCE):
            places = order[start : start + TEXTS_AT_ONCE]
            vectors = self.embed(rows[places]).float().cpu().numpy()
            out = np.zeros((len(rows), vectors.shape[1]), np.float32) if out is None else out
            out[places] = vectors
        return out if out is not None else np.zeros((0, self._folder.n_dims), np.float32)

    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        """Copies of the weights, under the names by which the model's library reads them back."""
        return {name: np.array(w.detach().float().cpu().numpy()) for name, w in self.model.state_dict().items()}


def pool_torch(hidden: torch.Tensor, mask: torch.Tensor, modes: tuple[str, ...]) -> torch.Tensor:
    """As `pooling.pool`, with gradients."""
    return torch.cat([_pool_one(hidden, mask, mode) for mode in modes], dim=1)


def _pool_one(hidden: torch.Tensor, mask: torch.Tensor, mode: str) -> torch.Tensor:
    if mode == "cls":
        return hidden[:, 0]
    if mode == "lasttoken":
        return hidden[torch.arange(len(hidden)), (mask.sum(dim=1) - 1).clamp(min=0)]
    if mode == "max":
        return hidden.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(dim=1)
    weight = mask.to(hidden.dtype)
    if mode == "weightedmean":
        weight = weight * torch.arange(1, hidden.shape[1] + 1, device=hidden.device)
    size = weight.sum(dim=1, keepdim=True)
    total = (hidden * weight[:, :, None]).sum(dim=1)
    return total / (size.sqrt() if mode == "mean_sqrt_len_tokens" else size)
