"""States: how an interest moves, by recent against long-term affinity. A state is no layer.

- dormant: not touched for two long half-lives (its long affinity has fallen below a quarter).
- emerging: first touched within two short half-lives and touched at least twice, or its share of the recent affinity
  is at least twice its share of the long-term one.
- fading: its share of the recent affinity is at most a third of its share of the long-term one.
- steady: all else.

Shares of the same user are compared, so a user who is away has no interest fade. In a log without time, ages count own
events instead of days.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penchant.config import InterestsConfig
from penchant.data import DAY_S, STATES
from penchant.interests.affinity import AffinityPoints
from penchant.interests.features import liked_count, user_totals
from penchant.interests.rules import point_age

EMERGING, STEADY, FADING, DORMANT = range(len(STATES))

DORMANT_HALF_LIVES = 2.0
NEW_SHORT_HALF_LIVES = 2.0
MIN_NEW_TOUCHES = 2
RISE, FALL = 2.0, 1 / 3


def find_states(points: AffinityPoints, config: InterestsConfig) -> npt.NDArray[np.int8]:
    """(n_points,) int8 index into STATES.

    Args:
        points: all points of a level (shares are over a user's points).
        config: the two half-lives.
    """
    table = points.table
    long = _share(points, table["affinity"].to_numpy())
    short = _share(points, table["affinity_short"].to_numpy())
    age = point_age(points)
    if points.clock == "time":
        since_first = (points.at - table["first_time"].to_numpy()) / DAY_S
    else:
        own = user_totals(points, table["n_events"].to_numpy().astype(np.float64))
        since_first = np.where(liked_count(table) >= own, np.inf, age + table["n_events"].to_numpy())
    liked = liked_count(table)
    new = (since_first <= NEW_SHORT_HALF_LIVES * config.short_half_life_days) & (liked >= MIN_NEW_TOUCHES)
    state = np.full(len(points), STEADY, np.int8)
    state[(short <= FALL * long) & (long > 0)] = FADING
    state[(new | (short >= RISE * long)) & (long > 0)] = EMERGING
    state[age > DORMANT_HALF_LIVES * config.half_life_days] = DORMANT
    return state


def _share(points: AffinityPoints, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = user_totals(points, values)
    return np.divide(values, total, out=np.zeros(len(values)), where=total > 0)
