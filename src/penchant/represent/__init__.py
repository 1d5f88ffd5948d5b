"""What behaviour adds to items: items liked by the same users lie together, fused with their texts.

To add a method: a class with the methods of `protocols.Representation` in a file here, and a row in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, Items, ItemSpace, Parts, Vectors, unit_rows
from penchant.errors import ConfigError, ModelError, did_you_mean
from penchant.protocols import Representation
from penchant.represent.fuse import fuse

__all__ = ["METHODS", "Method", "make_representation", "represent", "representation_from_parts"]


@dataclass(frozen=True)
class Method:
    """One row of the table. where: "module:Class", loaded when asked for. extra: what must be installed, or ""."""

    where: str
    extra: str
    about: str

    def load(self) -> Any:
        """The class.

        Raises:
            ConfigError: a library it needs is not installed.
        """
        module, name = self.where.split(":")
        try:
            return getattr(import_module(f"penchant.represent.{module}"), name)
        except ImportError as error:
            raise ConfigError(
                f"represent.method: this method needs a library that is not installed ({error.name}); "
                f"pip install 'penchant[{self.extra}]'"
            ) from None


METHODS: Mapping[str, Method] = {
    "mean": Method("mean:Mean", "", "texts as they are; a user is the mean of the liked items"),
    "factors": Method("factors:Factors", "", "matrix factorisation (ALS)"),
}


def make_representation(method: str, config: RepresentConfig, run: RunOptions, *, seed: int) -> Representation:
    """An unfitted representation.

    Raises:
        ConfigError: unknown method, or its library is missing.
    """
    if method not in METHODS:
        raise ConfigError(f"represent.method: unknown method '{method}'; {did_you_mean(method, list(METHODS))}")
    made: Representation = METHODS[method].load()(config, run, seed=seed)
    return made


def representation_from_parts(parts: Parts, run: RunOptions) -> Representation:
    """Read the saved form back.

    Raises:
        ModelError: a part is missing, or of a method this version does not know.
    """
    try:
        restored: Representation = METHODS[parts.config["method"]].load().from_parts(parts, run)
    except KeyError as error:
        raise ModelError(f"representation: the saved part {error} is missing or unknown; fit the model again") from None
    return restored


def represent(
    events: Events, items: Items, text: Vectors | None, config: RepresentConfig, run: RunOptions, *, seed: int
) -> tuple[ItemSpace, Representation]:
    """Lay items out by text, by behaviour, and by both.

    Method "mean" is the baseline that learns nothing from behaviour: with texts it leaves them alone (`behaviour` is
    None), and without any it takes the mean of each item's users; the name of `fused` says which.

    Args:
        events: their positive, latest item events shape the vectors.
        items: their vector columns join the fusion.
        text: (n_items, d) from `penchant.encode`, or None.

    Returns:
        Fused, text and behaviour vectors, in the order of `items`, zeros where there is nothing to say; and what gives
        user vectors in the space of behaviour.
    """
    fitted = make_representation(config.method, config, run, seed=seed)
    fitted.fit(events, items, text)
    has_text = text is not None and bool(text.present.any())
    behaviour = None
    if (config.method != "mean" or not has_text) and fitted.item_vectors.any():
        behaviour = Vectors(unit_rows(fitted.item_vectors), fitted.name)
    return ItemSpace(fused=fuse(text, behaviour, items, config, seed=seed), text=text, behaviour=behaviour), fitted
