"""Tuned encoders: what is learned, that held-out texts decide, the saved form, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import penchant as pc
from penchant.config import Config, RunOptions, build_config
from penchant.data import Events, Items, Parts
from penchant.encode import check_tuning, encoder_from_parts, make_encoder, onnx_runtime, tune_encoder, tuned
from penchant.encode.head import Head
from penchant.encode.pooling import pool
from penchant.encode.torch_runtime import quiet
from penchant.encode.tuned import TunedEncoder
from penchant.encode.tuned_transformer import CarriedTransformer
from penchant.errors import ConfigError, MissingExtraError, ModelError
from tests.encode.conftest import NO_TORCH, WORDS

torch = pytest.importorskip("torch")

from penchant.encode.contrast import contrast  # noqa: E402

needs_export = pytest.mark.skipif(not onnx_runtime.export_is_installed(), reason="the extra is not installed")

RUN = RunOptions(device="cpu")
N_ITEMS, N_USERS = 400, 200
CAMPS = (WORDS[:4], WORDS[4:8], WORDS[8:12], WORDS[12:16])


def _log(seed: int = 0, *, at_random: bool = False) -> tuple[Events, Items]:
    """Users of four camps; each likes items whose one telling word, among two others, is of their camp's."""
    rng = np.random.default_rng(seed)
    camp = rng.integers(0, 4, N_ITEMS)
    common = np.array(WORDS[16:])
    texts = [
        " ".join(rng.permutation([*rng.choice(common, 2, replace=False), CAMPS[c][rng.integers(0, 4)]])) for c in camp
    ]
    by_camp = [np.flatnonzero(camp == c) for c in range(4)]
    if at_random:
        by_camp = [np.arange(N_ITEMS)] * 4
    items = np.concatenate([rng.choice(by_camp[user % 4], 12, replace=False) for user in range(N_USERS)])
    user = np.repeat(np.arange(N_USERS), 12)
    order = rng.permutation(len(user))
    table = pl.DataFrame(
        {
            "user_row": pl.Series(user[order], dtype=pl.Int32),
            "item_row": pl.Series(items[order], dtype=pl.Int32),
            "action": pl.zeros(len(user), pl.Int16, eager=True),
            "weight": pl.ones(len(user), pl.Float32, eager=True),
            "time": pl.int_range(len(user), eager=True).cast(pl.Float64),
        }
    )
    catalogue = pl.DataFrame({"item_id": [f"i{row}" for row in range(N_ITEMS)], "title": texts}).with_columns(
        text=pl.lit(None, pl.String), categories=pl.lit([], pl.List(pl.String))
    )
    return Events(table, pl.Series("user_id", [f"u{u}" for u in range(N_USERS)]), ("view",)), Items(catalogue)


def _config(tune: str, **more: Any) -> Config:
    head = {"n_rounds": 4, "n_groups": 1500, "n_hidden": 64, "batch_size": 16, "learning_rate": 3e-3}
    full = {"n_rounds": 2, "n_groups": 500, "learning_rate": 3e-3}
    encode = {"method": "tfidf", "n_dims": 32, "tune": tune, "tune_share": 0.2, "head": head, "full": full} | more
    return build_config({"encode": encode})


def _tune(config: Config, events: Events, items: Items) -> TunedEncoder:
    encoder = tune_encoder(make_encoder(config.encode, RUN, seed=0), events, items, config.encode, RUN, seed=0)
    assert isinstance(encoder, TunedEncoder)
    return encoder


@pytest.fixture(scope="module")
def soft_bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT with smaller first weights, from which a few steps get somewhere."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("soft") / "soft-bert"
    shutil.copytree(tiny_bert, folder)
    config = transformers.BertConfig.from_pretrained(folder, initializer_range=0.1)
    torch.manual_seed(0)
    with quiet():
        transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def headed(soft_bert: Path) -> TunedEncoder:
    return _tune(_config("head", method="transformer", model=str(soft_bert)), *_log())


@pytest.fixture(scope="module")
def whole(soft_bert: Path) -> TunedEncoder:
    return _tune(_config("full", method="transformer", model=str(soft_bert)), *_log())


def _split(encoder: Any) -> float:
    """How much nearer new texts of one camp lie to each other than to those of the other (cosine)."""
    new = [f"of {camp[a]} and {camp[b]} in the new" for camp in CAMPS[:2] for a in range(4) for b in range(4)]
    vectors = encoder.encode(new)
    like = vectors @ vectors.T
    return float(like[:16, :16].mean() + like[16:, 16:].mean() - 2 * like[:16, 16:].mean())


