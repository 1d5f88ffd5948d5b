"""Any representation as a recommender, the one plain way: the dot product of user and item vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import scipy.sparse as sp

from penchant.config import Config, RunOptions
from penchant.data import Events, FloatArray, IntArray, Items, Vectors
from penchant.represent import make_representation
from penchant.start import read_start, source_of
from penchant.threads import one_thread


@dataclass(frozen=True)
class DotProduct:
    """A fitted representation, ready to rank.

    name: what was fitted, with its sizes · facts: of its training · users: (n_users, d) · items: (n_items, d).
    """

    name: str
    facts: Mapping[str, Any]
    users: FloatArray
    items: FloatArray

    def score(self, user_rows: IntArray, history: sp.csr_array) -> FloatArray:
        """(len(user_rows), n_items) float32; `history` is what the vectors were made of."""
        with one_thread("blas"):  # equal bytes on any number of threads
            return self.users[user_rows] @ self.items.T


def fit_dot_product(
    method: str, train: Events, items: Items, text: Vectors | None, config: Config, run: RunOptions
) -> DotProduct:
    """Fit a row of `penchant.represent.METHODS` with the settings of `config.represent`.

    Args:
        text: (n_items, d) vectors of the items' texts, or None.
    Raises:
        ConfigError: no such method. MissingExtraError: its library is not installed.
    """
    # what a model is started from is for the method asked for; the others are fitted as they are
    source = source_of(read_start(config, run)) if method == config.represent.method else None
    made = make_representation(method, config.represent, run, seed=config.seed, source=source)
    made.fit(train, items, text)
    return DotProduct(made.name, made.facts, made.user_vectors(train), made.item_vectors)
