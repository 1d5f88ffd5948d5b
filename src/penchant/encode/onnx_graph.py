"""An ONNX graph that travels with a saved model, so that its transformer runs without torch."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from penchant.data import Parts
from penchant.encode.model_folder import ModelFolder
from penchant.encode.onnx_runtime import OnnxRuntime, export_model, quantise
from penchant.errors import ModelError

Weights = Mapping[str, npt.NDArray[Any]]
# smaller initialisers stay in the graph
MIN_BYTES = 4096


@dataclass(frozen=True)
class Graph:
    """An ONNX graph whose large weights lie beside it, under the names of the model's own.

    In fp32 the weights of a model are saved anyway, for torch and a GPU: the graph alone is some 0.1 MB. In int8 it
    holds its weights, and no others are needed.

    Attributes:
        proto: the graph, serialised.
        precision: "fp32" or "int8".
        places: (name in the graph, name of the weight, transposed) of the weights that are not in the graph.
    """

    proto: bytes
    precision: str
    places: tuple[tuple[str, str, bool], ...] = ()

    def open(self, weights: Weights) -> OnnxRuntime:
        """Run it.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            ModelError: a weight is missing, or the graph can't be read.
        """
        lacking = [name for _, name, _ in self.places if name not in weights]
        if lacking:
            raise ModelError(f"saved encoder: the weight '{lacking[0]}' of its graph is missing; fit the model again")
        bound = {at: np.ascontiguousarray(weights[n].T if turned else weights[n]) for at, n, turned in self.places}
        return OnnxRuntime(self.proto, self.precision, bound)

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.proto).hexdigest()

    def to_parts(self) -> Parts:
        config = {"precision": self.precision, "places": [list(place) for place in self.places]}
        return Parts(config, {"graph": np.frombuffer(self.proto, np.uint8)})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Read the saved form back.

        Raises:
            ModelError: a part is missing.
        """
        try:
            places = tuple((str(at), str(name), bool(turned)) for at, name, turned in parts.config["places"])
            return cls(parts.arrays["graph"].tobytes(), str(parts.config["precision"]), places)
        except KeyError as error:
            raise ModelError(f"saved encoder: the part {error} of its graph is missing; fit the model again") from None


def make_graphs(folder: ModelFolder, weights: Weights, precision: str) -> dict[str, Graph]:
    """Export a model folder, and check the export; the graph in fp32, and in int8 where that is asked for.

    Raises:
        MissingExtraError: a library of the export is not installed.
        ModelError: the model can't be exported or turned into int8, or the export disagrees with it.
    """
    with tempfile.TemporaryDirectory(prefix="penchant-") as place:
        exact, small = Path(place) / "fp32.onnx", Path(place) / "int8.onnx"
        export_model(folder, exact)
        graphs = {"fp32": Graph(*_without(exact, weights))}
        if precision == "int8":
            quantise(exact, small, folder)
            graphs["int8"] = Graph(_bare(small), "int8")
        return graphs


def _without(path: Path, weights: Weights) -> tuple[bytes, str, tuple[tuple[str, str, bool], ...]]:
    """The graph less the initialisers that equal a weight, as it is or transposed (an export folds transposes)."""
    import onnx
    from onnx import TensorProto, numpy_helper

    held: dict[tuple[tuple[int, ...], bytes], tuple[str, bool]] = {}
    for name, weight in weights.items():
        if weight.dtype == np.float32:
            held.setdefault(_content(weight), (name, False))
            if weight.ndim == 2:
                held.setdefault(_content(weight.T), (name, True))
    model = _stripped(onnx.load(path))
    places = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        array = numpy_helper.to_array(tensor)
        found = held.get(_content(array)) if array.nbytes >= MIN_BYTES else None
        if found:
            places.append((str(tensor.name), *found))
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights")  # given when it is opened; there is no such file
    return model.SerializeToString(deterministic=True), "fp32", tuple(places)


def _bare(path: Path) -> bytes:
    import onnx

    proto: bytes = _stripped(onnx.load(path)).SerializeToString(deterministic=True)
    return proto


def _stripped(model: Any) -> Any:
    """Less the notes of the exporter: they name files of this machine, and make up half of the graph."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def _content(array: npt.NDArray[Any]) -> tuple[tuple[int, ...], bytes]:
    return array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
