"""Ways to fill a list in a simulated session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from penchant.data import BoolArray, IntArray
from penchant.scorers import top_items
from penchant.simulation.stage import Stage, State


@dataclass(frozen=True)
class Lists:
    """items: (n_users of the log, k) rows of its catalogue, -1 = none · new, leaf: (n, k) exploration places."""

    items: IntArray
    new: BoolArray
    leaf: IntArray


Policy = Callable[[Stage, State, int, int], Lists]  # stage, state, k, day


def ranked(shares: tuple[float, float, float, float] | None) -> Policy:
    """Our lists, with slots of these shares, or (None) by rank alone."""

    def policy(stage: Stage, state: State, k: int, day: int) -> Lists:
        one = replace(state.recommender, config=state.recommender.config.model_copy(update={"slots": shares}))
        users = np.arange(state.events.n_users, dtype=np.int32)
        return as_lists(one.recommend(users, state.profiles, k=k).table, len(users), k)

    return policy


def popular(stage: Stage, state: State, k: int, day: int) -> Lists:
    """The most popular untouched items of the last 30 days."""
    touched = state.recommender.past.touched
    scores = np.broadcast_to(state.recommender.signals.popular("popular_30d"), touched.shape)
    return plain(top_items(np.ascontiguousarray(scores), k, touched))


def at_random(stage: Stage, state: State, k: int, day: int) -> Lists:
    """Untouched items, drawn evenly."""
    touched = state.recommender.past.touched
    draw = np.random.default_rng([stage.seed, day, 1]).random(touched.shape, np.float32)
    return plain(top_items(draw, k, touched))


def plain(items: IntArray) -> Lists:
    """Lists without exploration places."""
    return Lists(items, np.zeros(items.shape, np.bool_), np.full(items.shape, -1, np.int32))


def as_lists(table: pl.DataFrame, n_users: int, k: int) -> Lists:
    """The matrix form of a table of recommendations."""
    items, leaf = (np.full((n_users, k), -1, np.int32) for _ in range(2))
    new = np.zeros((n_users, k), np.bool_)
    at = (table["user_row"].to_numpy(), table["rank"].to_numpy() - 1)
    items[at], leaf[at] = table["item_row"].to_numpy(), table["interest_row"].to_numpy()
    new[at] = (table["source"] == "exploration").to_numpy()
    return Lists(items, new, leaf)
