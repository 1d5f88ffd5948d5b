"""Texts a second of every encoder, in one run, and what the cache saves at a second fit.

    python benchmarks/encoders.py [ITEMS] [--n 3000] [--fields title,text,categories] [--model NAME_OR_PATH]

Without a catalogue the made-up market's texts are read. Each row is a fresh encoder; loading is timed apart from
encoding; onnx appears twice, with the export of a first run and with the export found in the cache. `likeness` is the
least cosine to torch of any text.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from penchant.config import EncodeConfig, RunOptions
from penchant.data import FloatArray
from penchant.encode import transformer
from penchant.encode.onnx_runtime import n_threads
from penchant.encode.tfidf import TfidfEncoder
from penchant.encode.transformer import TransformerEncoder
from penchant.io import read_log
from penchant.io.world import make_world


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
    print(f"{'encoder':<34}{'load s':>8}{'encode s':>10}{'texts/s':>9}{'to torch':>10}{'likeness':>10}")
    tfidf_s, _ = _tfidf(texts)
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place)
        load_s, torch_s, torch_vectors = _transformer(texts, asked.model, "torch", None)
        _print("tfidf (fit and encode)", 0.0, tfidf_s, len(texts), torch_s, None)
        _print("torch", load_s, torch_s, len(texts), torch_s, None)
        for name, folder in (("onnx, exported in this run", cache / "a"), ("onnx, export in the cache", cache / "a")):
            (folder / "text_vectors.sqlite").unlink(missing_ok=True)  # its vectors; the export stays
            load_s, onnx_s, vectors = _transformer(texts, asked.model, "onnx", folder)
            likeness = float((vectors * torch_vectors).sum(axis=1).min())
            _print(name, load_s, onnx_s, len(texts), torch_s, likeness)
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


def _tfidf(texts: list[str]) -> tuple[float, FloatArray]:
    started = time.perf_counter()
    encoder = TfidfEncoder()
    encoder.fit(texts)
    vectors = encoder.encode(texts)
    return time.perf_counter() - started, vectors


def _transformer(texts: list[str], model: str, backend: str, cache: Path | None) -> tuple[float, float, FloatArray]:
    """Seconds to open (export included) and to encode, and the vectors."""
    config = EncodeConfig.model_validate({"method": "transformer", "model": model, "backend": backend})
    started = time.perf_counter()
    encoder = TransformerEncoder(config, RunOptions(device="cpu", cache_dir=cache))
    encoder.encode([texts[0]])
    opened = time.perf_counter()
    vectors = encoder.encode(texts)
    return opened - started, time.perf_counter() - opened, vectors


def _second_fit(texts: list[str], model: str, cache: Path) -> None:
    """A catalogue that grew by a tenth: what is encoded again, and how long that takes beside the first fit."""
    config = EncodeConfig(method="transformer", model=model)
    old = texts[: len(texts) * 10 // 11]
    times, encoders = [], []
    for batch in (old, texts, texts):
        encoder = TransformerEncoder(config, RunOptions(device="cpu", cache_dir=cache))
        started = time.perf_counter()
        encoder.encode(batch)
        times.append(time.perf_counter() - started)
        encoders.append(encoder)
    print(f"\nbackend auto, first fit: {times[0]:.2f} s; {encoders[0].reason}")
    for name, took, encoder in zip(("grown by a tenth", "the same texts"), times[1:], encoders[1:], strict=True):
        share = encoder.n_cached / (encoder.n_cached + encoder.n_encoded)
        print(f"second fit, {name:<17} {took:6.2f} s ({took / times[0]:.3f} of the first), {share:.1%} from the cache")
    print(f"an export is made from {transformer.EXPORT_FROM_TOKENS:,} new tokens on")


def _print(name: str, load_s: float, took_s: float, n: int, torch_s: float, likeness: float | None) -> None:
    alike = "" if likeness is None else f"{likeness:.6f}"
    print(f"{name:<34}{load_s:8.2f}{took_s:10.2f}{n / took_s:9.0f}{torch_s / took_s:9.2f}x{alike:>10}")


if __name__ == "__main__":
    main()
