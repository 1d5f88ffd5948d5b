"""One batch of users: what is asked of it, whose interests it holds, which items are closed to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.recommend.aversion import Evidence
from penchant.recommend.contributions import COLUMNS
from penchant.recommend.past import Past
from penchant.recommend.signals import Signals
from penchant.scorers import top_items

BATCH_BYTES = 256_000_000  # arrays of one batch of users; each thread holds one


@dataclass(frozen=True)
class Wanted:
    """k: items a list · seen_too: whether it may hold what the user touched · disliked_too: also what they only
    disliked · allowed: (n_items,) what it may hold,
    None = all · why: add the columns of `contributions.COLUMNS` · evidence: tell the past items that are near to each.
    """

    k: int
    seen_too: bool = False
    disliked_too: bool = True
    allowed: BoolArray | None = None
    why: bool = False
    evidence: bool = True


@dataclass(frozen=True)
class Batch:
    """Users to make lists for. user_rows: (n,) what their lists are told by · past: of these n · points: their leaf
    points, user_row = place in the batch; None where nobody forecast anything · evidence: what speaks against items,
    None where nothing reads it · in_log: user_rows are rows of the log, and `past` is all of theirs.
    """

    user_rows: IntArray
    past: Past
    points: pl.DataFrame | None
    evidence: Evidence | None
    in_log: bool


def batch_size(signals: Signals, n_candidates: int, dims: int = 0) -> int:
    """Users scored at once, so that dense scores, features of candidates (and their vectors) stay in BATCH_BYTES.

    The size never hangs on the number of threads: a product of matrices rounds by their shape.
    """
    n = len(signals.names)
    floats = signals.n_items * (n + 6) + min(n_candidates, signals.n_items) * (6 * n + dims)
    return max(1, BATCH_BYTES // (4 * max(1, floats)))


def points_of(leaves: pl.DataFrame, batch: IntArray) -> pl.DataFrame:
    """Leaf points (sorted by user_row) of a batch of users; user_row becomes the place in the batch."""
    owner = leaves["user_row"].to_numpy()
    first = np.searchsorted(owner, batch)
    size = np.searchsorted(owner, batch, side="right") - first
    place = np.repeat(np.arange(len(batch)), size)
    at = np.repeat(first, size) + np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
    found: pl.DataFrame = leaves[at]
    return found.select(pl.Series("user_row", place, dtype=pl.Int32), "interest_row", "probability", "layer")


def closed_items(past: Past, wanted: Wanted) -> sp.csr_array:
    """(n_users, n_items) stored entries are items that a user's list must not hold."""
    blocked = past.touched
    if wanted.seen_too:
        blocked = sp.csr_array(past.touched.shape, dtype=np.float32) if wanted.disliked_too else past.only_disliked
    if wanted.allowed is None:
        return blocked
    closed = np.flatnonzero(~wanted.allowed)
    for_all = sp.csr_array(
        (
            np.ones(len(closed) * past.n_users, np.float32),
            np.tile(closed, past.n_users),
            np.arange(past.n_users + 1) * len(closed),
        ),
        shape=blocked.shape,
    )
    return sp.csr_array(blocked + for_all)


def only_top(values: FloatArray, n: int) -> FloatArray:
    """Zero all but the n highest of each row, of those above zero (ties: the lower column)."""
    top = top_items(values, n, above=0.0)
    row, place = np.nonzero(top >= 0)
    out = np.zeros_like(values)
    out[row, top[row, place]] = values[row, top[row, place]]
    return out


def empty_lists(why: bool) -> pl.DataFrame:
    """A table of no recommendation."""
    shares = dict.fromkeys(COLUMNS, pl.Float32) if why else {}
    return pl.DataFrame(
        schema={"user_row": pl.Int32, "item_row": pl.Int32, "rank": pl.Int32, "score": pl.Float32,
                "interest_row": pl.Int32, "layer": pl.Int8, "source": pl.String, "evidence": pl.List(pl.Int32),
                **shares}
    )  # fmt: skip
