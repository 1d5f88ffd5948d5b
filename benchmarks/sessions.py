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
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from penchant.config import RunOptions, build_config
from penchant.data import IntArray
from penchant.evaluate.interval import quantiles, ratio_draws
from penchant.io.world.sessions import Behaviour
from penchant.pipeline import train_recommender
from penchant.recommend.aversion import features_of_all, felt
from penchant.recommend.graduation import Graduation, graduation
from penchant.simulation import SLOTS
from penchant.simulation.play import Counts, Played, count, play
from penchant.simulation.policies import Lists, Policy, at_random, plain, popular, ranked
from penchant.simulation.stage import Stage, State, read_again, set_stage

SHARES = SLOTS
BOLDER = ((0.5, 0.2, 0.1, 0.2), (0.4, 0.2, 0.1, 0.3), (0.35, 0.15, 0.1, 0.4))
SETTINGS = {"encode": {"method": "tfidf"}}


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


def interval(top: npt.NDArray[np.float64], bottom: npt.NDArray[np.float64], n: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval over users of a ratio of sums."""
    low, high = quantiles(ratio_draws(top[:, None], bottom[:, None], n_bootstrap=n, seed=0)[1], 0.025)
    return float(low[0]), float(high[0])


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
    return plain(np.take_along_axis(both, shuffled, axis=1))


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
    "slots 35/15/10/40": ranked(BOLDER[2]),
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
        stage = set_stage(asked.users, asked.items, build_config({**SETTINGS, "seed": seed}))
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
