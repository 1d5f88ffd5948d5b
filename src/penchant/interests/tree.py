"""The interest tree: leaves found in the items' space, soft membership, upper levels, names, stable ids."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.config import InterestsConfig
from penchant.data import Events, FloatArray, IntArray, InterestTree, Items, ItemSpace, Parts, Vectors, unit_rows
from penchant.interests.grouping import sum_rows
from penchant.interests.leaves import Leaves, find_leaves
from penchant.interests.levels import group_leaves
from penchant.interests.membership import (
    as_int32,
    fit_temperature,
    neighbour_shares,
    node_lift,
    soft_membership,
    weighted_centroids,
)
from penchant.interests.names import name_nodes
from penchant.interests.neighbours import nearest_others
from penchant.threads import one_thread

N_TEMPERATURE_ITEMS = 2000
N_NEIGHBOURS = 10  # neighbours that fix the temperature of membership
TEXT_FLOOR_QUANTILE = 0.005  # a text further from every leaf than all but this share of the items is no interest
BEHAVIOUR_IN_PARENTS = 0.1  # weight of the leaves' own space beside texts when leaves are grouped
N_ID_ITEMS = 5  # items of a leaf, strongest first, that make its id


def build_tree(space: ItemSpace, items: Items, events: Events, config: InterestsConfig, *, seed: int) -> InterestTree:
    """Find the interests in the items.

    Args:
        space: where the items lie; leaves are clusters of `fused`, `text` places later items by text alone.
        items: the catalogue (names come from its titles, texts and categories).
        events: give the items' popularity: medoids and names speak of what people use.
        config: the interests' section.
        seed: of the clustering.
    Returns:
        The tree. Items whose fused row is all zero stay unassigned (an empty membership row).
    """
    with one_thread():  # sums in one fixed order: the same bytes on any number of cores
        return _build(space, items, item_weights(events, len(items)), config, seed)


def _build(space: ItemSpace, items: Items, weights: FloatArray, config: InterestsConfig, seed: int) -> InterestTree:
    values = space.fused.values
    found = find_leaves(values, config, seed=seed)
    labels, upper = _in_order(found, _likeness(space, found), config.n_levels)
    sharp_centres = mean_of(found.space, labels, found.n_leaves)
    temperature = _temperature(found.space, sharp_centres, labels, seed)
    membership = soft_membership(found.space, sharp_centres, temperature, top=config.top_memberships)
    ones = np.ones(len(values), np.float32)
    centroids = weighted_centroids(values, membership, ones)
    facts = {**found.facts, "temperature": temperature}
    text_centroids = None
    if space.text is not None and space.text.present.any() and membership.nnz:
        text_centroids = weighted_centroids(space.text.values, membership, ones)
        facts |= _text_facts(space.text, text_centroids, membership)
    nodes = _node_table(values, items, membership, centroids, upper, weights, config)
    version = tree_version(nodes, centroids)
    return InterestTree(nodes, membership, centroids, text_centroids, version, facts)


def item_weights(events: Events, n_items: int) -> FloatArray:
    """(n_items,) importance of items: 1 + log2(1 + users who liked it), so that none counts for nothing."""
    liked = events.positive().table.select("user_row", "item_row").unique()
    users = np.bincount(liked["item_row"].to_numpy(), minlength=n_items)
    return np.asarray(1.0 + np.log2(1.0 + users), np.float32)


def _likeness(space: ItemSpace, found: Leaves) -> FloatArray:
    """(n_leaves, d) where leaves lie by what they are about: by texts, where every leaf has some.

    Behaviour tells leaves apart well, but it ties together what the same people like (hiking and jazz), not what is
    of one kind; parents are for reading, so texts decide and behaviour only breaks near-ties between leaves that
    share no word. On the made-up market the true domains are found from texts (V-measure 0.92 to 1.0 over true
    leaves) and lost in the fused space (0.4 to 0.6).
    """
    own = mean_of(found.space, found.labels, found.n_leaves)
    if space.text is None:
        return own
    with_text = np.where(space.text.present, found.labels, -1).astype(np.int32)
    if not np.bincount(with_text[with_text >= 0], minlength=found.n_leaves).all():
        return own
    text = mean_of(space.text.values, with_text, found.n_leaves)
    return np.hstack([text, np.float32(np.sqrt(BEHAVIOUR_IN_PARENTS)) * own])


def _in_order(found: Leaves, likeness: FloatArray, n_levels: int) -> tuple[IntArray, list[IntArray]]:
    """Number the leaves so that siblings are neighbours; also the group of each leaf at each upper level."""
    sizes = np.bincount(found.labels[found.labels >= 0], minlength=found.n_leaves)
    order, upper = group_leaves(likeness, np.sqrt(np.maximum(sizes, 1)), n_levels)
    rank = np.empty(found.n_leaves, np.int32)
    rank[order] = np.arange(found.n_leaves, dtype=np.int32)
    labels = np.where(found.labels >= 0, rank[found.labels], -1).astype(np.int32)
    return labels, [group[order] for group in upper]


def mean_of(values: FloatArray, labels: IntArray, n_leaves: int) -> FloatArray:
    """(n_leaves, d) unit means of the rows with each label; -1 counts nowhere."""
    return unit_rows(sum_rows(values, labels, n_leaves))


def _temperature(space: FloatArray, centres: FloatArray, labels: IntArray, seed: int) -> float:
    """Temperature at which memberships best foretell the leaves of neighbours, on a sample of the items."""
    known = np.flatnonzero(labels >= 0)
    if len(known) > N_TEMPERATURE_ITEMS:
        known = np.sort(np.random.default_rng(seed).choice(known, N_TEMPERATURE_ITEMS, replace=False))
    neighbours = nearest_others(space, known.astype(np.int32), N_NEIGHBOURS)
    return fit_temperature(space[known] @ centres.T, neighbour_shares(neighbours, labels, len(centres)))


def _text_facts(text: Vectors, text_centroids: FloatArray, membership: sp.csr_array) -> dict[str, float]:
    """Temperature and floor for items known by text alone, fitted on the items whose leaves are known."""
    known = text.present & (np.diff(membership.indptr) > 0)
    similarity = text.values[known] @ text_centroids.T
    temperature = fit_temperature(similarity, membership[known].toarray())
    floor = float(np.quantile(similarity.max(axis=1), TEXT_FLOOR_QUANTILE)) if known.any() else -2.0
    return {"text_temperature": temperature, "text_floor": floor}


def _node_table(
    values: FloatArray,
    items: Items,
    membership: sp.csr_array,
    centroids: FloatArray,
    upper: list[IntArray],
    weights: FloatArray,
    config: InterestsConfig,
) -> pl.DataFrame:
    """Lay out leaves, then the levels above them, the top last; name them all."""
    n_leaves = len(centroids)
    parent_row, level = _parents(upper, n_leaves)
    lift = node_lift(parent_row, n_leaves)
    node_items = as_int32(sp.csr_array(lift @ membership.T))
    node_items.sort_indices()
    medoids = _medoids(values, node_items, weights)
    named = name_nodes(items, membership, parent_row, level, weights, medoids, n_keywords=config.n_keywords)
    strongest = _hard_counts(membership)
    return pl.DataFrame(
        {
            "interest_id": _ids(items, node_items, medoids, parent_row, n_leaves),
            "parent_row": parent_row,
            "level": level,
            "name": named.names,
            "keywords": pl.Series(named.keywords, dtype=pl.List(pl.String)),
            "n_items": (lift @ strongest).astype(np.int32),
            "medoid_item_row": medoids,
            "coverage": named.coverage,
            "distinctiveness": named.distinctiveness,
        }
    )


def _parents(upper: list[IntArray], n_leaves: int) -> tuple[IntArray, IntArray]:
    """Parent and level of each node, from the group of each leaf at each level above the leaves'."""
    n_levels = len(upper) + 1
    parents, levels = [np.full(n_leaves, -1, np.int32)], [np.full(n_leaves, n_levels, np.int32)]
    below, start = (
        np.arange(n_leaves, dtype=np.int32),
        n_leaves,
    )  # each leaf's node within the level below; first row of this level
    for depth, group in enumerate(upper, start=1):
        n_groups = int(group.max(initial=0)) + 1
        parents[-1][below] = start + group
        parents.append(np.full(n_groups, -1, np.int32))
        levels.append(np.full(n_groups, n_levels - depth, np.int32))
        below, start = group, start + n_groups
    return np.concatenate(parents), np.concatenate(levels)


