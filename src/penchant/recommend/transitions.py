"""Transitions between interests: which ones users take up after having which, and so what to propose to whom.

A user *visits* an interest with an event that likes an item of it, after one of another interest; the user *has* it
from the second visit on, so that a stray click makes no interest. The log is cut into windows of equal numbers of
events. Over all windows and users who act in them, for interests i and j:

    C[i, j] = users who had i before the window, and took j up in it (not having it before)
    E[i, j] = users who had i and not j before the window
    lift[i, j] = (C[i, j] + s * base[j]) / (E[i, j] + s) / base[j],   base[j] = taken up / could have been

(smoothing towards the base rate as in an m-estimate, Cestnik 1990). A user's chance to take j up within the next window
is a logistic of log base[j] and of the mean log lift[i, j] over the interests i the user has, fitted on the last window
with counts of those before it. One window earlier the same is done as a test: what the report holds is of a window that
neither the counts nor the logistic saw. Where the lifts don't lower the log loss there, the base rate alone speaks.

Where the log has impressions, an interest whose items were shown and left alone n times has its odds multiplied by
(1 - c)^n, c = the share of impressions in this log that were taken: Bayes' rule, were c the chance to take what one
likes. An interest that was never shown loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.data import Events, FloatArray, IntArray, Parts
from penchant.recommend.ignored import read_ignored
from penchant.recommend.past import Past
from penchant.scorers import top_items

Rows = npt.NDArray[np.integer[Any]]

N_WINDOWS = 10
VISITS = 2  # that make an interest the user's own
SMOOTHING = 50.0  # users that a lift is drawn to 1 by
MAX_USERS = 5000  # of a window that the logistic is fitted or tested on
MIN_TAKEN = 30  # take-ups in a window to fit or test on
REPORT = {"n_taken": pl.Int64, "auc": pl.Float64, "auc_base": pl.Float64, "log_loss": pl.Float64,
          "log_loss_base": pl.Float64, "used": pl.String}  # fmt: skip


@dataclass(frozen=True)
class Transitions:
    """base: (n_leaves,) chance to take an interest up in one window · log_lift: (n_leaves, n_leaves) from i to j ·
    weights: (3,) constant, of log base, of the mean log lift · had: (n_users, n_leaves) 0/1, interests that users have
    at the end of the log · touched: (n_users, n_leaves) 0/1, interests never proposed: any event, liked or not ·
    report: one row, see `fit_transitions`.
    """

    base: FloatArray
    log_lift: FloatArray
    weights: FloatArray
    had: sp.csr_array
    touched: sp.csr_array
    ignored: sp.csr_array
    taken_share: float
    leaf_of_item: IntArray
    turns: IntArray
    report: pl.DataFrame

    def chances(self, user_rows: IntArray) -> FloatArray:
        """(n, n_leaves) chance that each user, if active, takes each interest up within a window; 0 where touched.

        A user without an interest of their own gets what is usual.
        """
        left_alone = (self.ignored[user_rows] @ one_leaf(self.leaf_of_item, len(self.base))).toarray()
        log_odds = self._log_odds(self.had[user_rows]) + left_alone * np.log1p(-self.taken_share)
        return _chances(log_odds, self.touched[user_rows])

    def propose(self, user_rows: IntArray, n: int = 5) -> pl.DataFrame:
        """The n untouched interests that each user is likeliest to take up.

        Returns:
            user_row i32, interest_row i32, rank i32 (from 1), probability f32; ties: the lower interest.
        """
        chances = self.chances(user_rows)
        top = top_items(np.where(chances > 0, chances, -np.inf).astype(np.float32), n)
        row, place = np.nonzero(top >= 0)
        leaf = top[row, place]
        return pl.DataFrame(
            {
                "user_row": np.asarray(user_rows, np.int32)[row],
                "interest_row": leaf,
                "rank": (place + 1).astype(np.int32),
                "probability": chances[row, leaf],
            }
        )

    def of_stranger(self, past: Past) -> FloatArray:
        """As `chances`, for somebody who is not in the log: every interest of a liked item counts as had."""
        leaf = self.leaf_of_item[past.touched.indices]
        row = np.repeat(np.arange(past.n_users), np.diff(past.touched.indptr))[leaf >= 0]
        touched = _flags(row, leaf[leaf >= 0], (past.n_users, len(self.base)))
        liked = self.leaf_of_item[past.indices]
        row = np.repeat(np.arange(past.n_users), past.n_liked)[liked >= 0]
        had = _flags(row, liked[liked >= 0], touched.shape)
        return _chances(self._log_odds(had), touched)

    def _log_odds(self, had: sp.csr_array) -> FloatArray:
        return _features(had, self.base, self.log_lift) @ self.weights

    def to_parts(self) -> Parts:
        arrays = {name: getattr(self, name) for name in ("base", "log_lift", "weights", "leaf_of_item", "turns")}
        for name in ("had", "touched", "ignored"):
            arrays |= csr_to_arrays(getattr(self, name), name)
        return Parts({"taken_share": self.taken_share, "report": self.report.to_dicts()[0]}, arrays)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        a = parts.arrays
        return cls(
            **{name: a[name] for name in ("base", "log_lift", "weights", "leaf_of_item", "turns")},
            **{name: csr_from_arrays(a, name) for name in ("had", "touched", "ignored")},
            taken_share=float(parts.config["taken_share"]),
            report=pl.DataFrame(parts.config["report"], schema=REPORT),
        )


@dataclass(frozen=True)
class Steps:
    """What counts of a log, one entry a (user, interest) pair: rows, the window in which the user came to have it
    (N_WINDOWS: never), and the last window. acts: (n_users, N_WINDOWS) whether the user liked anything in each window.
    """

    user: IntArray
    leaf: IntArray
    window: IntArray
    acts: npt.NDArray[np.bool_]
    shape: tuple[int, int]

    def had(self, window: int) -> sp.csr_array:
        """(n_users, n_leaves) 0/1: had before the window, by users who act in it."""
        keep = (self.window < window) & self.acts[self.user, window]
        return _flags(self.user[keep], self.leaf[keep], self.shape)

    def taken(self, window: int) -> sp.csr_array:
        """(n_users, n_leaves) 0/1: taken up in the window."""
        keep = self.window == window
        return _flags(self.user[keep], self.leaf[keep], self.shape)


def strongest_leaf(membership: sp.csr_array) -> IntArray:
    """(n_items,) the leaf each item lies in most (ties: the lower), -1 for an item in none.

    >>> strongest_leaf(sp.csr_array(np.array([[0.2, 0.8], [0.0, 0.0], [0.5, 0.5]]))).tolist()
    [1, -1, 0]
    """
    part = sp.csr_array(membership).tocoo()
    order = np.lexsort((part.col, -part.data, part.row))
    row, first = np.unique(part.row[order], return_index=True)
    out = np.full(part.shape[0], -1, np.int32)
    out[row] = part.col[order][first]
    return out


def fit_transitions(events: Events, membership: sp.csr_array, *, seed: int) -> Transitions:
    """Count transitions and fit how far they foretell what users take up.

    Args:
        membership: (n_items, n_leaves) of the tree; an event touches the leaf its item lies in most.
    Returns:
        Transitions whose report has one row: n_taken (take-ups in the test window), auc and auc_base, log_loss and
        log_loss_base of lifts and of base rates alone there (null: too few to test on), used ("lifts", "base").
    Cost: sparse products of (n_leaves, n_users) by (n_users, n_leaves), and n_leaves for each of MAX_USERS users.
    """
    leaf_of_item = strongest_leaf(membership)
    n_leaves = membership.shape[1]
    steps = read_steps(events, leaf_of_item, n_leaves)
    last = N_WINDOWS - 1
    test = _test(steps, last, seed)
    lifts = bool(test["log_loss"] < test["log_loss_base"])  # never with too few to test on
    base, log_lift = count(steps, N_WINDOWS)
    earlier = count(steps, last)
    weights = _fit(*_pairs(steps, last, *earlier, seed), lifts=lifts)
    acted = np.flatnonzero(events.item_row >= 0)
    acted = acted[(events.weight[acted] != 0) & (leaf_of_item[events.item_row[acted]] >= 0)]
    touched = _flags(events.user_row[acted], leaf_of_item[events.item_row[acted]], steps.shape)
    had = steps.window < N_WINDOWS
    ignored = read_ignored(events, membership.shape[0])
    return Transitions(
        base,
        log_lift,
        weights,
        _flags(steps.user[had], steps.leaf[had], steps.shape),
        touched,
        ignored.counts,
        ignored.taken_share,
        leaf_of_item,
        events.n_by_user,
        pl.DataFrame({**test, "used": "lifts" if lifts else "base"}, schema=REPORT).fill_nan(None),
    )


def read_steps(events: Events, leaf_of_item: IntArray, n_leaves: int) -> Steps:
    """Find when each user came to have each interest."""
    liked = events.positive()
    liked = liked.take(leaf_of_item[liked.item_row] >= 0)
    n, shape = len(liked), (events.n_users, n_leaves)
    user, leaf = liked.user_row, leaf_of_item[liked.item_row]
    window = np.minimum(np.arange(n) * N_WINDOWS // max(1, n), N_WINDOWS - 1)
    acts = np.zeros((events.n_users, N_WINDOWS), np.bool_)
    acts[user, window] = True
    by_user = np.argsort(user, kind="stable")
    same = (np.diff(user[by_user], prepend=-1) == 0) & (np.diff(leaf[by_user], prepend=-1) == 0)
    visit = by_user[~same]  # rows of the log that begin a visit, by user, in time
    key = user[visit].astype(np.int64) * n_leaves + leaf[visit]
    order = np.argsort(key, kind="stable")
    start = np.searchsorted(key[order], key[order])
    nth = np.arange(len(order)) - start
    came = order[nth == VISITS - 1]
    return Steps(user[visit[came]], leaf[visit[came]], window[visit[came]], acts, shape)


def count(steps: Steps, until: int) -> tuple[FloatArray, FloatArray]:
    """Base rates and log lifts over the windows before `until`; see the head of this file.

    Returns:
        (n_leaves,) base and (n_leaves, n_leaves) log lift; the diagonal is 0.
    """
    k = steps.shape[1]
    took, could = np.zeros(k), np.zeros(k)
    c, e = np.zeros((k, k)), np.zeros((k, k))
    for window in range(1, until):
        had, taken = steps.had(window), steps.taken(window)
        n_acting = float(steps.acts[:, window].sum())
        took += taken.sum(axis=0)
        could += n_acting - had.sum(axis=0)
        c += (had.T @ taken).toarray()
        together = (had.T @ had).toarray()
        e += np.diag(together)[:, None] - together
    base = (took + 1.0 / max(1, k)) / (could + 1.0)
    lift = (c + SMOOTHING * base) / (e + SMOOTHING) / base
    np.fill_diagonal(lift, 1.0)
    return base.astype(np.float32), np.log(lift).astype(np.float32)


def one_leaf(leaf_of_item: IntArray, n_leaves: int) -> sp.csr_array:
    """(n_items, n_leaves) 0/1: the leaf of each item, none for -1."""
    item = np.flatnonzero(leaf_of_item >= 0)
    return _flags(item.astype(np.int32), leaf_of_item[item], (len(leaf_of_item), n_leaves))


def _chances(log_odds: FloatArray, touched: sp.csr_array) -> FloatArray:
    out = np.asarray(1 / (1 + np.exp(-log_odds)), np.float32)
    out[touched.nonzero()] = 0.0
    return out


def _features(had: sp.csr_array, base: FloatArray, log_lift: FloatArray) -> FloatArray:
    """(n, n_leaves, 3) one, log base, mean log lift over the interests had (0 where none)."""
    n_had = np.maximum(np.diff(had.indptr), 1)[:, None]
    mean = np.asarray(had @ log_lift) / n_had
    usual = np.broadcast_to(np.log(base), mean.shape)
    return np.stack([np.ones_like(mean), usual, mean], axis=2).astype(np.float32)


def _pairs(
    steps: Steps, window: int, base: FloatArray, log_lift: FloatArray, seed: int
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Features and outcomes of one window: every interest not had, of (some of) the users who act in it."""
    users = np.flatnonzero(steps.acts[:, window])
    if len(users) > MAX_USERS:
        users = np.sort(np.random.default_rng([seed, 23, window]).choice(users, MAX_USERS, replace=False))
    had = steps.had(window)[users]
    open_ = had.toarray() == 0
    return _features(had, base, log_lift)[open_], steps.taken(window)[users].toarray()[open_] > 0


