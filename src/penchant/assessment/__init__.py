"""Evaluate on the caller's own log: split by time, fit on the past, compare with peers on what came next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penchant.assessment.after import activity_ranges, segments_after, user_groups
from penchant.assessment.notes import off_policy_notes, write_notes
from penchant.assessment.result import Evaluation
from penchant.assessment.window import OURS, Judged, judge_window
from penchant.config import Config, RunOptions
from penchant.data import Log
from penchant.evaluate.shown import read_shown
from penchant.evaluate.split import split_windows
from penchant.evaluate.table import pool_windows
from penchant.evaluate.windows import best_peer, windows_table
from penchant.interests.layers import test_forecast as test_layers
from penchant.io import read_log
from penchant.pipeline import place_text_events
from penchant.progress import maybe_say
from penchant.recommend.ignored import is_impression
from penchant.rivals import RIVALS, check_names, check_rivals
from penchant.rivals.ablations import LEFT_OUT

__all__ = ["OURS", "Evaluation", "assess", "evaluate_log"]


def assess(
    events: Any,
    items: Any = None,
    *,
    against: Sequence[str] | None = None,
    config: Config | None = None,
    run: RunOptions | None = None,
) -> Evaluation:
    """Compare with peers on a log: global time split, full ranking over all items, seen items left out.

    Args:
        events, items: as for `penchant.fit`.
        against: names of peers (default: `config.evaluate.peers`); each picks its settings inside the past.

    Raises:
        DataError: the log is too short to hold out the windows asked for.
        ConfigError: an unknown peer.
    """
    config = config or Config()
    run = run or RunOptions()
    peers = check_names(against if against is not None else config.evaluate.peers)
    log = read_log(events, items, config=config.io)
    return evaluate_log(log, peers, config, run)


def evaluate_log(log: Log, peers: Sequence[str], config: Config, run: RunOptions) -> Evaluation:
    """Evaluate on a log already read: a fit a window, the latest last; only its model is kept."""
    check_rivals([name for name in peers if name in RIVALS], config)
    settings, clock = config.evaluate, log.events.clock
    splits = split_windows(log.events, settings.test_share, settings.n_windows)
    shown = read_shown(splits[0].test, is_impression(splits[0].test), settings)
    judged: list[Judged] = []
    for number in range(len(splits), 1, -1):
        maybe_say(f"window {number} of {len(splits)}", run)
        judged.insert(0, judge_window(log, splits[number - 1], peers, config, run)[0])
    if judged:
        maybe_say(f"window 1 of {len(splits)}, the latest", run)
    split = splits[0]
    latest, model = judge_window(log, split, peers, config, run, shown)
    judged.insert(0, latest)

    windows = [window.scores for window in judged]
    ranking = pool_windows(windows, settings, seed=config.seed)
    by_window = windows_table(windows, settings, ours=OURS, clock=clock, apart=LEFT_OUT)
    groups = user_groups(model, split.train, latest.scores, settings)
    layers = test_layers(
        model.forecast,
        split.train,
        split.test,
        model.tree,
        config.interests,
        seed=config.seed,
        text_membership=place_text_events(split.train, model.tree, model.encoder, config),
    )
    best, ratio = best_peer(ranking, ours=OURS, k=settings.k, apart=LEFT_OUT)
    facts = {
        "n_train_events": len(split.train),
        "n_test_events": len(split.test),
        "n_test_users": len(latest.scores.user_rows),
        "cut": split.cut,
        "cold_share": split.cold_share(len(log.items)),
        "cold_items": settings.cold_items,
        "clock": clock,
        "chosen": ", ".join(dict.fromkeys(window.chosen for window in judged)),
        "k": settings.k,
        "cutoffs": list(settings.cutoffs),
        "n_windows": len(windows),
        "best_peer": best,
        "ratio": ratio,
        "activity": activity_ranges(split.train, latest.scores.user_rows),
        "peer_settings": latest.peer_settings,
    }
    notes = [*write_notes(ranking, by_window, layers, facts), *latest.notes]
    notes += off_policy_notes(log.events, shown, latest.off_policy, settings)
    notes += [f"window {i}: {note}" for i, window in enumerate(judged[1:], 2) for note in window.notes]
    return Evaluation(
        ranking=ranking,
        windows=by_window,
        groups=groups,
        layers=layers,
        segments=segments_after(model, split),
        notes=tuple(notes),
        facts=facts,
        model=model,
        off_policy=latest.off_policy,
    )
