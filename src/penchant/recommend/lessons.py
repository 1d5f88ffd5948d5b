"""Candidates of some users with what came of them: what a ranker learns from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray
from penchant.recommend.batch import batch_size
from penchant.recommend.candidates import Candidates, describe, pick_candidates
from penchant.recommend.past import Past
from penchant.recommend.rank import Lesson
from penchant.recommend.signals import Signals


def make_lesson(
    past: Past, target: sp.csr_array, signals: Signals, config: RecommendConfig, closed: sp.csr_array | None = None
) -> Lesson:
    """Candidates of n users and their outcome, in batches of bounded memory.

    Args:
        past: of the users. target: (n, n_items) 0/1, no row empty. closed: (n, n_items) stored entries are no
            candidates; None = what the users touched.
    """
    closed = past.touched if closed is None else closed
    step = batch_size(signals, config.n_candidates)
    starts = range(0, past.n_users, step)
    rows = [np.arange(start, min(start + step, past.n_users), dtype=np.int32) for start in starts]
    parts = [
        _look(past.take(batch), sp.csr_array(target[batch]), signals, config, sp.csr_array(closed[batch]))
        for batch in rows
    ]
    return join(parts)


def join(parts: Sequence[Lesson]) -> Lesson:
    """The users of several lessons on the same signals as one; at least one lesson."""
    return Lesson(
        Candidates(
            np.concatenate([p.candidates.item_rows for p in parts]),
            np.concatenate([p.candidates.valid for p in parts]),
            np.concatenate([p.candidates.features for p in parts]),
        ),
        np.concatenate([p.hit for p in parts]),
        np.concatenate([p.ideal for p in parts]),
    )


def _look(past: Past, target: sp.csr_array, signals: Signals, config: RecommendConfig, closed: sp.csr_array) -> Lesson:
    scores = signals.score(past)
    item_rows, valid = pick_candidates(scores, closed, config.n_candidates)
    liked: BoolArray = np.asarray(target.toarray() > 0)
    hit = np.take_along_axis(liked, item_rows, axis=1) & valid
    return Lesson(describe(signals, scores, past, item_rows, valid), hit, np.diff(target.indptr).astype(np.int32))
