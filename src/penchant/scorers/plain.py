"""The plain recipe: TF-IDF user rows, k-means, and what is popular in the user's cluster."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.data import Events, FloatArray, IntArray, Parts
from penchant.errors import DataError
from penchant.text import segment

MAX_FIT_USERS = 20_000
MAX_DENSE_BYTES = 500_000_000
_WORD = re.compile(r"[^\W_]{2,}")


class Plain:
    """Score = share of the users of the user's cluster who took the item; ties follow the whole log's popularity.

    A user's row is the sum of the TF-IDF rows of the items of the past, at unit length. Without texts the items
    themselves are the words. k-means sees at most 20,000 users (drawn by the seed); everybody gets the nearest cluster.

    Args:
        n_clusters: clusters (at most the number of users).
        max_words: most frequent words kept.
        texts: one text an item, or None.
        seed: of k-means and of the draw.
    """

    name = "plain"
    draws = True
    reads_texts = True
    GRID: ClassVar[tuple[Mapping[str, Any], ...]] = ({"n_clusters": 5}, {"n_clusters": 20}, {"n_clusters": 60})

    def __init__(
        self,
        *,
        n_clusters: int = 20,
        max_words: int = 5_000,
        texts: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.max_words = max_words
        self.seed = seed
        self.notes: tuple[str, ...] = ()
        self._texts = texts
        self.item_words = sp.csr_array((0, 0), dtype=np.float32)
        self.centroids: FloatArray = np.zeros((0, 0), np.float32)
        self.cluster_score: FloatArray = np.zeros((0, 0), np.float32)

    def fit(self, events: Events, n_items: int) -> None:
        """Memory: n_clusters x (words + n_items) float32."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        from penchant.threads import one_thread

        history = events.matrix(n_items, binary=True)
        self.item_words = self._item_words(history, n_items)
        known = np.flatnonzero(np.diff(history.indptr) > 0)
        if len(known) == 0:
            self.centroids = np.zeros((1, self.item_words.shape[1]), np.float32)
            self.cluster_score = np.zeros((1, n_items), np.float32)
            return
        rows = self._user_rows(history[known])
        part = rows
        if len(known) > MAX_FIT_USERS:
            draw = np.random.default_rng(self.seed).choice(len(known), MAX_FIT_USERS, replace=False)
            part = rows[np.sort(draw)]
        n_distinct = min(self.n_clusters, part.shape[0])
        with one_thread(), warnings.catch_warnings():
            # fewer different users than clusters: the spare centroids repeat others and attract nobody
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = KMeans(n_distinct, n_init=1, max_iter=20, random_state=self.seed).fit(_for_kmeans(part))
        self.centroids = np.ascontiguousarray(found.cluster_centers_, np.float32)
        cluster = self._nearest(rows)
        member = sp.csr_array(
            (np.ones(len(known), np.float32), (cluster, np.arange(len(known)))), shape=(n_distinct, len(known))
        )
        size = np.maximum(1.0, np.asarray(member.sum(axis=1), np.float64))
        share = (member @ history[known]).toarray() / size[:, None]
        users = np.bincount(history.indices, minlength=n_items)
        # the smallest step between two shares of a cluster is 1/size: half of it breaks ties and changes no order
        tie = 0.5 * users / max(1, int(users.max()) + 1)
        self.cluster_score = (share + tie / size[:, None]).astype(np.float32)

    def score(self, user_rows: IntArray, history: sp.csr_array) -> FloatArray:
        """Return (len(user_rows), n_items) float32."""
        return self.cluster_score[self._nearest(self._user_rows(sp.csr_array(history[user_rows])))]

    def to_parts(self) -> Parts:
        return Parts(
            config={
                "name": self.name,
                "settings": {"n_clusters": self.n_clusters, "max_words": self.max_words, "seed": self.seed},
                "notes": list(self.notes),
            },
            arrays={
                **csr_to_arrays(self.item_words, "item_words"),
                "centroids": self.centroids,
                "cluster_score": self.cluster_score,
            },
        )

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        out = cls(**parts.config["settings"])
        a = parts.arrays
        out.item_words = csr_from_arrays(a, "item_words")
        out.centroids = a["centroids"]
        out.cluster_score = a["cluster_score"]
        out.notes = tuple(parts.config["notes"])
        return out

    def _item_words(self, history: sp.csr_array, n_items: int) -> sp.csr_array:
        """(n_items, n_words) TF-IDF: texts by their words, or each item as its own word with the idf over users."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = self._words(n_items)
        if not any(words):
            self.notes = ("plain: the items have no words; user rows are TF-IDF over the items themselves",)
            users = np.bincount(history.indices, minlength=n_items)
            idf = np.log((1 + history.shape[0]) / (1 + users)) + 1
            return sp.csr_array(sp.diags_array(idf.astype(np.float32), dtype=np.float32).tocsr())
        self.notes = ()
        reader = TfidfVectorizer(analyzer=_same, max_features=self.max_words, sublinear_tf=True, dtype=np.float32)
        return sp.csr_array(reader.fit_transform(words))

    def _words(self, n_items: int) -> list[list[str]]:
        """The words of two letters or more of each text; Chinese is segmented."""
        if self._texts is None:
            return []
        if len(self._texts) != n_items:
            raise DataError(f"plain: one text an item is needed ({n_items:,}). Got {len(self._texts):,} texts.")
        return [_WORD.findall(text) for text in segment(list(self._texts))]

    def _user_rows(self, past: sp.csr_array) -> sp.csr_array:
        rows = sp.csr_array(past.astype(np.float32) @ self.item_words)
        norm = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1), np.float64)).ravel()
        scale = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0).astype(np.float32)
        rows.data *= np.repeat(scale, np.diff(rows.indptr))
        return rows

    def _nearest(self, rows: sp.csr_array) -> IntArray:
        """(n,) the nearest centroid; rows have unit length or are zero, so only the centroids' norms matter."""
        distance = (self.centroids**2).sum(axis=1)[None, :] - 2 * np.asarray(rows @ self.centroids.T)
        return np.asarray(np.argmin(distance, axis=1), np.int32)


def _same(words: list[str]) -> list[str]:
    return words


def _for_kmeans(rows: sp.csr_array) -> Any:
    """Rows with many words are several times faster dense; few words, or too many rows for memory, stay sparse."""
    n_cells = rows.shape[0] * rows.shape[1]
    if rows.nnz > 0.02 * n_cells and 4 * n_cells <= MAX_DENSE_BYTES:
        return rows.toarray()
    return sp.csr_matrix(rows)
