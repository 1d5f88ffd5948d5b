"""What comes out: profiles, segments, recommendations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data.kinds import FloatArray, IntArray


@dataclass(frozen=True)
class Profiles:
    """All interest points of all users, at every level of the tree.

    points columns: user_row i32 · interest_row i32 (row of tree.nodes) · level i32 · affinity f32 ·
    affinity_short f32 · share f32 (0..1 over the user's interests of that level) · aversion f32 (>= 0, negative
    evidence, kept apart) · probability f32 · layer i8 (index into LAYERS) · state i8 (index into STATES) ·
    n_events i32 · n_active_days i32 · first_time f64 · last_time f64 · medoid_item_row i32 (-1 if none) ·
    evidence list[i32] (item rows, strongest first).
    Sorted by user_row, level, then probability (high first), interest_row.
    """

    points: pl.DataFrame
    at: float

    @cached_property
    def leaves(self) -> pl.DataFrame:
        """The points of the finest level there is, by user_row."""
        finest = pl.col("level") == pl.col("level").max()
        return self.points.filter(finest).sort("user_row", maintain_order=True)

    def of_level(self, level: int) -> pl.DataFrame:
        return self.points.filter(pl.col("level") == level)


@dataclass(frozen=True)
class PastShares:
    """The log seen from an earlier moment.

    before: (n_users, n_nodes) each user's share of every interest then; shares of one level sum to 1 or 0.
    after: (n_users, n_leaves) how each user's later liked items spread over the leaves; rows sum to 1 or 0.
    """

    before: sp.csr_array
    after: sp.csr_array


@dataclass(frozen=True)
class Segments:
    """Users with a like mix of interests.

    segment_row: (n_users,) int32, -1 = unassigned.
    table columns: segment_id str · name str · n_users i32 · share f32 · top_interests list[str] (names) ·
    top_interest_rows list[i32] · lift list[f32] · coverage list[f32] (share of members who have it) ·
    exemplars list[i32] (user rows) · cohesion f32 · worth f32 (ratio to random partitions) · passes bool.
    row_weights: (n_nodes,) what the columns of a user row are multiplied by; makes rows of new users comparable.
    facts: how the number was chosen, stability, separation, worth with its interval, share of unassigned.
    """

    segment_row: IntArray
    table: pl.DataFrame
    centroids: FloatArray
    facts: Mapping[str, Any] = field(default_factory=dict)
    row_weights: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True)
class Recommendations:
    """table columns: user_row i32 · item_row i32 · rank i32 (from 1) · score f32 · interest_row i32 (-1 if none) ·
    layer i8 (-1 if none) · source str (the signal that brought it) · evidence list[i32] (item rows of the user's past).
    """

    table: pl.DataFrame

    def lists(self, user_rows: IntArray, k: int) -> IntArray:
        """The items alone.

        Args:
            user_rows: (n,) different users. k: places a list; what stands lower is left out.
        Returns:
            (n, k) int32 item rows, best first, -1 where fewer were recommended.

        >>> table = pl.DataFrame({"user_row": [7, 7, 3], "item_row": [5, 0, 2], "rank": [1, 2, 1]})
        >>> Recommendations(table).lists(np.array([3, 7]), 2).tolist()
        [[2, -1], [5, 0]]
        """
        asked = pl.DataFrame({"user_row": user_rows, "row": np.arange(len(user_rows))})
        asked = asked.cast({"user_row": self.table.schema["user_row"]})
        kept = self.table.filter(pl.col("rank") <= k).join(asked, on="user_row", maintain_order="left")
        out = np.full((len(user_rows), k), -1, np.int32)
        out[kept["row"].to_numpy(), kept["rank"].to_numpy() - 1] = kept["item_row"].to_numpy()
        return out
