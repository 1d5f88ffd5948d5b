"""Four users, four items, every number: from who took what to clusters, tags and recommendations.

    python examples/worked_example.py

docs/worked-example.md explains each line printed here, with the arithmetic; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import pairwise_distances, silhouette_samples

from penchant.data import InterestTree
from penchant.evaluate.clustering import shape_scores
from penchant.scorers.top import top_items
from penchant.segments.algorithms import assign, cluster, means
from penchant.segments.names import segment_names, segment_traits

Array = npt.NDArray[Any]

USERS = ("u1", "u2", "u3", "u4")
ITEMS = ("tea", "jam", "bread", "milk")
BAG = np.array([[1, 0, 1, 0], [0, 1, 1, 1], [1, 1, 0, 1], [0, 0, 1, 1]], np.float32)
START_A = BAG[[0, 3]]  # the rows of u1 and u4
START_B = np.array([[0.5, 0.5, 1, 0.5], [0.5, 0.5, 0.5, 1]], np.float32)  # the means of u1, u2 and of u3, u4
SPLITS = tuple(
    np.array([0 if user in (0, *others) else 1 for user in range(4)], np.int32)
    for size in range(3)
    for others in combinations((1, 2, 3), size)
)  # all seven ways to make two clusters; u1 is always in the first


def main() -> None:
    """Print every section."""
    print("\n\n".join(sections()))


def sections() -> Iterator[str]:
    """The printed text, section by section, as the blocks of the page."""
    weights = tfidf()
    yield "BAG OF ITEMS\n" + table(BAG, USERS, ITEMS, "{:.0f}")
    yield show_tfidf(weights)
    yield "SQUARED EUCLIDEAN DISTANCE, BAG\n" + table(
        pairwise_distances(BAG, metric="sqeuclidean"), USERS, USERS, "{:.0f}"
    )
    yield "EUCLIDEAN DISTANCE, BAG\n" + table(pairwise_distances(BAG), USERS, USERS)
    yield "COSINE DISTANCE, BAG\n" + table(pairwise_distances(BAG, metric="cosine"), USERS, USERS)
    yield "EUCLIDEAN DISTANCE, TF-IDF\n" + table(pairwise_distances(weights), USERS, USERS)
    yield "COSINE DISTANCE, TF-IDF\n" + table(pairwise_distances(weights, metric="cosine"), USERS, USERS)
    yield "K-MEANS, START A (u1 and u4)\n" + show_kmeans(BAG, START_A)
    yield "K-MEANS, START B (mean of u1, u2; mean of u3, u4)\n" + show_kmeans(BAG, START_B)
    yield show_splits()
    labels = kmeans(BAG, START_A)[-1]
    yield show_silhouette(labels)
    yield show_tags(labels)
    yield show_recommendations(labels)
    yield "THE SAME ON TF-IDF ROWS, START A\n" + show_tfidf_clusters(weights)


def tfidf() -> Array:
    """(4, 4) rows of length 1: idf = ln((1 + 4) / (1 + users of the item)) + 1, scikit-learn's smooth form."""
    return np.asarray(TfidfTransformer().fit_transform(sp.csr_array(BAG)).toarray())


def kmeans(rows: Array, start: Array) -> list[Array]:
    """Lloyd's steps: labels after each assignment, until one repeats."""
    found = [assign(start, rows)]
    while len(found) < 2 or not np.array_equal(found[-1], found[-2]):
        found.append(assign(means(rows, found[-1]), rows))
    return found


def show_tfidf(weights: Array) -> str:
    """idf of the items, weights, and weights at length 1."""
    idf = TfidfTransformer().fit(sp.csr_array(BAG)).idf_
    raw = BAG * idf
    parts = [
        "IDF\n" + table(np.vstack([BAG.sum(axis=0), idf]), ("users", "idf"), ITEMS, ("{:.0f}", "{:.4f}")),
        "WEIGHTS, AND THEIR LENGTH\n"
        + table(np.column_stack([raw, np.linalg.norm(raw, axis=1)]), USERS, (*ITEMS, "length")),
        "TF-IDF (WEIGHTS AT LENGTH 1)\n" + table(weights, USERS, ITEMS),
    ]
    return "\n\n".join(parts)


def show_kmeans(rows: Array, start: Array) -> str:
    """Each step: squared distances to the centres, the cluster taken, the new centres and their SSE."""
    lines, centres = [], start
    for step, labels in enumerate(kmeans(rows, start), 1):
        square = pairwise_distances(rows, centres, metric="sqeuclidean")
        cells = [[*map(fraction, square[u]), f"{labels[u] + 1}"] for u in range(4)]
        lines += [f"step {step}", grid(cells, USERS, ("to 1", "to 2", "cluster"))]
        centres = means(rows, labels)
        lines += [f"  centre {k + 1}: ({', '.join(map(fraction, centre))})" for k, centre in enumerate(centres)]
        lines.append(f"  SSE: {fraction(shape_scores(rows, labels).sse)}")
    return "\n".join([*lines, "nothing moved: done"])


