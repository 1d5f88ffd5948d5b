"""One test window: fit ours and the peers on what came before it, rank, and score on what came in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penchant.config import Config, RunOptions
from penchant.data import Log
from penchant.errors import DataError
from penchant.evaluate.peers import fit_peers
from penchant.evaluate.scores import WindowScores, score_window
from penchant.evaluate.split import Split
from penchant.model import Model
from penchant.pipeline import fit_log
from penchant.rivals import RIVALS, fit_rivals
from penchant.scorers import SCORERS

OURS = "penchant"


@dataclass(frozen=True)
class Judged:
    """What is kept of a window: scores, what was chosen for it, and what had to be left out. No model."""

    scores: WindowScores
    chosen: str
    peer_settings: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]


def judge_window(log: Log, split: Split, peers: Sequence[str], config: Config, run: RunOptions) -> tuple[Judged, Model]:
    """Fit ours and the peers on the window's train alone, and score all lists on its test.

    Raises:
        DataError: no known user took an unseen item in the window.
    """
    settings = config.evaluate
    target = split.targets(len(log.items), settings.cold_items, settings.repeats)
    users = np.flatnonzero(np.diff(target.indptr) > 0).astype(np.int32)
    if not len(users):
        which = f"the last {settings.test_share:.0%}" if split.end == np.inf else "an earlier window"
        raise DataError(f"events: no known user took an unseen item in {which} of the log; there is nothing to test on")
    model = fit_log(replace(log, events=split.train), config, run)
    longest = max(settings.cutoffs)
    repeat = None if settings.repeats == "count" else False  # None: as recommend.repeat says
    lists = {OURS: model.recommender.lists(users, model.profiles, k=settings.k, longest=longest, allow_seen=repeat)}
    scorers, rivals = ([name for name in peers if name in table] for table in (SCORERS, RIVALS))
    against = fit_peers(split.train, log.items, scorers, users, settings, seed=config.seed, run=run)
    against |= fit_rivals(split.train, log.items, rivals, users, config, run, k=longest)
    lists |= {name: against[name].lists for name in peers}
    scores = score_window(lists, split, users, model.space, model.tree.membership, settings)
    notes = [f"{OURS}: {note}" for note in model.recommender.signals.notes]
    notes += [note for peer in against.values() for note in peer.notes]
    chosen = {name: dict(peer.settings) for name, peer in against.items()}
    return Judged(scores, model.recommender.chosen, chosen, tuple(notes)), model
