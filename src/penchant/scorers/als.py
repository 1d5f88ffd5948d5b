"""Implicit-feedback matrix factorisation by alternating least squares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from penchant.data import Events, FloatArray, IntArray, Parts
from penchant.scorers.top import BATCH_BYTES, top_neighbours


class Als:
    """Score = user factors . item factors (Hu, Koren & Volinsky 2008); user factors are solved from the past given.

    Args:
        n_factors: size of the factors.
        regularization: weight of the squared norm.
        alpha: confidence of an entry of 1.
        n_rounds: alternations.
        n_neighbours: most items a row of `similar` keeps.
        seed: of the first factors.
    """

    name = "als"
    draws = True
    reads_texts = False
    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"n_factors": 32, "alpha": 5.0},
        {"n_factors": 64, "alpha": 5.0},
        {"n_factors": 128, "alpha": 5.0},
        {"n_factors": 64, "alpha": 1.0},
    )

    def __init__(
        self,
        *,
        n_factors: int = 64,
        regularization: float = 0.1,
        alpha: float = 5.0,
        n_rounds: int = 15,
        n_neighbours: int = 100,
        seed: int = 0,
    ) -> None:
        self.settings: dict[str, Any] = {
            "n_factors": n_factors,
            "regularization": regularization,
            "alpha": alpha,
            "n_rounds": n_rounds,
            "n_neighbours": n_neighbours,
            "seed": seed,
        }
        self.notes: tuple[str, ...] = ()
        self.item_factors: FloatArray = np.zeros((0, n_factors), np.float32)
        self._solver: Any = None

    def fit(self, events: Events, n_items: int) -> None:
        """Time: rounds x entries x factors. Memory: (n_users + n_items) x factors float32."""
        from penchant.threads import one_thread

        matrix = events.matrix(n_items, binary=True)
        if matrix.nnz == 0:
            self.item_factors = np.zeros((n_items, self.settings["n_factors"]), np.float32)
            return
        with one_thread("blas"):  # sums of several BLAS threads would depend on their number
            solver = self._new_solver()
            solver.fit(sp.csr_matrix(matrix), show_progress=False)
        self.item_factors = np.ascontiguousarray(solver.item_factors, np.float32)

    def score(self, user_rows: IntArray, history: sp.csr_array) -> FloatArray:
        """Return (len(user_rows), n_items) float32; a user without a past gets zeros."""
        from penchant.threads import one_thread

        with one_thread("blas"):
            return np.asarray(self.user_factors(user_rows, history) @ self.item_factors.T, np.float32)

    def user_factors(self, user_rows: IntArray, history: sp.csr_array) -> FloatArray:
        """(len(user_rows), n_factors) float32, the least-squares answer to the given past."""
        from penchant.threads import one_thread

        with one_thread("blas"):
            if self._solver is None or self._solver.item_factors is not self.item_factors:
                if not self.item_factors.any():
                    return np.zeros((len(user_rows), self.item_factors.shape[1]), np.float32)
                solver = self._new_solver()
                solver.item_factors = self.item_factors
                self._solver = solver  # whole: several threads may score at once
            past = sp.csr_matrix(history[user_rows], dtype=np.float32)
            return np.asarray(self._solver.recalculate_user(np.arange(len(user_rows)), past), np.float32)

    def similar(self, item_rows: IntArray) -> sp.csr_array:
        """(len(item_rows), n_items) CSR: cosine of item factors, the nearest `n_neighbours` above zero."""
        from penchant.threads import one_thread

        norm = np.linalg.norm(self.item_factors, axis=1, keepdims=True)
        unit = np.divide(self.item_factors, norm, out=np.zeros_like(self.item_factors), where=norm > 0)
        step = max(1, BATCH_BYTES // (4 * max(1, len(unit))))
        with one_thread("blas"):
            blocks = [
                top_neighbours(unit[rows] @ unit.T, rows, self.settings["n_neighbours"])
                for rows in (item_rows[s : s + step] for s in range(0, len(item_rows), step))
            ]
        return sp.csr_array(sp.vstack(blocks)) if blocks else sp.csr_array((0, len(unit)), dtype=np.float32)

    def to_parts(self) -> Parts:
        return Parts(
            config={"name": self.name, "settings": dict(self.settings)}, arrays={"item_factors": self.item_factors}
        )

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        out = cls(**parts.config["settings"])
        out.item_factors = parts.arrays["item_factors"]
        return out

    def _new_solver(self) -> Any:
        from implicit.cpu.als import AlternatingLeastSquares

        s = self.settings
        return AlternatingLeastSquares(
            factors=s["n_factors"],
            regularization=s["regularization"],
            alpha=s["alpha"],
            iterations=s["n_rounds"],
            random_state=s["seed"],
        )
