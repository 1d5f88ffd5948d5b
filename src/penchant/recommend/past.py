"""What the signals read of each user's past: which items, how long ago, how active."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import scipy.sparse as sp

from penchant.data import DAY_S, BoolArray, Events, FloatArray, IntArray, Parts, own_sessions

VECTORS = "vectors_"  # how saved arrays of `Past.vectors` begin


@dataclass(frozen=True)
class Past:
    """The liked items of some users, one stored entry a (user, item) pair, as of one moment.

    indptr, indices: CSR structure (n_users, n_items), indices sorted.
    weight: summed positive weights of the pair · own_age: later liked events of the same user · log_age: share (0..1)
    of the log's liked events that came later · age_days: days since the last event (own events in an "order" log) ·
    n_times: sessions (`own_sessions`) in which the user liked it · gap: mean time between them, on the scale of
    age_days (0 for one alone) · in_session: 1 for what the user's last session holds, else 0.
    touched: (n_users, n_items) 0/1: liked or disliked items, the ones a list leaves out.
    activity: (n_users, 3) log number of events, time since the last and since the first one (see `in_spans`).
    vectors: (n_users, d) of each network that is a signal (see `networks`).
    """

    n_items: int
    indptr: IntArray
    indices: IntArray
    weight: FloatArray
    own_age: FloatArray
    log_age: FloatArray
    age_days: FloatArray
    n_times: FloatArray
    gap: FloatArray
    in_session: FloatArray
    touched: sp.csr_array
    activity: FloatArray
    vectors: dict[str, FloatArray] = field(default_factory=dict)

    @property
    def n_users(self) -> int:
        return len(self.indptr) - 1

    def matrix(self, data: FloatArray | None = None) -> sp.csr_array:
        """(n_users, n_items) CSR with the given entries (default: ones)."""
        values = np.ones(len(self.indices), np.float32) if data is None else data
        return sp.csr_array((values, self.indices, self.indptr), shape=(self.n_users, self.n_items))

    @cached_property
    def n_liked(self) -> IntArray:
        """(n_users,) liked items of each user."""
        return np.diff(self.indptr).astype(np.int32)

    @cached_property
    def only_disliked(self) -> sp.csr_array:
        """(n_users, n_items) 0/1: touched and never liked."""
        out = sp.csr_array(self.touched - self.touched.multiply(self.matrix()))
        out.eliminate_zeros()
        return out

    def take(self, user_rows: IntArray) -> Past:
        """The past of some users, in the order given. Cost: theirs alone, however many the others are."""
        first = self.indptr[user_rows].astype(np.int64)
        size = self.indptr[np.asarray(user_rows) + 1] - first
        end = np.cumsum(size)
        at = np.repeat(first - end + size, size) + np.arange(int(size.sum()))
        return replace(
            self,
            indptr=np.r_[0, end].astype(np.int32),
            indices=self.indices[at],
            weight=self.weight[at],
            own_age=self.own_age[at],
            log_age=self.log_age[at],
            age_days=self.age_days[at],
            n_times=self.n_times[at],
            gap=self.gap[at],
            in_session=self.in_session[at],
            touched=sp.csr_array(self.touched[user_rows]),
            activity=self.activity[user_rows],
            vectors={name: values[user_rows] for name, values in self.vectors.items()},
        )

    def of_items(self, keep: BoolArray) -> Past:
        """The same users' past among some items alone, as if they had liked no other.

        Two things are kept of the whole log: what they touched (a list leaves it out wherever that was) and how active
        they are.

        Args:
            keep: (n_items,) the items that are read.
        """
        return self.where(keep[self.indices])

    def where(self, kept: BoolArray) -> Past:
        """`of_items` for any choice of entries: (n_entries,) those that are read."""
        owner = np.repeat(np.arange(self.n_users), self.n_liked)
        owner, own_age = owner[kept], self.own_age[kept]
        indptr = np.searchsorted(owner, np.arange(self.n_users + 1)).astype(np.int32)
        order = np.lexsort((own_age, owner))
        later = np.empty(len(owner), np.float32)
        later[order] = np.arange(len(owner)) - indptr[:-1][owner[order]]
        return replace(
            self,
            indptr=indptr,
            indices=self.indices[kept],
            weight=self.weight[kept],
            own_age=later,
            log_age=self.log_age[kept],
            age_days=self.age_days[kept],
            n_times=self.n_times[kept],
            gap=self.gap[kept],
            in_session=self.in_session[kept],
            vectors={},
        )

    def to_parts(self) -> Parts:
        t = self.touched
        names = ("indptr", "indices", "weight", "own_age", "log_age", "age_days", "n_times", "gap", "in_session",
                 "activity")  # fmt: skip
        arrays = {name: getattr(self, name) for name in names}
        return Parts(
            {"n_items": self.n_items},
            {
                **arrays,
                "touched_indptr": t.indptr.astype(np.int32),
                "touched_indices": t.indices.astype(np.int32),
                **{VECTORS + name: values for name, values in self.vectors.items()},
            },
        )

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        a, n_items = dict(parts.arrays), int(parts.config["n_items"])
        indptr, indices = a.pop("touched_indptr"), a.pop("touched_indices")
        touched = sp.csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=(len(indptr) - 1, n_items))
        vectors = {name.removeprefix(VECTORS): a.pop(name) for name in [n for n in a if n.startswith(VECTORS)]}
        return cls(n_items=n_items, touched=touched, vectors=vectors, **a)


def read_past(events: Events, n_items: int) -> Past:
    """Read the past of all users at the end of `events`.

    A pair's ages are those of its last event. O(n log n) in the events.
    """
    liked = events.positive()
    n, n_users = len(liked), events.n_users
    key = liked.user_row.astype(np.int64) * n_items + liked.item_row
    pairs, backward = np.unique(key[::-1], return_index=True)  # the log is sorted: the first from behind is the last
    last = n - 1 - backward
    _, first, position = np.unique(key, return_index=True, return_inverse=True)
    user = (pairs // n_items).astype(np.int32)
    own_age = liked.n_by_user[liked.user_row] - 1 - liked.own_index
    age = own_age.astype(np.float64) if liked.clock == "order" else (events.end - liked.time) / DAY_S
    session, n_sessions = own_sessions(liked)
    times = np.unique(position * (int(session.max(initial=0)) + 1) + session)  # a pair and a session: one time
    n_times = np.bincount(times // (int(session.max(initial=0)) + 1), minlength=len(pairs))
    later = n - np.searchsorted(liked.time, liked.time[last], side="right")
    return Past(
        n_items=n_items,
        indptr=np.searchsorted(user, np.arange(n_users + 1)).astype(np.int32),
        indices=(pairs % n_items).astype(np.int32),
        weight=np.bincount(position, liked.weight, len(pairs)).astype(np.float32),
        own_age=own_age[last].astype(np.float32),
        log_age=(later / max(1, n)).astype(np.float32),
        age_days=age[last].astype(np.float32),
        n_times=n_times.astype(np.float32),
        gap=((age[first] - age[last]) / np.maximum(n_times - 1, 1)).astype(np.float32),
        in_session=(session == n_sessions[liked.user_row] - 1)[last].astype(np.float32),
        touched=events.touched(n_items),
        activity=_activity(events, liked),
    )


def past_of_new(user_rows: IntArray, item_rows: IntArray, weights: FloatArray, *, n_users: int, n_items: int) -> Past:
    """The past of people who are not in the log, from the items they touched just now, in one session.

    Args:
        user_rows: (n,) whose touch it was, 0..n_users - 1. item_rows: (n,) each user's oldest first.
        weights: (n,) above zero liked, below zero disliked.
    """
    liked = np.flatnonzero(weights > 0)
    key = user_rows[liked].astype(np.int64) * n_items + item_rows[liked]
    pairs, backward = np.unique(key[::-1], return_index=True)  # the first from behind is the last
    last = liked[len(liked) - 1 - backward]
    n_liked = np.bincount(user_rows[liked], minlength=n_users)
    order = np.argsort(user_rows[liked], kind="stable")
    place = np.empty(len(liked), np.int64)
    place[order] = np.arange(len(liked)) - np.repeat(np.cumsum(n_liked) - n_liked, n_liked)
    own = np.zeros(len(user_rows), np.int64)
    own[liked] = n_liked[user_rows[liked]] - 1 - place
    touched = np.unique((user_rows.astype(np.int64) * n_items + item_rows)[weights != 0])
    entry = sp.csr_array(
        (np.ones(len(touched), np.float32), (touched // n_items, touched % n_items)), shape=(n_users, n_items)
    )
    now = np.zeros(len(pairs), np.float32)
    activity = np.zeros((n_users, 3), np.float32)
    activity[:, 0] = np.log1p(np.bincount(user_rows, minlength=n_users))
    return Past(
        n_items=n_items,
        indptr=np.searchsorted(pairs // n_items, np.arange(n_users + 1)).astype(np.int32),
        indices=(pairs % n_items).astype(np.int32),
        weight=np.bincount(np.searchsorted(pairs, key), weights[liked], len(pairs)).astype(np.float32),
        own_age=own[last].astype(np.float32),
        log_age=now,
        age_days=now,
        n_times=np.bincount(np.searchsorted(pairs, key), minlength=len(pairs)).astype(np.float32),
        gap=now,
        in_session=now + 1,
        touched=entry,
        activity=activity,
    )


def in_spans(age: np.ndarray[tuple[int, ...], np.dtype[np.float64]], span: float) -> FloatArray:
    """Ages on a scale that no log's unit or length changes: log(1 + 250 * age / span of the log).

    250: an age of 1/250 of the span (about a day in a year's log) is where the scale turns from linear to logarithmic.
    """
    return np.log1p(250.0 * np.maximum(age, 0.0) / max(span, 1e-9)).astype(np.float32)


def _activity(events: Events, liked: Events) -> FloatArray:
    span = events.end - events.start
    first = np.full(events.n_users, events.end)
    last = np.full(events.n_users, events.start)
    np.minimum.at(first, liked.user_row, liked.time)
    np.maximum.at(last, liked.user_row, liked.time)
    return np.column_stack(
        [
            np.log1p(liked.n_by_user).astype(np.float32),
            in_spans(events.end - last, span),
            in_spans(events.end - first, span),
        ]
    )
