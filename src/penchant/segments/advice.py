"""Which clustering suits these data, in plain sentences that quote the data's own facts.

Each rule looks at one measured fact, says what follows from it and why. Nothing is fitted to labels; the advice names
rows of `METHODS` to try, and `optimise` or a comparison on held-out events decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penchant.data import FloatArray
from penchant.segments.algorithms import METHODS, check_rows, filled
from penchant.segments.density import smallest_group
from penchant.segments.method import Floats
from penchant.segments.reduce import MAX_DIMS, reduce

_SAMPLE = 3000
_NEIGHBOURS = 10
_SAME = 1e-3  # rows nearer than this part of the median distance between rows are near duplicates
_FEW_ROWS = 200
_UNEVEN = 3.0
_ONE_CLOUD = 0.85
_LITTLE, _SPARSE, _DUPLICATES, _WITHOUT = 0.15, 0.1, 0.2, 0.2


@dataclass(frozen=True)
class RowFacts:
    """What the advice rests on.

    n_rows: with evidence. empty_share: rows of zeros. n_columns: of a row. filled_share: entries that are not zero.
    n_dims: principal components above chance; structure_share: variance that they hold. density_spread: the 90th by the
    10th percentile of the distance to the tenth neighbour, in those dimensions. duplicate_share: rows with a near
    duplicate, in all columns. crowding: mean distance to the tenth neighbour, by the same with each dimension shuffled;
    1 = one cloud, without denser places or empty ones. Distances are of at most 3,000 rows, drawn by the seed.
    """

    n_rows: int
    empty_share: float
    n_columns: int
    filled_share: float
    n_dims: int
    structure_share: float
    density_spread: float
    duplicate_share: float
    crowding: float


def measure_rows(rows: FloatArray, *, seed: int = 0) -> RowFacts:
    """Measure the facts; rows as of `cluster`."""
    rows = check_rows(rows)
    present = np.flatnonzero(filled(rows))
    n, empty = len(present), 1 - len(present) / len(rows) if len(rows) else 0.0
    share = float((rows[present] != 0).mean()) if n else 0.0
    if n < 3:
        return RowFacts(n, empty, rows.shape[1], share, 0, 0.0, 1.0, 0.0, 1.0)
    if n > _SAMPLE:
        present = np.sort(np.random.default_rng(seed).choice(present, _SAMPLE, replace=False))
    part = np.ascontiguousarray(rows[present])
    from penchant.threads import one_thread

    with one_thread():
        return _measure(rows, part, n, empty, share, seed)


def _measure(rows: FloatArray, part: FloatArray, n: int, empty: float, share: float, seed: int) -> RowFacts:
    small = reduce(part, seed).values
    total = float(part.astype(np.float64).var(axis=0).sum())
    tenth = _to_neighbour(small, _NEIGHBOURS)
    one_cloud = _to_neighbour(np.random.default_rng(seed).permuted(small, axis=0), _NEIGHBOURS)
    # the mean square between two rows is twice the variance; its root is near the mean in several dimensions
    same = _to_neighbour(part.astype(np.float64), 1) <= _SAME * np.sqrt(2 * total)
    low, high = np.quantile(tenth, [0.1, 0.9])
    return RowFacts(
        n_rows=n,
        empty_share=empty,
        n_columns=rows.shape[1],
        filled_share=share,
        n_dims=small.shape[1],
        structure_share=float(small.var(axis=0).sum()) / total if total > 0 else 0.0,
        density_spread=float(high / low) if low > 0 else float("inf") if high > 0 else 1.0,
        duplicate_share=float(same.mean()),
        crowding=float(tenth.mean() / one_cloud.mean()) if one_cloud.any() else 1.0,
    )


def advise(rows: FloatArray, *, seed: int = 0) -> list[str]:
    """Say which methods suit these rows and why; the facts are in the sentences.

    Args:
        rows: (n, d) user rows, finite; rows of zeros are users without evidence.
    Raises:
        DataError: rows are not (n, d) or not finite.

    >>> advise(np.ones((5, 3), np.float32))[0]
    'All 5 users have the same row: there is one segment, whatever the method.'
    """
    facts = measure_rows(rows, seed=seed)
    if facts.n_rows < 3:
        return [f"Only {facts.n_rows} users have evidence: too few to group; wait for more events."]
    if facts.structure_share == 0:
        return [f"All {facts.n_rows:,} users have the same row: there is one segment, whatever the method."]
    return [*_by_size(facts), *_by_structure(facts), *_by_density(facts), *_by_content(facts)]


def _by_size(facts: RowFacts) -> list[str]:
    out = []
    n, cap = facts.n_rows, METHODS["kmeans"].max_rows
    if n < _FEW_ROWS:
        out.append(
            f"{n} users are few: take kmeans or ward with 2 to {max(2, n // 30)} segments and read the stability. "
            f"Methods by density would need {smallest_group(n)} users or more in each dense place."
        )
    elif n > cap:
        most = METHODS["minibatch"].max_rows
        out.append(
            f"{n:,} users: minibatch is fitted on up to {most:,} of them; kmeans and gmm are fitted on a draw of "
            f"{cap:,} and the rest goes to the nearest centroid, which is as good where segments are large."
        )
    else:
        out.append(f"{n:,} users: kmeans fits all of them in seconds.")
    drawn = [name for name, row in METHODS.items() if row.max_rows < n and name not in ("kmeans", "gmm")]
    if drawn:
        limits = ", ".join(f"{name} ({METHODS[name].max_rows:,})" for name in drawn)
        out.append(
            f"Of {n:,} users these methods see only a draw, as their cost grows with the square of the rows or worse: "
            f"{limits}. A segment with few users in the draw is lost."
        )
    return out


def _by_structure(facts: RowFacts) -> list[str]:
    told = (
        f"{facts.n_dims} of {facts.n_columns} dimensions hold more than chance, "
        f"{facts.structure_share:.0%} of the variance"
    )
    if facts.n_dims >= MAX_DIMS:
        return [
            f"{told} (no more are counted): there is much structure. Try bisecting, and a larger "
            "segments.max_segments; gmm, trees and methods by density see only those dimensions."
        ]
    if facts.structure_share < _LITTLE:
        return [
            f"{told}: most of what sets users apart is their own. Take kmeans and let the number be chosen, and read "
            "the worth of each segment before using it, as any method would cut this cloud somewhere."
        ]
    return [
        f"{told}: {facts.n_dims + 1} round groups would show so. kmeans finds those; gmm is worth a try where groups "
        "are longer in one direction than in others, as it learns their common form."
    ]


def _by_density(facts: RowFacts) -> list[str]:
    near = f"The tenth neighbour of a user is {facts.crowding:.2f} times as far as it would be in one even cloud"
    if facts.crowding > _ONE_CLOUD:
        return [
            f"{near}: there is hardly any empty place between groups. dbscan, optics and hdbscan would leave many "
            "users unassigned or make one group of all; take a method with centres."
        ]
    spread = f"from user to user that distance varies by a factor of {facts.density_spread:.1f}"
    if facts.density_spread > _UNEVEN:
        return [
            f"{near}, so there are dense places; {spread}. No single radius fits that: of the methods by density take "
            "hdbscan or optics, not dbscan."
        ]
    return [
        f"{near}, so there are dense places; {spread} only. dbscan can work with one radius. It leaves users between "
        "groups unassigned, which is right for finding typical users and wrong for reaching everybody."
    ]


def _by_content(facts: RowFacts) -> list[str]:
    out = []
    if facts.duplicate_share > _DUPLICATES:
        out.append(
            f"{facts.duplicate_share:.0%} of the users have a near duplicate: methods by density will take each such "
            "pile for a group. Take kmeans, and look whether those users have one or two events only."
        )
    if facts.filled_share < _SPARSE:
        out.append(
            f"Only {facts.filled_share:.1%} of a row is filled: users often share nothing, and distances are nearly "
            "all alike. Take kmeans or minibatch on these rows, or fewer leaves (interests.n_leaves); trees by average "
            "linkage would put nearly everybody into one segment."
        )
    if facts.empty_share > _WITHOUT:
        out.append(
            f"{facts.empty_share:.0%} of the users have no evidence at all and stay unassigned by every method; "
            "segments speak for the others only."
        )
    return out


def _to_neighbour(values: Floats, k: int) -> Floats:
    """(n,) distance of each row to its k-th neighbour."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=min(k, len(values) - 1)).fit(values).kneighbors()[0]
    return np.asarray(near[:, -1], np.float64)
