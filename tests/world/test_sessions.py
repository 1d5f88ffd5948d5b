"""Simulated sessions: hand-worked chances, and laws of boredom, hiding and hidden interests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from penchant.errors import ConfigError, DataError
from penchant.io.world import make_world
from penchant.io.world.audience import Audience, HiddenMarket, hide_interests
from penchant.io.world.sessions import Behaviour, Memory, Round, as_events, show

PLAIN = Behaviour(
    base=0.0, top=1.0, averse=0.0, hide=1.0, position=0.0, boredom=np.log(2), recovery_days=2.0, again=0.5
)


def audience_of(strength: list[list[float]], averse: list[list[bool]] | None = None) -> Audience:
    """Two items of each interest: items 0 and 1 of interest 0, and so on."""
    values = np.array(strength, np.float32)
    n, k = values.shape
    return Audience(
        user_ids=pl.Series([f"u{i}" for i in range(n)]),
        item_ids=pl.Series([f"i{i}" for i in range(2 * k)]),
        interest_ids=pl.Series([f"k{i}" for i in range(k)]),
        interest_of_item=np.repeat(np.arange(k), 2),
        strength=values,
        hidden=np.zeros((n, k), np.bool_),
        averse=np.zeros((n, k), np.bool_) if averse is None else np.array(averse),
        human=np.ones(n, np.bool_),
    )


def shown(audience: Audience, lists: list[list[int]], memory: Memory | None = None, day: float = 0.0) -> Round:
    memory = memory or Memory.fresh(audience)
    return show(audience, PLAIN, memory, np.array(lists, np.int32), day=day, seed=3)


def test_chances_by_hand() -> None:
    """Boredom ln 2: every like item seen before halves the chance; so does every time the item itself was seen."""
    audience = audience_of([[0.8, 0.4]])
    first = shown(audience, [[0, 1, 2]])
    np.testing.assert_allclose(first.chance, [[0.8, 0.4, 0.4]])
    assert first.seen.all()
    # two days later B of interest 0 is 2 / 2 = 1, and item 0 was seen once: 0.8 / 2 / 2
    later = shown(audience, [[0]], first.memory, day=2.0)
    np.testing.assert_allclose(later.chance, [[0.2]])
    np.testing.assert_allclose(later.freshness, [[0.5]])


def test_boredom_passes_with_time() -> None:
    audience = audience_of([[1.0, 0.0]])
    bored = shown(audience, [[0, 0]]).memory
    chances = [shown(audience, [[1]], bored, day).chance[0, 0] for day in (0.0, 2.0, 4.0, 40.0)]
    assert chances == sorted(chances)
    np.testing.assert_allclose(chances, [1 / 4, 1 / 2, 2**-0.5, 1.0], rtol=1e-4)


def test_only_what_is_seen_bores() -> None:
    audience = audience_of([[1.0, 0.0]])
    blind = replace(PLAIN, position=60.0)  # beyond the first place nothing is seen
    lists = np.array([[2, 0, 1]], np.int32)
    outcome = show(audience, blind, Memory.fresh(audience), lists, day=0.0, seed=0)
    assert outcome.seen.tolist() == [[True, False, False]]
    assert outcome.memory.bored.tolist() == [[0.0, 1.0]]
    assert not outcome.clicked[0, 1:].any()


def test_disliked_items_are_hidden_not_clicked() -> None:
    audience = audience_of([[1.0, 1.0]], averse=[[True, False]])
    outcome = shown(audience, [[0, 2]])
    assert outcome.hidden.tolist() == [[True, False]]
    assert outcome.clicked.tolist() == [[False, True]]
    assert outcome.satisfaction(audience.human) == {"clicks": 1.0, "hides": 1.0, "freshness": 1.0}


def test_a_short_list_holds_nothing_at_its_end() -> None:
    outcome = shown(audience_of([[1.0, 1.0]]), [[0, -1]])
    assert outcome.seen.tolist() == [[True, False]]
    assert outcome.chance.tolist() == [[1.0, 0.0]]
    assert outcome.memory.times_seen.sum() == 1


def test_events_are_what_a_log_would_hold() -> None:
    audience = audience_of([[1.0, 1.0]], averse=[[True, False]])
    events = as_events(audience, shown(audience, [[2, 0]]), start=1000)
    assert events.rows() == [
        ("u0", "i2", "impression", 1000),
        ("u0", "i0", "impression", 1001),
        ("u0", "i2", "click", 1030),
        ("u0", "i0", "hide", 1031),
    ]


def test_the_same_seed_gives_the_same_acts(market: HiddenMarket) -> None:
    audience = market.audience
    lists = np.random.default_rng(0).integers(0, len(audience.item_ids), (audience.n_users, 12)).astype(np.int32)
    one, same, other = (
        show(audience, Behaviour(), Memory.fresh(audience), lists, day=0, seed=seed) for seed in (1, 1, 2)
    )
    assert (one.clicked == same.clicked).all()
    assert (one.seen != other.seen).any()


def test_clicks_follow_their_chances(market: HiddenMarket) -> None:
    audience = market.audience
    lists = np.random.default_rng(0).integers(0, len(audience.item_ids), (audience.n_users, 100)).astype(np.int32)
    outcome = show(audience, Behaviour(), Memory.fresh(audience), lists, day=0, seed=0)
    chance = outcome.chance[outcome.seen]
    spread = np.sqrt((chance * (1 - chance)).sum())
    assert abs(outcome.clicked.sum() - chance.sum()) < 4 * spread


@pytest.fixture(scope="module")
def market() -> HiddenMarket:
    return hide_interests(make_world(n_users=150, n_items=300, n_days=60, seed=1), seed=4)


def test_hidden_interests_leave_no_event(market: HiddenMarket) -> None:
    audience, events = market.audience, market.world.events
    user = dict(zip(audience.user_ids, range(audience.n_users), strict=True))
    item = dict(zip(audience.item_ids, audience.interest_of_item, strict=True))
    assert events["item_id"].null_count() == 0
    assert not any(audience.hidden[user[u], item[i]] for u, i in events.select("user_id", "item_id").iter_rows())
    assert 1.0 < audience.hidden[audience.human].sum(axis=1).mean() <= 2.0


def test_what_is_hidden_is_strong_and_never_the_strongest(market: HiddenMarket) -> None:
    audience = market.audience
    assert audience.strength[audience.hidden].min() >= 0.15
    assert not (audience.hidden & audience.averse).any()
    strongest = np.where(audience.averse, 0, audience.strength).argmax(axis=1)
    assert not audience.hidden[np.arange(audience.n_users), strongest].any()
    assert not audience.hidden[~audience.human].any()


def test_nothing_hidden_leaves_every_event_with_an_item() -> None:
    world = make_world(n_users=30, n_items=60, n_days=30)
    kept = hide_interests(world, per_user=0)
    assert kept.world.events.equals(world.events.filter(pl.col("item_id").is_not_null()))
    assert not kept.audience.hidden.any()


def test_wrong_input_is_refused(market: HiddenMarket) -> None:
    audience = audience_of([[1.0, 1.0]])
    with pytest.raises(DataError, match="a row for each of 1 users"):
        shown(audience, [[0], [1]])
    with pytest.raises(DataError, match=r"-1\.\.3"):
        shown(audience, [[4]])
    with pytest.raises(DataError, match="must not go back"):
        shown(audience, [[0]], day=-1.0)
    with pytest.raises(ConfigError, match="hide"):
        Behaviour(hide=1.5)
    with pytest.raises(ConfigError, match="per_user"):
        hide_interests(market.world, per_user=-1)
