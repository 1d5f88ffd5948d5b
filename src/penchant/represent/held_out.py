"""What a network is validated on: the latest events of a log, as a reader of the whole log would be tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from penchant.data import BoolArray, Events, FloatArray, IntArray

# Enough questions that the score says which round is better (both are scored on the same), few enough that scoring them
# against all items after every round costs little.
MAX_QUESTIONS = 3000
MIN_USERS = 300  # with fewer, one question each says next to nothing
# With fewer questions, how often the first ten places hold the answer is mostly chance: every place counts then.
MIN_QUESTIONS_AT_TEN = 300
# Where users are few: this share of each one's latest events is asked for, each from what came before it.
LATE_SHARE, MAX_LATE = 0.2, 10
MAX_PAST = 500  # events before it, at most
# A user's last few events: one would leave more to chance, and many are no longer what comes next.
MAX_TARGETS = 3


@dataclass(frozen=True)
class HeldOut:
    """A log cut for choosing the number of rounds, and questions to what was learned on the first part.

    train: the liked events to learn from. history: what came before each question, also after the cut, so that users
    who came late count too. users: (n,) rows of `history`, one a question, sorted. targets: (n, t) item rows or -1.
    owners: (n,) user rows of the log; users and questions are the same unless one user is asked several times.
    """

    train: Events
    history: Events
    users: IntArray
    targets: IntArray
    owners: IntArray

    @property
    def n_owners(self) -> int:
        return len(np.unique(self.owners))


def hold_out(
    liked: Events,
    share: float,
    n_items: int,
    *,
    seed: int,
    choose_on: Literal["late", "everyone"] = "late",
    least_users: int = MIN_USERS,
) -> HeldOut | None:
    """What is asked of a network after each round.

    late: `hold_out_late`, nearest to the future of the log. everyone: with it, the last event of everybody else,
    wherever it lies, nearest to what each user did next. With fewer than `least_users` users late gives way to
    everyone, and that to the latest events of each user, one by one, unless that asks fewer users.

    Args:
        liked: `Events.positive`.
        share: of the liked events, after the cut.
    Returns:
        None if nothing is left to ask.
    """
    held = hold_out_late(liked, share, n_items, seed=seed) if choose_on == "late" else None
    if held is not None and held.n_owners >= least_users:
        return held
    late, cut = _late(liked, share)
    last = late | ((_from_end(liked) == 0) & (liked.n_by_user[liked.user_row] >= 2))
    held = _ask(liked, last, liked.time < cut, n_items, seed)
    if held is not None and held.n_owners >= least_users:
        return held
    each = _ask_one_by_one(liked, n_items, seed)
    return max((each, held), key=lambda h: 0 if h is None else h.n_owners)


def hold_out_late(liked: Events, share: float, n_items: int, *, seed: int) -> HeldOut | None:
    """Ask for the last events of users who act late alone: whatever is learned on `train` came before all of it.

    Targets are the last events of each user after the cut, at most half of what the user has, and items that the
    training part knows and the user's history does not hold.
    """
    late, cut = _late(liked, share)
    return _ask(liked, late, liked.time < cut, n_items, seed)


def _late(liked: Events, share: float) -> tuple[BoolArray, float]:
    """The last events of each user after the cut, and the cut."""
    cut = liked.time[int(np.floor(len(liked) * (1 - share)))] if len(liked) else 0.0
    few = np.minimum(MAX_TARGETS, liked.n_by_user[liked.user_row] // 2)
    return (liked.time >= cut) & (_from_end(liked) < few), float(cut)


def _from_end(liked: Events) -> IntArray:
    """(n,) how many liked events of the same user came later."""
    return liked.n_by_user[liked.user_row] - 1 - liked.own_index


def _ask(liked: Events, last: BoolArray, early: BoolArray, n_items: int, seed: int) -> HeldOut | None:
    """What remains of `last` as targets, learned from what else is `early`; None without a user or a training part."""
    train, history = liked.take(~last & early), liked.take(~last)
    if not len(train):
        return None
    users, items, place = liked.user_row[last], liked.item_row[last], _from_end(liked)[last]
    pair = users.astype(np.int64) * n_items + items
    seen = np.unique(history.user_row.astype(np.int64) * n_items + history.item_row)
    known = np.bincount(train.item_row, minlength=n_items) > 0
    good = known[items] & ~np.isin(pair, seen)
    good[good] = _first_of_each(pair[good])
    chosen = np.unique(users[good])
    if not len(chosen):
        return None
    if len(chosen) > MAX_QUESTIONS:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, MAX_QUESTIONS, replace=False))
    good &= np.isin(users, chosen)
    targets = np.full((len(chosen), MAX_TARGETS), -1, np.int32)
    targets[np.searchsorted(chosen, users[good]), place[good]] = items[good]
    keep = np.isin(history.user_row, chosen)
    users = chosen.astype(np.int32)
    return HeldOut(train, history.take(keep), users, targets, users)


def _ask_one_by_one(liked: Events, n_items: int, seed: int) -> HeldOut | None:
    """The latest events of each user with two or more, each from the user's events before it."""
    n_of = liked.n_by_user
    n_late = np.where(n_of >= 2, np.clip((n_of * LATE_SHARE).astype(np.int64), 1, MAX_LATE), 0)
    late = _from_end(liked) < n_late[liked.user_row]
    train = liked.take(~late)
    known = np.bincount(train.item_row, minlength=n_items) > 0
    pair = liked.user_row.astype(np.int64) * n_items + liked.item_row
    asked = np.flatnonzero(late & known[liked.item_row] & _first_of_each(pair))
    if not len(asked):
        return None
    if len(asked) > MAX_QUESTIONS:
        asked = np.sort(np.random.default_rng(seed).choice(asked, MAX_QUESTIONS, replace=False))
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
    """(n_owners,) NDCG@10 of each user's targets among all items not yet had (Jarvelin & Kekalainen 2002).

    A user who is asked several questions counts once, with their mean. Of fewer than `MIN_QUESTIONS_AT_TEN` questions
    it is the NDCG of all places.

    Args:
        score: user rows of `held.history` to (n, n_items) scores; may be written to.
    """
    every = len(held.users) < MIN_QUESTIONS_AT_TEN
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
    user, n = np.unique(held.owners, return_inverse=True, return_counts=True)[1:]
    return np.asarray(np.bincount(user, out) / n, np.float64)


def _first_of_each(keys: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    out = np.zeros(len(keys), np.bool_)
    out[np.unique(keys, return_index=True)[1]] = True
    return out
