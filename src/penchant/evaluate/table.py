"""One table, a row a method: every metric with its interval, and the difference to one method, user by user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import EvaluateConfig
from penchant.data import IntArray, ItemSpace
from penchant.errors import DataError, did_you_mean
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.paired import adjust_p_values, sign_flip_p_values, user_means
from penchant.evaluate.scores import WindowScores, score_window
from penchant.evaluate.split import Split

P_ADJUSTED = "p adjusted"


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
    """Score the lists of all methods in one window (`score_window`) and put them in one table (`pool_windows`)."""
    scores = score_window(lists, split, user_rows, space, membership, config, n_items=n_items)
    return pool_windows([scores], config, seed=seed, against=against)


def pool_windows(
    windows: Sequence[WindowScores], config: EvaluateConfig, *, seed: int, against: str | None = None
) -> pl.DataFrame:
    """Put all methods in one table over all windows together, the best NDCG first.

    A row of a metric is one user in one window. Intervals redraw users, a user's windows together; p-values take the
    mean of a user's windows as one difference; coverage and gini are means over windows.

    Args:
        windows: the same methods in each.
        against: the method the differences are taken to (default: the first of the first window).
    Returns:
        A row a method, sorted by ndcg@k (high first; ties in the order given). Columns: method · n_users (different
        ones) · X, X_low, X_high (mean and its 95 % bootstrap interval) for X of ndcg, recall, hit_rate, precision, f1,
        map, mrr at the leading k, then at the other cutoffs, then serendipity, novelty, diversity, miscalibration ·
        coverage · gini · against · difference, difference_low, difference_high: this row's ndcg@k minus that of
        `against` on the same users (0 is outside the interval: the two differ beyond the choice of users) · p_value,
        p_adjusted: of that difference by sign flips, and by Benjamini-Hochberg over the other rows; null for `against`.
    Raises:
        DataError: unknown `against`.
    """
    methods = list(windows[0].per_user)
    against = methods[0] if against is None else against
    if against not in methods:
        raise DataError(f"table: no method is named {against!r}; {did_you_mean(against, methods)}")
    users = np.concatenate([w.user_rows for w in windows])
    once = users if len(windows) > 1 else None
    per_user = {method: pl.concat([w.per_user[method] for w in windows]) for method in methods}
    reference = per_user[against].to_series(0).to_numpy()
    p_values = _p_values(per_user, against, users, config, seed)
    rows = []
    for method, scores in per_user.items():
        values = np.column_stack([scores.to_numpy(), scores.to_series(0).to_numpy() - reference])
        found = bootstrap(values, n_bootstrap=config.n_bootstrap, seed=seed, users=once)
        row: dict[str, object] = {"method": method, "n_users": len(np.unique(users))}
        for i, name in enumerate([*scores.columns, "difference"]):
            row |= {name: found.mean[i], f"{name}_low": found.low[i], f"{name}_high": found.high[i]}
        row |= {name: float(np.mean([getattr(w, name)[method] for w in windows])) for name in ("coverage", "gini")}
        p, adjusted = p_values.get(method, (None, None))
        rows.append({**row, "against": against, "p_value": p, "p_adjusted": adjusted})
    ends = ["coverage", "gini", "against", "difference", "difference_low", "difference_high", "p_value", "p_adjusted"]
    return (
        pl.DataFrame(rows, schema_overrides={"p_value": pl.Float64, "p_adjusted": pl.Float64})
        .with_columns(pl.col(pl.Float64).fill_nan(None), pl.col("n_users").cast(pl.Int32))
        .select(pl.exclude(ends), *ends)
        .sort(f"ndcg@{config.k}", descending=True, maintain_order=True)
    )


def _p_values(
    per_user: Mapping[str, pl.DataFrame], against: str, users: IntArray, config: EvaluateConfig, seed: int
) -> dict[str, tuple[float, float]]:
    """Method -> p and adjusted p of its leading metric less that of `against`."""
    others = [method for method in per_user if method != against]
    leading = {method: scores.to_series(0).to_numpy() for method, scores in per_user.items()}
    if not others:
        return {}
    difference = np.column_stack([leading[method] - leading[against] for method in others])
    p = sign_flip_p_values(user_means(difference, users).T, n_permutations=config.n_permutations, seed=seed)
    return dict(zip(others, zip(p.tolist(), adjust_p_values(p).tolist(), strict=True), strict=True))


def brief(table: pl.DataFrame) -> pl.DataFrame:
    """The table as words for a narrow page: a column a metric at the leading cutoff, the interval beside NDCG.

    Returns:
        One row a method, all columns str: method, ndcg@k "0.1020 (0.0950-0.1101)", the other metrics, "vs <method>"
        with the paired difference, and its adjusted p-value.
    """
    names = _metrics(table)
    leading = names[0].partition("@")[2]
    against = str(table["against"][0])
    shown = {"method": table["method"].to_list()}
    for name in names:
        if name.partition("@")[2] not in ("", leading):
            continue
        ends = zip(table[name], table[name + "_low"], table[name + "_high"], strict=True)
        shown[name] = [
            write_number(v) + (f" ({write_number(a)}-{write_number(b)})" if name == names[0] else "")
            for v, a, b in ends
        ]
    for name in ("coverage", "gini"):
        shown[name] = [write_number(v) for v in table[name]]
    ends = zip(table["difference"], table["difference_low"], table["difference_high"], strict=True)
    shown[f"vs {against}"] = [
        "" if m == against else f"{d:+.4f} ({a:+.4f} to {b:+.4f})"
        for m, (d, a, b) in zip(table["method"], ends, strict=True)
    ]
    if "p_adjusted" in table.columns:  # folders that earlier builds wrote have none
        shown[P_ADJUSTED] = ["" if p is None else write_number(p) for p in table["p_adjusted"]]
    return pl.DataFrame(shown)


def other_cutoffs(table: pl.DataFrame) -> dict[int, pl.DataFrame]:
    """Cutoff -> method and its metrics there, for each cutoff but the leading one."""
    names = _metrics(table)
    cutoffs = dict.fromkeys(int(name.partition("@")[2]) for name in names if "@" in name)
    return {k: table.select("method", *(name for name in names if name.endswith(f"@{k}"))) for k in list(cutoffs)[1:]}


def to_text(table: pl.DataFrame) -> str:
    """The brief table as plain text, columns aligned, a line a method."""
    shown = brief(table)
    width = [max(len(c), *(len(v) for v in shown[c])) for c in shown.columns]
    lines = [shown.columns, *(list(row) for row in shown.rows())]
    return "\n".join("  ".join(v.ljust(w) for v, w in zip(line, width, strict=True)).rstrip() for line in lines)


def write_number(value: float | None) -> str:
    """Four decimals below one, two above, "-" where there is no number."""
    return "-" if value is None else f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"


def _metrics(table: pl.DataFrame) -> list[str]:
    return [c for c in table.columns if c + "_low" in table.columns and c != "difference"]
