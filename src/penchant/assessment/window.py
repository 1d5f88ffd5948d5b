"""One test window: fit ours and the peers on what came before it, rank, and score on what came in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penchant.config import Config, RunOptions
from penchant.data import IntArray, Log
from penchant.errors import DataError
from penchant.evaluate.peers import fit_peers
from penchant.evaluate.scores import WindowScores, score_window
from penchant.evaluate.split import Split
from penchant.model import Model
from penchant.pipeline import fit_log

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
    target = split.targets(len(log.items), settings.cold_items)
    users = np.flatnonzero(np.diff(target.indptr) > 0).astype(np.int32)
    if not len(users):
        which = f"the last {settings.test_share:.0%}" if split.end == np.inf else "an earlier window"
        raise DataError(f"events: no known user took an unseen item in {which} of the log; there is nothing to test on")
    model = fit_log(replace(log, events=split.train), config, run)
    lists = {OURS: our_lists(model, users, settings.k, max(settings.cutoffs))}
    against = fit_peers(split.train, log.items, peers, users, settings, seed=config.seed, run=run)
    lists |= {name: peer.lists for name, peer in against.items()}
    scores = score_window(lists, split, users, model.space, model.tree.membership, settings)
    notes = [f"{OURS}: {note}" for note in model.recommender.signals.notes]
    notes += [note for peer in against.values() for note in peer.notes]
    chosen = {name: dict(peer.settings) for name, peer in against.items()}
    return Judged(scores, model.recommender.chosen, chosen, tuple(notes)), model


def our_lists(model: Model, user_rows: IntArray, k: int, longest: int) -> IntArray:
    """(n_users, longest) item rows, best first, -1 where fewer exist; the first k are what a caller gets for k.

    A longer list starts with the shorter one, but where its last places are kept for new items (`n_explore`): there the
    list of k is made for itself, and what else the longer one holds follows it.
    """
    long = _lists(model, user_rows, longest)
    if longest <= k or not model.config.recommend.n_explore:
        return long
    short = _lists(model, user_rows, k)
    again = (long[:, :, None] == short[:, None, :]).any(axis=2)
    order = np.argsort(again, axis=1, kind="stable")
    rest = np.take_along_axis(np.where(again, -1, long), order, axis=1)
    return np.hstack([short, rest[:, : longest - k]])


def _lists(model: Model, user_rows: IntArray, k: int) -> IntArray:
    table = model.recommender.recommend(user_rows.astype(np.int32), model.profiles, k=k).table
    position = np.full(len(model.user_ids), -1, np.int64)
    position[user_rows] = np.arange(len(user_rows))
    out = np.full((len(user_rows), k), -1, np.int32)
    out[position[table["user_row"].to_numpy()], table["rank"].to_numpy() - 1] = table["item_row"].to_numpy()
    return out
