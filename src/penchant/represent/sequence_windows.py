"""A user's liked events in their order, as padded index arrays for sequence networks; no loop over users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.data import BoolArray, Events, IntArray

# Time gaps in powers of two of a second: up to 2^31 s (68 years). The last row is "first event of the user".
N_GAPS = 33
FIRST_EVENT = N_GAPS - 1

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Histories:
    """Liked events, users one after another, each in order of time.

    start: (n_users + 1,) where a user's events begin in `item`, `action` and `gap`, all (n,) int64.
    """

    start: Int64Array
    item: Int64Array
    action: Int64Array
    gap: Int64Array

    @property
    def lengths(self) -> Int64Array:
        return np.diff(self.start)


def read_histories(events: Events, speaks: BoolArray, actions: tuple[str, ...]) -> Histories:
    """Liked events of items that say something (`speaks`), with rows of the network's tables.

    Args:
        actions: the names the network knows, in its order from row 1; row 0 is any other.
    """
    liked = events.positive()
    liked = liked.take(speaks[liked.item_row])
    order = np.argsort(liked.user_row, kind="stable")
    user = liked.user_row[order]
    start = np.searchsorted(user, np.arange(events.n_users + 1)).astype(np.int64)
    row_of = {name: row + 1 for row, name in enumerate(actions)}
    action = np.array([row_of.get(name, 0) for name in events.actions] or [0], np.int64)
    kind = liked.table["action"].to_numpy().astype(np.int64)[order]
    first = np.diff(user, prepend=-1) != 0
    gap = np.full(len(user), FIRST_EVENT, np.int64)
    if events.clock == "time":
        seconds = np.maximum(np.diff(liked.time[order], prepend=0.0), 0.0)
        gap = np.where(first, FIRST_EVENT, np.minimum(np.log2(1 + seconds), FIRST_EVENT - 1).astype(np.int64))
    return Histories(start, liked.item_row[order].astype(np.int64), action[kind], gap)


def latest_windows(histories: Histories, users: IntArray, max_length: int) -> tuple[Int64Array, Int64Array]:
    """Begin and length of the latest events of each user, at most `max_length`."""
    length = np.minimum(histories.lengths[users], max_length)
    return histories.start[1:][users] - length, length


def cut_windows(histories: Histories, max_length: int, rng: np.random.Generator) -> tuple[Int64Array, Int64Array]:
    """Begin and length of windows in which every event but a user's first is to be foretold once.

    A history longer than `max_length` is cut at places that move from round to round, so that an event is foretold
    from pasts of different lengths. A window's targets are its events shifted by one.
    """
    n_pairs = np.maximum(histories.lengths - 1, 0)  # (event, next event)
    is_long = n_pairs > max_length
    shift = np.where(is_long, rng.integers(0, max_length, len(n_pairs)), 0)  # length of the first window, 0 = whole
    n_windows = np.where(n_pairs > 0, -(-(n_pairs - shift) // max_length) + (shift > 0), 0)
    owner = np.repeat(np.arange(len(n_pairs)), n_windows)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    begin = np.where(shift[owner] > 0, shift[owner] + (number - 1) * max_length, number * max_length)
    end = np.minimum(begin + max_length, n_pairs[owner])
    begin = np.maximum(begin, 0)
    return histories.start[:-1][owner] + begin, end - begin


def batches_by_length(
    begin: Int64Array, length: Int64Array, batch_size: int, rng: np.random.Generator
) -> Iterator[tuple[Int64Array, Int64Array]]:
    """Windows of near lengths together, so that little is padding; batches in random order."""
    shuffled = rng.permutation(len(begin))
    order = shuffled[np.argsort(length[shuffled], kind="stable")]
    n_batches = -(-len(order) // batch_size)
    for number in rng.permutation(n_batches):
        chosen = order[number * batch_size : (number + 1) * batch_size]
        yield begin[chosen], length[chosen]


def pad(histories: Histories, begin: Int64Array, length: Int64Array) -> Mapping[str, Int64Array | BoolArray]:
    """(n, longest) item, action and gap rows, zeros at the end of shorter windows, and `there`, true on events."""
    width = int(length.max(initial=1))
    column = np.arange(width)
    there = column < length[:, None]
    place = np.where(there, begin[:, None] + column, 0)
    if not len(histories.item):
        place = np.zeros((len(begin), 0), np.int64)
    return {
        "item": np.where(there, histories.item[place], 0),
        "action": np.where(there, histories.action[place], 0),
        "gap": np.where(there, histories.gap[place], 0),
        "there": there,
    }