def show_splits() -> str:
    """SSE and silhouette of all seven ways to make two clusters, and what the package's own k-means finds."""
    cells = []
    for labels in SPLITS:
        scores = shape_scores(BAG, labels)
        silhouette = "-" if scores.silhouette is None else f"{scores.silhouette:.4f}"
        cells.append([fraction(scores.sse), silhouette])
    found = cluster(BAG, "kmeans", 2, seed=0)
    names = tuple(f"{members(labels, 0)} | {members(labels, 1)}" for labels in SPLITS)
    return (
        "ALL WAYS TO MAKE TWO CLUSTERS\n"
        + grid(cells, names, ("SSE", "silhouette"))
        + (f"\ncluster(): SSE {fraction(found.loss)}")
    )


def show_silhouette(labels: Array) -> str:
    """a, b and s of every user, and the mean."""
    distance = pairwise_distances(BAG)
    score = silhouette_samples(BAG, labels)
    rows = []
    for user in range(4):
        own, other = labels == labels[user], labels != labels[user]
        own[user] = False
        rows.append([distance[user, own].mean(), distance[user, other].mean(), score[user]])
    text = table(np.array(rows), USERS, ("a", "b", "s"))
    mean = shape_scores(BAG, labels).silhouette
    return f"SILHOUETTE OF {members(labels, 0)} | {members(labels, 1)}\n{text}\nmean: {mean:.4f}"


def show_tags(labels: Array) -> str:
    """What sets each cluster apart: lift of the items that its members take more than all users do."""
    shares = sp.csr_array(BAG / BAG.sum(axis=1, keepdims=True))
    tree = flat_tree()
    traits = segment_traits(shares, labels, 2, tree, n_top=4, min_coverage=0.1)
    parts = [means(shares.toarray(), labels), means(shares.toarray(), np.zeros(4, np.int32))]
    cells = [[*map(fraction, row)] for row in np.vstack(parts)]
    lines = ["MEAN SHARES", grid(cells, ("cluster 1", "cluster 2", "all"), ITEMS), "", "TAGS"]
    for k, name in enumerate(segment_names(traits, tree)):
        told = zip(traits.interest_rows[k], traits.lift[k], strict=True)
        tags = ", ".join(f"{ITEMS[row]} (lift {fraction(lift)})" for row, lift in told)
        lines.append(f"cluster {k + 1} ({members(labels, k)}): {tags}; name: {name}")
    return "\n".join(lines)


def show_recommendations(labels: Array) -> str:
    """Items of the own cluster that a user has not taken, by the share of its members who took them."""
    scores = means(BAG, labels)[labels]
    lists = top_items(scores, 4, sp.csr_array(BAG))
    lines = ["RECOMMENDATIONS"]
    for user in range(4):
        items = [i for i in lists[user] if i >= 0 and scores[user, i] > 0]
        told = ", ".join(f"{ITEMS[i]} ({fraction(scores[user, i])})" for i in items)
        lines.append(f"{USERS[user]}: {told or 'nothing new in this cluster'}")
    return "\n".join(lines)


def show_tfidf_clusters(weights: Array) -> str:
    """The end of k-means on TF-IDF rows."""
    labels = kmeans(weights, weights[[0, 3]])[-1]
    scores = shape_scores(weights, labels)
    return f"{members(labels, 0)} | {members(labels, 1)}: SSE {scores.sse:.4f}, silhouette {scores.silhouette:.4f}"


def flat_tree() -> InterestTree:
    """Each item an interest of its own, without levels above."""
    nodes = pl.DataFrame(
        {"interest_id": list(ITEMS), "name": list(ITEMS), "parent_row": [-1] * 4, "level": [1] * 4},
        schema_overrides={"parent_row": pl.Int32, "level": pl.Int32},
    )
    one_each = np.eye(4, dtype=np.float32)
    return InterestTree(nodes, sp.csr_array(one_each), one_each, None, "worked example")


def members(labels: Array, k: int) -> str:
    """The users of a cluster."""
    return " ".join(USERS[u] for u in np.flatnonzero(labels == k))


def fraction(value: float) -> str:
    """1/3 for 0.3333...: every number of the bag is a fraction of small numbers."""
    return str(Fraction(float(value)).limit_denominator(100))


def table(values: Array, rows: Sequence[str], columns: Sequence[str], form: str | Sequence[str] = "{:.4f}") -> str:
    """Numbers with their row and column names; one form, or one a row."""
    forms = [form] * len(rows) if isinstance(form, str) else form
    clean = np.where(np.abs(values) < 5e-9, 0.0, values)  # a distance of a row to itself may come out as -0.0000
    return grid([[f.format(x) for x in row] for f, row in zip(forms, clean, strict=True)], rows, columns)


def grid(cells: Sequence[Sequence[str]], rows: Sequence[str], columns: Sequence[str]) -> str:
    """Cells under right-aligned columns."""
    left = max(map(len, rows))
    widths = [max(len(c), *(len(row[k]) for row in cells)) for k, c in enumerate(columns)]
    lines = [("", *columns), *((name, *row) for name, row in zip(rows, cells, strict=True))]
    return "\n".join(
        "  " + line[0].ljust(left) + "".join("  " + x.rjust(w) for x, w in zip(line[1:], widths, strict=True))
        for line in lines
    )


if __name__ == "__main__":
    main()
