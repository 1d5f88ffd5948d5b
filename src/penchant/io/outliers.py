"""Users whose numbers no person reaches, and what they may weigh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Median and spread of fewer users say nothing.
MIN_USERS = 10
# Smallest spread of log counts taken as real: a log in which everyone has 20 events must not call 40 an outlier.
MIN_SPREAD = 0.5
# What one outlier's events may weigh in sum: where the heaviest 1 % of the other users begins.
HEAVY_QUANTILE = 0.99
HOUR_S, DAY_S = 3600.0, 86_400.0


@dataclass(frozen=True)
class Outliers:
    """Rows of users (sorted), why, and the factor on every user's weights."""

    busy: npt.NDArray[np.int64]
    sleepless: npt.NDArray[np.int64]
    capped: npt.NDArray[np.int64]
    factor: npt.NDArray[np.float64]
    busy_bound: float
    share_bound: float
    heavy_mass: float


def find_outliers(
    user: npt.NDArray[np.int32],
    weight: npt.NDArray[np.floating],
    time: npt.NDArray[np.float64] | None,
    n_users: int,
    *,
    bot_score: float,
    cap_user_share: float,
    bot_hours: int,
) -> Outliers:
    """Find bots and users too heavy for the log; nothing is dropped, only weighed down.

    1. Busy: robust z-score of log(1 + events), (x - median) / (1.4826 MAD, at least 0.5), above `bot_score`
       (3.5 is the cut of Iglewicz & Hoaglin, How to Detect and Handle Outliers, 1993).
    2. Sleepless: on two days or more, events in at least `bot_hours` different hours of the day (timed logs only).
       Each such user may weigh, all events summed, no more than the 99th percentile of the other users.
    3. Then no user may hold more than `cap_user_share` of the summed |weight| (never less than twice an even share,
       which a small log could not keep).
    Below 10 users nothing is done. Costs O(n log n) in the events.
    """
    mass = np.bincount(user, np.abs(weight).astype(np.float64), minlength=n_users)
    none = np.zeros(0, np.int64)
    factor = np.ones(n_users)
    share = max(cap_user_share, 2.0 / max(n_users, 1))
    if n_users < MIN_USERS:
        return Outliers(none, none, none, factor, float("inf"), 1.0, float("inf"))
    counts = np.bincount(user, minlength=n_users)
    logs = np.log1p(counts)
    middle = float(np.median(logs))
    spread = max(1.4826 * float(np.median(np.abs(logs - middle))), MIN_SPREAD)
    is_busy = (logs - middle) / spread > bot_score
    is_sleepless = np.zeros(n_users, bool) if time is None else _sleepless(user, time, n_users, bot_hours)
    flagged = is_busy | is_sleepless
    heavy = float("inf")
    if flagged.any() and not flagged.all():
        heavy = float(np.quantile(mass[~flagged], HEAVY_QUANTILE))
        factor[flagged] = np.minimum(1.0, heavy / np.maximum(mass[flagged], 1e-12))
    limit = _limit(mass * factor, share)
    over = mass * factor > limit * (1 + 1e-9)
    factor[over] = limit / mass[over]
    bound = float(np.expm1(middle + bot_score * spread))
    return Outliers(
        np.flatnonzero(is_busy), np.flatnonzero(is_sleepless), np.flatnonzero(over), factor, bound, share, heavy
    )


def _sleepless(
    user: npt.NDArray[np.int32], time: npt.NDArray[np.float64], n_users: int, bot_hours: int
) -> npt.NDArray[np.bool_]:
    """Users awake in `bot_hours` different hours of a day, on two days or more."""
    # A user needs 2 x bot_hours events for it: most are out at once, and the sort below stays small.
    counts = np.bincount(user, minlength=n_users)
    keep = counts[user] >= 2 * bot_hours
    if not keep.any():
        return np.zeros(n_users, bool)
    hours = np.floor(time[keep] / HOUR_S).astype(np.int64)
    start = int(hours.min()) // 24 * 24
    span = int(hours.max()) - start + 24
    keys = np.unique(user[keep].astype(np.int64) * span + (hours - start))  # one a (user, hour)
    owner, day = keys // span, keys % span // 24
    days, n_hours = np.unique(owner * (span // 24 + 1) + day, return_counts=True)
    long_days = np.bincount(days[n_hours >= bot_hours] // (span // 24 + 1), minlength=n_users)
    return np.asarray(long_days >= 2)


def _limit(mass: npt.NDArray[np.float64], share: float) -> float:
    """The largest mass a user may keep so that none holds more than `share` of what is left in all.

    With the m heaviest cut to L, L = share * (rest_m + m L), so L = share * rest_m / (1 - m share); the right m is the
    first for which the next user lies below L.
    """
    ordered = np.sort(mass)[::-1]
    rest = ordered.sum() - np.r_[0.0, np.cumsum(ordered)[:-1]]
    m = np.arange(len(ordered))
    usable = m * share < 1
    limit = share * rest[usable] / (1 - m[usable] * share)
    fits = np.flatnonzero(ordered[usable] <= limit * (1 + 1e-12))
    return float(limit[fits[0]]) if len(fits) else float(ordered[0])
