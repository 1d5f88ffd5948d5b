"""The transformer's own weights, tuned on behaviour, and the form in which they travel with a saved model."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from penchant.config import EncodeConfig, RunOptions
from penchant.data import FloatArray, Parts
from penchant.encode.model_folder import DECISIVE_FILES, ModelFolder
from penchant.encode.transformer import TransformerEncoder
from penchant.errors import ModelError, OutputError

if TYPE_CHECKING:
    from penchant.encode.transformer_training import TransformerNetwork

_SETTINGS = ("max_tokens", "batch_size", "backend")
WEIGHTS_FILE = "model.safetensors"


class CarriedTransformer:
    """A transformer that is saved whole with the Penchant model: configuration, tokeniser and weights.

    Its files are written to a temporary folder when the first text comes, and run from there like any other model.

    Args:
        label: name of the model, for people.
        files: path within the model's folder -> content of every file but the weights.
        weights: name -> array.
        settings: max_tokens, batch_size and backend of `EncodeConfig`.
    """

    fitted = True

    def __init__(
        self,
        label: str,
        files: Mapping[str, bytes],
        weights: Mapping[str, np.ndarray[Any, Any]],
        settings: Mapping[str, Any],
        run: RunOptions,
    ) -> None:
        self._label, self._files, self._weights = label, files, weights
        self._settings, self._run = settings, run

    @classmethod
    def of(cls, network: TransformerNetwork, folder: ModelFolder, config: EncodeConfig, run: RunOptions) -> Self:
        """Take a trained network with the files of the model it started from."""
        files = {
            file.relative_to(folder.path).as_posix(): file.read_bytes()
            for pattern in DECISIVE_FILES
            for file in sorted([*folder.path.glob(pattern), *folder.path.glob(f"*/{pattern}")])
            if file.parent != folder.path or not file.name.endswith((".safetensors", ".safetensors.index.json"))
        }
        settings = config.model_dump(include=set(_SETTINGS))
        return cls(f"{folder.label}-tuned", files, network.weights(), settings, run)

    @property
    def name(self) -> str:
        return self._opened.name

    @property
    def reason(self) -> str:
        return self._opened.reason

    def fit(self, texts: list[str]) -> None:
        """Nothing to learn: it was tuned."""

    def encode(self, texts: list[str]) -> FloatArray:
        """Return (n, d) float32 rows of unit length; zeros for blank texts."""
        return self._opened.encode(texts)

    def to_parts(self) -> Parts:
        paths = sorted(self._files)
        table = pl.DataFrame(
            {"path": paths, "content": [self._files[path] for path in paths]},
            schema={"path": pl.String, "content": pl.Binary},
        )
        config = {"kind": "carried", "label": self._label, **self._settings}
        return Parts(config, {f"weights.{name}": w for name, w in self._weights.items()}, {"file": table})

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        """Read the saved form back.

        Raises:
            ModelError: a part is missing, or names a file outside the folder.
        """
        try:
            label, table = str(parts.config["label"]), parts.tables["file"]
            settings = {key: parts.config[key] for key in _SETTINGS}
            files: dict[str, bytes] = dict(zip(table["path"], table["content"], strict=True))
        except (KeyError, pl.exceptions.ColumnNotFoundError) as error:
            raise ModelError(f"tuned transformer: the saved part {error} is missing; fit the model again") from None
        outside = [p for p in (label, *files) if Path(p).is_absolute() or ".." in Path(p).parts or not p]
        if outside:
            raise ModelError(f"tuned transformer: names a file outside its folder ('{outside[0]}'); refused")
        prefix = "weights."
        weights = {n.removeprefix(prefix): w for n, w in parts.arrays.items() if n.startswith(prefix)}
        return cls(label, files, weights, settings, run)

    @cached_property
    def _opened(self) -> TransformerEncoder:
        place = tempfile.mkdtemp(prefix="penchant-")
        weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)  # lives as long as this encoder
        folder = Path(place) / self._label
        write_model(folder, self._files, self._weights)
        config = EncodeConfig.model_validate({"method": "transformer", "model": str(folder), **self._settings})
        encoder = TransformerEncoder(config, self._run)
        encoder.fit([])
        return encoder


def write_model(folder: Path, files: Mapping[str, bytes], weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write a model folder that any Hugging Face library can read.

    Raises:
        OutputError: the disk is full or can't be written.
    """
    from safetensors.numpy import save_file

    try:
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        save_file(
            {name: np.ascontiguousarray(w) for name, w in weights.items()}, folder / WEIGHTS_FILE, {"format": "pt"}
        )
    except OSError as error:
        raise OutputError(f"{folder}: the tuned transformer can't be written ({error.strerror or error})") from None


def make_network(folder: ModelFolder, texts: Sequence[str], n_layers: int | str) -> TransformerNetwork:
    """The trainable form of a model; see `transformer_training`."""
    from penchant.encode.transformer_training import TransformerNetwork

    return TransformerNetwork(folder, list(texts), n_layers)
