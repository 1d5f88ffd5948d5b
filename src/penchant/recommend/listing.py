"""One batch of users from candidates to a table: ranked, lowered by penalties and dials, given places, explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import LAYERS, FloatArray, IntArray
from penchant.recommend.aversion import entries
from penchant.recommend.batch import Batch, Wanted, closed_items, only_top
from penchant.recommend.calibrate import Mix
from penchant.recommend.candidates import Candidates, describe, pick_candidates
from penchant.recommend.cold import near_new_items
from penchant.recommend.contributions import COLUMNS, contributions
from penchant.recommend.dials import Dials
from penchant.recommend.diversify import diversify
from penchant.recommend.explain import attribute, find_evidence, list_series
from penchant.recommend.new_items import NewItems
from penchant.recommend.past import Past
from penchant.recommend.penalties import Penalties
from penchant.recommend.places import Places, by_rank, with_new_items
from penchant.recommend.rank import Ranker, Single
from penchant.recommend.repeats import REPEAT
from penchant.recommend.signals import SLOTS, Signals
from penchant.recommend.slots import POPULAR_IN_LEAF, Slots, tell_new
from penchant.recommend.transitions import Transitions

N_EVIDENCE = 3
LAYER_SLOTS = 10  # candidates each layer of interests may add
EXPLORATION = "exploration"  # the source of items that no signal brought


@dataclass(frozen=True)
class ListMaker:
    """What every batch is made with; the parts are those of `Recommender`. new_items: for the places kept for them."""

    signals: Signals
    fused: FloatArray
    membership: sp.csr_array
    transitions: Transitions
    penalties: Penalties
    dials: Dials
    config: RecommendConfig
    new_items: NewItems | None

    def make(self, batch: Batch, wanted: Wanted, ranker: Ranker) -> pl.DataFrame:
        """The lists of one batch, columns as `batch.empty_lists`."""
        past, k = batch.past, wanted.k
        blocked = closed_items(past, wanted)
        found, ranked = self.rank(batch, blocked, k, ranker)
        known = (past.n_liked > 0) & batch.in_log
        ranked = self.dials.turn(ranked, found, self.signals.log_popularity, known=known)
        places = self._places(batch, found, ranked, blocked, k)
        row, place = np.nonzero(places.items >= 0)
        items, column = places.items[row, place], places.columns[row, place]
        source = np.where(column >= 0, self._source(past, found, ranker)[row, column], len(self.signals.names))
        told = np.zeros((len(row), 0), np.float32)
        if wanted.why:
            told = contributions(ranker, self.signals.names, found, np.maximum(places.columns, 0))[row, place]
        table = table_of(
            self.membership,
            row.astype(np.int32),
            items,
            (place + 1).astype(np.int32),
            places.score[row, place],
            np.array((*self.signals.names, EXPLORATION), dtype=object)[source],
            batch.points,
            find_evidence(past, row, items, self.fused, N_EVIDENCE) if wanted.evidence else none_each(len(row)),
        )
        if self.config.slots is not None:
            table = tell_new(table, places.leaf[row, place])
        explored = pl.col("source") == EXPLORATION  # brought by no signal
        shares = [
            pl.when(explored).then(None).otherwise(pl.Series(name, told[:, i])).alias(name)
            for i, name in enumerate(COLUMNS[: told.shape[1]])
        ]
        return table.with_columns(pl.Series("user_row", batch.user_rows[row], dtype=pl.Int32), *shares)

    def rank(self, batch: Batch, blocked: sp.csr_array, k: int, ranker: Ranker) -> tuple[Candidates, FloatArray]:
        """Candidates of lists of k, and their (n, c) scores after penalties and before dials."""
        alone = isinstance(ranker, Single)
        scores = self.signals.score(batch.past, frozenset({ranker.name}) if alone else None)
        found = self._candidates(batch, scores, blocked, max(self.config.n_candidates, k), ranker)
        ranked = _scores(ranker, scores, found)
        if self.penalties.active and batch.evidence is not None:
            ranked = self.penalties.lower(ranked, found, batch.evidence, self.signals.membership)
        return found, ranked

    def _candidates(
        self, batch: Batch, scores: dict[str, FloatArray], blocked: sp.csr_array, n: int, ranker: Ranker
    ) -> Candidates:
        past, points = batch.past, batch.points
        if isinstance(ranker, Single):  # nothing else is read, but equal scores go by what all users like
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

    def _source(self, past: Past, found: Candidates, ranker: Ranker) -> IntArray:
        """(n, c) which signal ranks each candidate highest; signals of the user's own before those equal for all, and
        where repeats are foretold these for all that the user took before, and for nothing else.
        """
        names, shape = self.signals.names, found.item_rows.shape
        repeats = np.array([name in REPEAT for name in names])
        again = np.zeros(shape, np.bool_)
        if repeats.any():
            user = np.repeat(np.arange(shape[0], dtype=np.int32), shape[1])
            again = entries(past.matrix(), user, found.item_rows.ravel()).reshape(shape) > 0
        if isinstance(ranker, Single):
            own = names.index(ranker.name)
            fills = 0 if ranker.name in REPEAT else own  # what a user never took comes by popularity
            return np.where(again, own, fills).astype(np.int32)
        n = len(names)
        place = found.features[:, :, n : 2 * n].copy()
        place[:, :, : self.signals.n_shared] += 0.1
        place[:, :, repeats] = np.where(again, -1.0, np.inf)[:, :, None]
        return np.asarray(place.argmin(axis=2), np.int32)

    def _places(self, batch: Batch, found: Candidates, ranked: FloatArray, closed: sp.csr_array, k: int) -> Places:
        """Which item takes which place."""
        width = k if self.config.slots is None else found.item_rows.shape[1]
        calibration = self.dials.calibration
        mix = Mix(batch.past, self.membership, found.item_rows) if calibration else None
        diversity = self.config.diversity
        order = diversify(ranked, found.item_rows, found.valid, self.fused, diversity, width, mix, calibration)
        places = by_rank(order, ranked, found)
        if self.config.slots is not None:
            policy = Slots(self.config.slots, self.membership, self.transitions, self.signals.popular(POPULAR_IN_LEAF))
            users = batch.user_rows if batch.in_log else None
            return policy.place(places, batch.past, batch.points, closed, k, users)
        if not self.config.n_explore:
            return places
        listed = np.zeros(closed.shape, np.bool_)
        row, place = np.nonzero(places.items >= 0)
        listed[row, places.items[row, place]] = True
        n = min(self.config.n_explore, places.items.shape[1])
        if self.new_items is not None:
            new = self.new_items.best(batch.past, closed, listed, n)
        else:  # no item is described, or none is new
            popular = self.signals.popular("popular")
            new = near_new_items(batch.past, closed, listed, popular, self.fused, n)
        return with_new_items(places, *new)


def table_of(
    membership: sp.csr_array,
    user_rows: IntArray,
    items: IntArray,
    rank: IntArray,
    score: FloatArray,
    source: npt.NDArray[Any],
    points: pl.DataFrame | None,
    evidence: pl.Series,
) -> pl.DataFrame:
    leaf, layer = attribute(user_rows, items, membership, points)
    return pl.DataFrame(
        {
            "user_row": pl.Series(user_rows, dtype=pl.Int32),
            "item_row": pl.Series(items, dtype=pl.Int32),
            "rank": pl.Series(rank, dtype=pl.Int32),
            "score": pl.Series(score, dtype=pl.Float32),
            "interest_row": pl.Series(leaf, dtype=pl.Int32),
            "layer": pl.Series(layer, dtype=pl.Int8),
            "source": pl.Series(source.tolist(), dtype=pl.String),
            "evidence": evidence,
        }
    )


def none_each(n: int) -> pl.Series:
    """(n,) empty lists of evidence."""
    return list_series(np.zeros(0, np.int32), np.zeros(n, np.int64))


def _scores(ranker: Ranker, scores: dict[str, FloatArray], found: Candidates) -> FloatArray:
    if isinstance(ranker, Single):  # the signal's own numbers, exactly
        return np.take_along_axis(scores[ranker.name], found.item_rows, axis=1)
    return ranker.score(found)
