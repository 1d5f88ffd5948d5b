"""From a log to a recommender: past windows, lessons, the choice, and the signals of today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import Events, InterestTree, Items, ItemSpace
from penchant.recommend.attributes import read_facts
from penchant.recommend.aversion import Evidence, negative, read_evidence
from penchant.recommend.choose import UNTESTED, check_method, choose
from penchant.recommend.crossings import domains_of
from penchant.recommend.dials import Dials, Held, fit_dials
from penchant.recommend.experience import read_experience
from penchant.recommend.exposure import latest_users
from penchant.recommend.fit_signals import fit_signals
from penchant.recommend.networks import START, Learn, Network, learn, with_vectors
from penchant.recommend.new_items import (
    category_matrix,
    described,
    find_new,
    item_traits,
    new_item_names,
    weigh_labels,
)
from penchant.recommend.past import read_past
from penchant.recommend.penalties import Trial, fit_penalties
from penchant.recommend.rank import PlainSum, as_listed
from penchant.recommend.recommender import Recommender
from penchant.recommend.repeats import REPEAT
from penchant.recommend.signals import Signals, check_left_out, signal_names
from penchant.recommend.strangers import Strangers, find_apart
from penchant.recommend.transitions import fit_transitions
from penchant.recommend.windows import Window


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

    def fit(before: Events, learned: dict[str, Network]) -> Signals:
        told = text, tree.membership, config, half_lives
        return fit_signals(before, n_items, *told, seed=seed, facts=facts, networks=learned)

    fading = (half_lives[0], config.saturation_half_life_days)
    seen = read_experience(events, items, text, has_text, fit, networks, config, fading, seed=seed)
    learned = learn(networks, events)
    signals = fit(events, learned)
    choice = choose(seen.lessons, signals.names, config, seed=seed)
    for_new = choose(seen.newcomers, signals.names, config, seed=seed) if seen.newcomers else choice
    labels = weigh_labels(category_matrix(items), signals) if seen.labels is None else seen.labels
    for_new_items = for_crossings = untold = None
    traits = item_traits(text, labels)
    if find_new(signals, traits).any():
        names = new_item_names(signals)
        for_new_items = choose(seen.new_items, names, config, seed=seed) if seen.new_items else None
        untold = PlainSum(UNTESTED, names)  # no past window tells: all signals alike
    if seen.crossings:
        for_crossings = choose(seen.crossings, signals.names, config, seed=seed)
    past = read_past(events, n_items)
    apart = find_apart(items, past, config)
    bridged = config.method == "auto" and apart.any() and described(traits).any()
    held = [
        Held(lesson, as_listed(ranker, lesson.candidates), more, None if more is None else as_listed(ranker, more))
        for lesson, more, ranker in zip(seen.lessons, seen.others, choice.held, strict=False)  # none for the earliest
    ]
    trial = _trial(*seen.latest, held[0]) if seen.latest is not None and held else None
    evidence = read_evidence(events, n_items, *fading)
    out = Recommender(
        past=with_vectors(past, learned),
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
        strangers=Strangers(domains_of(items), apart) if bridged else None,
        fused=space.fused.values,
        membership=tree.membership,
        transitions=fit_transitions(events, tree.membership, seed=seed),
        penalties=fit_penalties(trial, seen.skips, seen.dislikes, evidence, config),
        dials=replace(Dials.off(), popularity_bias=config.popularity_bias),
        config=config,
    )
    crowd = out.crowd(latest_users(out.past, config.max_train_users)) if config.coverage else None
    return replace(out, dials=fit_dials(held, signals.names, crowd, n_items, config))


def _trial(window: Window, known: Evidence, membership: sp.csr_array, held: Held) -> Trial:
    disliked = negative(window.after, membership.shape[0])
    disliked = sp.csr_array(disliked - disliked.multiply(window.before.touched(membership.shape[0])))
    disliked.eliminate_zeros()
    users = window.user_rows
    return Trial(held.lesson, held.scores, known.take(users), membership, sp.csr_array(disliked[users]))
