"""For whom a method works: users by how much they did before the cut, and by any grouping the caller knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.config import EvaluateConfig
from penchant.data import IntArray
from penchant.evaluate.interval import bootstrap
from penchant.evaluate.scores import WindowScores
from penchant.evaluate.table import write_number

ACTIVITY = ("new", "light", "middle", "heavy")
NEW_EVENTS = 5  # so little is known of such a user that they are judged apart


def activity_groups(n_liked: npt.NDArray[np.integer]) -> IntArray:
    """(n,) index into ACTIVITY by the number of events a user liked before the cut.

    At most 5 are "new"; of the others the third with the fewest is light, the third with the most heavy. Users with
    equal numbers stay together, so thirds can differ in size, and one can be empty.

    >>> [ACTIVITY[g] for g in activity_groups(np.array([1, 5, 6, 7, 8, 9, 20, 30]))]
    ['new', 'new', 'light', 'light', 'middle', 'middle', 'heavy', 'heavy']
    """
    out = np.zeros(len(n_liked), np.int32)
    known = n_liked > NEW_EVENTS
    if known.any():
        ends = np.quantile(n_liked[known], [1 / 3, 2 / 3], method="inverted_cdf")
        out[known] = 1 + np.searchsorted(ends, n_liked[known])
    return out


def group_table(
    scores: WindowScores,
    kind: str,
    groups: npt.NDArray[np.integer],
    names: Sequence[str],
    config: EvaluateConfig,
    *,
    seed: int,
) -> pl.DataFrame:
    """How each method does in each group of the users of one window.

    Args:
        kind: what the grouping is, e.g. "activity".
        groups: (n,) index into `names`, one a user of `scores`.
    Returns:
        A row a group with users and method, groups in the order of `names`: group_kind · group · method · n_users ·
        ndcg@k · low, high (95 % bootstrap over the group's users; null for a single user, who shows no spread).
    """
    methods = list(scores.per_user)
    leading = scores.leading(methods[0]).name
    values = np.column_stack([scores.leading(method).to_numpy() for method in methods])
    frames = []
    for group in np.unique(groups):
        own = values[groups == group]
        found = bootstrap(own, n_bootstrap=config.n_bootstrap, seed=seed)
        frames.append(
            pl.DataFrame(
                {
                    "group_kind": kind,
                    "group": names[group],
                    "method": methods,
                    "n_users": pl.Series([len(own)] * len(methods), dtype=pl.Int32),
                    leading: found.mean,
                    "low": found.low if len(own) > 1 else None,
                    "high": found.high if len(own) > 1 else None,
                },
                schema_overrides={"low": pl.Float64, "high": pl.Float64},
            )
        )
    return pl.concat(frames)


def brief_groups(table: pl.DataFrame, methods: Sequence[str]) -> pl.DataFrame:
    """Few methods side by side, as words: group_kind · group · n_users · a column a method "0.1020 (0.0950-0.1101)"."""
    leading = table.columns[table.columns.index("n_users") + 1]
    keys = ["group_kind", "group", "n_users"]
    shown = [
        write_number(x) + ("" if a is None else f" ({write_number(a)}-{write_number(b)})")
        for x, a, b in table[leading, "low", "high"].rows()
    ]
    return (
        table.with_columns(pl.Series("shown", shown))
        .filter(pl.col("method").is_in(list(methods)))
        .pivot(on="method", index=keys, values="shown", maintain_order=True)
        .select(*keys, *methods)
    )
