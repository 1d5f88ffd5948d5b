"""Windows of the log's own past: what was known before a cut, and what users newly liked after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray, Events, IntArray

# Each window costs a fit of all signals. More than a few are worth it where windows hold few users, of whom one alone
# would not tell a good method from a lucky one.
FEW_WINDOWS, ENOUGH_USERS = 5, 3000


@dataclass(frozen=True)
class Window:
    """before: events before the cut · after: those of the window · user_rows: users with a past who liked something new
    in the window (sorted) · target: (n_users, n_items) 0/1 CSR of that · share: of the log's events the window begins
    and ends at.
    """

    before: Events
    after: Events
    user_rows: IntArray
    target: sp.csr_array
    share: tuple[float, float]


def past_windows(
    events: Events, n_items: int, has_text: BoolArray, config: RecommendConfig, *, seed: int
) -> list[Window]:
    """Cut the log into windows of equal numbers of events, the latest first.

    A window holds `window_share` of the events; the earliest starts after at least as much. After `FEW_WINDOWS` none is
    added once they hold `ENOUGH_USERS` users together. A target is liked in the window, untouched before (with
    `repeat` "predict": not only disliked before), and either liked by somebody before the cut or described by a text:
    the items that a signal could find. Windows with fewer than `min_window_users` such users are left out. At most
    `max_train_users` of them are drawn.

    Args:
        has_text: (n_items,) items that a text signal can reach.
    """
    out: list[Window] = []
    n = len(events)
    end_row = n
    for i in range(1, config.n_windows + 1):
        share = 1.0 - i * config.window_share
        enough = len(out) >= FEW_WINDOWS and sum(len(window.user_rows) for window in out) >= ENOUGH_USERS
        if share < config.window_share - 1e-9 or not n or enough:
            break
        cut = events.cut_at(share)
        start_row = int(np.searchsorted(events.time, cut, side="left"))
        if not 0 < start_row < end_row:
            continue  # all events of the window share one time
        before = events.before(cut)
        after = Events(
            events.table.slice(start_row, end_row - start_row), events.user_ids, events.actions, events.clock
        )
        target = wanted_likes(before, after, n_items, has_text, repeats=config.repeat == "predict")
        users = np.flatnonzero(np.diff(target.indptr) > 0).astype(np.int32)
        if len(users) > config.max_train_users:
            draw = np.random.default_rng([seed, i])
            users = np.sort(draw.choice(users, config.max_train_users, replace=False))
        if len(users) >= config.min_window_users:
            out.append(Window(before, after, users, target, (start_row / n, end_row / n)))
        end_row = start_row
    return out


def wanted_likes(
    before: Events, after: Events, n_items: int, has_text: BoolArray, *, repeats: bool = False
) -> sp.csr_array:
    """(n_users, n_items) 0/1: liked after, untouched before, by users with a liked past, of items that can be found.

    Args:
        repeats: what was liked before counts as well; only what was disliked alone does not.
    """
    liked = before.matrix(n_items, binary=True)
    known = np.bincount(liked.indices, minlength=n_items) > 0
    target = after.matrix(n_items, binary=True)
    closed = before.touched(n_items)
    if repeats:
        closed = sp.csr_array(closed - closed.multiply(liked))
    out = sp.csr_array(target - target.multiply(closed))
    has_past = np.repeat(np.diff(liked.indptr) > 0, np.diff(out.indptr))
    out.data *= has_past & (known | has_text)[out.indices]
    out.eliminate_zeros()
    out.sort_indices()
    return out
