"""Exploration and aversion in simulated sessions, where true interests are known.

    python benchmarks/sessions.py [--seeds 31,32,33] [--users 600] [--items 800] [--rounds 8] [-k 10]

A made-up market loses up to two strong interests of every user from its log (`hide_interests`); the model is fitted on
what is left. Then, day by day, every policy shows each user a list, the users act as stated (`sessions.Behaviour`), and
what they did joins the log: pasts, profiles and transitions are read anew, fitted signals and the ranker stay. Users do
nothing but answer the lists. Intervals are 95 % bootstraps over the users of all seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.config import Config, RunOptions, build_config
from penchant.data import BoolArray, Events, IntArray, Items, Log, Profiles
from penchant.interests.profiles import make_profiles
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.io.world.audience import HiddenMarket, hide_interests
from penchant.io.world.sessions import DAY, Behaviour, Memory, Round, as_events, show
from penchant.pipeline import Ground, lay_ground, train_recommender
from penchant.recommend import Recommender
from penchant.recommend.graduation import graduation
from penchant.recommend.past import read_past
from penchant.recommend.transitions import fit_transitions
from penchant.scorers import top_items

SHARES = (0.6, 0.25, 0.1, 0.05)
SETTINGS = {"encode": {"method": "tfidf"}}
Counts = dict[str, npt.NDArray[np.float64]]


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
    seed: int


@dataclass(frozen=True)
class State:
    """What is known on a day: the log so far, and the recommender and profiles that have read it."""

    events: Events
    items: Items
    recommender: Recommender
    profiles: Profiles


@dataclass(frozen=True)
class Lists:
    """items: (n_users of the log, k) rows of its catalogue, -1 = none · new, leaf: (n, k) exploration places."""

    items: IntArray
    new: BoolArray
    leaf: IntArray


Policy = Callable[[Stage, State, int, int], Lists]


def set_stage(seed: int, n_users: int, n_items: int) -> Stage:
    """Make a market, hide interests, fit a model on what is left."""
    market = hide_interests(make_world(n_users=n_users, n_items=n_items, seed=seed), seed=seed)
    config = build_config({**SETTINGS, "seed": seed})
    log = read_log(market.world.events, market.world.items, config=config.io)
    ground = lay_ground(log.events, log.items, config, RunOptions())
    recommender = train_recommender(log.events, log.items, ground, config, RunOptions())
    user, item = (
        np.asarray(ids.to_frame("id").join(truth.to_frame("id").with_row_index("row"), on="id", how="left")["row"])
        for ids, truth in (
            (log.events.user_ids, market.audience.user_ids),
            (log.items.item_ids, market.audience.item_ids),
        )
    )
    return Stage(market, config, log, ground, recommender, user, item, seed)


def read_again(stage: Stage, acts: list[pl.DataFrame]) -> State:
    """The state after some rounds: what was fitted stays, what is read of the log is read anew."""
    raw = pl.concat([stage.market.world.events, *acts], how="diagonal_relaxed")
    log = read_log(raw, stage.market.world.items, config=stage.config.io)
    if not log.events.user_ids.equals(stage.log.events.user_ids) or len(log.items) != len(stage.log.items):
        raise SystemExit("the log's users or items changed their rows")
    ground, config = stage.ground, stage.config
    profiles = make_profiles(log.events, log.items, ground.tree, ground.forecast, config.interests)
    recommender = replace(
        stage.recommender,
        past=read_past(log.events, len(log.items)),
        transitions=fit_transitions(log.events, ground.tree.membership, seed=config.seed),
    )
    return State(log.events, log.items, recommender, profiles)


# --- policies ---


def as_lists(table: pl.DataFrame, n_users: int, k: int) -> Lists:
    """The matrix form of a table of recommendations."""
    items, leaf = (np.full((n_users, k), -1, np.int32) for _ in range(2))
    new = np.zeros((n_users, k), np.bool_)
    at = (table["user_row"].to_numpy(), table["rank"].to_numpy() - 1)
    items[at], leaf[at] = table["item_row"].to_numpy(), table["interest_row"].to_numpy()
    new[at] = (table["source"] == "exploration").to_numpy()
    return Lists(items, new, leaf)


def ranked(shares: tuple[float, ...] | None) -> Policy:
    """Our lists, with slots or (None) by rank alone."""

    def policy(stage: Stage, state: State, k: int, day: int) -> Lists:
        one = replace(state.recommender, config=state.recommender.config.model_copy(update={"slots": shares}))
        users = np.arange(state.events.n_users, dtype=np.int32)
        return as_lists(one.recommend(users, state.profiles, k=k).table, len(users), k)

    return policy


def popular(stage: Stage, state: State, k: int, day: int) -> Lists:
    """The most popular untouched items of the last 30 days."""
    touched = state.recommender.past.touched
    scores = np.broadcast_to(state.recommender.signals.popular("popular_30d"), touched.shape)
    return _plain(top_items(np.ascontiguousarray(scores), k, touched))


def at_random(stage: Stage, state: State, k: int, day: int) -> Lists:
    """Untouched items, drawn evenly."""
    touched = state.recommender.past.touched
    draw = np.random.default_rng([stage.seed, day, 1]).random(touched.shape, np.float32)
    return _plain(top_items(draw, k, touched))


def _plain(items: IntArray) -> Lists:
    return Lists(items, np.zeros(items.shape, np.bool_), np.full(items.shape, -1, np.int32))


def explored_by(filler: Policy) -> Policy:
    """Our slots, with the exploration places filled by another policy instead of by transitions."""

    def policy(stage: Stage, state: State, k: int, day: int) -> Lists:
        ours = ranked(SHARES)(stage, state, k, day)
        other = filler(stage, state, 3 * k, day).items
        again = (other[:, :, None] == np.where(ours.new, -2, ours.items)[:, None, :]).any(axis=2)
        order = np.argsort(again, axis=1, kind="stable")
        fresh = np.take_along_axis(other, order, axis=1)
        nth = np.cumsum(ours.new, axis=1) - 1
        items = np.where(ours.new, np.take_along_axis(fresh, np.maximum(nth, 0), axis=1), ours.items)
        return Lists(items.astype(np.int32), ours.new, np.full(items.shape, -1, np.int32))

    return policy


# --- play ---


@dataclass(frozen=True)
class Played:
    """A policy's rounds and lists (rows of the audience, but `new` and `leaf` of the log), and its last state."""

    rounds: list[Round]
    lists: list[Lists]
    first: Profiles
    last: State


