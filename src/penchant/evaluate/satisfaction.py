"""Opinions of people counted by group, and whether they agree with an order that was foretold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.data import FloatArray, IntArray
from penchant.evaluate.interval import bootstrap, wilson


@dataclass(frozen=True)
class Agreement:
    """auc: mean over users of the chance that one of their answers for stands above one against, 0.5 = no order (ties
    count half) · low, high: 95 % bootstrap over users · n_users: with answers of both kinds · n_answers: theirs.
    None where nobody has both.
    """

    auc: float | None
    low: float | None
    high: float | None
    n_users: int
    n_answers: int


def satisfaction_table(
    users: npt.NDArray[np.integer], opinions: npt.NDArray[np.integer], groups: Sequence[str | None]
) -> pl.DataFrame:
    """Count opinions by group, with the share of answers that are for.

    The interval is Wilson's (1927) at 95 %, for as many answers as the sample is worth: n over the design effect of
    answers that come several from a user (Dean & Pagano 2015), so ten thumbs of one person don't count as ten people.

    Args:
        users: (n,) who answered, any numbers. opinions: (n,) 1 for, 0 neither, -1 against.
        groups: (n,) of each answer; None is left out.
    Returns:
        A row a group, in the order they come: group · n_users · n_answers · n_for · n_neither · n_against · satisfied
        (n_for / n_answers) · low, high · effective_n.

    >>> satisfaction_table(np.arange(10), np.array([1] * 8 + [-1, 0]), ["a"] * 10)["low"].round(3).to_list()
    [0.49]
    """
    table = pl.DataFrame({"user": users, "opinion": opinions, "group": pl.Series(groups, dtype=pl.String)}).filter(
        pl.col("group").is_not_null()
    )
    own = table.group_by("group", "user", maintain_order=True).agg(
        pl.len().alias("n"),
        *((pl.col("opinion") == sign).sum().alias(name) for name, sign in _SIGNS.items()),
    )
    # squared sums of a user's deviations from the group's share: the variance of a share of clustered answers
    share = pl.col("n_for").sum().over("group") / pl.col("n").sum().over("group")
    out = (
        own.with_columns(deviation=(pl.col("n_for") - share * pl.col("n")) ** 2)
        .group_by("group", maintain_order=True)
        .agg(
            pl.len().alias("n_users"),
            pl.col("n").sum().alias("n_answers"),
            *(pl.col(name).sum() for name in _SIGNS),
            pl.col("deviation").sum(),
        )
        .with_columns(satisfied=pl.col("n_for") / pl.col("n_answers"))
    )
    n, p = out["n_answers"].to_numpy().astype(float), out["satisfied"].to_numpy()
    m = out["n_users"].to_numpy().astype(float)
    # both n^2 times the variance of the share, without bias: of independent answers, and of users' together
    simple = n * p * (1 - p) * n / np.maximum(n - 1, 1)
    clustered = out["deviation"].to_numpy() * m / np.maximum(m - 1, 1)
    spread = (simple > 0) & (m > 1)
    effect = np.where(spread, np.maximum(clustered / np.where(spread, simple, 1), 1), n / m)
    effective = n / effect
    low, high = wilson(p * effective, effective)
    return out.drop("deviation").with_columns(
        low=pl.Series(low), high=pl.Series(high), effective_n=pl.Series(effective)
    )


_SIGNS = {"n_for": 1, "n_neither": 0, "n_against": -1}


def agreement(
    users: IntArray, scores: FloatArray, opinions: npt.NDArray[np.integer], *, n_bootstrap: int, seed: int
) -> Agreement:
    """Whether what a user is for was scored above what the same user is against (AUC within users, their mean).

    Args:
        users, scores, opinions: (n,); answers of neither kind, and users with one kind only, say nothing.

    >>> agreement(np.array([1, 1, 2]), np.array([0.9, 0.1, 0.5]), np.array([1, -1, 1]), n_bootstrap=50, seed=0).auc
    1.0
    """
    table = pl.DataFrame({"user": users, "score": scores, "opinion": opinions}).filter(pl.col("opinion") != 0)
    found = (
        table.with_columns(place=pl.col("score").rank("average").over("user"), good=pl.col("opinion") > 0)
        .group_by("user", maintain_order=True)
        .agg(
            pl.col("good").sum().cast(pl.Float64).alias("n_for"),
            (~pl.col("good")).sum().cast(pl.Float64).alias("n_against"),
            pl.col("place").filter(pl.col("good")).sum().alias("places"),
        )
        .filter((pl.col("n_for") > 0) & (pl.col("n_against") > 0))
        .sort("user")
    )
    if found.is_empty():
        return Agreement(None, None, None, 0, 0)
    # Mann & Whitney 1947: the sum of ranks less its least value, over the number of pairs
    n_for, n_against = found["n_for"].to_numpy(), found["n_against"].to_numpy()
    auc = (found["places"].to_numpy() - n_for * (n_for + 1) / 2) / (n_for * n_against)
    ends = bootstrap(auc[:, None], n_bootstrap=n_bootstrap, seed=seed)
    return Agreement(
        float(ends.mean[0]), float(ends.low[0]), float(ends.high[0]), found.height, int((n_for + n_against).sum())
    )
