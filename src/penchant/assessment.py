"""Evaluate on the caller's own log: split by time, fit on the past, compare with peers on what came next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from penchant.artefacts import file_beside, to_json
from penchant.config import Config, RunOptions
from penchant.data import Log
from penchant.errors import DataError
from penchant.evaluate.clustering import shape_scores
from penchant.evaluate.peers import check_peers, fit_peers
from penchant.evaluate.split import Split, split_by_time
from penchant.evaluate.table import brief, compare
from penchant.interests.forecast import LayerReport
from penchant.interests.layers import test_forecast as test_layers
from penchant.interests.past import leaf_shares
from penchant.io import make_folder, read_log, write_table
from penchant.model import Model
from penchant.pipeline import fit_log, place_text_events
from penchant.segments import measure_worth, user_rows

OURS = "penchant"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found, as tables and plain notes.

    ranking: one row a method with its metrics and 95 % intervals over users.
    layers: how well the forecast held on the test window, or None where it is too small.
    segments: shape, and worth on the test window, of the segments found before it.
    """

    ranking: pl.DataFrame
    layers: LayerReport | None
    segments: pl.DataFrame
    notes: tuple[str, ...]
    facts: dict[str, Any]
    model: Model

    def frames(self) -> list[tuple[str, pl.DataFrame]]:
        """Title and table, in the order to print."""
        table = brief(self.ranking)
        first, last = table.columns[:2], table.columns[-1:]
        out = [
            ("Recommendations: ours and what you would use instead (95 % interval)", table.select(*first, *last)),
            ("More of the same lists", table.drop(first[1], *last)),
        ]
        if self.layers is not None:
            out += [("Layers against rule methods", self.layers.methods), ("Layers", self.layers.layers)]
            top = self.layers.layers_by_level.filter((pl.col("level") == 1) & (pl.col("method") == "forecast"))
            out.append(("Layers at the top of the tree", top.drop("level", "method")))
        return [*out, ("Segments found before the cut, judged after it", self.segments)]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "ranking": self.ranking.to_dicts(),
            "layers": None
            if self.layers is None
            else {
                "methods": self.layers.methods.to_dicts(),
                "layers": self.layers.layers.to_dicts(),
                "reliability": self.layers.reliability.to_dicts(),
            },
            "segments": self.segments.to_dicts(),
            "notes": list(self.notes),
            "facts": self.facts,
        }

    def save(self, folder: str | Path) -> None:
        """Write ranking.parquet and .csv, the layers' tables, and evaluation.json."""
        target = Path(folder)
        make_folder(target)
        write_table(self.ranking, target / "ranking.parquet")
        write_table(self.ranking, target / "ranking.csv")
        if self.layers is not None:
            write_table(self.layers.methods, target / "layers_methods.csv")
            write_table(self.layers.layers, target / "layers.csv")
            write_table(self.layers.reliability, target / "layers_reliability.csv")
        write_table(self.segments, target / "segments.csv")
        with file_beside(target / "evaluation.json") as beside:
            beside.write_text(to_json(self.to_dict()), encoding="utf-8")


def assess(
    events: Any,
    items: Any = None,
    *,
    against: Sequence[str] | None = None,
    config: Config | None = None,
    run: RunOptions | None = None,
) -> Evaluation:
    """Compare with peers on a log: global time split, full ranking over all items, seen items left out.

    Args:
        events, items: as for `penchant.fit`.
        against: names of peers (default: `config.evaluate.peers`); each picks its settings inside the past.

    Raises:
        DataError: the log is too short to hold out a window.
        ConfigError: an unknown peer.
    """
    config = config or Config()
    run = run or RunOptions()
    peers = check_peers(against if against is not None else config.evaluate.peers)
    log = read_log(events, items, config=config.io)
    return evaluate_log(log, peers, config, run)


