"""From a log to a recommender: past windows, lessons, the choice, and the signals of today."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import Events, InterestTree, Items, ItemSpace
from penchant.recommend.aversion import Evidence, Outcomes, negative, outcomes, read_evidence
from penchant.recommend.choose import UNTESTED, Choice, check_method, choose
from penchant.recommend.crossings import crossing_lesson, domains_of
from penchant.recommend.ignored import is_impression
from penchant.recommend.lessons import make_lesson
from penchant.recommend.new_items import (
    category_matrix,
    find_new,
    item_traits,
    new_item_lesson,
    new_item_names,
    weigh_labels,
)
from penchant.recommend.newcomers import find_newcomers
from penchant.recommend.past import read_past
from penchant.recommend.penalties import Trial, fit_penalties
from penchant.recommend.rank import Lesson, PlainSum, Single
from penchant.recommend.recommender import Recommender
from penchant.recommend.signals import check_left_out, fit_signals, signal_names
from penchant.recommend.transitions import fit_transitions
from penchant.recommend.windows import Window, past_windows

SPECIAL_WINDOWS = 4  # of which lists of new items and across domains are learned


def fit_recommender(
    events: Events,
    items: Items,
    space: ItemSpace,
    tree: InterestTree,
    config: RecommendConfig,
    *,
    seed: int,
    half_lives: tuple[float, float],
) -> Recommender:
    """Fit all signals on past windows, let the windows choose the method, then fit the signals on the whole log.

    Args:
        space: `text` feeds the text signals; `fused` serves diversity, evidence and new items.
        half_lives: long and short, of the users' shares of interests, in days (own events in an "order" log).

    Cost: per window and once more at the end, two EASE solves, one ALS, one item-kNN. Memory: see `batch_size`, and
    4 * max_train_users * n_candidates * about 60 bytes a window.
    """
    n_items = len(items)
    text = space.text.values if space.text is not None and space.text.present.any() else None
    has_text = space.text.present if space.text is not None else np.zeros(n_items, np.bool_)
    check_left_out(config.leave_out, has_text=text is not None)
    check_method(config.method, signal_names(has_text=text is not None, leave_out=config.leave_out))
    lessons, of_newcomers = [], []
    of_new_items: list[Lesson | None] = []
    of_crossings: list[Lesson | None] = []
    domain, categories, labels = domains_of(items), category_matrix(items), None
    skips: list[Outcomes] = []
    dislikes: list[Outcomes] = []
    latest = None
    only_shown = bool(is_impression(events).any())
    fading = (half_lives[0], config.saturation_half_life_days)
    for window in past_windows(events, n_items, has_text, config, seed=seed):
        signals = fit_signals(window.before, n_items, text, tree.membership, config, half_lives, seed=seed)
        everybody = read_past(window.before, n_items)
        past = everybody.take(window.user_rows)
        lessons.append(make_lesson(past, sp.csr_array(window.target[window.user_rows]), signals, config))
        new = find_newcomers(window.before, window.after, n_items, has_text, config, seed=seed)
        if new is not None:
            of_newcomers.append(make_lesson(new.past, new.target, signals, config))
        if len(lessons) <= SPECIAL_WINDOWS:
            labels = weigh_labels(categories, signals) if labels is None else labels
            traits = item_traits(text, labels)
            of_new_items.append(new_item_lesson(window, everybody, signals, traits, config, seed=seed))
            of_crossings.append(crossing_lesson(window, everybody, signals, domain, config, seed=seed))
        known = read_evidence(window.before, n_items, *fading)
        for told, shown in ((skips, only_shown), (dislikes, False)):
            told.append(outcomes(window.after, known, signals.membership, only_shown=shown, seed=seed))
        latest = latest or (window, known, signals.membership)
    signals = fit_signals(events, n_items, text, tree.membership, config, half_lives, seed=seed)
    choice = choose(lessons, signals.names, config, seed=seed)
    for_new = choose(of_newcomers, signals.names, config, seed=seed) if of_newcomers else choice
    labels = weigh_labels(categories, signals) if labels is None else labels
    traits = item_traits(text, labels)
    fresh = find_new(signals, traits)
    for_new_items = for_crossings = untold = None
    if fresh.any():
        names, hidden = new_item_names(signals), _there(of_new_items)
        for_new_items = choose(hidden, names, config, seed=seed) if hidden else None
        untold = PlainSum(UNTESTED, names)  # no past window tells: all signals alike
    if crossings := _there(of_crossings):
        for_crossings = choose(crossings, signals.names, config, seed=seed)
    trial = None if latest is None else _trial(*latest, lessons[0], choice)
    return Recommender(
        past=read_past(events, n_items),
        signals=signals,
        ranker=choice.ranker,
        report=choice.report,
        newcomer_ranker=for_new.ranker,
        newcomer_report=for_new.report,
        labels=labels,
        new_item_ranker=for_new_items.ranker if for_new_items else untold,
        new_item_report=for_new_items.report if for_new_items else None,
        crossing_ranker=for_crossings.ranker if for_crossings else None,
        crossing_report=for_crossings.report if for_crossings else None,
        fused=space.fused.values,
        membership=tree.membership,
        transitions=fit_transitions(events, tree.membership, seed=seed),
        penalties=fit_penalties(trial, skips, dislikes, read_evidence(events, n_items, *fading), config),
        config=config,
    )


def _trial(window: Window, known: Evidence, membership: sp.csr_array, lesson: Lesson, choice: Choice) -> Trial | None:
    if choice.latest is None:
        return None
    scores, ranker = choice.latest, choice.ranker
    if isinstance(ranker, Single):  # lists are ranked by the signal's own numbers, not by their ranks
        scores = lesson.candidates.features[:, :, ranker.signal_names.index(ranker.name)]
    disliked = negative(window.after, membership.shape[0])
    disliked = sp.csr_array(disliked - disliked.multiply(window.before.touched(membership.shape[0])))
    disliked.eliminate_zeros()
    users = window.user_rows
    return Trial(lesson, scores, known.take(users), membership, sp.csr_array(disliked[users]))


def _there(lessons: list[Lesson | None]) -> list[Lesson]:
    return [lesson for lesson in lessons if lesson is not None]
