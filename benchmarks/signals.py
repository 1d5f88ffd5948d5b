"""What each signal is worth to the learned blend: NDCG@10 with all signals and without some, on the same users.

    python benchmarks/signals.py [--data DIR] [--logs market10,market11,market12,ml_100k,deskdrop] [--share 0.1]
        [--users 800] [--judged 4]

`market10` is the made-up market of seed 10; other names are folders of DIR (see real_logs.py). The last `--share` of
the events and the past windows before it are judged, `--judged` in all, each by a ranker (blend+trees) that was learned
on the windows before it; items nobody liked before a window are left out. Once with all signals and once without each
group; candidates are those of all signals, so this is the worth of a signal in ranking. Texts are read by TF-IDF. Last
columns: the paired difference with a 95 % interval over users and windows (bootstrap); in the last table the logs are
pooled with equal weight.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import Config, RunOptions, build_config
from penchant.data import FloatArray, Log
from penchant.evaluate.split import split_by_time
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.pipeline import lay_ground
from penchant.recommend.attributes import read_facts
from penchant.recommend.candidates import Candidates
from penchant.recommend.choose import ndcg
from penchant.recommend.fit_signals import fit_signals
from penchant.recommend.lessons import make_lesson
from penchant.recommend.past import read_past
from penchant.recommend.rank import Blend, Both, Lesson, Trees
from penchant.recommend.windows import Window, past_windows
from real_logs import LOGS

GROUPS: dict[str, tuple[str, ...]] = {
    "popular_90d": ("popular_90d",),
    "trend": ("popular_trend",),
    "session": ("item_knn_session",),
    "segments": ("segment_popular",),
    "attributes": ("attributes",),
    "price": ("price",),
    "all the above": ("popular_90d", "popular_trend", "item_knn_session", "segment_popular", "attributes", "price"),
}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=Path)
    ask.add_argument("--logs", default="market10,market11,market12")
    ask.add_argument("--share", type=float, default=0.1)
    ask.add_argument("--users", type=int, default=800)
    ask.add_argument("--judged", type=int, default=4)
    asked = ask.parse_args()
    pl.Config.set_tbl_rows(200).set_tbl_hide_dataframe_shape(True).set_tbl_hide_column_data_types(True)
    gains: dict[str, list[FloatArray]] = {}
    for name in asked.logs.split(","):
        rows = []
        found = worth(name, asked.data, asked.share, asked.users, asked.judged)
        whole = found.pop("")
        for group, without in found.items():
            gains.setdefault(group, []).append(whole - without)
            rows.append((name, group, len(whole), *told(whole, without)))
        columns = ["log", "without", "users", "all", "left", "worth", "low", "high"]
        print(pl.DataFrame(rows, schema=columns, orient="row"), flush=True)
    rows = [(group, len(parts), *interval(parts)) for group, parts in gains.items()]
    print(pl.DataFrame(rows, schema=["without", "logs", "worth", "low", "high"], orient="row"))


def worth(name: str, data: Path | None, share: float, n_users: int, judged: int) -> dict[str, FloatArray]:
    """NDCG@10 of each judged user: with all signals (""), and without each group that the log has."""
    seen = look(name, data, share, n_users)
    out = {"": score(seen.lessons, seen.names, judged)}
    for group, left_out in GROUPS.items():
        if any(n in seen.names for n in left_out):
            names = tuple(n for n in seen.names if n not in left_out)
            out[group] = score([drop(x, seen.names, left_out) for x in seen.lessons], names, judged)
    return out


@dataclass(frozen=True)
class Seen:
    """lessons: the test first, then the past windows, the latest first · names: of all signals."""

    lessons: list[Lesson]
    names: tuple[str, ...]


def look(name: str, data: Path | None, share: float, n_users: int) -> Seen:
    """Cut a log, and describe the candidates of the test and of the past windows."""
    log, config = read(name, data, n_users)
    split = split_by_time(log.events, share)
    n_items = len(log.items)
    target = split.targets(n_items, "leave_out")
    users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
    ground = lay_ground(split.train, log.items, config, RunOptions())
    text = ground.space.text.values if ground.space.text is not None and ground.space.text.present.any() else None
    has_text = ground.space.text.present if ground.space.text is not None else np.zeros(n_items, np.bool_)
    settings, facts = config.recommend, read_facts(log.items)
    half_lives = (config.interests.half_life_days, config.interests.short_half_life_days)
    windows = past_windows(split.train, n_items, has_text, settings, seed=0)
    lessons: list[Lesson] = []
    names: tuple[str, ...] = ()
    for window in (Window(split.train, split.test, users, target, (1 - share, 1.0)), *windows):
        made = fit_signals(
            window.before, n_items, text, ground.tree.membership, settings, half_lives, seed=0, facts=facts
        )
        past = read_past(window.before, n_items).take(window.user_rows)
        lessons.append(make_lesson(past, sp.csr_array(window.target[window.user_rows]), made, settings))
        names = made.names
    return Seen(lessons, names)


def read(name: str, data: Path | None, n_users: int) -> tuple[Log, Config]:
    """A made-up market, or a log of DIR."""
    if name.startswith("market"):
        config = build_config({"encode": {"method": "tfidf"}})
        world = make_world(n_users=n_users, seed=int(name.removeprefix("market")))
        return read_log(world.events, world.items, config=config.io), config
    assert data is not None, "--data is needed for real logs"
    told = LOGS[name]
    config = build_config({**told, "encode": {**told.get("encode", {}), "method": "tfidf"}})  # type: ignore[dict-item]
    return read_log(data / name / "events.parquet", data / name / "items.parquet", config=config.io), config


def drop(lesson: Lesson, names: tuple[str, ...], left_out: Sequence[str]) -> Lesson:
    """The same candidates, described without some signals."""
    n, found = len(names), lesson.candidates
    kept = [i for i, name in enumerate(names) if name not in left_out]
    columns = [*kept, *(n + i for i in kept), *range(2 * n, found.features.shape[2])]
    return replace(lesson, candidates=Candidates(found.item_rows, found.valid, found.features[:, :, columns]))


def score(lessons: Sequence[Lesson], names: tuple[str, ...], judged: int) -> FloatArray:
    """NDCG@10 of the users of the first windows, each ranked by what was learned on all windows before theirs."""
    out = []
    for i in range(min(judged, len(lessons) - 1)):
        blend, trees = Blend(names), Trees(names)
        for part in (blend, trees):
            part.fit(lessons[i + 1 :], seed=0)
        out.append(ndcg(Both(blend, trees).score(lessons[i].candidates), lessons[i]))
    return np.concatenate(out)


def told(whole: FloatArray, without: FloatArray) -> tuple[float, ...]:
    means = float(whole.mean(dtype=np.float64)), float(without.mean(dtype=np.float64))
    return tuple(round(v, 4) for v in (*means, *interval([whole - without])))


def interval(parts: Sequence[FloatArray]) -> tuple[float, ...]:
    """Mean of the logs' mean gains, and its 95 % interval by redrawing the users of each log."""
    draw = np.random.default_rng(0)
    n = [len(p) for p in parts]
    drawn = sum(draw.multinomial(m, np.full(m, 1 / m), size=2000) @ p / m for m, p in zip(n, parts, strict=True))
    drawn = np.asarray(drawn) / len(parts)
    mean = float(np.mean([p.mean(dtype=np.float64) for p in parts]))
    return tuple(round(float(v), 4) for v in (mean, *np.quantile(drawn, [0.025, 0.975])))


if __name__ == "__main__":
    main()
