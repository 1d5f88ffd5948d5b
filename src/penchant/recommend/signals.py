"""Signals: what speaks for an item, for one user or for everybody, fitted on a log up to a moment.

Every signal reads only events before that moment, so that windows of the past can be scored as they were. The fused
space and the tree are fitted on the whole log, so an item's place in them may tell what came later: the fused vectors
are no signal, and items are placed in the tree's leaves anew (`place_in_leaves`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.config import RecommendConfig
from penchant.data import Events, FloatArray, Parts
from penchant.errors import ConfigError, did_you_mean
from penchant.recommend.past import Past, in_spans, read_past
from penchant.scorers import build_scorer, load_scorer
from penchant.scorers.als import Als
from penchant.scorers.ease import Ease
from penchant.scorers.item_knn import ItemKnn

# Popularity in the last share of the log's events: windows that fit any rate of events, beside those in days.
POPULAR_SHARES = {"popular_last_0.5%": 0.005, "popular_last_1%": 0.01, "popular_last_3%": 0.03,
                  "popular_last_10%": 0.1, "popular_last_30%": 0.3}  # fmt: skip
PEER_POPULAR = ("popular", "popular_7d", "popular_30d")
LEAF_WINDOW = "popular_last_3%"  # "recent" where popularity within a leaf is asked for
LEAF_TEMPERATURE, LEAVES_OF_ITEM = 0.1, 3  # of `place_in_leaves`
TREND = ("popular_last_3%", "popular_last_30%")
LOG_HALF_LIFE = 0.1  # in shares of the log's events
OWN_HALF_LIVES = {"last20": 20.0, "last5": 5.0}  # in own events
ITEM_FEATURES = ("item_age", "item_idle", "item_users", "item_trend")
EASE = ("ease", "ease_decayed", "ease_recent", "ease_recent_decayed")
INTEREST = ("interest", "interest_short", "interest_all")  # those that read the tree
LINEAR = ("ease", "ease_recent", "item_knn")  # matrices that a past is multiplied with
SLOTS = "slots"  # the candidates of a user's layers: no signal, but may be left out as one


def signal_names(*, has_text: bool, leave_out: Collection[str] = ()) -> tuple[str, ...]:
    """All signals in their order: those equal for all users first, the text signals last.

    >>> signal_names(has_text=True, leave_out=("text", "slots"))[-2:]
    ('interest_all', 'text_last5')
    """
    own = (*EASE, "item_knn", "item_knn_last20", "item_knn_last5", "als", "als_last5", *INTEREST)
    every = (*PEER_POPULAR, *POPULAR_SHARES, *own, *(("text", "text_last5") if has_text else ()))
    return tuple(name for name in every if name not in leave_out)


def check_left_out(names: Collection[str], *, has_text: bool = True) -> None:
    """Refuse to leave out what does not exist, or every signal there is.

    Raises:
        ConfigError: names the nearest.
    """
    allowed = (*signal_names(has_text=True), SLOTS)
    for name in names:
        if name not in allowed:
            raise ConfigError(f"recommend.leave_out: no signal '{name}'; {did_you_mean(name, allowed)}")
    if not signal_names(has_text=has_text, leave_out=names):
        raise ConfigError("recommend.leave_out: no signal would be left; leave at least one")


@dataclass(frozen=True)
class Signals:
    """All signals at one moment. `names` is the order of `score`; the first `n_shared` are equal for all users.

    left_out: names that are not among `names`, see `RecommendConfig.leave_out` · popularity: (n, n_items), all of them:
    those left out still order equal scores and describe items · linear: name -> (n_items, n_items) CSR, score = past @
    matrix (of EASE only what a name reads) · als: factors · text: (n_items, d) unit rows or None · membership:
    (n_items, n_leaves) of `place_in_leaves` · leaf_recent, leaf_all: (n_leaves, n_items) each item's part of its leaf's
    popularity · item_features: (n_items, 4) as ITEM_FEATURES · half_lives: in days, for the signals interest and
    interest_short.
    """

    popular_names: tuple[str, ...]
    popularity: FloatArray
    linear: dict[str, sp.csr_array]
    als: Als
    text: FloatArray | None
    membership: sp.csr_array
    leaf_recent: sp.csr_array
    leaf_all: sp.csr_array
    item_features: FloatArray
    half_lives: tuple[float, float]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def n_items(self) -> int:
        return int(self.popularity.shape[1])

    @property
    def names(self) -> tuple[str, ...]:
        return signal_names(has_text=self.text is not None, leave_out=self.left_out)

    @property
    def n_shared(self) -> int:
        return sum(name in self.popular_names for name in self.names)

    @property
    def log_popularity(self) -> FloatArray:
        """(n_items,) log(1 + users who liked it)."""
        return np.asarray(self.item_features[:, ITEM_FEATURES.index("item_users")])

    def popular(self, name: str) -> FloatArray:
        """(n_items,) one of `popular_names`, also where it is left out as a signal."""
        return np.asarray(self.popularity[self.popular_names.index(name)])

    def score(self, past: Past, wanted: frozenset[str] | None = None) -> dict[str, FloatArray]:
        """Score all items for all users of `past`.

        Returns:
            name -> (n_users, n_items) float32, in the order of `names`, only those wanted; popularity as a
            read-only view of one row.
        """
        shape = (past.n_users, self.n_items)
        out: dict[str, FloatArray] = {}
        decayed = {
            "": past.matrix(),
            "decayed": past.matrix(np.exp2(-past.log_age / LOG_HALF_LIFE).astype(np.float32)),
            **{k: past.matrix(np.exp2(-past.own_age / v).astype(np.float32)) for k, v in OWN_HALF_LIVES.items()},
        }
        for name in self.names:
            if wanted is not None and name not in wanted:
                continue
            if name in self.popular_names:
                out[name] = np.broadcast_to(self.popular(name), shape)
            elif name == "als":
                out[name] = self.als.score(np.arange(past.n_users, dtype=np.int32), past.matrix())
            elif name == "als_last5":
                out[name] = _alike(decayed["last5"], _unit(self.als.item_factors))
            elif name in ("text", "text_last5"):
                assert self.text is not None
                out[name] = _alike(decayed["last5" if name == "text_last5" else ""], self.text)
            elif name.startswith("interest"):
                out[name] = self._interest(past, name)
            else:
                base, how = _split_name(name, LINEAR)
                out[name] = np.asarray((decayed[how] @ self.linear[base]).toarray(), np.float32)
        return out

    def shares(self, past: Past, half_life: float) -> FloatArray:
        """(n_users, n_leaves) each user's interest by decayed, weighted past; rows sum to 1 (or 0)."""
        decay = past.weight * np.exp2(-past.age_days / half_life)
        strength = np.asarray((past.matrix(decay.astype(np.float32)) @ self.membership).toarray(), np.float32)
        total = strength.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(strength, total, out=np.zeros_like(strength), where=total > 0))

    def by_leaf(self, leaf_weight: FloatArray, *, recent: bool = True) -> FloatArray:
        """(n, n_items) score of items from weights on leaves (n, n_leaves): weight x the item's part of its leaf."""
        parts = self.leaf_recent if recent else self.leaf_all
        return np.ascontiguousarray((parts.T @ leaf_weight.T).T, np.float32)

    def _interest(self, past: Past, name: str) -> FloatArray:
        half_life = self.half_lives[1] if name == "interest_short" else self.half_lives[0]
        return self.by_leaf(self.shares(past, half_life), recent=name != "interest_all")

    def to_parts(self) -> dict[str, Parts]:
        matrices = {**self.linear, "membership": self.membership, "leaf_recent": self.leaf_recent,
                    "leaf_all": self.leaf_all}  # fmt: skip
        arrays: dict[str, npt.NDArray[Any]] = {"popularity": self.popularity, "item_features": self.item_features}
        for name, m in matrices.items():
            arrays |= csr_to_arrays(m, name)
        if self.text is not None:
            arrays["text"] = self.text
        config = {
            "popular_names": list(self.popular_names),
            "linear": list(self.linear),
            "half_lives": list(self.half_lives),
            "notes": list(self.notes),
            "left_out": list(self.left_out),
        }
        return {"signals": Parts(config, arrays), "als": self.als.to_parts()}

    @classmethod
    def from_parts(cls, signals: Parts, als: Parts) -> Self:
        c, a = signals.config, signals.arrays
        scorer = load_scorer(als)
        assert isinstance(scorer, Als)
        return cls(
            popular_names=tuple(c["popular_names"]),
            popularity=a["popularity"],
            linear={name: csr_from_arrays(a, name) for name in c["linear"]},
            als=scorer,
            text=a.get("text"),
            membership=csr_from_arrays(a, "membership"),
            leaf_recent=csr_from_arrays(a, "leaf_recent"),
            leaf_all=csr_from_arrays(a, "leaf_all"),
            item_features=a["item_features"],
            half_lives=(float(c["half_lives"][0]), float(c["half_lives"][1])),
            notes=tuple(c["notes"]),
            left_out=tuple(c.get("left_out", ())),
        )


