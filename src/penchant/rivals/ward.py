"""A user as a few items: Ward clusters of what was liked, each told by its medoid, weighed by what is recent.

The clustering of PinnerSage (Pal et al. 2020, KDD, "PinnerSage: Multi-Modal User Embedding Framework for
Recommendations at Pinterest", sections 4.1 and 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from penchant.data import Events, FloatArray, IntArray, TimeArray
from penchant.represent.history import latest_liked

MAX_ITEMS = 100  # latest items of a user that are clustered: Ward's cost grows with their square


@dataclass(frozen=True)
class Pasts:
    """Latest liked items of n users, an entry a (user, item): user (m,) place among the users asked for, rising ·
    item (m,) row, rising within a user · age (m,) days, 0 for the user's own latest item.
    """

    n: int
    user: IntArray
    item: IntArray
    age: TimeArray


@dataclass(frozen=True)
class Medoids:
    """Medoids of n users, a row a user, the most important first: item (n, w) rows, -1 where a user has fewer · share
    (n, w) of the importance of all the user's clusters.
    """

    item: IntArray
    share: FloatArray


def read_pasts(events: Events, user_rows: IntArray, vectors: FloatArray) -> Pasts:
    """The last MAX_ITEMS distinct items that each user liked; those without a vector are left out."""
    liked = latest_liked(events, MAX_ITEMS)
    place = np.full(events.n_users, -1, np.int64)
    place[user_rows] = np.arange(len(user_rows))
    told = np.abs(vectors).sum(axis=1) > 0
    kept = (place[liked.user_row] >= 0) & told[liked.item_row]
    user, item, age = place[liked.user_row][kept], liked.item_row[kept], liked.age_days(events.end)[kept]
    order = np.lexsort((item, user))
    youngest = np.full(len(user_rows), np.inf)
    np.minimum.at(youngest, user, age)
    return Pasts(
        len(user_rows), user[order].astype(np.int32), item[order].astype(np.int32), (age - youngest[user])[order]
    )


def cut_trees(pasts: Pasts, vectors: FloatArray, cuts: Sequence[float]) -> IntArray:
    """Cluster each user's items by Ward's method and cut the tree at each distance.

    The one loop over users: the recipe clusters every user alone, and no library does many small trees at once. About
    a millisecond a user.

    Args:
        vectors: (n_items, d) unit rows. cuts: distances, as scipy's `linkage` counts them: two items have their
            Euclidean distance, two clusters of p and q items sqrt(2pq / (p + q)) times that of their means.
    Returns:
        (len(cuts), m) labels, different for each user and cluster.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    out = np.zeros((len(cuts), len(pasts.user)), np.int32)
    bounds = np.searchsorted(pasts.user, np.arange(pasts.n + 1))
    for start, end in pairwise(bounds):
        if end - start > 1:
            tree = linkage(vectors[pasts.item[start:end]].astype(np.float64), "ward")
            for row, cut in enumerate(cuts):
                out[row, start:end] = fcluster(tree, cut, "distance") - 1
    return out + pasts.user * MAX_ITEMS


def find_medoids(pasts: Pasts, labels: IntArray, vectors: FloatArray, *, decay: float, n_medoids: int) -> Medoids:
    """The item of each cluster with the least squared distance to the others, for the most important clusters.

    Importance of a cluster: sum over its items of exp(-decay * age in days). Ties: the lower item row.

    Args:
        labels: (m,) of `cut_trees`. n_medoids: w, clusters kept.
    """
    _, cluster = np.unique(labels, return_inverse=True)
    m, n_clusters = len(cluster), int(cluster.max(initial=-1)) + 1
    out = Medoids(np.full((pasts.n, n_medoids), -1, np.int32), np.zeros((pasts.n, n_medoids), np.float32))
    if not m:
        return out
    own = vectors[pasts.item].astype(np.float64)
    member = sp.csr_array((np.ones(m), (cluster, np.arange(m))), shape=(n_clusters, m))
    # for unit rows the sum of squared distances falls as the dot product with the sum of the cluster rises
    near = np.round(np.einsum("md,md->m", own, (member @ own)[cluster]), 6)
    order = np.lexsort((pasts.item, -near, cluster))
    first = order[np.searchsorted(cluster[order], np.arange(n_clusters))]
    user, item = pasts.user[first], pasts.item[first]
    importance = np.bincount(cluster, np.exp(-decay * pasts.age), n_clusters)
    total = np.bincount(user, importance, pasts.n)
    order = np.lexsort((item, -importance, user))
    place = np.arange(n_clusters) - np.searchsorted(user[order], user[order])
    kept, place = order[place < n_medoids], place[place < n_medoids]
    out.item[user[kept], place] = item[kept]
    out.share[user[kept], place] = importance[kept] / total[user[kept]]
    return out
