"""The text cache: found again, per encoder, and never a reason to fail."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from penchant.encode.cache import FILE_NAME, VectorCache


def _vectors(n: int, d: int = 4) -> np.ndarray:
    return np.arange(n * d, dtype=np.float32).reshape(n, d)


def test_what_was_put_is_found_by_text_and_encoder(tmp_path: Path):
    cache = VectorCache(tmp_path, "model-a", 4)
    cache.put(["x", "y"], _vectors(2), "torch fp32")
    hit = cache.get(["y", "z", "x"])
    assert hit.found.tolist() == [True, False, True]
    assert hit.vectors[[2, 0]].tolist() == _vectors(2).tolist()
    assert hit.made_by == {"torch fp32"}
    assert not VectorCache(tmp_path, "model-b", 4).get(["x"]).found.any()


def test_many_texts_pass_the_parameter_limit(tmp_path: Path):
    texts = [f"text {i}" for i in range(1700)]
    cache = VectorCache(tmp_path, "m", 4)
    cache.put(texts, _vectors(1700), "t")
    assert np.array_equal(cache.get(texts).vectors, _vectors(1700))


@pytest.mark.parametrize(
    "change", ["UPDATE text_vector SET vector = zeroblob(16)", "UPDATE text_vector SET vector = x'00'"]
)
def test_a_changed_row_counts_as_missing_and_can_be_written_again(tmp_path: Path, change: str):
    cache = VectorCache(tmp_path, "m", 4)
    cache.put(["x"], _vectors(1) + 1, "t")
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(change)
    connection.close()
    assert not cache.get(["x"]).found.any()
    cache.put(["x"], _vectors(1) + 1, "t")
    assert cache.get(["x"]).found.all()


def test_a_broken_file_is_set_aside_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / FILE_NAME).write_bytes(b"this is no database, " * 300)
    cache = VectorCache(tmp_path, "m", 4)
    with caplog.at_level(logging.WARNING):
        assert not cache.get(["x"]).found.any()
    assert "set aside" in caplog.text
    cache.put(["x"], _vectors(1), "t")
    assert cache.get(["x"]).found.all()


def test_a_folder_that_cant_be_made_is_said_and_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_text("in the way")
    cache = VectorCache(tmp_path / "file", "m", 4)
    cache.put(["x"], _vectors(1), "t")
    assert not cache.get(["x"]).found.any()
    assert "without it" in caplog.text


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path):
    def write(worker: int) -> None:
        for batch in range(5):
            texts = [f"{worker}-{batch}-{i}" for i in range(20)]
            VectorCache(tmp_path, "m", 4).put(texts, _vectors(20), "t")

    workers = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    texts = [f"{w}-{b}-{i}" for w in range(4) for b in range(5) for i in range(20)]
    assert VectorCache(tmp_path, "m", 4).get(texts).found.all()


def test_an_interrupted_write_leaves_the_last_whole_batch(tmp_path: Path):
    cache = VectorCache(tmp_path, "m", 4)
    cache.put(["x"], _vectors(1), "t")
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("DELETE FROM text_vector")
    connection.close()  # without a commit, as a killed process
    assert cache.get(["x"]).found.all()
