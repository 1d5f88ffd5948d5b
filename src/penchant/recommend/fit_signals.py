"""Fitting every signal on a log up to a moment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import Events, FloatArray, unit_rows
from penchant.recommend.attributes import ItemFacts
from penchant.recommend.leaves import leaf_parts, place_in_leaves
from penchant.recommend.networks import Network
from penchant.recommend.past import in_spans, read_past
from penchant.recommend.repeats import fit_repeats
from penchant.recommend.signals import (
    EASE,
    LINEAR,
    LOG_HALF_LIFE,
    POPULAR_SHARES,
    TREND,
    Signals,
    signal_names,
    split_name,
)
from penchant.scorers import build_scorer
from penchant.scorers.als import Als
from penchant.scorers.ease import Ease
from penchant.scorers.item_knn import ItemKnn
from penchant.scorers.popular import Popular, Popular7Days, Popular30Days, Popular90Days, in_last_days, n_days

LEAF_WINDOW = "popular_last_3%"  # "recent" where popularity within a leaf is asked for
ITEM_TREND = ("popular_last_3%", "popular_last_30%")
TREND_DAYS = (7.0, 90.0)
SEGMENT_USERS, MAX_SEGMENTS = 100, 50  # users a segment, on average; segments at most


def fit_signals(
    events: Events,
    n_items: int,
    text: FloatArray | None,
    membership: sp.csr_array,
    config: RecommendConfig,
    half_lives: tuple[float, float],
    *,
    seed: int,
    facts: ItemFacts | None = None,
    networks: Mapping[str, Network] | None = None,
) -> Signals:
    """Fit every signal on `events` alone. Cost: two EASE solves (items cubed, capped), one item-kNN, one ALS.

    Networks come fitted, on the same events (`networks.learn`). What only signals in `config.leave_out` would read of
    EASE is not solved.
    """
    facts = facts or ItemFacts()
    repeats = fit_repeats(events, n_items, seed=seed) if config.repeat == "predict" else None
    names = signal_names(has_text=text is not None, leave_out=config.leave_out)
    liked = events.positive()
    popularity: dict[str, FloatArray] = {}
    for kind in (Popular, Popular7Days, Popular30Days, Popular90Days):
        popular = kind()
        popular.fit(events, n_items)
        popularity[kind.name] = popular.item_score
    for name, share in POPULAR_SHARES.items():
        popularity[name] = _popular_last(liked, n_items, share)
    popularity[TREND] = _trend(events, liked, n_items)
    linear: dict[str, sp.csr_array] = {}
    notes: tuple[str, ...] = ()
    read = {split_name(name, LINEAR)[0] for name in names if name in EASE}
    if "ease" in read:
        ease = Ease(max_items=config.ease_max_items)
        ease.fit(events, n_items)
        linear["ease"], notes = _prune(ease, config), ease.notes
    if "ease_recent" in read:
        ease = _recent_ease(liked, n_items, config)
        linear["ease_recent"], notes = _prune(ease, config), notes or ease.notes
    knn = ItemKnn()
    knn.fit(events, n_items)
    als = build_scorer("als", seed=seed)
    als.fit(events, n_items)
    assert isinstance(als, Als)
    centres, share = _segments(liked, n_items, als, seed=seed)
    placed = place_in_leaves(membership, als.item_factors, text)
    linear["item_knn"] = knn.neighbours
    return Signals(
        popular_names=tuple(popularity),
        popularity=np.stack(list(popularity.values())).astype(np.float32),
        linear=linear,
        als=als,
        segment_centres=centres,
        segment_share=share,
        facts=facts,
        repeats=repeats,
        networks={name: network.items for name, network in (networks or {}).items()},
        text=text,
        membership=placed,
        leaf_recent=leaf_parts(placed, popularity[LEAF_WINDOW]),
        leaf_all=leaf_parts(placed, popularity["popular"]),
        item_features=_item_features(events, liked, n_items, popularity),
        half_lives=half_lives,
        notes=notes,
        left_out=config.leave_out,
    )


def _popular_last(liked: Events, n_items: int, share: float) -> FloatArray:
    """(n_items,) distinct users in the last share of the events; ties follow the whole log's popularity."""
    n = len(liked)
    if not n:
        return np.zeros(n_items, np.float32)
    start = liked.time[max(0, n - int(np.ceil(share * n)))]
    recent = np.bincount(liked.take(liked.time >= start).matrix(n_items).indices, minlength=n_items)
    total = np.bincount(liked.item_row, minlength=n_items)
    return np.asarray(recent + 0.5 * total / max(1, total.max(initial=0)), np.float32)


def _trend(events: Events, liked: Events, n_items: int) -> FloatArray:
    """(n_items,) how far an item's users of the last 7 days are above what those of the last 90 lead to expect.

        (n7 - e) / sqrt(e + 1), e = n90 * (all of the last 7 days) / (all of the last 90)

    A log shorter than 90 days is taken whole, and 7/90 of it are its last days.
    """
    scale = min(1.0, n_days(events) / TREND_DAYS[1])
    short, long = (
        np.bincount(liked.take(in_last_days(events, liked, d * scale)).matrix(n_items).indices, minlength=n_items)
        for d in TREND_DAYS
    )
    expected = long * (short.sum() / max(1, long.sum()))
    return np.asarray((short - expected) / np.sqrt(expected + 1.0), np.float32)


