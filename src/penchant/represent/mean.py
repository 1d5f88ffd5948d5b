"""The plain method: nothing is learned from behaviour. Texts (or users) place an item; users are means of items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, FloatArray, Items, Parts, Vectors, unit_rows
from penchant.represent.history import count_users, latest_liked
from penchant.threads import one_thread


class Mean:
    """Items by their texts; without any, by the mean of their users, each user a random direction.

    The cosine of two such means estimates that of their sets of users (Johnson & Lindenstrauss 1984), with an error of
    about 1 / sqrt(n_factors). A user is the mean of the liked items. The baseline of every learned method.
    """

    method = "mean"

    def __init__(self, config: RepresentConfig, run: RunOptions, *, seed: int) -> None:
        self._config, self._seed = config, seed
        self.name = "mean"
        self.item_vectors: FloatArray = np.zeros((0, 1), np.float32)
        self.facts: Mapping[str, Any] = {}

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None:
        """Without texts: items below `min_item_events` get zeros. Cost: one sparse product."""
        if text is not None and text.present.any():
            self.name, self.item_vectors = f"mean of texts ({text.name})", unit_rows(text.values)
            return
        liked = latest_liked(events, self._config.max_history)
        counts = count_users(liked, len(items))
        width = self._config.n_factors
        direction = np.random.default_rng(self._seed).standard_normal((liked.n_users, width), dtype=np.float32)
        with one_thread():
            total = liked.matrix(len(items), binary=True).T @ direction
        mean = np.asarray(total / np.maximum(counts, 1)[:, None], np.float32)
        enough = counts >= self._config.min_item_events
        self.name = f"mean of users (random projection, {width})"
        self.item_vectors = unit_rows(mean * enough[:, None])

    def user_vectors(self, events: Events) -> FloatArray:
        """(n_users, d) unit rows: the mean of the latest liked items."""
        past = latest_liked(events, self._config.max_history).matrix(len(self.item_vectors), binary=True)
        with one_thread():
            return unit_rows(np.asarray(past @ self.item_vectors, np.float32))

    def to_parts(self) -> Parts:
        config = {"method": self.method, "name": self.name, "config": self._config.model_dump(), "seed": self._seed}
        return Parts(config=config, arrays={"item_vectors": self.item_vectors})

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        out = cls(RepresentConfig.model_validate(parts.config["config"]), run, seed=parts.config["seed"])
        out.name, out.item_vectors = parts.config["name"], parts.arrays["item_vectors"]
        return out
