"""Leaves: clusters of items by Ward's tree and spherical k-means in the sharpened space; their number is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from penchant.config import InterestsConfig
from penchant.data import FloatArray, IntArray
from penchant.interests.grouping import compact, grow, mean_rows, nearest_centre, refine
from penchant.interests.number import choose_number, dissolve
from penchant.interests.sharpen import sharpen

N_STEPS = 10  # of spherical k-means after the cut
SMALL = 60  # in catalogues below it leaves may be smaller than `min_leaf_items`, down to a twelfth of all


@dataclass(frozen=True)
class Leaves:
    """labels: (n,) -1 for rows of zeros; space: (n, d) unit rows in which the leaves are compact (zeros likewise)."""

    labels: IntArray
    n_leaves: int
    space: FloatArray
    facts: Mapping[str, Any]


def find_leaves(values: FloatArray, config: InterestsConfig, *, seed: int) -> Leaves:
    """Cluster items into leaves.

    Args:
        values: (n, d) unit rows of the fused space; rows of zeros get no leaf.
        config: `n_leaves`, `max_leaves`, `min_leaf_items`.
        seed: of the halves and of the first centres in large catalogues.
    Returns:
        The leaves; at least one, even if no item has a row (it is empty then).
    """
    labels = np.full(len(values), -1, np.int32)
    rows = np.flatnonzero(np.abs(values).max(axis=1, initial=0) > 0)
    if len(rows) < 2 or not np.ptp(values[rows], axis=0).any():
        labels[rows] = 0
        return Leaves(labels, 1, values, {"n_leaves": 1, "chosen_by": "no two items differ"})
    x = sharpen(values[rows], seed=seed)
    n_distinct = len(np.unique(x, axis=0))
    min_items = config.min_leaf_items if len(rows) >= SMALL else min(config.min_leaf_items, max(1, len(rows) // 12))
    if config.n_leaves == "auto":
        most = max(1, min(config.max_leaves, n_distinct, len(rows) // min_items))
        search = choose_number(x, most, seed=seed)
        found = dissolve(x, refine(x, grow(x, seed=seed).cut(search.k), N_STEPS), search)
        found = merge_small(x, found, min_items)
        facts = dict(search.facts)
    else:
        found = refine(x, grow(x, seed=seed).cut(min(config.n_leaves, n_distinct)), N_STEPS)
        facts = {"chosen_by": "config", "asked": config.n_leaves}
    labels[rows] = found
    space = np.zeros((len(values), x.shape[1]), np.float32)
    space[rows] = x
    n_leaves = int(found.max()) + 1
    return Leaves(labels, n_leaves, space, {"n_leaves": n_leaves, "min_leaf_items": min_items, **facts})


def merge_small(values: FloatArray, labels: IntArray, min_items: int) -> IntArray:
    """Move the items of leaves below `min_items` to the nearest larger leaf (all into one if none is large)."""
    sizes = np.bincount(labels)
    large = np.flatnonzero(sizes >= min_items)
    if not len(large):
        return np.zeros_like(labels)
    move = ~np.isin(labels, large)
    out = labels.copy()
    if move.any():
        out[move] = large[nearest_centre(values[move], mean_rows(values, labels)[large])]
    return compact(out)
