"""What behaviour adds to items: items liked by the same users lie together, fused with their texts.

To add a method: a class with the methods of `protocols.Representation` in a file here, and a row in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, FloatArray, Items, ItemSpace, Parts, Vectors, unit_rows
from penchant.errors import ConfigError, MissingExtraError, ModelError, did_you_mean
from penchant.protocols import Representation
from penchant.represent.fuse import fuse, item_parts, parts_of
from penchant.represent.fuse_weights import learn_weights

__all__ = [
    "METHODS",
    "Method",
    "Source",
    "check_method",
    "check_start",
    "make_representation",
    "represent",
    "representation_from_parts",
]


@dataclass(frozen=True)
class Source:
    """What another model gives to start from: what it learned of behaviour, and the texts of its items."""

    representation: Representation
    text: Vectors


@dataclass(frozen=True)
class Method:
    """One row of the table.

    where: "module:Class", loaded when asked for. extra: what must be installed to fit it, or "", and `needs`, the
    library of it. starts: it can begin with what a
    model of another log has learned (`start_from(representation)`).
    """

    where: str
    extra: str
    about: str
    starts: bool = False

    @property
    def needs(self) -> str:
        return LIBRARIES.get(self.extra, "")

    def missing(self) -> str:
        """What must be installed first, in words; "" where the method can be fitted."""
        try:
            self.check()
        except MissingExtraError as error:
            return str(error)
        return ""

    def check(self) -> None:
        """Refuse to go on where the method can't be fitted.

        Raises:
            MissingExtraError: a library it needs is not installed.
        """
        try:
            found = not self.needs or find_spec(self.needs) is not None
        except ValueError:  # a module that was taken out of sys.modules by hand
            found = False
        if not found:
            raise MissingExtraError(self._lacks(self.needs), self.extra)

    def load(self) -> Any:
        """The class.

        Raises:
            MissingExtraError: a library it can't even be read without is not installed.
        """
        module, name = self.where.split(":")
        try:
            return getattr(import_module(f"penchant.represent.{module}"), name)
        except ImportError as error:
            if not self.extra or (error.name or "").startswith("penchant"):
                raise  # a fault of ours, not a missing library
            raise MissingExtraError(self._lacks(error.name or self.extra), self.extra) from None

    def _lacks(self, library: str) -> str:
        name = next(name for name, row in METHODS.items() if row.where == self.where)
        return f"represent.method={name} ({library} is missing)"


# What each extra brings that a method needs.
LIBRARIES: Mapping[str, str] = {"words": "gensim", "neural": "torch"}


METHODS: Mapping[str, Method] = {
    "mean": Method("mean:Mean", "", "texts as they are; a user is the mean of the liked items"),
    "factors": Method("factors:Factors", "", "matrix factorisation (ALS)"),
    "word2vec": Method("word2vec:ItemToVec", "words", "item2vec: items as words, users as sentences"),
    "autoencoder": Method("autoencoder:DenoisingAutoencoder", "neural", "a user's bag of items, squeezed"),
    "variational": Method("autoencoder:VariationalAutoencoder", "neural", "a user's bag of items, as a distribution"),
    "gru": Method("sequence:Gru", "neural", "recurrent network (GRU) over a user's events in order", True),
    "lstm": Method("sequence:Lstm", "neural", "recurrent network (LSTM) over a user's events in order", True),
    "convolution": Method("sequence:Convolution", "neural", "causal convolutions over a user's events in order", True),
    "transformer": Method("sequence:Transformer", "neural", "self-attention over a user's events in order", True),
    "lightgcn": Method("graph:LightGcn", "neural", "user-item graph, sums of neighbours"),
    "gcn": Method("graph:Gcn", "neural", "user-item graph, convolutions"),
    "gat": Method("graph:Gat", "neural", "user-item graph, attention over neighbours"),
}


def check_start(method: str) -> None:
    """Refuse a method that can't start from another model.

    Raises:
        ConfigError: names those that can.
    """
    if not METHODS[method].starts:
        allowed = ", ".join(name for name, method in METHODS.items() if method.starts)
        raise ConfigError(f"represent.start_from: method '{method}' starts from nothing; allowed: {allowed}")


def check_method(name: str) -> None:
    """Refuse a method that does not exist or can't run here, before any work is done.

    Raises:
        ConfigError: unknown method; names the nearest.
        MissingExtraError: its library is not installed.
    """
    if name not in METHODS:
        raise ConfigError(f"represent.method: unknown method '{name}'; {did_you_mean(name, list(METHODS))}")
    METHODS[name].check()


def make_representation(
    method: str, config: RepresentConfig, run: RunOptions, *, seed: int, source: Source | None = None
) -> Representation:
    """An unfitted representation.

    Args:
        source: of the model in `config.start_from`, to begin with.

    Raises:
        ConfigError: unknown method, or one that can't begin with `source`.
        MissingExtraError: its library is not installed.
    """
    check_method(method)
    made = METHODS[method].load()(config, run, seed=seed)
    if source is not None:
        check_start(method)
        made.start_from(source.representation, source.text.values)
    return cast("Representation", made)


class ClosedRepresentation:
    """A saved representation whose library is not installed here: it has its vectors of items, and reads no users."""

    def __init__(self, parts: Parts, reason: MissingExtraError) -> None:
        self._parts, self._reason = parts, reason
        self.name: str = parts.config["name"]
        self.item_vectors: FloatArray = parts.arrays["item_vectors"]
        self.facts: Mapping[str, Any] = parts.config.get("facts", {})

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None:
        raise self._reason

    def user_vectors(self, events: Events) -> FloatArray:
        raise self._reason

    def to_parts(self) -> Parts:
        return self._parts


def representation_from_parts(parts: Parts, run: RunOptions) -> Representation:
    """Read the saved form back; where its library is missing, only `user_vectors` asks for it.

    Raises:
        ModelError: a part is missing, or of a method this version does not know.
    """
    try:
        restored: Representation
        try:
            restored = METHODS[parts.config["method"]].load().from_parts(parts, run)
        except MissingExtraError as error:
            restored = ClosedRepresentation(parts, error)
    except KeyError as error:
        raise ModelError(f"representation: the saved part {error} is missing or unknown; fit the model again") from None
    return restored


def represent(
    events: Events,
    items: Items,
    text: Vectors | None,
    config: RepresentConfig,
    run: RunOptions,
    *,
    seed: int,
    source: Source | None = None,
) -> tuple[ItemSpace, Representation]:
    """Lay items out by text, by behaviour, and by both.

    Method "mean" is the baseline that learns nothing from behaviour: with texts it leaves them alone (`behaviour` is
    None), and without any it takes the mean of each item's users; the name of `fused` says which.

    Args:
        events: their positive, latest item events shape the vectors.
        items: their vector columns and `config.attributes` join the fusion.
        text: (n_items, d) from `penchant.encode`, or None.
        source: of the model in `config.start_from`.

    Returns:
        Fused, text and behaviour vectors, in the order of `items`, zeros where there is nothing to say; and what gives
        user vectors in the space of behaviour.

    Raises:
        ConfigError: `config.weights` or `config.attributes` names a part that the items don't have.
        DataError: a column of `config.attributes` can't be compared.
    """
    item_parts(items, config)  # its errors come before minutes of training

    def fit(log: Events) -> tuple[Vectors | None, Representation]:
        fitted = make_representation(config.method, config, run, seed=seed, source=source)
        fitted.fit(log, items, text)
        has_text = text is not None and bool(text.present.any())
        if (config.method == "mean" and has_text) or not fitted.item_vectors.any():
            return None, fitted
        return Vectors(unit_rows(fitted.item_vectors), fitted.name), fitted

    behaviour, fitted = fit(events)
    learned = None
    if config.fuse_weights == "learned":
        learned = learn_weights(events, lambda log: parts_of(text, fit(log)[0], items, config), len(items), seed=seed)
    fused = fuse(text, behaviour, items, config, seed=seed, learned=learned)
    return ItemSpace(fused=fused, text=text, behaviour=behaviour), fitted
