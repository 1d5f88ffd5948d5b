"""Leaves: spherical clusters of items. Their number is the one that tells most of what can be found twice.

Ward's tree in the sharpened space is cut into k groups and refined by spherical k-means. For k, the items are halved
at random; each half grows its own leaves, and both sort a common set of items. Their agreement, corrected for chance
(adjusted mutual information, Vinh et al. 2010), says which share of the leaves' information is no accident of the
sample. The number taken has the largest `agreement^2 * entropy`: at its best, a further leaf brings information that
is reproduced half as well as that of the leaves before. Few leaves say little, too many can't be found twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant.config import InterestsConfig
from penchant.data import FloatArray, IntArray
from penchant.interests.grouping import compact, grow, mean_rows, nearest_centre, refine
from penchant.interests.sharpen import sharpen

MIN_AGREEMENT = 0.2  # below it two halves see nothing in common: one leaf, and the facts say so
MAX_HALVED = 20_000  # items that take part in the search for the number
MAX_JUDGED = 5_000  # items on which two halves are compared
GRID_STEP = 1.07  # numbers tried: each up to 20, then rising by this ratio
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
        k, facts = choose_number(x, most, seed=seed)
    else:
        k, facts = min(config.n_leaves, n_distinct), {"chosen_by": "config", "asked": config.n_leaves}
    found = refine(x, grow(x, seed=seed).cut(k), 10)
    if config.n_leaves == "auto":
        found = merge_small(x, found, min_items)
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


def choose_number(values: FloatArray, most: int, *, seed: int) -> tuple[int, dict[str, Any]]:
    """The number of leaves, 1..most, that tells most of what can be found twice; and how it was found."""
    rng = np.random.default_rng(seed)
    if len(values) > MAX_HALVED:
        values = values[np.sort(rng.choice(len(values), MAX_HALVED, replace=False))]
    half = len(values) // 2
    grid = _grid(min(most, half))
    if not len(grid):
        return 1, {"chosen_by": "too few items"}
    n_rounds = int(np.clip(6000 // len(values), 2, 8))
    agreement, entropy = np.zeros(len(grid)), np.zeros(len(grid))
    for turn in range(n_rounds):
        order = rng.permutation(len(values))
        halves = [values[np.sort(order[:half])], values[np.sort(order[half:])]]
        judged = values[np.sort(order[:MAX_JUDGED])] if len(values) > MAX_JUDGED else values
        trees = [grow(part, seed=seed + turn) for part in halves]
        for i, k in enumerate(grid):
            sides = [
                nearest_centre(judged, mean_rows(part, refine(part, tree.cut(int(k)), 3)))
                for part, tree in zip(halves, trees, strict=True)
            ]
            agreement[i] += _agreement(*sides) / n_rounds
            entropy[i] += (_entropy(sides[0]) + _entropy(sides[1])) / (2 * n_rounds)
    best = int((np.maximum(agreement, 0.0) ** 2 * entropy).argmax())
    facts = {
        "chosen_by": "reproducible information of two halves",
        "agreement": round(float(agreement[best]), 4),
        "tried": [[int(k), round(float(a), 4)] for k, a in zip(grid, agreement, strict=True)],
    }
    if agreement[best] < MIN_AGREEMENT:
        return 1, {**facts, "chosen_by": f"two halves agree less than {MIN_AGREEMENT}"}
    return int(grid[best]), facts


def _grid(most: int) -> IntArray:
    """Numbers to try: 2..20, then geometrically up to `most`."""
    if most < 2:
        return np.zeros(0, np.int32)
    n_steps = max(1, int(np.ceil(np.log(max(most, 20) / 20) / np.log(GRID_STEP))) + 1)
    rising = np.geomspace(20, max(most, 20), n_steps).round()
    found = np.unique(np.r_[2:21, rising]).astype(np.int32)
    return found[found <= most]


def _agreement(a: IntArray, b: IntArray) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    if a.max() == a.min() or b.max() == b.min():
        return 0.0
    return float(adjusted_mutual_info_score(a, b))


def _entropy(labels: IntArray) -> float:
    share: npt.NDArray[np.float64] = np.bincount(labels) / len(labels)
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())
