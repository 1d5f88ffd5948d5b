"""Why an item is in a list: the past items it is near to, the interest it serves, and both in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.data import LAYERS, FloatArray, IntArray, InterestTree, Items, Recommendations
from penchant.errors import ConfigError
from penchant.recommend.past import Past
from penchant.recommend.repeats import REPEAT

MAX_PAST = 50  # the most recent items that may serve as evidence
MIN_COSINE = 0.1  # below, a past item is no reason
PAIRS = 200_000  # rows of vectors compared at once

_WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "layer": {"core": "core interest", "secondary": "interest", "peripheral": "occasional interest"},
        "interest": "Because of your {layer} “{name}”",
        "evidence": "you chose {items}",
        "near": "Because you chose {items}",
        "new": "Something near your interests: “{name}”",
        "popular": "Popular right now",
        "again": "You chose it before",
        "alike": "Chosen by people with a similar history",
        "join": " – ",
        "and": " and ",
    },
    "zh": {
        "layer": {"core": "核心兴趣", "secondary": "次要兴趣", "peripheral": "边缘兴趣"},
        "interest": "因为您的{layer}“{name}”",
        "evidence": "您选过{items}",
        "near": "因为您选过{items}",
        "new": "与您的兴趣相近：“{name}”",
        "popular": "近期热门",
        "again": "您以前选过",
        "alike": "与您经历相似的人也选了",
        "join": "——",
        "and": "和",
    },
}


def explain(
    recommendations: Recommendations, items: Items, tree: InterestTree, language: Literal["en", "zh"] = "en"
) -> list[str]:
    """Say in words why each item is in its list.

    Returns:
        One reason a row, in the order of the table.
    Raises:
        ConfigError: an unknown language.
    """
    if language not in _WORDS:
        raise ConfigError(f"explain: language must be one of {', '.join(_WORDS)}. Got {language!r} instead")
    words = _WORDS[language]
    titles = items.titles
    names = tree.nodes["name"].to_list()
    table = recommendations.table.select("interest_row", "layer", "source", "evidence")
    return [_reason(words, titles, names, *row) for row in table.iter_rows()]


def _reason(
    words: Mapping[str, Any],
    titles: list[str],
    names: list[str],
    interest: int,
    layer: int,
    source: str,
    evidence: list[int],
) -> str:
    if source in REPEAT:
        return str(words["again"])
    shown = [f"“{titles[i]}”" for i in evidence[:2]]
    joined = words["and"].join(shown)
    if interest >= 0 and layer >= 0:
        said = str(words["interest"].format(layer=words["layer"][LAYERS[layer]], name=names[interest]))
        return f"{said}{words['join']}{words['evidence'].format(items=joined)}" if shown else said
    if shown:
        return str(words["near"].format(items=joined))
    if source.startswith("popular"):
        return str(words["popular"])
    return str(words["new"].format(name=names[interest]) if interest >= 0 else words["alike"])


def find_evidence(past: Past, list_of: npt.NDArray[Any], item_rows: IntArray, vectors: FloatArray, n: int) -> pl.Series:
    """Past items nearest to each recommended item in the fused space, nearest first.

    Args:
        list_of: (m,) row of `past` each item was recommended to. item_rows: (m,) recommended items.
        vectors: (n_items, d) unit rows. n: at most this many.
    Returns:
        (m,) list[i32] of item rows; only cosines of at least MIN_COSINE. Cost: m x MAX_PAST dot products.
    """
    keep = _most_recent(past)
    owner = np.repeat(np.arange(past.n_users), np.diff(past.indptr))[keep]
    recent = past.indices[keep]
    start = np.searchsorted(owner, np.arange(past.n_users + 1))
    size = (start[1:] - start[:-1])[list_of]
    bounds = np.r_[0, np.cumsum(size)]
    found: list[IntArray] = []
    count = np.zeros(len(list_of), np.int64)
    begin = 0
    while begin < len(list_of):
        end = max(begin + 1, int(np.searchsorted(bounds, bounds[begin] + PAIRS, side="right")) - 1)
        row, near = _nearest(list_of[begin:end], item_rows[begin:end], start, size[begin:end], recent, vectors, n)
        count[begin:end] = np.bincount(row, minlength=end - begin)
        found.append(near)
        begin = end
    return list_series(np.concatenate([np.zeros(0, np.int32), *found]), count)


def list_series(values: IntArray, sizes: npt.NDArray[np.int64]) -> pl.Series:
    """Lists of i32 of the given sizes, one after the other.

    >>> list_series(np.array([5, 6, 7], np.int32), np.array([2, 0, 1])).to_list()
    [[5, 6], [], [7]]
    """
    import pyarrow as pa

    lists = pa.LargeListArray.from_arrays(np.r_[0, np.cumsum(sizes)].astype(np.int64), values.astype(np.int32))
    return pl.Series(lists, dtype=pl.List(pl.Int32))


def _nearest(
    list_of: npt.NDArray[Any],
    item_rows: IntArray,
    start: npt.NDArray[np.int64],
    size: npt.NDArray[np.int64],
    recent: IntArray,
    vectors: FloatArray,
    n: int,
) -> tuple[IntArray, IntArray]:
    """Rows of `list_of`, rising, and the past items that are near to them."""
    first = np.repeat(np.cumsum(size) - size, size)
    entry = np.repeat(start[list_of], size) + np.arange(int(size.sum())) - first
    row = np.repeat(np.arange(len(list_of)), size)
    past_item = recent[entry]
    target = np.repeat(item_rows, size)
    cosine = np.einsum("md,md->m", vectors[past_item], vectors[target])
    good = (cosine >= MIN_COSINE) & (past_item != target)
    row, past_item, cosine = row[good], past_item[good], cosine[good]
    order = np.lexsort((past_item, -cosine, row))
    row, past_item = row[order], past_item[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    return row[place < n], past_item[place < n]


def _most_recent(past: Past) -> npt.NDArray[np.bool_]:
    """(entries,) whether an entry is among the MAX_PAST latest of its user."""
    owner = np.repeat(np.arange(past.n_users), past.n_liked)
    order = np.lexsort((past.own_age, owner))
    place = np.empty(len(owner), np.int64)
    place[order] = np.arange(len(owner)) - past.indptr[:-1][owner[order]]
    return place < MAX_PAST


def attribute(
    user_rows: IntArray, item_rows: IntArray, membership: sp.csr_array, points: pl.DataFrame | None
) -> tuple[IntArray, npt.NDArray[np.int8]]:
    """The leaf that ties each item to its user: highest membership x forecast, and that point's layer.

    Args:
        user_rows, item_rows: (m,) pairs.
        points: leaf points with user_row, interest_row, probability, layer; None for somebody without a profile.
    Returns:
        leaf (m,) int32 and layer (m,) int8. Without a point in any of the item's leaves: its strongest leaf and -1;
        an item without a leaf: -1 and -1.
    """
    part = membership[item_rows].tocoo()
    order = np.lexsort((part.col, part.row))
    pairs = pl.DataFrame(
        {
            "pair": part.row[order].astype(np.int64),
            "user_row": user_rows[part.row[order]].astype(np.int32),
            "interest_row": part.col[order].astype(np.int32),
            "membership": part.data[order].astype(np.float32),
        }
    )
    if points is None:
        pairs = pairs.with_columns(pl.lit(0.0, pl.Float32).alias("probability"), pl.lit(-1, pl.Int8).alias("layer"))
    else:
        right = points.select("user_row", "interest_row", "probability", "layer")
        pairs = pairs.join(right, on=["user_row", "interest_row"], how="left", maintain_order="left").with_columns(
            pl.col("probability").fill_null(0.0), pl.col("layer").fill_null(-1)
        )
    best = (
        pairs.with_columns((pl.col("membership") * pl.col("probability")).alias("tie"))
        .sort("pair", "tie", "membership", "interest_row", descending=[False, True, True, False], maintain_order=True)
        .unique("pair", keep="first", maintain_order=True)
    )
    leaf = np.full(len(item_rows), -1, np.int32)
    layer = np.full(len(item_rows), -1, np.int8)
    leaf[best["pair"].to_numpy()] = best["interest_row"].to_numpy()
    layer[best["pair"].to_numpy()] = best["layer"].to_numpy()
    return leaf, layer
