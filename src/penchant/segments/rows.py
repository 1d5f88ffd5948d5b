"""User rows: what the clustering sees of a user.

A row holds, for each interest of each level, sqrt(share) times the information of that interest (minus the log of its
mean share over users), scaled to unit length. The square root (Hellinger, as in Legendre & Gallagher 2001, "Ecologically
meaningful transformations for ordination") keeps one strong interest from hiding all others; the information weight keeps
interests that everybody has from deciding; unit length makes a row say what mix, not how much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import BoolArray, FloatArray, InterestTree, Profiles
from penchant.errors import DataError


@dataclass(frozen=True)
class UserRows:
    """values: (n_users, n_nodes) float32, unit rows, zeros where a user has no evidence.

    weights: (n_nodes,) float32, the information weight of each column; give it to `user_rows` for new users.
    """

    values: FloatArray
    weights: FloatArray

    @property
    def present(self) -> BoolArray:
        """(n_users,) users with any evidence."""
        return np.asarray(np.abs(self.values).max(axis=1, initial=0.0) > 0)


def share_matrix(profiles: Profiles, tree: InterestTree, n_users: int) -> sp.csr_array:
    """(n_users, n_nodes) float32 CSR: each user's share of every interest; shares of one level sum to 1 or 0.

    Raises:
        DataError: a share is not finite or negative, or a row points outside the users or the tree.
    """
    points = profiles.points.select("user_row", "interest_row", pl.col("share").fill_null(float("nan")))
    users = points["user_row"].to_numpy()
    nodes = points["interest_row"].to_numpy()
    share = points["share"].to_numpy()
    _check("user_row", users, n_users)
    _check("interest_row", nodes, tree.nodes.height)
    bad = ~np.isfinite(share) | (share < 0)
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"profiles.points: 'share' must be finite and at least 0. Got {share[i]} in row {i} "
            f"(user_row {users[i]}); compute the affinities again"
        )
    out = sp.coo_array((share.astype(np.float32), (users, nodes)), shape=(n_users, tree.nodes.height)).tocsr()
    out.eliminate_zeros()
    out.sort_indices()
    return out


def user_rows(profiles: Profiles, tree: InterestTree, n_users: int, *, weights: FloatArray | None = None) -> UserRows:
    """Make the rows that are clustered; with `weights` of an earlier fit, the rows of new users in the same space.

    Args:
        n_users: users of the log; those without points get a row of zeros.
        weights: (n_nodes,) from an earlier `UserRows` or `Segments.row_weights`; None = learn them here.
    Raises:
        DataError: bad shares, or weights of another tree.
    """
    shares = share_matrix(profiles, tree, n_users)
    if weights is None:
        weights = information(shares)
    if weights.shape != (tree.nodes.height,):
        raise DataError(
            f"user_rows: 'weights' must be ({tree.nodes.height},), one a node of the tree. Got {weights.shape}; "
            "use the weights of the segments that were fitted on this tree"
        )
    return UserRows(weigh(shares, weights), weights)


def information(shares: sp.csr_array) -> FloatArray:
    """(n_nodes,) weight of an interest: -log of its mean share over users with evidence; 0 for one nobody has.

    >>> shares = sp.csr_array(np.array([[1.0, 0.0], [0.5, 0.5]], np.float32))
    >>> information(shares).round(3).tolist()
    [0.288, 1.386]
    """
    n = max(int(np.count_nonzero(np.diff(shares.indptr))), 1)
    mean = np.asarray(shares.sum(axis=0), np.float64).ravel() / n
    out = np.zeros(len(mean))
    np.log(mean, out=out, where=mean > 0)
    return np.maximum(-out, 0.0).astype(np.float32)


def weigh(shares: sp.csr_array, weights: FloatArray) -> FloatArray:
    """(n_users, n_nodes) float32 unit rows of sqrt(share) * weight."""
    rows = np.zeros(shares.shape, np.float32)
    owner = np.repeat(np.arange(shares.shape[0]), np.diff(shares.indptr))
    rows[owner, shares.indices] = np.sqrt(shares.data) * weights[shares.indices]
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.where(length > 0, length, 1.0)[:, None]
    return rows


def _check(name: str, rows: np.ndarray, n: int) -> None:  # type: ignore[type-arg]
    bad = (rows < 0) | (rows >= n)
    if bad.any():
        raise DataError(
            f"profiles.points: '{name}' must be in 0..{n - 1}. Got {rows[bad][0]}; "
            "give the profiles, the tree and the number of users of one and the same fit"
        )
