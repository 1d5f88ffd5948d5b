"""Tfidf by worked examples, degenerate corpora and its saved form."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from penchant.encode.tfidf import TfidfEncoder
from penchant.errors import ModelError

TEXTS = ["red apple pie", "green apple tart", "apple", "fast blue car", "slow blue truck", "blue car race"]


def _fitted(texts: list[str], n_dims: int = 8) -> TfidfEncoder:
    encoder = TfidfEncoder(n_dims=n_dims, seed=3)
    encoder.fit(texts)
    return encoder


def test_like_texts_lie_together():
    vectors = _fitted(TEXTS, 2).encode(TEXTS)
    similarity = vectors @ vectors.T
    assert similarity[:3, :3].min() > 0.8
    assert abs(similarity[:3, 3:]).max() < 0.3


def test_character_grams_join_word_forms_and_place_unseen_words():
    encoder = _fitted(TEXTS)
    vectors = encoder.encode(["apples", "apple", "trucks", "slow blue truck"])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[3]
    assert vectors[2] @ vectors[3] > vectors[2] @ vectors[1]


def test_chinese_and_mixed_texts():
    texts = ["科幻电影", "经典科幻小说", "手机壳", "苹果手机", "iPhone 手机壳", "science fiction film"]
    vectors = _fitted(texts).encode(texts)
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > similarity[0, 2]
    assert similarity[2, 4] > similarity[2, 5]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "texts",
    [[], ["", " "], ["!!"], ["a"], ["one text"], ["same same"] * 9, ["the of", "and"], ["12", "34"]],
)
def test_degenerate_corpora_give_finite_rows(texts: list[str]):
    encoder = _fitted(texts)
    vectors = encoder.encode([*texts, "", "never seen"])
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    norms = np.linalg.norm(vectors, axis=1)
    assert np.all((norms == 0) | (abs(norms - 1) < 1e-5))
    assert norms[len(texts)] == 0


def test_texts_of_stop_words_alone_have_vectors():
    vectors = _fitted(["them!", "it", "the thing", "blue car"]).encode(["them!", "it"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_dims_are_bounded_by_the_corpus():
    encoder = _fitted(TEXTS, 256)
    assert encoder.encode(TEXTS).shape[1] <= len(TEXTS)
    assert encoder.name == f"tfidf (word 1-2 + char 3-5, SVD {encoder.encode(TEXTS).shape[1]})"


def test_exact_and_random_decompositions_agree_on_similarities(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(60)])
    texts = [" ".join(words[rng.zipf(1.6, 8) % 60]) for _ in range(300)]
    exact = _fitted(texts, 16).encode(texts)
    monkeypatch.setattr("penchant.encode.tfidf.EXACT_BELOW", 10)
    approximate = _fitted(texts, 16).encode(texts)
    assert np.abs(exact @ exact.T - approximate @ approximate.T).mean() < 0.02


def test_saved_form_gives_the_same_vectors_without_pickles():
    encoder = _fitted(TEXTS)
    parts = encoder.to_parts()
    assert all(array.dtype != object for array in parts.arrays.values())
    again = TfidfEncoder.from_parts(parts)
    assert again.name == encoder.name
    assert np.array_equal(again.encode(TEXTS), encoder.encode(TEXTS))


def test_foreign_parts_are_refused():
    parts = _fitted(TEXTS).to_parts()
    parts.arrays["components"] = parts.arrays["components"][:, :-1]
    with pytest.raises(ModelError, match="component columns"):
        TfidfEncoder.from_parts(parts)


def test_encode_before_fit_says_so():
    with pytest.raises(ModelError, match="fit"):
        TfidfEncoder().encode(["x"])


def test_another_process_gives_the_same_bytes():
    texts = [f"w{i % 7} x{i % 11} y{i}" for i in range(500)]
    code = (
        "import hashlib; from penchant.encode.tfidf import TfidfEncoder\n"
        "texts = [f'w{i % 7} x{i % 11} y{i}' for i in range(500)]\n"
        "e = TfidfEncoder(n_dims=16, seed=3); e.fit(texts)\n"
        "print(hashlib.sha256(e.encode(texts).tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.strip()
    assert hashlib.sha256(_fitted(texts, 16).encode(texts).tobytes()).hexdigest() == other
