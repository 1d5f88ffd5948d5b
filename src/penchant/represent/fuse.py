"""One vector an item out of its parts: text, behaviour, image, ...; a missing part is guessed from the others.

A part is a (n_items, d) matrix of unit rows, zeros where missing. The fused row is the parts side by side, each times
the square root of its share of the weights, so that a cosine of fused rows is the weighted mean of the parts' cosines.
A guess is shorter than one, by what is not known; so the cosine of a guessed row to a known one is the expected one,
and an item of which little is known is near to little, instead of near to everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.config import RepresentConfig
from penchant.data import FloatArray, Items, Vectors, unit_rows
from penchant.threads import one_thread

# A map from parts to a part is tried on every fifth item, and needs this many items that have both.
N_FOLDS = 5
MIN_PAIRS = 20
# ridge strengths, relative to the mean variance of a source column; the last is as good as predicting the mean
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1e4)
# What is not known of an item points in a direction of its own, in columns of their own: those of two items, and of an
# item and any known part, are (nearly) at right angles.
N_UNKNOWN_DIMS = 64

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One modality, unit rows, with its weight in the fused space."""

    vectors: Vectors
    weight: float


def fuse(
    text: Vectors | None, behaviour: Vectors | None, items: Items, config: RepresentConfig, *, seed: int
) -> Vectors:
    """Fuse texts, behaviour and the vector columns of the items by the weights of the config.

    Returns:
        (n_items, sum of widths) rows of unit length; zeros for items without any part. Where parts are missing and
        `impute` is on, `N_UNKNOWN_DIMS` columns follow. One column of zeros when there is no part at all.
    """
    parts = [
        Part(Vectors(unit_rows(vectors.values), vectors.name), weight)
        for vectors, weight in [
            (text, config.text_weight),
            (behaviour, config.behaviour_weight),
            *((Vectors(items.vectors[name], name), config.vector_weight) for name in sorted(items.vectors)),
        ]
        if vectors is not None and weight > 0 and vectors.present.any()
    ]
    if not parts:
        return Vectors(np.zeros((len(items), 1), np.float32), "nothing (no texts, no behaviour)")
    values = impute(parts) if config.impute and len(parts) > 1 else [part.vectors.values for part in parts]
    total = sum(part.weight for part in parts)
    rows = np.hstack([v * np.float32(np.sqrt(part.weight / total)) for part, v in zip(parts, values, strict=True)])
    if config.impute:
        rows = _fill_up(rows, seed)
    shares = [f"{part.weight / total:.2g} " if len(parts) > 1 else "" for part in parts]
    name = " + ".join(share + part.vectors.name for share, part in zip(shares, parts, strict=True))
    return Vectors(unit_rows(rows), name)


def _fill_up(rows: FloatArray, seed: int) -> FloatArray:
    """Bring rows shorter than one to unit length in columns of their own, each item in a random direction."""
    length = np.square(rows).sum(axis=1)
    short = (length > 0) & (length < 1 - 1e-3)
    if not short.any():
        return rows
    direction = unit_rows(np.random.default_rng(seed).standard_normal((len(rows), N_UNKNOWN_DIMS), dtype=np.float32))
    return np.hstack([rows, direction * np.sqrt(np.where(short, 1 - length, 0))[:, None].astype(np.float32)])


def impute(parts: list[Part]) -> list[FloatArray]:
    """Guess the missing rows of each part by a ridge map from all other parts; known rows stay.

    Returns:
        For each part (n_items, d): unit rows where known, at most that long where guessed (the surer, the longer),
        still zeros where an item has no other part either, or where fewer than `MIN_PAIRS` items have both.
    """
    out = []
    for target in parts:
        others = [part for part in parts if part is not target]
        source = np.hstack([part.vectors.values * np.float32(np.sqrt(part.weight)) for part in others])
        known = target.vectors.present
        has_source = np.abs(source).sum(axis=1) > 0
        both, missing = known & has_source, ~known & has_source
        values = target.vectors.values.copy()
        if missing.any() and both.sum() >= MIN_PAIRS:
            with one_thread():
                predict = fit_map(source[both].astype(np.float64), values[both].astype(np.float64))
                guess = predict(source[missing].astype(np.float64))
            length = np.linalg.norm(guess, axis=1, keepdims=True)
            values[missing] = guess / np.maximum(length, 1)
        out.append(values)
    return out


def fit_map(source: Array, target: Array) -> Callable[[Array], Array]:
    """Ridge regression with an intercept; its strength is the one of least squared error on every fifth row.

    Args:
        source: (n, d_source) and
        target: (n, d_target) of the same items.
    """
    held = np.arange(len(source)) % N_FOLDS == 0
    trial = _Ridge(source[~held], target[~held])
    errors = [float(np.square(trial.at(s)(source[held]) - target[held]).mean()) for s in STRENGTHS]
    return _Ridge(source, target).at(STRENGTHS[int(np.argmin(errors))])


class _Ridge:
    """Ridge maps of all strengths from one decomposition of the source's covariance."""

    def __init__(self, source: Array, target: Array) -> None:
        self.source_mean, self.target_mean = source.mean(axis=0), target.mean(axis=0)
        centred = source - self.source_mean
        self.values, self.basis = np.linalg.eigh(centred.T @ centred)
        self.cross = self.basis.T @ (centred.T @ (target - self.target_mean))

    def at(self, strength: float) -> Callable[[Array], Array]:
        penalty = strength * max(float(self.values.mean()), 1e-12)
        weight = self.basis @ (self.cross / (np.maximum(self.values, 0) + penalty)[:, None])
        return lambda source: (source - self.source_mean) @ weight + self.target_mean
