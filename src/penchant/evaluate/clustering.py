"""How good a clustering is: by its own shape, by coming back, and against a truth where one is known.

Rules for rows that are unassigned (-1). Shape: they are left out, and `unassigned_share` says how many. Against a
truth, and between two clusterings: each is a cluster of its own, so leaving rows out never pays; rows whose *truth* is
-1 are left out, there is nothing to compare with. A figure that is not defined (fewer than two clusters) is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray
from penchant.errors import DataError

Labels = npt.NDArray[np.integer[Any]]
Cluster = Callable[[FloatArray, int], Labels]  # (rows, seed) -> labels

_CHUNK = 1024


@dataclass(frozen=True)
class ShapeScores:
    """Scores of a clustering by its own rows, Euclidean.

    silhouette: -1..1, higher better (Rousseeuw 1987: a within, b nearest other, (b - a) / max(a, b)), on at most
    `sample` rows. davies_bouldin: >= 0, lower better. calinski_harabasz: >= 0, higher better. sse: sum of squared
    distances to the cluster means. within_distance: mean distance of a row to its cluster's mean. between_distance:
    mean distance between two cluster means.
    """

    n_clusters: int
    unassigned_share: float
    silhouette: float | None
    davies_bouldin: float | None
    calinski_harabasz: float | None
    sse: float
    within_distance: float | None
    between_distance: float | None


@dataclass(frozen=True)
class TruthScores:
    """Agreement with a truth; all but ari and ami lie in 0..1, and those are 0 for chance and 1 for equal."""

    homogeneity: float
    completeness: float
    v_measure: float
    ari: float
    ami: float
    n_rows: int
    unassigned_share: float


@dataclass(frozen=True)
class BCubed:
    """Extended BCubed (Amigo et al. 2009), each in 0..1."""

    precision: float
    recall: float
    f1: float


def shape_scores(rows: FloatArray, labels: Labels, *, sample: int = 5000, seed: int = 0) -> ShapeScores:
    """Score a clustering by the shape of its clusters; unassigned rows are left out.

    Args:
        rows: (n, d) finite. labels: (n,), -1 = unassigned.
        sample: silhouette needs all pairs, so it looks at this many rows at most, drawn by `seed`.
    Raises:
        DataError: lengths differ, or rows are not finite.

    >>> rows = np.array([[0.0], [2.0], [10.0], [12.0]], np.float32)
    >>> scores = shape_scores(rows, np.array([0, 0, 1, 1]))
    >>> scores.sse, scores.within_distance, scores.between_distance
    (4.0, 1.0, 10.0)
    """
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

    values = _check_rows(rows, labels)
    kept = labels >= 0
    unassigned = float(1 - kept.mean()) if len(labels) else 0.0
    x, y = values[kept], _compact(labels[kept])
    n, k = len(x), int(y.max(initial=-1)) + 1
    if k == 0:
        return ShapeScores(0, unassigned, None, None, None, 0.0, None, None)
    size = np.bincount(y, minlength=k)
    centres = np.asarray(sp.csr_array((1.0 / size[y], (y, np.arange(n))), shape=(k, n)) @ x)
    square = np.square(x - centres[y]).sum(axis=1)
    between: float | None = None
    silhouette = davies = calinski = None
    if k >= 2:
        gaps = np.sqrt(np.square(centres[:, None, :] - centres[None, :, :]).sum(axis=2))
        between = float(gaps[np.triu_indices(k, 1)].mean())
        look = np.arange(n)
        if n > sample:
            look = np.sort(np.random.default_rng(seed).choice(n, sample, replace=False))
        if 2 <= len(np.unique(y[look])) < len(look):
            silhouette = float(silhouette_score(x[look], y[look]))
        if k < n:
            davies = float(davies_bouldin_score(x, y))
            calinski = float(calinski_harabasz_score(x, y))
    within = float(np.sqrt(square).mean())
    return ShapeScores(k, unassigned, silhouette, davies, calinski, float(square.sum()), within, between)


def truth_scores(labels: Labels, truth: Labels) -> TruthScores:
    """Compare found labels with true ones; see the rule for -1 at the top of this module.

    Homogeneity, completeness, V-measure: Rosenberg & Hirschberg 2007. ARI: Hubert & Arabie 1985. AMI: Vinh et al. 2010
    (arithmetic mean).

    >>> truth_scores(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])).ari
    1.0
    """
    from sklearn.metrics import adjusted_mutual_info_score, homogeneity_completeness_v_measure

    _same_length(labels, truth)
    known = truth >= 0
    if not known.any():
        raise DataError("truth_scores: no row has a true label (all are -1); give the labels of at least one row")
    found, true = _singletons(labels[known]), truth[known]
    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(true, found)
    return TruthScores(
        homogeneity=float(homogeneity),
        completeness=float(completeness),
        v_measure=float(v_measure),
        ari=agreement(labels[known], true),
        ami=float(adjusted_mutual_info_score(true, found)),
        n_rows=int(known.sum()),
        unassigned_share=float((labels[known] < 0).mean()),
    )


def agreement(a: Labels, b: Labels) -> float:
    """Adjusted Rand index of two clusterings of the same rows; -1 rows are clusters of their own."""
    from sklearn.metrics import adjusted_rand_score

    _same_length(a, b)
    return float(adjusted_rand_score(_singletons(a), _singletons(b)))


def mean_agreement(runs: Sequence[Labels]) -> float:
    """Mean ARI over all pairs of clusterings of the same rows: 1 = always the same.

    Raises:
        DataError: fewer than two clusterings.
    """
    if len(runs) < 2:
        raise DataError(f"mean_agreement: needs two clusterings or more. Got {len(runs)}")
    return float(np.mean([agreement(a, b) for a, b in combinations(runs, 2)]))


def seed_stability(cluster: Cluster, rows: FloatArray, *, n_runs: int = 5, seed: int = 0) -> float:
    """Mean ARI between clusterings of the same rows with `n_runs` different seeds."""
    return mean_agreement([cluster(rows, seed + i) for i in range(n_runs)])


def subsample_stability(
    cluster: Cluster, rows: FloatArray, *, n_runs: int = 5, share: float = 0.8, seed: int = 0
) -> float:
    """Mean ARI between clusterings of random parts of the rows, each pair compared on the rows both have.

    Args:
        share: part of the rows in each run, above 0.5 so that any two runs have rows in common.
    Raises:
        DataError: `share` is not in (0.5, 1], or fewer than two runs.
    """
    if not 0.5 < share <= 1 or n_runs < 2:
        raise DataError(
            f"subsample_stability: 'share' must be in (0.5, 1] and 'n_runs' at least 2. Got {share}, {n_runs}"
        )
    rng = np.random.default_rng(seed)
    parts = [np.sort(rng.choice(len(rows), max(2, round(share * len(rows))), replace=False)) for _ in range(n_runs)]
    runs = [np.asarray(cluster(rows[part], seed)) for part in parts]
    scores = []
    for i, j in combinations(range(n_runs), 2):
        _, a, b = np.intersect1d(parts[i], parts[j], assume_unique=True, return_indices=True)
        scores.append(agreement(runs[i][a], runs[j][b]))
    return float(np.mean(scores))


def omega_index(found: sp.csr_array, truth: sp.csr_array, *, max_rows: int = 5000, seed: int = 0) -> float:
    """Omega index of two overlapping clusterings (Collins & Dent 1988): 1 = equal, 0 = chance.

    Two clusterings agree on a pair of rows if they put the pair together in the same number of clusters. Without
    overlap it equals the ARI. All pairs of at most `max_rows` rows (drawn by `seed`) are looked at.

    Args:
        found, truth: (n, n_clusters) and (n, n_true); a stored non-zero value is a membership.

    >>> a = sp.csr_array(np.array([[1, 0], [1, 0], [0, 1], [0, 1]]))
    >>> omega_index(a, a[:, [1, 0]])
    1.0
    """
    a, b = _sampled(found, truth, max_rows, seed)
    n = a.shape[0]
    if n < 2:
        raise DataError(f"omega_index: needs two rows or more. Got {n}")
    top = int(max(a.sum(axis=1).max(), b.sum(axis=1).max())) + 1
    joint = np.zeros(top * top, np.int64)
    for start in range(0, n, _CHUNK):
        stop = min(start + _CHUNK, n)
        pair = np.arange(start, stop)[:, None] < np.arange(n)[None, :]
        code = (a[start:stop] @ a.T).toarray()[pair] * top + (b[start:stop] @ b.T).toarray()[pair]
        joint += np.bincount(code, minlength=top * top)
    table = joint.reshape(top, top) / (n * (n - 1) / 2)
    observed = float(np.trace(table))
    expected = float(table.sum(axis=1) @ table.sum(axis=0))
    return 1.0 if expected >= 1.0 else (observed - expected) / (1 - expected)


def bcubed(found: sp.csr_array, truth: sp.csr_array, *, max_rows: int = 5000, seed: int = 0) -> BCubed:
    """Extended BCubed for overlapping clusterings (Amigo et al. 2009, section 5).

    Precision of a pair that is together in `found`: min(shared found, shared true) / shared found; averaged over a
    row's partners (itself among them), then over rows; recall the other way round. Rows without a found cluster have no
    partners and leave the precision; their recall is 0. All pairs of at most `max_rows` rows are looked at.

    >>> bcubed(sp.csr_array(np.ones((4, 1))), sp.csr_array(np.array([[1, 0], [1, 0], [0, 1], [0, 1]]))).precision
    0.5
    """
    a, b = _sampled(found, truth, max_rows, seed)
    precision = _pair_mean(a, b)
    recall = _pair_mean(b, a)
    total = precision + recall
    return BCubed(precision, recall, 2 * precision * recall / total if total else 0.0)


def _pair_mean(a: sp.csr_array, b: sp.csr_array) -> float:
    per_row: list[npt.NDArray[np.float64]] = []
    for start in range(0, a.shape[0], _CHUNK):
        shared_a = (a[start : start + _CHUNK] @ a.T).toarray()
        shared_b = (b[start : start + _CHUNK] @ b.T).toarray()
        together = shared_a > 0
        good = np.divide(np.minimum(shared_a, shared_b), shared_a, out=np.zeros(shared_a.shape), where=together)
        partners = together.sum(axis=1)
        per_row.append(good.sum(axis=1)[partners > 0] / partners[partners > 0])
    values = np.concatenate(per_row) if per_row else np.zeros(0)
    return float(values.mean()) if len(values) else 0.0


def memberships(labels: Labels) -> sp.csr_array:
    """(n, n_clusters) 0/1 matrix of plain labels, an empty row for -1: hard labels as a case of overlapping ones."""
    kept = np.flatnonzero(labels >= 0)
    return sp.csr_array(
        (np.ones(len(kept), np.int64), (kept, labels[kept])), shape=(len(labels), int(labels.max(initial=-1)) + 1)
    )


def _sampled(found: sp.csr_array, truth: sp.csr_array, max_rows: int, seed: int) -> tuple[sp.csr_array, sp.csr_array]:
    if found.shape[0] != truth.shape[0]:
        raise DataError(f"clusterings must speak of the same rows. Got {found.shape[0]} and {truth.shape[0]} rows")
    a, b = (sp.csr_array((m != 0).astype(np.int64)) for m in (found, truth))
    if a.shape[0] > max_rows:
        rows = np.sort(np.random.default_rng(seed).choice(a.shape[0], max_rows, replace=False))
        a, b = sp.csr_array(a[rows]), sp.csr_array(b[rows])
    return a, b


def _check_rows(rows: FloatArray, labels: Labels) -> npt.NDArray[np.float64]:
    values = np.asarray(rows, np.float64)
    if values.ndim != 2 or len(values) != len(labels):
        raise DataError(f"shape_scores: rows must be (n, d) with one label a row. Got {values.shape}, {len(labels)}")
    if not np.isfinite(values).all():
        raise DataError("shape_scores: every value of a row must be finite; look for missing affinities")
    return values


def _same_length(a: Labels, b: Labels) -> None:
    if len(a) != len(b):
        raise DataError(f"clusterings must speak of the same rows. Got {len(a)} and {len(b)} labels")


def _compact(labels: Labels) -> IntArray:
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def _singletons(labels: Labels) -> npt.NDArray[np.int64]:
    """Give each -1 a label of its own."""
    out = np.asarray(labels, np.int64).copy()
    alone = out < 0
    out[alone] = out.max(initial=-1) + 1 + np.arange(int(alone.sum()))
    return out
