"""A made-up market with hidden interests, a model fitted on its log, and what is known of the log day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import Config, RunOptions
from penchant.data import Events, IntArray, Items, Log, Profiles
from penchant.errors import DataError
from penchant.interests.profiles import make_profiles
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.io.world.audience import HiddenMarket, hide_interests
from penchant.pipeline import Ground, lay_ground, train_recommender
from penchant.recommend import Recommender
from penchant.recommend.aversion import read_evidence
from penchant.recommend.ignored import impressed
from penchant.recommend.past import read_past
from penchant.recommend.transitions import fit_transitions


@dataclass(frozen=True)
class Stage:
    """A market with its fitted model. user, item: rows of the audience for the log's users and items."""

    market: HiddenMarket
    config: Config
    log: Log
    ground: Ground
    recommender: Recommender
    user: IntArray
    item: IntArray

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def people(self) -> IntArray:
        """Rows of the audience for the log's users who are no bots."""
        return self.user[self.market.audience.human[self.user]]


@dataclass(frozen=True)
class State:
    """What is known on a day: the log so far, and the recommender and profiles that have read it."""

    events: Events
    items: Items
    recommender: Recommender
    profiles: Profiles


def set_stage(n_users: int, n_items: int, config: Config, run: RunOptions | None = None) -> Stage:
    """Make a market (`config.seed` draws it), hide interests, fit a model on what is left."""
    seed, run = config.seed, run or RunOptions()
    market = hide_interests(make_world(n_users=n_users, n_items=n_items, seed=seed), seed=seed)
    log = read_log(market.world.events, market.world.items, config=config.io)
    ground = lay_ground(log.events, log.items, config, run)
    recommender = train_recommender(log.events, log.items, ground, config, run)
    user, item = (
        np.asarray(ids.to_frame("id").join(truth.to_frame("id").with_row_index("row"), on="id", how="left")["row"])
        for ids, truth in (
            (log.events.user_ids, market.audience.user_ids),
            (log.items.item_ids, market.audience.item_ids),
        )
    )
    return Stage(market, config, log, ground, recommender, user, item)


def read_again(stage: Stage, acts: Sequence[pl.DataFrame]) -> State:
    """The state after some rounds: what was fitted stays, what is read of the log is read anew.

    Args:
        acts: what each round added to the log (`sessions.as_events`).
    Raises:
        DataError: an act is of a user or item that the market's log does not have.
    """
    raw = pl.concat([stage.market.world.events, *acts], how="diagonal_relaxed")
    log = read_log(raw, stage.market.world.items, config=stage.config.io)
    if not log.events.user_ids.equals(stage.log.events.user_ids) or len(log.items) != len(stage.log.items):
        raise DataError("simulation: the acts name users or items that the market's log does not have")
    ground, config = stage.ground, stage.config
    profiles = make_profiles(log.events, log.items, ground.tree, ground.forecast, config.interests)
    past = read_past(log.events, len(log.items))
    shown = sp.csr_array(past.touched + impressed(log.events, len(log.items)))
    recommender = replace(
        stage.recommender,
        past=replace(past, touched=shown),  # of every policy: an item is shown to a user once
        transitions=fit_transitions(log.events, ground.tree.membership, seed=config.seed),
        penalties=replace(
            stage.recommender.penalties,
            evidence=read_evidence(
                log.events,
                len(log.items),
                config.interests.half_life_days,
                config.recommend.saturation_half_life_days,
            ),
        ),
    )
    return State(log.events, log.items, recommender, profiles)
