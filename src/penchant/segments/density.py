"""Clusterings by density: dense places are segments, what lies between is unassigned.

All see few dimensions (`reduce`) as directions: in many dimensions every row is about as far from every other. A group
of less than 1 % of the rows (at least five) is noise. Each method is run at several settings and one is kept by a
stated rule: with a number given, the setting whose number of clusters is nearest to it; without, a setting with the
number that most settings agree on, as what is really there is seen over a range of them (one cluster counts only where
no setting finds two; of equally common numbers the larger). Of equal settings the one that leaves the fewest rows out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from penchant.data import FloatArray, IntArray
from penchant.segments.method import Fit, Options
from penchant.segments.reduce import directions, reduce

_MIN_SHARE, _MIN_ROWS = 0.01, 5
_QUANTILES = np.append(np.linspace(0.1, 0.95, 18), (0.98, 1.0))
_STEEPNESS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12)


def smallest_group(n_rows: int) -> int:
    """Rows that a group needs: 1 % of all, at least five.

    >>> smallest_group(60), smallest_group(2000)
    (5, 20)
    """
    return max(_MIN_ROWS, round(_MIN_SHARE * n_rows))


def dbscan(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """DBSCAN (Ester et al. 1996), eps from the k-distance curve.

    k = the smallest group. Tried as eps: the curve's values at 10, 15, ... 95, 98 and 100 % of the rows.
    """
    from sklearn.cluster import DBSCAN
    from sklearn.neighbors import NearestNeighbors

    values = directions(reduce(rows, seed).values)
    k = min(smallest_group(len(values)), len(values))
    gap = NearestNeighbors(n_neighbors=k).fit(values).kneighbors(values)[0][:, -1]
    radii = np.unique(np.quantile(gap, _QUANTILES))
    made = (DBSCAN(eps=float(r), min_samples=k).fit(values).labels_ for r in radii[radii > 0])
    return Fit(_best(made, n_clusters, len(values)))


def optics(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """OPTICS (Ankerst et al. 1999): one ordering by reachability, cut in several ways.

    Tried: the innermost valleys at seven steepnesses (xi), and flat cuts at 10, 15, ... 95, 98 and 100 % of the core
    distances.
    """
    from sklearn.cluster import cluster_optics_dbscan, cluster_optics_xi, compute_optics_graph

    values = directions(reduce(rows, seed).values)
    k = min(smallest_group(len(values)), len(values))
    with np.errstate(divide="ignore", invalid="ignore"):  # reachability 0 between identical rows
        order, core, reach, before = compute_optics_graph(
            values,
            min_samples=k,
            max_eps=np.inf,
            metric="euclidean",
            p=2,
            metric_params=None,
            algorithm="auto",
            leaf_size=30,
            n_jobs=1,
        )
        cuts = np.unique(np.quantile(core, _QUANTILES))
        made = [cluster_optics_dbscan(reachability=reach, core_distances=core, ordering=order, eps=e) for e in cuts]
        for xi in _STEEPNESS:
            _, valleys = cluster_optics_xi(reachability=reach, predecessor=before, ordering=order, min_samples=k, xi=xi)
            made.append(_leaves(valleys, order))
    return Fit(_best(made, n_clusters, len(values)))


def hdbscan(rows: FloatArray, n_clusters: int | None, seed: int, options: Options) -> Fit:
    """HDBSCAN (Campello, Moulavi & Sander 2013), by excess of mass.

    Tried: smallest groups of 1, 2, 3 and 5 % of the rows, each with a quarter, half and the whole of 1 % as neighbours.
    """
    from sklearn.cluster import HDBSCAN

    values = directions(reduce(rows, seed).values)
    least = min(smallest_group(len(values)), len(values))
    sizes = sorted({min(least * m, len(values)) for m in (1, 2, 3, 5)})
    near = sorted({max(2, least // m) for m in (4, 2, 1)})
    made = (
        HDBSCAN(min_cluster_size=max(2, s), min_samples=min(m, len(values)), copy=True).fit(values).labels_
        for s in sizes
        for m in near
    )
    return Fit(_best(made, n_clusters, len(values)))


def _leaves(clusters: IntArray, order: IntArray) -> IntArray:
    """(n,) labels of the valleys that hold no other valley; clusters: (m, 2) first and last place in the order."""
    place = np.full(len(order), -1, np.int32)
    found = 0
    for start, end in clusters:  # sorted so that a valley comes before those that hold it
        if (place[start : end + 1] < 0).all():
            place[start : end + 1] = found
            found += 1
    labels = np.empty(len(order), np.int32)
    labels[order] = place
    return labels


def _best(made: Iterable[IntArray], n_clusters: int | None, n_rows: int) -> IntArray:
    """The setting to keep, by the rule at the top; all noise where no setting finds a group."""
    least = smallest_group(n_rows)
    settings = [_without_small(np.asarray(labels, np.int32), least) for labels in made]
    number = np.array([int(labels.max(initial=-1)) + 1 for labels in settings], np.int64)
    left_out = np.array([int((labels < 0).sum()) for labels in settings], np.int64)
    if not number.any():
        return np.full(n_rows, -1, np.int32)
    if n_clusters is None:
        some = number[number >= min(2, int(number.max()))]
        counts = np.bincount(some)
        n_clusters = len(counts) - 1 - int(counts[::-1].argmax())
    away = np.where(number > 0, np.abs(number - n_clusters), np.iinfo(np.int64).max)
    return settings[int(np.lexsort((left_out, away))[0])]


def _without_small(labels: IntArray, least: int) -> IntArray:
    size = np.bincount(labels[labels >= 0], minlength=int(labels.max(initial=-1)) + 1)
    new = np.full(len(size) + 1, -1, np.int32)
    new[:-1][size >= least] = np.arange(int((size >= least).sum()), dtype=np.int32)
    return new[labels]  # the last entry is noise's: labels of -1 read it
