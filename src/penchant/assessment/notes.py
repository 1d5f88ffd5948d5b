"""What the tables of an evaluation say, in words, losses included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from penchant.assessment.window import OURS
from penchant.config import EvaluateConfig
from penchant.data import Events
from penchant.evaluate.off_policy import FEW, LOGGED, OFF
from penchant.evaluate.shown import Shown
from penchant.interests.forecast import LayerReport
from penchant.rivals.ablations import LEFT_OUT

SURE = 0.05  # adjusted p-values below it are told as a difference


def write_notes(
    ranking: pl.DataFrame, windows: pl.DataFrame, layers: LayerReport | None, facts: Mapping[str, Any]
) -> list[str]:
    """One line a finding."""
    leave_out = facts["cold_items"] == "leave_out"
    order = "order" if facts["clock"] == "order" else "time"
    many = facts["n_windows"] > 1
    notes = [
        f"split by {order}: {facts['n_train_events']:,} events before the cut, {facts['n_test_events']:,} after; "
        f"{facts['n_test_users']:,} known users who took something new; full ranking, seen items left out; "
        f"intervals: 95 % over users" + ("; this is the latest window" if many else ""),
        f"{facts['cold_share']:.0%} of what they took was new to everybody; such items "
        + ("are left out (evaluate.cold_items=miss counts them)" if leave_out else "count as misses"),
    ]
    if facts["best_peer"] is not None:
        notes += [_verdict(ranking, facts), *([_by_window(windows)] if many else []), _told_apart(ranking)]
    ranges = ", ".join(f"{name} {low:,} to {high:,}" for name, (low, high) in facts["activity"].items())
    notes.append(f"groups by liked events before the cut: {ranges}")
    if layers is None:
        notes.append("layers: too few users act often enough after the cut, so the forecast was not tested")
    return notes


def _verdict(ranking: pl.DataFrame, facts: Mapping[str, Any]) -> str:
    metric = f"ndcg@{facts['k']}"
    value = dict(zip(ranking["method"], ranking[metric], strict=True))
    ours, best = value[OURS], value[facts["best_peer"]]
    verdict = "above" if ours > best else "BELOW" if ours < best else "level with"
    over = f" over {facts['n_windows']} windows" if facts["n_windows"] > 1 else ""
    return (
        f"{OURS} ({facts['chosen']}) {metric} {ours:.4f}{over}: {verdict} the best peer, {facts['best_peer']} "
        f"{best:.4f}" + ("" if facts["ratio"] is None else f" (ratio {facts['ratio']:.2f})")
    )


def _by_window(windows: pl.DataFrame) -> str:
    ours = windows.filter(pl.col("method") == OURS).sort("window")
    ratios = ", ".join("-" if r is None else f"{r:.2f}" for r in ours["ratio"])
    below = ours.filter(pl.col("ratio") < 1)["window"].to_list()
    said = f"BELOW 1 in window {', '.join(map(str, below))}" if below else "below 1 in none"
    return f"ratio to the best peer of each window, the latest first: {ratios}; {said}"


def _told_apart(ranking: pl.DataFrame) -> str:
    """The differences are peer minus ours: a sure one below zero is a win."""
    peers = ranking.filter(~pl.col("method").is_in([OURS, *LEFT_OUT]))
    sure = peers.filter(pl.col("p_adjusted") < SURE)
    won, lost = (int(side.sum()) for side in (sure["difference"] < 0, sure["difference"] > 0))
    return (
        f"paired sign-flip tests over users, adjusted p < {SURE}: {OURS} is ahead of {won} of {peers.height} peers, "
        f"behind {lost}, not told apart from {peers.height - won - lost}"
    )


def off_policy_notes(
    events: Events, shown: Shown | None, table: pl.DataFrame | None, config: EvaluateConfig
) -> list[str]:
    """What the off-policy table stands on and where it must not be trusted; nothing for a log without propensities."""
    if "propensity" not in events.table.columns:
        return []
    if shown is None or table is None:
        return [
            "off-policy: nothing was estimated: no known user has an impression with a propensity in the latest window "
            "(propensities count on events that say an item was shown; on clicks alone they don't tell what was left)"
        ]
    logged = table.row(0, named=True)
    model = "item and place" if config.propensity == "place" else "item"
    out = [
        f"off-policy, latest window: {logged['n_shown']:,} items shown to {logged['n_users']:,} known users in "
        f"{logged['n_lists']:,} lists; figures are takes from a list of {config.k}, if a take depends on the {model} "
        f"alone; the log's own lists: {logged['snips']:.4f}"
    ]
    if shown.n_unknown:
        out.append(f"off-policy: {shown.n_unknown:,} impressions without a usable propensity are left out; if these "
                   "are not chance rows, the estimates lean")  # fmt: skip
    judged = table.filter(pl.col("method") != LOGGED)
    few = judged.filter(pl.col("trust") == FEW)["method"].to_list()
    if few:
        out.append(f"off-policy: NOT RELIABLE, too few shown items match the lists of {', '.join(few)}")
    per_place = config.propensity == "place"
    low = "propensities are too low, or lists were joined" + ("" if per_place else ", or they are chances of places")
    high = "propensities are too high, or parts of these lists could never be shown" + (
        ", or they are chances of lists, not of places" if per_place else ""
    )
    for name, weight in judged.filter(pl.col("trust") == OFF).select("method", "mean_weight").rows():
        why = low if weight > 1 else high
        out.append(f"off-policy: NOT RELIABLE for {name}: its weights average {weight:.2f} where 1 is due: {why}")
    return out
