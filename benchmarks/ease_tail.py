"""EASE beyond its dense head: NDCG@10 of the head alone, of head and tail, and (where it fits) of all items in full.

    python benchmarks/ease_tail.py [--data DIR] [--logs world30k,goodbooks_sample] [--heads 1000,2000,4000]

`world30k` is a made-up market of 30,000 items and 4,000 users, seed 10. The last tenth of the events is the test; items
nobody liked before it are left out. "without to_head": past tail items say nothing. Seconds are of one thread. "full"
is skipped above 12,000 liked items.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import build_config
from penchant.evaluate.ranking import score_lists
from penchant.evaluate.split import split_by_time
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.scorers import top_lists
from penchant.scorers.ease import Ease
from penchant.scorers.tail import Tail
from signals import interval, read

K, MOST_IN_FULL = 10, 12_000


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path)
    ask.add_argument("--logs", default="world30k")
    ask.add_argument("--heads", default="1000,2000,4000")
    asked = ask.parse_args()
    pl.Config.set_tbl_rows(50).set_tbl_cols(20).set_tbl_width_chars(160).set_tbl_hide_dataframe_shape(True)
    pl.Config.set_tbl_hide_column_data_types(True)
    for name in asked.logs.split(","):
        print(compare(name, asked.data, [int(n) for n in asked.heads.split(",")]), flush=True)


def compare(name: str, data: Path | None, heads: list[int]) -> pl.DataFrame:
    """A row a form of EASE."""
    if name == "world30k":
        world = make_world(n_users=4000, n_items=30_000, seed=10)
        log = read_log(world.events, world.items, config=build_config({}).io)
    else:
        log = read(name, data, 0)[0]
    split = split_by_time(log.events, 0.1)
    n = len(log.items)
    target, history, seen = split.targets(n, "leave_out"), split.history(n), split.seen(n)
    users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
    n_liked = len(np.unique(history.indices))
    rows = []
    for head in [h for h in heads if h < n_liked] + ([n_liked] if n_liked <= MOST_IN_FULL else []):
        alone = None
        for tail in (0, 3) if head < n_liked else (0,):
            start = time.perf_counter()
            scorer = Ease(max_items=head, tail_users=tail)
            scorer.fit(split.train, n)
            seconds = time.perf_counter() - start
            forms = {"full" if head == n_liked else "head and tail" if tail else "head alone": scorer.tail}
            if tail:
                nothing = sp.csr_array(scorer.tail.to_head.shape, dtype=np.float32)
                forms["without to_head"] = Tail(scorer.tail.to_tail, nothing)
            for form, kept in forms.items():
                scorer.tail = kept
                lists = top_lists(scorer, users, history, K, seen=seen)
                ndcg = score_lists(lists, target, users)[f"ndcg@{K}"].to_numpy()
                alone = ndcg if alone is None else alone
                reached = len(scorer.kept_rows) + len(scorer.tail_rows)
                mb = (scorer.weights.nbytes + sum(m.data.nbytes * 2 for m in (kept.to_tail, kept.to_head))) / 2**20
                rows.append((name, len(users), n_liked, head, form, reached, round(float(ndcg.mean()), 4),
                             *interval([ndcg - alone]), round(seconds, 1), round(mb)))  # fmt: skip
    columns = [
        "log",
        "users",
        "liked",
        "head",
        "form",
        "reached",
        f"ndcg@{K}",
        "gain",
        "low",
        "high",
        "s",
        "MB",
    ]
    return pl.DataFrame(rows, schema=columns, orient="row")


if __name__ == "__main__":
    main()
