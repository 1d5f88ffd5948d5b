"""People whose first events fall into a past window: what lists for somebody new would have been judged by then.

Those whom a log knows well come back for what is new; those who have just come begin with what everybody begins with.
A method learned on the first serves the second badly, so newcomers have lessons of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray, Events
from penchant.recommend.past import Past, past_of_new

MAX_FIRST = 5  # likes that are known of a newcomer, at most; how many is drawn for each


@dataclass(frozen=True)
class Newcomers:
    """past: of n people, what they liked first · target: (n, n_items) 0/1 CSR of what they newly liked after that."""

    past: Past
    target: sp.csr_array


def find_newcomers(
    before: Events, after: Events, n_items: int, has_text: BoolArray, config: RecommendConfig, *, seed: int
) -> Newcomers | None:
    """Users of a window without an event before it and with two likes or more in it.

    A target was liked by somebody before the window or has a text, and is none of the user's first likes
    (unless repeats are foretold). At most
    `max_train_users` are drawn; None with fewer than `min_window_users`.

    Args:
        after: the events of the window.
    """
    liked = after.positive()
    n_liked = liked.n_by_user
    is_new = (before.n_by_user == 0) & (n_liked >= 2)
    draw = np.random.default_rng([seed, 12])
    n_first = draw.integers(1, MAX_FIRST + 1, before.n_users)  # for every user: nobody's lot hangs on another's
    n_first = np.minimum(n_first, np.maximum(n_liked - 1, 0))
    first = is_new[liked.user_row] & (liked.own_index < n_first[liked.user_row])
    given = liked.take(first)
    later = liked.take(is_new[liked.user_row] & ~first).matrix(n_items, binary=True)
    target = later
    if config.repeat != "predict":
        target = sp.csr_array(later - later.multiply(given.matrix(n_items, binary=True)))
    known = np.bincount(before.positive().item_row, minlength=n_items) > 0
    target.data *= (known | has_text)[target.indices]
    target.eliminate_zeros()
    target.sort_indices()
    users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
    if len(users) > config.max_train_users:
        users = np.sort(draw.choice(users, config.max_train_users, replace=False))
    if len(users) < config.min_window_users:
        return None
    given = given.take(np.isin(given.user_row, users))
    rows = np.searchsorted(users, given.user_row).astype(np.int32)
    past = past_of_new(rows, given.item_row, given.weight, n_users=len(users), n_items=n_items)
    return Newcomers(past, sp.csr_array(target[users]))