def test_a_head_learns_what_users_tell_apart(headed: TunedEncoder) -> None:
    assert headed.facts["used"]
    assert headed.facts["tuned_score"] > headed.facts["untuned_score"]
    assert _split(headed) > _split(headed.base) + 0.1
    assert "with a head tuned on behaviour" in headed.name
    assert "soft-bert" in headed.name


def test_a_transformer_learns_what_users_tell_apart(whole: TunedEncoder, soft_bert: Path) -> None:
    assert whole.facts["used"]
    untuned = make_encoder(_config("off", method="transformer", model=str(soft_bert)).encode, RUN, seed=0)
    assert _split(whole) > _split(untuned) + 0.1
    assert "soft-bert-tuned" in whole.name
    assert "its weights tuned on behaviour" in whole.name


def test_a_head_stands_on_a_static_encoder(soft_bert: Path) -> None:
    encoder = _tune(_config("head", method="static", model=str(soft_bert)), *_log())
    assert encoder.facts["used"]
    assert "static:soft-bert" in encoder.name
    assert "with a head tuned on behaviour" in encoder.name
    again = encoder_from_parts(encoder.to_parts(), RUN)
    assert np.array_equal(again.encode(["new red film", ""]), encoder.encode(["new red film", ""]))


def test_where_behaviour_says_nothing_the_encoder_stays_and_says_so() -> None:
    encoder = _tune(_config("head"), *_log(at_random=True))
    assert not encoder.facts["used"]
    assert "not tuned: no better" in encoder.name
    assert np.array_equal(encoder.encode(["red film"]), encoder.base.encode(["red film"]))


def test_too_few_likes_leave_the_encoder_as_it_is() -> None:
    events, items = _log()
    encoder = _tune(_config("head"), events.take(events.user_row < 2), items)
    assert "too few" in encoder.name


@pytest.mark.parametrize(("kind", "tune"), [("headed", "head"), ("whole", "full")])
def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(
    kind: str, tune: str, soft_bert: Path, request: pytest.FixtureRequest
) -> None:
    first = request.getfixturevalue(kind).to_parts()
    threads = torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        again = _tune(_config(tune, method="transformer", model=str(soft_bert)), *_log()).to_parts()
    finally:
        torch.set_num_threads(threads)
    assert again.config == first.config
    assert again.arrays.keys() == first.arrays.keys()
    for name, array in first.arrays.items():
        assert np.array_equal(again.arrays[name], array), name


@pytest.mark.parametrize("kind", ["headed", "whole"])
def test_saved_and_read_back_it_says_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    encoder = request.getfixturevalue(kind)
    parts = encoder.to_parts()
    parts = Parts(json.loads(json.dumps(dict(parts.config))), parts.arrays, parts.tables)
    again = encoder_from_parts(parts, RUN)
    texts = ["new red film", "", "pear space of war"]
    assert np.array_equal(again.encode(texts), encoder.encode(texts))
    assert again.name == encoder.name
    assert not again.encode([""]).any()


