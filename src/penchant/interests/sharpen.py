"""The space in which leaves are sought: what sets items of one kind apart counts less than what sets kinds apart.

Vectors of texts and factors of behaviour spread a lot in a few directions that tell nothing of interests (length of
text, popularity, tone). Those directions show as spread *within* clusters. So: reduce by principal components, cluster
finely once, measure the pooled covariance within these clusters, and divide by its root (the within-class whitening
of linear discriminant analysis, with found classes for given ones; covariance shrunk towards a sphere). Rows are
brought to unit length before and after, so closeness is a cosine all the way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penchant.data import FloatArray, unit_rows
from penchant.interests.grouping import grow, refine, sum_rows

N_DIMS = 100  # principal components kept; more cost time and held nothing in any log tried
SHRINK = 0.3  # least shrinkage of the covariance; small sets shrink more


def sharpen(values: FloatArray, *, seed: int) -> FloatArray:
    """Turn and scale unit rows so that clusters stand out.

    Args:
        values: (n, d) rows, none all zero.
        seed: of the first, fine clustering.
    Returns:
        (n, at most N_DIMS) unit rows. A row at the exact mean of all rows keeps a zero row.
    """
    reduced = unit_rows(_principal(values))
    n, d = reduced.shape
    shrink = float(np.clip(d / max(1, n), SHRINK, 1.0))
    if shrink == 1.0:
        return reduced
    labels = refine(reduced, grow(reduced, seed=seed).cut(max(2, round(np.sqrt(n)))), 3)
    return unit_rows(_whiten(reduced, labels, shrink))


def _principal(values: FloatArray) -> npt.NDArray[np.float64]:
    """(n, at most N_DIMS) centred rows on their principal axes."""
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    variance, axes = np.linalg.eigh(centred.T @ centred / len(values))
    keep = variance > 1e-10 * max(float(variance[-1]), 1e-300)
    return np.asarray(centred @ axes[:, keep][:, ::-1][:, :N_DIMS])


def _whiten(rows: FloatArray, labels: npt.NDArray[np.int32], shrink: float) -> npt.NDArray[np.float64]:
    n, d = rows.shape
    x = rows.astype(np.float64)
    k = int(labels.max()) + 1
    inside = x - (sum_rows(x, labels, k) / np.maximum(np.bincount(labels, minlength=k), 1)[:, None])[labels]
    within = inside.T @ inside / max(1, n - k)
    level = np.trace(within) / d
    if level <= 0:  # every cluster is a single point: nothing to level out
        return x
    variance, axes = np.linalg.eigh((1 - shrink) * within + shrink * level * np.eye(d))
    return np.asarray(x @ (axes / np.sqrt(variance)))
