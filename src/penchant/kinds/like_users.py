"""Users like a user, and the community of an interest.

Users are compared by the rows that segments are made of (`segments.rows`): the chance that a user's next events touch
each interest, weighted by how much the interest tells. Two users are alike where they share interests few others have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import LAYERS, FloatArray, IntArray
from penchant.errors import ConfigError
from penchant.scorers import top_items
from penchant.segments import share_matrix
from penchant.segments.rows import rows_of_shares
from penchant.tables import gather, points_of_level
from penchant.threads import one_thread

if TYPE_CHECKING:
    from penchant.model import Model

N_SHARED = 3  # interests told of each pair
BATCH_BYTES = 64_000_000
BATCH_ASKED = 256  # users compared with everybody at once, at most
DECIMALS = 6  # cosines nearer than that are equal: the last bits depend on the size of the batch


def similar_users(model: Model, user_rows: IntArray, k: int) -> pl.DataFrame:
    """The k users most like each given one: highest cosine of user rows, equal ones by row.

    Cost: asked x n_users x n_nodes; memory: batches of BATCH_BYTES.

    Args:
        user_rows: (n,) different users.
    Returns:
        user_id, similar_id, rank (from 1), score (cosine, above 0), shared_interests (names of the finest interests
        that make most of the score, at most N_SHARED). A user without evidence is like nobody: no row.
    """
    nodes = model.tree.nodes
    shares = share_matrix(model.profiles, model.tree, len(model.user_ids))
    asked_at_once = int(np.clip(BATCH_BYTES // (8 * nodes.height * k), 1, BATCH_ASKED))
    frames = [_pairs(np.zeros(0, np.int32), np.zeros((0, k), np.int32), np.zeros((0, k), np.float32))]
    evidence: list[IntArray] = []
    for start in range(0, len(user_rows), asked_at_once):
        batch = user_rows[start : start + asked_at_once]
        own = _rows(model, shares[batch])
        with one_thread("blas"):
            found, cosine = _nearest(model, shares, batch, own, k)
        pairs = _pairs(batch, found, cosine)
        frames.append(pairs)
        evidence.append(_shared(model, shares, own, pairs["place"].to_numpy(), pairs["similar_row"].to_numpy()))
    table = pl.concat(frames)
    shared = np.concatenate(evidence) if evidence else np.zeros((0, N_SHARED), np.int32)
    return table.select(
        gather(model.user_ids, table["user_row"]).alias("user_id"),
        gather(model.user_ids, table["similar_row"]).alias("similar_id"),
        "rank",
        "score",
        _names(nodes["name"], shared).alias("shared_interests"),
    )


def communities(model: Model, level: int | None, layer: Literal["core", "secondary"], k: int | None) -> pl.DataFrame:
    """The users of each interest, the likeliest to come back to it first.

    Args:
        level: of the tree, 1 = top; None = leaves. layer: the weakest layer that counts. k: members told, at most.
    Returns:
        interest_id, interest, user_id, layer, probability, rank (from 1, by probability, then affinity); interests in
        the order of the tree; none for an interest without members.
    Raises:
        ConfigError: no such level or layer.
    """
    if layer not in LAYERS[:2]:
        raise ConfigError(f"layer: must be one of {', '.join(LAYERS[:2])}. Got '{layer}' instead")
    nodes = model.tree.nodes
    points = (
        points_of_level(model, level)
        .filter(pl.col("layer") <= LAYERS.index(layer))
        .sort("interest_row", "probability", "affinity", "user_row", descending=[False, True, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("interest_row").alias("rank"))
    )
    if k is not None:
        points = points.filter(pl.col("rank") <= k)
    return points.select(
        gather(nodes["interest_id"], points["interest_row"]).alias("interest_id"),
        gather(nodes["name"], points["interest_row"]).alias("interest"),
        gather(model.user_ids, points["user_row"]).alias("user_id"),
        gather(pl.Series(LAYERS), points["layer"]).alias("layer"),
        "probability",
        "rank",
    )


def _rows(model: Model, shares: sp.csr_array) -> FloatArray:
    """(n, n_nodes) user rows in the space of the segments."""
    return rows_of_shares(
        sp.csr_array(shares), model.tree, model.config.segments, weights=model.segments.row_weights
    ).values


def _blocks(n_users: int, n_nodes: int, n_asked: int) -> Iterator[tuple[int, int]]:
    """Bounds of blocks of users that fit in memory beside their cosines and the 64-bit keys of a partition."""
    size = max(1, BATCH_BYTES // (8 * n_nodes + 40 * n_asked))
    return ((start, min(start + size, n_users)) for start in range(0, n_users, size))


def _nearest(
    model: Model, shares: sp.csr_array, batch: IntArray, own: FloatArray, k: int
) -> tuple[IntArray, FloatArray]:
    """(n, k) rows of the nearest users, -1 where fewer, and their cosines."""
    best = np.full((len(batch), k), -1, np.int32)
    score = np.full((len(batch), k), -np.inf, np.float32)
    for start, end in _blocks(shares.shape[0], shares.shape[1], len(batch)):
        cosine = np.round(own @ _rows(model, shares[start:end]).T, DECIMALS).astype(np.float32)
        cosine[cosine <= 0] = -np.inf
        here = np.flatnonzero((batch >= start) & (batch < end))
        cosine[here, batch[here] - start] = -np.inf
        # what is kept comes first: among equals the lower row stays
        rows = np.hstack([best, np.broadcast_to(np.arange(start, end, dtype=np.int32), cosine.shape)])
        all_scores = np.hstack([score, cosine])
        top = top_items(all_scores, k)
        at = np.maximum(top, 0)
        best = np.where(top >= 0, np.take_along_axis(rows, at, axis=1), np.int32(-1))
        score = np.where(top >= 0, np.take_along_axis(all_scores, at, axis=1), np.float32(-np.inf))
    return best, score


def _pairs(batch: IntArray, found: IntArray, cosine: FloatArray) -> pl.DataFrame:
    place, column = np.nonzero(found >= 0)
    return pl.DataFrame(
        {
            "place": pl.Series(place, dtype=pl.Int32),
            "user_row": pl.Series(batch[place], dtype=pl.Int32),
            "similar_row": pl.Series(found[place, column], dtype=pl.Int32),
            "rank": pl.Series(column + 1, dtype=pl.Int32),
            "score": pl.Series(cosine[place, column], dtype=pl.Float32),
        }
    )


def _shared(model: Model, shares: sp.csr_array, own: FloatArray, place: IntArray, similar: IntArray) -> IntArray:
    """(pairs, N_SHARED) leaves that add most to the cosine of each pair, -1 where fewer."""
    n = model.tree.n_leaves
    product = own[place, :n] * _rows(model, shares[similar])[:, :n]
    return top_items(np.where(product > 0, product, -np.inf).astype(np.float32), N_SHARED)


def _names(names: pl.Series, rows: IntArray) -> pl.Series:
    """(n,) lists of the names of the rows that are not -1."""
    flat = gather(names, pl.Series(rows.ravel(), dtype=pl.Int32))
    lists = flat.reshape((len(rows), rows.shape[1])) if len(rows) else pl.Series(dtype=pl.List(pl.String))
    return lists.cast(pl.List(pl.String)).list.drop_nulls()