def fit_signals(
    events: Events,
    n_items: int,
    text: FloatArray | None,
    membership: sp.csr_array,
    config: RecommendConfig,
    half_lives: tuple[float, float],
    *,
    seed: int,
) -> Signals:
    """Fit every signal on `events` alone. Cost: two EASE solves (items cubed, capped), one item-kNN, one ALS.

    What only signals in `config.leave_out` would read of EASE is not solved.
    """
    names = signal_names(has_text=text is not None, leave_out=config.leave_out)
    liked = events.positive()
    popularity: dict[str, FloatArray] = {}
    for name in PEER_POPULAR:
        scorer = build_scorer(name)
        scorer.fit(events, n_items)
        popularity[name] = scorer.score(np.zeros(1, np.int32), sp.csr_array((1, n_items)))[0].copy()
    for name, share in POPULAR_SHARES.items():
        popularity[name] = _popular_last(liked, n_items, share)
    linear: dict[str, sp.csr_array] = {}
    notes: tuple[str, ...] = ()
    read = {_split_name(name, LINEAR)[0] for name in names if name in EASE}
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
    placed = place_in_leaves(membership, als.item_factors, text)
    linear["item_knn"] = knn.neighbours
    return Signals(
        popular_names=tuple(popularity),
        popularity=np.stack(list(popularity.values())).astype(np.float32),
        linear=linear,
        als=als,
        text=text,
        membership=placed,
        leaf_recent=_leaf_parts(placed, popularity[LEAF_WINDOW]),
        leaf_all=_leaf_parts(placed, popularity["popular"]),
        item_features=_item_features(events, liked, n_items, popularity),
        half_lives=half_lives,
        notes=notes,
        left_out=config.leave_out,
    )


