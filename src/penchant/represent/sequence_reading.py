"""Trained sequence networks read users with NumPy alone: what `sequence_networks` computes, without torch.

Weights are those of `sequence_networks.Sequence`, by their names there; a test holds the two forms together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import erf, expit

from penchant.data import FloatArray, IntArray, unit_rows
from penchant.represent.sequence_windows import Histories, latest_windows, pad

Weights = Mapping[str, np.ndarray[Any, Any]]
Batch = Mapping[str, np.ndarray[Any, Any]]
# (n, l, d) unit item vectors and the rest of a batch to (n, l, d) unit vectors: what is expected after each event
Forward = Callable[[FloatArray, Batch], FloatArray]

# Users worked on at once.
BLOCK = 1024
# What torch's layer norm adds to the variance.
EPSILON = 1e-5


def encode_latest(
    forward: Forward, table: FloatArray, histories: Histories, users: IntArray, max_length: int
) -> FloatArray:
    """(len(users), d) vectors after the latest event of each user; users of near lengths are read together.

    Args:
        table: (n_items, d) vectors of the items in `histories`.
    """
    begin, length = latest_windows(histories, users, max_length)
    order = np.argsort(length, kind="stable")
    out = np.zeros((len(users), table.shape[1]), np.float32)
    for block in np.split(order, range(BLOCK, len(order), BLOCK)):
        if len(block):
            batch = pad(histories, begin[block], length[block])
            hidden = forward(table[batch["item"]], batch)
            out[block] = hidden[np.arange(len(block)), length[block] - 1]
    return out


def reader(kind: str, weights: Weights, n_heads: int) -> Forward:
    """The forward pass of a trained network; linear in its events but for attention, which is square in a window.

    Args:
        kind: a key of `BODIES`. weights: without a prefix.
    """
    body = {name.removeprefix("body."): array for name, array in weights.items() if name.startswith("body.")}

    def forward(vectors: FloatArray, batch: Batch) -> FloatArray:
        x = vectors
        for name in ("action", "gap"):
            if f"{name}.weight" in weights:
                x = x + weights[f"{name}.weight"][batch[name]]
        read = BODIES[kind](x * np.float32(vectors.shape[-1] ** 0.5), body, n_heads)
        return unit_rows(read.reshape(-1, read.shape[-1])).reshape(read.shape)

    return forward


def _transformer(x: FloatArray, weights: Weights, n_heads: int) -> FloatArray:
    n, length, n_dims = x.shape
    x = x + weights["position.weight"][:length]
    later = np.triu(np.full((length, length), -np.inf, np.float32), 1)
    number = 0
    while (block := f"blocks.{number}.") + "out.weight" in weights:
        mixed = _linear(_norm(x, weights, f"{block}norm_attention"), weights, f"{block}query_key_value")
        query, key, value = mixed.reshape(n, length, 3, n_heads, n_dims // n_heads).transpose(2, 0, 3, 1, 4)
        logits = query @ key.swapaxes(-1, -2) * np.float32((n_dims // n_heads) ** -0.5) + later
        share = np.exp(logits - logits.max(axis=-1, keepdims=True))
        attended = (share / share.sum(axis=-1, keepdims=True)) @ value
        x = x + _linear(attended.swapaxes(1, 2).reshape(n, length, n_dims), weights, f"{block}out")
        wide = _linear(_norm(x, weights, f"{block}norm_layers"), weights, f"{block}layers.0")
        gelu = wide * np.float32(0.5) * (1 + erf(wide * np.float32(0.5**0.5)))
        x = x + _linear(gelu, weights, f"{block}layers.2")
        number += 1
    return _norm(x, weights, "norm")


def _convolution(x: FloatArray, weights: Weights, n_heads: int) -> FloatArray:
    length, number = x.shape[1], 0
    while f"layers.{number}.weight" in weights:
        kernel, spread = weights[f"layers.{number}.weight"], 2**number
        width = kernel.shape[2]
        earlier = np.pad(_norm(x, weights, f"norms.{number}"), ((0, 0), ((width - 1) * spread, 0), (0, 0)))
        seen = sum(earlier[:, k * spread : k * spread + length] @ kernel[:, :, k].T for k in range(width))
        x = x + _linear(np.maximum(seen + weights[f"layers.{number}.bias"], 0), weights, f"mix.{number}")
        number += 1
    return _norm(x, weights, "norm")


def _recurrent(x: FloatArray, weights: Weights, n_heads: int) -> FloatArray:
    number = 0
    while f"layers.weight_ih_l{number}" in weights:
        given = x @ weights[f"layers.weight_ih_l{number}"].T + weights[f"layers.bias_ih_l{number}"]
        again, bias = weights[f"layers.weight_hh_l{number}"].T, weights[f"layers.bias_hh_l{number}"]
        is_lstm = again.shape[1] == 4 * len(again)
        state, cell = (np.zeros((len(x), len(again)), np.float32) for _ in range(2))
        out = np.empty((*x.shape[:2], len(again)), np.float32)
        for place in range(x.shape[1]):
            own, kept = given[:, place], state @ again + bias
            if is_lstm:
                take, keep, new, show = np.split(own + kept, 4, axis=1)
                cell = expit(keep) * cell + expit(take) * np.tanh(new)
                state = expit(show) * np.tanh(cell)
            else:
                size = len(again)
                reset, stay = expit(own[:, :size] + kept[:, :size]), expit((own + kept)[:, size : 2 * size])
                new = np.tanh(own[:, 2 * size :] + reset * kept[:, 2 * size :])
                state = (1 - stay) * new + stay * state
            out[:, place] = state
        x, number = out, number + 1
    return _linear(x, weights, "out")


def _linear(x: FloatArray, weights: Weights, name: str) -> FloatArray:
    return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def _norm(x: FloatArray, weights: Weights, name: str) -> FloatArray:
    off = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((off * off).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    return np.asarray(off / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"])


BODIES: Mapping[str, Callable[[FloatArray, Weights, int], FloatArray]] = {
    "transformer": _transformer,
    "gru": _recurrent,
    "lstm": _recurrent,
    "convolution": _convolution,
}
