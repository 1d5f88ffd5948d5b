"""One table, a row a method: every metric with its interval, and the difference to one method, user by user."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import EvaluateConfig
from penchant.data import IntArray, ItemSpace
from penchant.errors import DataError, did_you_mean
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.ranking import coverage, diversity, gini, miscalibration, novelty, score_lists
from penchant.evaluate.split import Split


def compare(
    lists: Mapping[str, IntArray],
    split: Split,
    user_rows: IntArray,
    space: ItemSpace | None,
    membership: sp.csr_array | None,
    config: EvaluateConfig,
    *,
    seed: int,
    n_items: int | None = None,
    against: str | None = None,
) -> pl.DataFrame:
    """Score the lists of all methods on the same users and put them in one table, the best NDCG first.

    Args:
        lists: method -> (n, k) item rows, -1 where fewer exist.
        user_rows: (n,) users of the lists, each with a target in `split.targets`.
        space: vectors for diversity; None leaves the column null.
        membership: (n_items, n_interests) for interest calibration; None leaves the column null.
        n_items: size of the catalogue; needed only where both `space` and `membership` are None.
        against: the method the differences are taken to (default: the first of `lists`).
    Returns:
        A row a method, sorted by ndcg@k (high first; ties in the order given). Columns: method · n_users · for each of
        ndcg@k, recall@k, hit_rate@k, precision@k, map@k, mrr@k, novelty, diversity, miscalibration: X, X_low, X_high
        (mean over users and its 95 % bootstrap interval) · coverage · gini · against · difference, difference_low,
        difference_high: this row's ndcg@k minus that of `against` on the same users (0 is outside the interval: the two
        differ beyond the choice of users).
    Raises:
        DataError: no lists, unknown `against`, or lists that don't fit the users.
    """
    if not lists:
        raise DataError("table: lists of at least one method are needed. Got none.")
    against = next(iter(lists)) if against is None else against
    if against not in lists:
        raise DataError(f"table: no method is named {against!r}; {did_you_mean(against, list(lists))}")
    n_items = _size(space, membership, n_items)
    targets = split.targets(n_items, config.cold_items)
    history = split.history(n_items)
    users_of_item = np.bincount(history.indices, minlength=n_items)
    n_known = int((np.diff(history.indptr) > 0).sum())

    per_user: dict[str, pl.DataFrame] = {}
    for method, items in lists.items():
        per_user[method] = (
            score_lists(items, targets, user_rows)
            .drop("user_row")
            .with_columns(
                novelty=novelty(items, users_of_item, n_known),
                diversity=_or_nan(user_rows) if space is None else diversity(items, space.fused),
                miscalibration=_or_nan(user_rows)
                if membership is None
                else miscalibration(items, history, membership, user_rows),
            )
        )
    reference = per_user[against].to_series(0).to_numpy()
    rows = []
    for method, scores in per_user.items():
        values = np.column_stack([scores.to_numpy(), scores.to_series(0).to_numpy() - reference])
        found = bootstrap(values, n_bootstrap=config.n_bootstrap, seed=seed)
        row: dict[str, object] = {"method": method, "n_users": len(user_rows)}
        for i, name in enumerate([*scores.columns, "difference"]):
            row |= {name: found.mean[i], f"{name}_low": found.low[i], f"{name}_high": found.high[i]}
        row |= {"coverage": coverage(lists[method], n_items), "gini": gini(lists[method], n_items), "against": against}
        rows.append(row)
    first = f"ndcg@{next(iter(lists.values())).shape[1]}"
    ends = ["coverage", "gini", "against", "difference", "difference_low", "difference_high"]
    return (
        pl.DataFrame(rows)
        .with_columns(pl.col(pl.Float64).fill_nan(None), pl.col("n_users").cast(pl.Int32))
        .select(pl.exclude(ends), *ends)
        .sort(first, descending=True, maintain_order=True)
    )


def brief(table: pl.DataFrame) -> pl.DataFrame:
    """The table as words for a narrow page: a column a metric, the interval beside NDCG and the difference.

    Returns:
        One row a method, all columns str: method, ndcg@k "0.1020 (0.0950-0.1101)", the other metrics, and
        "vs <method>" with the paired difference.
    """
    names = [c for c in table.columns if c + "_low" in table.columns and c != "difference"]
    against = str(table["against"][0])
    shown = {"method": table["method"].to_list()}
    for name in names:
        ends = zip(table[name], table[name + "_low"], table[name + "_high"], strict=True)
        shown[name] = [_number(v) + (f" ({_number(a)}-{_number(b)})" if name == names[0] else "") for v, a, b in ends]
    for name in ("coverage", "gini"):
        shown[name] = [_number(v) for v in table[name]]
    ends = zip(table["difference"], table["difference_low"], table["difference_high"], strict=True)
    shown[f"vs {against}"] = [
        "" if m == against else f"{d:+.4f} ({a:+.4f} to {b:+.4f})"
        for m, (d, a, b) in zip(table["method"], ends, strict=True)
    ]
    return pl.DataFrame(shown)


def to_text(table: pl.DataFrame) -> str:
    """The brief table as plain text, columns aligned, a line a method."""
    shown = brief(table)
    width = [max(len(c), *(len(v) for v in shown[c])) for c in shown.columns]
    lines = [shown.columns, *(list(row) for row in shown.rows())]
    return "\n".join("  ".join(v.ljust(w) for v, w in zip(line, width, strict=True)).rstrip() for line in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"


def _or_nan(user_rows: IntArray) -> pl.Series:
    return pl.Series(np.full(len(user_rows), np.nan))


def _size(space: ItemSpace | None, membership: sp.csr_array | None, n_items: int | None) -> int:
    if membership is not None:
        return int(membership.shape[0])
    if space is not None:
        return len(space.fused.values)
    if n_items is None:
        raise DataError("table: the size of the catalogue is not known; give n_items")
    return n_items
