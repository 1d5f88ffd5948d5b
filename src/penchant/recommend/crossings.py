"""From one domain to another: what lists would have been judged by for people known in one domain alone.

Who reads books and has never been seen with films is no usual user of films, and a method learned on those leans on
what such people have not: neighbours, factors, habits in films. So crossings have lessons of their own: users of past
windows of whom one domain is read, and what they newly liked in another.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import IntArray, Items
from penchant.recommend.lessons import make_lesson
from penchant.recommend.past import Past
from penchant.recommend.rank import Lesson
from penchant.recommend.signals import Signals
from penchant.recommend.windows import Window

NO_DOMAIN = -1
MAX_USERS = 1000  # of a lesson


def domains_of(items: Items) -> IntArray:
    """(n_items,) row of each item's domain, NO_DOMAIN where it has none."""
    if "domain" not in items.table.columns:
        return np.full(len(items), NO_DOMAIN, np.int32)
    known = items.table["domain"]
    codes = known.rank("dense").fill_null(0).to_numpy()
    return np.asarray(codes, np.int32) - 1


def crossing_lesson(
    window: Window, past: Past, signals: Signals, domain: IntArray, config: RecommendConfig, *, seed: int
) -> Lesson | None:
    """Users of a window with likes in one domain before it and new likes in another; one such pair is drawn for each.

    Args:
        past: of all users before the window. domain: (n_items,) of `domains_of`.
    Returns:
        None with fewer than `min_window_users` such users. Candidates are items of the second domain alone.
    """
    n_domains = int(domain.max(initial=NO_DOMAIN)) + 1
    if n_domains < 2:
        return None
    there = np.flatnonzero(domain >= 0)
    place = sp.csr_array((np.ones(len(there), np.float32), (there, domain[there])), shape=(len(domain), n_domains))
    whole = past.take(window.user_rows)
    target = sp.csr_array(window.target[window.user_rows])
    liked = (whole.matrix() @ place).toarray()
    wanted = (target @ place).toarray()
    draw = np.random.default_rng([seed, 14])
    to = np.where(wanted > 0, draw.random(wanted.shape), -1.0).argmax(axis=1)
    rows = np.arange(len(to))
    liked[rows, to] = 0.0
    come_from = np.where(liked > 0, draw.random(liked.shape), -1.0).argmax(axis=1)
    users = np.flatnonzero((liked[rows, come_from] > 0) & (wanted[rows, to] > 0))
    if len(users) > MAX_USERS:
        users = np.sort(draw.choice(users, MAX_USERS, replace=False))
    if len(users) < config.min_window_users:
        return None
    whole, target, to, come_from = whole.take(users.astype(np.int32)), target[users], to[users], come_from[users]
    owner = np.repeat(np.arange(len(users)), whole.n_liked)
    read = whole.where(domain[whole.indices] == come_from[owner])
    closed = sp.csr_array((domain[None, :] != to[:, None]).astype(np.float32) + whole.touched)
    target = sp.csr_array(target)
    target.data = target.data * (domain[target.indices] == np.repeat(to, np.diff(target.indptr)))
    target.eliminate_zeros()
    return make_lesson(read, target, signals, config, closed)
