"""What the log's own past tells: each past window, as every part of the recommender learns from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray, Events, FloatArray, IntArray, Items
from penchant.recommend.aversion import Evidence, Outcomes, outcomes, read_evidence
from penchant.recommend.candidates import Candidates
from penchant.recommend.crossings import crossing_lesson, domains_of
from penchant.recommend.exposure import LEAST_CROWD, latest_users
from penchant.recommend.ignored import is_impression
from penchant.recommend.lessons import make_lesson
from penchant.recommend.networks import Learn, Network, learn, with_vectors
from penchant.recommend.new_items import category_matrix, item_traits, new_item_lesson, weigh_labels
from penchant.recommend.newcomers import find_newcomers
from penchant.recommend.past import Past, read_past
from penchant.recommend.rank import Lesson
from penchant.recommend.signals import Signals
from penchant.recommend.windows import Window, past_windows

SPECIAL_WINDOWS = 4  # of which lists of new items and across domains are learned

Fit = Callable[[Events, dict[str, Network]], Signals]


@dataclass
class Experience:
    """Of past windows, the latest first in every list.

    lessons: of their users · others: candidates of further users of each, see `_others` · newcomers, new_items,
    crossings: lessons of lists for people who are not in the log, of new items alone, and across domains; fewer where
    windows hold too few · skips, dislikes: outcomes that aversion is learned from · latest: the latest window, what was
    known against items before it, and the membership of then; None without a window · labels: see
    `new_items.weigh_labels`, None without a window.
    """

    lessons: list[Lesson] = field(default_factory=list)
    others: list[Candidates | None] = field(default_factory=list)
    newcomers: list[Lesson] = field(default_factory=list)
    new_items: list[Lesson] = field(default_factory=list)
    crossings: list[Lesson] = field(default_factory=list)
    skips: list[Outcomes] = field(default_factory=list)
    dislikes: list[Outcomes] = field(default_factory=list)
    latest: tuple[Window, Evidence, sp.csr_array] | None = None
    labels: sp.csr_array | None = None


def read_experience(
    events: Events,
    items: Items,
    text: FloatArray | None,
    has_text: BoolArray,
    fit: Fit,
    networks: Mapping[str, Learn],
    config: RecommendConfig,
    fading: tuple[float, float],
    *,
    seed: int,
) -> Experience:
    """Fit the signals before each past window, and see what came of them in it.

    Args:
        text: (n_items, d) unit rows or None. has_text: (n_items,). fit: all signals, on events and what networks
            learned of them. fading: half-lives of interests and of saturation, see `aversion.read_evidence`.
    """
    n_items, repeats = len(items), config.repeat == "predict"
    only_shown = bool(is_impression(events).any())
    domain, categories = domains_of(items), category_matrix(items)
    out = Experience()
    for window in past_windows(events, n_items, has_text, config, seed=seed):
        learned = learn(networks, window.before)
        signals = fit(window.before, learned)
        everybody = with_vectors(read_past(window.before, n_items), learned)
        past, target = everybody.take(window.user_rows), sp.csr_array(window.target[window.user_rows])
        out.lessons.append(make_lesson(past, target, signals, config, past.only_disliked if repeats else None))
        out.others.append(_others(everybody, window.user_rows, signals, config))
        new = find_newcomers(window.before, window.after, n_items, has_text, config, seed=seed)
        if new is not None:
            closed = new.past.only_disliked if repeats else None
            out.newcomers.append(make_lesson(new.past, new.target, signals, config, closed))
        if len(out.lessons) <= SPECIAL_WINDOWS:
            out.labels = weigh_labels(categories, signals) if out.labels is None else out.labels
            traits = item_traits(text, out.labels)
            special = new_item_lesson(window, everybody, signals, traits, config, seed=seed)
            out.new_items += [special] if special else []
            special = crossing_lesson(window, everybody, signals, domain, config, seed=seed)
            out.crossings += [special] if special else []
        known = read_evidence(window.before, n_items, *fading)
        for told, shown in ((out.skips, only_shown), (out.dislikes, False)):
            told.append(outcomes(window.after, known, signals.membership, only_shown=shown, seed=seed))
        out.latest = out.latest or (window, known, signals.membership)
    return out


def _others(past: Past, window_users: IntArray, signals: Signals, config: RecommendConfig) -> Candidates | None:
    """Candidates of further users, where a window's own are too few to tell what is listed often."""
    rows = latest_users(past, max(0, LEAST_CROWD - len(window_users)), but=window_users)
    if config.coverage != "auto" or not len(rows):
        return None
    no_target = sp.csr_array((len(rows), past.n_items), dtype=np.float32)
    return make_lesson(past.take(rows), no_target, signals, config).candidates
