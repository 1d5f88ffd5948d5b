"""What every rival is given, and what several of them share: the past, the texts, how to rank."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from penchant.config import Config, RunOptions
from penchant.data import Events, FloatArray, IntArray, Items, Vectors
from penchant.evaluate.peers import ValidationWindow, left_out, validation_window
from penchant.pipeline import Ground, lay_ground
from penchant.protocols import Ranks
from penchant.scorers import build_scorer, top_lists
from penchant.start import read_start, read_texts


@dataclass(frozen=True)
class Task:
    """train: all that may be known · user_rows: (n,) whose lists are asked for · k: their length.

    What is computed once and used by several rivals is kept: the validation window, the texts, our own ground.
    """

    train: Events
    items: Items
    user_rows: IntArray
    config: Config
    run: RunOptions
    k: int

    @property
    def n_items(self) -> int:
        return len(self.items)

    @cached_property
    def quiet(self) -> RunOptions:
        """For what runs inside a rival: its own steps are not told."""
        return replace(self.run, progress=False)

    @cached_property
    def history(self) -> sp.csr_array:
        """(n_users, n_items) 0/1: liked in train."""
        return self.train.matrix(self.n_items, binary=True)

    @cached_property
    def seen(self) -> sp.csr_array:
        """(n_users, n_items) 0/1: acted on in train, liked or not; in no list. Empty where repeats count."""
        return left_out(self.train, self.n_items, self.config.evaluate)

    @cached_property
    def window(self) -> ValidationWindow | None:
        """The last part of train, to choose settings on; None where train is too short."""
        return validation_window(self.train, self.n_items, self.config.evaluate, self.config.seed)

    @cached_property
    def text(self) -> Vectors | None:
        """(n_items, d) vectors of the items' texts by `config.encode`; None where no text is read."""
        return self._read_text(self.train)

    @cached_property
    def ground(self) -> Ground:
        """What our own recommender stands on, from train alone."""
        return lay_ground(self.train, self.items, self.config, self.quiet)

    def text_before(self, events: Events) -> Vectors | None:
        """The same as known from a part of train: an encoder tuned on behaviour must not have seen the rest."""
        return self.text if self.config.encode.tune == "off" else self._read_text(events)

    def _read_text(self, events: Events) -> Vectors | None:
        source = read_start(self.config, self.quiet)
        return read_texts(events, self.items, self.config, self.quiet, source)[1]

    def rank(self, scorer: Ranks) -> IntArray:
        """(n, k) full ranking of all items by a fitted scorer, seen ones left out, ties by item row."""
        return top_lists(scorer, self.user_rows, self.history, self.k, seen=self.seen)

    def complete(self, user_rows: IntArray, lists: IntArray) -> IntArray:
        """Lists of some users made whole: items seen are taken out, popular ones take the places left.

        Args:
            user_rows: (m,) different users. lists: (m, w) item rows, best first, no item twice, -1 for none.
        Returns:
            (n, k), a row for each of the task's users, also those that are not in `user_rows`.
        """
        popular = build_scorer("popular")
        popular.fit(self.train, self.n_items)
        users = popular.score(np.zeros(1, np.int32), self.history)[0]
        return self.rank(ListThenPopular(user_rows, lists, np.asarray(users / (users.max(initial=0.0) + 1.0))))


@dataclass(frozen=True)
class ListThenPopular:
    """Scores that give a list back: its items by place, all above 1, then the rest by popularity, 0 to 1."""

    user_rows: IntArray
    lists: IntArray
    popularity: FloatArray

    def score(self, user_rows: IntArray, history: sp.csr_array) -> FloatArray:
        """(len(user_rows), n_items) float32."""
        order = np.argsort(self.user_rows, kind="stable")
        at = np.searchsorted(self.user_rows, user_rows, sorter=order)
        at = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(user_rows), np.int64)
        known = np.isin(user_rows, self.user_rows)
        lists = np.where(known[:, None], self.lists[at], -1) if len(order) else np.full((len(user_rows), 0), -1)
        row, place = np.nonzero(lists >= 0)
        out = np.tile(self.popularity.astype(np.float32), (len(user_rows), 1))
        out[row, lists[row, place]] = 1.0 + lists.shape[1] - place
        return out
