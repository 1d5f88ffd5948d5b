"""One list for a whole segment: what its members' own lists agree on.

Scores of two users can't be compared (a ranker orders one user's candidates), places can. So each member's list votes
by place: 11 / (10 + rank), reciprocal rank fusion (Cormack, Clarke & Buettcher 2009), averaged over the members. Their
constant of 60 is for lists of a thousand places; in short lists it hardly tells the first place from the last. What
many members had already stands in few of their lists: this is what the segment should see next, not what it bought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.tables import gather, segment_row

if TYPE_CHECKING:
    from penchant.model import Model

DEPTH = 20  # places of each member's list that vote, or k where that is more
SMOOTHING = 10  # of reciprocal rank fusion: a first place weighs as much as two twelfth places
BATCH_USERS = 10_000  # members whose lists are held at once


def segment_list(model: Model, segment: str, k: int, allowed: BoolArray | None) -> pl.DataFrame:
    """Recommend k items to a segment, by its id or name.

    Args:
        allowed: (n_items,) what may be listed; every member's list is filled from it. None = all.
    Returns:
        item_id, title, rank (from 1), score (1 = first in every member's list), member_share (members whose list of
        DEPTH places holds it), interest_id, interest (the one it was most listed for); empty for a segment of nobody.
    """
    members = np.flatnonzero(model.segments.segment_row == segment_row(model, segment)).astype(np.int32)
    nodes = model.tree.nodes
    votes, n_lists = _votes(model, members, max(k, DEPTH), allowed)
    score = np.asarray(votes.sum(axis=1), np.float64).ravel() / max(1, len(members))
    listed = np.flatnonzero(n_lists)
    top = listed[np.lexsort((listed, -score[listed]))][:k].astype(np.int32)
    interest = np.asarray(votes[top].argmax(axis=1)).ravel().astype(np.int32) if len(top) else top
    leaf = pl.Series(np.where(interest < nodes.height, interest, -1), dtype=pl.Int32)  # the last column: no interest
    return pl.DataFrame(
        {
            "item_id": gather(model.items.item_ids, pl.Series(top)),
            "title": gather(pl.Series(model.items.titles, dtype=pl.String), pl.Series(top)),
            "rank": pl.Series(np.arange(1, len(top) + 1), dtype=pl.Int32),
            "score": pl.Series(score[top], dtype=pl.Float32),
            "member_share": pl.Series(n_lists[top] / max(1, len(members)), dtype=pl.Float32),
            "interest_id": gather(nodes["interest_id"], leaf),
            "interest": gather(nodes["name"], leaf),
        }
    )


def place_votes(rank: IntArray) -> FloatArray:
    """What a place in one list is worth: 1 for the first.

    >>> place_votes(np.array([1, 12])).tolist()
    [1.0, 0.5]
    """
    return np.asarray((SMOOTHING + 1) / (SMOOTHING + rank.astype(np.float64)))


def _votes(model: Model, members: IntArray, depth: int, allowed: BoolArray | None) -> tuple[sp.csr_array, IntArray]:
    """(n_items, n_nodes + 1) summed votes by the interest they were given for, and (n_items,) lists that hold each."""
    shape = (len(model.items), model.tree.nodes.height + 1)
    votes, n_lists = sp.csr_array(shape, dtype=np.float64), np.zeros(shape[0], np.int64)
    for start in range(0, len(members), BATCH_USERS):
        found = model.recommender.recommend(
            members[start : start + BATCH_USERS], model.profiles, k=depth, allowed=allowed, evidence=False
        ).table
        item, interest = found["item_row"].to_numpy(), found["interest_row"].to_numpy()
        worth = place_votes(found["rank"].to_numpy())
        votes = votes + sp.coo_array((worth, (item, np.where(interest < 0, shape[1] - 1, interest))), shape=shape)
        n_lists += np.bincount(item, minlength=shape[0])
    return sp.csr_array(votes), n_lists.astype(np.int32)
