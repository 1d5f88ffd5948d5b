"""Two treatments of uneven data, both off by default (docs/segments.md has the figures): thin users, big interests.

Thin users: those with few events have rows that are mostly chance. Their shares are mixed with the mean of their
nearest neighbours among the others, never by more than half, and counted.

Big interests: where most users share one field of interest, centres crowd there. Users count by the size of the group
of their strongest field (the top level of the tree): by weights, or by drawing more or fewer of a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp

from penchant.data import BoolArray, FloatArray, IntArray, InterestTree

MAX_NEIGHBOUR_PART = 0.5
_N_NEIGHBOURS = 10
_MAX_OTHERS = 20_000
_CHUNK = 2048

Balance = Literal["none", "weights", "oversample", "undersample"]


@dataclass(frozen=True)
class Thickened:
    """shares: (n_users, n_nodes) CSR. thin: (n_users,) users whose shares were mixed."""

    shares: sp.csr_array
    thin: BoolArray


def thicken(shares: sp.csr_array, rows: FloatArray, n_events: IntArray, min_events: int, *, seed: int) -> Thickened:
    """Mix the shares of users with fewer than `min_events` events with those of their ten nearest other users.

    The neighbours' part is 1 - n_events / min_events, at most a half: what a user has done always counts most. Users
    without evidence stay without.

    Args:
        shares: (n_users, n_nodes). rows: (n_users, d) unit rows, by which neighbours are near. n_events: (n_users,).

    >>> shares = sp.csr_array(np.array([[1, 0], [0.5, 0.5], [0.5, 0.5]], np.float32))
    >>> made = thicken(shares, shares.toarray(), np.array([1, 9, 9], np.int32), 4, seed=0)
    >>> made.shares.toarray()[0].tolist(), made.thin.tolist()
    ([0.75, 0.25], [True, False, False])
    """
    from penchant.threads import one_thread

    present = np.asarray((rows != 0).any(axis=1))
    thin = present & (n_events < min_events)
    others = np.flatnonzero(present & ~thin)
    if not thin.any() or not len(others):
        return Thickened(shares, np.zeros(len(rows), np.bool_))
    if len(others) > _MAX_OTHERS:
        others = np.sort(np.random.default_rng(seed).choice(others, _MAX_OTHERS, replace=False))
    users = np.flatnonzero(thin)
    n_near = min(_N_NEIGHBOURS, len(others))
    near = np.empty((len(users), n_near), np.int64)
    with one_thread():
        for start in range(0, len(users), _CHUNK):
            alike = rows[users[start : start + _CHUNK]] @ rows[others].T
            near[start : start + _CHUNK] = np.argsort(-alike, axis=1, kind="stable")[:, :n_near]
    part = np.zeros(len(rows))
    part[users] = np.minimum(1.0 - n_events[users] / min_events, MAX_NEIGHBOUR_PART)
    borrow = sp.csr_array(
        (np.repeat(part[users] / n_near, n_near), (np.repeat(users, n_near), others[near].ravel())),
        shape=(len(rows), len(rows)),
    )
    mixed = sp.csr_array(sp.diags_array(1.0 - part) @ shares + borrow @ shares).astype(np.float32)
    mixed.sort_indices()
    return Thickened(mixed, thin)


def strongest_field(shares: sp.csr_array, tree: InterestTree) -> IntArray:
    """(n_users,) row among the top level of each user's strongest interest there; -1 without evidence."""
    top = shares[:, tree.rows_of_level(1)].toarray()
    return np.where(top.any(axis=1), top.argmax(axis=1), -1).astype(np.int32)


def group_weights(group: IntArray) -> FloatArray:
    """(n_users,) what a user counts: less in a large group, by the root of its size; the mean over users is 1.

    The root, and not the size itself, so that a field of three users does not weigh as much as one of a thousand.

    >>> [round(float(w), 3) for w in group_weights(np.array([0, 0, 0, 0, 1], np.int32))]
    [0.833, 0.833, 0.833, 0.833, 1.667]
    """
    known = group >= 0
    size = np.bincount(group[known], minlength=1)
    out = np.ones(len(group))
    out[known] = 1.0 / np.sqrt(size[group[known]])
    if known.any():
        out[known] /= out[known].mean()
    return out.astype(np.float32)


def balanced_draw(group: IntArray, balance: Literal["oversample", "undersample"], *, seed: int) -> IntArray:
    """Row numbers of a more even draw of users: groups brought to the mean size, from below or from above.

    oversample: everybody once, and members of smaller groups again (at most ten times as many as there are).
    undersample: groups above the mean size lose members.
    """
    rng = np.random.default_rng(seed)
    users = np.flatnonzero(group >= 0)
    names, size = np.unique(group[users], return_counts=True)
    goal = round(len(users) / max(len(names), 1))
    drawn = [] if balance == "undersample" else [users]
    for name, n in zip(names.tolist(), size.tolist(), strict=True):
        members = users[group[users] == name]
        if balance == "undersample":
            drawn.append(members if n <= goal else rng.choice(members, goal, replace=False))
        elif n < goal:
            drawn.append(rng.choice(members, min(goal, 10 * n) - n, replace=True))
    return np.sort(np.concatenate([users[:0], *drawn])).astype(np.int32)
