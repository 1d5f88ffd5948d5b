"""A model that another one starts from: its encoder reads the texts, its network is where training begins."""

from __future__ import annotations

from penchant.config import Config, RunOptions
from penchant.data import Events, Items, Vectors
from penchant.encode import encode_items, make_encoder, tune_encoder
from penchant.errors import ModelError
from penchant.model import Model, load
from penchant.protocols import Encoder
from penchant.represent import Source


def read_start(config: Config, run: RunOptions) -> Model | None:
    """The model in `represent.start_from`, or None where none is named.

    Raises:
        ModelError: it can't be read, or was fitted without texts: nothing would join the two catalogues.
    """
    folder = config.represent.start_from
    if not folder:
        return None
    source = load(folder, run=run)
    if source.encoder is None or source.space.text is None:
        raise ModelError(f"represent.start_from: {folder} was fitted without item texts; name a model that reads texts")
    return source


def source_of(model: Model | None) -> Source | None:
    """What a representation begins with; None for None."""
    if model is None or model.space.text is None:
        return None
    return Source(model.representation, model.space.text)


def read_texts(
    events: Events, items: Items, config: Config, run: RunOptions, source: Model | None
) -> tuple[Encoder | None, Vectors | None]:
    """Item texts as vectors, and what encoded them: the encoder of `source`, or one that the config asks for.

    Args:
        events: what an encoder is tuned on (`encode.tune`).

    Returns:
        None, None where no item has a text.
    """
    if source is not None:
        encoder = source.encoder
    else:
        encoder = make_encoder(config.encode, run, seed=config.seed)
        encoder = tune_encoder(encoder, events, items, config.encode, run, seed=config.seed)
    text = encode_items(items, encoder, config.encode, run)
    return (encoder, text) if text is not None else (None, None)
