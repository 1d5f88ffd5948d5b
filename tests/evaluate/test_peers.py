"""Peers in one run, and the table they stand in."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.config import EvaluateConfig
from penchant.data import IntArray, ItemSpace, Vectors
from penchant.errors import ConfigError, DataError
from penchant.evaluate.peers import fit_peers
from penchant.evaluate.ranking import score_lists
from penchant.evaluate.split import Split, split_by_time
from penchant.evaluate.table import brief, compare, to_text
from penchant.scorers import SCORERS
from tests.scorers.logs import make_items, make_log, taste_log

N_ITEMS = 40
CONFIG = EvaluateConfig(k=5, n_bootstrap=100)


def market(**changes: int) -> tuple[Split, IntArray]:
    split = split_by_time(taste_log(n_items=N_ITEMS, **changes), 0.2)  # type: ignore[arg-type]
    targets = split.targets(N_ITEMS)
    return split, np.flatnonzero(np.diff(targets.indptr) > 0).astype(np.int32)


def lists_of(*arguments: Any, **changes: Any) -> dict[str, IntArray]:
    return {name: peer.lists for name, peer in fit_peers(*arguments, **changes).items()}


def test_all_peers_give_full_unseen_lists_and_repeat_themselves() -> None:
    split, users = market()
    a, b = (fit_peers(split.train, make_items(N_ITEMS), CONFIG.peers, users, CONFIG, seed=0) for _ in range(2))
    assert list(a) == list(CONFIG.peers)
    seen = split.seen(N_ITEMS).toarray()
    for name, peer in a.items():
        lists = peer.lists
        assert lists.shape == (len(users), 20), name  # the longest of the cutoffs 5, 20
        assert (lists >= 0).all(), name
        assert not seen[users[:, None], lists].any(), name
        assert (lists == b[name].lists).all(), name


def test_every_scorer_is_a_peer_by_default() -> None:
    assert set(CONFIG.peers) == set(SCORERS)


def test_settings_are_the_best_of_the_grid_on_a_window_of_train() -> None:
    split, users = market()
    peer = fit_peers(split.train, make_items(N_ITEMS), ["ease"], users, CONFIG, seed=0)["ease"]
    assert len(peer.validation) == len(SCORERS["ease"].GRID)
    assert peer.settings == SCORERS["ease"].GRID[int(np.argmax(peer.validation))]


def test_where_repeats_count_everybody_may_repeat() -> None:
    split, _ = market()
    again = np.flatnonzero(np.diff(split.targets(N_ITEMS, repeats="count").indptr)).astype(np.int32)
    counting = CONFIG.model_copy(update={"repeats": "count"})
    peers = fit_peers(split.train, make_items(N_ITEMS), ["popular", "item_knn"], again, counting, seed=0)
    seen = split.seen(N_ITEMS).toarray() > 0
    popular = peers["popular"].lists[:, :5]
    assert (popular == popular[0]).all()  # the same for all: nothing is left out
    assert seen[again[:, None], popular].any()
    never = fit_peers(split.train, make_items(N_ITEMS), ["popular"], again, CONFIG, seed=0)["popular"].lists[:, :5]
    assert not seen[again[:, None], never].any()


def test_what_comes_after_the_cut_changes_no_list() -> None:
    """The same train with another future: peers must not see it."""
    split, users = market()
    log = taste_log(n_items=N_ITEMS)
    changed = log.table.with_columns(
        item_row=pl.when(pl.col("time") < split.cut).then("item_row").otherwise(0).cast(pl.Int32)
    )
    other = split_by_time(type(log)(changed, log.user_ids, log.actions, log.clock), 0.2)
    assert other.cut == split.cut
    names = ["popular_7d", "item_knn", "plain"]
    a = fit_peers(split.train, make_items(N_ITEMS), names, users, CONFIG, seed=0)
    b = fit_peers(other.train, make_items(N_ITEMS), names, users, CONFIG, seed=0)
    assert all((a[n].lists == b[n].lists).all() for n in names)


def test_a_train_too_short_to_choose_on_says_so() -> None:
    log = make_log([(0, 0, 1.0), (1, 1, 1.0)], 2)
    peer = fit_peers(log, make_items(3), ["item_knn"], np.array([0], np.int32), CONFIG, seed=0)["item_knn"]
    assert peer.validation == ()
    assert "too short to choose settings on" in peer.notes[-1]


def test_unknown_peers_are_refused() -> None:
    with pytest.raises(ConfigError, match="peer 'popular7d' is unknown; did you mean 'popular_7d'"):
        fit_peers(taste_log(), make_items(N_ITEMS), ["popular7d"], np.array([0], np.int32), CONFIG, seed=0)


def table_of(split: Split, users: IntArray, lists: dict[str, IntArray], **changes: object) -> pl.DataFrame:
    vectors = np.eye(N_ITEMS, dtype=np.float32)
    membership = sp.csr_array(np.repeat(np.eye(2, dtype=np.float32), N_ITEMS // 2, axis=0))
    space = ItemSpace(Vectors(vectors, "one-hot"))
    return compare(lists, split, users, space, membership, CONFIG, seed=0, **changes)  # type: ignore[arg-type]


def test_the_table_has_a_row_a_method_and_an_interval_a_metric() -> None:
    split, users = market()
    lists = lists_of(split.train, make_items(N_ITEMS), ["popular", "ease"], users, CONFIG, seed=0)
    table = table_of(split, users, lists)
    assert set(table["method"]) == {"popular", "ease"}
    assert table["ndcg@5"].is_sorted(descending=True)
    for name in ("ndcg@5", "recall@5", "hit_rate@5", "precision@5", "map@5", "mrr@5", "novelty", "diversity"):
        assert (table[f"{name}_low"] <= table[name]).all(), name
        assert (table[name] <= table[f"{name}_high"]).all(), name
    targets = split.targets(N_ITEMS)
    by_hand = score_lists(lists["ease"], targets, users, (5,))["ndcg@5"].mean()
    assert table.filter(pl.col("method") == "ease")["ndcg@5"][0] == pytest.approx(by_hand)
    assert table["diversity"].to_list() == pytest.approx([1.0, 1.0])  # one-hot vectors: no two items are alike
    camp = dict(zip(table["method"], table["miscalibration"], strict=True))
    assert camp["ease"] < camp["popular"]  # popularity serves both camps to everybody


def test_differences_are_paired() -> None:
    """A method against itself differs by exactly nothing, however wide its own interval."""
    split, users = market()
    lists = lists_of(split.train, make_items(N_ITEMS), ["popular", "ease"], users, CONFIG, seed=0)
    table = table_of(split, users, {"ours": lists["ease"], "twin": lists["ease"], "popular": lists["popular"]})
    twin = table.filter(pl.col("method") == "twin").row(0, named=True)
    assert twin["difference"] == twin["difference_low"] == twin["difference_high"] == 0
    popular = table.filter(pl.col("method") == "popular").row(0, named=True)
    assert popular["against"] == "ours"
    ours = table.filter(pl.col("method") == "ours").row(0, named=True)
    assert popular["difference"] == pytest.approx(popular["ndcg@5"] - ours["ndcg@5"])
    assert table_of(split, users, lists, against="ease")["against"].to_list() == ["ease", "ease"]


def test_without_vectors_or_interests_their_columns_are_empty() -> None:
    split, users = market()
    lists = lists_of(split.train, make_items(N_ITEMS), ["popular"], users, CONFIG, seed=0)
    table = compare(lists, split, users, None, None, CONFIG, seed=0, n_items=N_ITEMS)
    assert table["diversity"].to_list() == table["miscalibration"].to_list() == [None]
    with pytest.raises(DataError, match="give n_items"):
        compare(lists, split, users, None, None, CONFIG, seed=0)
    with pytest.raises(DataError, match="Got none"):
        compare({}, split, users, None, None, CONFIG, seed=0, n_items=N_ITEMS)
    with pytest.raises(DataError, match="no method is named 'peas'"):
        compare(lists, split, users, None, None, CONFIG, seed=0, n_items=N_ITEMS, against="peas")


def test_the_table_prints_one_line_a_method() -> None:
    split, users = market()
    lists = lists_of(split.train, make_items(N_ITEMS), ["popular", "ease"], users, CONFIG, seed=0)
    table = table_of(split, users, lists)
    lines = to_text(table).splitlines()
    assert len(lines) == 3
    assert lines[0].split()[:2] == ["method", "ndcg@5"]
    assert all(kind == pl.String for kind in brief(table).dtypes)
    assert brief(table).columns[-2:] == ["vs popular", "p adjusted"]


def test_settings_are_chosen_on_few_users_when_there_are_many() -> None:
    split, users = market(n_users=300)
    config = EvaluateConfig(k=5, n_bootstrap=50, n_choice_users=100)
    few = fit_peers(split.train, make_items(N_ITEMS), ["item_knn"], users, config, seed=0)["item_knn"]
    all_of_them = fit_peers(split.train, make_items(N_ITEMS), ["item_knn"], users, CONFIG, seed=0)["item_knn"]
    assert few.validation != all_of_them.validation
