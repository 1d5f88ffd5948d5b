"""Leaves: clusters of items, their number found from the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from penchant.config import InterestsConfig
from penchant.data import FloatArray, IntArray
from penchant.interests.neighbours import nearest


@dataclass(frozen=True)
class Leaves:
    """labels: (n,) -1 for rows of zeros; neighbours: (n, k) rows of nearest others, -1 where there are none."""

    labels: IntArray
    n_leaves: int
    neighbours: IntArray
    facts: Mapping[str, Any]


def find_leaves(values: FloatArray, config: InterestsConfig, *, seed: int) -> Leaves:
    from sklearn.cluster import KMeans

    labels = np.full(len(values), -1, np.int32)
    neighbours = np.full((len(values), 15), -1, np.int32)
    rows = np.flatnonzero(np.abs(values).max(axis=1, initial=0) > 0)
    x = values[rows]
    if not len(rows):
        return Leaves(labels, 1, neighbours, {"n_leaves": 1})
    local = nearest(x, 15)
    neighbours[rows] = np.where(local >= 0, rows[local], -1)
    k = max(1, min(config.max_leaves, int(np.sqrt(len(rows))), len(np.unique(x, axis=0))))
    labels[rows] = KMeans(k, random_state=seed, n_init=1).fit_predict(x)
    return Leaves(labels, k, neighbours, {"n_leaves": k})
