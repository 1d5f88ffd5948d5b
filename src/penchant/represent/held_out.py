"""What a network is validated on: the latest events of a log, as a reader of the whole log would be tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from penchant.data import BoolArray, Events, FloatArray, IntArray

# Enough users that the score says which round is better (both are scored on the same), few enough that scoring them
# against all items after every round costs little.
MAX_USERS = 3000
# With fewer questions, how often the first ten places hold the answer is mostly chance: every place counts then.
MIN_USERS_AT_TEN = 300
# Where users are few: this share of each one's latest events is asked for, each from what came before it.
LATE_SHARE, MAX_LATE = 0.2, 10
MAX_PAST = 500  # events before it, at most
# A user's last few events: one would leave more to chance, and many are no longer what comes next.
MAX_TARGETS = 3


@dataclass(frozen=True)
class HeldOut:
    """A log cut for choosing the number of rounds.

    train: the liked events before the last `validation_share`, or all but the targets. history: the events of the
    validation users before their targets, also those after the cut, so that users who came late count too; its user
    rows are those of the log, or one for each question. users: (n,) rows of `history`. targets: (n, t) item rows,
    -1 = none. owners: (n,) user rows of the log.
    """

    train: Events
    history: Events
    users: IntArray
    targets: IntArray
    owners: IntArray


def hold_out(
    liked: Events, share: float, n_items: int, *, seed: int, least_users: int = MIN_USERS_AT_TEN
) -> HeldOut | None:
    """Cut liked events (`Events.positive`) at the time before which 1 - `share` of them lie; None if nothing is left.

    Targets are the last events of each user after the cut, at most half of what the user has, and items that the
    training part knows and the user's history does not hold. Where fewer than `least_users` users act after the cut,
    who would say next to nothing, the last event of every user is held out instead, whenever it was; where there are
    fewer users than that, the latest events of each, and every one is a question of its own.
    """
    n = len(liked)
    cut = liked.time[int(np.floor(n * (1 - share)))] if n else 0.0
    from_end = liked.n_by_user[liked.user_row] - 1 - liked.own_index
    last = (liked.time >= cut) & (from_end < np.minimum(MAX_TARGETS, liked.n_by_user[liked.user_row] // 2))
    held = _held_out(liked, liked.before(float(cut)), last, n_items, seed)
    if not least_users or (held is not None and len(held.users) >= least_users):
        return held
    last = (from_end == 0) & (liked.n_by_user[liked.user_row] >= 2)
    every = _held_out(liked, liked.take(~last), last, n_items, seed)
    if every is not None and len(every.users) >= least_users:
        return every
    late = _late_events(liked, n_items, seed)
    return max((held, every, late), key=lambda h: 0 if h is None else len(h.users))


def _held_out(liked: Events, train: Events, last: BoolArray, n_items: int, seed: int) -> HeldOut | None:
    """What remains of `last` as targets; None without a user or a training part."""
    if not len(train):
        return None
    from_end = liked.n_by_user[liked.user_row] - 1 - liked.own_index
    history = liked.take(~last)
    users, items, place = liked.user_row[last], liked.item_row[last], from_end[last]
    pair = users.astype(np.int64) * n_items + items
    seen = np.unique(history.user_row.astype(np.int64) * n_items + history.item_row)
    known = np.bincount(train.item_row, minlength=n_items) > 0
    good = known[items] & ~np.isin(pair, seen)
    good[good] = _first_of_each(pair[good])
    chosen = np.unique(users[good])
    if not len(chosen):
        return None
    if len(chosen) > MAX_USERS:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, MAX_USERS, replace=False))
    good &= np.isin(users, chosen)
    targets = np.full((len(chosen), MAX_TARGETS), -1, np.int32)
    targets[np.searchsorted(chosen, users[good]), place[good]] = items[good]
    keep = np.isin(history.user_row, chosen)
    users = chosen.astype(np.int32)
    return HeldOut(train, history.take(keep), users, targets, users)


def _late_events(liked: Events, n_items: int, seed: int) -> HeldOut | None:
    """The latest events of each user with two or more, each from the user's events before it."""
    n_of = liked.n_by_user
    n_late = np.where(n_of >= 2, np.clip((n_of * LATE_SHARE).astype(np.int64), 1, MAX_LATE), 0)
    late = n_of[liked.user_row] - 1 - liked.own_index < n_late[liked.user_row]
    train = liked.take(~late)
    known = np.bincount(train.item_row, minlength=n_items) > 0
    pair = liked.user_row.astype(np.int64) * n_items + liked.item_row
    asked = np.flatnonzero(late & known[liked.item_row] & _first_of_each(pair))
    if not len(asked):
        return None
    if len(asked) > MAX_USERS:
        asked = np.sort(np.random.default_rng(seed).choice(asked, MAX_USERS, replace=False))
    owners, n_past = liked.user_row[asked], np.minimum(liked.own_index[asked], MAX_PAST)
    by_user = np.argsort(liked.user_row, kind="stable")
    begin = (np.cumsum(n_of) - n_of)[owners] + liked.own_index[asked] - n_past
    question = np.repeat(np.arange(len(asked), dtype=np.int32), n_past)
    event = by_user[np.arange(n_past.sum()) + np.repeat(begin - (np.cumsum(n_past) - n_past), n_past)]
    order = np.argsort(event, kind="stable")
    table = liked.table[event[order]].with_columns(user_row=pl.Series(question[order], dtype=pl.Int32))
    rows = np.arange(len(asked), dtype=np.int32)
    history = Events(table, pl.Series(rows).cast(pl.String), liked.actions, liked.clock)
    targets = np.full((len(asked), MAX_TARGETS), -1, np.int32)
    targets[:, 0] = liked.item_row[asked]
    return HeldOut(train, history, rows, targets, owners)


def ndcg(held: HeldOut, score: Callable[[IntArray], FloatArray]) -> float:
    """Mean of `user_ndcg`."""
    return float(user_ndcg(held, score).mean())


def user_ndcg(
    held: HeldOut, score: Callable[[IntArray], FloatArray], *, step: int = 500
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(n,) NDCG@10 of each user's targets, ranked among all items the user has not had (Jarvelin & Kekalainen 2002).

    Of fewer than `MIN_USERS_AT_TEN` questions it is the NDCG of all places.

    Args:
        score: user rows to (n, n_items) scores; may be written to.
    """
    every = len(held.users) < MIN_USERS_AT_TEN
    order = np.argsort(held.history.user_row, kind="stable")
    owner, had = held.history.user_row[order], held.history.item_row[order]
    out = np.zeros(len(held.users))
    for start in range(0, len(held.users), step):
        users, targets = held.users[start : start + step], held.targets[start : start + step]
        values = np.array(score(users), np.float32)
        first, last = np.searchsorted(owner, [users[0], users[-1] + 1])
        values[np.searchsorted(users, owner[first:last]), had[first:last]] = -np.inf
        there = targets >= 0
        own = np.take_along_axis(values, np.maximum(targets, 0), axis=1)
        rank = np.stack([(values > own[:, [j]]).sum(axis=1) for j in range(targets.shape[1])], axis=1)
        gain = np.where(there & (every | (rank < 10)), 1 / np.log2(rank + 2), 0.0).sum(axis=1)
        ideal = np.cumsum(1 / np.log2(np.arange(targets.shape[1]) + 2))
        out[start : start + step] = gain / ideal[there.sum(axis=1) - 1]
    return out


def _first_of_each(keys: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    out = np.zeros(len(keys), np.bool_)
    out[np.unique(keys, return_index=True)[1]] = True
    return out
