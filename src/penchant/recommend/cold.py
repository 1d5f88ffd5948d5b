"""Items and users without much of a past: neighbours of an item, and places kept for new items."""

from __future__ import annotations

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import BoolArray, FloatArray, IntArray
from penchant.recommend.past import Past
from penchant.scorers import top_items
from penchant.threads import one_thread

BEHAVIOUR_WEIGHT = 0.5  # of what is taken together beside what is alike
FEW_USERS = 3  # an item liked by fewer users is new
BATCH_BYTES = 128_000_000


def similar_items(
    item_rows: IntArray,
    neighbours: sp.csr_array,
    vectors: FloatArray,
    k: int,
    *,
    allowed: BoolArray | None = None,
) -> pl.DataFrame:
    """Items most like each given item: half taken together (scaled to the best neighbour), half cosine of vectors.

    An item without events is found, and finds, by its vector alone.

    Args:
        neighbours: (n_items, n_items) item-kNN. vectors: (n_items, d) unit rows. allowed: (n_items,) what may be
            found; None = all.
    Returns:
        item_row i32, similar_row i32, rank i32 (from 1), score f32; only scores above zero.
    """
    schema = {"item_row": pl.Int32, "similar_row": pl.Int32, "rank": pl.Int32, "score": pl.Float32}
    frames = [pl.DataFrame(schema=schema)]
    step = max(1, BATCH_BYTES // (16 * max(1, len(vectors))))
    for start in range(0, len(item_rows), step):
        batch = item_rows[start : start + step]
        together = neighbours[batch].toarray()
        best = together.max(axis=1, keepdims=True, initial=0.0)
        together = np.divide(together, best, out=np.zeros_like(together), where=best > 0)
        with one_thread("blas"):  # equal bytes on any number of threads
            alike = vectors[batch] @ vectors.T
        scores = (BEHAVIOUR_WEIGHT * together + (1 - BEHAVIOUR_WEIGHT) * alike).astype(np.float32)
        if allowed is not None:
            scores[:, ~allowed] = 0.0
        itself = sp.csr_array((np.ones(len(batch), np.int8), batch, np.arange(len(batch) + 1)), shape=scores.shape)
        top = top_items(np.where(scores > 0, scores, -np.inf).astype(np.float32), k, itself)
        row, place = np.nonzero(top >= 0)
        found = top[row, place]
        columns = (batch[row], found, (place + 1).astype(np.int32), scores[row, found])
        frames.append(pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema))
    return pl.concat(frames)


def near_new_items(
    past: Past,
    closed: sp.csr_array,
    listed: BoolArray,
    n_users_of_item: FloatArray,
    vectors: FloatArray,
    n: int,
) -> tuple[IntArray, FloatArray]:
    """The new items (liked by fewer than FEW_USERS users) that lie nearest to each user's past, by any vectors.

    Args:
        closed: (n_users, n_items) stored entries are left out. listed: (n_users, n_items) in the lists already.
        n_users_of_item: (n_items,). vectors: (n_items, d) unit rows.
    Returns:
        (n_users, n) item rows, nearest first, -1 where fewer; and their summed cosines.
    """
    with one_thread("blas"):  # equal bytes on any number of threads
        likeness = np.asarray(np.asarray(past.matrix() @ vectors, np.float32) @ vectors.T, np.float32)
    likeness[:, n_users_of_item >= FEW_USERS] = -np.inf
    likeness[likeness <= 0] = -np.inf
    likeness[listed] = -np.inf
    found = top_items(likeness, n, closed)
    return found, np.take_along_axis(likeness, np.maximum(found, 0), axis=1)
