"""User rows: what the clustering sees of a user.

A row holds, for each interest of each level, v = sqrt(1 - (1 - share)^H): the root of the chance that H free choices of
the user touch the interest. Strong interests saturate and weak ones still count, which is what a layer is about: a user
with two core interests of a segment and one with two others are alike by their secondary ones. The root is Hellinger's
(Legendre & Gallagher 2001), so that the mass of a row is not ruled by one strong interest. Each column is weighted by
its information, -log of its part of the level, so that what everybody likes does not decide; upper levels count less
than leaves. Rows have unit length: they say what mix, not how much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import SegmentsConfig
from penchant.data import BoolArray, FloatArray, IntArray, InterestTree, Profiles
from penchant.errors import DataError


@dataclass(frozen=True)
class UserRows:
    """values: (n_users, n_nodes) float32, unit rows, zeros where a user has no evidence.

    weights: (n_nodes,) float32, the weight of each column; give it to `user_rows` for new users.
    """

    values: FloatArray
    weights: FloatArray

    @property
    def present(self) -> BoolArray:
        """(n_users,) users with any evidence."""
        return np.asarray((self.values != 0).any(axis=1))


def share_matrix(profiles: Profiles, tree: InterestTree, n_users: int) -> sp.csr_array:
    """(n_users, n_nodes) float32 CSR: each user's share of every interest; shares of one level sum to 1 or 0.

    Raises:
        DataError: a share is not in 0..1, or a point speaks of a user or an interest that is not there.
    """
    points = profiles.points.select("user_row", "interest_row", pl.col("share").fill_null(float("nan")))
    users = points["user_row"].to_numpy()
    nodes = points["interest_row"].to_numpy()
    share = points["share"].to_numpy()
    _check_range("user_row", users, n_users)
    _check_range("interest_row", nodes, tree.nodes.height)
    bad = ~((share >= 0) & (share <= 1.001))  # NaN too
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"profiles.points: 'share' must be in 0..1. Got {share[i]} in row {i} (user_row {users[i]}); "
            "compute the affinities again"
        )
    out = sp.coo_array((share.astype(np.float32), (users, nodes)), shape=(n_users, tree.nodes.height)).tocsr()
    out.eliminate_zeros()
    out.sort_indices()
    return out


def user_rows(
    profiles: Profiles, tree: InterestTree, n_users: int, config: SegmentsConfig, *, weights: FloatArray | None = None
) -> UserRows:
    """Make the rows that are clustered; with `weights` of an earlier fit, the rows of new users in the same space.

    Memory: 4 bytes x n_users x n_nodes.

    Args:
        n_users: users of the log; those without points get a row of zeros.
        weights: (n_nodes,) from an earlier `UserRows` or `Segments.row_weights`; None = learn them here.
    Raises:
        DataError: bad shares, or weights of another tree.
    """
    return rows_of_shares(share_matrix(profiles, tree, n_users), tree, config, weights=weights)


def rows_of_shares(
    shares: sp.csr_array, tree: InterestTree, config: SegmentsConfig, *, weights: FloatArray | None = None
) -> UserRows:
    """As `user_rows`, from a share matrix."""
    touched = sp.csr_array(
        (np.sqrt(touch_chance(shares.data, config.row_events)), shares.indices, shares.indptr), shape=shares.shape
    )
    if weights is None:
        weights = column_weights(touched, tree, config.parent_weight)
    if weights.shape != (tree.nodes.height,):
        raise DataError(
            f"user_rows: 'weights' must be ({tree.nodes.height},), one a node of the tree. Got {weights.shape}; "
            "use the weights of the segments that were fitted on this tree"
        )
    rows = np.zeros(shares.shape, np.float32)
    owner = np.repeat(np.arange(shares.shape[0]), np.diff(shares.indptr))
    rows[owner, touched.indices] = touched.data * weights[touched.indices]
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.where(length > 0, length, 1.0)[:, None]
    return UserRows(rows, weights)


def with_parents(leaf_shares: sp.csr_array, tree: InterestTree) -> sp.csr_array:
    """(n_users, n_nodes) leaf shares and their sums at every upper level."""
    node = np.arange(tree.n_leaves, dtype=np.int32)
    above: IntArray = node
    rows, columns = [node], [node]
    for _ in range(tree.n_levels - 1):
        above = tree.parent_row[above]
        rows.append(node)
        columns.append(above)
    lift = sp.csr_array(
        (np.ones(sum(map(len, rows)), np.float32), (np.concatenate(rows), np.concatenate(columns))),
        shape=(tree.n_leaves, tree.nodes.height),
    )
    out = sp.csr_array(leaf_shares @ lift)
    out.sort_indices()
    return out


def touch_chance(share: FloatArray, n_events: int) -> FloatArray:
    """Chance that `n_events` free choices touch an interest of this share: 1 - (1 - share)^n_events.

    >>> touch_chance(np.array([0.5, 0.25], np.float32), 2).tolist()
    [0.75, 0.4375]
    """
    return (1.0 - np.power(1.0 - np.clip(share.astype(np.float64), 0, 1), n_events)).astype(np.float32)


def column_weights(touched: sp.csr_array, tree: InterestTree, parent_weight: float) -> FloatArray:
    """(n_nodes,) information of each column: -log of its part of its level's mass, times parent_weight a level up.

    A level of one node says nothing (log 1 = 0), nor does an interest that nobody has.
    """
    mass = np.asarray(touched.sum(axis=0), np.float64).ravel()
    out: npt.NDArray[np.float64] = np.zeros(len(mass))
    for level in range(1, tree.n_levels + 1):
        nodes = tree.rows_of_level(level)
        part = mass[nodes] / max(float(mass[nodes].sum()), 1e-300)
        seen = part > 0
        out[nodes[seen]] = -np.log(part[seen]) * parent_weight ** (tree.n_levels - level)
    return np.maximum(out, 0.0).astype(np.float32)


def _check_range(name: str, rows: npt.NDArray[np.int32], n: int) -> None:
    bad = (rows < 0) | (rows >= n)
    if bad.any():
        raise DataError(
            f"profiles.points: '{name}' must be in 0..{n - 1}. Got {rows[bad][0]}; "
            "give the profiles, the tree and the number of users of one and the same fit"
        )
