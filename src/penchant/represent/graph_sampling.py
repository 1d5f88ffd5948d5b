"""The user-item graph as sparse rows, and its sampling: NumPy alone, no loop over nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import BoolArray, Events, FloatArray, IntArray, Vectors

# Rows of the text likeness worked on at once.
BLOCK = 2048

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Edges:
    """Messages into n_to nodes. to: (e,) ascending and source: (e,), places among the nodes of a layer.

    share: (e,) weight / sqrt(degree x degree), what a convolution multiplies by; weight: (e,) before that.
    """

    to: Index
    source: Index
    share: FloatArray
    weight: FloatArray
    n_to: int

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        size = np.zeros(self.n_to, np.bool_)  # its length says how many nodes there are
        return {
            f"{name}.to": self.to,
            f"{name}.source": self.source,
            f"{name}.share": self.share,
            f"{name}.weight": self.weight,
            f"{name}.size": size,
        }


@dataclass(frozen=True)
class Layer:
    """One round: users read items (places in the items below), items read users, then like items and themselves.

    Sources of `to_items` are the users of this layer, then the items below. place: of its items among those below.
    """

    to_users: Edges
    to_items: Edges
    place: Index


@dataclass(frozen=True)
class Sample:
    """Layers from the bottom up. items: the rows whose own vectors the bottom reads; top: those the top gives."""

    layers: tuple[Layer, ...]
    items: Index
    top: Index


@dataclass(frozen=True)
class Graph:
    """users: (n_users, n_items) weights of events; items: its transpose; like: (n_items, n_items) text likeness.

    user_degree, item_degree: sums of weights, an item's with its like items and itself (weight 1).
    """

    users: sp.csr_array
    items: sp.csr_array
    like: sp.csr_array
    user_degree: FloatArray
    item_degree: FloatArray


def edge_weights(liked: Events, events: Events, n_items: int) -> sp.csr_array:
    """(n_users, n_items) log(1 + sum of positive weights) of the pairs in `liked` (one event a user and item)."""
    weights = events.matrix(n_items)
    kept = liked.matrix(n_items, binary=True)
    out = sp.csr_array(weights.multiply(kept))
    out.data = np.log1p(out.data).astype(np.float32)
    out.sort_indices()
    return out


def only_items(weights: sp.csr_array, keep: BoolArray) -> sp.csr_array:
    """The same matrix without the entries of other items."""
    out = sp.csr_array(weights.multiply(keep.astype(np.float32)[None, :]))
    out.eliminate_zeros()
    out.sort_indices()
    return out


def build_graph(users: sp.csr_array, like: sp.csr_array) -> Graph:
    items = sp.csr_array(users.T.tocsr())
    user_degree = np.asarray(users.sum(axis=1), np.float32).ravel()
    item_degree = np.asarray(items.sum(axis=1) + like.sum(axis=1) + 1, np.float32).ravel()
    return Graph(users, items, like, user_degree, item_degree)


def like_items(text: Vectors | None, n_items: int, k: int) -> sp.csr_array:
    """(n_items, n_items) cosines of each item's k nearest by text, above zero, both ways; empty without texts.

    Time: n_items^2 x d; memory: a block of rows.
    """
    if text is None or k == 0 or n_items < 2:
        return sp.csr_array((n_items, n_items), dtype=np.float32)
    k = min(k, n_items - 1)
    rows, columns, values = [], [], []
    for start in range(0, n_items, BLOCK):
        block = np.einsum("id,jd->ij", text.values[start : start + BLOCK], text.values, optimize=True)
        own = np.arange(len(block))
        block[own, start + own] = -np.inf
        near = np.argpartition(-block, k - 1, axis=1)[:, :k]
        rows.append(np.repeat(start + own, k))
        columns.append(near.ravel())
        values.append(np.take_along_axis(block, near, axis=1).ravel())
    value = np.concatenate(values)
    good = value > 0
    places = (np.concatenate(rows)[good], np.concatenate(columns)[good])
    one_way = sp.csr_array((value[good], places), shape=(n_items, n_items))
    out = sp.csr_array(one_way.maximum(one_way.T)).astype(np.float32)
    out.sort_indices()
    return out


def sample(
    graph: Graph,
    top: Index,
    n_rounds: int,
    n_neighbours: int,
    rng: np.random.Generator | None,
    without: BoolArray | None,
) -> Sample:
    """The part of a graph that the vectors of some items hang on, with at most `n_neighbours` drawn for each node.

    Draws are with replacement and stand for all of a node's neighbours (Hamilton et al. 2017), so the cost is nodes x
    draws, whatever the degrees.

    Args:
        top: ascending item rows.
        rng: draws; None = all neighbours.
        without: (n_users,) users the items must not read: those whose next items are to be foretold.
    """
    items, layers = top, []
    for _ in range(n_rounds):
        to, user, weight = _draw(graph.items, items, n_neighbours, rng)
        if without is not None:
            kept = ~without[user]
            to, user, weight = to[kept], user[kept], weight[kept]
        users = np.unique(user)
        user_to, item, item_weight = _draw(graph.users, users, n_neighbours, rng)
        like_to, like, like_weight = _draw(graph.like, items, 0, None)
        below = np.unique(np.concatenate([items, item, like]))
        place_below, place_user = _places(below, graph.users.shape[1]), _places(users, graph.users.shape[0])
        own = place_below[items].astype(np.int64)
        to_users = _edges(user_to, place_below[item], item_weight, graph.user_degree[users], graph.item_degree[below])
        source = np.concatenate([place_user[user], len(users) + place_below[like], len(users) + own])
        degree = np.concatenate([graph.user_degree[users], graph.item_degree[below]])
        to_items = _edges(
            np.concatenate([to, like_to, np.arange(len(items))]),
            source,
            np.concatenate([weight, like_weight, np.ones(len(items), np.float32)]),
            graph.item_degree[items],
            degree,
        )
        layers.append(Layer(to_users, to_items, own))
        items = below
    return Sample(tuple(layers[::-1]), items, top)


def user_edges(weights: sp.csr_array, item_degree: FloatArray, items: Index) -> Edges:
    """Edges into users from their own events alone. items: ascending rows that columns of `weights` lie among."""
    entries = weights.tocoo()
    degree = np.asarray(weights.sum(axis=1), np.float32).ravel()
    source = _places(items, weights.shape[1])[entries.coords[1]]
    return _edges(entries.coords[0].astype(np.int64), source, entries.data, degree, item_degree[items])


def split_targets(users: sp.csr_array, rows: IntArray, share: float, rng: np.random.Generator) -> sp.csr_array:
    """(len(rows), n_items) 0/1: a random share of each user's items, one or more, never more than half."""
    some = sp.csr_array(users[rows])
    n = np.diff(some.indptr)
    owner = np.repeat(np.arange(len(rows)), n)
    order = np.lexsort((rng.random(some.nnz), owner))
    place = np.arange(some.nnz) - np.repeat(some.indptr[:-1], n)  # in the random order, within the user
    wanted = np.minimum(np.maximum(np.round(share * n), 1), n // 2)
    chosen = np.sort(order[place < wanted[owner]])
    out = sp.csr_array((np.ones(len(chosen), np.float32), (owner[chosen], some.indices[chosen])), shape=some.shape)
    out.sort_indices()
    return out


def _draw(
    matrix: sp.csr_array, rows: Index, n: int, rng: np.random.Generator | None
) -> tuple[Index, Index, FloatArray]:  # one call's three columns of equal length
    """Place in `rows`, column and weight of drawn entries (n = 0 or no rng: of all); weights stand for whole rows."""
    start, degree = matrix.indptr[rows].astype(np.int64), np.diff(matrix.indptr)[rows].astype(np.int64)
    many = degree > n if rng is not None and n else np.zeros(len(rows), np.bool_)
    taken = np.where(many, n, degree)
    to = np.repeat(np.arange(len(rows)), taken)
    offset = np.arange(len(to)) - np.repeat(np.cumsum(taken) - taken, taken)
    factor = np.ones(len(to), np.float32)
    if rng is not None and many.any():
        of_many = many[to]
        offset[of_many] = (rng.random(int(of_many.sum())) * degree[to[of_many]]).astype(np.int64)
        factor[of_many] = degree[to[of_many]] / n
    at = start[to] + offset
    return to, matrix.indices[at].astype(np.int64), (matrix.data[at] * factor).astype(np.float32)


def _places(rows: Index, n: int) -> IntArray:
    """(n,) the place of each row among `rows`; anything for others: a table that is never filled costs nothing."""
    out = np.empty(n, np.int32)
    out[rows] = np.arange(len(rows), dtype=np.int32)
    return out


def _edges(
    to: Index, source: npt.NDArray[np.integer], weight: FloatArray, to_degree: FloatArray, source_degree: FloatArray
) -> Edges:
    """Edges in the order of (to, source), repeats summed."""
    matrix = sp.coo_array((weight, (to, source)), shape=(len(to_degree), len(source_degree))).tocsr()
    matrix.sum_duplicates()
    owner = np.repeat(np.arange(len(to_degree)), np.diff(matrix.indptr))
    scale = np.sqrt(to_degree[owner] * source_degree[matrix.indices])
    share = np.divide(matrix.data, scale, out=np.zeros_like(matrix.data), where=scale > 0)
    column = matrix.indices.astype(np.int64)
    return Edges(owner.astype(np.int64), column, share.astype(np.float32), matrix.data, len(to_degree))
