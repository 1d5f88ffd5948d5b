"""The global time split: everything before one moment to learn from, everything after it to be tested on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp

from penchant.data import Events
from penchant.errors import DataError

ColdItems = Literal["miss", "leave_out"]
Repeats = Literal["leave_out", "count"]


@dataclass(frozen=True)
class Split:
    """A log cut in two at one moment, the same for all users (no user's future informs another's past).

    train: events with time < cut; test: events with cut <= time < end. Checked when built.
    """

    train: Events
    test: Events
    cut: float
    end: float = math.inf

    def __post_init__(self) -> None:
        if len(self.train) and self.train.end >= self.cut:
            n = int((self.train.time >= self.cut).sum())
            raise DataError(
                f"split: {n:,} of {len(self.train):,} train events lie at or after the cut ({self.cut}): the future "
                "would leak into train; build the split with split_by_time"
            )
        if len(self.test) and self.test.start < self.cut:
            n = int((self.test.time < self.cut).sum())
            raise DataError(
                f"split: {n:,} of {len(self.test):,} test events lie before the cut ({self.cut}); "
                "build the split with split_by_time"
            )
        if len(self.test) and self.test.end >= self.end:
            n = int((self.test.time >= self.end).sum())
            raise DataError(
                f"split: {n:,} of {len(self.test):,} test events lie at or after the end of the window ({self.end}); "
                "build the split with split_windows"
            )
        if self.train.n_users != self.test.n_users:
            raise DataError(
                f"split: train and test must share user rows. Got {self.train.n_users:,} and {self.test.n_users:,}."
            )

    def history(self, n_items: int) -> sp.csr_array:
        """(n_users, n_items) 0/1: what each user liked in train."""
        return self.train.matrix(n_items, binary=True)

    def seen(self, n_items: int) -> sp.csr_array:
        """(n_users, n_items) 0/1: what each user acted on in train, liked or not; never recommended, never a target."""
        return self.train.touched(n_items)

    def targets(self, n_items: int, cold_items: ColdItems = "miss", repeats: Repeats = "leave_out") -> sp.csr_array:
        """What a good list would hold: the items a known user liked in test and had not acted on in train.

        Known users liked at least one item in train. A repeated purchase is no target, unless `repeats` count.

        Args:
            cold_items: items nobody liked in train: "miss" keeps them as targets (who can't recommend them misses
                them), "leave_out" drops them, and users left without a target with them.
        Returns:
            (n_users, n_items) CSR float32 0/1, indices sorted; empty rows are users not to be tested.
        """
        history = self.history(n_items)
        target = self.test.matrix(n_items, binary=True)
        if repeats == "leave_out":
            target = sp.csr_array(target - target.multiply(self.seen(n_items)))
        keep_user = (np.diff(history.indptr) > 0).astype(np.float32)
        keep_item = np.ones(n_items, np.float32)
        if cold_items == "leave_out":
            keep_item[np.bincount(history.indices, minlength=n_items) == 0] = 0.0
        target.data *= np.repeat(keep_user, np.diff(target.indptr)) * keep_item[target.indices]
        target.eliminate_zeros()
        target.sort_indices()
        return target

    def cold_share(self, n_items: int) -> float:
        """Share of the targets that nobody liked in train, 0..1 (0 without targets): no log foretells them."""
        n_all = self.targets(n_items, "miss").nnz
        return 1 - self.targets(n_items, "leave_out").nnz / n_all if n_all else 0.0


def split_by_time(events: Events, test_share: float) -> Split:
    """Cut a log so that the last `test_share` of its events is the test (ties at the cut all go to the test).

    The share is of events, not of the span: a log that grows or fades still gives a test of the size asked for. A log
    without times is cut the same way on its order.

    Raises:
        DataError: all events share one time, or the log is too short: one side would be empty.

    >>> import polars as pl
    >>> log = pl.DataFrame({"user_row": [0, 1, 0, 1], "item_row": [0, 0, 1, 2], "action": [0] * 4, "weight": [1.0] * 4,
    ...     "time": [1.0, 2.0, 3.0, 4.0]}, schema={"user_row": pl.Int32, "item_row": pl.Int32, "action": pl.Int16,
    ...     "weight": pl.Float32, "time": pl.Float64})
    >>> split = split_by_time(Events(log, pl.Series(["a", "b"]), ("view",)), 0.5)
    >>> split.cut, len(split.train), split.targets(3).toarray().tolist()
    (3.0, 2, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    """
    if not 0 < test_share < 1:
        raise DataError(f"split: test_share must be above 0 and below 1. Got {test_share}.")
    n = len(events)
    cut = events.cut_at(1 - test_share)
    train = events.before(cut)
    if not len(train):
        raise DataError(
            f"split: no event lies before the last {test_share:.0%} of the log ({n:,} events, "
            f"{len(np.unique(events.time)):,} different times); give a longer log, or a smaller evaluate.test_share"
        )
    return Split(train, events.take(events.time >= cut), cut)


def split_windows(events: Events, test_share: float, n_windows: int) -> tuple[Split, ...]:
    """Cut several consecutive test windows off the end of a log, each of `test_share` of its events, the latest first.

    Each window ends where the next later one starts, and its train is everything before it: no window's model knows of
    any event in it or after it. Ties at a cut go to the later side, as in `split_by_time`, which gives the first.

    Raises:
        DataError: the log is too short for so many windows: one would have no event to learn from or none to test on.

    >>> import polars as pl
    >>> log = pl.DataFrame({"user_row": [0] * 4, "item_row": [0, 1, 2, 3], "action": [0] * 4, "weight": [1.0] * 4,
    ...     "time": [1.0, 2.0, 3.0, 4.0]}, schema={"user_row": pl.Int32, "item_row": pl.Int32, "action": pl.Int16,
    ...     "weight": pl.Float32, "time": pl.Float64})
    >>> found = split_windows(Events(log, pl.Series(["a"]), ("view",)), 0.25, 2)
    >>> [(s.cut, s.end, s.test.time.tolist(), s.train.time.tolist()) for s in found]
    [(4.0, inf, [4.0], [1.0, 2.0, 3.0]), (3.0, 4.0, [3.0], [1.0, 2.0])]
    """
    if n_windows < 1:
        raise DataError(f"split: n_windows must be at least 1. Got {n_windows}.")
    found = [split_by_time(events, test_share)]
    size = len(events) - events.index_at(1 - test_share)
    for number in range(2, n_windows + 1):
        end = found[-1].cut
        # counted back from the later window, so that many events of one moment there don't eat up this one
        cut = float(events.time[max(0, len(found[-1].train) - size)])
        train, test = events.before(cut), events.between(cut, end)
        if not (len(train) and len(test)):
            raise DataError(
                f"split: the log is too short for {n_windows} windows of {test_share:.0%}: window {number} has "
                f"{len(train):,} events before it and {len(test):,} in it ({len(events):,} events in all, "
                f"{len(np.unique(events.time)):,} different times); take fewer windows (evaluate.n_windows) or smaller "
                "ones (evaluate.test_share)"
            )
        found.append(Split(train, test, cut, end))
    return tuple(found)
