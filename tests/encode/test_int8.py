"""Transformers in int8: what is lost is told, a text's vector is its own, and nothing else steps in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from penchant.config import EncodeConfig, RunOptions, build_config
from penchant.data import Parts
from penchant.encode import encoder_from_parts, make_encoder, onnx_runtime
from penchant.encode.cache import FILE_NAME
from penchant.encode.model_folder import open_model
from penchant.encode.onnx_runtime import export_path, has_export
from penchant.encode.transformer import TransformerEncoder
from penchant.errors import ConfigError, MissingExtraError, ModelError
from tests.encode.conftest import WORDS

pytestmark = pytest.mark.skipif(not onnx_runtime.export_is_installed(), reason="the extra is not installed")

RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(1, 7))) for _ in range(100)]


def _encoder(model: Path, run: RunOptions, **settings: object) -> TransformerEncoder:
    config = {"method": "transformer", "model": str(model), "precision": "int8", **settings}
    return TransformerEncoder(EncodeConfig.model_validate(config), run)


@pytest.fixture
def run(onnx_cache: Path) -> RunOptions:
    """Exports are kept, vectors are not."""
    (onnx_cache / FILE_NAME).unlink(missing_ok=True)
    return RunOptions(device="cpu", cache_dir=onnx_cache)


@pytest.mark.parametrize("kind", ["tiny_bert", "tiny_gpt"])
def test_it_is_near_fp32_and_says_how_near(kind: str, run: RunOptions, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(kind)
    encoder = _encoder(model, run)
    encoder.fit(TEXTS)
    vectors = encoder.encode(TEXTS)
    exact = _encoder(model, run, precision="fp32", backend="onnx").encode(TEXTS)
    cosine = (vectors * exact).sum(axis=1)
    assert 0.9 < cosine.min() < 0.99999
    assert encoder.loss["n_texts"] == 64
    assert encoder.loss["mean_cosine"] == pytest.approx(cosine.mean(), abs=0.01)
    said = f"(onnx int8, mean cosine {encoder.loss['mean_cosine']:.4f} to fp32 on 64 of your texts, 16 dims)"
    assert encoder.name.endswith(said)
    assert encoder.reason == "ONNX runtime in int8 was asked for"


def test_the_loss_does_not_hang_on_the_order_of_the_texts(tiny_bert: Path, run: RunOptions) -> None:
    one, two = _encoder(tiny_bert, run), _encoder(tiny_bert, run)
    one.fit(TEXTS)
    two.fit([*TEXTS[::-1], "", *TEXTS])
    assert one.loss == two.loss
    assert one.name == two.name


def test_a_vector_hangs_on_its_own_text_alone(tiny_bert: Path) -> None:
    encoder = _encoder(tiny_bert, RunOptions(device="cpu"))
    together = encoder.encode([*TEXTS, "red", "big car " * 9])
    assert np.array_equal(encoder.encode(["red"])[0], together[-2])
    assert not encoder.encode(["", " "]).any()


def test_both_exports_lie_in_the_cache_and_vectors_are_kept_apart(tiny_bert: Path, run: RunOptions) -> None:
    place = run.cache_dir
    assert place is not None
    small = _encoder(tiny_bert, run)
    small.encode(TEXTS[:5])
    folder = open_model(str(tiny_bert), 128)
    assert has_export(place, folder)
    assert has_export(place, folder, "int8")
    exact = _encoder(tiny_bert, run, precision="fp32")
    exact.encode(TEXTS[:5])
    assert exact.n_cached == 0
    assert "onnx fp32" in exact.name
    again = _encoder(tiny_bert, run)
    assert np.array_equal(again.encode(TEXTS[:5]), small.encode(TEXTS[:5]))
    assert (again.n_cached, again.name) == (5, small.name)
    path = export_path(place, folder, "int8")
    path.write_bytes(path.read_bytes()[:-1])
    assert not has_export(place, folder, "int8")  # broken: it is made again
    assert _encoder(tiny_bert, run).encode(["new"]).any()


def test_saved_it_remembers_its_loss(tiny_bert: Path, run: RunOptions) -> None:
    encoder = _encoder(tiny_bert, run)
    encoder.fit(TEXTS)
    parts = Parts(config=json.loads(json.dumps(dict(encoder.to_parts().config))))
    again = encoder_from_parts(parts, run)
    assert np.array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    assert again.name == encoder.name
    old = {key: value for key, value in parts.config.items() if key not in ("precision", "loss")}
    assert TransformerEncoder.from_parts(Parts(old), run).config.precision == "fp32"  # saved before there was int8


def test_auto_takes_it_with_its_transformer_or_not_at_all(tiny_bert: Path, run: RunOptions) -> None:
    auto = make_encoder(EncodeConfig(model=str(tiny_bert), precision="int8"), run, seed=0)
    assert auto is not None
    auto.fit(TEXTS)
    auto.encode(TEXTS)
    assert "onnx int8, mean cosine" in auto.name
    chinese = make_encoder(EncodeConfig(precision="int8"), run, seed=0)
    assert chinese is not None
    with pytest.raises(ConfigError, match="takes tfidf"):
        chinese.fit(["科幻电影", "手机壳"])


def test_settings_that_contradict_are_refused(tiny_bert: Path) -> None:
    with pytest.raises(ConfigError, match="ONNX runtime"):
        build_config({"encode": {"precision": "int8", "backend": "torch"}})
    with pytest.raises(ConfigError, match="method transformer"):
        build_config({"encode": {"precision": "int8", "method": "tfidf"}})
    with pytest.raises(ConfigError):  # on a machine without CUDA that is said first
        _encoder(tiny_bert, RunOptions(device="cuda")).encode(["red"])


@pytest.mark.parametrize("lacking", ["onnx", "onnxruntime"])
def test_without_the_library_the_install_line_is_given(
    lacking: str, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = onnx_runtime.find_spec
    monkeypatch.setattr(onnx_runtime, "find_spec", lambda name: None if name == lacking else found(name))
    for method in ("transformer", "auto"):
        config = EncodeConfig.model_validate({"method": method, "model": str(tiny_bert), "precision": "int8"})
        with pytest.raises(MissingExtraError, match=r"int8.*penchant\[transformer\]"):
            make_encoder(config, RunOptions(device="cpu"), seed=0).fit(TEXTS)  # type: ignore[union-attr]


def test_a_graph_that_cant_be_quantised_is_named(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="can't turn it into int8"):
        onnx_runtime.quantise(tmp_path / "bad.onnx", tmp_path / "int8.onnx", open_model(str(tiny_bert), 32))
    assert not (tmp_path / "int8.onnx").exists()
