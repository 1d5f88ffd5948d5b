"""People who are not in the log: lists from their first 1, 2 and 5 likes, against popularity and likeness of texts.

    python benchmarks/cold_start.py --data DIR [--only online_retail,ml_1m] [--first 1,2,5]

DIR holds one folder a log with events.parquet and items.parquet (see real_logs.py). A model is fitted on the first four
fifths of the events. Tested are users none of whose events it saw: their first likes are given as a session, what they
newly liked after those are the targets (items that somebody liked before the cut). Everybody has more likes than are
given, so the groups differ: the more are given, the more active the users. All items are ranked.

popular, popular_7d, popular_30d   the items most users liked before the cut
item_knn, als                      the same session given to these peers, each with its default settings
texts                              cosine to the mean text of the session, nothing learned
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import RunOptions, build_config
from penchant.data import Events, IntArray
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.ranking import score_lists
from penchant.evaluate.split import split_by_time
from penchant.io import read_log
from penchant.pipeline import fit_log
from penchant.scorers import build_scorer, top_items, top_lists
from real_logs import LOGS

K = 10
PEERS = ("popular", "popular_7d", "popular_30d", "item_knn", "als")


def main() -> None:
    """Print one table a log and number of likes given."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--only", default=",".join(LOGS))
    ask.add_argument("--first", default="1,2,5")
    asked = ask.parse_args()
    pl.Config.set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True)
    for name in asked.only.split(","):
        config = build_config(LOGS[name])
        log = read_log(*(asked.data / name / f"{part}.parquet" for part in ("events", "items")), config=config.io)
        split = split_by_time(log.events, config.evaluate.test_share)
        model = fit_log(replace(log, events=split.train), config, RunOptions(progress=True))
        n_items = len(log.items)
        known = np.bincount(split.train.positive().item_row, minlength=n_items) > 0
        new = split.test.positive().take(~np.isin(split.test.positive().user_row, split.train.user_row))
        for n in map(int, asked.first.split(",")):
            given, target, users = first_likes(new, n, known)
            print(f"\n{name}, the first {n} of {len(users):,} new users")
            if len(users) < 2:
                print("too few to test")
                continue
            seen = given.matrix(n_items, binary=True)
            owners = np.searchsorted(users, given.user_row).astype(np.int32)
            found = model.recommender.recommend_from_items(
                given.item_row, np.ones(len(given), np.float32), user_rows=owners, n_users=len(users), k=K
            )
            lists = {"penchant": found.lists(np.arange(len(users), dtype=np.int32), K)}
            for peer in PEERS:
                scorer = build_scorer(peer, items=log.items, seed=config.seed)
                scorer.fit(split.train, n_items)
                lists[peer] = top_lists(scorer, users, seen, K, seen=seen)
            if model.space.text is not None:
                text = model.space.text.values
                likeness = np.asarray(seen[users] @ text @ text.T, np.float32)
                lists["texts"] = top_items(likeness, K, sp.csr_array(seen[users]))
            print(table(lists, target, users))


def first_likes(liked: Events, n: int, known: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[
    Events, sp.csr_array, IntArray
]:  # fmt: skip
    """The first n likes of each user, what is newly liked after them of known items, and the users who have both."""
    first = liked.own_index < n
    given, after = liked.take(first), liked.take(~first)
    n_items = len(known)
    target = after.matrix(n_items, binary=True)
    target = sp.csr_array(target - target.multiply(given.matrix(n_items, binary=True)))
    target.data *= known[target.indices]
    target.eliminate_zeros()
    target.sort_indices()
    users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
    return given.take(np.isin(given.user_row, users)), target, users


def table(lists: dict[str, IntArray], target: sp.csr_array, users: IntArray) -> pl.DataFrame:
    """NDCG@10 and recall@10 with intervals over users, and ours less each."""
    scores = {name: score_lists(found, target, users, (K,)) for name, found in lists.items()}
    ours = scores["penchant"][f"ndcg@{K}"].to_numpy()
    rows = []
    for name, own in scores.items():
        ndcg, recall = own[f"ndcg@{K}"].to_numpy(), own[f"recall@{K}"].to_numpy()
        ends = bootstrap(np.column_stack([ndcg, recall, ours - ndcg]), n_bootstrap=1000, seed=0)
        rows.append(
            {
                "method": name,
                "ndcg@10": f"{ends.mean[0]:.4f} ({ends.low[0]:.4f}-{ends.high[0]:.4f})",
                "recall@10": f"{ends.mean[1]:.4f}",
                "ours less it": ""
                if name == "penchant"
                else f"{ends.mean[2]:+.4f} ({ends.low[2]:+.4f} to {ends.high[2]:+.4f})",
            }
        )
    return pl.DataFrame(rows)


if __name__ == "__main__":
    main()
