"""What behaviour adds to items: items liked by the same users lie together, fused with their texts.

To add a method: a function like `factor_vectors` in a file here, a row in `_METHODS`, and its name in
`RepresentConfig.method`.
"""

from __future__ import annotations

from collections.abc import Callable

from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, Items, ItemSpace, Vectors
from penchant.represent.factors import factor_vectors
from penchant.represent.fuse import fuse
from penchant.represent.mean import mean_vectors

__all__ = ["represent"]

_METHODS: dict[str, Callable[..., Vectors | None]] = {"factors": factor_vectors, "mean": mean_vectors}


def represent(
    events: Events, items: Items, text: Vectors | None, config: RepresentConfig, run: RunOptions, *, seed: int
) -> ItemSpace:
    """Lay items out by text, by behaviour, and by both.

    Method "mean" is the baseline that learns nothing from behaviour: with texts it leaves them alone
    (`behaviour` is None), and without any it takes the mean of each item's users; the name of `fused` says which.

    Args:
        events: their positive, latest item events shape the vectors.
        items: their vector columns join the fusion.
        text: (n_items, d) from `penchant.encode`, or None.

    Returns:
        Fused, text and behaviour vectors, in the order of `items`; zeros where there is nothing to say.
    """
    has_text = text is not None and bool(text.present.any())
    behaviour = None
    if config.method != "mean" or not has_text:
        behaviour = _METHODS[config.method](events, len(items), config, seed=seed)
    return ItemSpace(fused=fuse(text, behaviour, items, config, seed=seed), text=text, behaviour=behaviour)
