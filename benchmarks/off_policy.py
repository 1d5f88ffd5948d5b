"""Off-policy estimates against the truth, in logs that a known chance policy made in a made-up market.

    python benchmarks/off_policy.py [--users 300] [--items 400] [--seed 51] [--logs 100] [--rounds 2,8] [-k 10]
        [--tables 1,2]

The log's policy lists items with chances that rise with the users' true interests (and some noise); users click as
stated in `penchant.io.world.sessions`. Three policies are judged: the true best items, those of a noisy guess, the
most popular. Their truth is what the same users click of their lists. First users whose clicks depend on user and item
alone, as the estimators suppose; then users who look less at low places, and who also tire of like items, which is
what the estimators do not know. Bias and spread are over logs, in percent of the truth; `held`: share of the 95 %
intervals with the truth in them; `flagged`: share of logs in which the estimate is marked as not to be trusted.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import EvaluateConfig
from penchant.data import FloatArray, IntArray
from penchant.evaluate.off_policy import OK, estimate
from penchant.evaluate.shown import Shown
from penchant.io.world import make_world
from penchant.io.world.audience import Audience, hide_interests
from penchant.io.world.chance_lists import draw_lists, inclusion_chances
from penchant.io.world.sessions import Behaviour, Memory, show
from penchant.scorers import top_items

USERS_OF = {
    "clicks by item alone": Behaviour(position=0.0, boredom=0.0, again=1.0),
    "low places are looked at less": Behaviour(boredom=0.0, again=1.0),
    "and like items bore": Behaviour(again=1.0),
}
WRONG = {"propensities twice too high": 2.0, "propensities half of the right": 0.5}


def policies(audience: Audience, seed: int, k: int) -> tuple[dict[str, IntArray], FloatArray]:
    """Lists of the policies to judge, and scores that the log's policy draws by."""
    rng = np.random.default_rng([seed, 5])
    truth = audience.strength[:, audience.interest_of_item]
    noise = rng.normal(0, 1, (3, *truth.shape)).astype(np.float32)
    guess = truth + 0.15 * noise[0]
    crowd = np.broadcast_to(truth.mean(axis=0) + 1e-3 * noise[1, 0], truth.shape)
    lists = {"true best": truth + 1e-3 * noise[1], "noisy guess": guess, "popular": crowd}
    return {name: top_items(np.ascontiguousarray(s), k) for name, s in lists.items()}, truth + 0.15 * noise[2]


def one_log(audience: Audience, chances: FloatArray, behaviour: Behaviour, n_rounds: int, seed: int) -> Shown:
    """What a log of some rounds holds; users forget between rounds."""
    fresh, n, k = Memory.fresh(audience), audience.n_users, round(float(chances[0].sum()))
    drawn = [draw_lists(chances, seed=seed + r) for r in range(n_rounds)]
    clicked = [show(audience, behaviour, fresh, x, day=0, seed=seed + r).clicked for r, x in enumerate(drawn)]
    lists = np.concatenate(drawn)
    user = np.tile(np.arange(n, dtype=np.int32), n_rounds)
    return Shown(
        np.repeat(user, k),
        lists.ravel(),
        np.asarray(chances[user[:, None], lists].ravel(), np.float64),
        np.repeat(np.arange(len(lists)), k).astype(np.int32),
        np.tile(np.arange(1, k + 1), len(lists)).astype(np.int32),
        np.concatenate([c.ravel() for c in clicked]),
        0,
    )


def true_value(audience: Audience, behaviour: Behaviour, lists: IntArray, n: int = 200) -> float:
    """Clicks a list, the mean over many showings to users who have seen nothing."""
    fresh = Memory.fresh(audience)
    return float(np.mean([show(audience, behaviour, fresh, lists, day=0, seed=10_000_000 + i).clicked.sum(axis=1).mean()
                          for i in range(n)]))  # fmt: skip


def judge(
    audience: Audience, chances: FloatArray, lists: Mapping[str, IntArray], behaviour: Behaviour,
    n_rounds: int, n_logs: int, k: int, factor: float = 1.0,
) -> pl.DataFrame:  # fmt: skip
    """One row a policy and estimator: bias, spread, held, flagged."""
    users = np.arange(audience.n_users, dtype=np.int32)
    seen = sp.csr_array((audience.n_users, len(audience.item_ids)), dtype=np.float32)
    config = EvaluateConfig(k=k, n_bootstrap=100)
    tables = []
    for i in range(n_logs):
        log = one_log(audience, chances, behaviour, n_rounds, 1000 * (i + 1))
        log = Shown(log.user_row, log.item_row, np.minimum(1.0, log.propensity * factor), log.list_row, log.place,
                    log.taken, 0)  # fmt: skip
        tables.append(estimate(log, lists, users, seen, config, seed=i))
    found, rows = pl.concat(tables), []
    for name, items in lists.items():
        truth = true_value(audience, behaviour, items)
        own = found.filter(pl.col("method") == name)
        row: dict[str, object] = {"policy": name, "true": round(truth, 3)}
        for estimator in ("ips", "clipped_ips", "snips"):
            value = own[estimator].to_numpy() / truth - 1
            held = ((own[f"{estimator}_low"] <= truth) & (truth <= own[f"{estimator}_high"])).mean()
            row[f"{estimator}: bias, spread, held"] = f"{value.mean():+.1%}, {value.std():.1%}, {held:.0%}"
        row["effective n"] = f"{own['effective_n'].mean():,.0f}"
        row["flagged"] = f"{(own['trust'] != OK).mean():.0%}"
        rows.append(row)
    return pl.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--seed", type=int, default=51)
    parser.add_argument("--logs", type=int, default=100)
    parser.add_argument("--tables", default="", help="numbers of the tables to print, from 1; default: all")
    parser.add_argument("--rounds", default="2,8")
    parser.add_argument("-k", type=int, default=10)
    asked = parser.parse_args()
    market = hide_interests(make_world(n_users=asked.users, n_items=asked.items, seed=asked.seed), per_user=0)
    lists, thought = policies(market.audience, asked.seed, asked.k)
    chances = inclusion_chances(thought, asked.k, temperature=0.2)
    rounds = [int(r) for r in asked.rounds.split(",")]
    plain = next(iter(USERS_OF.values()))
    tables = [(about, behaviour, n, asked.logs, 1.0) for about, behaviour in USERS_OF.items()
              for n in (rounds if behaviour is plain else rounds[-1:])]  # fmt: skip
    tables += [(about, plain, rounds[-1], max(2, asked.logs // 4), factor) for about, factor in WRONG.items()]
    only = {int(t) for t in asked.tables.split(",")} if asked.tables else set(range(1, len(tables) + 1))
    for number, (about, behaviour, n, n_logs, factor) in enumerate(tables, 1):
        if number in only:
            print(f"\n{number}. {about}; {n_logs} logs of {n * asked.users:,} lists of {asked.k}", flush=True)
            show_table(judge(market.audience, chances, lists, behaviour, n, n_logs, asked.k, factor))


def show_table(table: pl.DataFrame) -> None:
    """The whole of a table."""
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, fmt_str_lengths=60, tbl_hide_dataframe_shape=True,
                   tbl_hide_column_data_types=True):  # fmt: skip
        print(table)


if __name__ == "__main__":
    main()
