"""Users like a user, communities, and who should hear of an item: numbers by hand, any order, any batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from penchant.errors import ConfigError, DataError, ModelError, NotFoundError
from penchant.kinds import like_users, reach
from penchant.model import Model
from tests.recommend.conftest import N_USERS, NEW_ITEM

from .conftest import points

FOUR = points(
    [
        (0, 0, 1.0, 0.9),  # Apples alone
        (1, 0, 0.5, 0.4),  # Apples and Boats
        (1, 1, 0.5, 0.1),
        (2, 2, 1.0, 0.5),  # Cats alone
        (3, 0, 1.0, 0.4),  # Apples alone, again
    ]
)


@pytest.fixture
def four(small: Model) -> Model:
    return replace(small, profiles=FOUR)


def test_likeness_is_the_cosine_of_user_rows(four: Model) -> None:
    table = four.similar_users(["u0", "u1", "u2", "u9"], k=5)
    assert table.columns == ["user_id", "similar_id", "rank", "score", "shared_interests"]
    root_half = 0.5**0.5  # rows are (1, 0, 0) and (1, 1, 0) / sqrt(2): both shares of u1 are equal
    expected = [
        ("u0", "u3", 1, 1.0, ["Apples"]),
        ("u0", "u1", 2, root_half, ["Apples"]),
        ("u1", "u0", 1, root_half, ["Apples"]),  # as near as u3: the lower row first
        ("u1", "u3", 2, root_half, ["Apples"]),
    ]  # u2 shares nothing with anybody, u9 has no evidence
    assert [r[:3] + r[4:] for r in table.rows()] == [r[:3] + r[4:] for r in expected]
    assert table["score"].to_list() == pytest.approx([r[3] for r in expected], abs=1e-6)


def test_likeness_is_the_same_in_any_batch_and_order(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    shares = draw.dirichlet(np.ones(3), N_USERS)
    mixed = replace(
        small, profiles=points([(u, i, float(shares[u, i]), 0.3) for u in range(N_USERS) for i in range(3)])
    )
    users = [f"u{u}" for u in draw.permutation(N_USERS)]
    whole = mixed.similar_users(users, k=7)
    assert whole.height == 7 * N_USERS
    monkeypatch.setattr(like_users, "BATCH_BYTES", 500)
    monkeypatch.setattr(like_users, "BATCH_ASKED", 4)
    assert_frame_equal(mixed.similar_users(users, k=7), whole)
    turned = mixed.similar_users(users[::-1], k=7)
    assert_frame_equal(turned.sort("user_id", "rank"), whole.sort("user_id", "rank"))
    score = {(a, b): s for a, b, s in whole.select("user_id", "similar_id", "score").rows()}
    assert all(score[b, a] == pytest.approx(s, abs=1e-5) for (a, b), s in score.items() if (b, a) in score)


def test_nobody_like_a_user_gives_an_empty_table(four: Model) -> None:
    table = four.similar_users(["u2", "u9"])
    assert table.is_empty()
    assert table.schema == four.similar_users(["u0"]).schema
    assert four.similar_users([]).is_empty()


def test_wrong_questions_for_similar_users(four: Model) -> None:
    with pytest.raises(NotFoundError, match="'nobody' is not among"):
        four.similar_users(["u0", "nobody"])
    with pytest.raises(ConfigError, match="at least 1"):
        four.similar_users(["u0"], k=0)


def test_a_community_is_ranked_by_forecast(four: Model) -> None:
    table = four.communities()
    assert table.columns == ["interest_id", "interest", "user_id", "layer", "probability", "rank"]
    assert table.drop("probability").rows() == [
        ("a", "Apples", "u0", "core", 1),
        ("a", "Apples", "u3", "secondary", 2),  # as likely as u1, with more affinity
        ("a", "Apples", "u1", "secondary", 3),
        ("c", "Cats", "u2", "core", 1),
    ]
    assert four.communities(layer="core")["user_id"].to_list() == ["u0", "u2"]
    assert four.communities(k=1)["user_id"].to_list() == ["u0", "u2"]
    assert four.communities(level=1).is_empty()


def test_wrong_questions_for_communities(four: Model) -> None:
    with pytest.raises(ConfigError, match=r"must be 1 \(top\) to 2"):
        four.communities(level=3)
    with pytest.raises(ConfigError, match="one of core, secondary"):
        four.communities(layer="peripheral")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least 1"):
        four.communities(k=0)


def test_reach_ranks_who_has_not_had_it_by_expected_interest(small: Model) -> None:
    had = small.recommender.past.touched.toarray()[:, 0] > 0
    open_ = [u for u in range(N_USERS) if u % 3 == 0 and not had[u]]  # item i0 lies in the group's interest
    found = small.audience_for(["i0"], k=N_USERS)
    expected = dict(found.users.select("user_id", "expected").rows())
    assert {u for u, p in expected.items() if p > 0} == {f"u{u}" for u in open_}
    assert all(p == pytest.approx(0.9) for p in expected.values() if p > 0)
    assert not {f"u{u}" for u in np.flatnonzero(had)} & set(expected)
    assert found.users["rank"].to_list() == list(range(1, found.users.height + 1))
    assert found.users["score"].is_sorted(descending=True)
    first = found.users.row(0, named=True)
    assert (first["interest"], first["layer"], first["segment"]) == ("Apples", "core", "Apple people")


def test_lift_is_the_mean_expected_interest_of_a_segment_by_that_of_all(small: Model) -> None:
    had = small.recommender.past.touched.toarray()[:, 0] > 0
    found = small.audience_for(["i0"], k=10)
    rows = {r["segment_id"]: r for r in found.segments.to_dicts()}
    assert found.segments["segment_id"].to_list()[0] == "s1"
    own = [u for u in range(N_USERS) if u % 3 == 0]
    n_open = sum(not had[u] for u in own)
    assert rows["s1"]["n_users"] == len(own)
    assert rows["s1"]["n_had"] == len(own) - n_open
    assert rows["s1"]["expected"] == pytest.approx(0.9)
    assert rows["s1"]["lift"] == pytest.approx(int((~had).sum()) / n_open)  # the others expect nothing
    assert rows["s2"]["lift"] == rows["s3"]["lift"] == rows[None]["lift"] == 0
    assert rows[None]["n_users"] == 1
    assert sum(r["best_share"] for r in rows.values()) == pytest.approx(1.0)
    by_hand = found.users.group_by("segment_id").len().rows()
    assert {s: n / 10 for s, n in by_hand} == pytest.approx(
        {s: r["best_share"] for s, r in rows.items() if r["best_share"]}
    )


def test_of_several_items_users_are_judged_by_those_they_have_not_had(small: Model) -> None:
    touched = small.recommender.past.touched.toarray() > 0
    found = small.audience_for(["i0", "i1", "i0"], k=N_USERS)  # of Apples and of Boats
    expected = dict(found.users.select("user_id", "expected").rows())
    for user, value in expected.items():
        u = int(user[1:])
        left = [0.9 * (item == u % 3) for item in (0, 1) if not touched[u, item]]
        assert left, "had both"
        assert value == pytest.approx(sum(left) / len(left))
    both = touched[:, 0] & touched[:, 1]
    assert not {f"u{u}" for u in np.flatnonzero(both)} & set(expected)
    assert int(found.segments["n_had"].sum()) == int(both.sum())


def test_an_item_nobody_took_is_ranked_by_expected_interest_alone(small: Model) -> None:
    unequal = replace(small, profiles=points([(u, u % 3, 1.0, 0.1 + u / 100) for u in range(N_USERS)]))
    found = unequal.audience_for([f"i{NEW_ITEM}"], k=5)  # group 2
    assert found.users["user_id"].to_list() == ["u59", "u56", "u53", "u50", "u47"]
    assert found.users["score"][0] == 1.0
    assert found.segments["n_had"].sum() == 0


def test_reach_is_the_same_in_any_batch_and_order(small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small.audience_for(["i0", "i4"])
    assert whole.users.height == 7  # a tenth of 61, rounded up
    monkeypatch.setattr(reach, "BATCH_BYTES", 100)
    for items in (["i0", "i4"], ["i4", "i0"]):
        again = small.audience_for(items)
        assert_frame_equal(again.users, whole.users)
        assert_frame_equal(again.segments, whole.segments)


def test_an_item_of_no_interest_reaches_nobody(small: Model) -> None:
    nowhere = small.tree.membership.tolil()
    nowhere[NEW_ITEM] = 0
    lost = replace(small, tree=replace(small.tree, membership=nowhere.tocsr()))
    found = lost.audience_for([f"i{NEW_ITEM}"])
    assert found.users.is_empty()
    assert found.users.schema == small.audience_for(["i0"]).users.schema
    assert found.segments["lift"].null_count() == found.segments.height


def test_a_text_reaches_the_users_of_its_interest(model: Model) -> None:
    item = model.items_table().filter(pl.col("membership") > 0.95).row(0, named=True)
    row = int(model.item_rows([item["item_id"]])[0])
    found = model.audience_for(text=model.items.texts()[row], k=10)
    placed = model.place_items([model.items.texts()[row]])
    leaf = placed.sort("membership", descending=True)["interest_id"][0]
    top = model.communities(k=1).filter(pl.col("interest_id") == leaf)["user_id"][0]
    assert top in found.users["user_id"].to_list()
    assert found.segments["n_had"].sum() == 0
    assert float(found.segments["lift"].max()) > 1  # type: ignore[arg-type]


def test_wrong_questions_for_reach(small: Model, model: Model) -> None:
    with pytest.raises(ConfigError, match="one of the two"):
        small.audience_for()
    with pytest.raises(ConfigError, match="one of the two"):
        model.audience_for(["i00001"], text="boats")
    with pytest.raises(NotFoundError, match="'nothing' is not in this model"):
        small.audience_for(["nothing"])
    with pytest.raises(ConfigError, match="at least 1"):
        small.audience_for(["i0"], k=0)
    with pytest.raises(ModelError, match="without item texts"):
        small.audience_for(text="boats")
    with pytest.raises(DataError, match="far from every interest"):
        model.audience_for(text="zzzz qqqq")
