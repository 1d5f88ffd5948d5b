"""Small worlds with known groups, for every test of representations."""

from __future__ import annotations

import numpy as np
import polars as pl

from penchant.config import RunOptions
from penchant.data import Events, Items, Vectors

RUN = RunOptions()
N_GROUPS, N_PER_GROUP = 4, 10
N_ITEMS = N_GROUPS * N_PER_GROUP
GROUP = np.repeat(np.arange(N_GROUPS), N_PER_GROUP)


def events_of(users: np.ndarray, items: np.ndarray, weight: np.ndarray | None = None) -> Events:
    n = len(users)
    table = pl.DataFrame(
        {
            "user_row": users.astype(np.int32),
            "item_row": items.astype(np.int32),
            "action": np.zeros(n, np.int16),
            "weight": np.ones(n, np.float32) if weight is None else weight.astype(np.float32),
            "time": np.arange(n, dtype=np.float64),
        }
    )
    return Events(table, pl.Series([f"u{u}" for u in range(int(users.max()) + 1 if n else 0)]), ("view",))


def items_of(n: int = N_ITEMS, **vectors: np.ndarray) -> Items:
    table = pl.DataFrame(
        {"item_id": [f"i{row}" for row in range(n)], "title": None, "text": None, "categories": [[]] * n},
        schema_overrides={"title": pl.String, "text": pl.String, "categories": pl.List(pl.String)},
    )
    return Items(table, vectors)


def market(seed: int = 0, n_users: int = 200, noise: float = 0.1) -> Events:
    """Each user likes the items of one group, and a share of any."""
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(n_users), 8)
    own = (users % N_GROUPS) * N_PER_GROUP + rng.integers(0, N_PER_GROUP, len(users))
    items = np.where(rng.random(len(users)) < noise, rng.integers(0, N_ITEMS, len(users)), own)
    order = rng.permutation(len(users))
    return events_of(users[order], items[order])


def texts(seed: int = 0, noise: float = 0.5) -> Vectors:
    rng = np.random.default_rng(seed)
    values = np.eye(12)[GROUP] + noise * rng.normal(size=(N_ITEMS, 12))
    return Vectors((values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32), "texts")