def _segments(liked: Events, n_items: int, als: Als, *, seed: int) -> tuple[FloatArray, FloatArray]:
    """Segments of like factors at this moment (spherical k-means), and what is popular in each, likes faded.

    Returns:
        (n_segments, f) unit centres and (n_segments, n_items) shares. The segments that a user is shown are made of the
        whole log; these are not, so that past windows are scored by what was known then.
    """
    from sklearn.cluster import KMeans

    from penchant.threads import one_thread

    history = liked.matrix(n_items, binary=True)
    known = np.flatnonzero(np.diff(history.indptr)).astype(np.int32)
    n = int(np.clip(len(known) // SEGMENT_USERS, 1, MAX_SEGMENTS))
    if not len(known):
        return np.zeros((1, als.item_factors.shape[1]), np.float32), np.zeros((1, n_items), np.float32)
    rows = unit_rows(als.user_factors(known, history))
    with one_thread():
        found = KMeans(n, n_init=1, max_iter=50, random_state=seed).fit(rows)
    member = sp.csr_array(
        (np.ones(len(known), np.float32), (found.labels_, np.arange(len(known)))), shape=(n, len(known))
    )
    faded = FadedEvents(liked.table, liked.user_ids, liked.actions, liked.clock).matrix(n_items, binary=True)[known]
    size = np.maximum(np.bincount(found.labels_, minlength=n), 1)
    return unit_rows(found.cluster_centers_), np.asarray((member @ faded).toarray() / size[:, None], np.float32)


class FadedEvents(Events):
    """Events whose 0/1 matrix fades: an entry counts 2^(-share of the log that came later / LOG_HALF_LIFE)."""

    def matrix(self, n_items: int, *, binary: bool = False) -> sp.csr_array:
        plain = super().matrix(n_items, binary=binary)
        past = read_past(self, n_items)
        fade = np.exp2(-past.log_age / LOG_HALF_LIFE).astype(np.float32)
        return past.matrix(fade if binary else fade * plain.data)


def _recent_ease(liked: Events, n_items: int, config: RecommendConfig) -> Ease:
    """EASE on faded entries (after Steck 2019): what goes together now, not what once did.

    The L2 weight shrinks with the mean entry, so it means as many users as before.
    """
    faded = FadedEvents(liked.table, liked.user_ids, liked.actions, liked.clock)
    data = faded.matrix(n_items, binary=True).data
    plain = Ease().regularization
    scale = float(data.mean()) if len(data) else 1.0
    ease = Ease(regularization=plain * scale, max_items=config.ease_max_items)
    ease.fit(faded, n_items)
    return ease


def _prune(ease: Ease, config: RecommendConfig) -> sp.csr_array:
    """Keep the largest weights of each row: a saved model stays small, and scoring is a sparse product."""
    n, kept = ease.n_items, ease.kept_rows
    width = min(config.n_neighbours, len(kept))
    if not width:
        return sp.csr_array((n, n), dtype=np.float32)
    weights = ease.weights
    column = np.argpartition(-np.abs(weights), width - 1, axis=1)[:, :width]
    column.sort(axis=1)
    row = np.repeat(kept, width)
    data = np.take_along_axis(weights, column, axis=1).ravel()
    columns = kept[column.ravel()]
    if len(ease.tail_rows):  # already pruned
        to_tail, to_head = ease.tail.to_tail.tocoo(), ease.tail.to_head.tocoo()
        row = np.concatenate([row, kept[to_tail.row], ease.tail_rows[to_head.row]])
        columns = np.concatenate([columns, ease.tail_rows[to_tail.col], kept[to_head.col]])
        data = np.concatenate([data, to_tail.data, to_head.data])
    out = sp.csr_array((data, (row, columns)), shape=(n, n), dtype=np.float32)
    out.sort_indices()
    return out


def _item_features(events: Events, liked: Events, n_items: int, popularity: dict[str, FloatArray]) -> FloatArray:
    span = events.end - events.start
    first = np.full(n_items, events.end)
    last = np.full(n_items, events.start)
    np.minimum.at(first, liked.item_row, liked.time)
    np.maximum.at(last, liked.item_row, liked.time)
    short, long = popularity[ITEM_TREND[0]], popularity[ITEM_TREND[1]]
    expected = long * (POPULAR_SHARES[ITEM_TREND[0]] / POPULAR_SHARES[ITEM_TREND[1]])
    return np.column_stack(
        [
            in_spans(events.end - first, span),
            in_spans(events.end - last, span),
            np.log1p(np.floor(popularity["popular"])),
            np.log((short + 1.0) / (expected + 1.0)),
        ]
    ).astype(np.float32)
