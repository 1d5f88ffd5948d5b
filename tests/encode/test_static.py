"""The static encoder: what it learns from its teacher, that it is measured on held-out texts, and its saved form."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penchant.config import EncodeConfig, RunOptions, build_config
from penchant.data import Parts
from penchant.encode import encoder_from_parts, make_encoder, packaged_model, token_bags
from penchant.encode.distil import likeness
from penchant.encode.static import StaticEncoder
from penchant.encode.token_bags import TokenReader
from penchant.encode.transformer import TransformerEncoder
from penchant.errors import ConfigError, MissingExtraError, ModelError
from tests.encode.conftest import NO_TORCH, WORDS

pytest.importorskip("torch")
pytest.importorskip("transformers")

RUN = RunOptions(device="cpu")
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(2, 7))) for _ in range(400)]


def _config(model: Path | str, **more: object) -> EncodeConfig:
    return EncodeConfig.model_validate({"method": "static", "model": str(model), "n_dims": 12, **more})


def _fitted(model: Path | str, texts: list[str] = TEXTS, *, seed: int = 0, **more: object) -> StaticEncoder:
    encoder = make_encoder(_config(model, **more), RUN, seed=seed)
    assert isinstance(encoder, StaticEncoder)
    encoder.fit(texts)
    return encoder


@pytest.fixture(scope="module")
def taught(tiny_bert: Path) -> StaticEncoder:
    return _fitted(tiny_bert)


def test_it_learns_from_texts_and_says_how_near_it_comes(taught: StaticEncoder, tiny_bert: Path) -> None:
    assert taught.facts["learned"]
    assert taught.facts["spearman"] > taught.facts["plain_spearman"] + 0.05
    assert f"Spearman of cosines {taught.facts['spearman']:.2f}" in taught.name
    assert "10 nearest neighbours" in taught.name
    assert "of your texts; from tokens alone Spearman" in taught.reason
    # on texts that are new to it, measured here by hand
    fresh = [" ".join(np.random.default_rng(9).permutation(text.split())) + " war" for text in TEXTS[:150]]
    teacher = TransformerEncoder(EncodeConfig(method="transformer", model=str(tiny_bert)), RUN).encode(fresh)
    assert likeness(taught.encode(fresh), teacher).spearman > taught.facts["plain_spearman"]


def test_the_figures_are_of_texts_that_had_no_part_in_the_learning(taught: StaticEncoder, tiny_bert: Path) -> None:
    distinct = sorted(set(TEXTS))
    order = np.random.default_rng(0).permutation(len(distinct))
    n_judging = taught.facts["n_texts_judging"]
    judging = [distinct[row] for row in order[:n_judging]]
    teacher = TransformerEncoder(EncodeConfig(method="transformer", model=str(tiny_bert)), RUN)
    found = likeness(taught.encode(judging), teacher.encode(judging))
    assert found.spearman == pytest.approx(taught.facts["spearman"], abs=1e-3)
    assert found.neighbours == pytest.approx(taught.facts["neighbours"], abs=1e-3)
    assert n_judging + taught.facts["n_texts_learned"] == len(distinct)


def test_likeness_by_hand() -> None:
    teacher = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1.0]], np.float32)
    same = likeness(teacher, teacher)
    assert (same.spearman, same.neighbours, same.n_texts) == (pytest.approx(1), 1.0, 4)
    # cosines of pairs 01 02 03 12 13 23: the ranks of the second are those of the first turned round
    turned = likeness(np.array([[1, 0], [-1, 0.1], [0.3, 1], [0.2, -1]], np.float32), teacher)
    assert turned.spearman < 0


def test_rows_are_sums_of_tokens_of_unit_length(taught: StaticEncoder, tiny_bert: Path) -> None:
    parts = taught.to_parts()
    ids = json.loads((tiny_bert / "tokenizer.json").read_text())["model"]["vocab"]
    row_of = {token: row for row, token in enumerate(parts.arrays["token_id"].tolist())}
    half = parts.config["half_place"] or np.inf
    by_hand = sum(
        parts.arrays["vectors"][row_of[ids[word]]] / (1 + place / half)
        for place, word in enumerate(["red", "old", "car"])
    )
    got = taught.encode(["Red old zzz car", "red old car"])
    assert np.allclose(got[1], by_hand / np.linalg.norm(by_hand), atol=1e-6)
    assert np.allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)


def test_what_it_cant_read_is_zero(taught: StaticEncoder) -> None:
    vectors = taught.encode(["", "  ", "苹果电影", "zzz", "red"])
    assert vectors.shape == (5, 12)
    assert vectors.any(axis=1).tolist() == [False, False, False, False, True]
    assert taught.encode([]).shape == (0, 12)


def test_parts_of_many_texts_say_the_same(taught: StaticEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = taught.encode([*TEXTS, ""])
    monkeypatch.setattr(token_bags, "TEXTS_AT_ONCE", 7)
    assert np.array_equal(taught.encode([*TEXTS, ""]), whole)


@pytest.mark.parametrize(
    "texts", [[], ["", " "], ["red"], ["zzz"], ["red"] * 60, TEXTS[:30]], ids=lambda t: f"{len(t)}{t[:1]}"
)
def test_few_texts_leave_the_tokens_as_the_teacher_has_them(texts: list[str], tiny_bert: Path) -> None:
    encoder = _fitted(tiny_bert, texts)
    assert not encoder.facts["learned"]
    assert "too few texts to learn from" in encoder.reason
    assert ("spearman" in encoder.facts) == (len(set(texts)) > 12)
    vectors = encoder.encode([*texts, "red car"])
    assert np.isfinite(vectors).all()
    assert vectors[-1].any()


def test_no_texts_for_the_teacher_is_a_choice(tiny_bert: Path) -> None:
    encoder = _fitted(tiny_bert, static={"n_texts": 0})
    assert "not measured" in encoder.name
    assert encoder.facts["n_texts_read_by_teacher"] == 0


def test_where_learning_is_no_better_it_says_so(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penchant.encode import distil

    monkeypatch.setattr(
        distil, "_moved", lambda means, rest, ridge, start: start + 1e3 * (1 + np.arange(len(start)))[:, None]
    )
    encoder = _fitted(tiny_bert)
    assert not encoder.facts["learned"]
    assert "learning from texts was no better" in encoder.reason
    assert encoder.facts["spearman"] == encoder.facts["plain_spearman"]


def test_tokens_kept_are_bounded_beside_those_of_the_texts(tiny_bert: Path) -> None:
    none = _fitted(tiny_bert, ["red car"], static={"n_tokens": 0})
    assert none.facts["n_tokens"] == 2
    assert not none.encode(["apple"]).any()
    some = _fitted(tiny_bert, ["red car"], static={"n_tokens": 6})
    assert some.facts["n_tokens"] == 6
    assert some.encode(["red"]).any()


def test_the_ridge_is_that_of_the_normal_equations() -> None:
    import scipy.sparse as sp

    from penchant.encode.distil import _moved

    rng = np.random.default_rng(0)
    means = sp.random_array((30, 12), density=0.3, rng=rng, format="csr")
    rest, dense = rng.normal(size=(30, 4)), means.toarray()
    exact = np.linalg.solve(dense.T @ dense + 0.1 * np.eye(12), dense.T @ rest)
    assert np.allclose(_moved(means, rest, 0.1, np.zeros((12, 4))), exact, atol=0.01)


def test_saved_it_needs_no_teacher_and_no_transformer(tiny_bert: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bert, tmp_path / "gone")
    encoder = _fitted(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    parts = encoder.to_parts()
    parts = replace(parts, config=json.loads(json.dumps(dict(parts.config))))
    again = encoder_from_parts(parts, RUN)
    assert np.array_equal(again.encode([*TEXTS, "new red"]), encoder.encode([*TEXTS, "new red"]))
    assert again.name == encoder.name
    restored = StaticEncoder.from_parts(parts)
    assert restored.reason == encoder.reason
    assert restored.to_parts().config == parts.config
    with pytest.raises(ModelError, match="can't be fitted again"):
        restored.fit(TEXTS)


def test_a_saved_model_places_items_without_torch(tiny_bert: Path, tmp_path: Path) -> None:
    import polars as pl

    import penchant as pc

    items = pl.DataFrame({"item_id": [f"i{n}" for n in range(150)], "title": TEXTS[:150]})
    rng = np.random.default_rng(0)
    log = pl.DataFrame(
        {
            "user_id": [f"u{n % 30}" for n in range(900)],
            "item_id": [f"i{n}" for n in rng.integers(0, 150, 900)],
            "timestamp": 1e9 + 1e4 * np.arange(900),
        }
    )
    config = build_config({"encode": {"method": "static", "model": str(tiny_bert), "n_dims": 12}})
    model = pc.fit(log, items, config=config, run=RUN)
    assert "held-out texts" in model.facts["encoder"]
    model.save(tmp_path / "model")
    model.place_items(["new red film", "old car"]).write_parquet(tmp_path / "placed.parquet")
    blocked = ("torch", "transformers", "onnxruntime", "onnx", "safetensors")
    code = NO_TORCH.format(blocked=blocked) + (
        "import polars as pl, penchant as pc\n"
        "placed = pc.load(sys.argv[1] + '/model').place_items(['new red film', 'old car'])\n"
        "assert placed.equals(pl.read_parquet(sys.argv[1] + '/placed.parquet')), placed\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_another_process_gives_the_same_bytes(taught: StaticEncoder, tiny_bert: Path) -> None:
    code = (
        "import hashlib, sys; from tests.encode.test_static import _fitted\n"
        "print(hashlib.sha256(_fitted(sys.argv[1]).to_parts().arrays['vectors'].tobytes()).hexdigest())"
    )
    import hashlib

    other = subprocess.run(
        [sys.executable, "-c", code, str(tiny_bert)], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other == hashlib.sha256(taught.to_parts().arrays["vectors"].tobytes()).hexdigest()


def test_broken_and_missing_parts_are_named(taught: StaticEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = taught.to_parts()
    with pytest.raises(ModelError, match="'vectors' is missing"):
        StaticEncoder.from_parts(Parts(parts.config, {}, parts.tables))
    cut = {**parts.arrays, "vectors": parts.arrays["vectors"][:-1]}
    with pytest.raises(ModelError, match="don't fit together"):
        StaticEncoder.from_parts(replace(parts, arrays=cut))
    table = parts.tables["tokeniser"]
    with pytest.raises(ModelError, match="tokeniser can't be read"):
        StaticEncoder.from_parts(
            replace(parts, tables={"tokeniser": table.with_columns(json=table["json"].str.head(9))})
        )
    monkeypatch.setattr(token_bags, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"penchant\[static\]"):
        encoder_from_parts(parts, RUN).encode(["red"])


def test_before_fitting_and_without_a_tokeniser_file_it_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    encoder = make_encoder(_config(tiny_bert), RUN, seed=0)
    assert encoder is not None
    with pytest.raises(ModelError, match="not fitted"):
        encoder.encode(["red"])
    with pytest.raises(ModelError, match="not fitted"):
        encoder.to_parts()
    shutil.copytree(tiny_bert, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"no tokenizer\.json"):
        make_encoder(_config(tmp_path / "model"), RUN, seed=0)
    with pytest.raises(ConfigError, match="full"):
        build_config({"encode": {"method": "static", "tune": "full"}})


def test_special_tokens_stand_round_a_text_and_say_nothing(tiny_bert: Path, tiny_gpt: Path) -> None:
    bert = TokenReader((tiny_bert / "tokenizer.json").read_text(), max_tokens=32, lower_case=False)
    assert bert.frame(["red car"]) == ([2], [3])
    assert bert.count(["red zzz", "red"]).nonzero()[0].tolist() == [4]  # [UNK] is 0
    gpt = TokenReader((tiny_gpt / "tokenizer.json").read_text(), max_tokens=32, lower_case=False)
    assert gpt.frame([]) == ([], [])


@pytest.mark.skipif(packaged_model.find_packaged_model() is None, reason="the extra is not installed")
def test_the_packaged_teacher_hands_on_meaning() -> None:
    texts = ["a tale of love", "romantic story", "diesel engine", "truck motor oil"]
    vectors = _fitted("", texts, n_dims=256, static={"n_tokens": 0}).encode(texts)
    likes = vectors @ vectors.T
    assert likes[0, 1] > likes[0, 2]
    assert likes[2, 3] > likes[1, 3]
    assert vectors.shape == (4, 256)