def test_a_saved_model_places_new_items_without_the_original_and_without_torch(soft_bert: Path, tmp_path: Path) -> None:
    shutil.copytree(soft_bert, tmp_path / "gone")
    events, items = _log()
    log = events.table.with_columns(
        user_id=events.user_ids.gather(events.user_row), item_id=items.item_ids.gather(events.item_row)
    ).select("user_id", "item_id", timestamp=1e9 + 1e3 * pl.col("time"))
    config = _config("full", method="transformer", model=str(tmp_path / "gone"))
    model = pc.fit(log, items.table.select("item_id", "title"), config=config, run=RUN)
    assert "tuned on behaviour" in model.facts["encoder"]
    texts = ["new red film", "new truck film"]
    placed = model.place_items(texts)
    model.save(tmp_path / "model")
    shutil.rmtree(tmp_path / "gone")
    assert pc.load(tmp_path / "model", run=RUN).place_items(texts).equals(placed)

    assert model.encoder is not None
    if "onnx fp32" not in model.encoder.name:
        pytest.skip("without the extra no graph is carried")
    np.save(tmp_path / "vectors.npy", model.encoder.encode(texts))
    placed.write_parquet(tmp_path / "placed.parquet")
    code = NO_TORCH.format(blocked=("torch", "transformers", "onnx", "onnxscript", "sentence_transformers")) + (
        "import numpy as np, polars as pl, penchant as pc\n"
        "model, texts = pc.load(sys.argv[1] + '/model'), ['new red film', 'new truck film']\n"
        "assert model.place_items(texts).equals(pl.read_parquet(sys.argv[1] + '/placed.parquet'))\n"
        "cosine = (model.encoder.encode(texts) * np.load(sys.argv[1] + '/vectors.npy')).sum(axis=1)\n"
        "assert cosine.min() > 0.99999, cosine\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_export
def test_the_graph_holds_no_weights_twice_and_names_no_file_of_this_machine(whole: TunedEncoder) -> None:
    from penchant.encode.onnx_graph import MIN_BYTES

    arrays = whole.base.to_parts().arrays
    graph = arrays["graph"].tobytes()
    assert b".py" not in graph
    large = [w for n, w in arrays.items() if n.startswith("weights.") and w.nbytes >= MIN_BYTES]
    assert large
    assert not any(w.tobytes() in graph or w.T.tobytes() in graph for w in large)
    assert "graph" not in CarriedTransformer.from_parts(_with_backend(whole, "torch"), RUN).reason


def _with_backend(encoder: TunedEncoder, backend: str) -> Parts:
    parts = encoder.base.to_parts()
    return replace(parts, config={**parts.config, "backend": backend})


@needs_export
def test_torch_and_the_graph_agree(whole: TunedEncoder) -> None:
    texts = ["new red film", "pear space of war", "old"]
    by_torch = CarriedTransformer.from_parts(_with_backend(whole, "torch"), RUN)
    by_graph = CarriedTransformer.from_parts(whole.base.to_parts(), RUN)
    assert (by_torch.encode(texts) * by_graph.encode(texts)).sum(axis=1).min() > 0.99999
    assert "torch fp32" in by_torch.name
    assert "onnx fp32" in by_graph.name
    assert by_graph.reason.endswith("torch is not needed")


@needs_export
def test_in_int8_the_graph_alone_is_carried_and_its_loss_told(soft_bert: Path) -> None:
    config = _config("full", method="transformer", model=str(soft_bert), precision="int8")
    encoder = _tune(config, *_log())
    assert encoder.facts["used"]
    parts = encoder.base.to_parts()
    assert set(parts.arrays) == {"graph"}
    again = encoder_from_parts(replace(parts, config=json.loads(json.dumps(dict(parts.config)))), RUN)
    texts = ["new red film", "", "pear space of war"]
    assert np.array_equal(again.encode(texts), encoder.encode(texts))
    assert again.name == encoder.base.name
    assert encoder.base.facts["loss"]["mean_cosine"] > 0.9
    assert "onnx int8, mean cosine" in again.name
    assert "to fp32 on 64 of your texts" in again.name


def test_where_no_graph_can_be_made_the_name_says_so(soft_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_runtime, "export_is_installed", lambda: False)
    encoder = _tune(_config("full", method="transformer", model=str(soft_bert)), *_log())
    assert "needs torch: it carries no ONNX graph" in encoder.name
    assert r"penchant[transformer]" in encoder.name
    assert "graph" not in encoder.base.to_parts().arrays
    again = encoder_from_parts(encoder.to_parts(), RUN)
    assert np.array_equal(again.encode(["red film"]), encoder.encode(["red film"]))
    assert again.name == encoder.name


@needs_export
def test_a_damaged_graph_is_refused(whole: TunedEncoder) -> None:
    parts = whole.base.to_parts()
    broken = {**parts.arrays, "graph": parts.arrays["graph"][:50]}
    with pytest.raises(ModelError, match="can't load its graph"):
        CarriedTransformer.from_parts(replace(parts, arrays=broken), RUN).encode(["red"])
    name = parts.config["graph"]["places"][0][1]
    lacking = {n: a for n, a in parts.arrays.items() if n != f"weights.{name}"}
    with pytest.raises(ModelError, match="of its graph is missing"):
        CarriedTransformer.from_parts(replace(parts, arrays=lacking), RUN).encode(["red"])


def test_only_the_last_layers_move_when_asked(soft_bert: Path) -> None:
    from safetensors.numpy import load_file

    full = {"n_rounds": 3, "n_groups": 1000, "learning_rate": 3e-3, "n_layers": 1}
    config = _config("full", method="transformer", model=str(soft_bert), full=full, backend="torch")
    encoder = _tune(config, *_log())
    assert encoder.facts["used"]
    before, after = load_file(soft_bert / "model.safetensors"), encoder.to_parts().arrays
    moved = {n for n, w in before.items() if not np.array_equal(w, after[f"base.weights.{n}"])}
    assert moved
    assert all(n.startswith("encoder.layer.1.") for n in moved)


def test_contrast_is_the_cross_entropy_by_hand() -> None:
    vectors = torch.eye(3)
    groups = torch.tensor([[1.0, 1.0, 0.0]])  # texts 0 and 1 belong together; 2 is the wrong answer
    liked = torch.tensor([[True, True, False]])
    loss = contrast(vectors, groups, torch.tensor(0.0), liked, torch.zeros(3))
    # the company of 0 is vector 1: likeness 0 to texts 0 and 2 (1 is liked and left out): log 2; and the other way
    assert loss.item() == pytest.approx(np.log(2))
    shared = contrast(vectors, groups, torch.tensor(0.0), liked, torch.log(torch.tensor([0.25, 0.25, 0.5])))
    assert shared.item() == pytest.approx(np.log(1 + 0.25 / 0.5))


@pytest.mark.parametrize("mode", ["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"])
def test_pooling_with_gradients_is_that_of_encoding(mode: str) -> None:
    from penchant.encode.transformer_training import pool_torch

    rng = np.random.default_rng(0)
    hidden, mask = rng.normal(size=(3, 4, 2)).astype(np.float32), np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    got = pool_torch(torch.from_numpy(hidden), torch.from_numpy(mask), (mode,)).numpy()
    assert np.allclose(got, pool(hidden, mask, (mode,)), atol=1e-6)


def test_a_damaged_head_is_refused(headed: TunedEncoder) -> None:
    arrays = dict(headed.to_parts().arrays)
    assert np.array_equal(Head.from_arrays(arrays).straight, arrays["head.straight"])
    with pytest.raises(ModelError, match="outer_bias"):
        Head.from_arrays({**arrays, "head.outer_bias": np.zeros(3, np.float32)})
    del arrays["head.inner"]
    with pytest.raises(ModelError, match="inner"):
        encoder_from_parts(replace(headed.to_parts(), arrays=arrays), RUN).encode(["red"])


def test_a_file_outside_the_folder_is_refused(whole: TunedEncoder) -> None:
    parts = whole.base.to_parts()
    table = parts.tables["file"].with_columns(path=pl.lit("../x"))
    with pytest.raises(ModelError, match="outside"):
        encoder_from_parts(replace(parts, tables={"file": table}), RUN).encode(["red"])


def test_what_cant_be_tuned_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="transformer"):
        _config("full")
    with pytest.raises(ConfigError, match="needs texts"):
        _config("head", method="none")
    chinese = _log()[1].table.with_columns(title=pl.lit("红色的苹果和旧卡车 ") + pl.col("item_id"))
    with pytest.raises(ConfigError, match="took tfidf"):
        _tune(_config("full", method="auto"), _log()[0], Items(chinese))
    monkeypatch.setattr(tuned, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"penchant\[neural\]"):
        check_tuning(_config("head").encode)


def test_inputs_stay_as_they_were(soft_bert: Path) -> None:
    events, items = _log()
    before = events.table.clone(), items.table.clone()
    state = torch.get_rng_state()
    full = {"n_rounds": 1, "n_groups": 20}
    config = _config("full", method="transformer", model=str(soft_bert), full=full, backend="torch")
    encoder = make_encoder(config.encode, RUN, seed=0)
    assert encoder is not None
    vectors = encoder.encode(["red film"])
    tune_encoder(encoder, events, items, config.encode, RUN, seed=0)
    assert (events.table.equals(before[0]), items.table.equals(before[1])) == (True, True)
    assert np.array_equal(encoder.encode(["red film"]), vectors)
    assert torch.equal(torch.get_rng_state(), state)


def test_off_changes_nothing() -> None:
    encoder = make_encoder(_config("off").encode, RUN, seed=0)
    assert tune_encoder(encoder, *_log(), _config("off").encode, RUN, seed=0) is encoder


def test_progress_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    config = _config("head", head={"n_rounds": 1, "n_groups": 20})
    encoder = make_encoder(config.encode, RUN, seed=0)
    tune_encoder(encoder, *_log(), config.encode, replace(RUN, progress=True), seed=0)
    assert capfd.readouterr().out == ""
