"""All methods on the users of one test window: a number a user and metric, and what the lists share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import EvaluateConfig
from penchant.data import Events, IntArray, ItemSpace
from penchant.errors import DataError
from penchant.evaluate.ranking import coverage, diversity, gini, miscalibration, novelty, score_lists, serendipity
from penchant.evaluate.split import Repeats, Split
from penchant.scorers import top_lists
from penchant.scorers.popular import Popular


@dataclass(frozen=True)
class WindowScores:
    """What the methods reach in one window; nothing of the models behind them.

    start, end: times the test events lie between; the latest window ends with the log's last event.
    user_rows: (n,) the users tested. per_user: method -> n rows, an f64 column a metric (NaN = not defined), the
    leading ndcg@k first. coverage, gini: method -> one number for all its lists at the leading k.
    """

    start: float
    end: float
    n_train_events: int
    user_rows: IntArray
    per_user: Mapping[str, pl.DataFrame]
    coverage: Mapping[str, float]
    gini: Mapping[str, float]

    def leading(self, method: str) -> pl.Series:
        """(n,) ndcg@k of a method, user by user."""
        return self.per_user[method].to_series(0)


def score_window(
    lists: Mapping[str, IntArray],
    split: Split,
    user_rows: IntArray,
    space: ItemSpace | None,
    membership: sp.csr_array | None,
    config: EvaluateConfig,
    *,
    n_items: int | None = None,
) -> WindowScores:
    """Score the lists of all methods on the same users.

    Hits are counted at every cutoff of the settings; what speaks of the list itself (serendipity, novelty, diversity,
    miscalibration, coverage, gini) at the leading one.

    Args:
        lists: method -> (n, longest cutoff or more) item rows, -1 where fewer exist.
        user_rows: (n,) users of the lists, each with a target in `split.targets`.
        space: vectors for diversity; None leaves it undefined.
        membership: (n_items, n_interests) for interest calibration; None leaves it undefined.
        n_items: size of the catalogue; needed only where both `space` and `membership` are None.
    Raises:
        DataError: no lists, lists shorter than the longest cutoff, or lists that don't fit the users.
    """
    if not lists:
        raise DataError("table: lists of at least one method are needed. Got none.")
    n_items = _size(space, membership, n_items)
    targets = split.targets(n_items, config.cold_items, config.repeats)
    history = split.history(n_items)
    users_of_item = np.bincount(history.indices, minlength=n_items)
    n_known = int((np.diff(history.indptr) > 0).sum())
    plain = popular_lists(split.train, n_items, user_rows, config.k, repeats=config.repeats)
    undefined = pl.Series(np.full(len(user_rows), np.nan))

    per_user: dict[str, pl.DataFrame] = {}
    for method, items in lists.items():
        first = items[:, : config.k]
        per_user[method] = (
            score_lists(items, targets, user_rows, config.cutoffs)
            .drop("user_row")
            .with_columns(
                serendipity=serendipity(first, targets, plain, user_rows),
                novelty=novelty(first, users_of_item, n_known),
                diversity=undefined if space is None else diversity(first, space.fused),
                miscalibration=undefined
                if membership is None
                else miscalibration(first, history, membership, user_rows),
            )
        )
    shown = {method: items[:, : config.k] for method, items in lists.items()}
    return WindowScores(
        start=split.cut,
        end=split.end if math.isfinite(split.end) else split.test.end,
        n_train_events=len(split.train),
        user_rows=user_rows,
        per_user=per_user,
        coverage={method: coverage(items, n_items) for method, items in shown.items()},
        gini={method: gini(items, n_items) for method, items in shown.items()},
    )


def popular_lists(
    train: Events, n_items: int, user_rows: IntArray, k: int, *, repeats: Repeats = "leave_out"
) -> IntArray:
    """(n, k) the items most users liked in train, less those each user acted on: the list that needs no model.

    Args:
        repeats: "count" leaves nothing out.
    """
    popular = Popular(count="users")
    popular.fit(train, n_items)
    seen = train.touched(n_items)
    return top_lists(popular, user_rows, seen, k, seen=None if repeats == "count" else seen)


def _size(space: ItemSpace | None, membership: sp.csr_array | None, n_items: int | None) -> int:
    if membership is not None:
        return int(membership.shape[0])
    if space is not None:
        return len(space.fused.values)
    if n_items is None:
        raise DataError("table: the size of the catalogue is not known; give n_items")
    return n_items
