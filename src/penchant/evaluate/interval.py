"""Bootstrap intervals over users: how far a mean would move with other users of the same kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import IntArray
from penchant.errors import DataError

Float64Array = npt.NDArray[np.float64]

_BLOCK = 4_000_000  # draws held at a time


@dataclass(frozen=True)
class Intervals:
    """(m,) means of m columns with the ends of their intervals; NaN where a column has no number at all."""

    mean: Float64Array
    low: Float64Array
    high: Float64Array


def bootstrap(
    values: Float64Array, *, n_bootstrap: int, seed: int, level: float = 0.95, users: IntArray | None = None
) -> Intervals:
    """Percentile bootstrap of column means over users (Efron 1979): users drawn with replacement, all columns together.

    NaN entries are left out of the mean of their column. Columns of one call share their draws, and so do calls with
    the same seed and number of users. For a paired difference give the differences, user by user.

    Args:
        values: (n_rows, m), one row a user unless `users` says otherwise.
        n_bootstrap: redraws. Time: n_bootstrap x n_users x m.
        users: (n_rows,) whose row it is, where a user has several (one a window, say): all rows of a user are drawn
            together, so that seeing the same people twice makes no interval narrower.
    Raises:
        DataError: no users.

    >>> found = bootstrap(np.array([[0.0], [1.0], [1.0], [0.0]]), n_bootstrap=200, seed=0)
    >>> float(found.mean[0]), 0 <= found.low[0] < 0.5 < found.high[0] <= 1
    (0.5, np.True_)
    """
    from penchant.threads import one_thread

    if len(values) == 0:
        raise DataError("interval: at least one user is needed. Got none.")
    there = ~np.isnan(values)
    sums = np.where(there, values, 0.0)
    counts = there[:, :1].astype(np.float64) if there.all() else there.astype(np.float64)
    if users is not None:
        sums, counts = sum_by_user(sums, users), sum_by_user(counts, users)
    n = len(sums)
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // n)
    means = []
    with one_thread("blas"):  # sums of several threads would depend on their number
        mean = _means(np.ones((1, n)), sums, counts)[0]
        for start in range(0, n_bootstrap, step):
            b = min(step, n_bootstrap - start)
            drawn = rng.integers(0, n, (b, n)) + np.arange(b)[:, None] * n
            times = np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n).astype(np.float64)
            means.append(_means(times, sums, counts))
    tail = (1 - level) / 2
    low, high = _quantiles(np.concatenate(means), tail)
    return Intervals(mean, low, high)


def sum_by_user(values: Float64Array, users: IntArray) -> Float64Array:
    """(n_users, m) sums of the rows of each user, users in rising order of their row.

    >>> sum_by_user(np.array([[1.0], [2.0], [4.0]]), np.array([7, 3, 7])).tolist()
    [[2.0], [5.0]]
    """
    found, owner = np.unique(users, return_inverse=True)
    pick = sp.csr_array((np.ones(len(users)), (owner, np.arange(len(users)))), shape=(len(found), len(users)))
    return np.asarray(pick @ values)


def _means(times: Float64Array, sums: Float64Array, counts: Float64Array) -> Float64Array:
    """(b, m) weighted means of each column; `counts` has one column where no entry is missing."""
    total, n = times @ sums, times @ counts
    return np.divide(total, n, out=np.full_like(total, np.nan), where=n > 0)


def _quantiles(means: Float64Array, tail: float) -> tuple[Float64Array, Float64Array]:
    low, high = np.full(means.shape[1], np.nan), np.full(means.shape[1], np.nan)
    full = ~np.isnan(means).all(axis=0)
    if full.any():
        low[full], high[full] = np.nanquantile(means[:, full], [tail, 1 - tail], axis=0)
    return low, high
