"""How good a forecast is: reliability, calibration error, Brier score, ranking; and Platt scaling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.errors import DataError

Array = npt.NDArray[np.float64]
N_BINS = 10


def check_probabilities(probabilities: npt.NDArray[np.floating], where: str) -> None:
    """Raise DataError naming the first value that is no probability."""
    wrong = np.flatnonzero(~((probabilities >= 0) & (probabilities <= 1)))
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"{where}: probabilities must be finite and in 0..1. Got {float(probabilities[first])!r} at {first} "
            f"({len(wrong)} such values)."
        )


def reliability(outcome: npt.NDArray[np.bool_], probability: Array, *, equal: str = "mass") -> pl.DataFrame:
    """Reliability diagram as a table: bin · low · high · n · mean_probability · hit_rate.

    Args:
        outcome: (n,) what happened. probability: (n,) what was said.
        equal: "mass" (ten bins of equally many points, ties kept together by rank) or "width" (0-0.1, 0.1-0.2, ...).

    >>> reliability(np.array([False, True]), np.array([0.05, 0.95]), equal="width")["hit_rate"].to_list()
    [0.0, 1.0]
    """
    check_probabilities(probability, "reliability")
    n = len(probability)
    if equal == "mass":
        order = np.argsort(probability, kind="stable")
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n)
        group = rank * N_BINS // max(1, n)
    elif equal == "width":
        group = np.minimum((probability * N_BINS).astype(np.int64), N_BINS - 1)
    else:
        raise DataError(f"reliability: equal must be 'mass' or 'width'. Got {equal!r}.")
    return (
        pl.DataFrame({"bin": group, "p": np.asarray(probability, np.float64), "y": outcome})
        .group_by("bin")
        .agg(
            pl.col("p").min().alias("low"),
            pl.col("p").max().alias("high"),
            pl.len().cast(pl.Int64).alias("n"),
            pl.col("p").mean().alias("mean_probability"),
            pl.col("y").cast(pl.Float64).mean().alias("hit_rate"),
        )
        .sort("bin")
    )


def calibration_error(outcome: npt.NDArray[np.bool_], probability: Array, *, equal: str = "mass") -> float:
    """Expected calibration error over ten bins: mean of |said - happened| weighted by points (Naeini et al. 2015).

    >>> round(calibration_error(np.array([False, True]), np.array([0.1, 0.9]), equal="width"), 3)
    0.1
    """
    table = reliability(outcome, probability, equal=equal)
    if table.height == 0:
        return float("nan")
    n = table["n"].to_numpy()
    gap = np.abs(table["mean_probability"].to_numpy() - table["hit_rate"].to_numpy())
    return float((gap * n).sum() / n.sum())


def calibration_noise(probability: Array, *, n_draws: int = 100) -> float:
    """Calibration error (equal-mass bins) that a perfect forecast would show by chance on as many points.

    Outcomes are drawn from the probabilities themselves, one by one; points of one user hang together, so the true
    noise is rather larger.
    """
    if len(probability) == 0:
        return float("nan")
    check_probabilities(probability, "calibration_noise")
    said = np.sort(np.asarray(probability, np.float64))
    bins = np.arange(len(said)) * N_BINS // len(said)
    edges = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])
    mean = np.add.reduceat(said, edges)
    rng = np.random.default_rng(0)
    errors = [
        np.abs(np.add.reduceat((rng.random(len(said)) < said).astype(np.float64), edges) - mean).sum() / len(said)
        for _ in range(n_draws)
    ]
    return float(np.mean(errors))


def brier(outcome: npt.NDArray[np.bool_], probability: Array) -> float:
    """Mean squared error between chance and outcome (Brier 1950); lower is better.

    >>> brier(np.array([True, False]), np.array([1.0, 0.5]))
    0.125
    """
    return float(np.mean((np.asarray(probability, np.float64) - outcome) ** 2)) if len(outcome) else float("nan")


def auc(outcome: npt.NDArray[np.bool_], score: Array) -> float:
    """Chance that a hit scores above a miss, ties half (Mann-Whitney U); nan without both kinds.

    >>> auc(np.array([False, True, True]), np.array([0.1, 0.1, 0.7]))
    0.75
    """
    n_hit = int(outcome.sum())
    n_miss = len(outcome) - n_hit
    if n_hit == 0 or n_miss == 0:
        return float("nan")
    values, group, size = np.unique(score, return_inverse=True, return_counts=True)
    del values
    rank = np.cumsum(size) - (size - 1) / 2  # the mean rank of each tie group, from 1
    return float((rank[group][outcome].sum() - n_hit * (n_hit + 1) / 2) / (n_hit * n_miss))


def logit(probability: Array) -> Array:
    """log(p / (1 - p)), kept finite."""
    p = np.clip(np.asarray(probability, np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p) - np.log1p(-p))


def sigmoid(value: Array) -> Array:
    """1 / (1 + exp(-value)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))
