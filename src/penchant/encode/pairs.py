"""Texts that the same users liked: what an encoder is tuned on, and the texts held out to judge that.

All rows here are rows of distinct texts: items of one text are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import BoolArray, Events, FloatArray, IntArray

RowArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Likes:
    """Who liked which text: one entry a user and text (its first), sorted by user, then time.

    user, text: (n,) rows. n_users, n_texts: of all, with entries or not.
    """

    user: IntArray
    text: IntArray
    n_users: int
    n_texts: int

    @cached_property
    def matrix(self) -> sp.csr_array:
        """(n_users, n_texts) float32 0/1."""
        ones = np.ones(len(self.user), np.float32)
        return sp.csr_array((ones, (self.user, self.text)), shape=(self.n_users, self.n_texts))

    @cached_property
    def n_by_text(self) -> RowArray:
        """(n_texts,) users of each text."""
        return np.bincount(self.text, minlength=self.n_texts)

    def take(self, mask: BoolArray) -> Likes:
        """Keep the entries under a (n,) mask; users and texts keep their rows."""
        return Likes(self.user[mask], self.text[mask], self.n_users, self.n_texts)

    def of_texts(self, allowed: BoolArray) -> Likes:
        """Keep the entries of the texts under a (n_texts,) mask."""
        return self.take(allowed[self.text])


@dataclass(frozen=True)
class Groups:
    """Texts liked by one user, near each other in time. user: (n,). text: (n, size) rows, now and then one twice."""

    user: IntArray
    text: IntArray

    def __len__(self) -> int:
        return len(self.user)


def likes_of(events: Events, text_of_item: IntArray, n_texts: int) -> Likes:
    """Read the liked texts of a log (positive events; items without a text, row -1, are left out)."""
    liked = events.positive()
    text = text_of_item[liked.item_row]
    there = np.flatnonzero(text >= 0)
    user, text = liked.user_row[there], text[there]
    _, first = np.unique(user.astype(np.int64) * n_texts + text, return_index=True)
    order = np.sort(first)  # events lie in the order of time
    order = order[np.argsort(user[order], kind="stable")]
    return Likes(user[order], text[order], events.n_users, n_texts)


def chance_to_stay(likes: Likes, debias: float) -> npt.NDArray[np.float64]:
    """(n_texts,) chance that a like of a text with f users is kept: min(1, (median f / f) ** debias).

    After the subsampling of frequent words (Mikolov et al. 2013, section 2.3).

    Args:
        debias: 0 = texts as frequent as in the log; 1 = every text above the median equally often.
    """
    n_users = np.maximum(likes.n_by_text, 1)
    typical = float(np.median(n_users[likes.text])) if len(likes.text) else 1.0
    return np.minimum(1.0, (typical / n_users) ** debias)


def draw_groups(
    likes: Likes, n_groups: int, *, size: int, window: int, debias: float, rng: np.random.Generator
) -> Groups:
    """Draw groups of texts from users with two or more; popular texts are thinned out first, afresh at every draw.

    Args:
        size: texts in a group, 2 or more: one like, drawn at random, and others around it, drawn with replacement.
        window: the others are at most so many kept likes of the user before or after the first.

    Returns:
        n_groups groups; none where no user has two texts.

    >>> likes = Likes(np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 2, 3], np.int32), 2, 4)
    >>> groups = draw_groups(likes, 100, size=2, window=5, debias=0.5, rng=np.random.default_rng(0))
    >>> sorted(set(map(tuple, groups.text.tolist())))
    [(0, 1), (1, 0), (2, 3), (3, 2)]
    """
    kept = likes.take(rng.random(len(likes.text)) < chance_to_stay(likes, debias)[likes.text])
    n_by_user = np.bincount(kept.user, minlength=kept.n_users)
    end = np.cumsum(n_by_user)[kept.user]  # of the stretch of each like's user
    start = end - n_by_user[kept.user]
    can = np.flatnonzero(end - start >= 2)
    if not len(can):
        return Groups(np.zeros(0, np.int32), np.zeros((0, size), np.int32))
    first = can[rng.integers(0, len(can), n_groups)]
    low = np.maximum(start[first], first - window)[:, None]
    high = np.minimum(end[first], first + window + 1)[:, None]
    others = low + rng.integers(0, high - low - 1, (n_groups, size - 1))
    others += others >= first[:, None]  # any place of the window but the first's own
    return Groups(kept.user[first], kept.text[np.column_stack([first, others])])


@dataclass(frozen=True)
class HeldOut:
    """Users whose profile is made of some texts and who liked some of the others.

    past, wanted: rows of texts; a profile is the mean of vectors of `past`, and the texts `wanted` are ranked by it.
    profile: (n_users, len(past)) rows sum to 1. user, place: (n,) each like of a wanted text, `place` within `wanted`.
    """

    past: IntArray
    wanted: IntArray
    profile: sp.csr_array
    user: IntArray
    place: IntArray

    def scores(self, past: FloatArray, wanted: FloatArray) -> npt.NDArray[np.float64]:
        """Score each like by where its text stands among `wanted`: 1 / log2(1 + rank), in 0..1, higher is better.

        Args:
            past, wanted: (len(past), d) and (len(wanted), d) vectors.
        """
        likeness = (self.profile @ past) @ wanted.T
        rank = np.empty(likeness.shape, np.int64)
        order = np.argsort(-likeness, axis=1, kind="stable")
        np.put_along_axis(rank, order, np.arange(likeness.shape[1])[None, :], axis=1)
        return np.asarray(1 / np.log2(2 + rank[self.user, self.place]))


def hold_out(likes: Likes, wanted: BoolArray, past: BoolArray, *, max_users: int, max_texts: int) -> HeldOut:
    """Pose the question: which of the texts `wanted` did the users like, by what they liked among `past`?

    Args:
        wanted, past: (n_texts,) masks.
        max_users, max_texts: the users with the most such likes and the `past` texts with the most users are taken.
    """
    most = np.flatnonzero(past & (likes.n_by_text > 0))
    past_rows = np.sort(most[np.argsort(-likes.n_by_text[most], kind="stable")[:max_texts]]).astype(np.int32)
    wanted_rows = np.flatnonzero(wanted & (likes.n_by_text > 0)).astype(np.int32)
    profile, answers = likes.matrix[:, past_rows], sp.csr_array(likes.matrix[:, wanted_rows])
    n_profile, n_answers = np.diff(sp.csr_array(profile).indptr), np.diff(answers.indptr)
    can = np.flatnonzero((n_profile > 0) & (n_answers > 0))
    users = np.sort(can[np.argsort(-n_answers[can], kind="stable")[:max_users]])
    found = sp.coo_array(answers[users])
    mean = sp.csr_array(sp.diags_array(1.0 / n_profile[users]) @ profile[users]).astype(np.float32)
    return HeldOut(past_rows, wanted_rows, mean, found.coords[0].astype(np.int32), found.coords[1].astype(np.int32))
