"""Word vectors as a text encoder: three file forms, worked examples, broken files, and the saved form."""

from __future__ import annotations

import gzip
import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penchant.config import EncodeConfig, RunOptions
from penchant.encode import encoder_from_parts, make_encoder
from penchant.encode.vector_file import open_vector_file, read_words
from penchant.encode.word_vectors import WordVectorEncoder
from penchant.errors import ConfigError, ModelError

# the commonest first, as such files are written
WORDS = {
    "the": [0.3, 0.3, 0.3, 1.0],
    "apple": [1.0, 0.0, 0.0, 0.1],
    "Paris": [0.0, 0.0, 1.0, 0.1],
    "pie": [0.9, 0.2, 0.0, 0.0],
    "car": [0.0, 1.0, 0.0, 0.1],
    "truck": [0.1, 0.9, 0.0, 0.0],
    "科幻": [0.0, 0.5, 0.8, 0.0],
    "电影": [0.0, 0.4, 0.9, 0.0],
    "手": [0.7, 0.7, 0.1, 0.0],
    "zebra": [0.2, 0.1, 0.9, 0.3],
}
TEXTS = ["the apple pie", "the car", "truck", "Paris", "科幻电影"]


def write(path: Path, form: str, words: dict[str, list[float]] | None = None) -> str:
    words = WORDS if words is None else words
    width = len(next(iter(words.values())))
    lines = [f"{word} {' '.join(map(str, numbers))}" for word, numbers in words.items()]
    if form == "binary":
        rows = [word.encode() + b" " + struct.pack(f"<{width}f", *numbers) + b"\n" for word, numbers in words.items()]
        data = f"{len(words)} {width}\n".encode() + b"".join(rows)
    else:
        data = "\n".join([f"{len(words)} {width}"] * (form == "text") + lines).encode() + b"\n"
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.fixture
def glove(tmp_path: Path) -> str:
    return write(tmp_path / "glove.txt", "glove")


def fitted(model: str, texts: list[str] = TEXTS, **settings: object) -> WordVectorEncoder:
    encoder = make_encoder(
        EncodeConfig.model_validate({"method": "words", "model": model, **settings}), RunOptions(), seed=0
    )
    assert isinstance(encoder, WordVectorEncoder)
    encoder.fit(texts)
    return encoder


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz"])
@pytest.mark.parametrize("form", ["text", "binary", "glove"])
def test_every_form_says_the_same(tmp_path: Path, glove: str, form: str, name: str) -> None:
    file = open_vector_file(write(tmp_path / name, form))
    assert file.n_dims == 4
    assert file.form == {"text": "word2vec text", "binary": "word2vec binary", "glove": "glove text"}[form]
    table = read_words(file, frozenset(), 100)
    assert table.words == [word.lower() for word in WORDS]
    assert np.array_equal(table.vectors, np.array(list(WORDS.values()), np.float32))
    assert fitted(str(file.path)).encode(TEXTS).tobytes() == fitted(glove).encode(TEXTS).tobytes()


def test_a_text_is_the_weighted_sum_of_its_words(glove: str) -> None:
    encoder = fitted(glove)
    # too few texts for a component; p = (count + 10,000 zipf share) / (8 known words + 10,000), a = 0.001
    zipf = 1 / np.arange(1, 11) / (1 / np.arange(1, 11)).sum()
    p = (np.array([2, 1, 1, 1, 1, 1, 1, 1, 0, 0]) + 10_000 * zipf) / (9 + 10_000)
    weight = 0.001 / (0.001 + p)
    vectors = np.array(list(WORDS.values()))
    expected = weight[0] * vectors[0] + weight[1] * vectors[1] + weight[3] * vectors[3]
    assert np.allclose(encoder.encode(["The APPLE, pie!"])[0], expected / np.linalg.norm(expected), atol=1e-6)
    assert "no component removed" in encoder.name


