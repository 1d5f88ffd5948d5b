"""Items like an item, and one list for a segment: against sums by hand, in any order, in any batch."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from penchant.data import Segments
from penchant.errors import ConfigError, DataError, NotFoundError
from penchant.kinds import for_segment
from penchant.model import Model
from tests.recommend.conftest import NEW_ITEM

from .conftest import with_columns

NEW = f"i{NEW_ITEM}"


def test_similar_items_are_of_the_same_group_with_their_titles(small: Model) -> None:
    table = small.similar_items(["i0", "i4"], k=5)
    assert table.columns == ["item_id", "similar_id", "title", "rank", "score"]
    assert table["item_id"].to_list() == ["i0"] * 5 + ["i4"] * 5
    assert table["rank"].to_list() == [1, 2, 3, 4, 5] * 2
    for item, similar, title in table.select("item_id", "similar_id", "title").rows():
        assert int(item[1:]) % 3 == int(similar[1:]) % 3
        assert item != similar
        assert title == f"Title {similar[1:]}"


def test_an_item_with_only_a_text_finds_and_is_found_by_half_its_cosine(small: Model) -> None:
    vectors = small.space.fused.values
    cosines = vectors @ vectors[NEW_ITEM]
    cosines[NEW_ITEM] = -1
    table = small.similar_items([NEW], k=3)
    best = np.argsort(-cosines, kind="stable")[:3]
    assert table["similar_id"].to_list() == [f"i{i}" for i in best]
    assert table["score"].to_list() == pytest.approx((0.5 * cosines[best]).tolist(), abs=1e-6)
    every = small.similar_items([f"i{best[0]}"], k=44)
    assert NEW in every["similar_id"].to_list()


def test_similar_items_do_not_depend_on_what_else_is_asked(small: Model) -> None:
    both = small.similar_items(["i7", "i3", "i7"], k=4)
    assert both["item_id"].unique(maintain_order=True).to_list() == ["i7", "i3"]
    for item in ("i3", "i7"):
        alone = small.similar_items([item], k=4)
        assert_frame_equal(both.filter(pl.col("item_id") == item), alone)


def test_similar_items_take_filters(small: Model) -> None:
    priced = with_columns(small, price=pl.int_range(pl.len()))
    table = priced.similar_items(["i0"], k=50, where=["price<10"], without=["i3"])
    assert table.height
    assert set(table["similar_id"]) <= {f"i{i}" for i in range(1, 10)} - {"i3"}


@pytest.mark.parametrize(
    ("asked", "k", "error", "said"),
    [
        (["i0", "nothing"], 3, NotFoundError, "item 'nothing' is not in this model"),
        (["i0"], 0, ConfigError, "at least 1"),
        ("i0", 3, ConfigError, r"must be a list. Got the one text 'i0'"),
    ],
)
def test_wrong_questions_for_similar_items(
    small: Model, asked: list[str], k: int, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        small.similar_items(asked, k)


def test_a_segments_list_is_the_vote_of_its_members_lists(small: Model) -> None:
    members = [u for u, s in zip(small.user_ids, small.segments.segment_row, strict=True) if s == 1]
    votes: defaultdict[str, float] = defaultdict(float)
    lists: Counter[str] = Counter()
    for item, rank in small.recommend(members, k=20).select("item_id", "rank").rows():
        votes[item] += 11 / (10 + rank)
        lists[item] += 1
    wanted = sorted(votes, key=lambda i: (-votes[i], int(i[1:])))[:6]
    table = small.recommend_for_segment("Boat people", k=6)
    assert table["item_id"].to_list() == wanted
    assert table["rank"].to_list() == [1, 2, 3, 4, 5, 6]
    assert table["score"].to_list() == pytest.approx([votes[i] / len(members) for i in wanted])
    assert table["member_share"].to_list() == pytest.approx([lists[i] / len(members) for i in wanted])
    assert table["interest"].to_list() == [("Apples", "Boats", "Cats")[int(i[1:]) % 3] for i in wanted]
    assert_frame_equal(table, small.recommend_for_segment("s2", k=6))
    assert_frame_equal(table.head(3), small.recommend_for_segment("s2", k=3))


def test_a_segments_list_is_the_same_in_any_batch(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small.recommend_for_segment("s1", k=8)
    monkeypatch.setattr(for_segment, "BATCH_USERS", 3)
    assert_frame_equal(small.recommend_for_segment("s1", k=8), whole)


def test_a_segments_list_takes_filters(small: Model) -> None:
    only = ["i1", "i2", "i4"]
    table = small.recommend_for_segment("s1", k=8, only=only, without=["i2"])
    assert set(table["item_id"]) <= {"i1", "i4"}


def test_a_segment_of_nobody_has_an_empty_list(small: Model) -> None:
    names = pl.DataFrame({"segment_id": ["s1", "s2", "s3", "s4"], "name": ["a", "b", "c", "d"]})
    empty = replace(small, segments=Segments(small.segments.segment_row, names, small.segments.centroids))
    table = empty.recommend_for_segment("s4")
    assert table.is_empty()
    assert table.schema == small.recommend_for_segment("s1").schema


def test_wrong_questions_for_a_segment(small: Model) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'Boat people'"):
        small.recommend_for_segment("Boats people")
    with pytest.raises(ConfigError, match="at least 1"):
        small.recommend_for_segment("s1", k=0)
    with pytest.raises(DataError, match="no item of the 45"):
        small.recommend_for_segment("s1", where=["item_id=none"])
