"""Behaviour by factors: items that the same users liked lie together."""

from __future__ import annotations

import numpy as np

from penchant.config import RepresentConfig
from penchant.data import Events, FloatArray, IntArray, Vectors
from penchant.scorers.als import Als

# Confidence of a seen item. With the default regularization best or near it for held-out next items on four of five
# public logs (movies, books, retail), tried beside SVD of the scaled matrix and of item-item PPMI; on the fifth
# (articles, 1,900 users) PPMI found 30 % more.
ALPHA = 10.0


def factor_vectors(events: Events, n_items: int, config: RepresentConfig, *, seed: int) -> Vectors | None:
    """Item factors of implicit-feedback matrix factorisation (Hu, Koren & Volinsky 2008), unit length.

    Time: rounds x (user, item) pairs x factors; no item-item matrix is built.

    Returns:
        (n_items, d) rows, zeros for items below `min_item_events`; None when no item has that many.
    """
    liked = latest_liked(events, config.max_history)
    enough = count_users(liked, n_items) >= config.min_item_events
    if not enough.any():
        return None
    # more factors than users or items would only copy noise
    n_factors = min(config.n_factors, liked.n_users, n_items)
    model = Als(n_factors=n_factors, regularization=config.regularization, alpha=ALPHA, seed=seed)
    model.fit(liked, n_items)
    return Vectors(unit_rows(model.item_factors * enough[:, None]), f"factors (ALS {n_factors})")


def latest_liked(events: Events, max_history: int) -> Events:
    """Positive events, one a user and item (its last), the latest `max_history` of each user."""
    liked = events.positive()
    table = liked.table.unique(["user_row", "item_row"], keep="last", maintain_order=True)
    once = Events(table, liked.user_ids, liked.actions, liked.clock)
    return once.take(once.n_by_user[once.user_row] - once.own_index <= max_history)


def count_users(liked: Events, n_items: int) -> IntArray:
    """(n_items,) users of each item, of events with one a user and item."""
    return np.bincount(liked.item_row, minlength=n_items).astype(np.int32)


def unit_rows(values: FloatArray) -> FloatArray:
    """Rows of unit length; rows of (nearly) nothing become zeros.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    unit: FloatArray = np.divide(values, norm, out=np.zeros_like(values), where=norm > 1e-8)
    return unit.astype(np.float32)
