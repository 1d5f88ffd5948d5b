"""What was shown to a user and left alone. What was never shown says nothing, and is nowhere in here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from penchant.data import Events, FloatArray

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
    shape = (events.n_users, n_items)
    if IMPRESSION not in events.actions:
        return Ignored(sp.csr_array(shape, dtype=np.float32), 0.0)
    code = events.actions.index(IMPRESSION)
    shown = (events.table["action"].to_numpy() == code) & (events.item_row >= 0) & (events.weight == 0)
    weight: FloatArray = np.ones(int(shown.sum()), np.float32)
    if half_life is not None:
        weight = np.exp2(-events.age_days()[shown] / half_life).astype(np.float32)
    counts = sp.csr_array((weight, (events.user_row[shown], events.item_row[shown])), shape=shape)
    counts.sum_duplicates()
    counts.sort_indices()
    n_pairs = counts.nnz
    liked = sp.csr_array(counts.multiply(events.matrix(n_items, binary=True)))
    acted = sp.csr_array(counts.multiply(events.touched(n_items)))
    left = sp.csr_array(counts - acted)
    left.data[left.data < 1e-9] = 0.0
    left.eliminate_zeros()
    return Ignored(left, liked.nnz / n_pairs if n_pairs else 0.0)
