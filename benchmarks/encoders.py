"""Texts a second of every encoder and how near it comes to torch, in one run, and what the cache saves at a second fit.

    python benchmarks/encoders.py [ITEMS] [--n 3000] [--fields title,text,categories] [--model NAME_OR_PATH]

Without a catalogue the made-up market's texts are read. Each row is a fresh encoder; loading (export, quantising,
fitting) is timed apart from encoding. Seconds are those of the CPU, which other work changes little: with
OMP_NUM_THREADS=1 they are what an idle core takes. onnx appears twice, with the export of a first run and with the
export found in the cache. Against torch stand: the mean and the least cosine of any text (where the spaces are one),
and, on a fifth of the texts that no encoder was fitted on, Spearman's correlation of the cosines of all pairs and the
share of the 10 nearest neighbours that are the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from penchant.config import EncodeConfig, RunOptions
from penchant.data import FloatArray
from penchant.encode import transformer
from penchant.encode.distil import likeness
from penchant.encode.onnx_runtime import n_threads
from penchant.encode.static import StaticEncoder
from penchant.encode.tfidf import TfidfEncoder
from penchant.encode.transformer import TransformerEncoder
from penchant.io import read_log
from penchant.io.world import make_world
from penchant.protocols import Encoder


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("items", nargs="?", help="a catalogue; its log is not needed")
    ask.add_argument("--n", type=int, default=3000, help="texts to encode")
    ask.add_argument("--fields", default="title,text,categories")
    ask.add_argument("--model", default="", help="empty = the packaged one")
    asked = ask.parse_args()

    texts = _texts(asked.items, tuple(asked.fields.split(",")), asked.n)
    words = np.mean([len(text.split()) for text in texts])
    print(f"{len(texts):,} distinct texts of {words:.1f} words, {n_threads()} thread(s)")
    print(
        f"{'encoder':<30}{'load s':>8}{'encode s':>10}{'texts/s':>9}{'to torch':>10}{'mean cos':>10}{'least cos':>10}"
        f"{'Spearman':>10}{'10 near':>9}"
    )
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place)
        torch = _run(_transformer(texts, asked.model, cache / "a", backend="torch"), texts)
        _print("torch", torch, torch)
        _print("tfidf", _run(lambda: _fit(TfidfEncoder(), texts), texts), torch)
        onnx = _transformer(texts, asked.model, cache / "a", backend="onnx")
        _print("onnx, exported in this run", _run(onnx, texts), torch)
        _print("onnx, export in the cache", _run(onnx, texts), torch)
        int8 = _transformer(texts, asked.model, cache / "a", precision="int8")
        _print("onnx int8", _run(int8, texts), torch)
        for name, n_texts in (("static", len(texts)), ("static, from tokens alone", 0)):
            _print(name, _run(_static(texts, asked.model, n_texts, cache / "c"), texts), torch)
        _second_fit(texts, asked.model, cache / "b")


def _texts(items: str | None, fields: tuple[str, ...], n: int) -> list[str]:
    if items is None:
        world = make_world(n_items=n, n_events=20_000, n_users=500)
        catalogue = read_log(world.events, world.items).items
    else:
        import polars as pl

        # a log of one event for each item: only the catalogue is wanted
        ids = pl.read_parquet(items)["item_id"] if items.endswith(".parquet") else pl.read_csv(items)["item_id"]
        catalogue = read_log(pl.DataFrame({"user_id": "u", "item_id": ids.cast(pl.String)}), items).items
    return sorted({text for text in catalogue.texts(fields) if text})[:n]


@dataclass(frozen=True)
class _Row:
    """CPU seconds to open and to encode, and the vectors."""

    load_s: float
    encode_s: float
    vectors: FloatArray


def _run(make: Callable[[], Encoder], texts: list[str]) -> _Row:
    started = time.process_time()
    encoder = make()
    opened = time.process_time()
    vectors = encoder.encode(texts)
    return _Row(opened - started, time.process_time() - opened, vectors)


def _held(n: int) -> npt.NDArray[np.bool_]:
    """Texts that no encoder is fitted on."""
    held = np.zeros(n, np.bool_)
    held[np.random.default_rng(1).permutation(n)[: min(1000, n // 5)]] = True
    return held


def _fit(encoder: Encoder, texts: list[str]) -> Encoder:
    encoder.fit([text for text, held in zip(texts, _held(len(texts)), strict=True) if not held])
    return encoder


def _transformer(texts: list[str], model: str, cache: Path, **settings: str) -> Callable[[], Encoder]:
    """Opened, export included, and warm; its vectors are made anew."""

    def make() -> Encoder:
        (cache / "text_vectors.sqlite").unlink(missing_ok=True)  # the export stays
        config = EncodeConfig.model_validate({"method": "transformer", "model": model, **settings})
        encoder = TransformerEncoder(config, RunOptions(device="cpu", cache_dir=cache))
        _fit(encoder, texts).encode([texts[0]])
        return encoder

    return make


def _static(texts: list[str], model: str, n_texts: int, cache: Path) -> Callable[[], Encoder]:
    config = EncodeConfig.model_validate({"method": "static", "model": model, "static": {"n_texts": n_texts}})
    return lambda: _fit(StaticEncoder(config, RunOptions(device="cpu", cache_dir=cache), seed=0), texts)


def _second_fit(texts: list[str], model: str, cache: Path) -> None:
    """A catalogue that grew by a tenth: what is encoded again, and how long that takes beside the first fit."""
    config = EncodeConfig(method="transformer", model=model)
    old = texts[: len(texts) * 10 // 11]
    times, encoders = [], []
    for batch in (old, texts, texts):
        encoder = TransformerEncoder(config, RunOptions(device="cpu", cache_dir=cache))
        started = time.process_time()
        encoder.encode(batch)
        times.append(time.process_time() - started)
        encoders.append(encoder)
    print(f"\nbackend auto, first fit: {times[0]:.2f} s; {encoders[0].reason}")
    for name, took, encoder in zip(("grown by a tenth", "the same texts"), times[1:], encoders[1:], strict=True):
        share = encoder.n_cached / (encoder.n_cached + encoder.n_encoded)
        print(f"second fit, {name:<17} {took:6.2f} s ({took / times[0]:.3f} of the first), {share:.1%} from the cache")
    print(f"an export is made from {transformer.EXPORT_FROM_TOKENS:,} new tokens on")


def _print(name: str, row: _Row, torch: _Row) -> None:
    n, held = len(row.vectors), _held(len(row.vectors))
    times = f"{row.load_s:8.2f}{row.encode_s:10.2f}{n / row.encode_s:9.0f}{torch.encode_s / row.encode_s:9.2f}x"
    cosines = f"{'-':>10}{'-':>10}"
    if row.vectors.shape == torch.vectors.shape:
        cosine = (row.vectors * torch.vectors).sum(axis=1)
        cosines = f"{cosine.mean():10.4f}{cosine.min():10.4f}"
    alike = likeness(row.vectors[held], torch.vectors[held])
    print(f"{name:<30}{times}{cosines}{alike.spearman:10.3f}{alike.neighbours:9.3f}", flush=True)


if __name__ == "__main__":
    main()
