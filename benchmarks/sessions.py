"""Exploration and aversion in simulated sessions, where true interests are known.

    python benchmarks/sessions.py [--seeds 31,32,33] [--users 600] [--items 2000] [--rounds 8] [-k 10]
        [--boredom 0] [--only exploration]

A made-up market loses up to two strong interests of every user from its log (`hide_interests`); the model is fitted on
what is left. Then, day by day, every policy shows each user a list, the users act as stated (`sessions.Behaviour`), and
what they did joins the log: pasts, profiles and transitions are read anew, fitted signals and the ranker stay. No
policy shows an item to a user twice. Users do nothing but answer the lists. Intervals are 95 % bootstraps over the
users of all seeds (of AUC: over places).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from penchant.config import Config, RunOptions, build_config
from penchant.data import BoolArray, Events, IntArray, Items, Log, Profiles
from penchant.interests.profiles import make_profiles
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.io.world.audience import HiddenMarket, hide_interests
from penchant.io.world.sessions import DAY, Behaviour, Memory, Round, as_events, show
from penchant.pipeline import Ground, lay_ground, train_recommender
from penchant.recommend import Recommender
from penchant.recommend.aversion import features_of_all, felt, read_evidence
from penchant.recommend.graduation import Graduation, graduation
from penchant.recommend.ignored import impressed
from penchant.recommend.past import read_past
from penchant.recommend.transitions import fit_transitions
from penchant.scorers import top_items

SHARES = (0.6, 0.25, 0.1, 0.05)
BOLDER = ((0.5, 0.2, 0.1, 0.2), (0.4, 0.2, 0.1, 0.3))
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
    acts: list[pl.DataFrame]


def play(
    stage: Stage, policy: Policy, n_rounds: int, k: int, behaviour: Behaviour, before: Played | None = None
) -> Played:
    """Let a policy show its lists for some days, the first ones or those after others."""
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


# --- aversion ---


def mixed(stage: Stage, state: State, k: int, day: int) -> Lists:
    """Half of the places by rank, half drawn evenly from all else: what is shown says little of what was thought."""
    ours = ranked(None)(stage, state, k, day).items[:, : k // 2]
    drawn = at_random(stage, state, 2 * k, day).items
    again = (drawn[:, :, None] == ours[:, None, :]).any(axis=2)
    order = np.argsort(again, axis=1, kind="stable")[:, : k - k // 2]
    both = np.hstack([ours, np.take_along_axis(drawn, order, axis=1)])
    shuffled = np.random.default_rng([stage.seed, day, 2]).permuted(np.arange(k)[None, :].repeat(len(both), 0), axis=1)
    return _plain(np.take_along_axis(both, shuffled, axis=1))


def predict_skips(stage: Stage, state: State, items: IntArray) -> dict[str, npt.NDArray[np.float32]]:
    """(n, k) scores of places by several readings of the same log, higher = passed over rather."""
    one = state.recommender
    known, leaves = one.penalties.evidence, stage.ground.tree.membership
    rows = np.maximum(items, 0)
    model, dislike = one.penalties.model, one.penalties.dislike
    if model is None or dislike is None:
        raise SystemExit("too few skips or likes to learn from")
    user = np.repeat(np.arange(len(rows), dtype=np.int32), rows.shape[1])
    clicked = one.past.matrix()

    def on_leaf(matrix: sp.csr_array) -> npt.NDArray[np.float32]:
        return felt(matrix, leaves, user, rows.ravel()).reshape(rows.shape)

    everything = np.ones((1, len(leaves.indptr) - 1), np.float32)
    size = felt(sp.csr_array(everything), leaves, np.zeros_like(user), rows.ravel()).reshape(rows.shape)
    ignored, taken = on_leaf(known.ignored), on_leaf(clicked)
    features = features_of_all(known, one.signals.membership, rows)
    return {
        "predicted skip": model.probability(features),
        "predicted dislike": dislike.probability(features),
        "not clicked, shown or never": 1 - taken / np.maximum(size, 1e-9),
        "shown and not clicked": (ignored + 1) / (ignored + taken + 2),
        "likes alone": -on_leaf(known.liked),
    }


def judge_skips(
    stage: Stage, behaviour: Behaviour, n_rounds: int, k: int
) -> tuple[Stage, Played, dict[str, npt.NDArray[np.float64]]]:
    """Days of mixed lists, a new fit, and one more day that is foretold: label and scores of its seen places."""
    played = play(stage, mixed, n_rounds, k, behaviour)
    events, items = played.last.events, played.last.items
    again = replace(stage, recommender=train_recommender(events, items, stage.ground, stage.config, RunOptions()))
    last = play(again, mixed, 1, k, behaviour, played)
    outcome, lists = last.rounds[0], last.lists[0]
    human = stage.market.audience.human[stage.user]
    seen = outcome.seen[stage.user] & human[:, None]
    found = predict_skips(again, read_again(again, played.acts), lists.items)
    found["true chance (ceiling)"] = 1 - outcome.chance[stage.user]
    label = {"skip": ~outcome.clicked[stage.user][seen], "hide": outcome.hidden[stage.user][seen]}
    return again, played, {**label, **{name: values[seen] for name, values in found.items()}}


def lowered(aversion: float | None, saturation: float | None) -> Policy:
    """By rank, with penalties of a stated strength (None: as the windows of the log have it)."""

    def policy(stage: Stage, state: State, k: int, day: int) -> Lists:
        asked = {"aversion": aversion, "saturation": saturation}
        stated = replace(state.recommender.penalties, **{n: v for n, v in asked.items() if v is not None})  # type: ignore[arg-type]
        one = replace(state, recommender=replace(state.recommender, penalties=stated))
        return ranked(None)(stage, one, k, day)

    return policy


LOWERED: dict[str, Policy] = {
    "no penalties": lowered(0.0, 0.0),
    "as past windows say (auto)": lowered(None, None),
    "aversion 0.25": lowered(0.25, 0.0),
    "aversion 1": lowered(1.0, 0.0),
    "saturation 0.5": lowered(0.0, 0.5),
}


def print_skips(parts: list[dict[str, npt.NDArray[np.float64]]]) -> None:
    """AUC of each reading, pooled over seeds, with 95 % bootstrap intervals over places."""
    whole = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    draw = np.random.default_rng(0).integers(0, len(whole["skip"]), (200, len(whole["skip"])))
    names = [name for name in whole if name not in ("skip", "hide")]
    rows = [[name] for name in names]
    for label in ("skip", "hide"):
        y = whole[label]
        redrawn = np.array([[roc_auc_score(y[d], whole[name][d]) for name in names] for d in draw if y[d].sum() > 0])
        for row, name, values in zip(rows, names, redrawn.T, strict=True):
            low, high = np.quantile(values, [0.025, 0.975])
            behind = np.quantile(redrawn[:, 0] - values, [0.025, 0.975])
            row += [f"{roc_auc_score(y, whole[name]):.3f} [{low:.3f}, {high:.3f}]", f"{behind[0]:.3f}..{behind[1]:.3f}"]
    print(f"\nSkips: {len(whole['skip']):,} seen places, {whole['skip'].mean():.1%} passed over, "
          f"{whole['hide'].sum():.0f} hidden")  # fmt: skip
    show_table(
        pl.DataFrame(
            rows, schema=["score", "AUC of skips", "ours less it", "AUC of hides", "ours less this"], orient="row"
        )
    )


def print_lowered(parts: dict[str, list[Counts]]) -> None:
    """The satisfaction of users under penalties."""
    whole = {name: {key: np.concatenate([p[key] for p in ps]) for key in ps[0]} for name, ps in parts.items()}
    base = whole["no penalties"]
    rows = [
        (
            name,
            told(c["clicks"], c["slots"], 100),
            told(c["clicks"] - base["clicks"], base["clicks"], 100),
            told(c["hides"], c["slots"], 100),
            f"{c['fresh'].sum() / c['seen'].sum():.2f}",
        )
        for name, c in whole.items()
    ]
    columns = ["penalties", "clicks / 100 slots", "clicks, % to none", "hides / 100 slots", "freshness"]
    show_table(pl.DataFrame(rows, schema=columns, orient="row"))


def show_table(table: pl.DataFrame) -> None:
    """The whole of a table."""
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=40, tbl_hide_dataframe_shape=True,
                   tbl_hide_column_data_types=True):  # fmt: skip
        print(table)


POLICIES: dict[str, Policy] = {
    "slots 60/25/10/5": ranked(SHARES),
    "slots 50/20/10/20": ranked(BOLDER[0]),
    "slots 40/20/10/30": ranked(BOLDER[1]),
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
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--boredom", type=float, default=Behaviour().boredom, help="0 = users never tire")
    parser.add_argument("--only", default="", help="exploration or aversion")
    parser.add_argument("-k", type=int, default=10)
    asked = parser.parse_args()
    behaviour = Behaviour(boredom=asked.boredom)
    found: dict[str, list[Counts]] = {name: [] for name in POLICIES}
    pleased: dict[str, list[Counts]] = {name: [] for name in LOWERED}
    grown: dict[str, list[Graduation]] = {name: [] for name in POLICIES if name.startswith("slots ")}
    skips = []
    for seed in (int(s) for s in asked.seeds.split(",")):
        stage = set_stage(seed, asked.users, asked.items)
        print(f"seed {seed}: {stage.recommender.chosen} ranks; {stage.ground.tree.n_leaves} leaves; transitions "
              f"{stage.recommender.transitions.report.rows(named=True)[0]}; {stage.recommender.penalties.notes}",
              flush=True)  # fmt: skip
        for name, policy in POLICIES.items() if asked.only != "aversion" else ():
            played = play(stage, policy, asked.rounds, asked.k, behaviour)
            found[name].append(count(stage, played))
            if name in grown:
                grown[name].append(graduation(explored(played), played.first, played.last.profiles))
        if asked.only != "exploration":
            again, played, places = judge_skips(stage, behaviour, asked.rounds, asked.k)
            skips.append(places)
            print(
                again.recommender.penalties.model,
                again.recommender.penalties.dislike,
                *again.recommender.penalties.report.rows(),
                sep="\n",
                flush=True,
            )
            for name, policy in LOWERED.items():
                pleased[name].append(count(stage, play(again, policy, asked.rounds // 2, asked.k, behaviour, played)))
    if asked.only != "aversion":
        print_exploration(found)
        for name, parts in grown.items():
            n, touched, up = (sum(getattr(g, f"n_{x}") for g in parts) for x in ("explored", "touched", "graduated"))
            print(f"{name}: {n} new (user, interest) pairs shown, {touched} taken up, {up} core or secondary after "
                  f"{asked.rounds} rounds ({up / max(1, touched):.0%} of those taken up)")  # fmt: skip
    if asked.only != "exploration":
        print_skips(skips)
        print_lowered(pleased)


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
    show_table(pl.DataFrame(rows, schema=columns, orient="row"))


if __name__ == "__main__":
    main()
