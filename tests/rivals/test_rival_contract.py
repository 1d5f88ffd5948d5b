"""One suite over the whole table of rivals: a new row is tested the day it is added."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.config import RunOptions
from penchant.errors import ConfigError
from penchant.evaluate.peers import Peer
from penchant.represent import METHODS
from penchant.rivals import RIVALS, check_names, fit_rivals
from penchant.scorers import SCORERS
from tests.rivals.logs import N_ITEMS, K, fit_one, market, params, quick
from tests.scorers.logs import make_items, make_log, make_weighted_log


@pytest.fixture(scope="module", params=params(sorted(RIVALS)))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def peer(name: str) -> Peer:
    return fit_one(name)


def test_lists_are_whole_unseen_and_without_repeats(peer: Peer) -> None:
    log, _, users = market()
    assert peer.lists.shape == (len(users), K)
    assert peer.lists.dtype == np.int32
    assert ((peer.lists >= 0) & (peer.lists < N_ITEMS)).all()
    assert not log.touched(N_ITEMS).toarray()[users[:, None], peer.lists].any()
    assert (np.diff(np.sort(peer.lists, axis=1), axis=1) > 0).all()
    assert all(note for note in peer.notes)


def test_same_seed_same_lists_and_inputs_stay(name: str, peer: Peer) -> None:
    log, items, users = market()
    table, catalogue, asked = log.table.clone(), items.table.clone(), users.copy()
    again = fit_one(name, log, items, users)
    assert (again.lists == peer.lists).all()
    assert dict(again.settings) == dict(peer.settings)
    assert again.validation == peer.validation
    assert log.table.equals(table)
    assert items.table.equals(catalogue)
    assert (users == asked).all()


def test_lists_follow_the_order_of_users(name: str, peer: Peer) -> None:
    _, _, users = market()
    turned = fit_one(name, users=users[::-1].copy()).lists[::-1]
    # the last bits of a product of matrices follow the order of its rows: items of nearly one text may change places
    assert (turned == peer.lists).mean() > 0.95


def test_a_longer_list_starts_with_the_shorter_one(name: str, peer: Peer) -> None:
    longer = fit_one(name, k=K + 4)
    assert longer.lists.shape[1] == K + 4
    assert (longer.lists[:, :K] == peer.lists).all()
    assert longer.validation == peer.validation


def test_a_disliked_item_is_left_out(name: str) -> None:
    log, _, _ = market()
    rows = [*log.table.select("user_row", "item_row", "time", "weight").iter_rows()]
    disliked = make_weighted_log([*rows, *((0, item, 1e6, -1.0) for item in range(10))], 60)
    lists = fit_one(name, disliked, users=np.array([0], np.int32)).lists
    assert (lists >= 10).all()


def test_items_without_text(name: str) -> None:
    peer = fit_one(name, items=make_items(N_ITEMS))
    assert (peer.lists >= 0).all()


@pytest.mark.parametrize(
    ("rows", "n_users"),
    [([(0, 1, 5.0)], 1), ([(0, 0, 1.0), (0, 1, 2.0), (0, 2, 3.0)], 1), ([(0, 0, 1.0), (1, 0, 1.0), (1, 1, 1.0)], 2)],
)
def test_tiny_logs_give_what_there_is(name: str, rows: list[tuple[int, int, float]], n_users: int) -> None:
    log, users = make_log(rows, n_users), np.arange(n_users, dtype=np.int32)
    lists = fit_one(name, log, make_items(4, ["a", "b", None, "d"]), users).lists
    assert lists.shape == (n_users, K)
    assert not (lists[:, 4:] >= 0).any()  # four items: the last place is always empty
    told = lists >= 0
    assert not log.touched(4).toarray()[np.nonzero(told)[0], lists[told]].any()


def test_nobody_is_asked_for(name: str) -> None:
    assert fit_one(name, users=np.zeros(0, np.int32)).lists.shape == (0, K)


def test_every_representation_but_als_is_a_rival() -> None:
    assert set(METHODS) - set(RIVALS) == {"factors"}
    assert not set(SCORERS) & set(RIVALS)
    assert all(row.about for row in RIVALS.values())


def test_unknown_names_are_refused() -> None:
    for wrong, near in (("lightgc", "lightgcn"), ("item_kn", "item_knn"), ("medoid", "medoids")):
        with pytest.raises(ConfigError, match=f"peer '{wrong}' is unknown; did you mean '{near}'"):
            check_names([wrong])
    assert check_names(["als", "gru"]) == ("als", "gru")
    log, items, users = market()
    with pytest.raises(ConfigError, match="peer 'als' is a scorer"):
        fit_rivals(log, items, ["als"], users, quick(), RunOptions(), k=K)
