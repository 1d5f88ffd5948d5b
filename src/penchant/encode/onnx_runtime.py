"""Hidden states by ONNX runtime: about twice as fast as torch on a CPU, once the model is exported.

An export takes some seconds and is kept in the cache folder by the model's checksum; running one needs no torch. In
int8 (`quantise`) it is a quarter of the size and faster again, and its vectors are a little off.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant.data import FloatArray
from penchant.encode.model_folder import ModelFolder
from penchant.encode.packaged_model import sha256_of
from penchant.encode.torch_runtime import load_torch_model, quiet, torch_is_installed
from penchant.errors import MissingExtraError, ModelError

# hidden states of torch and ONNX for a trial batch must agree this well, or the export is refused
MIN_AGREEMENT = 0.99999
_INPUTS = ("input_ids", "attention_mask")


def onnx_is_installed() -> bool:
    """True where an exported model can be run."""
    return find_spec("onnxruntime") is not None


def export_is_installed() -> bool:
    """True where a model can be exported."""
    return onnx_is_installed() and torch_is_installed() and bool(find_spec("onnx") and find_spec("onnxscript"))


def quantise_is_installed() -> bool:
    """True where an export can be turned into int8."""
    return onnx_is_installed() and find_spec("onnx") is not None


def export_path(cache_dir: Path, folder: ModelFolder, precision: str = "fp32") -> Path:
    """Where the export of a model lies in a cache folder."""
    return cache_dir / "onnx" / f"{folder.checksum}{'' if precision == 'fp32' else f'.{precision}'}.onnx"


def has_export(cache_dir: Path | None, folder: ModelFolder, precision: str = "fp32") -> bool:
    """True where a whole export lies in the cache (its checksum file is written last)."""
    if cache_dir is None:
        return False
    path = export_path(cache_dir, folder, precision)
    return (
        path.is_file() and _note(path).is_file() and _note(path).read_text(encoding="ascii").strip() == sha256_of(path)
    )


def can_run(cache_dir: Path | None, folder: ModelFolder, precision: str) -> bool:
    """True where ONNX runtime can run a model here: its export lies in the cache, or can be made."""
    if has_export(cache_dir, folder, precision):
        return onnx_is_installed()
    if precision == "int8":
        return quantise_is_installed() and can_run(cache_dir, folder, "fp32")
    return export_is_installed()


class OnnxRuntime:
    """Runs an exported model on the CPU.

    Args:
        graph: an export, or the bytes of one.
        precision: "fp32" or "int8", as it was exported.
        weights: initialisers that the graph names without holding them.
    """

    def __init__(
        self, graph: Path | bytes, precision: str = "fp32", weights: Mapping[str, np.ndarray[Any, Any]] | None = None
    ) -> None:
        if not onnx_is_installed():
            raise MissingExtraError("running an ONNX export of a text model", "onnx")
        import onnxruntime

        self.made_by = f"onnx {precision}"
        # int8 scales what a layer reads by its largest value in the batch: alone, a text has no company to depend on
        # (and it is faster: 3.4 against 2.4 times fp32 on texts of 99 tokens)
        self._one_by_one = precision == "int8"

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1 if self._one_by_one else n_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # be kind to a shared machine
        if weights:
            self._held = [onnxruntime.OrtValue.ortvalue_from_numpy(weight) for weight in weights.values()]
            options.add_external_initializers(list(weights), self._held)
        try:
            self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base below Exception
            reason = str(error).strip().splitlines()[0][:200]
            if isinstance(graph, bytes):
                raise ModelError(f"saved encoder: ONNX runtime can't load its graph ({reason}); fit again") from None
            raise ModelError(f"{graph}: ONNX runtime can't load it ({reason}); remove it, it is made again") from None

    def run(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> FloatArray:
        """(n, length) token ids and mask to (n, length, d) hidden states of the last layer."""
        if not self._one_by_one:
            return self._run(ids, mask)
        lengths = mask.sum(axis=1).tolist()

        def alone(row: int) -> FloatArray:
            inner = slice(row, row + 1), slice(lengths[row])
            hidden: FloatArray = self._run(ids[inner], mask[inner])[0]
            return hidden

        if n_threads() == 1:
            parts = [alone(row) for row in range(len(ids))]
        else:
            with ThreadPoolExecutor(n_threads()) as pool:
                parts = list(pool.map(alone, range(len(ids))))
        hidden = np.zeros((*ids.shape, parts[0].shape[1]), np.float32)
        for row, part in enumerate(parts):
            hidden[row, : len(part)] = part
        return hidden

    def _run(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> FloatArray:
        hidden: FloatArray = self.session.run(None, dict(zip(_INPUTS, (ids, mask), strict=True)))[0]
        return hidden


def n_threads() -> int:
    """OMP_NUM_THREADS where set, as torch and NumPy do; else the cores this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(given) if given.isdigit() and int(given) > 0 else len(os.sched_getaffinity(0))


