"""What every representation reads of a log: the latest liked items of each user, and how often an item stands there."""

from __future__ import annotations

import numpy as np

from penchant.data import Events, IntArray


def latest_liked(events: Events, max_history: int) -> Events:
    """Positive events, one a user and item (its last), the latest `max_history` of each user."""
    liked = events.positive()
    table = liked.table.unique(["user_row", "item_row"], keep="last", maintain_order=True)
    once = Events(table, liked.user_ids, liked.actions, liked.clock)
    return once.take(once.n_by_user[once.user_row] - once.own_index <= max_history)


def latest_events(events: Events, max_history: int) -> Events:
    """Positive events, repeats and all, the latest `max_history` of each user."""
    liked = events.positive()
    return liked.take(liked.n_by_user[liked.user_row] - liked.own_index <= max_history)


def count_users(liked: Events, n_items: int) -> IntArray:
    """(n_items,) users of each item, of events with one a user and item."""
    return np.bincount(liked.item_row, minlength=n_items).astype(np.int32)
