"""Is a difference between two methods more than the luck of these users? Sign flips, and many methods at once."""

from __future__ import annotations

import math

import numpy as np

from penchant.data import IntArray
from penchant.evaluate.interval import Float64Array, sum_by_user

_BATCH = 4_000_000  # numbers held at a time


def sign_flip_p_values(differences: Float64Array, *, n_permutations: int, seed: int) -> Float64Array:
    """Two-sided paired permutation test of each row's mean (Fisher 1935): a user's difference may as well be negated.

    If two methods were alike, which of the two a user's better list came from would be a coin's fall. p is twice the
    share of sign patterns whose mean lies at least as far out on the observed side: of all patterns where there are no
    more than `n_permutations`, else of so many random ones and the one observed. All rows share their patterns.

    Args:
        differences: (m, n_users) one method's metric minus the other's.
        n_permutations: random patterns. Time: m x n_permutations x n_users; memory is bounded, and does not change p.
    Returns:
        (m,) p-values; NaN with fewer than two users.

    >>> sign_flip_p_values(np.array([[1.0, 2.0, 3.0], [1.0, -1.0, 0.0]]), n_permutations=999, seed=0).tolist()
    [0.25, 1.0]
    """
    from scipy.stats import monte_carlo_test, permutation_test

    from penchant.threads import one_thread

    m, n = differences.shape
    if m == 0 or n < 2:
        return np.full(m, np.nan)
    if n <= math.log2(n_permutations):
        every = permutation_test(
            (differences,), np.mean, permutation_type="samples", vectorized=True, n_resamples=n_permutations, axis=1
        )
        return np.asarray(every.pvalue, np.float64)

    def p_value(row: Float64Array) -> float:
        rng = np.random.default_rng(seed)
        # permutation_test draws such patterns too, but with a Python loop over users for each batch
        found = monte_carlo_test(
            np.ones(n),
            lambda size: np.where(rng.random(size) < 0.5, -1.0, 1.0),
            lambda signs, axis: signs @ row,
            vectorized=True,
            n_resamples=n_permutations,
            batch=max(1, _BATCH // n),
            axis=-1,
        )
        return float(found.pvalue)

    with one_thread("blas"):  # sums of several threads would depend on their number
        return np.array([p_value(row) for row in differences])


def adjust_p_values(p_values: Float64Array) -> Float64Array:
    """Benjamini & Hochberg 1995: of all rows at or below a, at most a share a is expected to be chance.

    >>> adjust_p_values(np.array([0.01, 0.04, 0.03])).round(6).tolist()
    [0.03, 0.04, 0.04]
    """
    from scipy.stats import false_discovery_control

    if not len(p_values) or np.isnan(p_values).any():
        return np.full(len(p_values), np.nan)
    return np.asarray(false_discovery_control(p_values, method="bh"), np.float64)


def user_means(values: Float64Array, users: IntArray) -> Float64Array:
    """(n_users, m) mean of each user's rows: a user who is tested in several windows is one user still.

    >>> user_means(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 2])).tolist()
    [[2.0], [5.0]]
    """
    return sum_by_user(values, users) / sum_by_user(np.ones((len(values), 1)), users)
