"""The fitted recommender: lists for known users, for somebody new, for an item, and for nobody in particular."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.config import RecommendConfig
from penchant.data import LAYERS, BoolArray, FloatArray, IntArray, Parts, Profiles, Recommendations
from penchant.errors import ConfigError, DataError
from penchant.recommend.aversion import Evidence, evidence_of_items
from penchant.recommend.batch import closed_items, empty_lists, only_top, points_of
from penchant.recommend.candidates import Candidates, describe, pick_candidates
from penchant.recommend.cold import similar_items
from penchant.recommend.contributions import COLUMNS, contributions
from penchant.recommend.diversify import diversify
from penchant.recommend.explain import attribute, find_evidence
from penchant.recommend.past import Past, past_of_items
from penchant.recommend.penalties import Penalties
from penchant.recommend.places import Places, by_rank, with_new_items
from penchant.recommend.rank import Ranker, Single, ranker_from_parts
from penchant.recommend.signals import SLOTS, Signals
from penchant.recommend.slots import POPULAR_IN_LEAF, Slots, tell_new
from penchant.recommend.transitions import Transitions
from penchant.scorers import top_items

BATCH_BYTES = 256_000_000  # arrays of one batch of users
N_EVIDENCE = 3
LAYER_SLOTS = 10  # candidates each layer of interests may add
EXPLORATION = "exploration"  # the source of items that no signal brought
POPULAR_FOR_ALL = "popular_30d"  # what somebody unknown gets; ties follow all-time popularity


def batch_size(signals: Signals, n_candidates: int, dims: int = 0) -> int:
    """Users scored at once, so that dense scores, features of candidates (and their vectors) stay in BATCH_BYTES."""
    n = len(signals.names)
    floats = signals.n_items * (n + 6) + min(n_candidates, signals.n_items) * (6 * n + dims)
    return max(1, BATCH_BYTES // (4 * max(1, floats)))


@dataclass(frozen=True)
class Recommender:
    """past: of all users at the end of the log · signals: fitted on the whole log · ranker: the method chosen on past
    windows · report: the comparison that chose it (see `choose`) · fused: (n_items, d) unit rows · membership:
    (n_items, n_leaves) of the tree, which ties listed items to interests · transitions: between interests; `propose`
    says which new ones whom · penalties: what aversion and saturation take off a ranking.
    """

    past: Past
    signals: Signals
    ranker: Ranker
    report: pl.DataFrame
    fused: FloatArray
    membership: sp.csr_array
    transitions: Transitions
    penalties: Penalties
    config: RecommendConfig

    @property
    def chosen(self) -> str:
        """Name of the method that ranks."""
        return self.ranker.name

    @cached_property
    def interactions(self) -> sp.csr_array:
        """(n_users, n_items) summed positive weights."""
        return self.past.matrix(self.past.weight)

    def recommend(
        self,
        user_rows: IntArray,
        profiles: Profiles,
        *,
        k: int = 10,
        allow_seen: bool | None = None,
        allowed: BoolArray | None = None,
        why: bool = False,
    ) -> Recommendations:
        """Recommend k items to each known user, in batches of bounded memory.

        Items a user liked or disliked are left out unless `allow_seen` (default: the setting). A user without a liked
        past gets what the signals equal for all users say.

        Args:
            user_rows: (n,) rows of the log's users.
            profiles: their interest points: the leaves give each item its interest and layer, and each layer's best
                leaves add candidates.
            allowed: (n_items,) the items that may be listed; a list is filled from them as far as there are k.
            why: add the columns of `contributions.COLUMNS`.
        Raises:
            ConfigError: k is below 1. DataError: a row is no user of this log; names the first.
        """
        _check_k(k)
        rows = np.asarray(user_rows, np.int32)
        wrong = rows[(rows < 0) | (rows >= self.past.n_users)]
        if len(wrong):
            raise DataError(
                f"recommend: user rows must be in 0..{self.past.n_users - 1}. Got {int(wrong[0])}; "
                "give an unknown user `popular`, or `recommend_from_items` with what they touched"
            )
        seen_too = self.config.allow_seen if allow_seen is None else allow_seen
        finest = pl.col("level") == pl.col("level").max()
        leaves = profiles.points.filter(finest).sort("user_row", maintain_order=True)
        bounds = np.searchsorted(leaves["user_row"].to_numpy(), np.arange(self.past.n_users + 1))
        dims = self.fused.shape[1] if self.config.diversity > 0 else 0
        step = batch_size(self.signals, max(self.config.n_candidates, k), dims)
        frames = []
        for start in range(0, len(rows), step):
            batch = rows[start : start + step]
            own = points_of(leaves, bounds, batch)
            known = self.penalties.evidence.take(batch) if self.penalties.active else None
            frames.append(self._list(self.past.take(batch), own, known, k, seen_too, batch, allowed, why))
        return Recommendations(pl.concat(frames) if frames else empty_lists(why))

    def lists(
        self,
        user_rows: IntArray,
        profiles: Profiles,
        *,
        k: int = 10,
        longest: int | None = None,
        allow_seen: bool | None = None,
    ) -> IntArray:
        """The items of `recommend` alone, and what follows them in a longer list.

        A longer list starts with the shorter one, but where places are shared out (`slots`) or the last ones kept for
        new items (`n_explore`): there the list of k is made for itself, and what else the longer one holds follows it.

        Args:
            user_rows: (n,) different users. longest: length of the lists, k (the default) or more.
        Returns:
            (n, longest) int32 item rows, best first, -1 where fewer exist; the first k are those of `recommend` for k.
        """
        width = max(k, longest or k)
        long = self.recommend(user_rows, profiles, k=width, allow_seen=allow_seen).lists(user_rows, width)
        if width == k or not (self.config.n_explore or self.config.slots):
            return long
        short = self.recommend(user_rows, profiles, k=k, allow_seen=allow_seen).lists(user_rows, k)
        again = (long[:, :, None] == short[:, None, :]).any(axis=2)
        order = np.argsort(again, axis=1, kind="stable")
        rest = np.take_along_axis(np.where(again, np.int32(-1), long), order, axis=1)
        return np.hstack([short, rest[:, : width - k]])

    def recommend_from_items(
        self,
        item_rows: IntArray,
        weights: FloatArray,
        *,
        k: int = 10,
        allow_seen: bool | None = None,
        allowed: BoolArray | None = None,
        why: bool = False,
    ) -> Recommendations:
        """Recommend to somebody who is not in the log (first events, an anonymous session).

        Args:
            item_rows: (n,) what they touched, oldest first. weights: (n,) above zero liked, below zero disliked.
            allowed, why: as for `recommend`.
        Returns:
            One list, user_row 0; layer is -1 (nobody forecast anything for this user).
        """
        _check_k(k)
        rows = np.asarray(item_rows, np.int32)
        self._check_items(rows)
        if len(rows) != len(weights):
            raise DataError(f"recommend_from_items: one weight an item. Got {len(weights)} for {len(rows)} items")
        past = past_of_items(rows, np.asarray(weights, np.float32), self.signals.n_items)
        seen_too = self.config.allow_seen if allow_seen is None else allow_seen
        known = evidence_of_items(rows, np.asarray(weights, np.float32), self.penalties.evidence.crowd)
        return Recommendations(self._list(past, None, known, k, seen_too, np.zeros(1, np.int32), allowed, why))

    def skip_probability(self, user_rows: IntArray, item_rows: IntArray) -> FloatArray:
        """(n, c) predicted chance that each of n users passes over each of their c items, if shown it.

        Raises:
            DataError: the log held too few dislikes or ignored impressions to learn from.
        """
        return self.penalties.skip_probability(user_rows, item_rows, self.signals.membership)

    def similar_items(self, item_rows: IntArray, k: int = 10) -> pl.DataFrame:
        """Items most like each given item; also of and among items without events. See `cold.similar_items`.

        Returns:
            item_row i32, similar_row i32, rank i32 (from 1), score f32.
        """
        _check_k(k)
        rows = np.asarray(item_rows, np.int32)
        self._check_items(rows)
        return similar_items(rows, self.signals.linear["item_knn"], self.fused, k)

    def popular(self, k: int = 10, *, allowed: BoolArray | None = None) -> Recommendations:
        """The items most users liked in the log's last 30 days: for somebody of whom nothing is known (user_row 0)."""
        _check_k(k)
        values = self.signals.popular(POPULAR_FOR_ALL)[None, :]
        open_ = values > 0 if allowed is None else (values > 0) & allowed
        top = top_items(np.where(open_, values, -np.inf).astype(np.float32), k)
        top = top[top >= 0]
        return Recommendations(
            self._table(
                np.zeros(len(top), np.int32),
                top,
                np.arange(1, len(top) + 1, dtype=np.int32),
                values[0, top],
                np.array([POPULAR_FOR_ALL] * len(top), dtype=object),
                None,
                [[] for _ in top],
            )
        )

    def to_parts(self) -> Parts:
        """Everything needed to recommend without the log, names of the inner parts as prefixes."""
        inner = {"past": self.past.to_parts(), **self.signals.to_parts(), "ranker": self.ranker.to_parts()}
        inner |= {"transitions": self.transitions.to_parts(), "penalties": self.penalties.to_parts()}
        return Parts(
            {"settings": self.config.model_dump(mode="json"), **{name: dict(p.config) for name, p in inner.items()}},
            {
                "fused": self.fused,
                **csr_to_arrays(self.membership, "membership"),
                **{f"{n}__{key}": a for n, p in inner.items() for key, a in p.arrays.items()},
            },
            {"report": self.report},
        )

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        def inner(name: str) -> Parts:
            start = f"{name}__"
            arrays = {k.removeprefix(start): v for k, v in parts.arrays.items() if k.startswith(start)}
            return Parts(parts.config[name], arrays)

        return cls(
            past=Past.from_parts(inner("past")),
            signals=Signals.from_parts(inner("signals"), inner("als")),
            membership=csr_from_arrays(parts.arrays, "membership"),
            ranker=ranker_from_parts(inner("ranker")),
            transitions=Transitions.from_parts(inner("transitions")),
            penalties=Penalties.from_parts(inner("penalties")),
            report=parts.tables["report"],
            fused=parts.arrays["fused"],
            config=RecommendConfig.model_validate(parts.config["settings"]),
        )

    # --- one batch ---

    def _list(
        self,
        past: Past,
        points: pl.DataFrame | None,
        known: Evidence | None,
        k: int,
        seen_too: bool,
        user_rows: IntArray,
        allowed: BoolArray | None,
        why: bool,
    ) -> pl.DataFrame:
        """One batch's lists. `points`: leaf points with user_row = place in the batch."""
        blocked = closed_items(past, seen_too, allowed)
        alone = isinstance(self.ranker, Single)
        scores = self.signals.score(past, frozenset({self.ranker.name}) if alone else None)
        found = self._candidates(past, scores, points, blocked, max(self.config.n_candidates, k))
        ranked = self._rank(scores, found, k)
        if self.penalties.active and known is not None:
            ranked = self.penalties.lower(ranked, found, known, self.signals.membership)
        places = self._places(past, found, ranked, points, blocked, k, None if points is None else user_rows)
        row, place = np.nonzero(places.items >= 0)
        items, column = places.items[row, place], places.columns[row, place]
        source = np.where(column >= 0, self._source(found)[row, column], len(self.signals.names))
        told = np.zeros((len(row), 0), np.float32)
        if why:
            told = contributions(self.ranker, self.signals.names, found, np.maximum(places.columns, 0))[row, place]
        table = self._table(
            row.astype(np.int32),
            items,
            (place + 1).astype(np.int32),
            places.score[row, place],
            np.array((*self.signals.names, EXPLORATION), dtype=object)[source],
            points,
            find_evidence(past, row, items, self.fused, N_EVIDENCE),
        )
        if self.config.slots is not None:
            table = tell_new(table, places.leaf[row, place])
        explored = pl.col("source") == EXPLORATION  # brought by no signal
        shares = [
            pl.when(explored).then(None).otherwise(pl.Series(name, told[:, i])).alias(name)
            for i, name in enumerate(COLUMNS[: told.shape[1]])
        ]
        return table.with_columns(pl.Series("user_row", user_rows[row], dtype=pl.Int32), *shares)

    def _candidates(
        self, past: Past, scores: dict[str, FloatArray], points: pl.DataFrame | None, blocked: sp.csr_array, n: int
    ) -> Candidates:
        if isinstance(self.ranker, Single):  # nothing else is read, but equal scores go by what all users like
            liked_by = self.signals.popular("popular")
            everybody = {"popular": np.broadcast_to(liked_by, next(iter(scores.values())).shape)}
            rows, valid = pick_candidates({**everybody, **scores}, blocked, n)
            order = np.argsort(-liked_by[rows], axis=1, kind="stable")
            rows, valid = np.take_along_axis(rows, order, axis=1), np.take_along_axis(valid, order, axis=1)
            return Candidates(rows, valid, np.zeros((*rows.shape, 0), np.float32))
        extra = dict(scores)
        if points is not None and points.height and SLOTS not in self.config.leave_out:
            leaves = self.signals.membership.shape[1]
            for layer in range(len(LAYERS)):
                own = points.filter(pl.col("layer") == layer)
                weight = np.zeros((past.n_users, leaves), np.float32)
                weight[own["user_row"].to_numpy(), own["interest_row"].to_numpy()] = own["probability"].to_numpy()
                slots = self.signals.by_leaf(weight)
                blocked_rows = np.repeat(np.arange(past.n_users), np.diff(blocked.indptr))
                slots[blocked_rows, blocked.indices] = 0.0
                extra[f"slots_{LAYERS[layer]}"] = only_top(slots, LAYER_SLOTS)
        rows, valid = pick_candidates(extra, blocked, n)
        return describe(self.signals, scores, past, rows, valid)

    def _rank(self, scores: dict[str, FloatArray], found: Candidates, k: int) -> FloatArray:
        if isinstance(self.ranker, Single):  # the signal's own numbers, exactly
            return np.take_along_axis(scores[self.ranker.name], found.item_rows, axis=1)
        return self.ranker.score(found)

    def _source(self, found: Candidates) -> IntArray:
        """(n, c) which signal ranks each candidate highest; signals of the user's own before those equal for all."""
        if isinstance(self.ranker, Single):
            return np.full(found.item_rows.shape, self.signals.names.index(self.ranker.name), np.int32)
        n = len(self.signals.names)
        place = found.features[:, :, n : 2 * n].copy()
        place[:, :, : self.signals.n_shared] += 0.1
        return np.asarray(place.argmin(axis=2), np.int32)

    def _places(
        self,
        past: Past,
        found: Candidates,
        ranked: FloatArray,
        points: pl.DataFrame | None,
        closed: sp.csr_array,
        k: int,
        users: IntArray | None,
    ) -> Places:
        """Which item takes which place. `users`: rows of the log, None for a stranger."""
        width = k if self.config.slots is None else found.item_rows.shape[1]
        order = diversify(ranked, found.item_rows, found.valid, self.fused, self.config.diversity, width)
        places = by_rank(order, ranked, found)
        if self.config.slots is not None:
            policy = Slots(self.config.slots, self.membership, self.transitions, self.signals.popular(POPULAR_IN_LEAF))
            return policy.place(places, past, points, closed, k, users)
        if not self.config.n_explore:
            return places
        return with_new_items(places, past, closed, self.signals.popular("popular"), self.fused, self.config.n_explore)

    def _table(
        self,
        user_rows: IntArray,
        items: IntArray,
        rank: IntArray,
        score: FloatArray,
        source: npt.NDArray[Any],
        points: pl.DataFrame | None,
        evidence: list[list[int]],
    ) -> pl.DataFrame:
        leaf, layer = attribute(user_rows, items, self.membership, points)
        return pl.DataFrame(
            {
                "user_row": pl.Series(user_rows, dtype=pl.Int32),
                "item_row": pl.Series(items, dtype=pl.Int32),
                "rank": pl.Series(rank, dtype=pl.Int32),
                "score": pl.Series(score, dtype=pl.Float32),
                "interest_row": pl.Series(leaf, dtype=pl.Int32),
                "layer": pl.Series(layer, dtype=pl.Int8),
                "source": pl.Series(source.tolist(), dtype=pl.String),
                "evidence": pl.Series(evidence, dtype=pl.List(pl.Int32)),
            }
        )

    def _check_items(self, rows: IntArray) -> None:
        wrong = rows[(rows < 0) | (rows >= self.signals.n_items)]
        if len(wrong):
            raise DataError(f"item rows must be in 0..{self.signals.n_items - 1}. Got {int(wrong[0])}")


def _check_k(k: int) -> None:
    if k < 1:
        raise ConfigError(f"k: must be at least 1. Got {k} instead")
