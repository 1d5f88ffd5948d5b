"""The log seen from an earlier moment: shares known then, and where the events after it went."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from penchant.config import InterestsConfig
from penchant.data import Events, InterestTree, PastShares
from penchant.interests.affinity import measure_levels
from penchant.interests.features import user_totals
from penchant.interests.windows import WINDOW_SHARE, History
from penchant.threads import one_thread


def past_shares(
    events: Events, tree: InterestTree, config: InterestsConfig, *, text_membership: sp.csr_array | None = None
) -> PastShares:
    """Cut off the last fifth of the events.

    Args:
        events: the log. tree: its interests (grown on the whole log). config: half-lives.
        text_membership: (n_text_events, n_leaves), a row for each event without an item, in order.
    """
    cut = events.cut_at(1 - WINDOW_SHARE)
    before = interest_shares(History(events, text_membership).before(cut), tree, config, at=cut)
    return PastShares(before, leaf_shares(events.between(cut, np.inf), tree))


def interest_shares(
    history: History, tree: InterestTree, config: InterestsConfig, *, at: float | None = None
) -> sp.csr_array:
    """(n_users, n_nodes) float32 CSR: each user's share of every interest at a moment (default: the last event).

    The shares of one level sum to 1 or 0.
    """
    with one_thread():
        points = measure_levels(history.events, tree, config, at=at, text_membership=history.text_membership)
    shape = (history.events.n_users, tree.nodes.height)
    out = sp.csr_array(shape, dtype=np.float32)
    for level, known in points.items():
        affinity = known.table["affinity"].to_numpy().astype(np.float64)
        total = user_totals(known, affinity)
        share = np.divide(affinity, total, out=np.zeros(len(affinity)), where=total > 0).astype(np.float32)
        node = tree.rows_of_level(level)[known.table["column"].to_numpy()]
        out = out + sp.csr_array((share, (known.table["user_row"].to_numpy(), node)), shape=shape)
    out = sp.csr_array(out)
    out.sort_indices()
    return out


def leaf_shares(events: Events, tree: InterestTree) -> sp.csr_array:
    """(n_users, n_leaves) float32: how each user's distinct liked items spread over the leaves; rows sum to 1 or 0."""
    with one_thread():
        out = sp.csr_array(events.matrix(tree.membership.shape[0], binary=True) @ tree.membership)
    out.sort_indices()
    total = np.asarray(out.sum(axis=1), np.float64).ravel()
    out.data = (out.data / np.repeat(np.where(total > 0, total, 1.0), np.diff(out.indptr))).astype(np.float32)
    out.eliminate_zeros()
    return out
