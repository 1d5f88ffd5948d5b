"""From a model to the plain facts of the page. No HTML here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import IntArray
from penchant.report.mapping import map_items
from penchant.report.rings import Arc, draw_rings
from penchant.report.words import Language
from penchant.tables import as_date, interests_table, segments_table

if TYPE_CHECKING:
    from penchant.model import Model
    from penchant.user_profile import UserProfile

MAX_MAP_ITEMS = 3000
MAX_COLOURS = 24
N_PROFILES = 6
N_LISTS = 3


def collect_map(model: Model) -> dict[str, Any]:
    """Positions, hover texts and colour codes of the most used assigned items, and label places of the leaves."""
    used = np.bincount(model.recommender.interactions.indices, minlength=len(model.items))
    leaf = model.tree.leaf_of_item
    assigned = np.flatnonzero(leaf >= 0)
    shown = np.sort(assigned[np.argsort(-used[assigned], kind="stable")[:MAX_MAP_ITEMS]]).astype(np.int32)
    places = map_items(model.tree, model.space, shown, seed=model.config.seed)
    nodes, titles = model.tree.nodes, model.items.titles
    names = nodes["name"].to_list()
    parent = model.tree.parent_row
    labels = [
        {"x": float(x), "y": float(y), "leaf": int(row)}
        for row in np.unique(leaf[shown])
        for x, y in [np.median(places[leaf[shown] == row], axis=0)]
    ]
    return {
        "x": np.round(places[:, 0], 4).tolist(),
        "y": np.round(places[:, 1], 4).tolist(),
        "leaf": leaf[shown].tolist(),
        "title": [titles[i] for i in shown],
        "n_users": used[shown].tolist(),
        "names": names[: model.tree.n_leaves],
        "labels": labels,
        "colours": _colourings(model, shown, [names[parent[row]] for row in leaf[shown]]),
        "n_shown": len(shown),
        "n_items": len(assigned),
    }


def _colourings(model: Model, shown: IntArray, tops: Sequence[str]) -> dict[str, list[str]]:
    """What the dots can be coloured by: the top interest, the segment that uses an item most for its size, and every
    item attribute with few values."""
    leaves = model.tree.nodes["name"].to_list()
    finest = [leaves[row] for row in model.tree.leaf_of_item[shown]]
    out: dict[str, list[str]] = {"top_interest": list(tops), "interest": finest}
    out["segment"] = _segment_of_item(model, shown)
    for name, kind in model.items.table.schema.items():
        if name in ("item_id", "title", "text"):
            continue
        column = model.items.table[name]
        if kind == pl.List(pl.String):
            column = column.list.first()
        n_values = column.drop_nulls().n_unique() if not column.dtype.is_nested() else 0
        if kind.is_float() or not 2 <= n_values <= MAX_COLOURS:
            continue
        values = column.cast(pl.String).fill_null("-").to_list()
        out[name] = [values[i] for i in shown]
    return out


def _segment_of_item(model: Model, shown: IntArray) -> list[str]:
    table = model.segments.table
    if table.is_empty():
        return ["-"] * len(shown)
    names = table["name"].to_list()
    known = np.flatnonzero(model.segments.segment_row >= 0)
    group = sp.csr_array(
        (np.ones(len(known), np.float32), (model.segments.segment_row[known], known)),
        shape=(table.height, len(model.user_ids)),
    )
    counts = (group @ (model.recommender.interactions > 0).astype(np.float32)).toarray()[:, shown]
    expected = counts.sum(axis=1, keepdims=True) + 1.0
    lift = (counts + 0.1) / expected
    best = lift.argmax(axis=0)
    return [names[b] if counts[:, i].sum() else "-" for i, b in enumerate(best)]


def collect_tree(model: Model) -> list[dict[str, Any]]:
    """All nodes as rows: parents before children, big ones first."""
    rows = interests_table(model).to_dicts()
    titles = dict(zip(model.items.item_ids.to_list(), model.items.titles, strict=True))
    for row in rows:
        row["medoid_title"] = titles.get(row["medoid_item_id"], "")
    by_parent: dict[str | None, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda r: (-r["n_users"], r["interest_id"])):
        by_parent.setdefault(row["parent_id"], []).append(row)
    for row in rows:
        row["children"] = by_parent.get(row["interest_id"], [])
    return by_parent.get(None, [])


def collect_profiles(model: Model) -> list[dict[str, Any]]:
    """A few users, one a segment, of typical activity: rings and their points in words."""
    return [_profile(model, model.profile(user)) for user in typical_users(model, N_PROFILES)]


def typical_users(model: Model, n: int) -> list[str]:
    """One exemplar of each of the largest segments, then users of middle activity, then any."""
    chosen: list[str] = []
    for row in segments_table(model).sort("n_users", descending=True, maintain_order=True).to_dicts():
        chosen += row["exemplars"][:1]
    events = model.profiles.of_level(1).group_by("user_row").agg(pl.col("n_events").sum()).sort("n_events", "user_row")
    middle = events["user_row"].to_list()[events.height // 2 :]
    chosen += [model.user_ids[row] for row in middle[:n]] + model.user_ids.head(n).to_list()
    return list(dict.fromkeys(chosen))[:n]


def _profile(model: Model, found: UserProfile) -> dict[str, Any]:
    limits = {"core": 6, "secondary": 8, "peripheral": 10}
    points = [p for layer, most in limits.items() for p in getattr(found, layer)[:most]]
    arcs = [Arc(p.layer, p.probability, p.interest, f"{p.probability:.0%}, {p.n_events} events") for p in points]
    numbers: dict[str, int] = {}
    rows = []
    for p in points:
        numbers[p.layer] = numbers.get(p.layer, 0) + 1
        rows.append({"number": numbers[p.layer], **vars(p), "evidence": [title for _, title in p.evidence]})
    hidden = len(found.points) - len(points)
    return {
        "user_id": found.user_id,
        "segment": found.segment,
        "rings": draw_rings(arcs, found.user_id, found.user_id),
        "points": rows,
        "n_hidden": hidden,
    }


def collect_segments(model: Model) -> list[dict[str, Any]]:
    """Segments with the interests that set them apart, as name and lift."""
    rows = segments_table(model).to_dicts()
    for row in rows:
        row["apart"] = list(zip(row["top_interests"], row["lift"], strict=False))[:6]
    return rows


def collect_recommendations(model: Model, language: Language) -> list[dict[str, Any]]:
    """Lists of a few typical users."""
    titles = dict(zip(model.items.item_ids.to_list(), model.items.titles, strict=True))
    users = typical_users(model, N_LISTS)
    table = model.recommend(users, k=8, language=language)
    names = dict(zip(model.tree.nodes["interest_id"].to_list(), model.tree.nodes["name"].to_list(), strict=True))
    out = []
    for user in users:
        rows = table.filter(pl.col("user_id") == user).to_dicts()
        for row in rows:
            row["title"] = titles[row["item_id"]]
            row["interest"] = names.get(row["interest_id"], "")
        out.append({"user_id": user, "rows": rows})
    return out


def collect_facts(model: Model) -> dict[str, Any]:
    """The first section: sizes, span, encoder, dirt."""
    facts: Mapping[str, Any] = model.facts
    return {
        "n_events": facts["n_events"],
        "n_users": facts["n_users"],
        "n_items": facts["n_items"],
        "n_interests": model.tree.n_leaves,
        "n_segments": model.segments.table.height,
        "encoder": facts["encoder"],
        "timed": model.clock == "time",
        "until": as_date(model.profiles.at) if model.clock == "time" else None,
        "findings": model.findings,
        "tree_version": model.tree.version,
        "data_fingerprint": facts["data_fingerprint"],
    }
