"""What sets a segment apart, and a readable name from it.

An interest speaks for a segment by its part of the information gain, share_in * log(share_in / share_overall) (a term
of the Kullback-Leibler divergence): strong there *and* stronger than elsewhere. Interests that only few members have do
not speak. A parent speaks in place of its leaves where little is lost by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from penchant.data import BoolArray, FloatArray, IntArray, InterestTree

_KEPT_BY_PARENT = 0.8  # a parent replaces its leaves if it keeps this part of their gain


@dataclass(frozen=True)
class Traits:
    """What sets segments apart: one list a segment, strongest first (rows of tree.nodes)."""

    interest_rows: list[list[int]]
    lift: list[list[float]]
    coverage: list[list[float]]


def segment_traits(
    shares: sp.csr_array, labels: IntArray, n_segments: int, tree: InterestTree, *, n_top: int, min_coverage: float
) -> Traits:
    """Interests by which each segment differs from all users with evidence.

    lift = mean share in the segment / mean share over all assigned users; coverage = share of members who have the
    interest at all.

    Args:
        shares: (n_users, n_nodes), see `rows.share_matrix`.
        labels: (n_users,), -1 = unassigned.
        n_top: interests a segment, at most.
        min_coverage: an interest that fewer members have can't speak for the segment.
    """
    inside, overall, coverage = _mean_shares(shares, labels, n_segments)
    lift = np.divide(inside, overall, out=np.ones_like(inside), where=overall > 0)
    gain = np.where(inside > 0, inside * np.log(np.maximum(lift, 1e-12)), 0.0)
    gain[coverage < min_coverage] = 0.0
    speaks = _speakers(np.maximum(gain, 0.0), tree)
    top_rows, top_lift, top_coverage = [], [], []
    for s in range(n_segments):
        rank = np.lexsort((np.arange(tree.nodes.height), -gain[s]))
        rows = [int(i) for i in rank if speaks[s, i]][:n_top]
        if not rows:  # nothing lifted (one segment only, or a faithful mix of all): say what is common in it
            leaf = np.lexsort((np.arange(tree.n_leaves), -inside[s, : tree.n_leaves]))
            rows = [int(i) for i in leaf[:n_top] if inside[s, i] > 0]
        top_rows.append(rows)
        top_lift.append([float(lift[s, i]) for i in rows])
        top_coverage.append([float(coverage[s, i]) for i in rows])
    return Traits(top_rows, top_lift, top_coverage)


def segment_names(traits: Traits, tree: InterestTree, n_parts: int = 2) -> list[str]:
    """One readable name a segment, unique: its strongest interests, more of them only where two would be alike."""
    words = node_names(tree)
    names: list[str] = []
    for s, rows in enumerate(traits.interest_rows):
        strength = np.array([np.log(max(x, 1e-12)) for x in traits.lift[s]])
        if not rows:
            names.append("No interests")
            continue
        mixed = bool((strength <= np.log(1.05)).all())
        prefix = "Mixed: " if mixed else ""
        n = min(n_parts, len(rows))
        name = prefix + " + ".join(words[i] for i in rows[:n])
        while name in names and n < len(rows):
            n += 1
            name = prefix + " + ".join(words[i] for i in rows[:n])
        base, number = name, 2
        while name in names:
            name = f"{base} ({number})"
            number += 1
        names.append(name)
    return names


def node_names(tree: InterestTree) -> list[str]:
    """Names of all nodes; a leaf whose name another leaf has too is told by its parent ("Sport: shoes")."""
    names = tree.nodes["name"].to_list()
    seen: dict[str, int] = {}
    for name in names[: tree.n_leaves]:
        seen[name] = seen.get(name, 0) + 1
    out = list(names)
    for i in range(tree.n_leaves):
        parent = int(tree.parent_row[i])
        if seen[names[i]] > 1 and parent >= 0:
            out[i] = f"{names[parent]}: {names[i]}"
    return out


def _mean_shares(shares: sp.csr_array, labels: IntArray, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    kept = np.flatnonzero(labels >= 0)
    size = np.maximum(np.bincount(labels[kept], minlength=n), 1)
    member = sp.csr_array((1.0 / size[labels[kept]], (labels[kept], kept)), shape=(n, len(labels)))
    has = shares.copy()
    has.data = np.ones_like(has.data)
    inside = (member @ shares).toarray()
    coverage = (member @ has).toarray()
    overall = (inside * size[:, None]).sum(axis=0) / max(len(kept), 1)
    return inside, overall, coverage


def _speakers(gain: FloatArray, tree: InterestTree) -> BoolArray:
    """(n_segments, n_nodes) nodes that may speak: no node together with its own parent or child.

    From the level above the leaves upwards: a node replaces its children if two or more of them gain and it keeps most
    of what they gain; else the children stay.
    """
    speaks = np.zeros(gain.shape, bool)
    speaks[:, : tree.n_leaves] = gain[:, : tree.n_leaves] > 0
    kept = gain * speaks  # what the speaking nodes at or below a node gain, credited to that node
    for level in range(tree.n_levels - 1, 0, -1):
        for node in tree.rows_of_level(level):
            children = np.flatnonzero(tree.parent_row == node)
            below = kept[:, children]
            wins = (gain[:, node] > 0) & (gain[:, node] >= _KEPT_BY_PARENT * below.sum(axis=1))
            wins &= (below > 0).sum(axis=1) >= 2
            silenced = _descendants(tree, int(node))
            speaks[np.ix_(wins, silenced)] = False
            speaks[wins, node] = True
            kept[:, node] = np.where(wins, gain[:, node], below.sum(axis=1))
    return speaks


def _descendants(tree: InterestTree, node: int) -> IntArray:
    out: list[int] = []
    front = [node]
    while front:
        front = np.flatnonzero(np.isin(tree.parent_row, front)).tolist()
        out.extend(front)
    return np.array(out, np.int32)
