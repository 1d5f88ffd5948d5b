"""Behaviour by factors: items that the same users liked lie together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, FloatArray, Items, Parts, Vectors
from penchant.represent.history import count_users, latest_liked
from penchant.scorers.als import Als

# Confidence of a seen item. With the default regularization best or near it for held-out next items on four of five
# public logs (movies, books, retail), tried beside SVD of the scaled matrix and of item-item PPMI; on the fifth
# (articles, 1,900 users) PPMI found 30 % more.
ALPHA = 10.0


class Factors:
    """Factors of implicit-feedback matrix factorisation (Hu, Koren & Volinsky 2008).

    Time: rounds x (user, item) pairs x factors; no item-item matrix is built.
    """

    method = "factors"

    def __init__(self, config: RepresentConfig, run: RunOptions, *, seed: int) -> None:
        self._config, self._seed = config, seed
        self._als = Als(n_factors=config.n_factors)
        self.name = self.method
        self.facts: Mapping[str, Any] = {}

    @property
    def item_vectors(self) -> FloatArray:
        return self._als.item_factors

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None:
        """Texts are not read. Items below `min_item_events` get zeros."""
        liked = latest_liked(events, self._config.max_history)
        # more factors than users or items would only copy noise
        n_factors = max(1, min(self._config.n_factors, liked.n_users, len(items)))
        self._als = Als(n_factors=n_factors, regularization=self._config.regularization, alpha=ALPHA, seed=self._seed)
        self._als.fit(liked, len(items))
        enough = count_users(liked, len(items)) >= self._config.min_item_events
        self._als.item_factors = self._als.item_factors * enough[:, None]
        self.name = f"factors (ALS {n_factors})"

    def user_vectors(self, events: Events) -> FloatArray:
        """(n_users, d): the least-squares answer to each user's latest liked items."""
        past = latest_liked(events, self._config.max_history).matrix(len(self.item_vectors), binary=True)
        return self._als.user_factors(np.arange(events.n_users, dtype=np.int32), past)

    def to_parts(self) -> Parts:
        als = self._als.to_parts()
        config = {"method": self.method, "name": self.name, "config": self._config.model_dump(), "seed": self._seed}
        return Parts(config={**config, "als": als.config}, arrays=als.arrays)

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        out = cls(RepresentConfig.model_validate(parts.config["config"]), run, seed=parts.config["seed"])
        out.name = parts.config["name"]
        out._als = Als.from_parts(Parts(config=parts.config["als"], arrays=parts.arrays))
        return out
