"""Hidden states by ONNX runtime: about twice as fast as torch on a CPU, once the model is exported.

An export takes some seconds and is kept in the cache folder by the model's checksum; running one needs no torch.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import uuid
from collections.abc import Iterator
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


def export_path(cache_dir: Path, folder: ModelFolder) -> Path:
    """Where the export of a model lies in a cache folder."""
    return cache_dir / "onnx" / f"{folder.checksum}.onnx"


def has_export(cache_dir: Path | None, folder: ModelFolder) -> bool:
    """True where a whole export lies in the cache (its checksum file is written last)."""
    if cache_dir is None:
        return False
    path = export_path(cache_dir, folder)
    return (
        path.is_file() and _note(path).is_file() and _note(path).read_text(encoding="ascii").strip() == sha256_of(path)
    )


class OnnxRuntime:
    """Runs an exported model on the CPU, float32."""

    made_by = "onnx fp32"

    def __init__(self, path: Path) -> None:
        if not onnx_is_installed():
            raise MissingExtraError("encode.backend='onnx'", "transformer")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = n_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # be kind to a shared machine
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base below Exception
            reason = str(error).strip().splitlines()[0][:200]
            raise ModelError(f"{path}: ONNX runtime can't load it ({reason}); remove it, it is made again") from None

    def run(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> FloatArray:
        """(n, length) token ids and mask to (n, length, d) hidden states of the last layer."""
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
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.onnx")
    try:
        model = load_torch_model(folder)
        try:
            with _silent():
                _export(model, beside)
        except Exception as error:  # the exporter raises errors of many kinds and bases
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise ModelError(f"encode.model '{folder.label}': torch can't export it to ONNX ({reason})") from error
        _check(model, beside, folder)
        checksum = sha256_of(beside)
        beside.replace(path)
        _note(path).write_text(checksum, encoding="ascii")
    finally:
        beside.unlink(missing_ok=True)


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
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with quiet(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(previous)
