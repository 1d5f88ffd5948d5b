"""Sessions: what a user did in one go."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.data.kinds import BoolArray
from penchant.data.log import Events

SESSION_GAP_S = 1800.0
SESSION_EVENTS = 10  # own events of a session in a log without time


def own_sessions(events: Events) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(n,) number of each event's session among its user's, from 0, and (n_users,) sessions of each user.

    Sessions are the log's own; else a pause of 30 minutes ends one; else (no time) ten own events make one.
    """
    order = np.argsort(events.user_row, kind="stable")
    user = events.user_row[order]
    fresh: BoolArray = np.r_[True, user[1:] != user[:-1]] if len(user) else np.zeros(0, bool)
    if "session_row" in events.table.columns:
        named = events.table["session_row"].cast(pl.Int64).fill_null(-1).to_numpy()[order]
        new = fresh | np.r_[True, named[1:] != named[:-1]][: len(user)]
    elif events.clock == "time":
        time = events.time[order]
        new = fresh | np.r_[True, time[1:] - time[:-1] > SESSION_GAP_S][: len(user)]
    else:
        new = fresh | (events.own_index[order] % SESSION_EVENTS == 0)
    count = np.cumsum(new)
    starts = np.flatnonzero(fresh)
    sizes = np.diff(np.r_[starts, len(user)])
    own = count - np.repeat(count[starts], sizes) if len(user) else count
    session = np.empty(len(user), np.int64)
    session[order] = own
    n_sessions = np.zeros(events.n_users, np.int64)
    np.maximum.at(n_sessions, user, own + 1)
    return session, n_sessions
