"""Names of interests: one to three words that cover a node's items and belong to few others.

Names are unique over the tree. A parent is called by what its children share; where they share no word, by the leading
words of the largest two. Nodes without words are named after the item that stands for them, and say so.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray, Items
from penchant.interests.terms import PRIVATE, Floats, Scores, Shares, Terms, find_terms, node_shares, score_terms
from penchant.text import ENGLISH_STOP_WORDS

SEPARATOR = " · "
MAX_TERMS = 3
ENOUGH_COVERAGE = 0.85  # a name says enough when its words are on this share of the items
MIN_RELATIVE_SCORE = 0.4  # a further word must be at least this good beside the first
MIN_GAIN = 0.05  # and be on this share of items more
MIN_DISTINCT = 0.3  # and lie in the node this much (0 = as by chance, 1 = only there)
MIN_SPECIFIC = 0.08  # coverage of the word that is added to a first word which is on many nodes ("comedy")
MAX_TITLE = 60
SHOUTED = 0.7  # a title with this share of capitals is shouted: its spelling is no model

_DANGEROUS = re.compile(r"[<>&\"`\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True)
class NodeNames:
    """Names of all nodes, in the order of the node table."""

    names: list[str]
    keywords: list[list[str]]
    coverage: FloatArray
    distinctiveness: FloatArray


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
    share = node_shares(membership, parent_row, weights)
    scored = score_terms(terms, share, parent_row, level)
    n_nodes = len(parent_row)
    ranked = [_distinct_words(_best(scored, node), terms.words, n_keywords) for node in range(n_nodes)]
    chosen = [_choose(ranked[node], scored, node, terms, share) for node in range(n_nodes)]
    for parent in np.flatnonzero(np.bincount(parent_row[parent_row >= 0], minlength=n_nodes) == 1):
        chosen[parent] = []  # an only child's words are its own
    writer = _Writer(items, terms, share, medoids)
    names = _name_all(writer, chosen, ranked, parent_row)
    coverage, distinctiveness = _measure(terms, share, chosen, level)
    keywords = [[terms.words[word] for word in words] for words in ranked]
    return NodeNames(names, keywords, coverage, distinctiveness)


def _name_all(writer: _Writer, chosen: list[list[int]], ranked: list[list[int]], parent_row: IntArray) -> list[str]:
    """Parents with words of their own first: what they share is theirs, and a child of that name must add a word."""
    n_nodes = len(parent_row)
    children = [np.flatnonzero(parent_row == node) for node in range(n_nodes)]
    first = [node for node in range(n_nodes - 1, -1, -1) if len(children[node]) and chosen[node]]
    names: dict[int, str] = {}
    taken: set[tuple[str, ...]] = set()
    for node in [*first, *(node for node in range(n_nodes) if node not in set(first))]:
        if chosen[node]:
            name = SEPARATOR.join(writer.surface(word, node) for word in chosen[node])
        elif len(children[node]) == 1:
            name = f"All of {names[int(children[node][0])]}"
        elif len(children[node]):
            name = writer.joined(node, children[node], names)
        else:
            name = writer.without_words(node)
        spare = [writer.surface(word, node) for word in ranked[node] if word not in chosen[node]]
        names[node] = _unique(name, taken, spare)
        taken.add(_key(names[node]))
    return [names[node] for node in range(n_nodes)]


class _Writer:
    """Puts words and titles into a readable, harmless form."""

    def __init__(self, items: Items, terms: Terms, share: Shares, medoids: IntArray) -> None:
        self.item_ids, self.terms, self.share, self.medoids = items.item_ids, terms, share, medoids
        self.titles = _safe_titles(items)

    def surface(self, word: int, node: int) -> str:
        """The word as the node's titles write it most often; one in no title, or shouted, gets a capital."""
        text = self.terms.words[word]
        rows = np.intersect1d(self.share.of(node)[0], self.terms.items_with(word))[:200]
        pattern = re.compile(r"(?<!\w)" + r"[\s_]+".join(map(re.escape, text.split())) + r"(?!\w)", re.IGNORECASE)
        forms: Counter[str] = Counter()
        for row in rows:
            match = None if _is_shouted(self.titles[row]) else pattern.search(self.titles[row])
            if match:
                forms[" ".join(match.group().split())] += 1
        form = min(forms, key=lambda f: (-forms[f], f)) if forms else text
        return form[0].upper() + form[1:] if form.islower() else form

    def joined(self, node: int, children: npt.NDArray[np.integer], names: dict[int, str]) -> str:
        """The leading words of the largest children: what a parent is called whose children share no word."""
        heavy = children[np.argsort(-self.share.mass[children], kind="stable")]
        parts = [names[int(child)].split(SEPARATOR) for child in heavy]
        leads: list[str] = []
        for lead in [*(p[0] for p in parts), *(word for p in parts for word in p[1:])]:
            if not any(_repeats(lead, other) for other in leads):
                leads.append(lead)
        if not any(self.titles) and self.medoids[node] >= 0:
            return f"Interests around item {self._shown_id(node)}"
        return " / ".join(leads[:2]) if len(leads) > 1 else f"All of {leads[0]}"

    def without_words(self, node: int) -> str:
        """Say honestly what stands for the node: an item, by title or by id."""
        if self.medoids[node] < 0:
            return "Unnamed interest"
        title = self.titles[self.medoids[node]]
        return f"Like {title}" if title else f"Interest of item {self._shown_id(node)}"

    def _shown_id(self, node: int) -> str:
        return " ".join(_DANGEROUS.sub(" ", str(self.item_ids[int(self.medoids[node])])).split())[:40]


