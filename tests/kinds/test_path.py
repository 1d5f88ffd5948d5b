"""Ordered paths: what an item requires comes before it, levels rise, never more than k; told where that can't be."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from penchant.data import Items
from penchant.errors import ConfigError, DataError
from penchant.kinds.path import choose_steps, in_order, missing_before, read_levels, read_requires
from penchant.model import Model
from tests.recommend.conftest import N_ITEMS

from .conftest import with_columns

NOTHING = np.zeros(8, np.bool_)


def needs_of(n: int, pairs: list[tuple[int, int]]) -> sp.csr_array:
    """(n, n) from pairs (item, what it requires)."""
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    return sp.csr_array((np.ones(len(pairs), np.float32), (rows, columns)), shape=(n, n))


def path(needs: sp.csr_array, goals: list[int], k: int, levels: list[float] | None = None) -> list[int]:
    best = np.array(goals, np.int32)
    chosen = choose_steps(best, missing_before(needs, best, NOTHING[: needs.shape[0]]), needs, k, None)
    return in_order(chosen, needs, None if levels is None else np.array(levels, np.float32))


CHAIN = needs_of(8, [(2, 1), (1, 0), (5, 4), (6, 4)])  # 2 requires 1 requires 0; 5 and 6 require 4


@pytest.mark.parametrize(
    ("goals", "k", "wanted"),
    [
        ([2, 3], 4, [0, 1, 2, 3]),
        ([3, 2], 4, [3, 0, 1, 2]),
        ([2, 3], 3, [0, 1, 2]),
        ([2, 3], 2, [3, 0]),  # the chain of 2 is too long: 3, then the first step towards 2
        ([2], 2, [0, 1]),
        ([2], 1, [0]),
        ([5, 6, 7], 3, [4, 5, 6]),  # what both require is taken once
        ([1, 2, 0], 8, [0, 1, 2]),
        ([4, 5], 8, [4, 5]),
        ([], 3, []),
    ],
)
def test_a_path_by_hand(goals: list[int], k: int, wanted: list[int]) -> None:
    assert path(CHAIN, goals, k) == wanted


def test_levels_rise_and_an_item_counts_at_least_the_level_of_what_it_requires() -> None:
    nan = float("nan")
    assert path(needs_of(4, []), [0, 1, 2, 3], 4, [3, 1, 2, 1]) == [1, 3, 2, 0]
    # 0 says level 1, but requires 2 of level 2: it comes after the others of level 1
    assert path(needs_of(4, [(0, 2)]), [0, 1, 3], 4, [1, 1, 2, 1]) == [1, 3, 2, 0]
    assert path(needs_of(3, [(0, 1)]), [0, 2], 3, [nan, 2, 1]) == [2, 1, 0]  # no level of its own


@given(st.data())
def test_any_path_can_be_taken(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 8))
    below = st.integers(0, n - 1)
    pairs = sorted({(a, b) for a, b in data.draw(st.lists(st.tuples(below, below), max_size=14)) if a > b})
    needs, k = needs_of(n, pairs), data.draw(st.integers(1, n + 1))
    goals = data.draw(st.permutations(range(n)))[: data.draw(st.integers(0, n))]
    levels = data.draw(st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=n, max_size=n))
    steps = path(needs, goals, k, levels)
    assert len(steps) == len(set(steps)) <= k
    assert len(steps) == min(k, n) or len(goals) < n
    place = {item: i for i, item in enumerate(steps)}
    effective: dict[int, float] = {}
    for item in steps:
        before = [b for a, b in pairs if a == item]
        assert all(place[b] < place[item] for b in before)
        effective[item] = max([levels[item], *(effective[b] for b in before)])
    assert list(effective.values()) == sorted(effective.values())


def requires(column: dict[int, Any]) -> pl.Series:
    return pl.Series("requires", [column.get(i) for i in range(N_ITEMS)])


def test_a_model_lists_what_comes_before_and_says_what_for(small: Model) -> None:
    first = small.recommend(["u1"], k=100)["item_id"][0]
    seen = small.recommender.past.touched.toarray()[1] > 0
    new, other = np.flatnonzero(~seen & (np.arange(N_ITEMS) != int(first[1:])))[:2].tolist()
    done = int(np.flatnonzero(seen)[0])
    course = with_columns(small, requires=requires({int(first[1:]): f"i{new}|i{done}", done: f"i{other}"}))
    table = course.path("u1", k=4)
    assert table.columns == ("user_id item_id title rank level needed_for score interest_id layer reason".split())
    assert table["item_id"].head(2).to_list() == [f"i{new}", first]  # the one taken is not listed
    assert table["needed_for"].to_list() == [first, None, None, None]
    assert table["reason"][0] == f"Needed before “Title {first[1:]}”"
    assert course.path("u1", k=4, language="zh")["reason"][0] == f"学习“Title {first[1:]}”之前需要"
    assert table["rank"].to_list() == [1, 2, 3, 4]
    assert table["level"].null_count() == 4
    assert table["interest_id"].null_count() == 0


def test_filters_hold_for_prerequisites_too(small: Model) -> None:
    first = small.recommend(["u1"], k=100)["item_id"][0]
    new = "i44" if first != "i44" else "i43"
    course = with_columns(small, requires=requires({int(first[1:]): new}))
    assert first in course.path("u1", k=5)["item_id"]
    assert first not in course.path("u1", k=5, without=[new])["item_id"]


def test_levels_alone_order_the_list(small: Model) -> None:
    course = with_columns(small, level=pl.Series([3 - i % 3 for i in range(N_ITEMS)]))
    table = course.path("u1", k=6)
    assert table["level"].is_sorted()
    assert table["needed_for"].null_count() == 6
    assert set(table["item_id"]) == set(course.recommend(["u1"], k=100)["item_id"].head(6))


def test_an_unknown_user_has_taken_nothing(small: Model) -> None:
    first = small.recommend(["nobody"], k=1)["item_id"][0]
    course = with_columns(small, requires=requires({int(first[1:]): ["i44"]}))
    assert course.path("nobody", k=2)["item_id"].to_list() == ["i44", first]


@pytest.mark.parametrize("written", [["a", "b"], "a|b", " a | b ", json.dumps(["a", "b"])])
def test_prerequisites_are_lists_or_texts(written: Any) -> None:
    table = pl.DataFrame({"item_id": ["a", "b", "c"], "title": "", "text": "", "categories": [[], [], []]})
    column = pl.Series("requires", [None, None, written])
    needs = read_requires(Items(table.with_columns(column)))
    assert needs is not None
    assert needs.toarray().tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]


def test_prerequisites_of_numbered_items_are_read_from_a_column_of_numbers() -> None:
    table = pl.DataFrame({"item_id": ["7", "8"], "title": "", "text": "", "categories": [[], []]})
    for kind in (pl.Int64, pl.Float64):
        needs = read_requires(Items(table.with_columns(pl.Series("requires", [None, 7], dtype=kind))))
        assert needs is not None
        assert needs.toarray().tolist() == [[0, 0], [1, 0]]
    assert read_requires(Items(table)) is None
    assert read_levels(Items(table)) is None


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "needs a column 'requires'.*or 'level'"),
        ({"requires": requires({1: "i2", 2: "i1"})}, r"circle: 'i(1' -> 'i2|2' -> 'i1)' -> 'i[12]'.*take one"),
        ({"requires": requires({3: "i3"})}, "circle: 'i3' -> 'i3'"),
        ({"requires": requires({3: "i3000", 4: "i1"})}, r"1 entries name items .*\('i3' requires 'i3000'\)"),
        ({"level": pl.lit("hard")}, "'level' must hold numbers. Got String"),
    ],
)
def test_a_catalogue_that_makes_no_path_is_told(small: Model, columns: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        with_columns(small, **columns).path("u1")


def test_a_path_of_nothing_is_refused(small: Model) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        small.path("u1", k=0)
