"""Recommendations from a few medoids a user, after PinnerSage (Pal et al. 2020, KDD), without its ranking stage.

Items lie in a fixed space. Of the paper's steps: cluster the user's items (Ward), tell each cluster by its medoid,
weigh it by decayed frequency, take the items nearest to the few most important medoids. The paper draws medoids in
proportion to importance and leaves the order to a ranker behind; here places are dealt in the same proportion, so that
there is one list and nothing is drawn.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from penchant.config import Config
from penchant.data import Events, FloatArray, IntArray, unit_rows
from penchant.evaluate.peers import Peer, ValidationWindow
from penchant.rivals.task import Task
from penchant.rivals.ward import Medoids, Pasts, cut_trees, find_medoids, read_pasts
from penchant.scorers import build_scorer, top_items
from penchant.scorers.als import Als
from penchant.scorers.top import BATCH_BYTES
from penchant.threads import one_thread

SPACES = ("behaviour", "text")
CUTS = (1.5, 1.0, 2.5)
N_MEDOIDS = (3, 10)
DECAYS = (0.01, 0.1)  # a day; 3 medoids and 0.01 are the paper's
GRID: tuple[dict[str, Any], ...] = tuple(
    {"space": space, "cut": cut, "n_medoids": n, "decay": decay}
    for space, cut, n, decay in product(SPACES, CUTS, N_MEDOIDS, DECAYS)
)


def check(name: str, config: Config) -> None:
    """Nothing to install."""


def fit(name: str, task: Task) -> Peer:
    """Choose space, cut, number of medoids and decay on the last part of train, then list from all of train.

    Time: a Ward clustering a user and space, and scores of all items for each different medoid of each user. Memory:
    the k nearest items of each of these medoids.
    """
    window = task.window
    text = task.text
    grid = [row for row in GRID if row["space"] != "text" or (text is not None and text.present.any())]
    notes = () if len(grid) == len(GRID) else (f"{name}: no text is read; items lie in the space of behaviour alone",)
    validation = _validate(grid, task, window) if window is not None else ()
    settings = grid[int(np.argmax(validation))] if validation else grid[0]
    if not validation:
        notes = (*notes, f"{name}: train is too short to choose settings on; took {settings}")
    vectors = item_space(settings["space"], task, task.train)
    pasts = read_pasts(task.train, task.user_rows, vectors)
    labels = cut_trees(pasts, vectors, [settings["cut"]])[0]
    medoids = find_medoids(pasts, labels, vectors, decay=settings["decay"], n_medoids=settings["n_medoids"])
    near = Neighbours(vectors, task.user_rows, task.seen, [medoids], task.k)
    return Peer(task.complete(task.user_rows, near.lists(medoids, task.k)), settings, validation, notes)


def item_space(space: str, task: Task, events: Events) -> FloatArray:
    """(n_items, d) unit rows as known from `events`, zeros for items nothing is known of."""
    if space == "text":
        text = task.text_before(events)
        assert text is not None
        return text.values
    als = build_scorer("als", seed=task.config.seed)
    als.fit(events, task.n_items)
    assert isinstance(als, Als)
    return unit_rows(als.item_factors)


def _validate(grid: list[dict[str, Any]], task: Task, window: ValidationWindow) -> tuple[float, ...]:
    """NDCG@k of each row of the grid on the window, k as for every peer (`evaluate.k`)."""
    k = task.config.evaluate.k
    found: dict[tuple[Any, ...], float] = {}
    for space in dict.fromkeys(row["space"] for row in grid):
        vectors = item_space(space, task, window.train)
        pasts = read_pasts(window.train, window.user_rows, vectors)
        labels = dict(zip(CUTS, cut_trees(pasts, vectors, CUTS), strict=True))
        rows = [row for row in grid if row["space"] == space]
        medoids = [_medoids_of(row, pasts, labels, vectors) for row in rows]
        near = Neighbours(vectors, window.user_rows, window.seen, medoids, k)
        for row, chosen in zip(rows, medoids, strict=True):
            found[tuple(row.values())] = window.ndcg(near.lists(chosen, k), k)
    return tuple(found[tuple(row.values())] for row in grid)


def _medoids_of(row: dict[str, Any], pasts: Pasts, labels: dict[float, IntArray], vectors: FloatArray) -> Medoids:
    return find_medoids(pasts, labels[row["cut"]], vectors, decay=row["decay"], n_medoids=row["n_medoids"])


class Neighbours:
    """The k unseen items nearest to each user's medoids, by cosine; each (user, medoid) once, however many ask for it.

    Items without a vector come last; equal cosines by item row, compared to five decimals: the last bits of a product
    of matrices follow the order of its rows.

    Args:
        vectors: (n_items, d) unit rows. user_rows: (n,) of `seen`. medoids: all that will be asked for.
    """

    def __init__(self, vectors: FloatArray, user_rows: IntArray, seen: Any, medoids: list[Medoids], k: int) -> None:
        self._n_items = len(vectors)
        self._pairs = np.unique(np.concatenate([self._key(m)[m.item >= 0] for m in medoids]))
        user, medoid = user_rows[self._pairs // self._n_items], self._pairs % self._n_items
        absent = np.abs(vectors).sum(axis=1) == 0
        self._near = np.full((len(self._pairs), k), -1, np.int32)
        step = max(1, BATCH_BYTES // (4 * max(1, self._n_items)))
        with one_thread("blas"):  # equal bytes on any number of threads
            for start in range(0, len(self._pairs), step):
                at = slice(start, start + step)
                cosine = np.round(vectors[medoid[at]] @ vectors.T, 5)
                cosine[:, absent] = -2.0
                self._near[at] = top_items(cosine, k, seen[user[at]])

    def lists(self, medoids: Medoids, k: int) -> IntArray:
        """(n, k) item rows, places dealt to the medoids in proportion to their shares; -1 where fewer are left."""
        at = np.minimum(np.searchsorted(self._pairs, self._key(medoids)), max(len(self._pairs) - 1, 0))
        near = self._near[at] if len(self._pairs) else np.full((*medoids.item.shape, self._near.shape[1]), -1)
        return deal(np.where(medoids.item[:, :, None] >= 0, near, -1), medoids.share, k)

    def _key(self, medoids: Medoids) -> Any:
        """(n, w) one number a (user, medoid)."""
        return np.arange(len(medoids.item), dtype=np.int64)[:, None] * self._n_items + medoids.item


def deal(lists: IntArray, share: FloatArray, k: int) -> IntArray:
    """Merge several lists a row into one, each getting places in proportion to its share (Sainte-Lague).

    The item at place r (from 0) of a list with share s stands at (r + 1/2) / s, an item of several lists at its best
    place; equal places by item row.

    Args:
        lists: (n, w, p) item rows, -1 for none. share: (n, w).
    Returns:
        (n, k), -1 where fewer items are left.

    >>> deal(np.array([[[7, 8, 9], [3, 8, 4]]]), np.array([[0.7, 0.3]]), 4).tolist()  # 7 at .7, 3 at 1.7, 8 at 2.1
    [[7, 3, 8, 9]]
    """
    n, width, depth = lists.shape
    place = (np.arange(depth) + 0.5) / np.maximum(share, 1e-12)[:, :, None].astype(np.float64)
    row = np.repeat(np.arange(n), width * depth)
    kept = lists.ravel() >= 0
    row, item, place = row[kept], lists.ravel()[kept], place.ravel()[kept]
    order = np.lexsort((place, item, row))
    row, item, place = row[order], item[order], place[order]
    first = np.r_[True, (row[1:] != row[:-1]) | (item[1:] != item[:-1])] if len(row) else np.zeros(0, bool)
    row, item, place = row[first], item[first], place[first]
    order = np.lexsort((item, place, row))
    row, item = row[order], item[order]
    at = np.arange(len(row)) - np.searchsorted(row, row)
    out = np.full((n, k), -1, np.int32)
    out[row[at < k], at[at < k]] = item[at < k]
    return out