def test_like_texts_lie_together_chinese_too(glove: str) -> None:
    vectors = fitted(glove).encode(["apple", "pie", "car", "truck", "科幻小说", "我看电影"])
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 0.9 > 0.3 > similarity[0, 2]
    assert similarity[2, 3] > 0.9
    assert similarity[4, 5] > 0.9


def test_what_is_unknown_is_zero_counted_and_read_by_parts(glove: str) -> None:
    encoder = fitted(glove, ["apple qwx qwx", "apple-pie", "手袋", "", "zzz"])
    vectors = encoder.encode(["", "  ", "qwx !", "apple-pie", "apple pie", "手袋", "手"])
    assert not vectors[:3].any()
    assert np.array_equal(vectors[3], vectors[4])
    assert np.array_equal(vectors[5], vectors[6])
    # apple, qwx twice, apple, pie, 手, 袋, zzz
    assert (encoder.facts["n_words_read"], encoder.facts["n_unknown"]) == (8, 4)
    assert encoder.facts["commonest_unknown"] == ["qwx", "zzz", "袋"]
    assert encoder.facts["n_texts_without_vector"] == 1
    assert "50.0% of words unknown" in encoder.name


def test_the_first_component_of_many_texts_is_removed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = {
        f"w{chr(97 + i)}": (np.eye(6)[i % 6] + 3 * np.eye(7)[6][:6] + 2.0 + 0.1 * rng.random(6)).tolist()
        for i in range(24)
    }
    names = np.array(list(words))
    texts = [" ".join(names[rng.integers(0, 24, 4)]) for _ in range(80)]
    encoder = fitted(write(tmp_path / "v.txt", "text", words), texts)
    vectors = encoder.encode(texts)
    assert "first component removed" in encoder.name
    assert np.abs(vectors @ encoder.to_parts().arrays["component"]).max() < 1e-5
    similarity = vectors @ vectors.T
    assert abs(similarity[np.triu_indices(80, 1)].mean()) < 0.1
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_kept_are_the_first_words_and_those_of_the_catalogue(glove: str) -> None:
    encoder = fitted(glove, ["car"], n_words=2)
    assert encoder.to_parts().tables["word"]["word"].to_list() == ["the", "apple", "car"]
    vectors = encoder.encode(["apple", "truck"])  # neither is in the catalogue; one is common in the file
    assert vectors[0].any()
    assert not vectors[1].any()
    assert not fitted(glove, ["car"], n_words=0).encode(["apple"]).any()


def test_the_lower_case_word_counts_before_others(tmp_path: Path) -> None:
    words = {
        "Apple": [1.0, 0.0],
        "APPLE": [0.5, 0.5],
        "apple": [0.0, 1.0],
        "Us": [1.0, 1.0],
        "US": [2.0, 0.0],
        "a b": [3.0, 3.0],
    }
    table = read_words(open_vector_file(write(tmp_path / "v.txt", "glove", words)), frozenset(["apple"]), 100)
    assert table.words == ["apple", "us", "a b"]
    assert table.vectors.tolist() == [[0, 1], [1, 1], [3, 3]]
    assert table.rank.tolist() == [0, 3, 5]


@pytest.mark.parametrize("texts", [[], ["", " "], ["!!"], ["apple"], ["qwx"], ["apple"] * 60])
def test_edge_corpora_give_finite_rows(glove: str, texts: list[str]) -> None:
    vectors = fitted(glove, texts).encode([*texts, "", "car"])
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts) + 2, 4)
    assert np.isfinite(vectors).all()
    assert not vectors[-2].any()
    assert vectors[-1].any()


def test_saved_it_needs_no_file(tmp_path: Path, glove: str) -> None:
    encoder = fitted(glove)
    parts = encoder.to_parts()
    Path(glove).unlink()
    again = encoder_from_parts(parts, RunOptions())
    texts = [*TEXTS, "zebra new", ""]
    assert again.encode(texts).tobytes() == encoder.encode(texts).tobytes()
    restored = WordVectorEncoder.from_parts(parts)
    assert (restored.name, dict(restored.facts)) == (encoder.name, dict(encoder.facts))
    with pytest.raises(ModelError, match="can't be fitted again"):
        restored.fit(TEXTS)


