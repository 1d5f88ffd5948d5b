"""Transformer encoder: any sentence-transformers or Hugging Face model, by name, path, or the packaged one."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from penchant.config import EncodeConfig, RunOptions
from penchant.data import FloatArray, Parts
from penchant.encode.cache import VectorCache
from penchant.encode.model_folder import ModelFolder, open_model
from penchant.encode.onnx_runtime import (
    OnnxRuntime,
    export_is_installed,
    export_model,
    export_path,
    has_export,
    onnx_is_installed,
)
from penchant.encode.pooling import apply_dense, pool
from penchant.encode.torch_runtime import TorchRuntime, pick_device, quiet, torch_is_installed
from penchant.errors import ConfigError, MissingExtraError, ModelError

logger = logging.getLogger(__name__)

# An export costs some 6 s for MiniLM and saves about 0.12 ms a token (one core; larger models scale both): it pays for
# itself from some 50,000 new tokens on; below twice that, torch runs and nothing is exported.
EXPORT_FROM_TOKENS = 100_000
# vectors are kept after so many texts, so that a stopped run loses little
TEXTS_PER_WRITE = 2_000

Tokeniser = Callable[[list[str]], list[list[int]]]


class Runtime(Protocol):
    made_by: str

    def run(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> FloatArray: ...


class TransformerEncoder:
    """Texts to pooled hidden states of a transformer, L2-normalised; nothing is trained.

    The backend is chosen when the first text is encoded that no cache knows: torch on a GPU; on a CPU ONNX runtime
    where an export lies in the cache or where so many tokens are to be read that exporting pays
    (`EXPORT_FROM_TOKENS`); else torch. Both give the same vectors up to rounding (cosine > 0.9999).

    Attributes:
        name: which model and which backends made the vectors so far.
        reason: why this backend ran ("" until one did).
        n_encoded, n_cached: texts that were encoded, and found in the cache, so far.
    """

    def __init__(self, config: EncodeConfig, run: RunOptions) -> None:
        self.config = config
        self.run = run
        self.fitted = False
        self.folder: ModelFolder = open_model(config.model, config.max_tokens)
        self.reason = ""
        self.n_encoded = self.n_cached = 0
        self._runtime: Runtime | None = None
        self._made_by: set[str] = set()
        self.name = self._name()
        if not torch_is_installed() and not (onnx_is_installed() and has_export(run.cache_dir, self.folder)):
            raise MissingExtraError("the transformer encoder", "transformer")

    @property
    def identity(self) -> str:
        """All that decides a vector, as text: part of every cache key."""
        folder = self.folder
        return f"v1|{folder.checksum}|{'+'.join(folder.pooling)}|{folder.max_tokens}|{folder.prompt}"

    def fit(self, texts: list[str]) -> None:
        """Nothing to learn."""
        self.fitted = True

    def encode(self, texts: list[str]) -> FloatArray:
        """Return (n, d) float32 rows of unit length; zeros for blank texts."""
        distinct = sorted({text for text in texts if text.strip()})
        row_of = {text: row for row, text in enumerate(distinct)}
        known = self._known_or_new(distinct)
        padded = np.vstack([known, np.zeros((1, self.folder.n_dims), np.float32)])
        return padded[[row_of.get(text, -1) for text in texts]] if texts else padded[:0]

    def to_parts(self) -> Parts:
        config = self.config.model_dump(include={"model", "max_tokens", "batch_size", "backend"})
        return Parts(config={"kind": "transformer", **config, "checksum": self.folder.checksum})

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> TransformerEncoder:
        """Open the model again by its name or path.

        Raises:
            ModelError: not found, or not the files of the fit.
        """
        settings = {key: parts.config[key] for key in ("model", "max_tokens", "batch_size", "backend")}
        encoder = cls(EncodeConfig.model_validate({"method": "transformer", **settings}), run)
        expected = str(parts.config["checksum"])
        if encoder.folder.checksum != expected:
            raise ModelError(
                f"saved encoder: {encoder.folder.path} is not the model of the fit (checksum "
                f"{encoder.folder.checksum[:12]}..., expected {expected[:12]}...); put the old files back, or fit again"
            )
        encoder.fitted = True
        return encoder

    def _known_or_new(self, texts: list[str]) -> FloatArray:
        if self.run.cache_dir is None:
            return self._encode_new(texts, lambda *_: None)
        cache = VectorCache(self.run.cache_dir, self.identity, self.folder.n_dims)
        hit = cache.get(texts)
        new = np.flatnonzero(~hit.found)
        self._made_by |= hit.made_by
        self.n_cached += len(texts) - len(new)
        vectors = hit.vectors
        if len(new):
            vectors[new] = self._encode_new([texts[row] for row in new], cache.put)
        self.name = self._name()
        return vectors

    def _encode_new(self, texts: list[str], keep: Callable[[list[str], FloatArray, str], None]) -> FloatArray:
        """Encode texts in batches of like length, the longest first (the slowest batch shows at once)."""
        out = np.zeros((len(texts), self.folder.n_dims), np.float32)
        if not texts:
            return out
        ids = load_tokeniser(self.folder)(texts)
        runtime = self._runtime = self._runtime or self._open_runtime(sum(len(i) for i in ids))
        order = np.argsort([-len(i) for i in ids], kind="stable")
        size = self.config.batch_size
        kept = 0
        with _bar(len(texts), self.name, self.run.progress) as advance:
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                out[rows] = self._encode_batch([ids[row] for row in rows], runtime)
                advance(len(rows))
                done = start + len(rows)
                if done - kept >= TEXTS_PER_WRITE or done == len(order):
                    keep([texts[row] for row in order[kept:done]], out[order[kept:done]], runtime.made_by)
                    kept = done
        self.n_encoded += len(texts)
        self._made_by.add(runtime.made_by)
        self.name = self._name()
        return out

    def _encode_batch(self, ids: list[list[int]], runtime: Runtime) -> FloatArray:
        length = max(1, *(len(i) for i in ids))
        tokens = np.full((len(ids), length), self.folder.pad_id, np.int64)
        mask = np.zeros((len(ids), length), np.int64)
        for row, text_ids in enumerate(ids):
            tokens[row, : len(text_ids)] = text_ids
            mask[row, : len(text_ids)] = 1
        empty = mask.sum(axis=1) == 0  # a text of characters the tokeniser drops
        mask[empty, 0] = 1
        vectors = apply_dense(pool(runtime.run(tokens, mask), mask, self.folder.pooling), self.folder.dense)
        vectors[empty] = 0
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: FloatArray = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 0)
        return unit.astype(np.float32)

    def _open_runtime(self, n_tokens: int) -> Runtime:
        asked, device = self.config.backend, pick_device(self.run.device)
        exported = has_export(self.run.cache_dir, self.folder)
        if asked == "onnx":
            if self.run.device == "cuda":
                raise ConfigError("encode.backend: 'onnx' runs on the CPU here; use backend torch for run.device cuda")
            self.reason = "ONNX runtime was asked for"
            return self._open_onnx()
        if asked == "auto" and device == "cpu" and onnx_is_installed():
            if exported:
                self.reason = "ONNX runtime: faster on a CPU, and an export of this model lies in the cache"
                return self._open_onnx()
            if n_tokens >= EXPORT_FROM_TOKENS and export_is_installed():
                try:
                    runtime = self._open_onnx()
                except ModelError as error:
                    logger.warning("%s; torch runs instead", error)
                    self.reason = f"torch: the ONNX export failed ({error})"
                    return TorchRuntime(self.folder, device)
                self.reason = f"ONNX runtime: faster on a CPU, and {n_tokens:,} tokens are worth an export"
                return runtime
        self.reason = {
            "torch": "torch was asked for",
            "auto": f"torch on {device}"
            + (f": {n_tokens:,} tokens are too few for an ONNX export to pay" if device == "cpu" else ""),
        }[asked]
        return TorchRuntime(self.folder, device)

    def _open_onnx(self) -> Runtime:
        if self.run.cache_dir is not None:
            if not has_export(self.run.cache_dir, self.folder):
                export_model(self.folder, export_path(self.run.cache_dir, self.folder))
            return OnnxRuntime(export_path(self.run.cache_dir, self.folder))
        with tempfile.TemporaryDirectory(prefix="penchant-") as place:
            path = Path(place) / "model.onnx"
            export_model(self.folder, path)
            return OnnxRuntime(path)

    def _name(self) -> str:
        backend = " + ".join(sorted(self._made_by)) or "fp32"
        return f"transformer:{self.folder.label} ({backend}, {self.folder.n_dims} dims)"


def load_tokeniser(folder: ModelFolder) -> Tokeniser:
    """Texts to token ids, special tokens included, cut at the model's length; prompt and case as its files say."""

    def prepare(texts: list[str]) -> list[str]:
        return [folder.prompt + (text.lower() if folder.lower_case else text) for text in texts]

    if (folder.path / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        fast = Tokenizer.from_file(str(folder.path / "tokenizer.json"))
        fast.no_padding()
        fast.enable_truncation(folder.max_tokens)
        return lambda texts: [encoding.ids for encoding in fast.encode_batch(prepare(texts))]
    with quiet():
        from transformers import AutoTokenizer

        slow = AutoTokenizer.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)

    def tokenise(texts: list[str]) -> list[list[int]]:
        with quiet():
            ids: list[list[int]] = slow(prepare(texts), truncation=True, max_length=folder.max_tokens)["input_ids"]
        return ids

    return tokenise


@contextmanager
def _bar(n_texts: int, name: str, wanted: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr."""
    if not wanted:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=n_texts)
        yield lambda n: progress.update(task, advance=n)