def export_model(folder: ModelFolder, path: Path) -> None:
    """Export a model to `path`, check it against torch, and only then put it in place.

    Raises:
        MissingExtraError: a library of the export is not installed.
        ModelError: torch can't export this model, or the export disagrees with it.
    """
    if not export_is_installed():
        raise MissingExtraError("the ONNX export of a model", "transformer")
    with _put_in_place(path) as beside:
        model = load_torch_model(folder)
        try:
            with _silent():
                _export(model, beside)
        except Exception as error:  # the exporter raises errors of many kinds and bases
            reason = _first_line(error)
            raise ModelError(f"encode.model '{folder.label}': torch can't export it to ONNX ({reason})") from error
        _check(model, beside, folder)


def quantise(source: Path, path: Path, folder: ModelFolder) -> None:
    """Turn the weights of an export into 8 bits, those of word vectors too; layers scale what they read as it comes.

    Weights are scaled by output channel (with one scale a matrix MiniLM's vectors lose ten times as much) and use 7 of
    the 8 bits, because CPUs without VNNI overflow in sums of 8 (that costs less than .001 of the cosine).

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        ModelError: ONNX runtime can't quantise this graph.
    """
    if not quantise_is_installed():
        raise MissingExtraError("encode.precision='int8'", "transformer")
    with _put_in_place(path) as beside:
        try:
            with _quiet_logs(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from onnxruntime.quantization import QuantType, quantize_dynamic

                quantize_dynamic(source, beside, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
        except Exception as error:  # as the exporter
            raise ModelError(
                f"encode.model '{folder.label}': ONNX runtime can't turn it into int8 ({_first_line(error)}); use "
                "encode.precision fp32"
            ) from error


@contextlib.contextmanager
def _put_in_place(path: Path) -> Iterator[Path]:
    """A file beside `path`, renamed to it with its checksum when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.onnx")
    try:
        yield beside
        checksum = sha256_of(beside)
        beside.replace(path)
        _note(path).write_text(checksum, encoding="ascii")
    finally:
        beside.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _export(model: Any, path: Path) -> None:
    import torch

    class HiddenStates(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    trial = torch.ones((2, 8), dtype=torch.int64)
    axes = {0: torch.export.Dim("n_texts"), 1: torch.export.Dim("n_tokens")}
    torch.onnx.export(
        HiddenStates().eval(),
        (trial, trial.clone()),
        path,
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=list(_INPUTS),
        output_names=["hidden"],
        dynamic_shapes=(axes, axes),
    )


def _check(model: Any, path: Path, folder: ModelFolder) -> None:
    """Compare both backends on texts of two lengths, other than those of the export."""
    import torch

    n_tokens = min(100, model.get_input_embeddings().num_embeddings)
    ids = (np.arange(3 * 11, dtype=np.int64).reshape(3, 11) * 7) % n_tokens
    mask = np.ones_like(ids)
    mask[1, 5:] = 0
    with torch.inference_mode(), quiet():
        expected = model(
            input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)
        ).last_hidden_state.numpy()
    got = OnnxRuntime(path).run(ids, mask)
    a, b = expected[mask > 0], got[mask > 0]
    cosine = (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)
    if not cosine.min() >= MIN_AGREEMENT:
        raise ModelError(
            f"encode.model '{folder.label}': its ONNX export disagrees with torch (cosine {cosine.min():.5f})"
        )


def _note(path: Path) -> Path:
    return path.with_suffix(".sha256")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The exporter prints, warns and logs about things that don't concern a caller."""
    with _quiet_logs(), quiet(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _quiet_logs() -> Iterator[None]:
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(previous)
