"""Items like an item: what is taken together with it, and what is alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from penchant.data import BoolArray
from penchant.tables import gather

if TYPE_CHECKING:
    from penchant.model import Model


def similar_items(model: Model, item_ids: Sequence[str], k: int, allowed: BoolArray | None) -> pl.DataFrame:
    """The k items most like each given one; see `recommend.cold.similar_items` for the rule.

    Args:
        item_ids: different items; one that nobody took is compared by its vector alone, and may be found so.
        allowed: (n_items,) what may be listed; None = all.
    Returns:
        item_id, similar_id, title, rank (from 1), score; only scores above zero.
    """
    rows = model.item_rows(list(dict.fromkeys(item_ids)))
    found = model.recommender.similar_items(rows, k, allowed=allowed)
    ids = model.items.item_ids
    return found.select(
        gather(ids, found["item_row"]).alias("item_id"),
        gather(ids, found["similar_row"]).alias("similar_id"),
        gather(pl.Series(model.items.titles, dtype=pl.String), found["similar_row"]).alias("title"),
        "rank",
        "score",
    )
