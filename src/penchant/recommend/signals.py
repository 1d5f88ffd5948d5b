"""Signals: what speaks for an item, for one user or for everybody, fitted on a log up to a moment.

Every signal reads only events before that moment, so that windows of the past can be scored as they were. The fused
space and the tree are fitted on the whole log, so an item's place in them may tell what came later: the fused vectors
are no signal, and items are placed in the tree's leaves anew (`place_in_leaves`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.data import FloatArray, Parts, unit_rows
from penchant.errors import ConfigError, did_you_mean
from penchant.recommend.attributes import ItemFacts
from penchant.recommend.networks import START as NETWORK
from penchant.recommend.past import Past
from penchant.recommend.repeats import REPEAT, Repeats
from penchant.scorers import load_scorer
from penchant.scorers.als import Als

# Popularity in the last share of the log's events: windows that fit any rate of events, beside those in days.
POPULAR_SHARES = {"popular_last_0.5%": 0.005, "popular_last_1%": 0.01, "popular_last_3%": 0.03,
                  "popular_last_10%": 0.1, "popular_last_30%": 0.3}  # fmt: skip
POPULAR_DAYS = ("popular", "popular_7d", "popular_30d", "popular_90d")
TREND = "popular_trend"
LOG_HALF_LIFE = 0.1  # in shares of the log's events
OWN_HALF_LIVES = {"last20": 20.0, "last5": 5.0}  # in own events
SESSION_HALF_LIFE = 5.0  # within the last session, in own events
SEGMENT_TEMPERATURE = 0.1  # of a user's shares of the segments
ITEM_FEATURES = ("item_age", "item_idle", "item_users", "item_trend")
EASE = ("ease", "ease_decayed", "ease_recent", "ease_recent_decayed")
INTEREST = ("interest", "interest_short", "interest_all")  # those that read the tree
LINEAR = ("ease", "ease_recent", "item_knn")  # matrices that a past is multiplied with
# what only some catalogues can tell, and what only lists with repeats read
OPTIONAL = (*REPEAT, "attributes", "price")
SLOTS = "slots"  # the candidates of a user's layers: no signal, but may be left out as one


def signal_names(
    *, has_text: bool, optional: Collection[str] = OPTIONAL, leave_out: Collection[str] = ()
) -> tuple[str, ...]:
    """All signals in their order: those equal for all users first, the text signals last.

    Args:
        optional: those of OPTIONAL that the log and the settings offer, and the networks.

    >>> signal_names(has_text=True, optional=(), leave_out=("text", "slots"))[-2:]
    ('interest_all', 'text_last5')
    """
    together = ("item_knn", "item_knn_last20", "item_knn_last5", "item_knn_session")
    own = (*EASE, *together, "als", "als_last5", "segment_popular", *INTEREST)
    networks = (name for name in optional if name.startswith(NETWORK))
    offered = (
        *networks,
        *(name for name in OPTIONAL if name in optional),
        *(("text", "text_last5") if has_text else ()),
    )
    every = (*POPULAR_DAYS, *POPULAR_SHARES, TREND, *own, *offered)
    return tuple(name for name in every if name not in leave_out)


def check_left_out(names: Collection[str], *, has_text: bool = True, optional: Collection[str] = OPTIONAL) -> None:
    """Refuse to leave out what does not exist, or every signal there is.

    Raises:
        ConfigError: names the nearest.
    """
    networks = (name for name in optional if name.startswith(NETWORK))
    allowed = (*signal_names(has_text=True), *networks, SLOTS)
    for name in names:
        if name not in allowed:
            raise ConfigError(f"recommend.leave_out: no signal '{name}'; {did_you_mean(name, allowed)}")
    if not signal_names(has_text=has_text, optional=optional, leave_out=names):
        raise ConfigError("recommend.leave_out: no signal would be left; leave at least one")


@dataclass(frozen=True)
class Signals:
    """All signals at one moment. `names` is the order of `score`; the first `n_shared` are equal for all users.

    left_out: names that are not among `names`, see `RecommendConfig.leave_out` · popularity: (n, n_items), all of them:
    those left out still order equal scores and describe items · linear: name -> (n_items, n_items) CSR, score = past @
    matrix (of EASE only what a name reads) · als: factors · segment_centres: (n_segments, f) unit rows
    in the space of the factors · segment_share: (n_segments, n_items) part of its users who liked the item, faded ·
    facts: price and attributes · repeats: None where lists hold nothing twice · networks:
    name -> (n_items, d) vectors, see `networks` · text: (n_items, d) unit rows or None ·
    membership:
    (n_items, n_leaves) of `place_in_leaves` · leaf_recent, leaf_all: (n_leaves, n_items) each item's part of its leaf's
    popularity · item_features: (n_items, 4) as ITEM_FEATURES · half_lives: in days, for the signals interest and
    interest_short.
    """

    popular_names: tuple[str, ...]
    popularity: FloatArray
    linear: dict[str, sp.csr_array]
    als: Als
    segment_centres: FloatArray
    segment_share: FloatArray
    facts: ItemFacts
    repeats: Repeats | None
    networks: dict[str, FloatArray]
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
        optional = (*(REPEAT if self.repeats is not None else ()), *self.facts.names, *self.networks)
        return signal_names(has_text=self.text is not None, optional=optional, leave_out=self.left_out)

    @property
    def n_shared(self) -> int:
        return sum(name in self.popular_names for name in self.names)

    @cached_property
    def _unit_factors(self) -> FloatArray:
        return unit_rows(self.als.item_factors)

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
        own = {k: np.exp2(-past.own_age / v).astype(np.float32) for k, v in OWN_HALF_LIVES.items()}
        session = past.in_session * np.exp2(-past.own_age / SESSION_HALF_LIFE)
        out: dict[str, FloatArray] = {}
        decayed = {
            "": past.matrix(),
            "decayed": past.matrix(np.exp2(-past.log_age / LOG_HALF_LIFE).astype(np.float32)),
            "session": past.matrix(session.astype(np.float32)),
            **{k: past.matrix(v) for k, v in own.items()},
        }
        for name in self.names:
            if wanted is not None and name not in wanted:
                continue
            if name in self.popular_names:
                out[name] = np.broadcast_to(self.popular(name), shape)
            elif name == "als":
                out[name] = self.als.score(np.arange(past.n_users, dtype=np.int32), past.matrix())
            elif name == "als_last5":
                out[name] = _alike(decayed["last5"], self._unit_factors)
            elif name in self.networks:
                out[name] = self._network(past, name)
            elif name == "segment_popular":
                out[name] = self._segments(past)
            elif name in REPEAT:
                assert self.repeats is not None
                out[name] = self.repeats.score(name, past)
            elif name in OPTIONAL:
                out[name] = self.facts.score(name, decayed["last20"])
            elif name in ("text", "text_last5"):
                assert self.text is not None
                out[name] = _alike(decayed["last5" if name == "text_last5" else ""], self.text)
            elif name.startswith("interest"):
                out[name] = self._interest(past, name)
            else:
                base, how = split_name(name, LINEAR)
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
        if np.count_nonzero(leaf_weight) < leaf_weight.size / 16:  # the same sums, quicker where leaves are few
            return np.asarray((sp.csr_array(leaf_weight) @ parts).toarray(), np.float32)
        return np.ascontiguousarray((parts.T @ leaf_weight.T).T, np.float32)

    def _interest(self, past: Past, name: str) -> FloatArray:
        half_life = self.half_lives[1] if name == "interest_short" else self.half_lives[0]
        return self.by_leaf(self.shares(past, half_life), recent=name != "interest_all")

    def _segments(self, past: Past) -> FloatArray:
        """Popularity in each segment, by how near the user's factors lie to its centre."""
        from penchant.threads import one_thread

        with one_thread("blas"):  # equal bytes on any number of threads
            factors = unit_rows(self.als.user_factors(np.arange(past.n_users, dtype=np.int32), past.matrix()))
            near = factors @ self.segment_centres.T / SEGMENT_TEMPERATURE
            share = np.exp(near - near.max(axis=1, keepdims=True, initial=-1e9))
            share *= (past.n_liked > 0)[:, None] / np.maximum(share.sum(axis=1, keepdims=True), 1e-9)
            return np.asarray(share @ self.segment_share, np.float32)

    def _network(self, past: Past, name: str) -> FloatArray:
        from penchant.threads import one_thread

        if name not in past.vectors:
            return np.zeros((past.n_users, self.n_items), np.float32)
        with one_thread("blas"):  # equal bytes on any number of threads
            return np.asarray(past.vectors[name] @ self.networks[name].T, np.float32)

    def to_parts(self) -> dict[str, Parts]:
        matrices = {**self.linear, "membership": self.membership, "leaf_recent": self.leaf_recent,
                    "leaf_all": self.leaf_all}  # fmt: skip
        arrays: dict[str, npt.NDArray[Any]] = {
            name: getattr(self, name) for name in ("popularity", "item_features", "segment_centres", "segment_share")
        }
        if self.facts.attributes is not None:
            matrices["attributes"] = self.facts.attributes
        if self.facts.log_price is not None:
            arrays["log_price"] = self.facts.log_price
        for name, m in matrices.items():
            arrays |= csr_to_arrays(m, name)
        if self.text is not None:
            arrays["text"] = self.text
        config: dict[str, Any] = {
            "popular_names": list(self.popular_names),
            "linear": list(self.linear),
            "half_lives": list(self.half_lives),
            "notes": list(self.notes),
            "optional": list(self.facts.names),
            "networks": list(self.networks),
            "left_out": list(self.left_out),
        }
        arrays |= self.networks
        if self.repeats is not None:
            told = self.repeats.to_parts()
            config["repeats"] = told.config
            arrays |= {f"repeat_{name}": a for name, a in told.arrays.items()}
        return {"signals": Parts(config, arrays), "als": self.als.to_parts()}

    @classmethod
    def from_parts(cls, signals: Parts, als: Parts) -> Self:
        c, a = signals.config, signals.arrays
        scorer = load_scorer(als)
        assert isinstance(scorer, Als)
        repeats = None
        if "repeats" in c:
            arrays = {name: a[f"repeat_{name}"] for name in ("item_gap", "item_share")}
            repeats = Repeats.from_parts(Parts(c["repeats"], arrays))
        return cls(
            popular_names=tuple(c["popular_names"]),
            popularity=a["popularity"],
            linear={name: csr_from_arrays(a, name) for name in c["linear"]},
            als=scorer,
            segment_centres=a["segment_centres"],
            segment_share=a["segment_share"],
            facts=ItemFacts(
                a.get("log_price"), csr_from_arrays(a, "attributes") if "attributes" in c["optional"] else None
            ),
            repeats=repeats,
            networks={name: a[name] for name in c["networks"]},
            text=a.get("text"),
            membership=csr_from_arrays(a, "membership"),
            leaf_recent=csr_from_arrays(a, "leaf_recent"),
            leaf_all=csr_from_arrays(a, "leaf_all"),
            item_features=a["item_features"],
            half_lives=(float(c["half_lives"][0]), float(c["half_lives"][1])),
            notes=tuple(c["notes"]),
            left_out=tuple(c.get("left_out", ())),
        )


def split_name(name: str, bases: tuple[str, ...]) -> tuple[str, str]:
    """'item_knn_last5' -> ('item_knn', 'last5'): the longest base that fits.

    >>> split_name("ease_recent_decayed", ("ease", "ease_recent"))
    ('ease_recent', 'decayed')
    """
    base = max((b for b in bases if name == b or name.startswith(b + "_")), key=len)
    return base, name[len(base) + 1 :]


def _alike(past: sp.csr_array, vectors: FloatArray) -> FloatArray:
    """(n_users, n_items) summed similarity of every item to the items of the past."""
    from penchant.threads import one_thread

    with one_thread("blas"):  # equal bytes on any number of threads
        return np.asarray(np.asarray(past @ vectors, np.float32) @ vectors.T, np.float32)
