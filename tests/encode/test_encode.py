"""The stage as a whole: the choice of an encoder, the packaged model, and rows of a catalogue."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from penchant.config import EncodeConfig, RunOptions
from penchant.data import Items, Parts
from penchant.encode import auto, encode_items, encoder_from_parts, make_encoder, packaged_model
from penchant.errors import MissingExtraError, ModelError

RUN = RunOptions(device="cpu")
needs_packaged = pytest.mark.skipif(packaged_model.find_packaged_model() is None, reason="the extra is not installed")


def _items(titles: list[str | None]) -> Items:
    n = len(titles)
    return Items(
        pl.DataFrame(
            {"item_id": [f"i{row}" for row in range(n)], "title": titles, "text": [None] * n, "categories": [[]] * n},
            schema_overrides={"title": pl.String, "text": pl.String, "categories": pl.List(pl.String)},
        )
    )


class CountingEncoder:
    """Says what it was given; a vector is the length of the text."""

    name = "counting"

    def __init__(self) -> None:
        self.given: list[str] = []
        self.fits = 0
        self.fitted = False

    def fit(self, texts: list[str]) -> None:
        self.fits += 1
        self.fitted = True

    def encode(self, texts: list[str]) -> np.ndarray:
        self.given += texts
        return np.array([[len(text), 1] for text in texts], np.float32)

    def to_parts(self) -> Parts:
        return Parts()


def test_each_distinct_text_is_encoded_once_and_blank_items_are_zero():
    encoder = CountingEncoder()
    items = _items(["pear", None, "apple", "pear", ""])
    vectors = encode_items(items, encoder, EncodeConfig(), RUN)
    assert vectors is not None
    assert encoder.given == ["apple", "pear"]
    assert vectors.values[:, 0].tolist() == [4, 0, 5, 4, 0]
    assert vectors.present.tolist() == [True, False, True, True, False]
    encode_items(items, encoder, EncodeConfig(), RUN)
    assert encoder.fits == 1


@pytest.mark.parametrize("method", ["none", "tfidf", "auto"])
def test_no_texts_give_none(method: str):
    config = EncodeConfig.model_validate({"method": method})
    assert encode_items(_items([None, ""]), make_encoder(config, RUN, seed=0), config, RUN) is None


def test_method_none_gives_none():
    config = EncodeConfig(method="none")
    assert make_encoder(config, RUN, seed=0) is None
    assert encode_items(_items(["a"]), None, config, RUN) is None


def test_fields_choose_what_is_read():
    encoder = CountingEncoder()
    items = Items(_items(["ab", "cd"]).table.with_columns(plot=pl.Series(["long plot", "x"])))
    encode_items(items, encoder, EncodeConfig(fields=("plot",)), RUN)
    assert encoder.given == ["long plot", "x"]


def test_tfidf_round_trip_by_kind():
    config = EncodeConfig(method="tfidf", n_dims=4)
    encoder = make_encoder(config, RUN, seed=0)
    assert encoder is not None
    encode_items(_items(["red apple", "green apple", "car"]), encoder, config, RUN)
    again = encoder_from_parts(encoder.to_parts(), RUN)
    assert again.name == encoder.name
    assert np.array_equal(again.encode(["apple"]), encoder.encode(["apple"]))
    with pytest.raises(ModelError, match="unknown"):
        encoder_from_parts(Parts(config={"kind": "tfidff"}), RUN)


def test_auto_takes_tfidf_for_chinese_and_says_why():
    config = EncodeConfig(n_dims=4)
    encoder = make_encoder(config, RUN, seed=0)
    assert encoder is not None
    vectors = encode_items(_items(["科幻电影", "手机壳", "red apple"]), encoder, config, RUN)
    assert vectors is not None
    assert vectors.name.startswith("tfidf")
    if packaged_model.find_packaged_model():
        assert "67% of the texts are not in Latin script" in encoder.reason  # type: ignore[attr-defined]


def test_auto_takes_tfidf_without_the_extra_and_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auto, "find_packaged_model", lambda: None)
    encoder = auto.AutoEncoder(EncodeConfig(), RUN, seed=0)
    encoder.fit(["red apple", "car"])
    assert encoder.name.startswith("tfidf")
    assert "penchant[transformer]" in encoder.reason


@needs_packaged
def test_auto_takes_the_packaged_transformer_for_english():
    config = EncodeConfig()
    encoder = make_encoder(config, RUN, seed=0)
    vectors = encode_items(_items(["a tale of love", "romantic story", "diesel engine"]), encoder, config, RUN)
    assert vectors is not None
    assert vectors.name == "transformer:all-MiniLM-L6-v2 (torch fp32, 384 dims)"
    similarity = vectors.values @ vectors.values.T
    assert similarity[0, 1] > similarity[0, 2]
    assert encoder is not None
    assert "is installed" in encoder.reason  # type: ignore[attr-defined]
    assert encoder.to_parts().config["kind"] == "transformer"


def test_a_named_model_is_taken_by_auto_whatever_the_texts(tiny_bert: Path):
    encoder = make_encoder(EncodeConfig(model=str(tiny_bert)), RUN, seed=0)
    assert encoder is not None
    encoder.fit(["苹果"])
    assert encoder.name.startswith("transformer:tiny-bert")


def test_auto_before_fit_says_so():
    with pytest.raises(ModelError, match="fit"):
        auto.AutoEncoder(EncodeConfig(), RUN, seed=0).encode(["x"])


@needs_packaged
def test_packaged_weights_that_differ_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = packaged_model.find_packaged_model()
    assert found is not None
    shutil.copytree(found, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "model" / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(packaged_model, "find_packaged_model", lambda: tmp_path / "model")
    with pytest.raises(ModelError, match="are not those of all-MiniLM-L6-v2"):
        packaged_model.packaged_model()


def test_the_packaged_model_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packaged_model, "find_packaged_model", lambda: None)
    with pytest.raises(MissingExtraError, match="transformer"):
        packaged_model.packaged_model()
