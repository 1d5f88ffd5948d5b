"""Hidden states by PyTorch: any model that transformers can load, on the CPU or a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from penchant.data import FloatArray
from penchant.encode.model_folder import ModelFolder
from penchant.errors import ConfigError, MissingExtraError, ModelError


def torch_is_installed() -> bool:
    """True where torch and transformers can be imported (neither is)."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def pick_device(device: str) -> str:
    """Return "cpu" or "cuda" for a run's device; "auto" takes CUDA where it is there.

    Raises:
        ConfigError: an unknown device, or CUDA asked for and not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"run.device: must be auto, cpu or cuda. Got {device!r}")
    if device == "cpu" or (device == "auto" and not _may_have_cuda()):
        return "cpu"
    if find_spec("torch") is None:
        raise MissingExtraError("run.device='cuda'", "transformer")
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise ConfigError("run.device: 'cuda' was asked for and torch finds no CUDA device; use cpu or auto")
    return "cpu"


def _may_have_cuda() -> bool:
    """False without torch or with its CPU build: saves importing it to find that out."""
    if find_spec("torch") is None:
        return False
    from importlib.metadata import version

    return "+cpu" not in version("torch")


class TorchRuntime:
    """Runs a model folder in torch, float32."""

    made_by = "torch fp32"

    def __init__(self, folder: ModelFolder, device: str) -> None:
        if not torch_is_installed():
            raise MissingExtraError("the transformer encoder", "transformer")
        self.device = device
        self.model = load_torch_model(folder).to(device)

    def run(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> FloatArray:
        """(n, length) token ids and mask to (n, length, d) hidden states of the last layer."""
        import torch

        with torch.inference_mode(), quiet():
            inputs = {
                "input_ids": torch.from_numpy(ids).to(self.device),
                "attention_mask": torch.from_numpy(mask).to(self.device),
            }
            hidden: FloatArray = self.model(**inputs).last_hidden_state.float().cpu().numpy()
        return hidden


def load_torch_model(folder: ModelFolder) -> Any:
    """Load the weights (safetensors only, no code of the model's own) in evaluation mode; of T5-likes the encoder."""
    import torch
    from transformers import AutoModel

    with quiet():
        try:
            model = AutoModel.from_pretrained(
                folder.path, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise ModelError(f"encode.model: {folder.path} can't be loaded ({reason}); name another model") from None
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False  # nothing is generated
    return model.eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' bars, notes and warnings off the terminal; put their settings back afterwards."""
    from transformers.utils import logging as hf_logging

    verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()
