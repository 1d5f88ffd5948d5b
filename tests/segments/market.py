"""A small market of user profiles with known segments, for the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import IntArray, InterestTree, Profiles


@dataclass(frozen=True)
class Market:
    profiles: Profiles
    tree: InterestTree
    n_users: int
    segment: IntArray


def make_tree(n_parents: int, n_children: int, names: list[str] | None = None) -> InterestTree:
    """Two levels; leaves first. Leaf i lies under parent i // n_children."""
    n_leaves = n_parents * n_children
    n = n_leaves + n_parents
    parent = [n_leaves + i // n_children for i in range(n_leaves)] + [-1] * n_parents
    names = names or [f"leaf {i}" for i in range(n_leaves)] + [f"field {i}" for i in range(n_parents)]
    nodes = pl.DataFrame(
        {
            "interest_id": [f"i{i}" for i in range(n)],
            "parent_row": pl.Series(parent, dtype=pl.Int32),
            "level": pl.Series([2] * n_leaves + [1] * n_parents, dtype=pl.Int32),
            "name": names,
        }
    )
    return InterestTree(
        nodes, sp.csr_array((1, n_leaves), dtype=np.float32), np.eye(n_leaves, dtype=np.float32), None, "v"
    )


def profiles_of(shares: np.ndarray, tree: InterestTree) -> Profiles:
    """Points of all levels from (n_users, n_leaves) leaf shares."""
    parents = tree.parent_row[: tree.n_leaves]
    every = np.zeros((len(shares), tree.nodes.height), np.float32)
    every[:, : tree.n_leaves] = shares
    np.add.at(every.T, parents, shares.T.astype(np.float32))
    users, nodes = np.nonzero(every)
    points = pl.DataFrame(
        {
            "user_row": users.astype(np.int32),
            "interest_row": nodes.astype(np.int32),
            "level": tree.nodes["level"].to_numpy()[nodes],
            "share": every[users, nodes],
        }
    )
    return Profiles(points, 0.0)


def make_market(n_users: int = 300, n_segments: int = 4, seed: int = 0, structure: bool = True) -> Market:
    """Segments lean on four of 24 leaves each; the last two users have no evidence (segment -1)."""
    rng = np.random.default_rng(seed)
    tree = make_tree(6, 4)
    liked = rng.permutation(tree.n_leaves)[: 4 * n_segments].reshape(n_segments, 4)
    mix = np.full((n_segments, tree.n_leaves), 0.2 / tree.n_leaves)
    np.put_along_axis(mix, liked, np.take_along_axis(mix, liked, 1) + 0.2, axis=1)
    segment = rng.integers(0, n_segments, n_users).astype(np.int32)
    if not structure:
        mix = np.full_like(mix, 1 / tree.n_leaves)
    theta = rng.standard_gamma(6 * mix[segment] + 1e-3)
    theta /= theta.sum(axis=1, keepdims=True)
    counts = rng.multinomial(25, theta)
    shares = counts / counts.sum(axis=1, keepdims=True)
    shares[-2:] = 0
    segment[-2:] = -1
    return Market(profiles_of(shares, tree), tree, n_users, segment)
