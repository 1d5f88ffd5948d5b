"""Which candidate to take, and why, in words; and who is on the Pareto front of quality against cost."""

from __future__ import annotations

import numpy as np
import polars as pl

from penchant.data import BoolArray


def pareto(quality: list[float], cost: list[float]) -> BoolArray:
    """(n,) candidates that no other beats or equals in both with one better. Quality: higher, cost: lower is better.

    >>> pareto([0.1, 0.2, 0.15], [1.0, 5.0, 9.0]).tolist()
    [True, True, False]
    """
    q, c = np.asarray(quality, float), np.asarray(cost, float)
    as_good = (q[None, :] >= q[:, None]) & (c[None, :] <= c[:, None])
    better = (q[None, :] > q[:, None]) | (c[None, :] < c[:, None])
    return np.asarray(~(as_good & better).any(axis=1))


def choose_representation(table: pl.DataFrame) -> str:
    """The quickest of those whose NDCG the best one is not clearly above; in words, with the figures."""
    done = table.filter(pl.col("status") == "done")
    if done.is_empty():
        return "No representation was measured; give more time with --budget."
    best = done.sort("ndcg", descending=True, maintain_order=True).row(0, named=True)
    alike = done.filter(pl.col("ndcg") >= best["ndcg_low"]).sort("seconds", maintain_order=True)
    taken = alike.row(0, named=True)
    told = f"Take {taken['method']}: NDCG@10 {taken['ndcg']:.4f} in {taken['seconds']:.1f} s."
    if taken["method"] != best["method"]:
        return (
            f"{told} {best['method']} reaches {best['ndcg']:.4f} ({best['ndcg_low']:.4f}-{best['ndcg_high']:.4f}) "
            f"in {best['seconds']:.1f} s: its interval covers the quicker one's figure, so the longer fit is not "
            "proven to pay."
        )
    rest = done.filter(pl.col("method") != taken["method"]).sort("ndcg", descending=True, maintain_order=True)
    if rest.is_empty():
        return told
    second = rest.row(0, named=True)
    return f"{told} The next best, {second['method']}, has {second['ndcg']:.4f}, below its interval's lower end."


def choose_clustering(table: pl.DataFrame) -> str:
    """The one that tells most of later events so far as it comes back on other users; in words, with the figures."""
    done = table.filter(pl.col("status") == "done")
    if done.is_empty():
        return "No clustering was measured; give more time with --budget."
    scored = done.with_columns(score=clustering_score(done))
    best = scored.sort("score", "seconds", descending=[True, False], maintain_order=True).row(0, named=True)
    if best["score"] <= 0 or best["worth_low"] <= 1:
        return (
            f"No clustering is proven to be worth having on this log: the best, {best['method']}, tells "
            f"{best['worth']:.2f} times random groups' worth of later events ({best['worth_low']:.2f}-"
            f"{best['worth_high']:.2f}); below or at 1 it tells nothing."
        )
    return (
        f"Take {best['method']} with {best['n_clusters']} segments: {best['worth']:.2f} times random groups' worth on "
        f"later events ({best['worth_low']:.2f}-{best['worth_high']:.2f}), {best['subsample_ari']:.2f} agreement "
        f"between clusterings of random parts of the users, {best['unassigned_share']:.0%} of users without a segment."
    )


def clustering_score(table: pl.DataFrame) -> pl.Series:
    """Nats told of later events, times agreement^1.5 on other users, times the share of users who have a segment."""
    return table.select(
        (
            pl.col("worth").log().clip(0) * pl.col("subsample_ari").clip(0) ** 1.5 * (1 - pl.col("unassigned_share"))
        ).alias("score")
    )["score"]
