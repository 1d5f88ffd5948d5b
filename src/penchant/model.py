"""A fitted model: profiles, segments, recommendations; saved as a folder without pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant import kinds, tables
from penchant.artefacts import load_folder, save_folder
from penchant.config import Config, RunOptions, build_config
from penchant.data import (
    Clock,
    Finding,
    IntArray,
    InterestTree,
    Items,
    ItemSpace,
    Parts,
    Profiles,
    Segments,
    Vectors,
)
from penchant.encode import encoder_from_parts
from penchant.errors import ConfigError, ModelError, NotFoundError, did_you_mean
from penchant.filters import ItemFilter
from penchant.interests.forecast import Forecast
from penchant.interests.tree import assign_by_text, tree_from_parts, tree_to_parts
from penchant.protocols import Encoder, Representation
from penchant.recommend import Recommender, check_k
from penchant.represent import representation_from_parts
from penchant.segments import segments_from_parts, segments_to_parts
from penchant.tables import ListOptions
from penchant.user_profile import LazyPoints, UserProfile

_NEEDED = "items users space representation tree forecast profiles segments recommender facts".split()


@dataclass(frozen=True)
class Model:
    """What `penchant.fit` returns. Nothing in it changes after it is built."""

    config: Config
    user_ids: pl.Series
    clock: Clock
    items: Items
    encoder: Encoder | None
    space: ItemSpace
    representation: Representation
    tree: InterestTree
    forecast: Forecast
    profiles: Profiles
    segments: Segments
    recommender: Recommender
    attributes: pl.DataFrame | None
    findings: tuple[Finding, ...]
    facts: Mapping[str, Any]

    # --- one user ---

    def profile(self, user_id: str) -> UserProfile:
        """Return the layered, named interests of one user.

        Raises:
            NotFoundError: the user is not in the log this model was fitted on.
        """
        row = self._user_row(str(user_id))
        points = self._points_by_user.get(row)
        segment = int(self.segments.segment_row[row])
        name = self.segments.table["name"][segment] if segment >= 0 else None
        return UserProfile(str(user_id), name, points or ())

    def recommend(
        self,
        user_ids: Sequence[str] | None = None,
        k: int = 10,
        *,
        language: Literal["en", "zh"] = "en",
        only: Sequence[str] | None = None,
        without: Sequence[str] = (),
        where: Sequence[str] = (),
        why: bool = False,
        source_domain: str | None = None,
        target_domain: str | None = None,
    ) -> pl.DataFrame:
        """Recommend k unseen items to each user (default: every user of the log).

        Args:
            only, without: item ids that may be listed, or may not. where: conditions on columns of the catalogue that
                all must hold, e.g. `["price<20", "categories=Drama|Comedy"]` (`penchant.filters.ItemFilter`). Lists
                are filled from what is left.
            why: add what speaks for each item: columns `why_interests`, `why_together`, `why_factors`, `why_texts`,
                `why_popularity`, `why_item`, `why_user`, shares of the score whose absolute values sum to 1; below
                zero speaks against it. Null where no signal brought the item.
            source_domain: read the past in this domain of the catalogue alone; layers, which come of the whole past,
                are null then. target_domain: list this domain alone.
        Returns:
            user_id, item_id, rank (from 1), score, interest_id, layer, reason; users in the order asked. A user who
            is unknown, or likes nothing in the source domain, gets recently popular items, and the reason says so.
        """
        options: ListOptions = {"language": language, "only": only, "without": without, "where": where, "why": why}
        return pl.concat(
            self.recommend_in_parts(user_ids, k, source_domain=source_domain, target_domain=target_domain, **options)
        )

    def recommend_in_parts(
        self,
        user_ids: Sequence[str] | None = None,
        k: int = 10,
        *,
        source_domain: str | None = None,
        target_domain: str | None = None,
        **options: Unpack[ListOptions],
    ) -> Iterator[pl.DataFrame]:
        """`recommend` in tables of about 100,000 rows, made one by one: however many users, memory holds one of them.

        `penchant.io.write_parts` writes them to one file. No user is in two parts.
        """
        check_k(k)
        asked = _ids(user_ids) if user_ids is not None else self.user_ids.to_list()
        allowed = _filter(options, target_domain).allowed(self.items)
        language, why = options.get("language", "en"), options.get("why", False)
        return tables.recommendations_in_parts(self, asked, k, language, allowed, why, source_domain)

    def recommend_from(self, item_ids: Sequence[str], k: int = 10, **options: Unpack[ListOptions]) -> pl.DataFrame:
        """Recommend to somebody who is not in the log, from the items they touched (oldest first).

        An item this model has never seen raises NotFoundError; use `place_items` for items with only a text. Options
        as for `recommend`.
        """
        return self.recommend_sessions({"(new user)": item_ids}, k, **options)

    def recommend_sessions(
        self, sessions: Mapping[str, Sequence[str]], k: int = 10, **options: Unpack[ListOptions]
    ) -> pl.DataFrame:
        """`recommend_from` for many at once: id of a session -> the items touched in it, oldest first.

        Returns:
            As `recommend`, user_id being the session's id, in the order given.
        """
        rows = self.item_rows([i for items in sessions.values() for i in _ids(items)])
        owners = np.repeat(np.arange(len(sessions)), [len(items) for items in sessions.values()]).astype(np.int32)
        found = self.recommender.recommend_from_items(
            rows,
            np.ones(len(rows), np.float32),
            user_rows=owners,
            n_users=len(sessions),
            k=k,
            allowed=_filter(options).allowed(self.items),
            why=options.get("why", False),
        )
        ids = pl.Series("user_id", list(sessions), dtype=pl.String)
        return tables.recommendation_rows(self, found, ids, options.get("language", "en"))

    def place_items(self, texts: Sequence[str]) -> pl.DataFrame:
        """Place new items in the tree by their text alone.

        Returns:
            text_row, interest_id, interest, membership (rows of one text sum to 1).
        """
        return tables.placement_table(self, self.text_membership(texts))

    def text_membership(self, texts: Sequence[str]) -> sp.csr_array:
        """(n_texts, n_leaves) as `place_items`; an empty row for a text that is far from all."""
        if self.encoder is None or self.tree.text_centroids is None:
            raise ModelError("this model was fitted without item texts, so an item can't be placed by its text")
        vectors = Vectors(self.encoder.encode([str(t) for t in texts]), self.encoder.name)
        return assign_by_text(self.tree, vectors, self.config.interests)

    # --- other kinds; `k` is at least 1, filters are those of `recommend` ---

    def similar_items(
        self,
        item_ids: Sequence[str],
        k: int = 10,
        *,
        only: Sequence[str] | None = None,
        without: Sequence[str] = (),
        where: Sequence[str] = (),
    ) -> pl.DataFrame:
        """Items like each given one: item_id, similar_id, title, rank, score (`penchant.kinds.similar`)."""
        check_k(k)
        return kinds.similar_items(self, _ids(item_ids), k, ItemFilter(only, without, where).allowed(self.items))

    def recommend_for_segment(
        self,
        segment: str,
        k: int = 10,
        *,
        only: Sequence[str] | None = None,
        without: Sequence[str] = (),
        where: Sequence[str] = (),
    ) -> pl.DataFrame:
        """One list for a segment (id or name), by its members' own lists (`penchant.kinds.for_segment`).

        Returns:
            item_id, title, rank, score, member_share, interest_id, interest.
        """
        check_k(k)
        return kinds.segment_list(self, segment, k, ItemFilter(only, without, where).allowed(self.items))

    def path(
        self,
        user_id: str,
        k: int = 10,
        *,
        language: Literal["en", "zh"] = "en",
        only: Sequence[str] | None = None,
        without: Sequence[str] = (),
        where: Sequence[str] = (),
    ) -> pl.DataFrame:
        """At most k items in an order in which they can be taken (`penchant.kinds.path`).

        Returns:
            user_id, item_id, title, rank, level, needed_for, score, interest_id, layer, reason.
        """
        check_k(k)
        allowed = ItemFilter(only, without, where).allowed(self.items)
        return kinds.learning_path(self, str(user_id), k, language, allowed)

    def similar_users(self, user_ids: Sequence[str], k: int = 10) -> pl.DataFrame:
        """Users like each given one: user_id, similar_id, rank, score, shared_interests (`penchant.kinds.like_users`).

        Raises:
            NotFoundError: a user is not in the log this model was fitted on.
        """
        check_k(k)
        rows = np.array([self._user_row(u) for u in dict.fromkeys(_ids(user_ids))], np.int32)
        return kinds.similar_users(self, rows, k)

    def communities(
        self, level: int | None = None, *, layer: Literal["core", "secondary"] = "secondary", k: int | None = None
    ) -> pl.DataFrame:
        """The users of each interest whose layer is at least `layer`, the k likeliest or all.

        Returns:
            interest_id, interest, user_id, layer, probability, rank; leaves by default, `level=1` for the top.
        """
        check_k(1 if k is None else k)
        return kinds.communities(self, level, layer, k)

    def audience_for(
        self, item_ids: Sequence[str] = (), *, text: str | None = None, k: int | None = None
    ) -> kinds.Reach:
        """Who should hear of some items, or of a text that is no item yet: tables of users and of segments.

        Args:
            k: users listed; None = a tenth of all.
        """
        check_k(1 if k is None else k)
        return kinds.audience_for(self, _ids(item_ids), text, k)

    # --- tables ---

    def profiles_table(self, level: int | None = None) -> pl.DataFrame:
        """One row an interest point; leaves by default, `level=1` for the top of the tree."""
        return tables.profiles_table(self, level)

    def interests_table(self) -> pl.DataFrame:
        """One row an interest of any level."""
        return tables.interests_table(self)

    def items_table(self) -> pl.DataFrame:
        """Membership of items in leaves: item_id, interest_id, membership."""
        return tables.items_table(self)

    def segments_table(self) -> pl.DataFrame:
        """One row a segment, what sets it apart and who stands for it."""
        return tables.segments_table(self)

    def audience(self, segment: str) -> pl.DataFrame:
        """Users of a segment (by id or name), with their attributes where given."""
        return tables.audience_table(self, segment)

    # --- look-ups ---

    @cached_property
    def _row_of_user(self) -> dict[str, int]:
        return {user: row for row, user in enumerate(self.user_ids.to_list())}

    @cached_property
    def _row_of_item(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.items.item_ids.to_list())}

    def user_rows(self, user_ids: Sequence[str]) -> IntArray:
        """Rows of users; -1 for an unknown one."""
        return np.array([self._row_of_user.get(u, -1) for u in user_ids], np.int32)

    def item_rows(self, item_ids: Sequence[str]) -> IntArray:
        """Rows of items.

        Raises:
            NotFoundError: an item is unknown; names the first and the nearest known id.
        """
        unknown = [i for i in item_ids if i not in self._row_of_item]
        if unknown:
            hint = did_you_mean(unknown[0], self.items.item_ids.head(20_000).to_list())
            raise NotFoundError(f"item '{unknown[0]}' is not in this model; {hint}")
        return np.array([self._row_of_item[i] for i in item_ids], np.int32)

    def _user_row(self, user_id: str) -> int:
        row = self._row_of_user.get(user_id)
        if row is None:
            sample = self.user_ids.head(20_000).to_list()
            raise NotFoundError(
                f"user '{user_id}' is not among the {len(self.user_ids):,} users of this model; "
                f"{did_you_mean(user_id, sample)}"
            )
        return row

    @cached_property
    def _points_by_user(self) -> LazyPoints:
        return LazyPoints(self)

    # --- saved form ---

    def save(self, path: str | Path) -> None:
        """Write the model to a folder, all or nothing; the same model gives the same bytes."""
        parts: dict[str, Parts] = {
            "items": Parts(
                arrays={f"vector_{n}": v for n, v in self.items.vectors.items()}, tables={"items": self.items.table}
            ),
            "users": Parts(
                tables={
                    "users": self.user_ids.rename("user_id").to_frame(),
                    **({} if self.attributes is None else {"attributes": self.attributes}),
                }
            ),
            "space": self.space.to_parts(),
            "representation": self.representation.to_parts(),
            "tree": tree_to_parts(self.tree),
            "forecast": self.forecast.to_parts(),
            "profiles": Parts({"at": self.profiles.at}, tables={"points": self.profiles.points}),
            "segments": segments_to_parts(self.segments),
            "recommender": self.recommender.to_parts(),
            "facts": Parts({"facts": dict(self.facts), "findings": [vars(f) for f in self.findings]}),
        }
        if self.encoder is not None:
            parts["encoder"] = self.encoder.to_parts()
        about = {
            "made_by": "penchant",
            "clock": self.clock,
            "tree_version": self.tree.version,
            "data_fingerprint": self.facts.get("data_fingerprint"),
            "config": self.config.model_dump(mode="json"),
        }
        save_folder(path, parts, about)


def load(path: str | Path, *, run: RunOptions | None = None) -> Model:
    """Read a model folder back.

    Raises:
        ModelError: missing, foreign, corrupt or of a newer format; the message gives the next step.
    """
    folder = load_folder(path)
    parts = folder.parts
    missing = [name for name in _NEEDED if name not in parts]
    if missing or folder.about.get("made_by") != "penchant":
        raise ModelError(f"{path}: is not a whole Penchant model (missing: {', '.join(missing) or 'made_by'})")
    config = build_config(dict(folder.about["config"]))
    facts = parts["facts"].config
    users = parts["users"].tables
    vectors = {n.removeprefix("vector_"): v for n, v in parts["items"].arrays.items()}
    return Model(
        config=config,
        user_ids=users["users"]["user_id"],
        clock=folder.about["clock"],
        items=Items(parts["items"].tables["items"], vectors),
        encoder=encoder_from_parts(parts["encoder"], run or RunOptions()) if "encoder" in parts else None,
        space=ItemSpace.from_parts(parts["space"]),
        representation=representation_from_parts(parts["representation"], run or RunOptions()),
        tree=tree_from_parts(parts["tree"]),
        forecast=Forecast.from_parts(parts["forecast"]),
        profiles=Profiles(parts["profiles"].tables["points"], float(parts["profiles"].config["at"])),
        segments=segments_from_parts(parts["segments"]),
        recommender=Recommender.from_parts(parts["recommender"]),
        attributes=users.get("attributes"),
        findings=tuple(Finding(**{**f, "rows": tuple(f["rows"])}) for f in facts["findings"]),
        facts=facts["facts"],
    )


def _ids(ids: Sequence[str]) -> list[str]:
    if isinstance(ids, str):
        raise ConfigError(f"ids must be a list. Got the one text '{ids}'; write ['{ids}']")
    return [str(i) for i in ids]


def _filter(options: ListOptions, domain: str | None = None) -> ItemFilter:
    return ItemFilter(options.get("only"), options.get("without", ()), options.get("where", ()), domain)