def play(stage: Stage, policy: Policy, n_rounds: int, k: int, behaviour: Behaviour) -> Played:
    """Let a policy show its lists for some days."""
    audience = stage.market.audience
    end = int(stage.market.world.events["timestamp"].max())  # type: ignore[arg-type]
    memory, state = Memory.fresh(audience), read_again(stage, [])
    first, acts, rounds, shown = state.profiles, [], [], []
    for day in range(1, n_rounds + 1):
        lists = policy(stage, state, k, day)
        of_all = np.full((audience.n_users, k), -1, np.int32)
        of_all[stage.user] = np.where(lists.items >= 0, stage.item[lists.items], -1)
        outcome = show(audience, behaviour, memory, of_all, day=day, seed=1000 * stage.seed + day)
        memory = outcome.memory
        acts.append(as_events(audience, outcome, start=end + day * DAY))
        rounds.append(outcome)
        shown.append(lists)
        state = read_again(stage, acts)
    return Played(rounds, shown, first, state)


def count(stage: Stage, played: Played) -> Counts:
    """Per human user of the log: found (hidden interests first clicked), slots, clicks, hides; *new: by new places."""
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
        out["clicks"] += outcome.clicked.sum(axis=1)
        out["hides"] += outcome.hidden.sum(axis=1)
        out["fresh"] += (outcome.freshness * outcome.seen).sum(axis=1)
        out["seen"] += outcome.seen.sum(axis=1)
    who = stage.user[audience.human[stage.user]]
    return {name: values[who] for name, values in out.items()}


