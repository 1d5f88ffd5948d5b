"""What behaviour adds to items: items consumed together lie together, fused with their texts.

To add a method: a function in a file here, a row in `_METHODS`, and its name in `RepresentConfig.method`.
"""

from __future__ import annotations

from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, Items, ItemSpace, Vectors
from penchant.represent.factors import behaviour_factors
from penchant.represent.fuse import fuse

__all__ = ["represent"]


def represent(
    events: Events, items: Items, text: Vectors | None, config: RepresentConfig, run: RunOptions, *, seed: int
) -> ItemSpace:
    """Lay items out by text, by behaviour, and by both."""
    behaviour = None
    if config.method == "factors" or text is None:
        behaviour = behaviour_factors(events, len(items), config, seed=seed)
    return ItemSpace(fused=fuse(text, behaviour, items, config), text=text, behaviour=behaviour)
