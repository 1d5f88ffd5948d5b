"""Transformer encoder: any sentence-transformers or Hugging Face model, by name, path, or the packaged one."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from penchant.config import EncodeConfig, RunOptions
from penchant.data import FloatArray, Parts
from penchant.encode.cache import VectorCache
from penchant.encode.model_folder import ModelFolder, open_model
from penchant.encode.onnx_runtime import (
    OnnxRuntime,
    can_run,
    export_is_installed,
    export_model,
    export_path,
    has_export,
    onnx_is_installed,
    quantise,
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
# texts on which the loss of int8 is measured
N_LOSS_TEXTS = 64

Tokeniser = Callable[[list[str]], list[list[int]]]


class Runtime(Protocol):
    made_by: str

    def run(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> FloatArray: ...


class TransformerEncoder:
    """Texts to pooled hidden states of a transformer, L2-normalised; nothing is trained.

    The backend is chosen when the first text is encoded that no cache knows: torch on a GPU; on a CPU ONNX runtime
    where an export lies in the cache or where so many tokens are to be read that exporting pays
    (`EXPORT_FROM_TOKENS`); else torch. Both give the same vectors up to rounding (cosine > 0.9999). With
    `precision` int8 it is ONNX runtime in int8, always; what that costs is measured on the texts of the fit.

    Args:
        ready: ONNX runtime with this model in it, for one that carries its export; the files then need no weights.
        loss: of int8, where it was measured before.

    Attributes:
        name: which model and which backends made the vectors so far.
        reason: why this backend ran ("" until one did).
        loss: of int8 to fp32: mean and least cosine, and the number of texts; empty for fp32 and before the fit.
        n_expected: tokens that will be encoded later, for the choice of a backend.
        n_encoded, n_cached: texts that were encoded, and found in the cache, so far.
    """

    def __init__(
        self,
        config: EncodeConfig,
        run: RunOptions,
        *,
        ready: OnnxRuntime | None = None,
        loss: Mapping[str, Any] | None = None,
    ) -> None:
        self.config = config
        self.run = run
        self.fitted = False
        self.folder: ModelFolder = open_model(config.model, config.max_tokens, with_weights=ready is None)
        self.reason = ""
        self.loss: Mapping[str, Any] = loss or {}
        self.n_encoded = self.n_cached = self.n_expected = 0
        self._ready = ready
        self._runtime: Runtime | None = None
        self._exports: Path | None = run.cache_dir
        self._made_by: set[str] = set()
        self.name = self._name()
        if ready is not None:
            return
        if config.precision == "int8" and not can_run(run.cache_dir, self.folder, "int8"):
            raise MissingExtraError("encode.precision='int8'", "transformer")
        if not torch_is_installed() and not (onnx_is_installed() and has_export(run.cache_dir, self.folder)):
            raise MissingExtraError("the transformer encoder", "transformer")

    @property
    def identity(self) -> str:
        """All that decides a vector, as text: part of every cache key."""
        folder = self.folder
        identity = f"v1|{folder.checksum}|{'+'.join(folder.pooling)}|{folder.max_tokens}|{folder.prompt}"
        return identity if self.config.precision == "fp32" else f"{identity}|{self.config.precision}"

    def fit(self, texts: list[str]) -> None:
        """Nothing to learn; the loss of int8 is measured on some of the texts."""
        if self.config.precision == "int8" and not self.loss and any(text.strip() for text in texts):
            self.loss = self.loss_to(self._open_onnx("fp32"), texts)
        self.fitted = True
        self.name = self._name()

    def encode(self, texts: list[str]) -> FloatArray:
        """Return (n, d) float32 rows of unit length; zeros for blank texts."""
        distinct = sorted({text for text in texts if text.strip()})
        if not self.fitted:
            self.fit(distinct)
        row_of = {text: row for row, text in enumerate(distinct)}
        known = self._known_or_new(distinct, load_tokeniser(self.folder), self.identity)
        padded = np.vstack([known, np.zeros((1, self.folder.n_dims), np.float32)])
        return padded[[row_of.get(text, -1) for text in texts]] if texts else padded[:0]

    def encode_ids(self, ids: list[list[int]]) -> FloatArray:
        """Return (n, d) rows for distinct lists of token ids, special tokens among them; the cache keeps them too."""

        def read(keys: list[str]) -> list[list[int]]:
            return [[int(token) for token in key.split()] for key in keys]

        return self._known_or_new([" ".join(map(str, of_text)) for of_text in ids], read, f"{self.identity}|ids")

    def to_parts(self) -> Parts:
        config = self.config.model_dump(include={"model", "max_tokens", "batch_size", "backend", "precision"})
        loss = {"loss": dict(self.loss)} if self.loss else {}
        return Parts(config={"kind": "transformer", **config, "checksum": self.folder.checksum, **loss})

    def loss_to(self, exact: OnnxRuntime, texts: list[str]) -> Mapping[str, Any]:
        """Compare this encoder with one in fp32 on up to `N_LOSS_TEXTS` of the texts, the same ones in any order.

        Returns:
            mean_cosine, least_cosine, n_texts; empty where no text says anything.
        """
        drawn = sorted({text for text in texts if text.strip()}, key=_by_content)[:N_LOSS_TEXTS]
        runtime = self._runtime = self._runtime or self._open_runtime(0)
        pairs = [
            (self._encode_batch([ids], exact), self._encode_batch([ids], runtime))
            for ids in load_tokeniser(self.folder)(drawn)
        ]
        cosine = np.array([float((a * b).sum()) for a, b in pairs if a.any()])
        if not len(cosine):
            return {}
        mean, least = round(float(cosine.mean()), 4), round(float(cosine.min()), 4)
        return {"mean_cosine": mean, "least_cosine": least, "n_texts": len(cosine)}

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> TransformerEncoder:
        """Open the model again by its name or path.

        Raises:
            ModelError: not found, or not the files of the fit.
        """
        settings = {key: parts.config[key] for key in ("model", "max_tokens", "batch_size", "backend")}
        settings["precision"] = parts.config.get("precision", "fp32")
        config = EncodeConfig.model_validate({"method": "transformer", **settings})
        encoder = cls(config, run, loss=parts.config.get("loss"))
        expected = str(parts.config["checksum"])
        if encoder.folder.checksum != expected:
            raise ModelError(
                f"saved encoder: {encoder.folder.path} is not the model of the fit (checksum "
                f"{encoder.folder.checksum[:12]}..., expected {expected[:12]}...); put the old files back, or fit again"
            )
        encoder.fit([])
        return encoder

    def _known_or_new(self, texts: list[str], tokenise: Tokeniser, identity: str) -> FloatArray:
        if self.run.cache_dir is None:
            return self._encode_new(texts, tokenise, lambda *_: None)
        cache = VectorCache(self.run.cache_dir, identity, self.folder.n_dims)
        hit = cache.get(texts)
        new = np.flatnonzero(~hit.found)
        self._made_by |= hit.made_by
        self.n_cached += len(texts) - len(new)
        vectors = hit.vectors
        if len(new):
            vectors[new] = self._encode_new([texts[row] for row in new], tokenise, cache.put)
        self.name = self._name()
        return vectors

    def _encode_new(
        self, texts: list[str], tokenise: Tokeniser, keep: Callable[[list[str], FloatArray, str], None]
    ) -> FloatArray:
        """Encode texts in batches of like length, the longest first (the slowest batch shows at once)."""
        out = np.zeros((len(texts), self.folder.n_dims), np.float32)
        if not texts:
            return out
        ids = tokenise(texts)
        runtime = self._runtime = self._runtime or self._open_runtime(sum(len(i) for i in ids) + self.n_expected)
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
        precision = self.config.precision
        if asked == "onnx" or precision == "int8":
            setting = "backend: 'onnx'" if asked == "onnx" else "precision: 'int8'"
            if self.run.device == "cuda":
                raise ConfigError(f"encode.{setting} runs on the CPU here; use backend torch for run.device cuda")
            self.reason = f"ONNX runtime{'' if precision == 'fp32' else ' in int8'} was asked for"
            return self._open_onnx(precision)
        if asked == "auto" and device == "cpu" and self._ready is not None:
            self.reason = "ONNX runtime: this model carries its export, and torch is not needed"
            return self._ready
        if asked == "auto" and device == "cpu" and onnx_is_installed():
            if has_export(self.run.cache_dir, self.folder):
                self.reason = "ONNX runtime: faster on a CPU, and an export of this model lies in the cache"
                return self._open_onnx("fp32")
            if n_tokens >= EXPORT_FROM_TOKENS and export_is_installed():
                try:
                    runtime = self._open_onnx("fp32")
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

    def _open_onnx(self, precision: str) -> OnnxRuntime:
        """From the cache, or from a folder that lives as long as this encoder; what is not there is made."""
        if self._ready is not None:
            return self._ready
        if self._exports is None:
            place = tempfile.mkdtemp(prefix="penchant-")
            weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
            self._exports = Path(place)
        path = export_path(self._exports, self.folder, precision)
        if not has_export(self._exports, self.folder, precision):
            exact = export_path(self._exports, self.folder)
            if not has_export(self._exports, self.folder):
                export_model(self.folder, exact)
            if precision == "int8":
                quantise(exact, path, self.folder)
        return OnnxRuntime(path, precision)

    def _name(self) -> str:
        precision = self.config.precision
        backend = " + ".join(sorted(self._made_by)) or (precision if precision == "fp32" else f"onnx {precision}")
        if self.loss:
            backend += f", mean cosine {self.loss['mean_cosine']:.4f} to fp32 on {self.loss['n_texts']} of your texts"
        return f"transformer:{self.folder.label} ({backend}, {self.folder.n_dims} dims)"


def _by_content(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


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
