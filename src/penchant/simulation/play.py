"""Let a policy show its lists day by day, and count what the users did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.data import Profiles
from penchant.io.world.sessions import DAY, Behaviour, Memory, Round, as_events, show
from penchant.simulation.policies import Lists, Policy
from penchant.simulation.stage import Stage, State, read_again

Counts = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Played:
    """A policy's rounds and lists (rows of the audience, but `new` and `leaf` of the log), profiles of the first day,
    the last state, and what each round added to the log.
    """

    rounds: list[Round]
    lists: list[Lists]
    first: Profiles
    last: State
    acts: list[pl.DataFrame]


def play(
    stage: Stage, policy: Policy, n_rounds: int, k: int, behaviour: Behaviour, before: Played | None = None
) -> Played:
    """Let a policy show every user a list of k a day, for some days, the first ones or those after others.

    After each day the log is read again with what the users did; fitted signals and the ranker stay.
    """
    audience = stage.market.audience
    end = int(stage.market.world.events["timestamp"].max())  # type: ignore[arg-type]
    acts = list(before.acts) if before else []
    memory = before.rounds[-1].memory if before else Memory.fresh(audience)
    state = read_again(stage, acts)
    first, rounds, shown = state.profiles, [], []
    for day in range(len(acts) + 1, len(acts) + n_rounds + 1):
        lists = policy(stage, state, k, day)
        of_all = np.full((audience.n_users, k), -1, np.int32)
        of_all[stage.user] = np.where(lists.items >= 0, stage.item[lists.items], -1)
        outcome = show(audience, behaviour, memory, of_all, day=day, seed=1000 * stage.seed + day)
        memory = outcome.memory
        acts.append(as_events(audience, outcome, start=end + day * DAY))
        rounds.append(outcome)
        shown.append(lists)
        state = read_again(stage, acts)
    return Played(rounds, shown, first, state, acts)


def count(stage: Stage, played: Played) -> Counts:
    """Per human user of the log: found (hidden interests first clicked), slots, clicks, hides, fresh (sum over seen),
    seen; new, found_new: of exploration places.
    """
    audience = stage.market.audience
    n = audience.n_users
    known = np.zeros(audience.strength.shape, np.bool_)
    out = {name: np.zeros(n) for name in ("found", "slots", "clicks", "hides", "fresh", "seen", "found_new", "new")}
    for outcome, lists in zip(played.rounds, played.lists, strict=True):
        new = np.zeros(outcome.lists.shape, np.bool_)
        new[stage.user] = lists.new
        interest = np.where(outcome.lists >= 0, audience.interest_of_item[outcome.lists], 0)
        hit = outcome.clicked & np.take_along_axis(audience.hidden & ~known, interest, axis=1)
        for name, flags in (("found", hit), ("found_new", hit & new)):
            pairs = np.zeros(known.shape, np.bool_)
            user, place = np.nonzero(flags)
            pairs[user, interest[user, place]] = True
            out[name] += pairs.sum(axis=1)
            if name == "found":
                found = pairs
        known |= found
        out["slots"] += (outcome.lists >= 0).sum(axis=1)
        out["new"] += new.sum(axis=1)
        for name, values in outcome.by_user().items():
            if name in out:
                out[name] += values
    return {name: values[stage.people] for name, values in out.items()}
