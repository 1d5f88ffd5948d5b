"""From a log to a recommender: past windows, lessons, the choice, and the signals of today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray, Events, IntArray, InterestTree, Items, ItemSpace
from penchant.recommend.attributes import read_facts
from penchant.recommend.aversion import Evidence, Outcomes, negative, outcomes, read_evidence
from penchant.recommend.batch import batch_size
from penchant.recommend.candidates import Candidates, describe, pick_candidates
from penchant.recommend.choose import check_method, choose
from penchant.recommend.dials import Dials, Held, fit_dials
from penchant.recommend.exposure import LEAST_CROWD, latest_users
from penchant.recommend.fit_signals import fit_signals
from penchant.recommend.ignored import is_impression
from penchant.recommend.networks import START, Learn, learn, with_vectors
from penchant.recommend.newcomers import find_newcomers
from penchant.recommend.past import Past, read_past
from penchant.recommend.penalties import Trial, fit_penalties
from penchant.recommend.rank import Lesson, as_listed
from penchant.recommend.recommender import Recommender
from penchant.recommend.repeats import REPEAT
from penchant.recommend.signals import Signals, check_left_out, signal_names
from penchant.recommend.transitions import fit_transitions
from penchant.recommend.windows import Window, past_windows


def fit_recommender(
    events: Events,
    items: Items,
    space: ItemSpace,
    tree: InterestTree,
    config: RecommendConfig,
    *,
    seed: int,
    half_lives: tuple[float, float],
    networks: Mapping[str, Learn] | None = None,
) -> Recommender:
    """Fit all signals on past windows, let the windows choose the method, then fit the signals on the whole log.

    Args:
        space: `text` feeds the text signals; `fused` serves diversity, evidence and new items.
        half_lives: long and short, of the users' shares of interests, in days (own events in an "order" log).
        networks: what fits each of `config.networks`, by name.

    Cost: per window and once more at the end, two EASE solves, one ALS, one item-kNN, each network. Memory: see
    `batch_size`, and 4 * max_train_users * n_candidates * about 60 bytes a window.
    """
    n_items = len(items)
    text = space.text.values if space.text is not None and space.text.present.any() else None
    has_text = space.text.present if space.text is not None else np.zeros(n_items, np.bool_)
    facts, networks = read_facts(items), networks or {}
    optional = (*(REPEAT if config.repeat == "predict" else ()), *facts.names, *(START + n for n in networks))
    check_left_out(config.leave_out, has_text=text is not None, optional=optional)
    names = signal_names(has_text=text is not None, optional=optional, leave_out=config.leave_out)
    check_method(config.method, names)
    fit = partial(
        fit_signals,
        n_items=n_items,
        text=text,
        membership=tree.membership,
        config=config,
        half_lives=half_lives,
        seed=seed,
        facts=facts,
    )
    lessons, of_newcomers, others = [], [], []
    skips: list[Outcomes] = []
    dislikes: list[Outcomes] = []
    latest = None
    only_shown = bool(is_impression(events).any())
    fading = (half_lives[0], config.saturation_half_life_days)
    for window in past_windows(events, n_items, has_text, config, seed=seed):
        learned = learn(networks, window.before)
        signals = fit(window.before, networks=learned)
        everybody = with_vectors(read_past(window.before, n_items), learned)
        target = sp.csr_array(window.target[window.user_rows])
        lessons.append(make_lesson(everybody.take(window.user_rows), target, signals, config))
        others.append(_others(everybody, window.user_rows, signals, config))
        new = find_newcomers(window.before, window.after, n_items, has_text, config, seed=seed)
        if new is not None:
            of_newcomers.append(make_lesson(new.past, new.target, signals, config))
        known = read_evidence(window.before, n_items, *fading)
        for told, shown in ((skips, only_shown), (dislikes, False)):
            told.append(outcomes(window.after, known, signals.membership, only_shown=shown, seed=seed))
        latest = latest or (window, known, signals.membership)
    learned = learn(networks, events)
    signals = fit(events, networks=learned)
    choice = choose(lessons, signals.names, config, seed=seed)
    for_new = choose(of_newcomers, signals.names, config, seed=seed) if of_newcomers else choice
    held = [
        Held(lesson, as_listed(ranker, lesson.candidates), more, None if more is None else as_listed(ranker, more))
        for lesson, more, ranker in zip(lessons, others, choice.held, strict=False)  # none is held for the earliest
    ]
    trial = _trial(*latest, held[0]) if latest is not None and held else None
    out = Recommender(
        past=with_vectors(read_past(events, n_items), learned),
        signals=signals,
        ranker=choice.ranker,
        report=choice.report,
        newcomer_ranker=for_new.ranker,
        newcomer_report=for_new.report,
        fused=space.fused.values,
        membership=tree.membership,
        transitions=fit_transitions(events, tree.membership, seed=seed),
        penalties=fit_penalties(trial, skips, dislikes, read_evidence(events, n_items, *fading), config),
        dials=replace(Dials.off(), popularity_bias=config.popularity_bias),
        config=config,
    )
    crowd = out.crowd(latest_users(out.past, config.max_train_users)) if config.coverage else None
    return replace(out, dials=fit_dials(held, crowd, n_items, config))


def _others(past: Past, window_users: IntArray, signals: Signals, config: RecommendConfig) -> Candidates | None:
    """Candidates of further users, where a window's own are too few to tell what is listed often."""
    rows = latest_users(past, max(0, LEAST_CROWD - len(window_users)), but=window_users)
    if config.coverage != "auto" or not len(rows):
        return None
    no_target = sp.csr_array((len(rows), past.n_items), dtype=np.float32)
    return make_lesson(past.take(rows), no_target, signals, config).candidates


def _trial(window: Window, known: Evidence, membership: sp.csr_array, held: Held) -> Trial:
    disliked = negative(window.after, membership.shape[0])
    disliked = sp.csr_array(disliked - disliked.multiply(window.before.touched(membership.shape[0])))
    disliked.eliminate_zeros()
    users = window.user_rows
    return Trial(held.lesson, held.scores, known.take(users), membership, sp.csr_array(disliked[users]))


def make_lesson(past: Past, target: sp.csr_array, signals: Signals, config: RecommendConfig) -> Lesson:
    """Candidates of some users with what came of them, in batches.

    Args:
        past: of n users. target: (n, n_items) 0/1.
    """
    step = batch_size(signals, config.n_candidates)
    starts = range(0, past.n_users, step)
    rows = [np.arange(start, min(start + step, past.n_users), dtype=np.int32) for start in starts]
    parts = [_look(past.take(batch), sp.csr_array(target[batch]), signals, config) for batch in rows]
    return Lesson(
        Candidates(
            np.concatenate([p.candidates.item_rows for p in parts]),
            np.concatenate([p.candidates.valid for p in parts]),
            np.concatenate([p.candidates.features for p in parts]),
        ),
        np.concatenate([p.hit for p in parts]),
        np.concatenate([p.ideal for p in parts]),
    )


def _look(past: Past, target: sp.csr_array, signals: Signals, config: RecommendConfig) -> Lesson:
    scores = signals.score(past)
    closed = past.only_disliked if config.repeat == "predict" else past.touched
    item_rows, valid = pick_candidates(scores, closed, config.n_candidates)
    liked: BoolArray = np.asarray(target.toarray() > 0)
    hit = np.take_along_axis(liked, item_rows, axis=1) & valid
    return Lesson(describe(signals, scores, past, item_rows, valid), hit, np.diff(target.indptr).astype(np.int32))
