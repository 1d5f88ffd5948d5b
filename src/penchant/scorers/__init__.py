"""Signals: one class each, from a log to scores of all items for some users. Peers and candidate sources alike.

`SCORERS` maps a name to its class. Each class takes its settings as keyword arguments, offers `GRID` (the few
settings a peer is picked from inside train), `notes` (what the last fit left out, in words) and a saved form.
`score` reads the user's past from the matrix it is given, never from the fit, so it also serves users who came later.
Equal settings, seed and log give equal bytes, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from penchant.data import Items, Parts
from penchant.errors import ConfigError, ModelError, did_you_mean
from penchant.protocols import Scorer
from penchant.scorers.als import Als
from penchant.scorers.ease import Ease
from penchant.scorers.item_knn import ItemKnn
from penchant.scorers.plain import Plain
from penchant.scorers.popular import Popular, Popular7Days, Popular30Days
from penchant.scorers.top import top_items, top_lists, top_neighbours

__all__ = ["SCORERS", "SavedScorer", "build_scorer", "load_scorer", "top_items", "top_lists", "top_neighbours"]


class SavedScorer(Scorer, Protocol):
    """A scorer of the table: with its grid, its notes and its saved form."""

    GRID: ClassVar[Sequence[Mapping[str, Any]]]
    notes: tuple[str, ...]

    def to_parts(self) -> Parts: ...


SCORERS: dict[str, type[Any]] = {c.name: c for c in (Popular, Popular7Days, Popular30Days, ItemKnn, Als, Ease, Plain)}


def build_scorer(
    name: str, settings: Mapping[str, Any] | None = None, *, items: Items | None = None, seed: int = 0
) -> SavedScorer:
    """Build one scorer by name; `items` gives texts to those that read them, `seed` goes to those that draw.

    Raises:
        ConfigError: no scorer has this name.

    >>> build_scorer("popular_7d").name
    'popular_7d'
    """
    kind = _class_of(name)
    keywords = dict(settings or {})
    if kind.draws:
        keywords["seed"] = seed
    if kind.reads_texts:
        texts = items.texts() if items is not None else None
        keywords["texts"] = texts if texts is not None and any(texts) else None
    scorer: SavedScorer = kind(**keywords)
    return scorer


def load_scorer(parts: Parts) -> SavedScorer:
    """Rebuild a scorer from what its `to_parts` gave."""
    name = str(parts.config.get("name", ""))
    if name not in SCORERS:
        raise ModelError(f"scorer: unknown kind {name!r} in the saved model; {did_you_mean(name, list(SCORERS))}")
    scorer: SavedScorer = SCORERS[name].from_parts(parts)
    return scorer


def _class_of(name: str) -> type[Any]:
    if name not in SCORERS:
        raise ConfigError(f"scorer: no such name. Got {name!r}; {did_you_mean(name, list(SCORERS))}")
    return SCORERS[name]
