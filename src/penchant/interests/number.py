"""How many leaves: the number that tells most of what can be found twice; and which leaves are found again.

For each number k tried, the items are halved at random; each half grows its own leaves, and both sort the same items.
Their agreement, corrected for chance (adjusted mutual information, Vinh et al. 2010), says which share of the leaves'
information is no accident of the sample. The number taken has the largest `agreement^3 * entropy`: up to it, what a
further leaf tells is found twice at least two thirds as well as what the leaves before tell. (With reproduced
information R = agreement * entropy H this is R^3 / H^2, which grows while dR/dH > 2/3 * R/H.) Few leaves say little,
too many can't be found twice.

A single leaf is judged by its best Jaccard overlap with any group that a half saw (Hennig 2007, "Cluster-wise
assessment of cluster stability", who calls a cluster dissolved at 0.5 or less). Where the items form a continuum, no
leaf keeps sharp borders; so the bar is half of what the catalogue's middling leaf reaches: in clear ones, Hennig's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant.data import FloatArray, IntArray
from penchant.interests.grouping import compact, grow, mean_rows, nearest_centre, refine

PATIENCE = 3  # the power above; of 1.5, 2, 2.5, 3 and 4 it was nearest to the truth on all mixtures and markets tried
MIN_AGREEMENT = 0.3  # below it the halves see little in common (plain noise gives 0.2): one leaf, and the facts say so
DISSOLVED = 0.5  # a leaf is not found again whose overlap is at most this share of the median leaf's
MAX_HALVED = 20_000  # items that take part in the search
MAX_COMPARED = 5_000  # items on which two halves are compared
GRID_STEP = 1.08  # numbers tried: each up to FINE, then rising by this ratio
FINE = 12


@dataclass(frozen=True)
class Search:
    """The number found, the facts, and what the halves saw: `views[h]` = labels of `rows` for each number tried."""

    k: int
    facts: Mapping[str, Any]
    rows: IntArray
    views: list[list[IntArray]] = field(default_factory=list)


def choose_number(values: FloatArray, most: int, *, seed: int) -> Search:
    """Find the number of leaves.

    Args:
        values: (n, d) unit rows. most: the largest number allowed.
        seed: of the halves.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(values), dtype=np.int32)
    if len(rows) > MAX_HALVED:
        rows = np.sort(rng.choice(rows, MAX_HALVED, replace=False))
    x = values[rows]
    half = len(x) // 2
    grid = _grid(min(most, half))
    if not len(grid):
        return Search(1, {"chosen_by": "too few items"}, rows)
    n_rounds = int(np.clip(6000 // len(x), 2, 8))
    agreement, entropy = np.zeros(len(grid)), np.zeros(len(grid))
    views: list[list[IntArray]] = []
    for turn in range(n_rounds):
        order = rng.permutation(len(x))
        pair = [_views(x, np.sort(part), grid, seed + turn) for part in (order[:half], order[half:])]
        views += pair
        compared = order[:MAX_COMPARED]
        for i in range(len(grid)):
            a, b = pair[0][i][compared], pair[1][i][compared]
            agreement[i] += _agreement(a, b) / n_rounds
            entropy[i] += (_entropy(a) + _entropy(b)) / (2 * n_rounds)
    best = int((np.maximum(agreement, 0.0) ** PATIENCE * entropy).argmax())
    facts = {
        "chosen_by": "reproducible information of two halves",
        "agreement": round(float(agreement[best]), 4),
        "tried": [  # number, agreement, entropy in nats
            [int(k), round(float(a), 4), round(float(e), 4)] for k, a, e in zip(grid, agreement, entropy, strict=True)
        ],
    }
    if agreement[best] < MIN_AGREEMENT:
        return Search(1, {**facts, "chosen_by": f"two halves agree less than {MIN_AGREEMENT}"}, rows)
    return Search(int(grid[best]), facts, rows, views)


def dissolve(values: FloatArray, labels: IntArray, search: Search) -> IntArray:
    """Give up leaves that the halves did not find again, the worst first; their items join the nearest other leaf.

    Args:
        values: (n, d) unit rows. labels: (n,) leaves. search: what `choose_number` gave for the same rows.
    """
    if not search.views:
        return labels
    labels = labels.copy()
    overlap = {int(leaf): _overlap(labels[search.rows] == leaf, search) for leaf in np.unique(labels)}
    bar = DISSOLVED * float(np.median(list(overlap.values())))
    while len(overlap) > 2:
        worst = min(overlap, key=lambda leaf: (overlap[leaf], leaf))
        if overlap.pop(worst) > bar:
            break
        kept = np.array(sorted(overlap))
        move = np.flatnonzero(labels == worst)
        labels[move] = kept[nearest_centre(values[move], mean_rows(values, labels)[kept])]
        for leaf in np.unique(labels[move]).tolist():
            overlap[leaf] = _overlap(labels[search.rows] == leaf, search)
    return compact(labels)


def _overlap(inside: npt.NDArray[np.bool_], search: Search) -> float:
    """Mean over the halves of the best Jaccard overlap of a leaf with any group of any number tried."""
    n_inside = int(inside.sum())
    if n_inside == 0:  # none of its items took part in the search: nothing speaks against it
        return 1.0
    best = []
    for views in search.views:
        top = 0.0
        for labels in views:
            shared = np.bincount(labels[inside], minlength=1)
            sizes = np.bincount(labels)[: len(shared)]
            top = max(top, float((shared / (sizes + n_inside - shared)).max()))
        best.append(top)
    return float(np.mean(best))


def _views(values: FloatArray, part: IntArray, grid: IntArray, seed: int) -> list[IntArray]:
    """Labels of all rows by the leaves that one half grows, for each number."""
    mine = values[part]
    tree = grow(mine, seed=seed)
    return [nearest_centre(values, mean_rows(mine, refine(mine, tree.cut(int(k)), 3))) for k in grid]


def _grid(most: int) -> IntArray:
    """Numbers to try: 2..FINE, then geometrically up to `most`."""
    if most < 2:
        return np.zeros(0, np.int32)
    n_steps = int(np.ceil(np.log(max(most, FINE) / FINE) / np.log(GRID_STEP))) + 1
    rising = np.geomspace(FINE, max(most, FINE), n_steps).round()
    found = np.unique(np.r_[2 : FINE + 1, rising]).astype(np.int32)
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
