"""A sequence network that has learned on one log, as the start of another; texts are what the two have in common.

Carried over: how a text becomes an item vector, and how events in order become what is expected next. Not carried
over: what single items are by themselves, as the other log has other items. See docs/transfer.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penchant.config import NeuralConfig
from penchant.data import FloatArray, Vectors
from penchant.errors import ConfigError, ModelError

# The form of a network: weights fit only one of the same.
_FORM = ("n_dims", "n_layers", "n_heads", "max_length")


@dataclass(frozen=True)
class Start:
    """A trained sequence network. weights: by name. text_map: (n_dims, n_text_dims)."""

    method: str
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
