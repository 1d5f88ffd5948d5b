"""A sequence network that has learned on one log, carried over to another; texts are what the two have in common.

Carried over: how a text becomes an item vector, and how events in order become what is expected next. Not carried
over: what single items are by themselves, as the other log has other items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from penchant.config import NeuralConfig
from penchant.data import FloatArray, Vectors
from penchant.errors import ConfigError, ModelError
from penchant.represent.sequence_networks import SequenceTraining

FineTune = Literal["all", "items", "nothing"]
# The form of a network: weights fit only one of the same.
_FORM = ("n_dims", "n_layers", "n_heads", "max_length")


@dataclass(frozen=True)
class Start:
    """A trained sequence network. weights: of `Sequence`, "weights.<name>". text_map: (n_dims, n_text_dims)."""

    method: str
    name: str
    neural: NeuralConfig
    actions: Sequence[str]
    weights: Mapping[str, np.ndarray[Any, Any]]
    text_map: FloatArray

    def check(self, method: str, neural: NeuralConfig, text: Vectors | None) -> None:
        """Refuse what can't be started from here.

        Raises:
            ConfigError: another method or form of network. ModelError: no texts, or texts of another encoder's size.
        """
        if method != self.method:
            raise ConfigError(
                f"represent.start_from: that model's network is a {self.method}, represent.method is '{method}'; "
                f"set represent.method={self.method}"
            )
        for name in _FORM:
            got, needed = getattr(neural, name), getattr(self.neural, name)
            if got != needed:
                raise ConfigError(
                    f"represent.start_from: that network has {name}={needed}. Got {got} instead; "
                    f"set represent.neural.{name}={needed}"
                )
        n_dims = text.values.shape[1] if text is not None and text.present.any() else 0
        if n_dims != self.text_map.shape[1]:
            raise ModelError(
                f"represent.start_from: that network reads texts as {self.text_map.shape[1]} numbers. Got {n_dims} "
                "(0: no item has a text); give items with texts, read by that model's encoder"
            )

    def carry(self, network: SequenceTraining, actions: Sequence[str], fine_tune: FineTune) -> None:
        """Put the weights into a fresh network of the same form, in place; what has no counterpart stays fresh.

        Actions are matched by name; a network that reads no times here loses what was learned of gaps. Items with a
        text begin as their text says. With `fine_tune` "items" the weights carried over are held fast.
        """
        with torch.no_grad():
            for name, place in network.sequence.state_dict().items():
                saved = self.weights.get(f"weights.{name}")
                if saved is None:
                    continue
                if name == "action.weight":
                    for row, action in enumerate(actions, start=1):
                        if action in self.actions:
                            place[row] = torch.from_numpy(np.array(saved[list(self.actions).index(action) + 1]))
                else:
                    place.copy_(torch.from_numpy(np.array(saved)))
            table, from_text = network.table, network.table.from_text
            assert from_text is not None  # `check` saw texts
            from_text.weight.copy_(torch.from_numpy(np.array(self.text_map)))
            table.own.weight.mul_(~table.has_text)
        if fine_tune == "items":
            network.sequence.requires_grad_(False)
            from_text.requires_grad_(False)