def test_saved_parts_that_miss_or_do_not_fit_are_named(glove: str) -> None:
    parts = fitted(glove).to_parts()
    weights = parts.arrays["weights"]
    parts.arrays["weights"] = weights[:-1]  # type: ignore[index]
    with pytest.raises(ModelError, match="don't fit together"):
        WordVectorEncoder.from_parts(parts)
    del parts.arrays["weights"]  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="'weights' is missing"):
        WordVectorEncoder.from_parts(parts)


def test_another_process_gives_the_same_bytes(glove: str) -> None:
    code = (
        "import hashlib, sys; from tests.encode.test_word_vectors import fitted, TEXTS\n"
        "print(hashlib.sha256(fitted(sys.argv[1]).encode(TEXTS).tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code, glove], capture_output=True, text=True, check=True).stdout
    assert other.strip() == hashlib.sha256(fitted(glove).encode(TEXTS).tobytes()).hexdigest()


def test_asking_before_fitting_and_without_a_path_is_refused(glove: str) -> None:
    with pytest.raises(ConfigError, match="needs the path"):
        WordVectorEncoder(EncodeConfig(method="words"))
    with pytest.raises(ModelError, match="not fitted"):
        WordVectorEncoder(EncodeConfig(method="words", model=glove)).encode(["apple"])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("v.kv", b"\x80\x04\x95", "save_word2vec_format"),
        ("v.bin", b"\x80\x04\x95", "pickle"),
        ("v.bin", b"\xba\x16\x4f\x2f1234", "fastText"),
        ("v.txt", b"", "first line"),
        ("v.txt", b"hello world\nthis is prose\n", "first line"),
        ("v.csv", b"user_id,item_id\n1,2\n", "first line"),
        ("v.txt", b"3 2\na 1 2\nb 3 4\n", "broken off: 2 of 3"),
        ("v.txt", b"1 2\na 1 2\nb 3 4\n", "more than the 1 words"),
        ("v.txt", b"2 2\na 1 2\nb 3\n", "word 2 has not 2 finite numbers"),
        ("v.txt", b"a 1 2\nb 3\n", "word 2 has not 2 finite numbers"),
        ("v.txt", b"a 1 2\nb 3 nan\n", "word 2 has not 2 finite numbers"),
        ("v.txt", b"a 1 2\nb\n", "word 2 has no numbers"),
        ("v.bin", b"2 2\na " + struct.pack("<2f", 1, 2) + b"b \x00\x00", "1 of 2 words"),
        ("v.bin", b"1 2\na " + struct.pack("<2f", 1, float("inf")), "word 1 has not 2 finite"),
        ("v.txt.gz", gzip.compress(b"a 1 2\nb 3 4\n" * 99)[:-12], "archive is broken off"),
        ("v.txt.gz", b"\x1f\x8bnonsense", "archive is broken off or damaged"),
    ],
)
def test_files_that_cannot_be_used_are_explained(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError, match=message):
        fitted(str(tmp_path / name), ["a b"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no file at .*absent\.txt"):
        WordVectorEncoder(EncodeConfig(method="words", model=str(tmp_path / "absent.txt")))


def test_gensim_writes_what_we_read(tmp_path: Path, glove: str) -> None:
    keyed = pytest.importorskip("gensim.models").KeyedVectors(4)
    keyed.add_vectors(list(WORDS), np.array(list(WORDS.values()), np.float32))
    for binary in (False, True):
        path = tmp_path / f"gensim{binary}.vec"
        keyed.save_word2vec_format(str(path), binary=binary)
        assert np.allclose(fitted(str(path)).encode(TEXTS), fitted(glove).encode(TEXTS), atol=1e-6)
