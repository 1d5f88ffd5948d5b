"""Small logs and trees made by hand or by a seed, for the tests of affinity, layers and profiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import DAY_S, Clock, Events, InterestTree, Items

Row = tuple[int, int, float, float]  # user, item, day, weight


def log_of(rows: Sequence[Row], *, n_users: int | None = None, clock: Clock = "time") -> Events:
    """Events from (user, item, day, weight), in any order."""
    rows = sorted(rows, key=lambda r: r[2])
    table = pl.DataFrame(
        {
            "user_row": [r[0] for r in rows],
            "item_row": [r[1] for r in rows],
            "action": [0] * len(rows),
            "weight": [r[3] for r in rows],
            "time": [r[2] * (DAY_S if clock == "time" else 1.0) for r in rows],
        },
        schema={
            "user_row": pl.Int32,
            "item_row": pl.Int32,
            "action": pl.Int16,
            "weight": pl.Float32,
            "time": pl.Float64,
        },
    )
    n = n_users if n_users is not None else max((r[0] for r in rows), default=-1) + 1
    return Events(table, pl.Series("user_id", [f"u{i}" for i in range(n)], dtype=pl.String), ("view",), clock)


def tree_of(membership: np.ndarray, parents: Sequence[int]) -> InterestTree:
    """Two levels: `parents` gives each leaf's top interest, from 0."""
    n_leaves, n_tops = membership.shape[1], max(parents) + 1
    nodes = pl.DataFrame(
        {
            "interest_id": [f"i{k}" for k in range(n_leaves + n_tops)],
            "parent_row": pl.Series([n_leaves + p for p in parents] + [-1] * n_tops, dtype=pl.Int32),
            "level": pl.Series([2] * n_leaves + [1] * n_tops, dtype=pl.Int32),
        }
    )
    centroids = np.eye(n_leaves, dtype=np.float32)
    return InterestTree(nodes, sp.csr_array(membership.astype(np.float32)), centroids, None, "t0")


def items_of(n: int) -> Items:
    ids = [f"i{k}" for k in range(n)]
    return Items(
        pl.DataFrame(
            {"item_id": ids, "title": ids, "text": [None] * n, "categories": [[] for _ in range(n)]},
            schema={"item_id": pl.String, "title": pl.String, "text": pl.String, "categories": pl.List(pl.String)},
        )
    )


def habits_log(
    *, n_users: int = 120, n_events: int = 90, n_leaves: int = 8, seed: int = 0, clock: Clock = "time"
) -> tuple[Events, InterestTree]:
    """People of two strong and two weak interests each, who act at random times; one-hot items, ten a leaf."""
    rng = np.random.default_rng(seed)
    liking = np.full((n_users, n_leaves), 0.01)
    for user in range(n_users):
        own = rng.permutation(n_leaves)
        liking[user, own[:2]], liking[user, own[2:4]] = 0.4, 0.08
    liking /= liking.sum(axis=1, keepdims=True)
    user = np.repeat(np.arange(n_users), n_events)
    leaf = (rng.random((len(user), 1)) > np.cumsum(liking, axis=1)[user]).sum(axis=1).clip(0, n_leaves - 1)
    item = leaf * 10 + rng.integers(0, 10, len(user))
    day = rng.uniform(0, 200, len(user))
    weight = np.where(rng.random(len(user)) < 0.03, -1.0, 1.0)
    rows = list(zip(user.tolist(), item.tolist(), day.tolist(), weight.tolist(), strict=True))
    membership = np.kron(np.eye(n_leaves), np.ones((10, 1)))
    return log_of(rows, clock=clock), tree_of(membership, [k // 2 for k in range(n_leaves)])
