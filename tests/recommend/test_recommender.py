"""The whole recommender on the small market."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from penchant.config import RecommendConfig
from penchant.data import Events, Profiles
from penchant.errors import ConfigError, DataError
from penchant.recommend import Recommender, explain, fit_recommender
from penchant.recommend.choose import methods

from .conftest import HALF_LIVES, N_GROUPS, N_ITEMS, N_USERS, NEW_ITEM, Market, events_of, fit_market, make_market

ALL = np.arange(N_USERS + 1, dtype=np.int32)


def test_lists_are_whole_unseen_and_ranked(fitted: Recommender, market: Market) -> None:
    table = fitted.recommend(ALL, market.profiles, k=7).table
    assert table.columns == ["user_row", "item_row", "rank", "score", "interest_row", "layer", "source", "evidence"]
    touched = fitted.past.touched.toarray()
    assert not touched[table["user_row"].to_numpy(), table["item_row"].to_numpy()].any()
    for _, rows in table.group_by("user_row", maintain_order=True):
        assert rows["rank"].to_list() == list(range(1, rows.height + 1))
        assert rows["item_row"].n_unique() == rows.height
        assert rows["score"].is_sorted(descending=True)
    assert table["user_row"].n_unique() == N_USERS + 1  # also the user without any event


def test_lists_alone_start_with_what_is_recommended(market: Market) -> None:
    for n_explore in (0, 2):
        one = fit_market(market, method="sum_z", n_explore=n_explore)
        short, long = one.lists(ALL, market.profiles, k=4), one.lists(ALL, market.profiles, k=4, longest=9)
        table = one.recommend(ALL, market.profiles, k=4).table
        assert short[table["user_row"].to_numpy(), table["rank"].to_numpy() - 1].tolist() == table["item_row"].to_list()
        assert long.shape == (len(ALL), 9)
        assert (long[:, :4] == short).all()
        assert all(len({*row[row >= 0]}) == (row >= 0).sum() for row in long)


def test_lists_hold_the_users_own_group(fitted: Recommender, market: Market) -> None:
    first = fitted.recommend(ALL[:N_USERS], market.profiles, k=2).table
    own = (first["item_row"] % N_GROUPS == first["user_row"] % N_GROUPS).mean()
    assert own is not None
    assert own > 0.7
    known = first.filter(pl.col("layer") == 0)
    assert (known["interest_row"] == known["item_row"] % N_GROUPS).all()


def test_a_disliked_item_is_left_out(fitted: Recommender, market: Market) -> None:
    items = fitted.recommend(ALL[:1], market.profiles, k=N_ITEMS).table["item_row"].to_list()
    assert 1 not in items


def test_allow_seen(fitted: Recommender, market: Market) -> None:
    table = fitted.recommend(ALL[:N_USERS], market.profiles, k=10, allow_seen=True).table
    assert fitted.past.touched.toarray()[table["user_row"].to_numpy(), table["item_row"].to_numpy()].any()


def test_order_of_users_and_batches_change_nothing(
    fitted: Recommender, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted.recommend(ALL, market.profiles, k=5).table
    monkeypatch.setattr("penchant.recommend.batch.BATCH_BYTES", 1)
    single = fitted.recommend(ALL[::-1], market.profiles, k=5).table.sort("user_row", "rank")
    assert whole.drop("score").equals(single.drop("score"))
    np.testing.assert_allclose(whole["score"], single["score"], rtol=1e-4, atol=1e-5)


def test_an_item_with_only_a_text_is_reachable(market: Market) -> None:
    chosen = fit_market(market, method="text")
    users = np.array([u for u in range(N_USERS) if u % N_GROUPS == NEW_ITEM % N_GROUPS], np.int32)
    found = chosen.recommend(users, market.profiles, k=20).table["item_row"].to_list()
    assert NEW_ITEM in found
    similar = chosen.similar_items(np.array([NEW_ITEM], np.int32), 5)["similar_row"]
    assert set((similar % N_GROUPS).to_list()) == {NEW_ITEM % N_GROUPS}


def test_exploration_takes_the_last_places(market: Market) -> None:
    explored = fit_market(market, n_explore=1).recommend(ALL[:N_USERS], market.profiles, k=5).table
    last = explored.filter(pl.col("rank") == 5)
    assert set(last.filter(pl.col("source") == "exploration")["item_row"].to_list()) == {NEW_ITEM}
    assert set(explored.filter(pl.col("source") == "exploration")["rank"].to_list()) == {5}
    assert "exploration" not in fit_market(market).recommend(ALL, market.profiles, k=5).table["source"].to_list()


def test_exploration_lists_no_item_twice(market: Market) -> None:
    """Four items of few users, of which some stand in the lists anyway, for six places."""
    few = market.events.table.filter(~(pl.col("item_row").is_in([3, 4, 5]) & (pl.col("user_row") > 1)))
    thin = replace(market, events=replace(market.events, table=few))
    table = fit_market(thin, n_explore=6, method="text").recommend(ALL[:N_USERS], market.profiles, k=8).table
    assert table.select("user_row", "item_row").is_duplicated().sum() == 0
    assert table.group_by("user_row").len()["len"].min() == 8


def test_diversity_spreads_the_list(market: Market) -> None:
    def spread(diversity: float) -> float:
        table = fit_market(market, diversity=diversity, method="blend").recommend(ALL, market.profiles, k=6).table
        groups = table.group_by("user_row").agg((pl.col("item_row") % N_GROUPS).n_unique().alias("n"))
        return float(groups["n"].mean())  # type: ignore[arg-type]

    assert spread(0.9) > spread(0.0)


def test_new_user_from_first_events(fitted: Recommender) -> None:
    rows = np.array([2, 5], np.int32)
    table = fitted.recommend_from_items(rows, np.ones(2, np.float32), k=5).table
    assert table.height == 5
    assert not set(table["item_row"].to_list()) & {2, 5}
    assert (table["item_row"][:3] % N_GROUPS == 2).sum() >= 2
    assert table["layer"].unique().to_list() == [-1]
    disliked = fitted.recommend_from_items(rows, np.array([1.0, -1.0], np.float32), k=N_ITEMS).table
    assert 5 not in disliked["item_row"].to_list()
    nothing = fitted.recommend_from_items(np.zeros(0, np.int32), np.zeros(0, np.float32), k=3).table
    assert nothing.height == 3


def test_many_new_users_get_what_each_gets_alone(fitted: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = [[2, 5], [7], [4, 10, 13]]
    owners = np.repeat(np.arange(3), [len(s) for s in sessions]).astype(np.int32)
    items = np.concatenate(sessions).astype(np.int32)
    monkeypatch.setattr("penchant.recommend.batch.BATCH_BYTES", 1)
    table = fitted.recommend_from_items(items, np.ones(len(items), np.float32), user_rows=owners, k=4).table
    for row, session in enumerate(sessions):
        alone = fitted.recommend_from_items(np.array(session, np.int32), np.ones(len(session), np.float32), k=4).table
        assert table.filter(pl.col("user_row") == row)["item_row"].to_list() == alone["item_row"].to_list()
    with pytest.raises(DataError, match="one user an item"):
        fitted.recommend_from_items(items, np.ones(len(items), np.float32), user_rows=owners[:2])


def test_popular(fitted: Recommender, market: Market) -> None:
    table = fitted.popular(5).table
    recent = market.events.positive()
    recent = recent.take(recent.time > market.events.end - 30 * 86_400)
    counts = np.bincount(recent.matrix(N_ITEMS).indices, minlength=N_ITEMS)
    assert counts[table["item_row"][0]] == counts.max()
    assert table["rank"].to_list() == [1, 2, 3, 4, 5]


def test_saved_form_gives_the_same_lists(fitted: Recommender, market: Market) -> None:
    parts = fitted.to_parts()
    assert all(a.dtype != object for a in parts.arrays.values())
    assert all(name.replace("_", "").isalnum() for name in parts.arrays)
    again = Recommender.from_parts(parts)
    assert again.chosen == fitted.chosen
    for one, two in (
        (fitted.recommend(ALL, market.profiles, k=5), again.recommend(ALL, market.profiles, k=5)),
        (fitted.popular(5), again.popular(5)),
    ):
        assert one.table.equals(two.table)
    assert fitted.interactions.nnz == again.interactions.nnz


@pytest.mark.parametrize("method", ["item_knn", "sum_z", "sum_softmax", "rrf", "blend", "trees", "blend+trees"])
def test_every_kind_of_method_saves(market: Market, method: str) -> None:
    one = fit_market(market, method=method, n_windows=1)
    assert one.chosen == method
    two = Recommender.from_parts(one.to_parts())
    assert one.recommend(ALL, market.profiles, k=4).table.equals(two.recommend(ALL, market.profiles, k=4).table)


def test_order_log(market: Market) -> None:
    order = make_market("order")
    table = fit_market(order).recommend(ALL, order.profiles, k=3).table
    assert table["user_row"].n_unique() == N_USERS + 1


def test_report_names_every_method_and_one_choice(fitted: Recommender) -> None:
    report = fitted.report
    assert set(report["method"]) == set(methods(fitted.signals.names))
    assert report["chosen"].sum() == 1
    assert report["ndcg_10"].is_sorted(descending=True)
    assert report.filter(pl.col("chosen"))["method"].item() == fitted.chosen


def test_inputs_stay_as_they_are(market: Market) -> None:
    table = market.events.table.clone()
    vectors = market.space.fused.values.copy()
    points = market.profiles.points.clone()
    fit_market(market).recommend(ALL, market.profiles, k=3)
    assert market.events.table.equals(table)
    assert market.profiles.points.equals(points)
    np.testing.assert_array_equal(market.space.fused.values, vectors)


def test_tiny_logs_still_recommend(market: Market) -> None:
    for rows in ([(0, 0, 1.0, 1.0)], [(0, 0, 1.0, 1.0), (1, 0, 1.0, 1.0), (1, 1, 1.0, 1.0)], [(0, 0, -1.0, 1.0)]):
        events = events_of(rows, 2)
        one = fit_recommender(
            events, market.items, market.space, market.tree, RecommendConfig(), seed=0, half_lives=HALF_LIVES
        )
        assert one.chosen == "sum_z"
        empty = Profiles(market.profiles.points.clear(), 1.0)
        items = one.recommend(np.arange(2, dtype=np.int32), empty, k=3).table["item_row"].to_list()
        assert 0 <= len(items) <= 6


def test_no_texts_no_events(market: Market) -> None:
    none = events_of([], 1)
    space = replace(market.space, text=None)
    one = fit_recommender(none, market.items, space, market.tree, RecommendConfig(), seed=0, half_lives=HALF_LIVES)
    assert one.popular(3).table.height == 0
    assert "text" not in one.signals.names


def test_wrong_input(fitted: Recommender, market: Market) -> None:
    with pytest.raises(DataError, match="Got 99"):
        fitted.recommend(np.array([99], np.int32), market.profiles)
    with pytest.raises(ConfigError, match="k: must be at least 1"):
        fitted.recommend(ALL, market.profiles, k=0)
    with pytest.raises(DataError, match="Got 1 for 2"):
        fitted.recommend_from_items(np.array([0, 1], np.int32), np.ones(1, np.float32))
    with pytest.raises(DataError, match="item rows"):
        fitted.similar_items(np.array([-1], np.int32), 2)
    with pytest.raises(ConfigError, match="did you mean 'blend'"):
        fit_market(market, method="blnd")
    tiny = Events(market.events.table.head(1), market.events.user_ids, ("view",))
    with pytest.raises(ConfigError, match="too short"):
        fit_market(replace(market, events=tiny), method="trees")


def test_reasons(fitted: Recommender, market: Market) -> None:
    table = fitted.recommend(ALL[:3], market.profiles, k=3)
    english = explain(table, market.items, market.tree)
    chinese = explain(table, market.items, market.tree, language="zh")
    assert len(english) == len(chinese) == table.table.height
    assert any(r.startswith("Because of your core interest “Apples” – you chose “Title ") for r in english)
    assert any(r.startswith("因为您的核心兴趣“Apples”——您选过“Title ") for r in chinese)
    popular = explain(fitted.popular(1), market.items, market.tree)
    assert popular == ["Popular right now"]
    with pytest.raises(ConfigError, match="en, zh"):
        explain(table, market.items, market.tree, language="fr")  # type: ignore[arg-type]


def test_evidence_is_the_users_own_past(fitted: Recommender, market: Market) -> None:
    past = fitted.past.matrix().toarray()
    table = fitted.recommend(ALL, market.profiles, k=5).table.explode("evidence").drop_nulls("evidence")
    assert past[table["user_row"].to_numpy(), table["evidence"].to_numpy()].all()


_PROGRAM = """
import hashlib, sys
sys.path.insert(0, {folder!r})
from tests.recommend.conftest import fit_market, make_market
import numpy as np
m = make_market()
r = fit_market(m, method="blend+trees")
p = r.to_parts()
h = hashlib.sha256(repr(sorted(p.config.items(), key=str)).encode())
for name in sorted(p.arrays):
    h.update(np.ascontiguousarray(p.arrays[name]).tobytes())
h.update(r.recommend(np.arange(60, dtype=np.int32), m.profiles, k=5).table.write_json().encode())
print(h.hexdigest())
"""


def test_two_processes_give_the_same_bytes() -> None:
    folder = str(Path(__file__).parents[2])
    program = _PROGRAM.format(folder=folder)
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env).stdout
        for env in ({"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}, {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2"})
    ]
    assert runs[0] == runs[1]


def test_under_one_signal_users_without_a_past_get_what_all_like(market: Market) -> None:
    chosen = fit_market(market, method="item_knn")
    listed = chosen.recommend(ALL[-1:], market.profiles, k=5).table["item_row"].to_numpy()
    popular = chosen.signals.popularity[chosen.signals.popular_names.index("popular")]
    assert popular[listed].tolist() == sorted(popular, reverse=True)[:5]
