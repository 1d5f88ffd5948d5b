"""Do lists for segments and audiences for items foretell what comes: `python benchmarks/kinds.py [--seeds 5,6,7]`.

Made-up markets, fitted on the first 85 % of the events. Segments: one list for all members, judged by NDCG@10 and
recall@10 of what each of them took later and had not had; beside what the segment's members took most, and what
everybody took most, ever or lately. Audiences: for each item that at least three users took later for the first time,
the share of them in the best tenth of users; beside each of the two orders alone, and the users with most events.
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

import penchant as pc
from penchant.config import build_config
from penchant.evaluate.ranking import score_lists
from penchant.io.world import make_world
from penchant.kinds.reach import chances, measure

CUT = 0.85


def market(seed: int) -> tuple[pc.Model, npt.NDArray[np.bool_]]:
    """A model of the past, and (n_users, n_items) what each user took later for the first time."""
    world = make_world(n_users=500, n_items=500, n_days=120, seed=seed)
    events = world.events.sort("timestamp", maintain_order=True)
    cut = int(CUT * events.height)
    model = pc.fit(events[:cut], world.items, config=build_config({"encode": {"method": "tfidf"}}))
    known = events[cut:].filter(
        pl.col("user_id").is_in(model.user_ids.implode()) & pl.col("item_id").is_in(model.items.item_ids.implode())
    )
    later = np.zeros((len(model.user_ids), len(model.items)), np.bool_)
    later[model.user_rows(known["user_id"].to_list()), model.item_rows(known["item_id"].to_list())] = True
    return model, later & (model.recommender.past.touched.toarray() == 0)


def segment_scores(model: pc.Model, later: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.float64]]:
    """(n, 2) NDCG@10 and recall@10 of each user who took something new later, by method."""
    liked = model.recommender.past.matrix()
    out: dict[str, list[npt.NDArray[np.float64]]] = {}
    for row, name in enumerate(model.segments.table["segment_id"]):
        members = np.flatnonzero(model.segments.segment_row == row)
        users = members[later[members].any(axis=1)]
        own = np.asarray(liked[members].sum(axis=0)).ravel()
        every = np.asarray(liked.sum(axis=0)).ravel()
        lists = {
            "members' lists": model.item_rows(model.recommend_for_segment(name, 10)["item_id"].to_list()),
            "popular in the segment": np.argsort(-own, kind="stable")[:10],
            "popular": np.argsort(-every, kind="stable")[:10],
            "popular, last 30 days": model.item_rows(model.recommend(["(nobody)"], 10)["item_id"].to_list()),
        }
        target = sp.csr_array(later[users].astype(np.float32))
        for method, items in lists.items():
            same = np.tile(items.astype(np.int32), (len(users), 1))
            found = score_lists(same, target, np.arange(len(users), dtype=np.int32))
            out.setdefault(method, []).append(found.select("ndcg@10", "recall@10").to_numpy())
    return {method: np.concatenate(parts) for method, parts in out.items()}


def audience_scores(model: pc.Model, later: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.float64]]:
    """(n_items,) share of the later takers in the best tenth of users, by method."""
    n_users = len(model.user_ids)
    chance, k = chances(model), -(-n_users // 10)
    active = model.recommender.past.activity[:, 0]
    out: dict[str, list[float]] = {}
    for item in np.flatnonzero(later.sum(axis=0) >= 3):
        rows = np.array([item], np.int32)
        expected, together, had = measure(model, chance, rows, sp.csr_array(model.tree.membership[rows]))
        both = model.user_rows(model.audience_for([model.items.item_ids[int(item)]]).users["user_id"].to_list())
        orders = {"expected interest": expected, "taken together": together, "most events": active}
        best = {name: np.argsort(-np.where(had, -np.inf, v), kind="stable")[:k] for name, v in orders.items()}
        for name, users in {"both": both, **best}.items():
            out.setdefault(name, []).append(float(later[users, item].sum() / later[:, item].sum()))
    return {name: np.array(values) for name, values in out.items()}


def main() -> None:
    """Fit a market a seed and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="5,6,7")
    markets = [market(int(seed)) for seed in parser.parse_args().seeds.split(",")]
    lists = [segment_scores(*each) for each in markets]
    print("one list a segment            NDCG@10  recall@10  users")
    for name in lists[0]:
        values = np.concatenate([each[name] for each in lists])
        print(f"{name:28}  {values[:, 0].mean():7.3f}  {values[:, 1].mean():9.3f}  {len(values):5}")
    audiences = [audience_scores(*each) for each in markets]
    print("\nthe best tenth of users       share of later takers  items")
    for name in audiences[0]:
        shares = np.concatenate([each[name] for each in audiences])
        print(f"{name:28}  {shares.mean():21.3f}  {len(shares):5}")


if __name__ == "__main__":
    main()
