"""Where items lie: vectors, and the tree of interests over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data.kinds import BoolArray, FloatArray, IntArray, Parts
from penchant.errors import DataError, ModelError


@dataclass(frozen=True)
class Vectors:
    """(n, d) float32 rows of unit length; a row of zeros where there is nothing to say. `name` tells the source."""

    values: FloatArray
    name: str

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype != np.float32:
            raise DataError(f"Vectors: must be (n, d) float32. Got {self.values.shape} {self.values.dtype}.")
        if not np.isfinite(self.values).all():
            raise DataError("Vectors: every value must be finite.")

    @cached_property
    def present(self) -> BoolArray:
        """(n,) rows that are not all zero."""
        return np.asarray(np.abs(self.values).sum(axis=1) > 0)


@dataclass(frozen=True)
class ItemSpace:
    """Where items lie: texts, behaviour, and both fused. Any of the three may be missing (None)."""

    fused: Vectors
    text: Vectors | None = None
    behaviour: Vectors | None = None


@dataclass(frozen=True)
class InterestTree:
    """The interests. Rows 0..n_leaves-1 of `nodes` are the leaves; upper nodes follow, the top level last.

    nodes columns: interest_id str (unique) · parent_row i32 (-1 at the top) · level i32 (1 = top, n_levels = leaves) ·
    name str · keywords list[str] · n_items i32 · medoid_item_row i32 · coverage f32 · distinctiveness f32.
    membership: (n_items, n_leaves) CSR float32, rows sum to 1; an empty row is an unassigned item.
    centroids: (n_leaves, d) in the fused space; text_centroids: (n_leaves, d_text) or None, for items by text alone.
    facts: how the tree was found: temperatures and floors of membership, how the number of leaves was chosen, ...
    """

    nodes: pl.DataFrame
    membership: sp.csr_array
    centroids: FloatArray
    text_centroids: FloatArray | None
    version: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.nodes["interest_id"].n_unique() != self.nodes.height:
            raise DataError("InterestTree.nodes: 'interest_id' must be unique.")
        if self.membership.shape[1] != len(self.centroids):
            raise DataError("InterestTree: membership columns must equal centroids.")

    @property
    def n_leaves(self) -> int:
        return len(self.centroids)

    @property
    def n_levels(self) -> int:
        return int(self.nodes["level"].max() or 1)  # type: ignore[arg-type]

    @cached_property
    def parent_row(self) -> IntArray:
        return self.nodes["parent_row"].to_numpy()

    def rows_of_level(self, level: int) -> IntArray:
        """Rows of `nodes` at a level (1 = top)."""
        return np.flatnonzero(self.nodes["level"].to_numpy() == level).astype(np.int32)

    def membership_at(self, level: int) -> sp.csr_array:
        """(n_items, n_nodes_of_level) membership summed up to `level`; columns in the order of `rows_of_level`."""
        if level == self.n_levels:
            return self.membership
        rows = self.rows_of_level(level)
        column = np.full(self.nodes.height, -1, np.int32)
        column[rows] = np.arange(len(rows), dtype=np.int32)
        node = np.arange(self.n_leaves, dtype=np.int32)
        for _ in range(self.n_levels - level):
            node = self.parent_row[node]
        lift = sp.csr_array(
            (np.ones(self.n_leaves, np.float32), (np.arange(self.n_leaves), column[node])),
            shape=(self.n_leaves, len(rows)),
        )
        return sp.csr_array(self.membership @ lift)

    @cached_property
    def leaf_of_item(self) -> IntArray:
        """(n_items,) the strongest leaf of each item, -1 if unassigned (ties: the lower row)."""
        dense = self.membership.tocsr()
        out = np.full(dense.shape[0], -1, np.int32)
        filled = np.diff(dense.indptr) > 0
        if filled.any():
            out[filled] = np.asarray(dense[filled].argmax(axis=1)).ravel()
        return out


def space_to_parts(space: ItemSpace) -> Parts:
    """The saved form."""
    named = {"fused": space.fused, "text": space.text, "behaviour": space.behaviour}
    return Parts(
        {"names": {k: v.name for k, v in named.items() if v is not None}},
        {k: v.values for k, v in named.items() if v is not None},
    )


def space_from_parts(parts: Parts) -> ItemSpace:
    """Read the saved form back."""

    def get(key: str) -> Vectors | None:
        return Vectors(parts.arrays[key], parts.config["names"][key]) if key in parts.arrays else None

    fused = get("fused")
    if fused is None:
        raise ModelError("the model folder has no item vectors; fit the model again")
    return ItemSpace(fused, get("text"), get("behaviour"))
