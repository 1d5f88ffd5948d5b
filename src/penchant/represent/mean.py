"""The plain method: nothing is learned from behaviour. Texts speak alone, or, without any, the users of an item do."""

from __future__ import annotations

import numpy as np

from penchant.config import RepresentConfig
from penchant.data import Events, Vectors
from penchant.represent.factors import count_users, latest_liked, unit_rows
from penchant.threads import one_thread


def mean_vectors(events: Events, n_items: int, config: RepresentConfig, *, seed: int) -> Vectors | None:
    """The mean of an item's users, each user a random direction.

    The cosine of two rows estimates that of their sets of users (Johnson & Lindenstrauss 1984), with an error of about
    1 / sqrt(n_factors). A baseline for logs without texts.

    Returns:
        (n_items, n_factors) rows, zeros for items below `min_item_events`; None when no item has that many.
    """
    liked = latest_liked(events, config.max_history)
    counts = count_users(liked, n_items)
    enough = counts >= config.min_item_events
    if not enough.any():
        return None
    direction = np.random.default_rng(seed).standard_normal((liked.n_users, config.n_factors), dtype=np.float32)
    with one_thread():
        total = liked.matrix(n_items, binary=True).T @ direction
    mean = np.asarray(total / np.maximum(counts, 1)[:, None], np.float32)
    return Vectors(unit_rows(mean * enough[:, None]), f"mean of users (random projection, {config.n_factors})")