def _split_name(name: str, bases: tuple[str, ...]) -> tuple[str, str]:
    """'item_knn_last5' -> ('item_knn', 'last5'): the longest base that fits.

    >>> _split_name("ease_recent_decayed", ("ease", "ease_recent"))
    ('ease_recent', 'decayed')
    """
    base = max((b for b in bases if name == b or name.startswith(b + "_")), key=len)
    return base, name[len(base) + 1 :]


def _popular_last(liked: Events, n_items: int, share: float) -> FloatArray:
    """(n_items,) distinct users in the last share of the events; ties follow the whole log's popularity."""
    n = len(liked)
    if not n:
        return np.zeros(n_items, np.float32)
    start = liked.time[max(0, n - int(np.ceil(share * n)))]
    recent = np.bincount(liked.take(liked.time >= start).matrix(n_items).indices, minlength=n_items)
    total = np.bincount(liked.item_row, minlength=n_items)
    return np.asarray(recent + 0.5 * total / max(1, total.max(initial=0)), np.float32)


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
    out = sp.csr_array((data, (row, kept[column.ravel()])), shape=(n, n), dtype=np.float32)
    out.sort_indices()
    return out


def place_in_leaves(membership: sp.csr_array, factors: FloatArray, text: FloatArray | None) -> sp.csr_array:
    """Place items in the leaves of a tree by what was known at a moment: their factors then, and their text.

    The tree's own membership of an item may rest on who took it later, which would make interests look better on past
    windows than they are. A leaf keeps its meaning: it lies at the mean of its items, in the space of that moment.

    Args:
        membership: (n_items, n_leaves) of the tree. factors: (n_items, f) fitted before the moment. text: unit rows.
    Returns:
        (n_items, n_leaves) CSR, a softmax over the cosines to the nearest leaves; empty without factors and text.
    """
    from penchant.threads import one_thread

    parts = [_unit(factors)] if text is None else [_unit(factors), text]
    vectors = _unit(np.concatenate(parts, axis=1))
    with one_thread("blas"):  # equal bytes on any number of threads
        cosine = vectors @ _unit(np.asarray(membership.T @ vectors, np.float32)).T
    width = min(LEAVES_OF_ITEM, cosine.shape[1])
    leaf = np.argsort(-cosine, axis=1, kind="stable")[:, :width]
    share = np.exp(np.take_along_axis(cosine, leaf, axis=1) / LEAF_TEMPERATURE)
    share *= (np.abs(vectors).sum(axis=1) > 0)[:, None]
    total = share.sum(axis=1, keepdims=True)
    share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    row = np.repeat(np.arange(len(vectors), dtype=np.int32), width)
    out = sp.csr_array((share.ravel(), (row, leaf.ravel().astype(np.int32))), shape=cosine.shape, dtype=np.float32)
    out.eliminate_zeros()
    out.sort_indices()
    return out


