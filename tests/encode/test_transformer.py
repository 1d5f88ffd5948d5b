"""The transformer encoder on tiny models: pooling, padding, cache, both backends, and what it refuses."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from penchant.config import EncodeConfig, RunOptions
from penchant.data import Parts
from penchant.encode import encoder_from_parts, make_encoder, transformer
from penchant.encode.model_folder import open_model
from penchant.encode.transformer import TransformerEncoder
from penchant.errors import ConfigError, MissingExtraError, ModelError

pytest.importorskip("torch")
pytest.importorskip("transformers")

TEXTS = ["red apple", "the old truck of war and love in space", "", "film", "small new drama"]


def _encoder(model: Path, run: RunOptions | None = None, **settings: object) -> TransformerEncoder:
    config = EncodeConfig.model_validate({"method": "transformer", "model": str(model), **settings})
    return TransformerEncoder(config, run or RunOptions(device="cpu"))


def _by_hand(model: Path, text: str) -> np.ndarray:
    """One text at a time, so without padding: the mean of its last hidden states, unit length."""
    import torch
    from tokenizers import Tokenizer

    from penchant.encode.torch_runtime import load_torch_model

    ids = Tokenizer.from_file(str(model / "tokenizer.json")).encode(text).ids
    with torch.inference_mode():
        hidden = load_torch_model(open_model(str(model), 32))(input_ids=torch.tensor([ids])).last_hidden_state[0]
    mean = hidden.mean(dim=0).numpy()
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("kind", ["tiny_bert", "tiny_gpt"])
def test_mean_pooling_ignores_padding(kind: str, request: pytest.FixtureRequest):
    model = request.getfixturevalue(kind)
    vectors = _encoder(model).encode(TEXTS)
    for row in (0, 1, 3, 4):
        assert vectors[row] @ _by_hand(model, TEXTS[row]) > 0.99999
    assert not vectors[2].any()


def test_rows_follow_the_texts_whatever_the_batches(tiny_bert: Path):
    all_at_once = _encoder(tiny_bert).encode(TEXTS)
    one_by_one = _encoder(tiny_bert, batch_size=1).encode([*TEXTS[::-1], TEXTS[0]])
    assert np.allclose(all_at_once, one_by_one[4::-1], atol=1e-5)
    assert np.allclose(one_by_one[5], all_at_once[0], atol=1e-5)
    assert _encoder(tiny_bert).encode([]).shape == (0, 16)


def test_texts_are_cut_at_max_tokens(tiny_bert: Path):
    long = "red apple " * 200
    cut = _encoder(tiny_bert, max_tokens=8).encode([long])
    assert np.allclose(cut, _encoder(tiny_bert, max_tokens=8).encode(["red apple " * 4]), atol=1e-5)
    assert open_model(str(tiny_bert), 512).max_tokens == 32


def test_name_says_model_backend_and_dims(tiny_bert: Path):
    encoder = _encoder(tiny_bert)
    assert encoder.name == "transformer:tiny-bert (fp32, 16 dims)"
    encoder.encode(TEXTS)
    assert encoder.name == "transformer:tiny-bert (torch fp32, 16 dims)"
    assert "too few" in encoder.reason


def test_nothing_leaks_to_the_terminal(tiny_bert: Path, capfd: pytest.CaptureFixture[str]):
    _encoder(tiny_bert).encode(TEXTS)
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_stderr(tiny_bert: Path, capfd: pytest.CaptureFixture[str]):
    _encoder(tiny_bert, RunOptions(device="cpu", progress=True)).encode(TEXTS)
    assert capfd.readouterr().out == ""


def test_a_second_fit_encodes_only_new_texts(tiny_bert: Path, tmp_path: Path):
    run = RunOptions(device="cpu", cache_dir=tmp_path)
    first = _encoder(tiny_bert, run)
    vectors = first.encode(TEXTS)
    second = _encoder(tiny_bert, run)
    assert np.array_equal(second.encode(TEXTS), vectors)
    assert (second.n_encoded, second.n_cached) == (0, 4)
    assert second.name == first.name  # says what made the vectors, not that they were cached
    second.encode(["green pear", *TEXTS])
    assert second.n_encoded == 1


def test_the_cache_knows_models_and_lengths_apart(tiny_bert: Path, tiny_gpt: Path, tmp_path: Path):
    run = RunOptions(device="cpu", cache_dir=tmp_path)
    for encoder in (_encoder(tiny_bert, run), _encoder(tiny_gpt, run), _encoder(tiny_bert, run, max_tokens=8)):
        encoder.encode(TEXTS)
        assert encoder.n_cached == 0


@pytest.mark.parametrize("kind", ["tiny_bert", "tiny_gpt"])
def test_onnx_gives_the_vectors_of_torch(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    pytest.importorskip("onnxscript")
    model = request.getfixturevalue(kind)
    torch_vectors = _encoder(model, backend="torch").encode(TEXTS)
    onnx = _encoder(model, RunOptions(device="cpu", cache_dir=tmp_path), backend="onnx")
    vectors = onnx.encode(TEXTS)
    assert "onnx fp32" in onnx.name
    assert (vectors * torch_vectors).sum(axis=1)[[0, 1, 3, 4]].min() > 0.9999
    # from now on auto finds the export
    auto = _encoder(model, RunOptions(device="cpu", cache_dir=tmp_path))
    auto.encode(["green pear"])
    assert "onnx fp32" in auto.name
    assert "lies in the cache" in auto.reason


def test_auto_exports_when_it_pays_and_says_when_it_fails(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_: object) -> None:
        raise ModelError("torch can't export it")

    monkeypatch.setattr(transformer, "EXPORT_FROM_TOKENS", 1)
    monkeypatch.setattr(transformer, "export_is_installed", lambda: True)
    monkeypatch.setattr(transformer, "export_model", fail)
    encoder = _encoder(tiny_bert, RunOptions(device="cpu", cache_dir=tmp_path))
    with caplog.at_level(logging.WARNING):
        encoder.encode(TEXTS)
    assert "torch runs instead" in caplog.text
    assert "export failed" in encoder.reason
    assert "torch fp32" in encoder.name
    with pytest.raises(ModelError, match="can't export"):  # asked for by name: no other backend steps in
        _encoder(tiny_bert, RunOptions(device="cpu", cache_dir=tmp_path), backend="onnx").encode(["green"])


def _as_sentence_transformer(model: Path, folder: Path, pooling: dict[str, object]) -> Path:
    shutil.copytree(model, folder)
    listed = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **pooling}))
    return folder


OLD = {f"pooling_mode_{mode}": False for mode in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}


@pytest.mark.parametrize(
    "pooling",
    [
        {**OLD, "pooling_mode_cls_token": True},
        {**OLD, "pooling_mode_max_tokens": True},
        {**OLD, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True},
        {"pooling_mode": "weightedmean"},
        {"pooling_mode": "lasttoken"},
        {"pooling_mode": ["cls", "mean"]},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore")
def test_pooling_is_that_of_sentence_transformers(tiny_bert: Path, tmp_path: Path, pooling: dict[str, object]):
    library = pytest.importorskip("sentence_transformers")
    folder = _as_sentence_transformer(tiny_bert, tmp_path / "model", pooling)
    texts = [text for text in TEXTS if text]
    expected = library.SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    vectors = _encoder(folder).encode(texts)
    assert vectors.shape == expected.shape
    assert (vectors * expected).sum(axis=1).min() > 0.9999


def test_dense_layers_and_prompts_are_applied(tiny_bert: Path, tmp_path: Path):
    from safetensors.numpy import save_file

    folder = _as_sentence_transformer(tiny_bert, tmp_path / "model", {"pooling_mode": "mean"})
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(
        json.dumps([*modules, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}])
    )
    (folder / "2_Dense").mkdir()
    weight = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    save_file(
        {"linear.weight": weight, "linear.bias": np.ones(4, np.float32)}, folder / "2_Dense" / "model.safetensors"
    )
    activation = {"in_features": 16, "out_features": 4, "activation_function": "torch.nn.modules.activation.Tanh"}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(activation))
    prompts = {"prompts": {"query": "red "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))

    assert open_model(str(folder), 32).n_dims == 4
    mean = _encoder(tiny_bert).encode(["red apple"])[0]
    length = np.linalg.norm(_raw_mean(tiny_bert, "red apple"))
    expected = np.tanh(weight @ (mean * length) + 1)
    got = _encoder(folder).encode(["apple"])[0]
    assert got @ (expected / np.linalg.norm(expected)) > 0.9999


def _raw_mean(model: Path, text: str) -> np.ndarray:
    from penchant.encode.torch_runtime import TorchRuntime
    from penchant.encode.transformer import load_tokeniser

    folder = open_model(str(model), 32)
    ids = np.array(load_tokeniser(folder)([text]))
    return TorchRuntime(folder, "cpu").run(ids, np.ones_like(ids))[0].mean(axis=0)


def test_saved_form_opens_the_model_again_and_checks_it(tiny_bert: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    encoder = _encoder(folder)
    parts = Parts(config=json.loads(json.dumps(dict(encoder.to_parts().config))))
    again = encoder_from_parts(parts, RunOptions(device="cpu"))
    assert np.array_equal(again.encode(TEXTS), encoder.encode(TEXTS))

    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text().replace("apple", "maple"))
    with pytest.raises(ModelError, match="not the model of the fit"):
        encoder_from_parts(parts, RunOptions(device="cpu")).encode(TEXTS)
    shutil.rmtree(folder)
    late = encoder_from_parts(parts, RunOptions(device="cpu"))  # a model can be read without its transformer
    assert late.to_parts() == parts
    with pytest.raises(ModelError, match="no such folder"):
        late.encode(TEXTS)


def _remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _empty_config(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def _odd_module(folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([{"path": "", "type": "sentence_transformers.models.CNN"}]))


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (_remove_weights, ModelError, "safetensors"),
        (_empty_config, ModelError, "hidden size"),
        (_odd_module, ConfigError, "CNN"),
        (lambda f: (f / "config.json").unlink(), ModelError, "incomplete"),
    ],
)
def test_folders_that_cant_be_used_are_refused(
    tiny_bert: Path, tmp_path: Path, damage: Callable[[Path], None], error: type[Exception], words: str
):
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    damage(folder)
    with pytest.raises(error, match=words):
        _encoder(folder)


def test_names_not_found_say_the_next_step(monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def offline(name: str, local_files_only: bool, **_: object) -> str:
        asked.append((name, local_files_only))
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelError, match="Hugging Face hub"):
        _encoder(Path("some-model"))
    # the local cache is asked before the network, a bare name as one of sentence-transformers first
    assert asked[0] == ("sentence-transformers/some-model", True)
    assert asked[-1] == ("some-model", False)


def test_a_local_path_never_asks_the_network(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch):
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert len(_encoder(tiny_bert).encode(TEXTS)) == len(TEXTS)


def test_devices_that_are_not_there(tiny_bert: Path):
    import torch

    with pytest.raises(ConfigError, match="must be auto, cpu or cuda"):
        _encoder(tiny_bert, RunOptions(device="tpu")).encode(["red"])
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            _encoder(tiny_bert, RunOptions(device="cuda")).encode(["red"])


def test_without_the_extra_the_install_line_is_given(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transformer, "torch_is_installed", lambda: False)
    monkeypatch.setattr(transformer, "onnx_is_installed", lambda: False)
    config = EncodeConfig(method="transformer", model=str(tiny_bert))
    with pytest.raises(MissingExtraError, match=r"penchant\[transformer\]"):
        make_encoder(config, RunOptions(), seed=0)
