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
    there = ~np.isnan(values)
    sums = np.where(there, values, 0.0)
    counts = there[:, :1].astype(np.float64) if there.all() else there.astype(np.float64)
    if users is not None:
        sums, counts = sum_by_user(sums, users), sum_by_user(counts, users)
    mean, draws = ratio_draws(sums, counts, n_bootstrap=n_bootstrap, seed=seed)
    low, high = quantiles(draws, (1 - level) / 2)
    return Intervals(mean, low, high)


def ratio_draws(
    tops: Float64Array, bottoms: Float64Array, *, n_bootstrap: int, seed: int
) -> tuple[Float64Array, Float64Array]:
    """Ratios of column sums, as observed and for users redrawn with replacement, all columns together.

    Args:
        tops: (n, m), one row a user. bottoms: (n, m), or (n, 1) where all columns share it.
    Returns:
        (m,) observed, and (n_bootstrap, m) redrawn; NaN where a bottom sums to 0.
    Raises:
        DataError: no users.

    >>> ratio_draws(np.array([[1.0], [2.0]]), np.array([[4.0], [2.0]]), n_bootstrap=50, seed=0)[0].tolist()
    [0.5]
    """
    from penchant.threads import one_thread

    n = len(tops)
    if not n:
        raise DataError("interval: at least one user is needed. Got none.")
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // n)
    draws = []
    with one_thread("blas"):  # sums of several threads would depend on their number
        observed = _ratios(np.ones((1, n)), tops, bottoms)[0]
        for start in range(0, n_bootstrap, step):
            b = min(step, n_bootstrap - start)
            drawn = rng.integers(0, n, (b, n)) + np.arange(b)[:, None] * n
            times = np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n).astype(np.float64)
            draws.append(_ratios(times, tops, bottoms))
    return observed, np.concatenate(draws)


def sum_by_user(values: Float64Array, users: IntArray) -> Float64Array:
    """(n_users, m) sums of the rows of each user, users in rising order of their row.

    >>> sum_by_user(np.array([[1.0], [2.0], [4.0]]), np.array([7, 3, 7])).tolist()
    [[2.0], [5.0]]
    """
    found, owner = np.unique(users, return_inverse=True)
    pick = sp.csr_array((np.ones(len(users)), (owner, np.arange(len(users)))), shape=(len(found), len(users)))
    return np.asarray(pick @ values)


def quantiles(draws: Float64Array, tail: float) -> tuple[Float64Array, Float64Array]:
    """(m,) lower and upper ends of (b, m) draws with `tail` outside at each side; NaN where a column has no number."""
    low, high = np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    full = ~np.isnan(draws).all(axis=0)
    if full.any():
        low[full], high[full] = np.nanquantile(draws[:, full], [tail, 1 - tail], axis=0)
    return low, high


def wilson(n_yes: npt.ArrayLike, n: npt.ArrayLike, *, z: float = 1.959964) -> tuple[Float64Array, Float64Array]:
    """Ends of Wilson's score interval of shares n_yes / n (Wilson 1927); NaN where n is 0. `n` need not be whole.

    >>> [round(float(end), 3) for end in wilson(8, 10)]
    [0.49, 0.943]
    """
    yes, total = np.asarray(n_yes, np.float64), np.asarray(n, np.float64)
    safe = np.where(total > 0, total, np.nan)
    share, spread = yes / safe, z * z / safe
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def _ratios(times: Float64Array, tops: Float64Array, bottoms: Float64Array) -> Float64Array:
    """(b, m) ratios of weighted sums; `bottoms` has one column where all share it."""
    total, n = times @ tops, times @ bottoms
    return np.divide(total, n, out=np.full_like(total, np.nan), where=n > 0)