def _safe_titles(items: Items) -> list[str]:
    """Titles fit to be shown: no markup, mail addresses, links or long numbers; "" where nothing is left."""
    cleaned = items.table.select(pl.col("title").fill_null("").str.replace_all(PRIVATE, " "))["title"].to_list()
    return [" ".join(_DANGEROUS.sub(" ", title).split())[:MAX_TITLE].strip() for title in cleaned]


def _is_shouted(title: str) -> bool:
    letters = [c for c in title if c.isalpha()]
    return sum(c.isupper() for c in letters) >= SHOUTED * max(1, len(letters))


def _stem(word: str) -> str:
    """Fold plain plurals: enough to see that "boot" repeats "boots"."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _stems(term: str) -> frozenset[str]:
    return frozenset(_stem(w) for w in re.split(r"[\s\-']+", term.lower()) if w and w not in ENGLISH_STOP_WORDS)


def _repeats(a: str, b: str) -> bool:
    """Two terms that share a word, or of which one holds the other."""
    a, b = a.lower(), b.lower()
    return bool(_stems(a) & _stems(b)) or a in b or b in a


def _best(scored: Scores, node: int, limit: int = 200) -> list[int]:
    """Words of a node, best first; ties by the alphabet."""
    words, score, _, _ = scored.row(node)
    order = np.lexsort((words, -np.round(score, 9)))[:limit]
    return [int(words[i]) for i in order if score[i] > 0]


def _distinct_words(words: list[int], text: list[str], limit: int) -> list[int]:
    """The first `limit` words that repeat no earlier one."""
    kept: list[int] = []
    for word in words:
        if len(kept) == limit:
            break
        if not any(_repeats(text[word], text[other]) for other in kept):
            kept.append(word)
    return kept


def _choose(ranked: list[int], scored: Scores, node: int, terms: Terms, share: Shares) -> list[int]:
    """One to three words: the best, then those that bring items which the earlier ones left uncovered."""
    if not ranked:
        return []
    found, score, coverage, distinct = scored.row(node)
    at = {int(word): i for i, word in enumerate(found)}
    rows, weight = share.of(node)
    chosen: list[int] = []
    covered = np.zeros(len(rows), bool)
    for word in ranked:
        if len(chosen) == MAX_TERMS or weight[covered].sum() >= ENOUGH_COVERAGE * weight.sum():
            break
        if score[at[word]] < MIN_RELATIVE_SCORE * score[at[ranked[0]]]:
            break
        has = np.isin(rows, terms.items_with(word))
        if chosen and (distinct[at[word]] < MIN_DISTINCT or weight[has & ~covered].sum() < MIN_GAIN * weight.sum()):
            continue
        chosen.append(word)
        covered |= has
    if len(chosen) < MAX_TERMS and max(distinct[at[word]] for word in chosen) < MIN_DISTINCT:
        chosen += _most_specific(chosen, found, coverage, distinct, terms)
    return chosen


def _most_specific(chosen: list[int], found: IntArray, coverage: Floats, distinct: Floats, terms: Terms) -> list[int]:
    """The word that tells a node from others when its common words do not; none if there is no such word."""
    precision = 1.25 * coverage * distinct / np.maximum(0.25 * coverage + distinct, 1e-12) * terms.quality[found]
    fit = np.flatnonzero((coverage >= MIN_SPECIFIC) & (distinct > max(distinct[np.isin(found, chosen)])))
    for i in fit[np.lexsort((found[fit], -np.round(precision[fit], 9)))]:
        if not any(_repeats(terms.words[found[i]], terms.words[other]) for other in chosen):
            return [int(found[i])]
    return []


def _key(name: str) -> tuple[str, ...]:
    """Names of the same words in another order, case or number are the same name."""
    return tuple(sorted(_stem(w) for w in re.findall(r"\w+", name.lower())))


def _unique(name: str, taken: set[tuple[str, ...]], spare: list[str]) -> str:
    """Add a spare word, at last a number, until the name differs from all others."""
    if _key(name) not in taken:
        return name
    for extra in spare:
        tried = f"{name}{SEPARATOR}{extra}"
        if _key(tried) not in taken and not any(_repeats(extra, word) for word in name.split(SEPARATOR)):
            return tried
    number = 2
    while _key(f"{name} ({number})") in taken:
        number += 1
    return f"{name} ({number})"


def _measure(terms: Terms, share: Shares, chosen: list[list[int]], level: IntArray) -> tuple[FloatArray, FloatArray]:
    """Coverage and distinctiveness (plain share) of each name as a whole: items with any of its words."""
    coverage = np.zeros(len(chosen), np.float32)
    distinct = np.zeros(len(chosen), np.float32)
    by_level = {int(lv): np.asarray(share.matrix[np.flatnonzero(level == lv)].sum(axis=0)).ravel() for lv in set(level)}
    for node, words in enumerate(chosen):
        if not words:
            continue
        with_any = np.unique(np.concatenate([terms.items_with(word) for word in words]))
        rows, weight = share.of(node)
        inside = weight[np.isin(rows, with_any)].sum()
        coverage[node] = inside / max(share.mass[node], 1e-12)
        distinct[node] = inside / max(by_level[int(level[node])][with_any].sum(), 1e-12)
    return coverage, distinct
