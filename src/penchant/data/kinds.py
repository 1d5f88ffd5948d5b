"""The arrays and the saved form that every stage speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
TimeArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LAYERS = ("core", "secondary", "peripheral")
STATES = ("emerging", "steady", "fading", "dormant")
DAY_S = 86_400.0

Clock = Literal["time", "order"]


@dataclass(frozen=True)
class Parts:
    """The saved form of anything: settings, arrays and tables. No pickle."""

    config: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)


def unit_rows(values: npt.NDArray[np.floating]) -> FloatArray:
    """Rows scaled to length 1; rows of zeros stay.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norms = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))[:, None]
    return np.asarray(np.divide(values, norms, out=np.zeros(values.shape, np.float64), where=norms > 0), np.float32)
