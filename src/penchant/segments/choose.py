"""How many segments: the number whose segments come back on other users (stability) and lie apart (separation)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penchant.data import FloatArray
from penchant.segments.algorithms import assign, cluster


@dataclass(frozen=True)
class Choice:
    """n_segments chosen; one row a candidate: {n_segments, stability, separation, score}; n_users looked at."""

    n_segments: int
    candidates: list[dict[str, float]]
    n_users: int
    rule: str


def choose_n(rows: FloatArray, method: str, *, max_segments: int, sample: int, seed: int) -> Choice:
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    rng = np.random.default_rng(seed)
    users = np.flatnonzero((rows != 0).any(axis=1))
    if len(users) > sample:
        users = np.sort(rng.choice(users, sample, replace=False))
    part = rows[users]
    if len(part) < 4:
        return Choice(1 if len(part) else 0, [], len(users), "too few users with evidence for more than one segment")
    half = rng.permutation(len(part))
    a, b = np.sort(half[: len(half) // 2]), np.sort(half[len(half) // 2 :])
    look = np.sort(rng.choice(len(part), min(len(part), 2000), replace=False))
    out = []
    for k in range(2, min(max_segments, len(part) // 2) + 1):
        first = cluster(part[a], method, k, seed=seed)
        second = cluster(part[b], method, k, seed=seed + 1)
        labels = assign(first.centroids, part)
        stability = float(adjusted_rand_score(labels, assign(second.centroids, part)))
        n_found = len(np.unique(labels[look]))
        apart = float(silhouette_score(part[look], labels[look])) if 1 < n_found < len(look) else 0.0
        out.append({"n_segments": k, "stability": stability, "separation": apart, "score": stability * max(apart, 0)})
    best = max(out, key=lambda c: (c["score"], -c["n_segments"]))
    return Choice(int(best["n_segments"]), out, len(users), "highest stability x separation")
