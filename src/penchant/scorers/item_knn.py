"""Item-to-item neighbours under BM25 weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.data import Events, FloatArray, IntArray, Parts


class ItemKnn:
    """Score = sum, over the user's past items, of their similarity to the item; each item keeps its k neighbours.

    An item is a document, its users are the words, each once: entries get BM25 weights (Robertson & Zaragoza 2009),
    similarity is the dot product of two items' rows.

    Args:
        k: neighbours kept an item, itself not counted.
        k1: BM25's saturation; b: how much long documents (popular items) are held down, 0..1.
    """

    name = "item_knn"
    draws = False
    reads_texts = False
    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"k": 20, "b": 0.75},
        {"k": 20, "b": 0.3},
        {"k": 100, "b": 0.3},
        {"k": 400, "b": 0.75},
    )

    def __init__(self, *, k: int = 20, k1: float = 1.2, b: float = 0.3) -> None:
        self.k = k
        self.k1 = k1
        self.b = b
        self.notes: tuple[str, ...] = ()
        self.neighbours = sp.csr_array((0, 0), dtype=np.float32)

    def fit(self, events: Events, n_items: int) -> None:
        """Time: the sum over users of (their items) squared. Memory: k numbers an item."""
        from implicit.nearest_neighbours import all_pairs_knn, bm25_weight

        matrix = events.matrix(n_items, binary=True)
        if matrix.nnz == 0:
            self.neighbours = sp.csr_array((n_items, n_items), dtype=np.float32)
            return
        weighted = sp.csr_matrix(bm25_weight(matrix.T, K1=self.k1, B=self.b).T)
        # rows are computed one by one, so the number of threads does not change a bit of the result
        pairs = all_pairs_knn(weighted, K=self.k + 1, show_progress=False).tocoo()
        keep = (pairs.row != pairs.col) & (pairs.data > 0)
        row, column, value = pairs.row[keep], pairs.col[keep], pairs.data[keep].astype(np.float32)
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        first = np.searchsorted(row, np.arange(n_items))
        kept = np.arange(len(row)) - first[row] < self.k
        self.neighbours = sp.csr_array(
            (value[kept], (row[kept], column[kept])), shape=(n_items, n_items), dtype=np.float32
        )
        self.neighbours.sort_indices()

    def score(self, user_rows: IntArray, history: sp.csr_array) -> FloatArray:
        """Return (len(user_rows), n_items) float32."""
        past = sp.csr_array(history[user_rows], dtype=np.float32)
        return np.asarray((past @ self.neighbours).toarray(), np.float32)

    def similar(self, item_rows: IntArray) -> sp.csr_array:
        """(len(item_rows), n_items) CSR: the neighbours kept at the fit."""
        return sp.csr_array(self.neighbours[item_rows])

    def to_parts(self) -> Parts:
        config = {"name": self.name, "settings": {"k": self.k, "k1": self.k1, "b": self.b}}
        return Parts(config=config, arrays=csr_to_arrays(self.neighbours, "neighbours"))

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        out = cls(**parts.config["settings"])
        out.neighbours = csr_from_arrays(parts.arrays, "neighbours")
        return out
