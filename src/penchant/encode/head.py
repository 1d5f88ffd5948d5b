"""A small residual network on top of frozen text vectors: trained with torch, run with NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from penchant.data import FloatArray, unit_rows
from penchant.errors import ModelError
from penchant.threads import one_thread

_SHAPES = {"straight": "dd", "inner": "hd", "inner_bias": "h", "outer": "dh", "outer_bias": "d"}


@dataclass(frozen=True)
class Head:
    """y = x + S x + B relu(A x + a) + b, scaled to unit length; a row of zeros stays one.

    straight: (d, d) S. inner: (h, d) A. inner_bias: (h,) a. outer: (d, h) B. outer_bias: (d,) b.
    """

    straight: FloatArray
    inner: FloatArray
    inner_bias: FloatArray
    outer: FloatArray
    outer_bias: FloatArray

    def apply(self, vectors: FloatArray) -> FloatArray:
        """(n, d) unit vectors to (n, d) unit vectors."""
        with one_thread():
            hidden = np.maximum(vectors @ self.inner.T + self.inner_bias, 0)
            moved = vectors + vectors @ self.straight.T + hidden @ self.outer.T + self.outer_bias
        return unit_rows(moved * vectors.any(axis=1, keepdims=True))

    def to_arrays(self) -> dict[str, FloatArray]:
        return {f"head.{name}": getattr(self, name) for name in _SHAPES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Self:
        """Read the saved form back.

        Raises:
            ModelError: an array is missing or of another shape.
        """
        try:
            found = {name: arrays[f"head.{name}"] for name in _SHAPES}
        except KeyError as error:
            raise ModelError(f"tuned encoder: the saved part {error} is missing; fit the model again") from None
        h, d = found["inner"].shape if found["inner"].ndim == 2 else (-1, -1)
        sizes = {"h": h, "d": d}
        for name, shape in _SHAPES.items():
            if found[name].shape != tuple(sizes[letter] for letter in shape):
                raise ModelError(
                    f"tuned encoder: the saved part 'head.{name}' has shape {found[name].shape}, which does not fit "
                    f"{h} hidden units over {d} dims; fit the model again"
                )
        return cls(**found)
