"""What brought an item into a list, as shares of its score: interests, what is taken together, popularity, ..."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from penchant.data import FloatArray, IntArray
from penchant.recommend.candidates import USER_FEATURES, Candidates
from penchant.recommend.rank import Ranker, Single, part_names
from penchant.recommend.signals import ITEM_FEATURES

# Signals of one kind say nearly the same, and which of them a learned ranker leans on is arbitrary: they are told
# together. A kind is the start of the names of its signals.
KINDS = {
    "interests": ("interest",),
    "together": ("ease", "item_knn"),
    "factors": ("als", "segment"),
    "texts": ("text",),
    "popularity": ("popular",),
    "item": ITEM_FEATURES,
    "user": USER_FEATURES,
    "attributes": ("attributes", "price"),
    "repeats": ("repeat",),
    "sequence": ("network",),
}
COLUMNS = tuple(f"why_{kind}" for kind in KINDS)

TOLD, LEAST_TOLD = 3, 0.095  # kinds in words, and the least share of one (a tenth, rounded)
_WORDS = {
    "en": {
        "interests": "your interests",
        "together": "chosen together",
        "factors": "people like you",
        "texts": "texts",
        "popularity": "popularity",
        "item": "age and trend",
        "user": "your activity",
        "attributes": "price and attributes",
        "repeats": "your repeats",
        "sequence": "your latest steps",
        "join": ", ",
    },
    "zh": {
        "interests": "您的兴趣",
        "together": "常被一起选择",
        "factors": "与您相似的人",
        "texts": "文本相近",
        "popularity": "热度",
        "item": "新旧与走势",
        "user": "您的活跃度",
        "attributes": "价格与属性",
        "repeats": "您的复购",
        "sequence": "您最近的行为顺序",
        "join": "，",
    },
}


def contributions(
    ranker: Ranker, signal_names: tuple[str, ...], candidates: Candidates, columns: IntArray
) -> FloatArray:
    """Shares of what speaks for and against some candidates.

    Args:
        columns: (n, k) which candidates of each row.
    Returns:
        (n, k, 9) in the order of `COLUMNS`. Absolute values sum to 1; below zero is what speaks against the item, as
        against the usual candidate. All zero where nothing speaks.
    """
    names = part_names(signal_names)
    if isinstance(ranker, Single):  # all there is; its candidates come without features
        parts = np.zeros((*columns.shape, len(names)), np.float32)
        parts[:, :, signal_names.index(ranker.name)] = 1
    else:
        parts = ranker.parts(candidates, columns)
    kind_of = np.array([[name.startswith(starts) for starts in KINDS.values()] for name in names], np.float32)
    told = parts @ kind_of
    total = np.abs(told).sum(axis=2, keepdims=True)
    return np.asarray(np.divide(told, total, out=np.zeros_like(told), where=total > 0), np.float32)


def in_words(shares: pl.DataFrame, language: Literal["en", "zh"] = "en") -> list[str]:
    """The kinds that speak most for each item, at most three of at least a tenth.

    Args:
        shares: a table with `COLUMNS`; null where no signal brought the item.

    >>> in_words(pl.DataFrame({c: [0.25 if c == "why_texts" else -0.15 if c == "why_item" else 0.1] for c in COLUMNS}))
    ['texts 25 %, your interests 10 %, chosen together 10 %']
    """
    words = _WORDS[language]
    values = shares.select(pl.col(COLUMNS).fill_null(0.0)).to_numpy()
    order = np.argsort(-values, axis=1, kind="stable")[:, :TOLD]
    top = np.take_along_axis(values, order, axis=1)
    names = [words[kind] for kind in KINDS]
    return [
        words["join"].join(f"{names[i]} {100 * v:.0f} %" for i, v in zip(*row, strict=True) if v >= LEAST_TOLD)
        for row in zip(order.tolist(), top.tolist(), strict=True)
    ]