def _leaf_parts(membership: sp.csr_array, popularity: FloatArray) -> sp.csr_array:
    """(n_leaves, n_items) each item's part of its leaf's popularity; one user is added to each leaf against noise."""
    weighted = sp.csr_array(membership.multiply(popularity[:, None]).T)
    total = np.asarray(weighted.sum(axis=1)).ravel() + 1.0
    return sp.csr_array(weighted.multiply(1.0 / total[:, None]), dtype=np.float32)


def _item_features(events: Events, liked: Events, n_items: int, popularity: dict[str, FloatArray]) -> FloatArray:
    span = events.end - events.start
    first = np.full(n_items, events.end)
    last = np.full(n_items, events.start)
    np.minimum.at(first, liked.item_row, liked.time)
    np.maximum.at(last, liked.item_row, liked.time)
    short, long = popularity[TREND[0]], popularity[TREND[1]]
    expected = long * (POPULAR_SHARES[TREND[0]] / POPULAR_SHARES[TREND[1]])
    return np.column_stack(
        [
            in_spans(events.end - first, span),
            in_spans(events.end - last, span),
            np.log1p(np.floor(popularity["popular"])),
            np.log((short + 1.0) / (expected + 1.0)),
        ]
    ).astype(np.float32)


def _unit(values: FloatArray) -> FloatArray:
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(np.divide(values, norm, out=np.zeros_like(values), where=norm > 0))


def _alike(past: sp.csr_array, vectors: FloatArray) -> FloatArray:
    """(n_users, n_items) summed similarity of every item to the items of the past."""
    from penchant.threads import one_thread

    with one_thread("blas"):  # equal bytes on any number of threads
        return np.asarray(np.asarray(past @ vectors, np.float32) @ vectors.T, np.float32)
