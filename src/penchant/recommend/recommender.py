"""The fitted recommender: lists for known users, for somebody new, for an item, and for nobody in particular."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.config import RecommendConfig, build_config
from penchant.data import BoolArray, FloatArray, IntArray, Parts, Profiles, Recommendations
from penchant.errors import ConfigError, DataError
from penchant.recommend.aversion import evidence_of_new
from penchant.recommend.batch import Batch, Wanted, batch_size, closed_items, empty_lists, points_of
from penchant.recommend.cold import similar_items
from penchant.recommend.dials import Dials, fit_dials
from penchant.recommend.exposure import Crowd, K, joined, latest_users
from penchant.recommend.listing import ListMaker, none_each, table_of
from penchant.recommend.new_items import NewItems, find_new, item_traits, new_item_signals
from penchant.recommend.past import Past, past_of_new
from penchant.recommend.penalties import Penalties
from penchant.recommend.rank import Ranker, ranker_from_parts
from penchant.recommend.signals import Signals
from penchant.recommend.strangers import Bridge, Strangers
from penchant.recommend.transitions import Transitions
from penchant.scorers import top_items
from penchant.threads import in_batches, n_threads

POPULAR_FOR_ALL = "popular_30d"  # what somebody unknown gets; ties follow all-time popularity

R = TypeVar("R")


@dataclass(frozen=True)
class Recommender:
    """past: of all users at the end of the log · signals: fitted on the whole log · ranker: the method chosen on past
    windows · report: the comparison that chose it (see `choose`) · newcomer_ranker, newcomer_report: the same for
    people who are not in the log, chosen on newcomers of the past windows · fused: (n_items, d) unit rows · membership:
    (n_items, n_leaves) of the tree, which ties listed items to interests · transitions: between interests; `propose`
    says which new ones whom · penalties: what aversion and saturation take off a ranking · dials: what popularity and
    being listed often take off it, and whether lists follow the user's mix of interests · labels: (n_items, m)
    categories by which new items are told, see `new_items.weigh_labels` · new_item_ranker, new_item_report: for lists
    of new items alone (`new_items`); None where no item is new · crossing_ranker, crossing_report: for lists in another
    domain (`crossings`); None where there is nothing to learn of it.
    """

    past: Past
    signals: Signals
    ranker: Ranker
    report: pl.DataFrame
    newcomer_ranker: Ranker
    newcomer_report: pl.DataFrame
    fused: FloatArray
    membership: sp.csr_array
    transitions: Transitions
    penalties: Penalties
    dials: Dials
    config: RecommendConfig
    labels: sp.csr_array | None = None
    new_item_ranker: Ranker | None = None
    new_item_report: pl.DataFrame | None = None
    crossing_ranker: Ranker | None = None
    crossing_report: pl.DataFrame | None = None
    strangers: Strangers | None = None

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
        source: BoolArray | None = None,
        why: bool = False,
        evidence: bool = True,
    ) -> Recommendations:
        """Recommend k items to each known user, in batches of bounded memory.

        Items a user liked or disliked are left out unless `allow_seen` (default: whether the setting `repeat` is
        "allow" or "predict"); where repeats are foretold, what was only disliked stays out in any case. A user without
        a liked past gets what the signals equal for all users say.

        Args:
            user_rows: (n,) rows of the log's users.
            profiles: their interest points: the leaves give each item its interest and layer, and each layer's best
                leaves add candidates.
            allowed: (n_items,) the items that may be listed; a list is filled from them as far as there are k. Where
                no known item is among them, `new_items` makes the list.
            source: (n_items,) the items of the past that are read (`Past.of_items`). Layers come of the whole past, so
                they are not told then (-1) and bring no candidates. `crossing_ranker` orders such lists, and between
                domains that share nobody `strangers` makes them.
            why: add the columns of `contributions.COLUMNS`. evidence: False leaves that column empty, and is quicker.
        Raises:
            ConfigError: k is below 1. DataError: a row is no user of this log; names the first.
        """
        check_k(k)
        rows = np.asarray(user_rows, np.int32)
        wrong = rows[(rows < 0) | (rows >= self.past.n_users)]
        if len(wrong):
            raise DataError(
                f"recommend: user rows must be in 0..{self.past.n_users - 1}. Got {int(wrong[0])}; "
                "give an unknown user `popular`, or `recommend_from_items` with what they touched"
            )
        wanted = self._wanted(k, allow_seen, allowed, why, evidence)
        leaves = profiles.leaves
        ranker, maker = self._to_others(source, allowed)

        def make(batch: IntArray) -> pl.DataFrame:
            past = self.past.take(batch)
            known = self.penalties.evidence.take(batch) if self.penalties.active else None
            if source is None:
                one = Batch(batch, past, points_of(leaves, batch), known, in_log=True)
            else:
                one = Batch(batch, past.of_items(source), None, known, in_log=False)
            return self._make(one, wanted, ranker, maker)

        return Recommendations(pl.concat([empty_lists(why), *self._in_batches(make, rows, k)]))

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
        user_rows: IntArray | None = None,
        n_users: int | None = None,
        k: int = 10,
        allow_seen: bool | None = None,
        allowed: BoolArray | None = None,
        why: bool = False,
    ) -> Recommendations:
        """Recommend to people who are not in the log (first events, anonymous sessions), in batches of bounded memory.

        Args:
            item_rows: (n,) what they touched, each one's oldest first. weights: (n,) above zero liked, below zero
                disliked.
            user_rows: (n,) whose touch it was, 0..n_users - 1; default: all of one person, user_row 0. n_users: people,
                also those who touched nothing (default: as many as `user_rows` tells).
            allowed, why: as for `recommend`.
        Returns:
            A list each; layer is -1 (nobody forecast anything for them).
        """
        check_k(k)
        rows = np.asarray(item_rows, np.int32)
        self._check_items(rows)
        owners = np.zeros(len(rows), np.int32) if user_rows is None else np.asarray(user_rows, np.int32)
        if len(rows) != len(weights):
            raise DataError(f"recommend_from_items: one weight an item. Got {len(weights)} for {len(rows)} items")
        if len(rows) != len(owners):
            raise DataError(f"recommend_from_items: one user an item. Got {len(owners)} for {len(rows)} items")
        n_users = int(owners.max(initial=0)) + 1 if n_users is None else n_users
        past = past_of_new(owners, rows, np.asarray(weights, np.float32), n_users=n_users, n_items=self.signals.n_items)
        wanted = self._wanted(k, allow_seen, allowed, why)
        known = evidence_of_new(owners, rows, np.asarray(weights), self.penalties.evidence.crowd, n_users=n_users)

        def make(batch: IntArray) -> pl.DataFrame:
            one = Batch(batch, past.take(batch), None, known.take(batch), in_log=False)
            return self._make(one, wanted, self.newcomer_ranker)

        everybody = np.arange(n_users, dtype=np.int32)
        return Recommendations(pl.concat([empty_lists(why), *self._in_batches(make, everybody, k)]))

    def with_dials(
        self, *, popularity_bias: float = 0.0, coverage: float = 0.0, calibration: float = 0.0
    ) -> Recommender:
        """The same model at stated strengths (`dials`), without a new fit: lists of `max_train_users` users are made.

        Raises:
            ConfigError: a strength below 0, or a calibration above 1.
        """
        stated = {"popularity_bias": popularity_bias, "coverage": coverage, "calibration": calibration}
        config = build_config({"recommend": self.config.model_dump() | stated}).recommend
        out = replace(self, dials=replace(Dials.off(), popularity_bias=popularity_bias), config=config)
        crowd = out.crowd(latest_users(self.past, config.max_train_users)) if coverage else None
        return replace(out, dials=fit_dials([], self.signals.names, crowd, self.signals.n_items, config))

    def crowd(self, user_rows: IntArray) -> Crowd:
        """Candidates of known users with scores before prices: what prices are made of (`exposure.prices`)."""
        unpriced = replace(self.dials, coverage=0.0)
        wanted = self._wanted(K, None, None, why=False)

        def look(batch: IntArray) -> Crowd:
            known = self.penalties.evidence.take(batch) if self.penalties.active else None
            one = Batch(batch, self.past.take(batch), None, known, in_log=True)
            found, ranked = self._maker.rank(one, closed_items(one.past, wanted), K, self.ranker)
            ranked = unpriced.turn(ranked, found, self.signals.log_popularity, known=one.past.n_liked > 0)
            return Crowd(found.item_rows, found.valid, ranked)

        parts = list(self._in_batches(look, user_rows, K))
        return joined(parts) if parts else Crowd.nobody()

    def skip_probability(self, user_rows: IntArray, item_rows: IntArray) -> FloatArray:
        """(n, c) predicted chance that each of n users passes over each of their c items, if shown it.

        Raises:
            DataError: the log held too few dislikes or ignored impressions to learn from.
        """
        return self.penalties.skip_probability(user_rows, item_rows, self.signals.membership)

    def similar_items(self, item_rows: IntArray, k: int = 10, *, allowed: BoolArray | None = None) -> pl.DataFrame:
        """Items most like each given item; also of and among items without events. See `cold.similar_items`.

        Returns:
            item_row i32, similar_row i32, rank i32 (from 1), score f32.
        """
        check_k(k)
        rows = np.asarray(item_rows, np.int32)
        self._check_items(rows)
        return similar_items(rows, self.signals.linear["item_knn"], self.fused, k, allowed=allowed)

    def popular(self, k: int = 10, *, allowed: BoolArray | None = None) -> Recommendations:
        """The items most users liked in the log's last 30 days: for somebody of whom nothing is known (user_row 0)."""
        check_k(k)
        values = self.signals.popular(POPULAR_FOR_ALL)[None, :]
        open_ = values > 0 if allowed is None else (values > 0) & allowed
        top = top_items(np.where(open_, values, -np.inf).astype(np.float32), k)
        top = top[top >= 0]
        return Recommendations(
            table_of(
                self.membership,
                np.zeros(len(top), np.int32),
                top,
                np.arange(1, len(top) + 1, dtype=np.int32),
                values[0, top],
                np.array([POPULAR_FOR_ALL] * len(top), dtype=object),
                None,
                none_each(len(top)),
            )
        )

    def to_parts(self) -> Parts:
        """Everything needed to recommend without the log, names of the inner parts as prefixes."""
        inner = {"past": self.past.to_parts(), **self.signals.to_parts(), "ranker": self.ranker.to_parts()}
        inner["newcomer_ranker"] = self.newcomer_ranker.to_parts()
        others = {"new_item": self.new_item_ranker, "crossing": self.crossing_ranker}
        reports = {"new_item_report": self.new_item_report, "crossing_report": self.crossing_report}
        inner |= {f"{name}_ranker": ranker.to_parts() for name, ranker in others.items() if ranker is not None}
        inner |= {"transitions": self.transitions.to_parts(), "penalties": self.penalties.to_parts()}
        inner |= {"dials": self.dials.to_parts()} | ({"strangers": self.strangers.to_parts()} if self.strangers else {})
        return Parts(
            {"settings": self.config.model_dump(mode="json"), **{name: dict(p.config) for name, p in inner.items()}},
            {
                "fused": self.fused,
                **csr_to_arrays(self.membership, "membership"),
                **({} if self.labels is None else csr_to_arrays(self.labels, "labels")),
                **{f"{n}__{key}": a for n, p in inner.items() for key, a in p.arrays.items()},
            },
            {
                "report": self.report,
                "newcomer_report": self.newcomer_report,
                **{name: table for name, table in reports.items() if table is not None},
            },
        )

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        def inner(name: str) -> Parts:
            start = f"{name}__"
            arrays = {k.removeprefix(start): v for k, v in parts.arrays.items() if k.startswith(start)}
            return Parts(parts.config[name], arrays)

        def maybe(name: str) -> Ranker | None:
            return ranker_from_parts(inner(name)) if name in parts.config else None

        return cls(
            past=Past.from_parts(inner("past")),
            signals=Signals.from_parts(inner("signals"), inner("als")),
            membership=csr_from_arrays(parts.arrays, "membership"),
            ranker=ranker_from_parts(inner("ranker")),
            report=parts.tables["report"],
            newcomer_ranker=ranker_from_parts(inner("newcomer_ranker")),
            newcomer_report=parts.tables["newcomer_report"],
            transitions=Transitions.from_parts(inner("transitions")),
            penalties=Penalties.from_parts(inner("penalties")),
            dials=Dials.from_parts(inner("dials")),
            fused=parts.arrays["fused"],
            config=RecommendConfig.model_validate(parts.config["settings"]),
            labels=csr_from_arrays(parts.arrays, "labels") if "labels_data" in parts.arrays else None,
            new_item_ranker=maybe("new_item_ranker"),
            new_item_report=parts.tables.get("new_item_report"),
            crossing_ranker=maybe("crossing_ranker"),
            crossing_report=parts.tables.get("crossing_report"),
            strangers=Strangers.from_parts(inner("strangers")) if "strangers" in parts.config else None,
        )

    @cached_property
    def _maker(self) -> ListMaker:
        parts = self.signals, self.fused, self.membership, self.transitions, self.penalties, self.dials
        return ListMaker(*parts, self.config, self._new_items if self.config.n_explore else None)

    @cached_property
    def _traits(self) -> FloatArray:
        labels = sp.csr_array((self.signals.n_items, 0), dtype=np.float32) if self.labels is None else self.labels
        return item_traits(self.signals.text, labels)

    @cached_property
    def _views(self) -> dict[tuple[int, ...], Signals]:
        """Views of `strangers`, by the domains of the source."""
        return {}

    @cached_property
    def _new_items(self) -> NewItems | None:
        if self.new_item_ranker is None:
            return None
        signals = new_item_signals(self.signals, self._traits, find_new(self.signals, self._traits))
        return NewItems(signals, self.new_item_ranker, self.config.n_candidates)

    def _to_others(self, source: BoolArray | None, allowed: BoolArray | None) -> tuple[Ranker, ListMaker]:
        """What makes the lists of users of whom only `source` is read."""
        if source is None:
            return self.ranker, self._maker
        if self.strangers is None or not self.strangers.between(source, allowed):
            return self.crossing_ranker or self.ranker, self._maker
        here = self.strangers.named(source)
        if here not in self._views:
            self._views[here] = self.strangers.view(self.signals, self._traits, here)
        view = self._views[here]
        return Bridge("bridge", view.names, view.n_shared), replace(self._maker, signals=view, new_items=None)

    def _make(self, batch: Batch, wanted: Wanted, ranker: Ranker, maker: ListMaker | None = None) -> pl.DataFrame:
        """The lists of a batch: by `ranker`, or where they may hold new items alone, by what orders those."""
        new = self._new_items if wanted.allowed is not None else None
        if new is None or not new.only(wanted.allowed):
            return (maker or self._maker).make(batch, wanted, ranker)
        found = replace(self._maker, signals=new.signals, new_items=None).make(batch, wanted, new.ranker)
        # what is said of its neighbours brought it: nothing is popular of which nobody has heard
        brought = pl.when(pl.col("source").str.starts_with("popular")).then(pl.lit("text")).otherwise("source")
        return found.with_columns(brought.alias("source"))

    def _in_batches(self, make: Callable[[IntArray], R], rows: IntArray, k: int) -> Iterator[R]:
        """What `make` makes of some users at a time, on all cores."""
        dims = self.fused.shape[1] if self.config.diversity > 0 else 0
        step = batch_size(self.signals, max(self.config.n_candidates, k), dims)
        batches = [rows[s : s + step] for s in range(0, len(rows), step)]
        return in_batches(make, batches, min(n_threads(), len(batches)))

    def _wanted(
        self, k: int, allow_seen: bool | None, allowed: BoolArray | None, why: bool, evidence: bool = True
    ) -> Wanted:
        repeat = self.config.repeat
        seen_too = repeat != "never" if allow_seen is None else allow_seen
        return Wanted(k, seen_too, repeat != "predict", allowed, why, evidence)

    def _check_items(self, rows: IntArray) -> None:
        wrong = rows[(rows < 0) | (rows >= self.signals.n_items)]
        if len(wrong):
            raise DataError(f"item rows must be in 0..{self.signals.n_items - 1}. Got {int(wrong[0])}")


def check_k(k: int) -> None:
    """Raises:
    ConfigError: a list would hold nothing.
    """
    if k < 1:
        raise ConfigError(f"k: must be at least 1. Got {k} instead")
