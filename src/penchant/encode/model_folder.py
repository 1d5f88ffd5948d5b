"""A transformer on disk: where it lies, what its files say about pooling and length, and its checksum.

Reads the JSON files of sentence-transformers and Hugging Face models; weights only as safetensors, never a pickle.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penchant.data import FloatArray
from penchant.encode.packaged_model import PACKAGED_LABEL, packaged_model, sha256_of
from penchant.errors import ConfigError, MissingExtraError, ModelError

POOLING_MODES = ("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
ACTIVATIONS = ("Identity", "Tanh", "ReLU")
_HIDDEN_SIZE_KEYS = ("hidden_size", "n_embd", "d_model", "dim")
_OFFSET_POSITIONS = ("roberta", "camembert", "mpnet", "longformer")
_POSITION_KEYS = ("max_position_embeddings", "n_positions", "n_ctx")
# what decides the vectors; readmes and other formats of the same weights don't
DECISIVE_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
_DOWNLOADED = (*DECISIVE_FILES, "*/config.json", "*/model.safetensors")
_NOT_DOWNLOADED = ("onnx/*", "openvino/*", "*/onnx/*")


@dataclass(frozen=True)
class Dense:
    """A linear layer behind the pooling (distiluse, LaBSE, ...)."""

    weight: FloatArray  # (n_out, n_in)
    bias: FloatArray  # (n_out,)
    activation: str


@dataclass(frozen=True)
class ModelFolder:
    """What is needed to run a transformer; `checksum` changes with anything that changes its vectors."""

    path: Path
    source: str
    label: str
    checksum: str
    pooling: tuple[str, ...]
    dense: tuple[Dense, ...]
    max_tokens: int
    lower_case: bool
    prompt: str
    pad_id: int
    n_dims: int


def open_model(source: str, max_tokens: int, *, with_weights: bool = True) -> ModelFolder:
    """Find a model by local path or Hugging Face name ("" = the packaged one) and read what its files say.

    A name is looked for in the local Hugging Face cache first; only a model not yet there is downloaded.

    Args:
        with_weights: False for a folder whose weights lie elsewhere.

    Raises:
        ModelError: not found, no safetensors weights, or files that can't be read.
        ConfigError: it needs a module that we don't run.
    """
    path = packaged_model() if not source else _find(source)
    if with_weights and not list(path.glob("*.safetensors")):
        raise ModelError(
            f"encode.model '{source}': {path} holds no *.safetensors; other weight files may run code when read and "
            "are refused; convert the model (save_pretrained writes safetensors) or name another"
        )
    return _describe(path, source, max_tokens)


def _find(source: str) -> Path:
    local = Path(source).expanduser()
    if local.is_dir():
        return local
    if local.exists() or source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise ModelError(
            f"encode.model '{source}': no such folder; give the path of a folder with config.json and "
            "model.safetensors, or a Hugging Face name such as sentence-transformers/all-MiniLM-L6-v2"
        )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise MissingExtraError(f"encode.model '{source}'", "transformer") from None
    # as sentence-transformers does: a bare name is one of theirs first
    names = [source] if "/" in source else [f"sentence-transformers/{source}", source]
    reason = ""
    for name, local_only in [(name, local_only) for local_only in (True, False) for name in names]:
        try:
            return Path(
                snapshot_download(
                    name,
                    local_files_only=local_only,
                    allow_patterns=list(_DOWNLOADED),
                    ignore_patterns=list(_NOT_DOWNLOADED),
                )
            )
        except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
            reason = str(error).strip().splitlines()[0][:200]
    raise ModelError(
        f"encode.model '{source}': neither a local folder nor found as {' or '.join(names)} on the Hugging Face hub "
        f"({reason}); check the name and the network, or give the path of a downloaded folder"
    )


def _describe(path: Path, source: str, max_tokens: int) -> ModelFolder:
    config = _read_json(path / "config.json")
    inner = {**config, **config.get("text_config", {})}
    n_dims = next((int(inner[key]) for key in _HIDDEN_SIZE_KEYS if isinstance(inner.get(key), int)), 0)
    if not n_dims:
        raise ModelError(
            f"{path / 'config.json'}: names no hidden size ({', '.join(_HIDDEN_SIZE_KEYS)}); not a text model"
        )
    pooling, dense, places = _modules(path)
    n_dims = len(dense[-1].bias) if dense else n_dims * len(pooling)

    st_config = _read_json(path / "sentence_bert_config.json", missing_ok=True)
    tokenizer = _read_json(path / "tokenizer_config.json", missing_ok=True)
    pad = next((inner[k] for k in ("pad_token_id", "eos_token_id") if isinstance(inner.get(k), int)), 0)
    # their positions start behind that of the padding token
    offset = pad + 1 if any(kind in str(inner.get("model_type")) for kind in _OFFSET_POSITIONS) else 0
    limits = [max_tokens]
    limits += [int(inner[k]) - offset for k in _POSITION_KEYS if isinstance(inner.get(k), int) and inner[k] > 0]
    limits += [
        int(value)
        for value in (st_config.get("max_seq_length"), tokenizer.get("model_max_length"))
        if isinstance(value, int | float) and 0 < value < 1e6  # "no limit" is written as 1e30
    ]
    return ModelFolder(
        path=path,
        source=source,
        label=_label(path, source),
        checksum=_checksum(path, places),
        pooling=pooling,
        dense=dense,
        max_tokens=min(limits),
        lower_case=bool(st_config.get("do_lower_case", False)),
        prompt=_default_prompt(path),
        pad_id=max(int(pad), 0),
        n_dims=n_dims,
    )


def _modules(path: Path) -> tuple[tuple[str, ...], tuple[Dense, ...], list[str]]:
    """Pooling modes, dense layers and the folders they lie in, from modules.json; mean pooling where there is none."""
    listed = path / "modules.json"
    if not listed.is_file():
        return ("mean",), (), []
    pooling: tuple[str, ...] = ("mean",)
    dense: list[Dense] = []
    places: list[str] = []
    for module in json.loads(listed.read_text(encoding="utf-8")):
        kind = str(module["type"]).rsplit(".", 1)[-1]
        place = str(module.get("path", ""))
        if kind == "Pooling":
            pooling = _pooling(path / place / "config.json")
        elif kind == "Dense":
            dense.append(_dense(path / place))
        elif kind not in ("Transformer", "Normalize"):
            raise ConfigError(
                f"{listed}: module '{kind}' can't be run; allowed: Transformer, Pooling, Dense, Normalize; name "
                "another model by encode.model"
            )
        places += [place] if place else []
    return pooling, tuple(dense), places


def _pooling(path: Path) -> tuple[str, ...]:
    config = _read_json(path)
    modes = config.get("pooling_mode")  # sentence-transformers >= 5.4; a list where several are joined
    if modes is None:
        known = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean", "lasttoken": "lasttoken"}
        known |= {"mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean_tokens": "weightedmean"}
        modes = [mode for key, mode in known.items() if config.get(f"pooling_mode_{key}")]
    found = (modes,) if isinstance(modes, str) else tuple(modes)
    if not found or any(mode not in POOLING_MODES for mode in found):
        raise ConfigError(f"{path}: pooling {list(found)} is unknown; allowed: {', '.join(POOLING_MODES)}")
    return found


def _dense(folder: Path) -> Dense:
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ModelError(f"{folder}: a dense layer without model.safetensors; other weight files are refused")
    from safetensors.numpy import load_file

    config = _read_json(folder / "config.json")
    activation = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    if activation not in ACTIVATIONS:
        raise ConfigError(f"{folder}: activation '{activation}' is unknown; allowed: {', '.join(ACTIVATIONS)}")
    arrays = load_file(weights)
    weight = arrays["linear.weight"].astype("float32")
    return Dense(weight, arrays.get("linear.bias", weight[:, 0] * 0).astype("float32"), activation)


def _default_prompt(path: Path) -> str:
    config = _read_json(path / "config_sentence_transformers.json", missing_ok=True)
    name = config.get("default_prompt_name")
    return str(config.get("prompts", {}).get(name, "")) if name else ""


def _label(path: Path, source: str) -> str:
    return source.rstrip("/").rsplit("/", 1)[-1] if source else PACKAGED_LABEL


def _checksum(path: Path, places: list[str]) -> str:
    """Sha256 over names and contents of all files that decide the vectors."""
    folders = [path, *(path / place for place in places)]
    files = sorted({file for folder in folders for pattern in DECISIVE_FILES for file in folder.glob(pattern)})
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode())
    return total.hexdigest()


def _read_json(path: Path, *, missing_ok: bool = False) -> dict[str, Any]:
    if missing_ok and not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: can't be read as JSON ({error}); the model folder is incomplete") from None
    return content if isinstance(content, dict) else {}