def _hard_counts(membership: sp.csr_array) -> np.ndarray:
    """(n_leaves,) items whose strongest leaf it is."""
    filled = np.flatnonzero(np.diff(membership.indptr) > 0)
    best = np.asarray(membership[filled].argmax(axis=1)).ravel() if len(filled) else np.zeros(0, int)
    return np.bincount(best, minlength=membership.shape[1])


def _medoids(values: FloatArray, node_items: sp.csr_array, weights: FloatArray) -> IntArray:
    """(n_nodes,) the item nearest to the weighted mean of the node's items; the more popular, then the lower row.

    This is the item with the largest weighted sum of cosines to all items of the node. -1 for an empty node.
    """
    out = np.full(node_items.shape[0], -1, np.int32)
    for node in range(node_items.shape[0]):
        a, b = node_items.indptr[node], node_items.indptr[node + 1]
        rows, share = node_items.indices[a:b], node_items.data[a:b]
        clear = share >= 0.5 * share.max(initial=0)
        rows, share = rows[clear], share[clear]
        if len(rows):
            x = values[rows].astype(np.float64)
            near = x @ ((share * weights[rows]).astype(np.float64) @ x)
            out[node] = rows[np.lexsort((rows, -weights[rows], -np.round(near, 6)))[0]]
    return out


