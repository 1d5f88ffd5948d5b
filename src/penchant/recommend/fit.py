"""From a log to a recommender: past windows, lessons, the choice, and the signals of today."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray, Events, IntArray, InterestTree, Items, ItemSpace
from penchant.recommend.aversion import Evidence, Outcomes, negative, outcomes, read_evidence
from penchant.recommend.candidates import describe, pick_candidates
from penchant.recommend.choose import Choice, check_method, choose
from penchant.recommend.ignored import is_impression
from penchant.recommend.past import Past, read_past
from penchant.recommend.penalties import Trial, fit_penalties
from penchant.recommend.rank import Lesson, Single
from penchant.recommend.recommender import Recommender, batch_size
from penchant.recommend.signals import Signals, check_left_out, fit_signals, signal_names
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
    lessons: list[Lesson] = []
    skips: list[Outcomes] = []
    dislikes: list[Outcomes] = []
    latest = None
    only_shown = bool(is_impression(events).any())
    fading = (half_lives[0], config.saturation_half_life_days)
    for window in past_windows(events, n_items, has_text, config, seed=seed):
        signals = fit_signals(window.before, n_items, text, tree.membership, config, half_lives, seed=seed)
        lessons.append(_lesson(window, signals, config))
        known = read_evidence(window.before, n_items, *fading)
        for told, shown in ((skips, only_shown), (dislikes, False)):
            told.append(outcomes(window.after, known, signals.membership, only_shown=shown, seed=seed))
        latest = latest or (window, known, signals.membership)
    signals = fit_signals(events, n_items, text, tree.membership, config, half_lives, seed=seed)
    choice = choose(lessons, signals.names, config, seed=seed)
    trial = None if latest is None else _trial(*latest, lessons[0], choice)
    return Recommender(
        past=read_past(events, n_items),
        signals=signals,
        ranker=choice.ranker,
        report=choice.report,
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
    n_items = membership.shape[0]
    disliked = negative(window.after, n_items)
    disliked = sp.csr_array(disliked - disliked.multiply(window.before.touched(n_items)))
    disliked.eliminate_zeros()
    return Trial(lesson, scores, known.take(window.user_rows), membership, disliked)


def _lesson(window: Window, signals: Signals, config: RecommendConfig) -> Lesson:
    past = read_past(window.before, signals.n_items)
    step = batch_size(signals, config.n_candidates)
    parts = [
        _look(past.take(rows), signals, window, rows, config)
        for rows in (window.user_rows[s : s + step] for s in range(0, len(window.user_rows), step))
    ]
    first = parts[0].candidates
    return Lesson(
        type(first)(
            np.concatenate([p.candidates.item_rows for p in parts]),
            np.concatenate([p.candidates.valid for p in parts]),
            np.concatenate([p.candidates.features for p in parts]),
        ),
        np.concatenate([p.hit for p in parts]),
        np.concatenate([p.ideal for p in parts]),
        window.user_rows,
    )


def _look(past: Past, signals: Signals, window: Window, rows: IntArray, config: RecommendConfig) -> Lesson:
    scores = signals.score(past)
    item_rows, valid = pick_candidates(scores, past.touched, config.n_candidates)
    target = window.target[rows]
    liked: BoolArray = np.asarray(target.toarray() > 0)
    hit = np.take_along_axis(liked, item_rows, axis=1) & valid
    ideal = np.diff(target.indptr).astype(np.int32)
    return Lesson(describe(signals, scores, past, item_rows, valid), hit, ideal, rows)
