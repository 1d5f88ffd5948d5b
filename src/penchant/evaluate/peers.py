"""What one would pick instead, in the same run: each peer's settings are chosen inside train, then it is refitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from penchant.config import EvaluateConfig, RunOptions
from penchant.data import Events, IntArray, Items
from penchant.errors import ConfigError, DataError, did_you_mean
from penchant.evaluate.ranking import score_lists
from penchant.evaluate.split import split_by_time
from penchant.progress import maybe_step
from penchant.scorers import SCORERS, build_scorer, top_lists


@dataclass(frozen=True)
class Peer:
    """One peer's answer: lists (n, longest cutoff) of item rows, the settings chosen, each setting's score, and what it
    left out."""

    lists: IntArray
    settings: Mapping[str, Any]
    validation: tuple[float, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ValidationWindow:
    """The last part of train, cut off as the test was cut off from train, to choose settings on.

    train: events before it · history, seen: (n_users, n_items) liked, and kept out of lists, see `left_out` · targets:
    (n_users, n_items) liked in it · user_rows: (n,) users with a target.
    """

    train: Events
    history: sp.csr_array
    seen: sp.csr_array
    targets: sp.csr_array
    user_rows: IntArray

    def ndcg(self, lists: IntArray, k: int) -> float:
        """Mean NDCG@k of (n, k) lists, one a user of `user_rows`."""
        return float(score_lists(lists, self.targets, self.user_rows)[f"ndcg@{k}"].mean())  # type: ignore[arg-type]


def check_peers(names: Sequence[str]) -> tuple[str, ...]:
    """Refuse a peer that does not exist, naming the nearest.

    Raises:
        ConfigError: no scorer has one of the names.
    """
    for name in names:
        if name not in SCORERS:
            raise ConfigError(f"peer '{name}' is unknown; {did_you_mean(name, list(SCORERS))}")
    return tuple(names)


def fit_peers(
    train: Events,
    items: Items,
    names: Sequence[str],
    user_rows: IntArray,
    config: EvaluateConfig,
    *,
    seed: int,
    run: RunOptions | None = None,
) -> dict[str, Peer]:
    """Choose each peer's settings on the last part of train, refit it on all of train, and rank all items.

    Settings: the row of the scorer's GRID with the best NDCG@k on a window cut off train by the same share; at a tie
    the earlier row; the first row where train is too short to hold out a window (`notes` says so). Ranking is in full
    over all items, items the user acted on in train left out (unless `config.repeats` count), equal scores by item row.

    Raises:
        ConfigError: no scorer has one of the names.
    """
    check_peers(names)
    n_items = len(items)
    window = validation_window(train, n_items, config, seed)
    history = train.matrix(n_items, binary=True)
    seen = left_out(train, n_items, config)
    out: dict[str, Peer] = {}
    for name in names:
        with maybe_step(f"peer {name}", run):
            grid = SCORERS[name].GRID
            validation = _validate(name, grid, window, items, config.k, seed)
            settings = grid[int(np.argmax(validation))] if validation else grid[0]
            scorer = build_scorer(name, settings, items=items, seed=seed)
            scorer.fit(train, n_items)
            lists = top_lists(scorer, user_rows, history, max(config.cutoffs), seen=seen)
        notes = scorer.notes
        if window is None and len(grid) > 1:
            notes = (*notes, f"{name}: train is too short to choose settings on; took {dict(settings)}")
        out[name] = Peer(lists, settings, validation, notes)
    return out


def validation_window(train: Events, n_items: int, config: EvaluateConfig, seed: int) -> ValidationWindow | None:
    """Cut the window off train; None where train is too short to hold one out.

    Args:
        config: `test_share`, `cold_items`, `repeats`, and `n_choice_users`, the number of users drawn at most.
    """
    try:
        split = split_by_time(train, config.test_share)
    except DataError:  # one moment only, or too few events: nothing to hold out
        return None
    targets = split.targets(n_items, config.cold_items, config.repeats)
    users = np.flatnonzero(np.diff(targets.indptr) > 0).astype(np.int32)
    if not len(users):
        return None
    if len(users) > config.n_choice_users:
        drawn = np.random.default_rng(seed).choice(len(users), config.n_choice_users, replace=False)
        users = users[np.sort(drawn)]
    return ValidationWindow(split.train, split.history(n_items), left_out(split.train, n_items, config), targets, users)


def left_out(train: Events, n_items: int, config: EvaluateConfig) -> sp.csr_array:
    """(n_users, n_items) stored entries are in no list: what each user acted on, or nothing where repeats count."""
    if config.repeats == "count":
        return sp.csr_array((train.n_users, n_items), dtype=np.float32)
    return train.touched(n_items)


def _validate(
    name: str, grid: Sequence[Mapping[str, Any]], window: ValidationWindow | None, items: Items, k: int, seed: int
) -> tuple[float, ...]:
    """NDCG@k of each row of the grid on the window; empty where there is nothing to choose."""
    if window is None or len(grid) < 2:
        return ()
    out = []
    for settings in grid:
        scorer = build_scorer(name, settings, items=items, seed=seed)
        scorer.fit(window.train, len(items))
        lists = top_lists(scorer, window.user_rows, window.history, k, seen=window.seen)
        out.append(window.ndcg(lists, k))
    return tuple(out)
