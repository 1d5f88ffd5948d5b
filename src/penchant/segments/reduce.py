"""Few dimensions before methods that need them: distances tell little in many, and covariances can't be learnt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penchant.data import FloatArray
from penchant.segments.method import Floats

MAX_DIMS = 20


@dataclass(frozen=True)
class Reduced:
    """values: (n, m) float64. mean, axes: (d,), (d, m): values = (rows - mean) @ axes."""

    values: Floats
    mean: Floats
    axes: Floats


def reduce(rows: FloatArray, seed: int) -> Reduced:
    """Principal components, as many as hold more variance than chance gives.

    Chance is the same rows with every column shuffled (parallel analysis, Horn 1965): what is left is how columns go
    together. At least two components (one, where rows have one column) and at most 20. Callers limit it to one thread.

    Args:
        rows: (n, d) finite.

    >>> rows = np.repeat(np.eye(3, 6, dtype=np.float32), 20, axis=0)
    >>> reduce(rows, 0).values.shape
    (60, 2)
    """
    values = np.asarray(rows, np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    shuffled = np.random.default_rng(seed).permuted(centred, axis=0)
    strength, axes = np.linalg.eigh(centred.T @ centred)
    by_chance = np.linalg.eigvalsh(shuffled.T @ shuffled)[::-1]
    strength, axes = strength[::-1], axes[:, ::-1]
    above = int(np.cumprod(strength > by_chance * (1 + 1e-9)).sum())
    m = min(max(2, above), MAX_DIMS, values.shape[1])
    axes = np.ascontiguousarray(axes[:, :m])
    return Reduced(centred @ axes, mean, axes)


def directions(values: Floats) -> Floats:
    """Rows at unit length: user rows lie on a sphere, and those with little to tell lie near its middle.

    In fewer than three dimensions too little would be left, and the values stay as they are.
    """
    if values.shape[1] < 3:
        return values
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(length > 0, length, 1.0))
