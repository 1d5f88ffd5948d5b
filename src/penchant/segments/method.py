"""What a clustering method is: the row of the table, what it is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
import numpy.typing as npt

from penchant.data import FloatArray, IntArray
from penchant.errors import MissingExtraError

Floats = npt.NDArray[np.float64]
Init = Literal["plusplus", "random", "ward"]
Number = Literal["judged", "kmeans", "found"]


@dataclass(frozen=True)
class Options:
    """init: where centres start. weights: (n,) > 0 what a row counts, None = all alike."""

    init: Init = "plusplus"
    weights: FloatArray | None = None


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture with one shared covariance, whitened: posteriors are a softmax of squared distances.

    mean, axes: (d,) and (d, m), row -> (row - mean) @ axes has unit covariance within a component. centres: (k, m).
    log_shares: (k,) log of each component's share.
    """

    mean: Floats
    axes: Floats
    centres: Floats
    log_shares: Floats

    def posterior(self, rows: FloatArray) -> Floats:
        """(n, k) chance of each component, rows sum to 1."""
        at = (np.asarray(rows, np.float64) - self.mean) @ self.axes
        half = 0.5 * np.einsum("ij,ij->i", self.centres, self.centres)
        logit = at @ self.centres.T - half + self.log_shares  # the row's own square is the same for all components
        logit -= logit.max(axis=1, keepdims=True)
        chance = np.exp(logit)
        return np.asarray(chance / chance.sum(axis=1, keepdims=True))

    def take(self, order: IntArray) -> Mixture:
        """The same mixture with its components in another order."""
        return Mixture(self.mean, self.axes, self.centres[order], self.log_shares[order])


@dataclass(frozen=True)
class Fit:
    """labels: (n,) integers, -1 = noise. mixture: where the method has posteriors of its own."""

    labels: IntArray
    mixture: Mixture | None = None


@dataclass(frozen=True)
class Method:
    """One row of the table.

    fit: (rows, n_clusters, seed, options) -> Fit; gets finite rows without zero rows in an order that does not depend
    on the caller's, more distinct ones than n_clusters >= 2 (None only where `number` is "found").
    max_rows: fitted on at most this many rows (drawn by the seed); others go to the nearest centroid.
    by_centroid: the fitted rows too go to the nearest centroid, so that a row seen again gets the segment it got.
    number: how it comes to the number of clusters where none is given: "judged" = tried one by one (`choose`),
    "kmeans" = as judged for kmeans, since a fit costs too much to try; "found" = by itself, a number given is a hint.
    noise: may leave rows unassigned. inits, weights: which options it understands. about: one line for the reader.
    library, extra: what it needs beyond the base install, and what brings it.
    """

    fit: Callable[[FloatArray, int | None, int, Options], Fit]
    max_rows: int
    about: str
    by_centroid: bool = False
    number: Number = "judged"
    noise: bool = False
    inits: tuple[Init, ...] = ("plusplus",)
    weights: bool = False
    library: str = ""
    extra: str = ""

    def missing(self) -> str:
        """What must be installed first, in words; "" where the method can run."""
        if not self.library or find_spec(self.library) is not None:
            return ""
        return str(MissingExtraError("this clustering", self.extra))
