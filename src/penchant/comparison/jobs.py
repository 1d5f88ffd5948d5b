"""What is measured of one candidate. Each runs in a process of its own, so that time and memory are its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from penchant.comparison.bench import Bench
from penchant.comparison.memory import Memory
from penchant.config import RunOptions
from penchant.data import Events, FloatArray, IntArray
from penchant.dot_product import fit_dot_product
from penchant.evaluate.clustering import seed_stability, shape_scores, subsample_stability, truth_scores
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.ranking import score_lists
from penchant.scorers import build_scorer, top_lists
from penchant.segments import measure_worth
from penchant.segments.algorithms import cluster
from penchant.threads import one_thread

K_NDCG, K_RECALL = 10, 20
POPULARITY = ("popular", "popular_7d")  # baselines without any vector
_WARM_UP = 50  # events of a first fit that only loads libraries
_N_RUNS = 3  # clusterings that a stability is the mean of


@dataclass(frozen=True)
class Fitted:
    """A fitted candidate, ready to rank."""

    scorer: Any
    name: str
    facts: Mapping[str, Any]


def measure_representation(bench: Bench, method: str, run: RunOptions) -> dict[str, Any]:
    """Next items by a plain dot product, next interests by the leaves of the list; time and memory of the fit."""
    history = bench.train.matrix(len(bench.items), binary=True)
    few = bench.train.take(np.arange(len(bench.train)) < _WARM_UP)
    with one_thread():
        _scorer(bench, method, few, run)  # loads the libraries: not a part of the fit
    memory, started, cpu = Memory(), time.perf_counter(), time.process_time()
    fitted = _scorer(bench, method, bench.train, run)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    lists = top_lists(fitted.scorer, bench.user_rows, history, K_RECALL, seen=bench.seen)
    return {
        "method": method,
        "name": fitted.name,
        **score_next(bench, lists),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "seconds_per_million_events": seconds / max(len(bench.train), 1) * 1e6,
        "memory_mb": memory.added_mb(),
        "facts": dict(fitted.facts),
    }


def _scorer(bench: Bench, method: str, train: Events, run: RunOptions) -> Fitted:
    if method in POPULARITY:
        scorer = build_scorer(method, {}, items=bench.items, seed=bench.config.seed)
        scorer.fit(train, len(bench.items))
        return Fitted(scorer, method, {})
    made = fit_dot_product(method, train, bench.items, bench.text, bench.config, run)
    return Fitted(made, made.name, made.facts)


def score_next(bench: Bench, lists: IntArray) -> dict[str, float]:
    """NDCG@10 with its interval, recall@20, and how often the list's leading interest is touched next."""
    ndcg = score_lists(lists[:, :K_NDCG], bench.targets, bench.user_rows)[f"ndcg@{K_NDCG}"].to_numpy()
    recall = score_lists(lists, bench.targets, bench.user_rows)[f"recall@{K_RECALL}"].to_numpy()
    ends = bootstrap(ndcg[:, None], n_bootstrap=bench.config.evaluate.n_bootstrap, seed=bench.config.seed)
    return {
        "ndcg": float(ends.mean[0]),
        "ndcg_low": float(ends.low[0]),
        "ndcg_high": float(ends.high[0]),
        "recall": float(recall.mean()),
        "interest_hit_rate": float(next_interest_hits(lists, bench).mean()),
    }


def next_interest_hits(lists: IntArray, bench: Bench) -> FloatArray:
    """(n,) 1 where the leaf that leads a user's list is the leaf of an item the user newly took, else 0."""
    n, k = lists.shape
    kept = lists.ravel() >= 0
    listed = sp.csr_array(
        (np.ones(int(kept.sum()), np.float32), (np.repeat(np.arange(n), k)[kept], lists.ravel()[kept])),
        shape=(n, len(bench.items)),
    )
    mix = (listed @ bench.membership).toarray()
    taken = (sp.csr_array(bench.targets[bench.user_rows]) @ bench.membership).toarray()
    leading = mix.argmax(axis=1)
    return np.asarray((taken[np.arange(n), leading] > 0) & mix.any(axis=1), np.float32)


def measure_clustering(bench: Bench, method: str, n_segments: int) -> dict[str, Any]:
    """Shape, stability, worth on later events, agreement with given labels; time and memory of one clustering."""
    seed = bench.config.seed
    cluster(bench.rows[:50], method, 2, seed=seed)  # loads its libraries: not a part of the work
    memory, started = Memory(), time.perf_counter()
    found = cluster(bench.rows, method, n_segments, seed=seed)
    seconds, added = time.perf_counter() - started, memory.added_mb()
    labels = found.labels

    def again(rows: FloatArray, seed: int) -> IntArray:
        return cluster(rows, method, n_segments, seed=seed).labels

    worth = measure_worth(
        labels,
        bench.later,
        n_segments=found.n_clusters,
        in_sample=False,
        n_random=bench.config.segments.n_random,
        seed=seed,
    )
    truth = {
        f"{name}: {figure}": value
        for name, true in bench.truth.items()
        for figure, value in asdict(truth_scores(labels, true)).items()
        if figure not in ("n_rows", "unassigned_share")
    }
    return {
        "method": method,
        **asdict(shape_scores(bench.rows, labels, seed=seed)),
        "seed_ari": seed_stability(again, bench.rows, n_runs=_N_RUNS, seed=seed),
        "subsample_ari": subsample_stability(again, bench.rows, n_runs=_N_RUNS, seed=seed),
        "worth": worth.ratio,
        "worth_low": worth.low,
        "worth_high": worth.high,
        **truth,
        "seconds": seconds,
        "memory_mb": added,
    }
