"""Words that may name an interest: found in titles, texts and categories, cleared of personal data, scored by node.

Class-based TF-IDF asks which words are frequent in a class and rare elsewhere. Here its two halves stay apart and
readable: `coverage` is the share of a node's items (by membership and importance) with the word, `distinctiveness` the
share of the word's items that lie in the node, above what chance would give. Together they are the recall and the
precision of the word as a signpost to the node; words are ranked by their F-measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray, Items
from penchant.interests.membership import node_lift
from penchant.text import tokenise

Floats = npt.NDArray[np.float64]

RECALL_WEIGHT = 2.0  # of the F-measure: a word on most items beats a rare word that is nowhere else
MIN_PARENT_SCORE = 0.2  # below it the children of a node have no word in common that is worth the name
MIN_CHILD_COVERAGE = 0.1  # a word is "on" a child from this share of its items
PHRASE_BONUS = (1.0, 1.15, 1.2)  # by number of words: a phrase says more, so it may be on somewhat fewer items
CATEGORY_BONUS = 1.15  # given categories are names already
BODY_PENALTY = 0.75  # words that only descriptions use read worse than words of titles
MAX_TEXT = 500  # characters of a description that are looked at

# Markup, links, mail addresses, handles, telephone and other long numbers: never part of a name.
PRIVATE = (
    r"(?i)<[^>]*>|&[a-z]+;|&#\d+;|https?://\S+|www\.\S+|\S+@\S+|(?:^|\s)@\w+|\+?\d[\d\s().-]{6,}\d"
    r"|\b\w*\d{5,}\w*\b|\b[a-z0-9-]+\.(?:com|net|org|io|cn|de|uk|info|biz)\b\S*"
)
_UNFIT = r"[<>\"`{}\\]|\d{5,}|@"


@dataclass(frozen=True)
class Terms:
    """Which item has which word: (n_items, n_terms) 0/1, and how well each word suits a name (about 1)."""

    matrix: sp.csc_array
    words: list[str]
    quality: FloatArray

    def items_with(self, word: int) -> IntArray:
        """Rows of the items with a word."""
        return np.asarray(self.matrix.indices[self.matrix.indptr[word] : self.matrix.indptr[word + 1]], np.int32)


@dataclass(frozen=True)
class Shares:
    """(n_nodes, n_items) how much each item counts in each node, with the sums over nodes."""

    matrix: sp.csr_array
    mass: Floats

    def of(self, node: int) -> tuple[IntArray, Floats]:
        """Rows and weights of a node's items."""
        a, b = self.matrix.indptr[node], self.matrix.indptr[node + 1]
        return self.matrix.indices[a:b], self.matrix.data[a:b]


@dataclass(frozen=True)
class Scores:
    """Score, coverage and distinctiveness of each word on each node, (n_nodes, n_terms) with one common pattern."""

    score: sp.csr_array
    coverage: sp.csr_array
    distinct: sp.csr_array

    def row(self, node: int) -> tuple[IntArray, Floats, Floats, Floats]:
        """Words of a node with score, coverage and distinctiveness."""
        a, b = self.score.indptr[node], self.score.indptr[node + 1]
        return self.score.indices[a:b], self.score.data[a:b], self.coverage.data[a:b], self.distinct.data[a:b]


def find_terms(items: Items) -> Terms:
    """Words, phrases and categories of the items that may stand in a name; personal data is cut out before.

    Words on a single item are left out (unless there are fewer than five items): they name no group. A phrase that
    only descriptions have is left out where there are titles: it is a turn of speech ("made for people").
    """
    cleaned = items.table.select(
        title=pl.col("title").fill_null("").str.replace_all(PRIVATE, " . "),
        body=pl.col("text").fill_null("").str.slice(0, MAX_TEXT).str.replace_all(PRIVATE, " . "),
    )
    found = [
        _long(tokenise(cleaned["title"].to_list()), PHRASE_BONUS, 0),
        _long(tokenise(cleaned["body"].to_list()), PHRASE_BONUS, 1),
    ]
    if items.table.schema["categories"] == pl.List(pl.String):
        tidy = pl.element().str.replace_all(PRIVATE, " ").str.replace_all(r"[_\s]+", " ").str.strip_chars()
        values = items.table["categories"].list.eval(tidy.str.to_lowercase()).fill_null([]).to_list()
        found.append(_long(values, (CATEGORY_BONUS,), 0))
    term = pl.col("term")
    table = (
        pl.concat(found)
        .filter(term.str.len_chars().is_between(2, 40) & term.str.contains(r"\p{L}") & ~term.str.contains(_UNFIT))
        .group_by("row", "term")
        .agg(pl.col("bonus").max(), pl.col("body").min())
    )
    if cleaned["title"].str.len_chars().sum():
        spoken = table.group_by("term").agg(pl.col("body").min()).filter(pl.col("body") == 1)["term"]
        table = table.filter(~(term.str.contains(" ") & term.is_in(spoken.implode())))
    per_term = (
        table.group_by("term")
        .agg(n=pl.len(), bonus=pl.col("bonus").max(), body=pl.col("body").mean())
        .filter(pl.col("n") >= (2 if len(items) >= 5 else 1))
        .sort("term")
        .with_row_index("column")
    )
    cells = table.join(per_term.select("term", "column"), on="term").sort("column", "row")
    matrix = sp.csc_array(
        (np.ones(cells.height, np.float32), (cells["row"].to_numpy(), cells["column"].to_numpy())),
        shape=(len(items), per_term.height),
    )
    quality = per_term["bonus"].to_numpy() * (1.0 - (1.0 - BODY_PENALTY) * per_term["body"].to_numpy())
    return Terms(matrix, per_term["term"].to_list(), quality.astype(np.float32))