def _fit(features: FloatArray, taken: npt.NDArray[np.bool_], *, lifts: bool) -> FloatArray:
    """(3,) weights of a logistic; the base rate as it is where there is too little to fit on."""
    from sklearn.linear_model import LogisticRegression

    out = np.array([0.0, 1.0, 0.0], np.float32)
    if taken.sum() < MIN_TAKEN:
        return out
    columns = [1, 2] if lifts else [1]
    found = LogisticRegression(C=100.0, max_iter=200).fit(features[:, columns], taken)
    out[0], out[columns] = found.intercept_[0], found.coef_[0]
    return out


def _test(steps: Steps, window: int, seed: int) -> dict[str, float]:
    """Lifts against base rates on a window that counts and logistic did not see."""
    from sklearn.metrics import log_loss, roc_auc_score

    fit_on, taken_before = _pairs(steps, window - 1, *count(steps, window - 1), seed)
    features, taken = _pairs(steps, window, *count(steps, window), seed)
    out: dict[str, float] = {"n_taken": int(taken.sum())}
    if min(taken.sum(), taken_before.sum()) < MIN_TAKEN:
        return out | dict.fromkeys(("auc", "auc_base", "log_loss", "log_loss_base"), np.nan)
    for name, lifts in (("", True), ("_base", False)):
        p = 1 / (1 + np.exp(-(features @ _fit(fit_on, taken_before, lifts=lifts)).astype(np.float64)))
        out |= {f"auc{name}": float(roc_auc_score(taken, p)), f"log_loss{name}": float(log_loss(taken, p))}
    return out


def _flags(user: Rows, leaf: Rows, shape: tuple[int, int]) -> sp.csr_array:
    out = sp.csr_array((np.ones(len(user), np.float32), (user, leaf)), shape=shape)
    out.sum_duplicates()
    out.data[:] = 1.0
    return out
