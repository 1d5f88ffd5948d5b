"""Is a difference between two methods more than the luck of these users? Sign flips, and many methods at once."""

from __future__ import annotations

import numpy as np

from penchant.data import IntArray
from penchant.evaluate.interval import Float64Array, sum_by_user

_BATCH = 4_000_000  # numbers held at a time


def sign_flip_p_values(differences: Float64Array, *, n_permutations: int, seed: int) -> Float64Array:
    """Two-sided paired permutation test of each row's mean (Fisher 1935): a user's difference may as well be negated.

    If two methods were alike, which of the two a user's better list came from would be a coin's fall. p is twice the
    share of sign flips (the one observed among them) whose mean lies at least as far out on the observed side; exact
    where there are no more flips than `n_permutations`. All rows share their flips.

    Args:
        differences: (m, n_users) one method's metric minus the other's.
        n_permutations: random flips. Time: n_permutations x n_users; memory is bounded, and does not change p.
    Returns:
        (m,) p-values; NaN with fewer than two users.

    >>> sign_flip_p_values(np.array([[1.0, 2.0, 3.0], [1.0, -1.0, 0.0]]), n_permutations=999, seed=0).tolist()
    [0.25, 1.0]
    """
    from scipy.stats import permutation_test

    m, n = differences.shape
    if m == 0 or n < 2:
        return np.full(m, np.nan)
    found = permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=n_permutations,
        batch=max(1, _BATCH // (m * n)),
        axis=1,
        rng=np.random.default_rng(seed),
    )
    return np.asarray(found.pvalue, np.float64)


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