def _long(lists: list[list[str]], bonuses: tuple[float, ...], body: int) -> pl.DataFrame:
    """(row, term, bonus, body): one line a word of an item."""
    table = pl.DataFrame(
        {"row": pl.int_range(len(lists), dtype=pl.Int32, eager=True), "term": lists},
        schema={"row": pl.Int32, "term": pl.List(pl.String)},
    )
    n_words = (pl.col("term").str.count_matches(" ") + 1).clip(1, len(bonuses))
    bonus = n_words.replace_strict(dict(enumerate(bonuses, start=1)), return_dtype=pl.Float64)
    return (
        table.explode("term", empty_as_null=True)
        .drop_nulls()
        .unique(maintain_order=True)
        .with_columns(bonus=bonus, body=pl.lit(body, pl.Float64))
    )


def node_shares(membership: sp.csr_array, parent_row: IntArray, weights: FloatArray) -> Shares:
    """Lift the leaves' items to all nodes.

    Args:
        membership: (n_items, n_leaves). parent_row: (n_nodes,), leaves first. weights: (n_items,) importance.
    """
    up = node_lift(parent_row, membership.shape[1]).astype(np.float64)
    weighted = sp.csr_array(membership.astype(np.float64).multiply(weights.astype(np.float64)[:, None]))
    matrix = sp.csr_array(up @ weighted.T)
    matrix.sort_indices()
    return Shares(matrix, np.asarray(matrix.sum(axis=1)).ravel())


def score_terms(terms: Terms, share: Shares, parent_row: IntArray, level: IntArray) -> Scores:
    """Rank words by node. On parents, coverage is the mean over children, and at least half of them must have it.

    Args:
        terms, share: of the same items. parent_row, level: (n_nodes,).
    """
    counts = sp.csr_array(share.matrix @ terms.matrix)
    counts.sum_duplicates()
    counts.sort_indices()
    node = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    covered = counts.data / np.maximum(share.mass, 1e-12)[node]
    distinct = _distinctiveness(counts, node, share, level)
    coverage = sp.csr_array((covered, counts.indices, counts.indptr), shape=counts.shape)
    for parent in np.unique(parent_row[parent_row >= 0]):
        children = np.flatnonzero(parent_row == parent)
        if len(children) > 1:
            a, b = counts.indptr[parent], counts.indptr[parent + 1]
            common = _common(coverage[children])[counts.indices[a:b]]
            covered[a:b] = np.minimum(covered[a:b], common)
    b2 = RECALL_WEIGHT**2
    data = (1 + b2) * covered * distinct / np.maximum(covered + b2 * distinct, 1e-12) * terms.quality[counts.indices]
    data[np.isin(node, parent_row) & (data < MIN_PARENT_SCORE)] = 0.0
    shape = {"shape": counts.shape}
    return Scores(
        sp.csr_array((data, counts.indices, counts.indptr), **shape),
        sp.csr_array((covered, counts.indices, counts.indptr), **shape),
        sp.csr_array((distinct, counts.indices, counts.indptr), **shape),
    )


def _distinctiveness(counts: sp.csr_array, node: IntArray, share: Shares, level: IntArray) -> Floats:
    """Share of each word that lies in the node, rescaled: 0 = as by chance, 1 = nowhere else on that level."""
    total = np.zeros((int(level.max(initial=1)) + 1, counts.shape[1]))
    for lv in np.unique(level):
        total[lv] = np.asarray(counts[np.flatnonzero(level == lv)].sum(axis=0)).ravel()
    # one more item of middling weight elsewhere: a word seen twice is no proof
    prior = share.mass.sum() / max(1, share.matrix.nnz)
    raw: Floats = counts.data / (total[level[node], counts.indices] + prior)
    # by chance a node with half of the items has half of every word: only what is above that tells
    expected = (share.mass / np.maximum(np.bincount(level, share.mass)[level], 1e-12))[node]
    alone = (np.bincount(level)[level] == 1)[node]  # a node that is all of its level has nothing to differ from
    corrected = np.maximum(raw - expected, 0.0) / np.maximum(1.0 - expected, 1e-12)
    return np.where(alone, raw, corrected)


def _common(coverage: sp.csr_array) -> Floats:
    """(n_terms,) mean coverage over children of words that at least half of them (and two) have, else 0."""
    n_children, n_terms = coverage.shape
    mean = np.asarray(coverage.sum(axis=0)).ravel() / n_children
    on = np.bincount(coverage.indices[coverage.data >= MIN_CHILD_COVERAGE], minlength=n_terms)
    return np.where(on >= max(2, (n_children + 1) // 2), mean, 0.0)