def interval(top: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64], n: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval over users of a ratio of sums."""
    draw = np.random.default_rng(0).integers(0, len(top), (n, len(top)))
    ratio = top[draw].sum(axis=1) / np.maximum(bottom[draw].sum(axis=1), 1e-9)
    low, high = np.quantile(ratio, [0.025, 0.975])
    return float(low), float(high)


def told(top: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64], scale: float = 1.0) -> str:
    """A ratio of sums with its interval."""
    low, high = interval(top * scale, bottom)
    return f"{scale * top.sum() / max(bottom.sum(), 1e-9):.2f} [{low:.2f}, {high:.2f}]"


POLICIES: dict[str, Policy] = {
    "slots 60/25/10/5": ranked(SHARES),
    "by rank alone (exploitation)": ranked(None),
    "popular": popular,
    "random": at_random,
    "slots, new by popular": explored_by(popular),
    "slots, new by random": explored_by(at_random),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="31,32,33")
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--items", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("-k", type=int, default=10)
    asked = parser.parse_args()
    parts: dict[str, list[Counts]] = {name: [] for name in POLICIES}
    grown = []
    for seed in (int(s) for s in asked.seeds.split(",")):
        stage = set_stage(seed, asked.users, asked.items)
        print(f"seed {seed}: {stage.recommender.chosen} ranks; {stage.ground.tree.n_leaves} leaves", flush=True)
        print(stage.recommender.transitions.report.rows(named=True)[0], flush=True)
        for name, policy in POLICIES.items():
            played = play(stage, policy, asked.rounds, asked.k, Behaviour())
            parts[name].append(count(stage, played))
            if name == "slots 60/25/10/5":
                grown.append(graduation(explored(played), played.first, played.last.profiles))
    print_exploration(parts)
    explored_, touched, up = (sum(getattr(g, f"n_{x}") for g in grown) for x in ("explored", "touched", "graduated"))
    print(f"\nGraduation: {explored_} new (user, interest) pairs shown, {touched} taken up, {up} core or secondary "
          f"{asked.rounds} rounds on ({up / max(1, touched):.0%} of those taken up)")  # fmt: skip


def explored(played: Played) -> pl.DataFrame:
    """user_row, interest_row of all exploration places."""
    parts = []
    for lists in played.lists:
        user, place = np.nonzero(lists.new)
        parts.append(pl.DataFrame({"user_row": user, "interest_row": lists.leaf[user, place]}))
    return pl.concat(parts)


def print_exploration(parts: dict[str, list[Counts]]) -> None:
    """The table of found interests and clicks."""
    whole = {name: {key: np.concatenate([p[key] for p in ps]) for key in ps[0]} for name, ps in parts.items()}
    base = whole["by rank alone (exploitation)"]
    rows = []
    for name, c in whole.items():
        rows.append(
            (
                name,
                told(c["found"], c["slots"], 100),
                told(c["found_new"], c["new"], 100) if c["new"].any() else "-",
                told(c["clicks"], c["slots"], 100),
                told(c["clicks"] - base["clicks"], base["clicks"], 100),
                told(c["hides"], c["slots"], 100),
                f"{c['fresh'].sum() / c['seen'].sum():.2f}",
            )
        )
    columns = ["policy", "found / 100 slots", "found / 100 new slots", "clicks / 100 slots",
               "clicks, % to exploitation", "hides / 100 slots", "freshness"]  # fmt: skip
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=40, tbl_hide_dataframe_shape=True):
        print(pl.DataFrame(rows, schema=columns, orient="row"))


if __name__ == "__main__":
    main()
