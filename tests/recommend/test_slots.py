"""Slots: quotas, filling, and lists of the whole recommender with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from penchant.artefacts import load_folder, save_folder
from penchant.config import build_config
from penchant.data import Profiles
from penchant.errors import ConfigError
from penchant.recommend import Recommender
from penchant.recommend.graduation import Graduation, graduation
from penchant.recommend.places import Places
from penchant.recommend.slots import fill, proposals, quotas

from .conftest import N_GROUPS, N_USERS, NEW_ITEM, Market, fit_market

ALL = np.arange(N_USERS + 1, dtype=np.int32)
SHARES = (0.6, 0.25, 0.1, 0.05)


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda x: sum(x) > 0.01),
    st.integers(1, 50),
    st.integers(0, 10**6),
    st.integers(0, 10**4),
)
def test_quotas_add_up_and_stand_next_to_their_shares(parts: list[float], k: int, user: int, turn: int) -> None:
    shares = tuple(p / sum(parts) for p in parts)
    found = quotas(shares, k, np.array([user]), np.array([turn]))[0]
    assert found.sum() == k
    assert (np.abs(found - np.array(shares) * k) < 1 + 1e-6).all()


def test_over_users_and_turns_quotas_are_the_shares() -> None:
    users, turns = np.repeat(np.arange(100), 100), np.tile(np.arange(100), 100)
    found = quotas(SHARES, 10, users, turns)
    np.testing.assert_allclose(found.mean(axis=0), [6, 2.5, 1, 0.5], atol=0.01)
    by_user = found[:, 3].reshape(100, 100).mean(axis=1)
    assert by_user.min() > 0.4  # everybody explores sooner or later
    assert found.min() >= 0


def places(items: list[list[int]]) -> Places:
    rows = np.array(items, np.int32)
    columns = np.where(rows >= 0, np.arange(rows.shape[1]), -1).astype(np.int32)
    return Places(rows, columns, -columns.astype(np.float32), np.full(rows.shape, -1, np.int32))


def new(items: list[list[int]]) -> Places:
    rows = np.array(items, np.int32)
    none = np.full(rows.shape, -1, np.int32)
    return Places(rows, none, np.full(rows.shape, 0.5, np.float32), np.where(rows >= 0, 7, -1).astype(np.int32))


def test_filling_by_hand() -> None:
    """Two places core, one each secondary, peripheral, new; the second user has no peripheral interest and no news."""
    ranked = places([[10, 11, 12, 13, 14, 15, 16], [10, 11, 12, 13, 14, 15, 16]])
    layer = np.array([[0, 0, 0, 1, 1, -1, 2], [0, 0, 0, 1, 1, -1, -1]], np.int8)
    quota = np.array([[2, 1, 1, 1], [2, 1, 1, 1]])
    out = fill(ranked, layer, new([[99], [-1]]), quota, 5)
    assert out.items.tolist() == [[10, 11, 13, 16, 99], [10, 11, 12, 13, 14]]
    assert out.columns.tolist() == [[0, 1, 3, 6, -1], [0, 1, 2, 3, 4]]
    assert out.leaf.tolist() == [[-1, -1, -1, -1, 7], [-1] * 5]


def test_an_item_that_is_new_and_ranked_is_listed_once() -> None:
    out = fill(places([[10, 11, 12]]), np.zeros((1, 3), np.int8), new([[10]]), np.array([[2, 0, 0, 1]]), 3)
    assert out.items.tolist() == [[11, 12, 10]]


def test_a_short_list_stays_short() -> None:
    out = fill(places([[10, -1]]), np.full((1, 2), -1, np.int8), new([[11]]), np.array([[3, 0, 0, 1]]), 4)
    assert out.items.tolist() == [[10, 11, -1]]


def test_proposals_by_hand() -> None:
    """Leaf 1 is likeliest but all its items are closed; item 4 of leaf 2 was shown and left alone."""
    leaf_of_item = np.array([0, 1, 1, 2, 2], np.int32)
    closed = sp.csr_array(np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32))
    ignored = sp.csr_array(np.array([[0, 0, 0, 0, 2], [0, 0, 0, 0, 0]], np.float32))
    chances = np.array([[0.1, 0.5, 0.3], [0.0, 0.5, 0.3]], np.float32)
    popularity = np.array([1, 1, 2, 3, 9], np.float32)
    out = proposals(chances, leaf_of_item, popularity, closed, ignored, np.array([1, 2]))
    assert out.items.tolist() == [[3, -1], [2, 4]]
    assert out.leaf.tolist() == [[2, -1], [1, 2]]
    np.testing.assert_allclose(out.score, [[0.3, 0], [0.5, 0.3]])


@pytest.fixture(scope="module")
def slotted(market: Market) -> Recommender:
    return fit_market(market, method="sum_z", slots=(0.5, 0.0, 0.0, 0.5))


def test_lists_are_full_and_hold_no_item_twice(slotted: Recommender, market: Market) -> None:
    table = slotted.recommend(ALL, market.profiles, k=6).table
    assert table.select("user_row", "item_row").is_duplicated().sum() == 0
    assert table.group_by("user_row").len()["len"].to_list() == [6] * len(ALL)
    touched = slotted.past.touched.toarray()
    assert not touched[table["user_row"].to_numpy(), table["item_row"].to_numpy()].any()
    for _, rows in table.group_by("user_row", maintain_order=True):
        assert rows["rank"].to_list() == [1, 2, 3, 4, 5, 6]


def test_new_interests_come_last_without_a_layer(slotted: Recommender, market: Market) -> None:
    table = slotted.recommend(ALL, market.profiles, k=6).table
    explored = table.filter(pl.col("source") == "exploration")
    assert explored.height > 0
    assert explored["layer"].unique().to_list() == [-1]
    assert set(explored["evidence"].list.len().to_list()) == {0}
    touched = slotted.transitions.touched.toarray()
    assert not touched[explored["user_row"].to_numpy(), explored["interest_row"].to_numpy()].any()
    assert (explored["item_row"] % N_GROUPS == explored["interest_row"]).all()
    assert NEW_ITEM not in explored["item_row"].to_list()  # nobody has liked it: nothing speaks for it
    first = table.filter(pl.col("source") != "exploration").group_by("user_row").agg(pl.col("rank").max())
    last = explored.group_by("user_row").agg(pl.col("rank").min().alias("new"))
    assert last.join(first, on="user_row").select((pl.col("new") > pl.col("rank")).all()).item()


def test_all_places_by_layer_are_those_by_rank_when_one_layer_is_all(market: Market) -> None:
    """Core has every place and every candidate: nothing changes."""
    everything = market.profiles.points.clear().vstack(
        pl.DataFrame(
            {
                "user_row": np.repeat(ALL, N_GROUPS),
                "interest_row": np.tile(np.arange(N_GROUPS, dtype=np.int32), len(ALL)),
                "level": np.full(len(ALL) * N_GROUPS, 2, np.int32),
                "probability": np.full(len(ALL) * N_GROUPS, 0.9, np.float32),
                "layer": np.zeros(len(ALL) * N_GROUPS, np.int8),
            }
        )
    )
    profiles = Profiles(everything, market.profiles.at)
    plain, core = (fit_market(market, method="sum_z", slots=s) for s in (None, (1.0, 0.0, 0.0, 0.0)))
    assert core.recommend(ALL, profiles, k=7).table.equals(plain.recommend(ALL, profiles, k=7).table)


def test_the_same_state_gives_the_same_lists_in_any_batch(
    slotted: Recommender, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = slotted.recommend(ALL, market.profiles, k=5).table
    assert whole.equals(slotted.recommend(ALL, market.profiles, k=5).table)
    monkeypatch.setattr("penchant.recommend.batch.BATCH_BYTES", 1)
    single = slotted.recommend(ALL[::-1], market.profiles, k=5).table.sort("user_row", "rank")
    assert whole.drop("score").equals(single.drop("score"))


def test_lists_alone_are_those_of_recommend(slotted: Recommender, market: Market) -> None:
    table = slotted.recommend(ALL, market.profiles, k=4).table
    long = slotted.lists(ALL, market.profiles, k=4, longest=9)
    assert long[table["user_row"].to_numpy(), table["rank"].to_numpy() - 1].tolist() == table["item_row"].to_list()
    assert all(len({*row[row >= 0]}) == (row >= 0).sum() for row in long)


def test_a_stranger_explores_too(slotted: Recommender) -> None:
    table = slotted.recommend_from_items(np.array([2, 5], np.int32), np.ones(2, np.float32), k=4).table
    new_rows = table.filter(pl.col("source") == "exploration")
    assert table.height == 4
    assert new_rows.height == 2
    assert 2 not in new_rows["interest_row"].to_list()


def test_only_allowed_items_are_explored(slotted: Recommender, market: Market) -> None:
    allowed = np.zeros(len(market.items), np.bool_)
    allowed[:20] = True
    table = slotted.recommend(ALL, market.profiles, k=6, allowed=allowed, why=True).table
    assert table["item_row"].max() < 20  # type: ignore[operator]
    explored = table.filter(pl.col("source") == "exploration")
    assert explored["why_interests"].null_count() == explored.height > 0


def test_saved_and_loaded_lists_are_the_same(slotted: Recommender, market: Market, tmp_path: Path) -> None:
    save_folder(tmp_path / "model", {"recommender": slotted.to_parts()}, {})
    again = Recommender.from_parts(load_folder(tmp_path / "model").parts["recommender"])
    assert again.recommend(ALL, market.profiles, k=6).table.equals(slotted.recommend(ALL, market.profiles, k=6).table)


@pytest.mark.parametrize(
    ("slots", "said"), [([0.5, 0.5, 0.5, 0.5], "sum to 1"), ([1.5, -0.5, 0, 0], "slots"), ([0.5, 0.5], "slots")]
)
def test_wrong_shares_are_refused(slots: list[float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_config({"recommend": {"slots": slots}})


def test_slots_and_places_for_new_items_do_not_mix() -> None:
    with pytest.raises(ConfigError, match="both claim"):
        build_config({"recommend": {"slots": list(SHARES), "n_explore": 1}})


def points(*rows: tuple[int, int, int, float]) -> Profiles:
    schema = {"user_row": pl.Int32, "interest_row": pl.Int32, "layer": pl.Int8, "affinity": pl.Float32}
    return Profiles(pl.DataFrame(rows, schema=schema, orient="row"), 0.0)


def test_graduation_by_hand() -> None:
    """Pairs: (0, 1) grew, (0, 2) was liked once, (1, 1) was there before, (1, 3) never liked, (2, 1) only disliked."""
    shown = pl.DataFrame({"user_row": [0, 0, 0, 1, 1, 2], "interest_row": [1, 1, 2, 1, 3, 1]})
    before = points((1, 1, 0, 2.0))
    after = points((0, 1, 1, 1.0), (0, 2, 2, 1.0), (1, 1, 0, 2.0), (2, 1, 2, 0.0), (2, 9, 0, 5.0))
    found = graduation(shown, before, after)
    assert found == Graduation(n_explored=4, n_touched=2, n_graduated=1)
    assert found.rate == 0.5
    assert Graduation(3, 0, 0).rate == 0.0
