"""What was shown to a user and left alone. What was never shown says nothing, and is nowhere in here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from penchant.data import BoolArray, Events, FloatArray

IMPRESSION = "impression"  # as io names what a log calls shown, displayed, exposure, ...


@dataclass(frozen=True)
class Ignored:
    """counts: (n_users, n_items) impressions of items that the user never liked, by now; with a half-life, halved with
    age · taken_share: (impressed and liked pairs) / (impressed pairs), 0 without impressions.
    """

    counts: sp.csr_array
    taken_share: float


def read_ignored(events: Events, n_items: int, *, half_life: float | None = None) -> Ignored:
    """Read the impressions of a log: events of the action "impression" with weight 0.

    A pair that was ever liked is not ignored; one with a dislike is left to that.

    Args:
        half_life: in days (own events in an "order" log); None counts every impression as 1.
    """
    counts = impressed(events, n_items, half_life=half_life, binary=False)
    n_pairs = counts.nnz
    liked = sp.csr_array(counts.multiply(events.matrix(n_items, binary=True)))
    acted = sp.csr_array(counts.multiply(events.touched(n_items)))
    left = sp.csr_array(counts - acted)
    left.data[left.data < 1e-9] = 0.0
    left.eliminate_zeros()
    return Ignored(left, liked.nnz / n_pairs if n_pairs else 0.0)


def is_impression(events: Events) -> BoolArray:
    """(n,) events that say that an item was shown, and no more."""
    if IMPRESSION not in events.actions:
        return np.zeros(len(events), np.bool_)
    code = events.actions.index(IMPRESSION)
    return np.asarray((events.table["action"].to_numpy() == code) & (events.item_row >= 0) & (events.weight == 0))


def impressed(events: Events, n_items: int, *, half_life: float | None = None, binary: bool = True) -> sp.csr_array:
    """(n_users, n_items) impressions: 0/1, or counted, halved with age where there is a half-life."""
    shown = is_impression(events)
    weight: FloatArray = np.ones(int(shown.sum()), np.float32)
    if half_life is not None:
        weight = np.exp2(-events.age_days()[shown] / half_life).astype(np.float32)
    at = (events.user_row[shown], events.item_row[shown])
    counts = sp.csr_array((weight, at), shape=(events.n_users, n_items))
    counts.sum_duplicates()
    counts.sort_indices()
    if binary:
        counts.data[:] = 1.0
    return counts
