"""Small logs for tests of scorers and of their evaluation."""

from __future__ import annotations

import numpy as np
import polars as pl

from penchant.data import DAY_S, Clock, Events, Items


def make_log(rows: list[tuple[int, int, float]], n_users: int, *, clock: Clock = "time", weight: float = 1.0) -> Events:
    """Events from (user_row, item_row, time), in the order given at equal times."""
    return make_weighted_log([(u, i, t, weight) for u, i, t in rows], n_users, clock=clock)


def make_weighted_log(rows: list[tuple[int, int, float, float]], n_users: int, *, clock: Clock = "time") -> Events:
    """Events from (user_row, item_row, time, weight)."""
    table = pl.DataFrame(
        {
            "user_row": pl.Series([r[0] for r in rows], dtype=pl.Int32),
            "item_row": pl.Series([r[1] for r in rows], dtype=pl.Int32),
            "action": pl.Series([0] * len(rows), dtype=pl.Int16),
            "weight": pl.Series([r[3] for r in rows], dtype=pl.Float32),
            "time": pl.Series([r[2] for r in rows], dtype=pl.Float64),
        }
    ).sort("time", maintain_order=True)
    return Events(table, pl.Series([f"u{i}" for i in range(n_users)]), ("view",), clock)


def taste_log(
    n_users: int = 60, n_items: int = 40, per_user: int = 12, seed: int = 0, *, clock: Clock = "time"
) -> Events:
    """Two camps: even users take items of the first half, odd users of the second, nine times in ten."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        own = rng.random(per_user) < 0.9
        camp = (user % 2) ^ ~own & 1
        item = camp * (n_items // 2) + np.minimum(rng.geometric(0.12, per_user) - 1, n_items // 2 - 1)
        time = np.sort(rng.random(per_user)) * 100 * DAY_S
        rows += [(user, int(i), float(t)) for i, t in zip(item, time, strict=True)]
    return make_log(rows, n_users, clock=clock)


def make_items(n_items: int, titles: list[str | None] | None = None) -> Items:
    """A catalogue of ids i0, i1, ... and titles."""
    return Items(
        pl.DataFrame(
            {
                "item_id": [f"i{i}" for i in range(n_items)],
                "title": pl.Series(titles or [None] * n_items, dtype=pl.String),
                "text": pl.Series([None] * n_items, dtype=pl.String),
                "categories": pl.Series([[]] * n_items, dtype=pl.List(pl.String)),
            }
        )
    )
