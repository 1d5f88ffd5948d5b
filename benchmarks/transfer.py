"""A sequence model that learned on one log, moved to another through texts, against one that begins there from scratch.

    python benchmarks/transfer.py --data DIR --source ml_1m --targets ml_latest_small,goodbooks_sample
        [--shares 0.01,0.1,1] [--draws 3,4,5] [--model FOLDER] [--set section.key=value ...]

DIR holds one folder a log with events.parquet and items.parquet. The source is fitted with `penchant.fit` (kept in
--model, read back from there) with the settings `OF_SOURCE`. A target gives the events of
users drawn at random until the share is reached, each without the last liked item; tested is the last liked item of
users who were not drawn (of all users at share 1), from their own history before it, ranked among all items, those
had left out. Every way reads the same texts by the same encoder:

popular      the items with the most users in the drawn part
text         the mean of the texts a user liked, nothing learned
scratch      a network with the package's settings, trained on the drawn part alone
..., same form  the same with texts read as the source reads them
moved, ...   begun with the source's: everything learns on, the items' own vectors only, or nothing

Other settings are those of the package but where --set says otherwise. The round is chosen inside the drawn part. The
form of the transfer was settled while looking at draws 0 to 2 of both targets at 1 % and 10 %.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

import penchant as pc
from last_items import last_items, without
from penchant.config import Config, RunOptions, load_config
from penchant.data import Events, FloatArray, IntArray, Log, Vectors
from penchant.encode import encode_items
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.ranking import score_lists
from penchant.io import read_log
from penchant.represent import Source, make_representation
from penchant.scorers import top_items
from penchant.start import read_start, source_of

METHOD = "transformer"
FIELDS = 'encode.fields=["title","categories"]'  # what films and books both have
LIKES = "io.min_value=4"
# of the source, and of what starts from it: texts in directions that other logs share
SHARED = ("represent.neural.text_map=principal",)
# half of the time an item is its text alone; at most 8 rounds and no refit, to be done in minutes on one core
OF_SOURCE = ("represent.neural.item_dropout=0.5", "represent.neural.n_epochs=8", "represent.neural.refit=false")
WAYS = {"moved, all learns": "all", "moved, items learn": "items", "moved, nothing learns": "nothing"}
BLOCK = 1000


def main() -> None:
    """Print one table a target, the mean over draws."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--source", default="ml_1m")
    ask.add_argument("--targets", default="ml_latest_small,goodbooks_sample")
    ask.add_argument("--shares", default="0.01,0.1,1")
    ask.add_argument("--draws", default="3,4,5")
    ask.add_argument("--model", type=Path, default=Path("transfer-source.penchant"))
    ask.add_argument("--set", action="append", default=[], metavar="section.key=value", dest="overrides")
    asked = ask.parse_args()
    pl.Config.set_tbl_rows(50).set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True)
    run = RunOptions(progress=True, cache_dir=asked.model.with_suffix(".texts"))
    base = [FIELDS, LIKES, f"represent.method={METHOD}", *asked.overrides]
    if not asked.model.is_dir():
        started = time.perf_counter()
        config = load_config(None, [*base, *SHARED, *OF_SOURCE])
        pc.fit(*files(asked.data, asked.source), config=config, run=run).save(asked.model)
        print(f"source {asked.source}: {(time.perf_counter() - started) / 60:.1f} min, the whole fit")
    config = load_config(None, [*base, *SHARED, f"represent.start_from={str(asked.model)!r}"])
    plain = load_config(None, base)
    source = read_start(config, run)
    for target in asked.targets.split(","):
        log = read_log(*files(asked.data, target), config=config.io)
        text = encode_items(log.items, source.encoder, config.encode, run)
        for share in map(float, asked.shares.split(",")):
            rows: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
            n_events = []
            for draw in map(int, asked.draws.split(",")):
                case = make_case(log.events, len(log.items), share, draw)
                n_events.append(len(case["train"]))
                for way, figures in measure(case, log, text, config, plain, source_of(source), draw).items():
                    rows.setdefault(way, []).append(figures)
            print(f"\n{target}: {share:.0%} of the events ({np.mean(n_events):,.0f}), draws {asked.draws}")
            print(table(rows), flush=True)


