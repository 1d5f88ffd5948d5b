"""Metrics of ranked lists: each takes item rows, never a model, so any recommender's lists can be scored.

Per user (`score_lists`, `serendipity`, `novelty`, `diversity`, `miscalibration`): one number a user, so intervals over
users follow.
Per method (`coverage`, `gini`): one number for all lists together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.data import IntArray, Vectors
from penchant.errors import DataError

Float64Array = npt.NDArray[np.float64]

MIX_SMOOTHING = 0.01  # Steck 2018, section 3: keeps the divergence finite where a list has none of an interest


def score_lists(
    lists: IntArray, targets: sp.csr_array, user_rows: IntArray, cutoffs: Sequence[int] | None = None
) -> pl.DataFrame:
    """Score the top k of each user against what came next, at one or several k; all in 0..1, higher is better.

    With hits h_i in {0, 1} at rank i, n targets and m = min(n, k):
    ndcg = sum(h_i / log2(i + 1)) / sum over i <= m of 1 / log2(i + 1) (Jarvelin & Kekalainen 2002, binary gains);
    recall = hits / n; hit_rate = any hit; precision = hits / k; f1 = 2 precision recall / (precision + recall), 0
    without a hit; map = sum(h_i * hits up to i / i) / m; mrr = 1 / rank of the first hit. A list shorter than k (padded
    with -1) has misses at its end.

    Args:
        lists: (n, width) item rows, best first; -1 = nothing.
        targets: (n_users, n_items) sparse; stored entries are the right answers.
        user_rows: (n,) the row of `targets` each list belongs to.
        cutoffs: the k to score at, each 1..width, all different (default: the width alone).
    Returns:
        n rows: user_row i32, then for each k in the order given the f64 columns "ndcg@k", "recall@k", "hit_rate@k",
        "precision@k", "f1@k", "map@k", "mrr@k".
    Raises:
        DataError: shapes differ, a cutoff lies outside the lists, an item is twice in a list, or a user has no target.

    >>> targets = sp.csr_array(np.array([[0, 1, 1, 0]], np.float32))
    >>> found = score_lists(np.array([[3, 1]]), targets, np.array([0]), (2, 1))
    >>> found["recall@2"].to_list(), found["recall@1"].to_list()
    ([0.5], [0.0])
    """
    width = _check_lists(lists, targets, user_rows)
    wanted = (width,) if cutoffs is None else tuple(cutoffs)
    if not wanted or min(wanted) < 1 or max(wanted) > width or len(set(wanted)) < len(wanted):
        raise DataError(f"ranking: cutoffs must be different ranks in 1..{width}, the width of lists. Got {wanted}.")
    n_targets = np.diff(targets.indptr)[user_rows]
    if (n_targets == 0).any():
        raise DataError(f"ranking: user row {user_rows[int(np.argmin(n_targets))]} has no target; leave such users out")
    hit = hits(lists, targets, user_rows).astype(np.float64)
    rank = np.arange(1, width + 1)
    so_far = np.cumsum(hit, axis=1)
    discount = 1 / np.log2(rank + 1)
    gain, ideal = np.cumsum(hit * discount, axis=1), np.cumsum(discount)
    precise = np.cumsum(hit * so_far / rank, axis=1)
    first = np.where(hit.any(axis=1), np.argmax(hit, axis=1) + 1, np.inf)
    columns: dict[str, npt.NDArray[Any]] = {"user_row": user_rows.astype(np.int32)}
    for k in wanted:
        n_hits, most = so_far[:, k - 1], np.minimum(n_targets, k)
        columns |= {
            f"ndcg@{k}": gain[:, k - 1] / ideal[most - 1],
            f"recall@{k}": n_hits / n_targets,
            f"hit_rate@{k}": (n_hits > 0).astype(np.float64),
            f"precision@{k}": n_hits / k,
            f"f1@{k}": 2 * n_hits / (k + n_targets),  # the harmonic mean of both, shortened
            f"map@{k}": precise[:, k - 1] / most,
            f"mrr@{k}": np.where(first <= k, 1 / first, 0.0),
        }
    return pl.DataFrame(columns)


def serendipity(lists: IntArray, targets: sp.csr_array, expected: IntArray, user_rows: IntArray) -> Float64Array:
    """(n,) share of a list's places that hold a hit which a plain list does not: useful and not obvious.

    Ge, Delgado-Battenfeld & Jannach 2010 (section 3): |unexpected and useful| / k, unexpected = not in the list of a
    primitive method. Precision bounds it from above.

    Args:
        lists: (n, k) as for `score_lists`. expected: (n, any width) the plain method's lists of the same users.

    >>> targets = sp.csr_array(np.array([[0, 1, 1, 0]], np.float32))
    >>> serendipity(np.array([[1, 2]]), targets, np.array([[0, 1]]), np.array([0])).tolist()
    [0.5]
    """
    there = expected >= 0
    owner = np.repeat(np.arange(len(lists)), there.sum(axis=1))
    plain = sp.csr_array((np.ones(len(owner)), (owner, expected[there])), shape=(len(lists), targets.shape[1]))
    surprising = hits(lists, targets, user_rows) & ~hits(lists, plain, np.arange(len(lists), dtype=np.int32))
    return np.asarray(surprising.sum(axis=1) / lists.shape[1])


def hits(lists: IntArray, targets: sp.csr_array, user_rows: IntArray) -> npt.NDArray[np.bool_]:
    """(n, k) whether each listed item is a target of its user. Memory: O(entries + n k), never n x n_items."""
    n_items = targets.shape[1]
    owner = np.repeat(np.arange(targets.shape[0], dtype=np.int64), np.diff(targets.indptr))
    right = np.sort(owner * n_items + targets.indices)
    asked = user_rows.astype(np.int64)[:, None] * n_items + lists
    if not len(right):
        return np.zeros(lists.shape, np.bool_)
    place = np.minimum(np.searchsorted(right, asked), len(right) - 1)
    return np.asarray((right[place] == asked) & (lists >= 0))


def novelty(lists: IntArray, users_of_item: npt.NDArray[np.integer], n_users: int) -> Float64Array:
    """(n,) mean self-information of the listed items, in bits: -log2((users + 1) / (n_users + 1)).

    0 = everybody already knows them; higher = less known (Zhou et al. 2010; the 1 keeps an item without users finite).
    NaN where a list is empty.

    >>> novelty(np.array([[0, 1]]), np.array([3, 1]), 3).tolist()
    [0.5]
    """
    bits = -np.log2((users_of_item + 1) / (n_users + 1))
    return _mean_of_listed(np.where(lists >= 0, bits[np.maximum(lists, 0)], np.nan))


def diversity(lists: IntArray, vectors: Vectors) -> Float64Array:
    """(n,) mean of 1 - cosine over the pairs of a list (intra-list diversity, Ziegler et al. 2005); higher = mixed.

    Items with a row of zeros are left out; NaN where fewer than two remain. Memory: blocks of n x k x d.

    >>> diversity(np.array([[0, 1]]), Vectors(np.eye(2, dtype=np.float32), "x")).tolist()
    [1.0]
    """
    out = np.empty(len(lists), np.float64)
    step = max(1, 8_000_000 // max(1, lists.shape[1] * vectors.values.shape[1]))
    for start in range(0, len(lists), step):
        block = lists[start : start + step]
        counted = (block >= 0) & vectors.present[np.maximum(block, 0)]
        rows = vectors.values[np.maximum(block, 0)].astype(np.float64) * counted[:, :, None]
        m = counted.sum(axis=1)
        # the sum over ordered pairs of different items is |sum of rows|^2 less each row with itself
        total = (rows.sum(axis=1) ** 2).sum(axis=1) - (rows**2).sum(axis=(1, 2))
        pairs = m * (m - 1)
        mean = np.divide(total, pairs, out=np.full(len(block), np.nan), where=pairs > 0)
        out[start : start + step] = 1 - mean
    return out


def miscalibration(
    lists: IntArray, history: sp.csr_array, membership: sp.csr_array, user_rows: IntArray
) -> Float64Array:
    """(n,) how far the list's mix of interests is from the user's own: KL(profile || list) in nats (Steck 2018).

    0 = the same mix; lower is better. The list's mix is smoothed with 1 % of the profile's.
    NaN where the past or the list touches no interest.

    Args:
        history: (n_users, n_items) weights of the past.
        membership: (n_items, n_interests), rows sum to 1 or are empty.
    """
    n, k = lists.shape
    keep = lists.ravel() >= 0
    listed = sp.csr_array(
        (np.ones(int(keep.sum())), (np.repeat(np.arange(n), k)[keep], lists.ravel()[keep])),
        shape=(n, membership.shape[0]),
    )
    out = np.empty(n, np.float64)
    step = max(1, 4_000_000 // max(1, membership.shape[1]))
    past = sp.csr_array(history[user_rows])
    for start in range(0, n, step):
        p = _mix(past[start : start + step], membership)
        q = (1 - MIX_SMOOTHING) * _mix(listed[start : start + step], membership) + MIX_SMOOTHING * p
        ratio = np.divide(p, q, out=np.ones_like(p), where=(p > 0) & (q > 0))
        divergence = (p * np.log(ratio)).sum(axis=1)
        divergence[np.isnan(p).any(axis=1) | np.isnan(q).any(axis=1)] = np.nan
        out[start : start + step] = np.where(divergence < 0, 0.0, divergence)  # rounding can give -1e-17
    return out


def coverage(lists: IntArray, n_items: int) -> float:
    """Share of the catalogue that at least one list holds, 0..1.

    >>> coverage(np.array([[0, 1], [1, -1]]), 4)
    0.5
    """
    return len(np.unique(lists[lists >= 0])) / n_items if n_items else 0.0


def gini(lists: IntArray, n_items: int) -> float:
    """Gini coefficient of how often items are listed: 0 = all equally often, towards 1 = the same few for everybody.

    >>> gini(np.array([[0, 1], [2, 3]]), 4)
    0.0
    """
    counts = np.sort(np.bincount(lists[lists >= 0], minlength=n_items)).astype(np.float64)
    total = counts.sum()
    if not total:
        return 0.0
    rank = np.arange(1, n_items + 1)
    return float(((2 * rank - n_items - 1) * counts).sum() / (n_items * total))


def _mix(weights: sp.csr_array, membership: sp.csr_array) -> Float64Array:
    mix = np.asarray((weights.astype(np.float64) @ membership.astype(np.float64)).toarray())
    total = mix.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(mix, total, out=np.full_like(mix, np.nan), where=total > 0))


def _mean_of_listed(values: Float64Array) -> Float64Array:
    there = ~np.isnan(values)
    n = there.sum(axis=1)
    total = np.where(there, values, 0).sum(axis=1)
    return np.asarray(np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0))


def _check_lists(lists: IntArray, targets: sp.csr_array, user_rows: IntArray) -> int:
    if lists.ndim != 2 or len(lists) != len(user_rows):
        raise DataError(
            f"ranking: lists must be (n_users, k), one row a user. Got {lists.shape}, {len(user_rows)} users."
        )
    if lists.shape[1] == 0:
        raise DataError("ranking: lists must hold at least one rank (k >= 1). Got k = 0.")
    if lists.size and (lists.max() >= targets.shape[1] or lists.min() < -1):
        raise DataError(f"ranking: item rows must be -1..{targets.shape[1] - 1}. Got {lists.min()}..{lists.max()}.")
    ordered = np.sort(lists, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row = int(np.argmax(twice.any(axis=1)))
        raise DataError(
            f"ranking: the list of user row {user_rows[row]} holds an item twice; lists must not repeat items"
        )
    return int(lists.shape[1])