def evaluate_log(log: Log, peers: Sequence[str], config: Config, run: RunOptions) -> Evaluation:
    """Evaluate on a log already read."""
    split = split_by_time(log.events, config.evaluate.test_share)
    model = fit_log(replace(log, events=split.train), config, run)
    target = split.targets(len(log.items), config.evaluate.cold_items)
    users = np.flatnonzero(np.diff(target.indptr) > 0).astype(np.int32)
    if not len(users):
        raise DataError(
            "events: no known user took an unseen item in the last "
            f"{config.evaluate.test_share:.0%} of the log; there is nothing to test on"
        )
    k = config.evaluate.k
    lists = {OURS: our_lists(model, users, k)}
    against = fit_peers(split.train, log.items, peers, users, config.evaluate, seed=config.seed, run=run)
    lists |= {name: peer.lists for name, peer in against.items()}
    ranking = compare(lists, split, users, model.space, model.tree.membership, config.evaluate, seed=config.seed)
    text_membership = place_text_events(split.train, model.tree, model.encoder, config)
    layers = test_layers(
        model.forecast,
        split.train,
        split.test,
        model.tree,
        config.interests,
        seed=config.seed,
        text_membership=text_membership,
    )
    facts = {
        "n_train_events": len(split.train),
        "n_test_events": len(split.test),
        "n_test_users": len(users),
        "cut": split.cut,
        "cold_share": split.cold_share(len(log.items)),
        "cold_items": config.evaluate.cold_items,
        "clock": log.events.clock,
        "chosen": model.recommender.chosen,
        "k": k,
        "peer_settings": {name: dict(peer.settings) for name, peer in against.items()},
    }
    segments = segments_after(model, split)
    notes = [*_notes(ranking, layers, facts), *(f"{OURS}: {note}" for note in model.recommender.signals.notes)]
    notes += [note for peer in against.values() for note in peer.notes]
    return Evaluation(ranking, layers, segments, tuple(notes), facts, model)


def segments_after(model: Model, split: Split) -> pl.DataFrame:
    """Judge the segments found before the cut: their shape, and how much more alike their members are in what they take
    after it than the members of random partitions of equal sizes.

    Returns:
        figure, value: one row a figure.
    """
    n_users, tree = len(model.user_ids), model.tree
    labels = model.segments.segment_row
    rows = user_rows(model.profiles, tree, n_users, model.config.segments)
    worth = measure_worth(
        labels,
        leaf_shares(split.test, tree),
        in_sample=False,
        n_random=model.config.segments.n_random,
        seed=model.config.seed,
    )
    figures: dict[str, float | None] = {
        "n_segments": float(model.segments.table.height),
        "unassigned_share": float((labels < 0).mean()),
        "worth_on_next_events": worth.ratio,
        "worth_low": worth.low,
        "worth_high": worth.high,
        "random_partitions_beaten": worth.beaten,
        "stability_ari": model.segments.facts.get("stability"),
        **asdict(shape_scores(rows.values, labels)),
    }
    del figures["n_clusters"]  # the same as n_segments
    return pl.DataFrame(
        {"figure": list(figures), "value": list(figures.values())}, schema_overrides={"value": pl.Float64}
    )


def our_lists(model: Model, user_rows: np.ndarray[Any, Any], k: int) -> np.ndarray[Any, Any]:
    """(n_users, k) item rows, best first, -1 where fewer exist."""
    table = model.recommender.recommend(user_rows.astype(np.int32), model.profiles, k=k).table
    position = np.full(len(model.user_ids), -1, np.int64)
    position[user_rows] = np.arange(len(user_rows))
    out = np.full((len(user_rows), k), -1, np.int32)
    out[position[table["user_row"].to_numpy()], table["rank"].to_numpy() - 1] = table["item_row"].to_numpy()
    return out


def _notes(ranking: pl.DataFrame, layers: LayerReport | None, facts: dict[str, Any]) -> list[str]:
    """What the tables say, in words, losses included."""
    leave_out = facts["cold_items"] == "leave_out"
    order = "order" if facts["clock"] == "order" else "time"
    notes = [
        f"split by {order}: {facts['n_train_events']:,} events before the cut, {facts['n_test_events']:,} after; "
        f"{facts['n_test_users']:,} known users who took something new; full ranking, seen items left out; "
        f"intervals: 95 % over users",
        f"{facts['cold_share']:.0%} of what they took was new to everybody; such items "
        + ("are left out (evaluate.cold_items=miss counts them)" if leave_out else "count as misses"),
    ]
    others = ranking.filter(pl.col("method") != OURS)
    if others.height:
        metric = f"ndcg@{facts['k']}"
        ours = float(ranking.filter(pl.col("method") == OURS)[metric][0])
        best = others.sort(metric, descending=True, maintain_order=True).row(0, named=True)
        verdict = "above" if ours > best[metric] else "BELOW" if ours < best[metric] else "level with"
        notes.append(
            f"{OURS} ({facts['chosen']}) {metric} {ours:.4f}: "
            f"{verdict} the best peer, {best['method']} {best[metric]:.4f}"
        )
    if layers is None:
        notes.append("layers: too few users act often enough after the cut, so the forecast was not tested")
    return notes