def files(data: Path, name: str) -> tuple[Path, Path]:
    return data / name / "events.parquet", data / name / "items.parquet"


def make_case(events: Events, n_items: int, share: float, draw: int) -> dict[str, Any]:
    """The events to train on, the history of those tested, and their last liked items.

    Repeats of the item asked for leave the past too.
    """
    targets, users = last_items(events, n_items)
    history = without(events.positive(), targets)
    order = np.random.default_rng(draw).permutation(events.n_users)
    n = np.bincount(history.user_row, minlength=events.n_users)[order].cumsum()
    drawn = np.zeros(events.n_users, np.bool_)
    drawn[order[: int(np.searchsorted(n, share * len(history))) + 1]] = True
    tested = users if share >= 1 else users[~drawn[users]]
    return {
        "train": history.take(drawn[history.user_row]),
        "history": history,
        "targets": targets,
        "users": tested,
    }


def measure(
    case: dict[str, Any], log: Log, text: Vectors, config: Config, plain: Config, source: Source, seed: int
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Way -> NDCG@10 and recall@20 of each tested user."""
    train, history, n_items = case["train"], case["history"], len(log.items)
    seen = history.matrix(n_items, binary=True)
    popular = np.bincount(train.item_row, minlength=n_items).astype(np.float32)
    alone = config.represent.model_copy(update={"start_from": ""})
    liked = sp.csr_array(seen, dtype=np.float32)
    out = {
        "popular": score(case, seen, lambda users: np.tile(popular, (len(users), 1))),
        "text": score(case, seen, lambda users: (liked[users] @ text.values) @ text.values.T),
    }
    forms = {"scratch": plain.represent, "scratch, same form": alone}
    forms |= {way: config.represent.model_copy(update={"fine_tune": tuned}) for way, tuned in WAYS.items()}
    for way, settings in forms.items():
        begun = source if settings.start_from else None
        made = make_representation(METHOD, settings, RunOptions(), seed=seed, source=begun)
        made.fit(train, log.items, text)
        vectors = made.user_vectors(history)
        out[way] = score(case, seen, lambda users, v=vectors, m=made: v[users] @ m.item_vectors.T)
        where = f", begun {made.facts['begun']}" if "begun" in made.facts else ""
        print(f"  {way}: {made.facts['n_rounds']} rounds{where}, NDCG@10 {out[way][0].mean():.4f}", flush=True)
    return out


def score(case: dict[str, Any], seen: sp.csr_array, of: Any) -> tuple[FloatArray, FloatArray]:
    users: IntArray = case["users"]
    lists = []
    for start in range(0, len(users), BLOCK):
        rows = users[start : start + BLOCK]
        lists.append(top_items(np.array(of(rows), np.float32), 20, seen[rows]))
    found = np.concatenate(lists)
    return (
        score_lists(found[:, :10], case["targets"], users)["ndcg@10"].to_numpy(),
        score_lists(found, case["targets"], users)["recall@20"].to_numpy(),
    )


def table(rows: dict[str, list[tuple[FloatArray, FloatArray]]]) -> pl.DataFrame:
    """Means over draws; the interval is of the difference to scratch, over users, of the first draw."""
    first = rows["scratch"][0][0]
    out = []
    for way, draws in rows.items():
        ndcg = [float(f[0].mean()) for f in draws]
        ends = bootstrap((draws[0][0] - first)[:, None], n_bootstrap=1000, seed=0)
        out.append(
            {
                "way": way,
                "NDCG@10": round(float(np.mean(ndcg)), 4),
                "by draw": " ".join(f"{v:.4f}" for v in ndcg),
                "recall@20": round(float(np.mean([f[1].mean() for f in draws])), 4),
                "above scratch, 95 %": f"[{ends.low[0]:+.4f}, {ends.high[0]:+.4f}]" if way != "scratch" else "",
            }
        )
    return pl.DataFrame(out)


if __name__ == "__main__":
    main()
