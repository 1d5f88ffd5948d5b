"""What users would have taken of other lists, told from a log whose own policy drew its items with known chances.

The unit is a shown item r of user u with propensity p, taken (t = 1) or not. A method lists k items for u, the same all
through the window; m = 1 if the shown item is one of them (with `propensity="place"`: and stands at the same place).
Its weight is w = m / p. With n lists of k places:

    IPS     sum w t / n            unbiased if p is right, p > 0 wherever the method lists, and whether an item is
                                   taken depends on the item alone (with "place": on item and place), not on its
                                   neighbours (Horvitz & Thompson 1952; for lists: Li et al. 2018)
    clipped sum min(w, M) t / n    biased towards 0, less noisy (Ionides 2008: M = sqrt of the number of shown items,
                                   times the mean weight that is due)
    SNIPS   k sum w t / sum w      bias falls with n, mostly less noisy (Swaminathan & Joachims 2015)

All three are expected takes from a list of k items. The mean of sum w over a list is k if the propensities are right
and every listed item could be shown; `mean_weight` is that mean over k, due to be 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import EvaluateConfig
from penchant.data import IntArray
from penchant.errors import DataError
from penchant.evaluate.interval import quantiles, ratio_draws
from penchant.evaluate.shown import Shown
from penchant.evaluate.table import write_number

LOGGED, RANDOM = "what was shown", "random"
MIN_EFFECTIVE, MIN_TAKEN = 100.0, 10
OK, FEW, OFF = "ok", "few matches", "weights off"
_ROWS = 1_000_000
_Z99 = 2.575829  # a wrong alarm for one method in a hundred
_ESTIMATES = ("ips", "clipped_ips", "snips")

Floats = npt.NDArray[np.float64]


def estimate(
    shown: Shown,
    lists: Mapping[str, IntArray],
    user_rows: IntArray,
    seen: sp.csr_array,
    config: EvaluateConfig,
    *,
    seed: int,
) -> pl.DataFrame:
    """Expected takes from a list of `config.k` items under each method, from what another policy showed.

    Args:
        shown: of the users of `user_rows` alone, after the lists were made.
        lists: method -> (n_users, k or more) item rows, -1 = none; differences are to the first.
        user_rows: (n_users,) rising.
        seen: (n_all_users, n_items) items in no list: what `random` does not draw.
    Returns:
        A row for what was shown (its own takes, places alike), each method, and k items drawn evenly. Columns: method ·
        n_users · n_lists · n_shown · n_matched · match_share · effective_n (Kish 1965: (sum w)^2 / sum w^2) · n_taken
        (of the matched) · mean_weight, mean_weight_low, mean_weight_high (99 % by bootstrap errors over users; due: 1)
        · clipped_share (of the sum of weights) · ips, clipped_ips, snips, each with _low, _high (95 %, users redrawn) ·
        difference, difference_low, difference_high (of SNIPS to the first method, same redraws) · trust: "ok", "few
        matches" (effective_n below 100 or fewer than 10 taken) or "weights off" (1 lies outside of mean_weight's
        interval). Null where nothing is known.
    Raises:
        DataError: an impression of a user without lists; nothing was shown.
    """
    at = np.searchsorted(user_rows, shown.user_row)
    if not len(shown) or not np.isin(shown.user_row, user_rows).all():
        raise DataError("off-policy: needs items shown to users that have lists, and to no others")
    per_place = config.propensity == "place"
    if per_place:
        shown, at = _places_up_to(shown, at, config.k)
    n = len(user_rows)
    base = np.bincount(at, minlength=n) / config.k if per_place else _lists_of(shown, at, n)
    names = [LOGGED, *lists, RANDOM]
    weights = [np.ones(len(shown)), *(_weights(shown, at, items[:, : config.k], per_place) for items in lists.values())]
    weights.append(_random_weights(shown, seen, config.k, per_place))
    most = config.k * base.sum() / np.sqrt(len(shown)) if config.max_weight == "auto" else config.max_weight
    bases = [np.bincount(at, minlength=n) / config.k, *[base] * (len(names) - 1)]

    tops, bottoms = [], []
    for w, own in zip(weights, bases, strict=True):
        mass, gain, clipped = (
            np.bincount(at, values, minlength=n) for values in (w, w * shown.taken, np.minimum(w, most) * shown.taken)
        )
        tops += [gain, clipped, config.k * gain, mass]
        bottoms += [own, own, mass, config.k * own]
    observed, draws = ratio_draws(
        np.column_stack(tops), np.column_stack(bottoms), n_bootstrap=config.n_bootstrap, seed=seed
    )
    rows = []
    for i, (name, w) in enumerate(zip(names, weights, strict=True)):
        rows.append({"method": name, **_row(observed[4 * i : 4 * i + 4], draws[:, 4 * i : 4 * i + 4], w, most, shown)})
        gap, gaps = observed[4 * i + 2] - observed[6], draws[:, 4 * i + 2] - draws[:, 6]
        low, high = quantiles(gaps[:, None], 0.025)
        first = {"difference": gap, "difference_low": low[0], "difference_high": high[0]}
        rows[-1] |= {key: np.nan if i == 1 else value for key, value in first.items()}
        if name == LOGGED:
            rows[-1] |= {"trust": OK}
    counts = {"n_users": len(np.unique(at)), "n_lists": shown.n_lists, "n_shown": len(shown)}
    return (
        pl.DataFrame(rows)
        .with_columns(pl.col(pl.Float64).fill_nan(None), *(pl.lit(v).alias(key) for key, v in counts.items()))
        .select("method", *counts, pl.exclude("method", "trust", *counts), "trust")
    )


def _row(observed: Floats, draws: Floats, w: Floats, most: float, shown: Shown) -> dict[str, object]:
    """Figures of one method; its four columns are those of _ESTIMATES and the mean weight."""
    total, square = float(w.sum()), float(np.square(w).sum())
    n_matched, n_taken = int((w > 0).sum()), int(((w > 0) & shown.taken).sum())
    effective = total**2 / square if square else 0.0
    error = _Z99 * float(np.nanstd(draws[:, 3]))
    low, high = max(0.0, float(observed[3]) - error), float(observed[3]) + error
    out: dict[str, object] = {
        "n_matched": n_matched,
        "match_share": n_matched / len(w),
        "effective_n": effective,
        "n_taken": n_taken,
        "mean_weight": float(observed[3]),
        "mean_weight_low": low,
        "mean_weight_high": high,
        "clipped_share": 1 - float(np.minimum(w, most).sum()) / total if total else np.nan,
    }
    ends = quantiles(draws[:, :3], 0.025)
    for name, value, lower, upper in zip(_ESTIMATES, observed, *ends, strict=False):
        out |= {name: value, f"{name}_low": lower, f"{name}_high": upper}
        if not n_matched:
            out |= {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan}
    few = effective < MIN_EFFECTIVE or n_taken < MIN_TAKEN
    out["trust"] = FEW if few else OK if low <= 1 <= high else OFF
    return out


def _weights(shown: Shown, at: npt.NDArray[np.intp], items: IntArray, per_place: bool) -> Floats:
    """(n,) m / p of a method whose lists are (n_users, k)."""
    out = np.zeros(len(shown), np.bool_)
    for start in range(0, len(shown), _ROWS):  # n times k cells at once would be too many for a large log
        rows = slice(start, start + _ROWS)
        match = items[at[rows]] == shown.item_row[rows, None]
        if per_place:
            match &= np.arange(1, items.shape[1] + 1) == shown.place[rows, None]
        out[rows] = match.any(axis=1)
    return out / shown.propensity


def _random_weights(shown: Shown, seen: sp.csr_array, k: int, per_place: bool) -> Floats:
    """(n,) of k unseen items drawn evenly: the chance to be among them (at a given place) over p."""
    n_open = seen.shape[1] - np.diff(seen.indptr)[shown.user_row]
    known = np.asarray(seen[shown.user_row, shown.item_row]).ravel() > 0
    chance = np.minimum(1.0, (1 if per_place else k) / np.maximum(n_open, 1))
    return np.where(known, 0.0, chance) / shown.propensity


def _lists_of(shown: Shown, at: npt.NDArray[np.intp], n: int) -> Floats:
    """(n_users,) lists shown to each."""
    owner = np.zeros(shown.n_lists, np.int64)
    owner[shown.list_row] = at
    return np.bincount(owner, minlength=n).astype(np.float64)


def _places_up_to(shown: Shown, at: npt.NDArray[np.intp], k: int) -> tuple[Shown, npt.NDArray[np.intp]]:
    """What stood on the first k places: the only ones that lists of k speak of."""
    keep = shown.place <= k
    if not keep.any():
        raise DataError(f"off-policy: nothing was shown on places 1 to {k}; check the column 'place'")
    return shown.take(keep), at[keep]


def brief_off_policy(table: pl.DataFrame) -> pl.DataFrame:
    """The table as words: method · SNIPS, clipped IPS and IPS with intervals · what says how far to trust them."""

    def told(name: str) -> list[str]:
        ends = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        return [write_number(v) + ("" if v is None else f" ({write_number(a)}-{write_number(b)})") for v, a, b in ends]

    return pl.DataFrame(
        {
            "method": table["method"],
            **{name: told(name) for name in ("snips", "clipped_ips", "ips")},
            "effective n": [f"{v:,.0f}" for v in table["effective_n"]],
            "matched": [f"{v:.1%}" for v in table["match_share"]],
            "mean weight": told("mean_weight"),
            "clipped": ["-" if v is None else f"{v:.1%}" for v in table["clipped_share"]],
            "trust": table["trust"],
        }
    )
