"""The last liked item of every user, as a question: the split "last one out" of representations.py and transfer.py.

sasrec.py has the protocol of its peers instead: every user with two or more, targets that can be found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import Events, IntArray

MIN_LIKED = 3  # users with fewer different liked items have no past worth the name


def last_items(events: Events, n_items: int) -> tuple[sp.csr_array, IntArray]:
    """(n_users, n_items) 0/1 last liked items of users with `MIN_LIKED` or more, and the rows of those users."""
    liked = events.positive().table.select("user_row", "item_row")
    last = liked.group_by("user_row", maintain_order=True).agg(
        pl.col("item_row").last(), n=pl.col("item_row").n_unique()
    )
    last = last.filter(pl.col("n") >= MIN_LIKED)
    users, items = last["user_row"].to_numpy(), last["item_row"].to_numpy()
    targets = sp.csr_array((np.ones(len(users), np.float32), (users, items)), shape=(events.n_users, n_items))
    return targets, np.sort(users).astype(np.int32)


def without(events: Events, targets: sp.csr_array) -> Events:
    """The events but those on a user's target: repeats of it leave the past too, or it would be known."""
    asked: np.ndarray[Any, Any] = np.full(events.n_users, -2, np.int64)  # -1 is an event without an item
    asked[np.flatnonzero(np.diff(targets.indptr))] = targets.indices
    return events.take(events.item_row != asked[events.user_row])
