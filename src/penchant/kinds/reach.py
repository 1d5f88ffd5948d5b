"""Who should hear of an item: users by expected interest, and how much more of it each segment has.

Expected interest is what the layers foretell: the chance that a user's next events touch each of the item's interests,
weighted by how much the item lies in them. Users are ranked by it together with what the log says was taken with the
item, by reciprocal rank fusion (Cormack, Clarke & Buettcher 2009): places, since the two have no common scale. An item
that nobody took, or a text alone, is ranked by expected interest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.data import LAYERS, BoolArray, FloatArray, IntArray
from penchant.errors import ConfigError, DataError
from penchant.kinds.for_segment import place_votes
from penchant.tables import gather

if TYPE_CHECKING:
    from penchant.model import Model

BATCH_BYTES = 64_000_000  # dense (users, items) of one batch
TENTH = 10  # the audience is a tenth of the users where no size is asked for


@dataclass(frozen=True)
class Reach:
    """Who should hear of some items.

    users: user_id, rank (from 1), score (1 = first by expected interest and by what is taken together), expected (in
    0..1), interest_id, interest, layer (the user's interest that speaks most for the items), segment_id, segment.
    segments: segment_id, name, n_users, n_had (had all the items), expected (mean of the others), lift (that by the
    mean of all users), best_share (part of `users` it holds); highest lift first; unassigned users have no id.
    """

    users: pl.DataFrame
    segments: pl.DataFrame


def audience_for(model: Model, item_ids: Sequence[str], text: str | None, k: int | None) -> Reach:
    """Who should hear of some items of the catalogue, or of a text that is no item yet.

    Raises:
        ConfigError: both were given, or neither. NotFoundError: an unknown item. DataError: the text lies in no
            interest.
    """
    if bool(item_ids) == (text is not None):
        raise ConfigError("reach: give items of the catalogue or a text of something new, one of the two")
    if text is None:
        rows = model.item_rows(list(dict.fromkeys(item_ids)))
        return reach(model, rows, sp.csr_array(model.tree.membership[rows]), k)
    membership = model.text_membership([text])
    if not membership.nnz:
        raise DataError(
            f"reach: the text '{text[:60]}' is far from every interest of this model; say more of what it is, or name "
            "items that are like it"
        )
    return reach(model, None, membership, k)


def reach(model: Model, item_rows: IntArray | None, membership: sp.csr_array, k: int | None) -> Reach:
    """Rank the users who have not had the items.

    Of several items each user is judged by those they have not had; who had all of them is left out.

    Args:
        item_rows: (m,) the items, or None for texts that are no items of this model.
        membership: (m, n_leaves) of the items or texts in the finest interests.
        k: users listed; None = a tenth of all.
    """
    n_users = len(model.user_ids)
    chance = chances(model)
    expected, together, had = measure(model, chance, item_rows, membership)
    listed = np.flatnonzero(~had & ((expected > 0) | (together > 0)))
    score = _fused(expected[listed], together[listed])
    order = np.lexsort((listed, -expected[listed], -score))[: -(-n_users // TENTH) if k is None else k]
    best = listed[order].astype(np.int32)
    return Reach(
        _users_table(model, chance, membership, best, score[order], expected[best]),
        _segments_table(model, expected, had, best),
    )


def chances(model: Model) -> sp.csr_array:
    """(n_users, n_leaves) forecast of every interest point; an interest a user never touched has none."""
    points = model.profiles.of_level(model.tree.n_levels)
    at = (points["user_row"].to_numpy(), points["interest_row"].to_numpy())
    values = points["probability"].to_numpy().astype(np.float32)
    return sp.csr_array(sp.coo_array((values, at), shape=(len(model.user_ids), model.tree.n_leaves)))


def measure(
    model: Model, chance: sp.csr_array, item_rows: IntArray | None, membership: sp.csr_array
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """(n_users,) expected interest, strength of what is taken together, and who had all the items."""
    n_users, touched, liked = chance.shape[0], model.recommender.past.touched, model.recommender.past.matrix()
    if item_rows is None:
        mean = np.asarray(membership.mean(axis=0)).ravel()
        return np.asarray(chance @ mean, np.float32), np.zeros(n_users, np.float32), np.zeros(n_users, np.bool_)
    linear = model.recommender.signals.linear
    near = sp.csr_array(linear.get("ease", linear["item_knn"])[:, item_rows])  # EASE may be left out of the signals
    expected, together = np.zeros(n_users, np.float32), np.zeros(n_users, np.float32)
    had = np.zeros(n_users, np.bool_)
    step = max(1, BATCH_BYTES // (16 * max(1, membership.shape[0])))
    for start in range(0, n_users, step):
        rows = slice(start, min(start + step, n_users))
        interest = (chance[rows] @ membership.T).toarray()
        open_ = touched[rows][:, item_rows].toarray() == 0
        taken = (liked[rows] @ near).toarray()
        expected[rows], together[rows] = _mean(interest, open_), _mean(taken, open_)
        had[rows] = ~open_.any(axis=1)
    return expected, together, had


def _mean(values: FloatArray, of: BoolArray) -> FloatArray:
    """(n,) mean of the marked entries of each row; 0 where none is."""
    total = np.where(of, values, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(of.sum(axis=1), 1), np.float32)


def _fused(expected: FloatArray, together: FloatArray) -> npt.NDArray[np.float64]:
    """(n,) mean vote of both orders, or of the one that says anything; who has nothing in one gets no vote there."""
    votes = np.zeros(len(expected))
    orders = [values for values in (expected, together) if values.any()]
    for values in orders:
        order = np.argsort(-values, kind="stable")
        rank = np.empty(len(values), np.int32)
        rank[order] = np.arange(1, len(values) + 1, dtype=np.int32)
        votes += np.where(values > 0, place_votes(rank), 0.0)
    return votes / max(1, len(orders))


def _users_table(
    model: Model,
    chance: sp.csr_array,
    membership: sp.csr_array,
    best: IntArray,
    score: npt.NDArray[np.float64],
    expected: FloatArray,
) -> pl.DataFrame:
    mean = np.asarray(membership.mean(axis=0), np.float32).ravel()
    tie = sp.csr_array(chance[best] @ sp.diags_array(mean)) if len(best) else chance[best]
    leaf = np.asarray(tie.argmax(axis=1)).ravel().astype(np.int32) if len(best) else best
    leaf[expected <= 0] = -1
    points = model.profiles.of_level(model.tree.n_levels).select("user_row", "interest_row", "layer")
    ties = pl.DataFrame({"user_row": best, "interest_row": leaf}).join(
        points, on=["user_row", "interest_row"], how="left", maintain_order="left"
    )
    nodes, segment = model.tree.nodes, pl.Series(model.segments.segment_row[best], dtype=pl.Int32)
    return pl.DataFrame(
        {
            "user_id": gather(model.user_ids, ties["user_row"]),
            "rank": pl.Series(np.arange(1, len(best) + 1), dtype=pl.Int32),
            "score": pl.Series(score, dtype=pl.Float32),
            "expected": pl.Series(expected, dtype=pl.Float32),
            "interest_id": gather(nodes["interest_id"], ties["interest_row"]),
            "interest": gather(nodes["name"], ties["interest_row"]),
            "layer": gather(pl.Series(LAYERS), ties["layer"]),
            "segment_id": gather(model.segments.table["segment_id"], segment),
            "segment": gather(model.segments.table["name"], segment),
        }
    )


def _segments_table(model: Model, expected: FloatArray, had: BoolArray, best: IntArray) -> pl.DataFrame:
    table, n = model.segments.table, model.segments.table.height
    segment = np.where(model.segments.segment_row < 0, n, model.segments.segment_row)  # unassigned: the last row
    size = np.bincount(segment, minlength=n + 1)
    gone = np.bincount(segment, had, n + 1).astype(np.int64)
    total = np.bincount(segment, np.where(had, 0.0, expected), n + 1)
    mean = np.divide(total, size - gone, out=np.full(n + 1, np.nan), where=size > gone)
    everybody = total.sum() / max(1, int((~had).sum()))
    lift = mean / everybody if everybody > 0 else np.full(n + 1, np.nan)
    rows = pl.Series(np.r_[np.arange(n), -1], dtype=pl.Int32)
    out = pl.DataFrame(
        {
            "segment_id": gather(table["segment_id"], rows),
            "name": gather(table["name"], rows),
            "n_users": pl.Series(size, dtype=pl.Int32),
            "n_had": pl.Series(gone, dtype=pl.Int32),
            "expected": pl.Series(mean, dtype=pl.Float32).fill_nan(None),
            "lift": pl.Series(lift, dtype=pl.Float32).fill_nan(None),
            "best_share": pl.Series(np.bincount(segment[best], minlength=n + 1) / max(1, len(best)), dtype=pl.Float32),
        }
    )
    kept = out.filter(pl.col("segment_id").is_not_null() | (pl.col("n_users") > 0))
    return kept.sort("lift", descending=True, nulls_last=True, maintain_order=True)
