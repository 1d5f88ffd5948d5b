"""One test window: fit ours and the peers on what came before it, rank, and score on what came in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from penchant.config import Config, RunOptions
from penchant.data import IntArray, Log
from penchant.errors import DataError
from penchant.evaluate.off_policy import estimate
from penchant.evaluate.peers import fit_peers
from penchant.evaluate.scores import WindowScores, score_window
from penchant.evaluate.shown import Shown
from penchant.evaluate.split import Split
from penchant.model import Model
from penchant.pipeline import fit_log
from penchant.rivals import RIVALS, fit_rivals
from penchant.scorers import SCORERS

OURS = "penchant"


@dataclass(frozen=True)
class Judged:
    """What is kept of a window: scores, what was chosen for it, what had to be left out, and off-policy estimates where
    the log has propensities. No model."""

    scores: WindowScores
    chosen: str
    peer_settings: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]
    off_policy: pl.DataFrame | None = None


def judge_window(
    log: Log, split: Split, peers: Sequence[str], config: Config, run: RunOptions, shown: Shown | None = None
) -> tuple[Judged, Model]:
    """Fit ours and the peers on the window's train alone, and score all lists on its test.

    Args:
        shown: what the log's own policy showed in the window, for off-policy estimates; None makes none.
    Raises:
        DataError: no known user took an unseen item in the window.
    """
    settings, n_items = config.evaluate, len(log.items)
    target = split.targets(n_items, settings.cold_items, settings.repeats)
    tested = np.flatnonzero(np.diff(target.indptr) > 0).astype(np.int32)
    if not len(tested):
        which = f"the last {settings.test_share:.0%}" if split.end == np.inf else "an earlier window"
        raise DataError(f"events: no known user took an unseen item in {which} of the log; there is nothing to test on")
    model = fit_log(replace(log, events=split.train), config, run)
    longest = max(settings.cutoffs)
    met = _known_and_shown(split, shown, n_items)
    users = np.union1d(tested, met).astype(np.int32)
    repeat = None if settings.repeats == "count" else False  # None: as recommend.repeat says
    lists = {OURS: model.recommender.lists(users, model.profiles, k=settings.k, longest=longest, allow_seen=repeat)}
    scorers, rivals = ([name for name in peers if name in table] for table in (SCORERS, RIVALS))
    against = fit_peers(split.train, log.items, scorers, users, settings, seed=config.seed, run=run)
    against |= fit_rivals(split.train, log.items, rivals, users, config, run, k=longest)
    lists |= {name: against[name].lists for name in peers}
    of_tested = {name: items[np.searchsorted(users, tested)] for name, items in lists.items()}
    scores = score_window(of_tested, split, tested, model.space, model.tree.membership, settings)
    off_policy = None
    if shown is not None and len(met):
        own = shown.take(np.isin(shown.user_row, met))
        of_met = {name: items[np.searchsorted(users, met)] for name, items in lists.items()}
        off_policy = estimate(own, of_met, met, split.seen(n_items), settings, seed=config.seed)
    notes = [f"{OURS}: {note}" for note in model.recommender.signals.notes]
    notes += [note for peer in against.values() for note in peer.notes]
    chosen = {name: dict(peer.settings) for name, peer in against.items()}
    return Judged(scores, model.recommender.chosen, chosen, tuple(notes), off_policy), model


def _known_and_shown(split: Split, shown: Shown | None, n_items: int) -> IntArray:
    """Users who liked something before the cut and were shown something after it."""
    if shown is None:
        return np.zeros(0, np.int32)
    known = np.flatnonzero(np.diff(split.history(n_items).indptr) > 0)
    return np.intersect1d(known, shown.user_row).astype(np.int32)
