"""Names of interests: words and phrases that cover a node's items and belong to few others.

Class-based TF-IDF asks which words are frequent in a class and rare elsewhere. Here the two halves stay apart and
readable: `coverage` is the share of the node's items (by membership and popularity) with the word, `distinctiveness`
the share of the word's items that lie in the node. A word is as good as their harmonic mean: how well it would route
items to the node, as recall and precision do. Given categories join as candidate words.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray, Items
from penchant.text import tokenise

SEPARATOR = " · "
MAX_TERMS = 3
ENOUGH_COVERAGE = 0.85  # a name says enough when its words are on this share of the items
MIN_RELATIVE_SCORE = 0.4  # a further word must be at least this good beside the first
MIN_PARENT_SCORE = 0.2  # below it the children have no word in common worth the name
MIN_CHILD_COVERAGE = 0.1  # a word is "on" a child from this share of its items
PHRASE_BONUS = (1.0, 1.15, 1.2)  # a phrase says more than its words: it may be a little rarer
CATEGORY_BONUS = 1.15
BODY_PENALTY = 0.75  # words that only descriptions use read worse than words of titles
MAX_TEXT = 500  # characters of a description that are looked at
MAX_TITLE = 60

_PRIVATE = (
    r"(?i)<[^>]*>|&[a-z]+;|&#\d+;|https?://\S+|www\.\S+|\S+@\S+|(?:^|\s)@\w+|\+?\d[\d\s().-]{6,}\d"
    r"|\b\w*\d{5,}\w*\b|\b[a-z0-9-]+\.(?:com|net|org|io|cn|de|uk|info|biz)\b\S*"
)
_DANGEROUS = re.compile(r"[<>&\"`\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True)
class NodeNames:
    """Names of all nodes, in the order of the node table."""

    names: list[str]
    keywords: list[list[str]]
    coverage: FloatArray
    distinctiveness: FloatArray


@dataclass(frozen=True)
class Terms:
    """Which item has which word: (n_items, n_terms) 0/1, and how well a word suits a name (`quality`, about 1)."""

    matrix: sp.csc_array
    words: list[str]
    quality: FloatArray


def name_nodes(
    items: Items,
    membership: sp.csr_array,
    parent_row: IntArray,
    level: IntArray,
    weights: FloatArray,
    medoids: IntArray,
    *,
    n_keywords: int,
) -> NodeNames:
    """Name every node of a tree.

    Args:
        items: the catalogue; title, text and categories are read.
        membership: (n_items, n_leaves) of the leaves.
        parent_row: (n_nodes,) parents, -1 at the top; leaves first, parents after their children.
        level: (n_nodes,) 1 = top.
        weights: (n_items,) importance of an item, e.g. by popularity.
        medoids: (n_nodes,) the item that stands for each node, -1 if none: names it where words fail.
        n_keywords: keep at most this many keywords a node.
    Returns:
        Names, unique over the whole tree, with the keywords, coverage and distinctiveness behind them.
    """
    terms = find_terms(items)
    share = _node_shares(membership, parent_row, weights)
    scored = _score(terms, share, parent_row, level)
    titles = _safe_titles(items)
    names: list[str] = []
    chosen: list[list[int]] = []
    keywords: list[list[str]] = []
    for node in range(len(parent_row)):
        ranked = _distinct_words(scored.best(node), terms.words, n_keywords)
        children = np.flatnonzero(parent_row == node)
        words = [] if len(children) == 1 else _choose(ranked, scored, node, terms, share)
        if words:
            name = SEPARATOR.join(_surface(terms, word, share, node, titles) for word in words)
        elif len(children) == 1:
            name = f"All of {names[int(children[0])]}"
        elif len(children) > 1:
            heavy = children[np.argsort(-share.mass[children], kind="stable")][:2]
            name = " / ".join(names[child].split(SEPARATOR)[0] for child in heavy)
        else:
            name = _without_words(items, int(medoids[node]), titles)
        spare = [_surface(terms, word, share, node, titles) for word in ranked if word not in words]
        names.append(_unique(name, names, [*spare, *_numbers()]))
        chosen.append(words)
        keywords.append([terms.words[word] for word in ranked])
    coverage, distinctiveness = _measure(terms, share, chosen, level)
    return NodeNames(names, keywords, coverage, distinctiveness)


def find_terms(items: Items) -> Terms:
    """Words, phrases and categories of the items that may stand in a name; personal data is cut out before.

    Words on a single item are left out (unless there are fewer than five items): they name no group.
    """
    cleaned = items.table.select(
        title=pl.col("title").fill_null("").str.replace_all(_PRIVATE, " . "),
        body=pl.col("text").fill_null("").str.slice(0, MAX_TEXT).str.replace_all(_PRIVATE, " . "),
    )
    found = [
        _long(tokenise(cleaned["title"].to_list()), PHRASE_BONUS, 0),
        _long(tokenise(cleaned["body"].to_list()), PHRASE_BONUS, 1),
    ]
    if items.table.schema["categories"] == pl.List(pl.String):
        tidy = pl.element().str.replace_all(_PRIVATE, " ").str.replace_all(r"[_\s]+", " ").str.strip_chars()
        values = items.table["categories"].list.eval(tidy.str.to_lowercase()).fill_null([]).to_list()
        found.append(_long(values, (CATEGORY_BONUS,), 0))
    table = (
        pl.concat(found)
        .filter(
            (pl.col("term").str.len_chars() >= 2)
            & (pl.col("term").str.len_chars() <= 40)
            & pl.col("term").str.contains(r"\p{L}")
            & ~pl.col("term").str.contains(r"[<>\"`{}\\]|\d{5,}|@")
        )
        .group_by("row", "term")
        .agg(pl.col("bonus").max(), pl.col("body").min())
    )
    n_items = len(items)
    per_term = (
        table.group_by("term")
        .agg(n=pl.len(), bonus=pl.col("bonus").max(), body=pl.col("body").mean())
        .filter(pl.col("n") >= (2 if n_items >= 5 else 1))
        .sort("term")
        .with_row_index("column")
    )
    cells = table.join(per_term.select("term", "column"), on="term").sort("column", "row")
    matrix = sp.csc_array(
        (np.ones(cells.height, np.float32), (cells["row"].to_numpy(), cells["column"].to_numpy())),
        shape=(n_items, per_term.height),
    )
    quality = per_term["bonus"].to_numpy() * (1.0 - (1.0 - BODY_PENALTY) * per_term["body"].to_numpy())
    return Terms(matrix, per_term["term"].to_list(), quality.astype(np.float32))


def _long(lists: list[list[str]], bonuses: tuple[float, ...], body: int) -> pl.DataFrame:
    """(row, term, bonus, body): one line a word of an item."""
    table = (
        pl.DataFrame(
            {"row": pl.int_range(len(lists), dtype=pl.Int32, eager=True), "term": lists},
            schema={"row": pl.Int32, "term": pl.List(pl.String)},
        )
        .explode("term", empty_as_null=True)
        .drop_nulls()
    )
    n_words = (pl.col("term").str.count_matches(" ") + 1).clip(1, len(bonuses))
    bonus = pl.lit(bonuses[0])
    for i, value in enumerate(bonuses[1:], start=2):
        bonus = pl.when(n_words >= i).then(value).otherwise(bonus)
    return table.unique(maintain_order=True).with_columns(bonus=bonus.cast(pl.Float64), body=pl.lit(body, pl.Float64))


@dataclass(frozen=True)
class _Shares:
    """nodes x items weights (a node's items), and the sum over each node."""

    matrix: sp.csr_array
    mass: np.ndarray


def _node_shares(membership: sp.csr_array, parent_row: IntArray, weights: FloatArray) -> _Shares:
    n_leaves, n_nodes = membership.shape[1], len(parent_row)
    up = np.zeros((n_nodes, n_leaves), np.float64)
    node = np.arange(n_leaves)
    while (node >= 0).any():
        leaf = np.flatnonzero(node >= 0)
        up[node[leaf], leaf] = 1.0
        node = np.where(node >= 0, parent_row[node], -1)
    weighted = sp.csr_array(membership.astype(np.float64).multiply(weights.astype(np.float64)[:, None]))
    matrix = sp.csr_array(sp.csr_array(up) @ weighted.T)
    matrix.sort_indices()
    return _Shares(matrix, np.asarray(matrix.sum(axis=1)).ravel())


@dataclass(frozen=True)
class _Scores:
    """Score of each word on each node: CSR nodes x terms."""

    score: sp.csr_array

    def best(self, node: int, limit: int = 200) -> list[int]:
        """Words of a node, best first; ties by the alphabet."""
        a, b = self.score.indptr[node], self.score.indptr[node + 1]
        words, score = self.score.indices[a:b], self.score.data[a:b]
        order = np.lexsort((words, -score))[:limit]
        return [int(words[i]) for i in order if score[i] > 0]

    def of(self, node: int, word: int) -> float:
        return float(self.score[node, word])


def _score(terms: Terms, share: _Shares, parent_row: IntArray, level: IntArray) -> _Scores:
    """Harmonic mean of coverage and distinctiveness; on parents, coverage counts each child alike."""
    counts = sp.csr_array(share.matrix @ terms.matrix)
    counts.sum_duplicates()
    counts.sort_indices()
    node = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    mass = np.maximum(share.mass, 1e-12)
    coverage = sp.csr_array((counts.data / mass[node], counts.indices, counts.indptr), shape=counts.shape)
    total = np.zeros((int(level.max(initial=1)) + 1, counts.shape[1]))
    np.add.at(total, (level[node], counts.indices), counts.data)
    # one more item of middling weight elsewhere: a word seen twice is no proof
    prior = share.mass.sum() / max(1, share.matrix.nnz)
    distinct = counts.data / (total[level[node], counts.indices] + prior)
    covered = coverage.data.copy()
    parents = np.unique(parent_row[parent_row >= 0])
    for parent in parents:
        children = np.flatnonzero(parent_row == parent)
        if len(children) < 2:
            continue
        rows = coverage[children]
        spread = np.asarray(rows.mean(axis=0)).ravel()
        on = np.bincount(rows.indices[rows.data >= MIN_CHILD_COVERAGE], minlength=counts.shape[1])
        spread[on < max(2, (len(children) + 1) // 2)] = 0.0
        a, b = counts.indptr[parent], counts.indptr[parent + 1]
        covered[a:b] = np.minimum(covered[a:b], spread[counts.indices[a:b]])
    f1 = 2 * covered * distinct / np.maximum(covered + distinct, 1e-12)
    data = f1 * terms.quality[counts.indices]
    is_parent = np.isin(node, parents)
    data[is_parent & (data < MIN_PARENT_SCORE)] = 0.0
    return _Scores(sp.csr_array((data, counts.indices, counts.indptr), shape=counts.shape))


def _stem(word: str) -> str:
    """Fold plain plurals: enough to see that "boot" repeats "boots"."""
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def _stems(term: str) -> frozenset[str]:
    return frozenset(_stem(w) for w in re.split(r"[\s\-']+", term.lower()) if w)


def _repeats(a: str, b: str) -> bool:
    """Two terms that share a word, or of which one holds the other."""
    return bool(_stems(a) & _stems(b)) or a in b or b in a


def _distinct_words(words: list[int], text: list[str], limit: int) -> list[int]:
    """The first `limit` words that repeat no earlier one."""
    kept: list[int] = []
    for word in words:
        if len(kept) == limit:
            break
        if not any(_repeats(text[word], text[other]) for other in kept):
            kept.append(word)
    return kept


def _choose(ranked: list[int], scored: _Scores, node: int, terms: Terms, share: _Shares) -> list[int]:
    """One to three words: the best, then those that bring items which the earlier ones left uncovered."""
    if not ranked:
        return []
    a, b = share.matrix.indptr[node], share.matrix.indptr[node + 1]
    rows, weight = share.matrix.indices[a:b], share.matrix.data[a:b]
    first = scored.of(node, ranked[0])
    chosen: list[int] = []
    covered = np.zeros(len(rows), bool)
    for word in ranked:
        if len(chosen) == MAX_TERMS or weight[covered].sum() >= ENOUGH_COVERAGE * weight.sum():
            break
        if scored.of(node, word) < MIN_RELATIVE_SCORE * first:
            break
        has = np.isin(rows, _items_with(terms, word))
        if chosen and weight[has & ~covered].sum() < 0.05 * weight.sum():
            continue
        chosen.append(word)
        covered |= has
    return chosen


def _items_with(terms: Terms, word: int) -> np.ndarray:
    return terms.matrix.indices[terms.matrix.indptr[word] : terms.matrix.indptr[word + 1]]


def _surface(terms: Terms, word: int, share: _Shares, node: int, titles: list[str]) -> str:
    """The word as the node's titles write it most often; a word in no title, or shouted, starts with a capital."""
    text = terms.words[word]
    a, b = share.matrix.indptr[node], share.matrix.indptr[node + 1]
    rows = np.intersect1d(share.matrix.indices[a:b], _items_with(terms, word))[:200]
    pattern = re.compile(r"(?<!\w)" + r"[\s_]+".join(map(re.escape, text.split())) + r"(?!\w)", re.IGNORECASE)
    forms: Counter[str] = Counter()
    for row in rows:
        title = titles[row]
        match = None if title.isupper() else pattern.search(title)
        if match:
            forms[" ".join(match.group().split())] += 1
    form = min(forms, key=lambda f: (-forms[f], f)) if forms else text
    return form[0].upper() + form[1:] if form.islower() else form


def _safe_titles(items: Items) -> list[str]:
    """Titles fit to be shown: no markup, mail addresses, links or long numbers; "" where nothing is left."""
    cleaned = items.table["title"].fill_null("").str.replace_all(_PRIVATE, " ").to_list()
    return [" ".join(_DANGEROUS.sub(" ", title).split())[:MAX_TITLE].strip() for title in cleaned]


def _without_words(items: Items, medoid: int, titles: list[str]) -> str:
    """Say honestly what stands for the node: an item, by title or by id."""
    if medoid < 0:
        return "Unnamed interest"
    if titles[medoid]:
        return f"Like {titles[medoid]}"
    shown = " ".join(_DANGEROUS.sub(" ", str(items.item_ids[medoid])).split())[:40]
    return f"Interest of item {shown}"


def _numbers() -> list[str]:
    return [f"({i})" for i in range(2, 1000)]


def _key(name: str) -> tuple[str, ...]:
    """Names of the same words in another order, case or number are the same name."""
    return tuple(sorted(_stem(w) for w in re.findall(r"\w+", name.lower())))


def _unique(name: str, taken: list[str], spare: list[str]) -> str:
    """Add spare words until the name differs from all others."""
    keys = {_key(other) for other in taken}
    if _key(name) not in keys:
        return name
    for extra in spare:
        tried = f"{name} {extra}" if extra.startswith("(") else f"{name}{SEPARATOR}{extra}"
        if _key(tried) not in keys:
            return tried
    return f"{name} ({len(taken) + 1})"


def _measure(terms: Terms, share: _Shares, chosen: list[list[int]], level: IntArray) -> tuple[FloatArray, FloatArray]:
    """Coverage and distinctiveness of each name as a whole: items with any of its words."""
    coverage = np.zeros(len(chosen), np.float32)
    distinct = np.zeros(len(chosen), np.float32)
    by_level = {int(lv): np.asarray(share.matrix[level == lv].sum(axis=0)).ravel() for lv in np.unique(level)}
    for node, words in enumerate(chosen):
        if not words:
            continue
        rows = np.unique(np.concatenate([_items_with(terms, word) for word in words]))
        a, b = share.matrix.indptr[node], share.matrix.indptr[node + 1]
        inside = share.matrix.data[a:b][np.isin(share.matrix.indices[a:b], rows)].sum()
        coverage[node] = inside / max(share.mass[node], 1e-12)
        distinct[node] = inside / max(by_level[int(level[node])][rows].sum(), 1e-12)
    return coverage, distinct
