"""Window by window: did a method win once, or again and again?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from penchant.config import EvaluateConfig
from penchant.data import Clock
from penchant.evaluate.scores import WindowScores

RECALL_AT = 20  # the cutoff most papers tell; the longest there is where it is not asked for


def windows_table(
    windows: Sequence[WindowScores], config: EvaluateConfig, *, ours: str, clock: Clock, apart: Collection[str] = ()
) -> pl.DataFrame:
    """A row a window and method, the latest window first, within a window the best NDCG first.

    Args:
        windows: the latest first, the same methods in each.
        ours: the method whose ratio is told.
        apart: methods that are no peers (ours with a part taken out): never the best other method.
        clock: of the log; without times `from` and `to` are positions in its order.
    Returns:
        window i32 (1 = the latest) · from, to (UTC, whole seconds; f64 where the log has no times) · n_train_events ·
        method · n_users · ndcg@k · recall@20 (or at the longest cutoff) · coverage · ratio: in the row of `ours` its
        ndcg@k over that of the window's best other method, else null.
    """
    leading = f"ndcg@{config.k}"
    recall = f"recall@{RECALL_AT if RECALL_AT in config.cutoffs else max(config.cutoffs)}"
    rows = [
        {
            "window": number,
            "from": window.start,
            "to": window.end,
            "n_train_events": window.n_train_events,
            "method": method,
            "n_users": len(window.user_rows),
            leading: scores[leading].mean(),
            recall: scores[recall].mean(),
            "coverage": window.coverage[method],
        }
        for number, window in enumerate(windows, 1)
        for method, scores in window.per_user.items()
    ]
    is_ours = pl.col("method") == ours
    best = pl.col(leading).filter(~is_ours & ~pl.col("method").is_in(list(apart))).max().over("window")
    table = (
        pl.DataFrame(rows)
        .with_columns(
            pl.col("window", "n_users").cast(pl.Int32),
            pl.when(is_ours & (best > 0)).then(pl.col(leading) / best).alias("ratio"),
        )
        .sort("window", leading, descending=[False, True], maintain_order=True)
    )
    if clock != "time":
        return table
    return table.with_columns(pl.from_epoch(pl.col("from", "to").cast(pl.Int64), time_unit="s"))


def best_peer(
    ranking: pl.DataFrame, *, ours: str, k: int, apart: Collection[str] = ()
) -> tuple[str | None, float | None]:
    """The method with the best ndcg@k but ours and those `apart`, and our ratio to it; None without one, no ratio to a
    score of 0.

    The best is picked by the very figures it is compared on, so the luck of these users is on its side, not on ours.

    >>> best_peer(pl.DataFrame({"method": ["us", "a", "b"], "ndcg@10": [0.3, 0.2, 0.25]}), ours="us", k=10)
    ('b', 1.2)
    """
    metric = f"ndcg@{k}"
    peers = ranking.filter(~pl.col("method").is_in([ours, *apart])).sort(metric, descending=True, maintain_order=True)
    if not peers.height:
        return None, None
    name, best = peers["method"][0], peers[metric][0]
    return name, ranking.filter(pl.col("method") == ours)[metric][0] / best if best else None
