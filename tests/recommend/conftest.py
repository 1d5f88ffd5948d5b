"""A small made-up market: three groups of items, users of one group each, one item with only a text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import Events, InterestTree, Items, ItemSpace, Profiles, Vectors
from penchant.recommend import Recommender, fit_recommender

N_USERS, N_ITEMS, N_GROUPS, DAY = 60, 45, 3, 86_400.0
HALF_LIVES = (60.0, 7.0)
NEW_ITEM = N_ITEMS - 1  # nobody ever touched it; its text says group 2


@dataclass(frozen=True)
class Market:
    events: Events
    items: Items
    space: ItemSpace
    tree: InterestTree
    profiles: Profiles


def events_of(rows: list[tuple[int, int, float, float]], n_users: int, clock: str = "time") -> Events:
    """Rows of (user_row, item_row, weight, time)."""
    table = pl.DataFrame(
        rows,
        schema={"user_row": pl.Int32, "item_row": pl.Int32, "weight": pl.Float32, "time": pl.Float64},
        orient="row",
    ).sort("time", maintain_order=True)
    table = table.select("user_row", "item_row", pl.lit(0, pl.Int16).alias("action"), "weight", "time")
    ids = pl.Series("user_id", [f"u{i}" for i in range(n_users)])
    return Events(table, ids, ("view",), clock)  # type: ignore[arg-type]


def make_events(clock: str = "time") -> Events:
    draw = np.random.default_rng(7)
    group_of_item = np.arange(N_ITEMS) % N_GROUPS
    rows = []
    for user in range(N_USERS):
        own = np.flatnonzero((group_of_item == user % N_GROUPS) & (np.arange(N_ITEMS) != NEW_ITEM))
        taken = [*draw.permutation(own)[:11].tolist(), *draw.integers(0, NEW_ITEM, 3).tolist()]
        rows.extend((user, item, 1.0, float(draw.uniform(0, 100) * DAY)) for item in taken)
    rows.append((0, 1, -3.0, 90 * DAY))
    return events_of(rows, N_USERS + 1, clock)  # the last user has no event


def make_market(clock: str = "time") -> Market:
    events = make_events(clock)
    group = np.arange(N_ITEMS) % N_GROUPS
    draw = np.random.default_rng(3)
    vectors = np.eye(N_GROUPS, dtype=np.float32)[group] + 0.2 * draw.random((N_ITEMS, N_GROUPS), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    space = ItemSpace(Vectors(vectors, "fused"), Vectors(vectors, "text"))
    items = Items(
        pl.DataFrame(
            {
                "item_id": [f"i{i}" for i in range(N_ITEMS)],
                "title": [f"Title {i}" for i in range(N_ITEMS)],
                "text": [None] * N_ITEMS,
                "categories": [[] for _ in range(N_ITEMS)],
            },
            schema_overrides={"text": pl.String, "categories": pl.List(pl.String)},
        )
    )
    membership = sp.csr_array((np.ones(N_ITEMS, np.float32), (np.arange(N_ITEMS), group)), shape=(N_ITEMS, N_GROUPS))
    nodes = pl.DataFrame(
        {
            "interest_id": ["a", "b", "c", "top"],
            "parent_row": [3, 3, 3, -1],
            "level": [2, 2, 2, 1],
            "name": ["Apples", "Boats", "Cats", "All"],
        },
        schema_overrides={"parent_row": pl.Int32, "level": pl.Int32},
    )
    tree = InterestTree(nodes, membership, np.eye(N_GROUPS, dtype=np.float32), None, "v1")
    points = pl.DataFrame(
        {
            "user_row": np.arange(N_USERS, dtype=np.int32),
            "interest_row": (np.arange(N_USERS) % N_GROUPS).astype(np.int32),
            "level": np.full(N_USERS, 2, np.int32),
            "probability": np.full(N_USERS, 0.9, np.float32),
            "layer": np.zeros(N_USERS, np.int8),
        }
    )
    return Market(events, items, space, tree, Profiles(points, events.end))


def fit_market(market: Market, **settings: object) -> Recommender:
    config = RecommendConfig(n_candidates=30, min_window_users=5, **settings)  # type: ignore[arg-type]
    return fit_recommender(
        market.events, market.items, market.space, market.tree, config, seed=0, half_lives=HALF_LIVES
    )


@pytest.fixture(scope="session")
def market() -> Market:
    return make_market()


@pytest.fixture(scope="session")
def fitted(market: Market) -> Recommender:
    return fit_market(market)
