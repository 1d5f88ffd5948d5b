"""The transformer's own weights, tuned on behaviour, and the form in which they travel with a saved model."""

from __future__ import annotations

import json
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
from penchant.encode.model_folder import DECISIVE_FILES, ModelFolder, open_model
from penchant.encode.onnx_graph import Graph, make_graphs
from penchant.encode.onnx_runtime import OnnxRuntime, onnx_is_installed
from penchant.encode.torch_runtime import pick_device, torch_is_installed
from penchant.encode.transformer import TransformerEncoder
from penchant.errors import MissingExtraError, ModelError, OutputError

if TYPE_CHECKING:
    from penchant.encode.transformer_training import TransformerNetwork

_SETTINGS = ("max_tokens", "batch_size", "backend", "precision")
WEIGHTS_FILE = "model.safetensors"


class CarriedTransformer:
    """A transformer that is saved whole with the Penchant model: configuration, tokeniser, weights, and ONNX graph.

    Its files are written to a temporary folder when the first text comes, and run from there like any other model. With
    the graph it needs no torch on a CPU; the weights then serve the graph, and torch on a GPU. In int8 the graph
    holds all, and there are no weights beside it.

    Args:
        label: name of the model, for people.
        files: path within the model's folder -> content of every file but the weights.
        weights: name -> array.
        settings: max_tokens, batch_size, backend and precision of `EncodeConfig`.
        graph: None where none could be made, or where `backend` asks for torch.
        facts: loss (of int8, see `TransformerEncoder`) and no_graph (why there is none).
    """

    fitted = True

    def __init__(
        self,
        label: str,
        files: Mapping[str, bytes],
        weights: Mapping[str, np.ndarray[Any, Any]],
        settings: Mapping[str, Any],
        run: RunOptions,
        graph: Graph | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self._label, self._files, self._weights = label, files, weights
        self._settings, self._run = settings, run
        self._graph, self.facts = graph, facts or {}

    @classmethod
    def of(
        cls, network: TransformerNetwork, folder: ModelFolder, config: EncodeConfig, run: RunOptions, texts: list[str]
    ) -> Self:
        """Take a trained network with the files of the model it started from.

        Args:
            texts: on some of them the loss of int8 is measured.

        Raises:
            MissingExtraError, ModelError: int8 was asked for, and no graph can be made.
        """
        files = {
            file.relative_to(folder.path).as_posix(): file.read_bytes()
            for pattern in DECISIVE_FILES
            for file in sorted([*folder.path.glob(pattern), *folder.path.glob(f"*/{pattern}")])
            if file.parent != folder.path or not file.name.endswith((".safetensors", ".safetensors.index.json"))
        }
        settings = config.model_dump(include=set(_SETTINGS))
        whole = cls(f"{folder.label}-tuned", files, network.weights(), settings, run)
        if config.backend == "torch":
            return whole
        if config.precision == "int8":
            graphs = whole._export("int8")
            small = cls(whole._label, files, {}, settings, run, graphs["int8"])
            loss = small._opened.loss_to(graphs["fp32"].open(whole._weights), texts)
            return cls(whole._label, files, {}, settings, run, graphs["int8"], {"loss": dict(loss)})
        try:
            return cls(whole._label, files, whole._weights, settings, run, whole._export("fp32")["fp32"])
        except (MissingExtraError, ModelError) as error:
            whole.facts = {"no_graph": str(error)}
            return whole

    @property
    def name(self) -> str:
        lacking = self.facts.get("no_graph")
        return self._opened.name + (f"; needs torch: it carries no ONNX graph ({lacking})" if lacking else "")

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
        config = {"kind": "carried", "label": self._label, **self._settings, "facts": dict(self.facts)}
        arrays = {f"weights.{name}": w for name, w in self._weights.items()}
        if self._graph is not None:
            graph = self._graph.to_parts()
            config, arrays = {**config, "graph": dict(graph.config)}, {**arrays, **graph.arrays}
        return Parts(config, arrays, {"file": table})

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        """Read the saved form back.

        Raises:
            ModelError: a part is missing, or names a file outside the folder.
        """
        try:
            label, table = str(parts.config["label"]), parts.tables["file"]
            settings = {"precision": "fp32"} | {key: parts.config[key] for key in _SETTINGS if key in parts.config}
            files: dict[str, bytes] = dict(zip(table["path"], table["content"], strict=True))
        except (KeyError, pl.exceptions.ColumnNotFoundError) as error:
            raise ModelError(f"tuned transformer: the saved part {error} is missing; fit the model again") from None
        outside = [p for p in (label, *files) if Path(p).is_absolute() or ".." in Path(p).parts or not p]
        if outside:
            raise ModelError(f"tuned transformer: names a file outside its folder ('{outside[0]}'); refused")
        prefix = "weights."
        weights = {n.removeprefix(prefix): w for n, w in parts.arrays.items() if n.startswith(prefix)}
        graph = Graph.from_parts(Parts(parts.config["graph"], parts.arrays)) if "graph" in parts.config else None
        return cls(label, files, weights, settings, run, graph, parts.config.get("facts"))

    @cached_property
    def _opened(self) -> TransformerEncoder:
        folder = self._written
        config = EncodeConfig.model_validate({"method": "transformer", "model": str(folder), **self._settings})
        ready: OnnxRuntime | None = None
        # the weights are there for a GPU, and for machines with torch alone
        by_torch = pick_device(self._run.device) == "cuda" or (torch_is_installed() and not onnx_is_installed())
        if self._graph is not None and not (self._weights and by_torch):
            ready = self._graph.open(self._weights)
        encoder = TransformerEncoder(config, self._run, ready=ready, loss=self.facts.get("loss"))
        encoder.fit([])
        return encoder

    @cached_property
    def _written(self) -> Path:
        place = tempfile.mkdtemp(prefix="penchant-")
        weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)  # lives as long as this encoder
        folder = Path(place) / self._label
        write_model(folder, self._files, self._weights)
        if not self._weights and self._graph is not None:  # what tells one model's vectors from another's in a cache
            (folder / "graph.json").write_text(json.dumps(self._graph.checksum), encoding="ascii")
        return folder

    def _export(self, precision: str) -> dict[str, Graph]:
        folder = open_model(str(self._written), self._settings["max_tokens"])
        return make_graphs(folder, self._weights, precision)


def write_model(folder: Path, files: Mapping[str, bytes], weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write a model folder that any Hugging Face library can read.

    Args:
        weights: none = no file of weights.

    Raises:
        OutputError: the disk is full or can't be written.
    """
    from safetensors.numpy import save_file

    try:
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        if weights:
            whole = {name: np.ascontiguousarray(w) for name, w in weights.items()}
            save_file(whole, folder / WEIGHTS_FILE, {"format": "pt"})
    except OSError as error:
        raise OutputError(f"{folder}: the tuned transformer can't be written ({error.strerror or error})") from None


def make_network(folder: ModelFolder, texts: Sequence[str], n_layers: int | str) -> TransformerNetwork:
    """The trainable form of a model; see `transformer_training`."""
    from penchant.encode.transformer_training import TransformerNetwork

    return TransformerNetwork(folder, list(texts), n_layers)
