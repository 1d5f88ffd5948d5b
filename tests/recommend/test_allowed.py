"""Lists of allowed items only, filled as far as there are items."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from penchant.data import Items
from penchant.errors import ConfigError, DataError
from penchant.filters import ItemFilter
from penchant.recommend import Recommender

from .conftest import N_ITEMS, N_USERS, Market

USERS = np.arange(N_USERS + 1, dtype=np.int32)
CATALOGUE = Items(
    pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "title": ["A", "B", "C", None],
            "text": [None] * 4,
            "categories": [["Drama"], ["Comedy", "Drama"], [], ["War"]],
            "price": [5, 20, None, 40],
            "brand": ["x", "y", None, "x"],
            "is_new": [True, False, None, True],
            "since": ["2026-01-01", "2026-05-01", None, "2026-11-22"],
        },
        schema_overrides={"text": pl.String, "categories": pl.List(pl.String)},
    ).with_columns(pl.col("since").str.to_date())
)


@pytest.mark.parametrize("n", [3, 9])
def test_lists_hold_allowed_items_and_are_full(fitted: Recommender, market: Market, n: int) -> None:
    allowed = np.zeros(N_ITEMS, np.bool_)
    allowed[np.arange(N_ITEMS - 1 - n, N_ITEMS - 1)] = True
    table = fitted.recommend(USERS, market.profiles, k=4, allowed=allowed).table
    assert allowed[table["item_row"].to_numpy()].all()
    touched = fitted.past.touched.toarray()[:, allowed].sum(axis=1)
    expected = np.minimum(4, n - touched)
    counts = np.bincount(table["user_row"].to_numpy(), minlength=N_USERS + 1)
    assert counts.tolist() == expected.tolist()
    again = fitted.recommend(USERS, market.profiles, k=4, allowed=np.ones(N_ITEMS, np.bool_)).table
    assert again.equals(fitted.recommend(USERS, market.profiles, k=4).table)
    new = fitted.recommend_from_items(np.array([2], np.int32), np.ones(1, np.float32), k=3, allowed=allowed).table
    assert allowed[new["item_row"].to_numpy()].all()
    assert allowed[fitted.popular(2, allowed=allowed).table["item_row"].to_numpy()].all()


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("categories=Drama", "ab"),
        ("categories = War | Comedy", "bd"),
        ("categories!=Drama", "cd"),
        ("price<20", "a"),
        ("price<=20", "ab"),
        ("price >= 20.0", "bd"),
        ("price=5|40", "ad"),
        ("price!=5", "bcd"),
        ("brand=x", "ad"),
        ("brand!=x", "bc"),
        ("is_new=True", "ad"),
        ("since>2026-01-01", "bd"),
        ("since<=2026-05-01", "ab"),
        ("item_id=c", "c"),
    ],
)
def test_conditions(condition: str, left: str) -> None:
    kept = ItemFilter(where=[condition]).allowed(CATALOGUE)
    assert kept is not None
    assert "".join(CATALOGUE.item_ids.filter(pl.Series(kept))) == left


def test_all_parts_of_a_filter_hold_together() -> None:
    kept = ItemFilter(only=["a", "b", "d"], without=["a", "unknown"], where=["price>1", "brand=x"]).allowed(CATALOGUE)
    assert kept is not None
    assert kept.tolist() == [False, False, False, True]
    assert ItemFilter().allowed(CATALOGUE) is None


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (ItemFilter(where=["cheap"]), ConfigError, "price<20"),
        (ItemFilter(where=["prize<20"]), ConfigError, "did you mean 'price'"),
        (ItemFilter(where=["price<low"]), ConfigError, "'low' is not a number"),
        (ItemFilter(where=["price=low"]), ConfigError, "'low' is not a number"),
        (ItemFilter(where=["categories<Drama"]), ConfigError, "has no order"),
        (ItemFilter(where=["brand>x"]), ConfigError, "no order here"),
        (ItemFilter(where=["price>50"]), DataError, r"no item of the 4 in this model is left by 'price>50'"),
        (ItemFilter(only=["a", "q"]), DataError, r"1 of 2 items are not in this model \('q'\)"),
        (ItemFilter(without=list("abcd")), DataError, "4 items left out"),
    ],
)
def test_what_can_not_be_asked_is_told(asked: ItemFilter, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        asked.allowed(CATALOGUE)
