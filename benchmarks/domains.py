"""From one domain to another: lists for people who were never seen in it, against what is popular there.

    python benchmarks/domains.py [--data DIR] [--only markets,ml_1m,goodbooks_sample] [--seeds 0,1,2] [--overlap 0.5]
        [--strangers] [--out DIR]

markets            made-up ones of two domains, books and films, that share every interest and a third of its words;
                   half of the users (`--overlap`) act in both
ml_1m, ...         DIR holds one folder a log (see real_logs.py). No log at hand has two domains with common users, so
                   one log is cut in two by genre (CUTS below): which films go to whom of whom only the others are
                   known? What has genres of both sides, or of neither, goes to neither domain.

The fit sees the first four fifths of the events. Of the users who act in both domains before the cut, a half, drawn by
the seed, is tested: a quarter in each direction, none of whose events in the target domain before the cut is read.
Asked for is what they newly liked there after it; all items of the target domain are ranked, but for those they had.

With --strangers the two domains share nobody: what a user did in the second domain is written on another user's name.
All who act in both are tested, in both directions; who they are in the other domain, the fit is not told.

penchant            `recommend(source=, allowed=)`, as `--from --to`
usual ranker        the same lists by the ranker learned on users of whom everything is read
popular, 7d, 30d    how many liked it in the target domain: ever, in the last 7 and 30 days
texts               cosine to the mean text of what they liked in the source domain
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp

from new_items import TEST_SHARE, table
from penchant.config import Config, RunOptions, build_config
from penchant.data import BoolArray, Events, FloatArray, IntArray, Items, Log
from penchant.evaluate.ranking import score_lists
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.pipeline import Ground, lay_ground, train_recommender
from penchant.recommend import Recommender
from penchant.scorers import top_items
from real_logs import LOGS

MARKET = {"n_users": 1000, "n_items": 800, "n_days": 150}
# Genres of the two domains: chosen before any figure was seen, as far apart as the catalogues allow.
CUTS = {
    "ml_1m": (("Drama", "Romance"), ("Action", "Sci-Fi", "Horror")),
    "goodbooks_sample": (("fantasy", "science-fiction"), ("mystery", "thriller", "crime")),
}
POPULAR = ("popular", "popular_7d", "popular_30d")


@dataclass(frozen=True)
class Way:
    """source, to: (n_items,) the two domains · users: rows of those tested · target: (n_users, n_items) 0/1 · had:
    (n_tested, n_items) stored entries are in no list.
    """

    name: str
    source: BoolArray
    to: BoolArray
    users: IntArray
    target: sp.csr_array
    had: sp.csr_array


def read(name: str, seed: int, overlap: float, data: Path | None) -> tuple[Log, Config]:
    """A market or a log, with a column `domain` in the catalogue."""
    if name == "markets":
        config = build_config({})
        world = make_world(**MARKET, seed=seed, overlap=overlap)
        return read_log(world.events, world.items, None, config=config.io), config
    if data is None:
        raise SystemExit("--data: where are the logs? Only --only markets needs none")
    config = build_config(LOGS[name])
    log = read_log(*(data / name / f"{part}.parquet" for part in ("events", "items")), config=config.io)
    one, two = (pl.col("categories").list.set_intersection(list(cut)).list.len() > 0 for cut in CUTS[name])
    domain = pl.when(one & ~two).then(pl.lit("/".join(CUTS[name][0]))).when(two & ~one).then(
        pl.lit("/".join(CUTS[name][1]))
    )  # fmt: skip
    return replace(log, items=Items(log.items.table.with_columns(domain=domain))), config


def part(log: Log) -> Log:
    """The same log with another user for all that somebody did in the second domain: rows n_users and on."""
    events, n = log.events, len(log.events.user_ids)
    second = (
        (log.items.table["domain"] == max(log.items.table["domain"].drop_nulls())).fill_null(value=False).to_numpy()
    )
    there = (events.item_row >= 0) & second[events.item_row]
    table = events.table.with_columns(user_row=pl.Series(events.user_row + n * there, dtype=pl.Int32))
    names = pl.concat([events.user_ids, pl.Series([f"{name}, there" for name in events.user_ids])])
    return replace(log, events=Events(table, names, events.actions, events.clock))


def tasks_of_strangers(log: Log) -> tuple[Events, list[Way]]:
    """Events of the fit, and both directions of a log that was parted: the other half of a user says what was liked."""
    n, cut = len(log.items), log.events.cut_at(1 - TEST_SHARE)
    before, after = log.events.before(cut), log.events.take(log.events.time >= cut)
    domain = log.items.table["domain"]
    pair = sorted(domain.drop_nulls().unique())
    inside = [(domain == name).fill_null(value=False).to_numpy() for name in pair]
    liked, touched, new = before.matrix(n, binary=True), before.touched(n), after.matrix(n, binary=True)
    half = liked.shape[0] // 2
    rows = [np.arange(half), np.arange(half, 2 * half)]
    ways = []
    for source, to in ((0, 1), (1, 0)):
        had = sp.csr_array(touched[rows[to]])
        target = sp.csr_array(new[rows[to]] - new[rows[to]].multiply(had))
        known = (liked[rows[0]] @ inside[0] > 0) & (liked[rows[1]] @ inside[1] > 0)
        target.data *= inside[to][target.indices] & np.repeat(known, np.diff(target.indptr))
        target.eliminate_zeros()
        target.sort_indices()
        some = np.flatnonzero(np.diff(target.indptr))
        nobody = sp.csr_array((half, n), dtype=target.dtype)
        whole = sp.csr_array(sp.vstack([target, nobody] if source == 0 else [nobody, target]))
        users = rows[source][some].astype(np.int32)
        ways.append(Way(f"{pair[source]} -> {pair[to]}", inside[source], inside[to], users, whole, had[some]))
    return before, ways


def make_task(log: Log, seed: int) -> tuple[Events, list[Way]]:
    """Events of the fit, and both directions: each hides its target domain of a quarter of the users of both."""
    domain = log.items.table["domain"]
    pair = sorted(domain.drop_nulls().unique())
    inside = [(domain == name).fill_null(value=False).to_numpy() for name in pair]
    n, cut = len(log.items), log.events.cut_at(1 - TEST_SHARE)
    before, after = log.events.before(cut), log.events.take(log.events.time >= cut)
    liked = before.matrix(n, binary=True)
    both = np.flatnonzero((liked @ inside[0].astype(np.float32) > 0) & (liked @ inside[1].astype(np.float32) > 0))
    tested = np.array_split(np.random.default_rng(seed).permutation(both)[: len(both) // 2], 2)
    new = after.matrix(n, binary=True)
    new = sp.csr_array(new - new.multiply(before.touched(n)))
    hidden = np.zeros(len(before), np.bool_)
    ways = []
    for source, to, group in ((0, 1, tested[0]), (1, 0, tested[1])):
        hidden |= np.isin(before.user_row, group) & (before.item_row >= 0) & inside[to][before.item_row]
        target = new.copy()
        is_tested = np.isin(np.arange(target.shape[0]), group)
        target.data *= inside[to][target.indices] & np.repeat(is_tested, np.diff(target.indptr))
        target.eliminate_zeros()
        target.sort_indices()
        users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
        had = sp.csr_array(before.touched(n)[users])
        ways.append(Way(f"{pair[source]} -> {pair[to]}", inside[source], inside[to], users, target, had))
    return before.take(~hidden), ways


def scores_of(way: Way, log: Log, train: Events, ground: Ground, fitted: Recommender) -> dict[str, FloatArray]:
    """(n_users, 2) NDCG@10 and recall@20 of each method. What the tested users had in the target is in no list."""
    users, n = way.users, len(log.items)
    past = train.matrix(n, binary=True)[users]

    def asked(recommender: Recommender) -> IntArray:
        k = recommender.config.n_candidates
        found = recommender.recommend(users, ground.profiles, k=k, source=way.source, allowed=way.to)
        lists = found.lists(users, k)
        score = np.full((len(users), n), -np.inf, np.float32)
        row, place = np.nonzero(lists >= 0)
        score[row, lists[row, place]] = -place
        return top_items(score, 20, way.had)

    def by(values: FloatArray) -> IntArray:
        return top_items(np.where(way.to, values, -np.inf).astype(np.float32), 20, way.had)

    lists = {"penchant": asked(fitted), "usual ranker": asked(replace(fitted, crossing_ranker=None, strangers=None))}
    for name in POPULAR:
        lists[name] = by(np.tile(fitted.signals.popular(name), (len(users), 1)))
    if ground.space.text is not None:
        text = ground.space.text.values
        lists["texts"] = by(np.asarray(past.multiply(way.source).tocsr() @ text @ text.T, np.float32))
    out = {}
    for name, found in lists.items():
        ndcg = score_lists(np.ascontiguousarray(found[:, :10]), way.target, users, (10,))["ndcg@10"]
        out[name] = np.column_stack([ndcg, score_lists(found, way.target, users, (20,))["recall@20"]])
    return out


def main() -> None:
    """One table a log, direction and seed, and one of all seeds together."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path)
    ask.add_argument("--only", default="markets,ml_1m,goodbooks_sample")
    ask.add_argument("--seeds", default="0,1,2")
    ask.add_argument("--overlap", type=float, default=0.5)
    ask.add_argument("--strangers", action="store_true")
    ask.add_argument("--out", type=Path, help="folder for text vectors")
    asked = ask.parse_args()
    pl.Config.set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True).set_tbl_width_chars(140)
    run = RunOptions(progress=True, cache_dir=asked.out)
    for name in asked.only.split(","):
        pooled: dict[str, list[dict[str, FloatArray]]] = {}
        for seed in map(int, asked.seeds.split(",")):
            log, config = read(name, seed, asked.overlap, asked.data)
            if asked.strangers:
                log = part(log)
            train, ways = tasks_of_strangers(log) if asked.strangers else make_task(log, seed)
            ground = lay_ground(train, log.items, config, run)
            fitted = train_recommender(train, log.items, ground, config, run)
            crossing = (fitted.crossing_ranker or fitted.ranker).name if fitted.strangers is None else "bridge"
            for way in ways:
                what = f"{len(way.users):,} users, {way.target.nnz:,} likes"
                print(f"\n{name}, seed {seed}, {way.name}: {what}; by {crossing}, usually by {fitted.ranker.name}")
                found = scores_of(way, log, train, ground, fitted)
                print(table(found), flush=True)
                pooled.setdefault(way.name, []).append(found)
        for direction, parts in pooled.items():
            print(f"\n{name}, {direction}, all seeds, a user and seed is one row")
            print(table({k: np.concatenate([part[k] for part in parts]) for k in parts[0]}), flush=True)


if __name__ == "__main__":
    main()
