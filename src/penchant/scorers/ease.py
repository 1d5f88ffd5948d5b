"""EASE: a linear model of each item from all others, solved in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.data import Events, FloatArray, IntArray, Parts
from penchant.errors import DataError
from penchant.scorers.tail import Tail, solve_tail
from penchant.scorers.top import top_neighbours


class Ease:
    """Score = past @ B, where B minimises |X - XB|^2 + regularization |B|^2 with a zero diagonal (Steck 2019).

    B is dense on the `max_items` most popular liked items (ties: the lower row), the head. Where there are more, the
    others with `tail_users` users or more are tied to the head by sparse weights, still in closed form
    (`penchant.scorers.tail`), and those with fewer score zero; `notes` says so.

    Args:
        regularization: L2 weight, in users.
        max_items: items in the head: 4 * max_items^2 bytes, twice that while solving; time grows with its cube.
        tail_users: least users of an item of the tail; 0 = no tail.
        n_tail: weights kept an item of the tail.
        n_neighbours: most items a row of `similar` keeps.
    """

    name = "ease"
    draws = False
    reads_texts = False
    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"regularization": 50.0},
        {"regularization": 200.0},
        {"regularization": 500.0},
        {"regularization": 2000.0},
    )

    def __init__(
        self,
        *,
        regularization: float = 200.0,
        max_items: int = 10_000,
        tail_users: int = 3,
        n_tail: int = 50,
        n_neighbours: int = 100,
    ) -> None:
        self.regularization = regularization
        self.max_items = max_items
        self.tail_users = tail_users
        self.n_tail = n_tail
        self.n_neighbours = n_neighbours
        self.notes: tuple[str, ...] = ()
        self.n_items = 0
        self.kept_rows: IntArray = np.zeros(0, np.int32)
        self.weights: FloatArray = np.zeros((0, 0), np.float32)
        self.tail_rows: IntArray = np.zeros(0, np.int32)
        self.tail = Tail(sp.csr_array((0, 0), dtype=np.float32), sp.csr_array((0, 0), dtype=np.float32))

    def fit(self, events: Events, n_items: int) -> None:
        """Solve on the liked items; one BLAS thread, so the bytes do not depend on their number."""
        matrix = events.matrix(n_items, binary=True)
        self.n_items = n_items
        self._choose(matrix)
        n = len(self.kept_rows)
        if n == 0:
            self.weights = np.zeros((0, 0), np.float32)
            return
        kept = matrix[:, self.kept_rows].tocsr()
        gram = np.asfortranarray((kept.T @ kept).toarray(), dtype=np.float32)
        gram[np.diag_indices(n)] += np.float32(self.regularization)
        inverse = _invert(gram)
        if len(self.tail_rows):
            tail = sp.csr_array(matrix[:, self.tail_rows])
            self.tail = solve_tail(inverse, kept, tail, self.regularization, self.n_tail)
        inverse /= -np.diag(inverse)[None, :].copy()
        np.fill_diagonal(inverse, 0.0)
        self.weights = np.ascontiguousarray(inverse)

    def score(self, user_rows: IntArray, history: sp.csr_array) -> FloatArray:
        """Return (len(user_rows), n_items) float32."""
        past = sp.csr_array(history[user_rows], dtype=np.float32)[:, self.kept_rows]
        known = np.asarray(past @ self.weights, np.float32)
        if len(self.kept_rows) == self.n_items:
            return known
        out = np.zeros((len(user_rows), self.n_items), np.float32)
        if len(self.tail_rows):
            rare = sp.csr_array(history[user_rows], dtype=np.float32)[:, self.tail_rows]
            known += (rare @ self.tail.to_head).toarray()
            out[:, self.tail_rows] = (past @ self.tail.to_tail).toarray()
        out[:, self.kept_rows] = known
        return out

    def similar(self, item_rows: IntArray) -> sp.csr_array:
        """(len(item_rows), n_items) CSR: the strongest positive weights from each item to others."""
        place = np.full(self.n_items, -1, np.int32)
        place[self.kept_rows] = np.arange(len(self.kept_rows), dtype=np.int32)
        known = np.flatnonzero(place[item_rows] >= 0)
        top = top_neighbours(self.weights[place[item_rows[known]]], place[item_rows[known]], self.n_neighbours).tocoo()
        return sp.csr_array(
            (top.data, (known[top.row], self.kept_rows[top.col])),
            shape=(len(item_rows), self.n_items),
            dtype=np.float32,
        )

    def to_parts(self) -> Parts:
        return Parts(
            config={
                "name": self.name,
                "settings": {
                    "regularization": self.regularization,
                    "max_items": self.max_items,
                    "tail_users": self.tail_users,
                    "n_tail": self.n_tail,
                    "n_neighbours": self.n_neighbours,
                },
                "n_items": self.n_items,
                "notes": list(self.notes),
            },
            arrays={
                "kept_rows": self.kept_rows,
                "weights": self.weights,
                "tail_rows": self.tail_rows,
                **csr_to_arrays(self.tail.to_tail, "to_tail"),
                **csr_to_arrays(self.tail.to_head, "to_head"),
            },
        )

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        out = cls(**parts.config["settings"])
        out.n_items = int(parts.config["n_items"])
        out.notes = tuple(parts.config["notes"])
        out.kept_rows = parts.arrays["kept_rows"]
        out.weights = parts.arrays["weights"]
        out.tail_rows = parts.arrays["tail_rows"]
        out.tail = Tail(*(csr_from_arrays(parts.arrays, name) for name in ("to_tail", "to_head")))
        return out

    def _choose(self, matrix: sp.csr_array) -> None:
        """Which items are head, which tail, and what is said of the others."""
        users = np.bincount(matrix.indices, minlength=matrix.shape[1])
        liked = np.flatnonzero(users > 0)
        order = liked[np.argsort(-users[liked], kind="stable")]
        head, rest = order[: self.max_items], order[self.max_items :]
        tail = rest[users[rest] >= self.tail_users] if self.tail_users and len(head) else rest[:0]
        self.kept_rows, self.tail_rows = np.sort(head).astype(np.int32), np.sort(tail).astype(np.int32)
        self.tail = Tail(*(sp.csr_array((0, 0), dtype=np.float32) for _ in range(2)))
        self.notes = ()
        if len(rest):
            note = f"ease: kept the {len(head):,} most popular of {len(liked):,} items"
            note += f" in full and tied {len(tail):,} to them" if len(tail) else ""
            self.notes = (note + ("; the others score zero" if len(tail) < len(rest) else ""),)


def _invert(gram: FloatArray) -> FloatArray:
    """Invert a symmetric positive definite matrix in place (Cholesky); needs no second matrix of its size."""
    from scipy.linalg import lapack

    from penchant.threads import one_thread

    with one_thread("blas"):
        factor, failed = lapack.spotrf(gram, lower=1, clean=1, overwrite_a=1)
        if not failed:
            factor, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise DataError(
            "ease: the item matrix can't be inverted; raise `regularization` (must be > 0, in users, e.g. 200)"
        )
    lower = np.tril_indices(len(factor), -1) if len(factor) <= 2000 else None
    if lower is not None:
        factor.T[lower] = factor[lower]
        return np.asarray(factor, np.float32)
    for start in range(0, len(factor), 1000):  # by blocks: index arrays of a large triangle would outweigh the matrix
        stop = start + 1000
        factor[start:stop, start:stop] = (
            np.tril(factor[start:stop, start:stop]) + np.tril(factor[start:stop, start:stop], -1).T
        )
        factor[start:stop, stop:] = factor[stop:, start:stop].T
    return np.asarray(factor, np.float32)
