"""The data types that pass between stages: frozen, checked when built.

Words are those of docs/glossary.md. `*_id` is the caller's id (a string), `*_row` our index (int32).
"""

from penchant.data.kinds import (
    DAY_S,
    LAYERS,
    STATES,
    BoolArray,
    Clock,
    FloatArray,
    IntArray,
    Parts,
    TimeArray,
    unit_rows,
)
from penchant.data.log import Events, Finding, Items, Log
from penchant.data.results import PastShares, Profiles, Recommendations, Segments
from penchant.data.sessions import own_sessions
from penchant.data.space import InterestTree, ItemSpace, Vectors

__all__ = [
    "DAY_S",
    "LAYERS",
    "STATES",
    "BoolArray",
    "Clock",
    "Events",
    "Finding",
    "FloatArray",
    "IntArray",
    "InterestTree",
    "ItemSpace",
    "Items",
    "Log",
    "Parts",
    "PastShares",
    "Profiles",
    "Recommendations",
    "Segments",
    "TimeArray",
    "Vectors",
    "own_sessions",
    "unit_rows",
]