def _ids(items: Items, node_items: sp.csr_array, medoids: IntArray, parent_row: IntArray, n_leaves: int) -> list[str]:
    """Ids from content: a leaf by its medoid and strongest items, a parent by its children."""
    item_ids = items.item_ids
    out: list[str] = []
    for node in range(node_items.shape[0]):
        if node < n_leaves:
            a, b = node_items.indptr[node], node_items.indptr[node + 1]
            rows, share = node_items.indices[a:b], node_items.data[a:b]
            top = rows[np.lexsort((rows, -np.round(share, 4)))[:N_ID_ITEMS]]
            medoid = [str(item_ids[int(medoids[node])])] if medoids[node] >= 0 else []
            content = ["leaf", *medoid, *sorted(str(item_ids[int(r)]) for r in top)]
        else:
            content = ["node", *sorted(out[child] for child in np.flatnonzero(parent_row == node))]
        out.append(_unused("i" + _short_hash(content, 8), out))
    return out


def _unused(name: str, taken: list[str]) -> str:
    while name in taken:
        name = "i" + _short_hash([name], 8)
    return name


def _short_hash(content: list[str], length: int) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:length]


def tree_version(nodes: pl.DataFrame, centroids: FloatArray) -> str:
    """Short hash over ids, parents, names and the rounded centroids: equal trees have equal versions."""
    text = [f"{i}|{p}|{n}" for i, p, n in nodes.select("interest_id", "parent_row", "name").iter_rows()]
    rounded = np.round(centroids.astype(np.float64), 4) + 0.0  # + 0.0: no negative zeros
    return _short_hash([*text, hashlib.sha256(rounded.astype("<f4").tobytes()).hexdigest()], 12)


def assign_by_text(tree: InterestTree, text: Vectors, config: InterestsConfig) -> sp.csr_array:
    """Place new items, or any texts, by their text vectors alone.

    Args:
        tree: a tree built with text vectors of the same encoder.
        text: (n_new, d_text); a row of zeros stays unassigned.
        config: the interests' section (`top_memberships`).
    Returns:
        (n_new, n_leaves) CSR float32; rows sum to 1. A text that is further from every leaf than practically all
        known items stays unassigned (an empty row). All rows are empty where the tree knows no texts.
    """
    if tree.text_centroids is None:
        return sp.csr_array((len(text.values), tree.n_leaves), dtype=np.float32)
    return soft_membership(
        text.values,
        tree.text_centroids,
        tree.facts["text_temperature"],
        top=config.top_memberships,
        floor=tree.facts["text_floor"],
    )


def tree_to_parts(tree: InterestTree) -> Parts:
    """The saved form of a tree."""
    arrays = {**csr_to_arrays(tree.membership, "membership"), "centroids": tree.centroids}
    if tree.text_centroids is not None:
        arrays["text_centroids"] = tree.text_centroids
    return Parts({"version": tree.version, "facts": dict(tree.facts)}, arrays, {"nodes": tree.nodes})


def tree_from_parts(parts: Parts) -> InterestTree:
    """Read what `tree_to_parts` gave."""
    arrays = parts.arrays
    return InterestTree(
        parts.tables["nodes"],
        csr_from_arrays(arrays, "membership"),
        arrays["centroids"],
        arrays.get("text_centroids"),
        str(parts.config["version"]),
        dict(parts.config["facts"]),
    )
