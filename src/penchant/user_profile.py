"""One user's interests as a caller reads them: layered, named, with evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penchant import tables
from penchant.data import LAYERS, STATES

if TYPE_CHECKING:
    from penchant.model import Model


@dataclass(frozen=True)
class InterestPoint:
    """One user's tie to one interest, in words."""

    interest_id: str
    interest: str
    parent: str
    layer: str
    state: str
    probability: float
    affinity: float
    share: float
    aversion: float
    n_events: int
    last_seen: str | None
    medoid_item_id: str | None
    evidence: tuple[tuple[str, str], ...]
    """(item_id, title) of the events that weigh most."""


@dataclass(frozen=True)
class UserProfile:
    """All interest points of one user at the finest level, most probable first."""

    user_id: str
    segment: str | None
    points: tuple[InterestPoint, ...]

    def _of(self, layer: str) -> tuple[InterestPoint, ...]:
        return tuple(p for p in self.points if p.layer == layer)

    @property
    def core(self) -> tuple[InterestPoint, ...]:
        return self._of("core")

    @property
    def secondary(self) -> tuple[InterestPoint, ...]:
        return self._of("secondary")

    @property
    def peripheral(self) -> tuple[InterestPoint, ...]:
        return self._of("peripheral")

    @property
    def aversions(self) -> tuple[InterestPoint, ...]:
        """Interests with more negative than positive evidence, strongest first."""
        return tuple(sorted((p for p in self.points if p.aversion > p.affinity), key=lambda p: -p.aversion))


class LazyPoints:
    """Interest points of one user on demand: profiles of millions of users are never all turned into objects."""

    def __init__(self, model: Model) -> None:
        self._model = model
        points = model.profiles.of_level(model.tree.n_levels)
        self._points = points
        self._bounds = np.searchsorted(points["user_row"].to_numpy(), np.arange(len(model.user_ids) + 1))

    def get(self, row: int) -> tuple[InterestPoint, ...]:
        """The points of the user in this row, at the finest level."""
        start, end = int(self._bounds[row]), int(self._bounds[row + 1])
        model, nodes = self._model, self._model.tree.nodes
        ids, titles = model.items.item_ids, model.items.titles
        names, parents = nodes["name"], nodes["parent_row"]
        out = []
        for p in self._points.slice(start, end - start).iter_rows(named=True):
            node, parent, medoid = p["interest_row"], parents[p["interest_row"]], p["medoid_item_row"]
            out.append(
                InterestPoint(
                    interest_id=nodes["interest_id"][node],
                    interest=names[node],
                    parent=names[parent] if parent >= 0 else "",
                    layer=LAYERS[p["layer"]],
                    state=STATES[p["state"]],
                    probability=p["probability"],
                    affinity=p["affinity"],
                    share=p["share"],
                    aversion=p["aversion"],
                    n_events=p["n_events"],
                    last_seen=tables.as_date(p["last_time"]) if model.clock == "time" else None,
                    medoid_item_id=ids[medoid] if medoid >= 0 else None,
                    evidence=tuple((ids[i], titles[i]) for i in p["evidence"]),
                )
            )
        return tuple(out)
