"""What every encoder of the table must do, in every form in which it can be asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest

from penchant.config import EncodeConfig, RunOptions
from penchant.data import Items, Parts
from penchant.encode import encode_items, encoder_from_parts, make_encoder, onnx_runtime
from penchant.encode.cache import FILE_NAME
from penchant.protocols import Encoder
from tests.encode.conftest import WORDS
from tests.encode.test_word_vectors import write

RUN = RunOptions(device="cpu")
RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS, RNG.integers(1, 6))) for _ in range(130)]
KINDS = ("auto", "tfidf", "transformer", "transformer int8", "static", "words")


def test_no_method_is_forgotten() -> None:
    methods = get_args(EncodeConfig.model_fields["method"].annotation)
    assert {kind.split()[0] for kind in KINDS} | {"none"} == set(methods)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path, onnx_cache: Path) -> Callable[[], Encoder]:
    method, *precision = request.param.split()
    settings: dict[str, object] = {"method": method, "n_dims": 8}
    if method in ("auto", "transformer", "static"):
        pytest.importorskip("transformers")
        settings["model"] = str(request.getfixturevalue("tiny_bert"))
    if method == "words":
        settings["model"] = write(tmp_path / "v.txt", "glove", {w: RNG.normal(size=6).tolist() for w in WORDS})
    run = RUN
    if precision:
        run = RunOptions(device="cpu", cache_dir=onnx_cache)
        if not onnx_runtime.export_is_installed():
            pytest.skip("the extra is not installed")
        settings["precision"] = precision[0]

    def build() -> Encoder:
        (onnx_cache / FILE_NAME).unlink(missing_ok=True)  # the export may stay, vectors are made anew
        encoder = make_encoder(EncodeConfig.model_validate(settings), run, seed=0)
        assert encoder is not None
        return encoder

    return build


def test_same_seed_same_bytes_saved_or_not_and_inputs_stay(make: Callable[[], Encoder]) -> None:
    given = list(TEXTS)
    first, second = make(), make()
    first.fit(given)
    second.fit(given)
    probe = [*TEXTS[:20], "", "科幻电影", "\u200b", "red " * 400, "👍🏽", "new old"]
    vectors = first.encode(probe)
    assert given == TEXTS
    assert vectors.dtype == np.float32
    assert second.encode(probe).tobytes() == vectors.tobytes()
    assert first.encode(probe).tobytes() == vectors.tobytes()  # encoding changes nothing
    parts = first.to_parts()
    parts = Parts(json.loads(json.dumps(dict(parts.config))), parts.arrays, parts.tables)
    again = encoder_from_parts(parts, RUN)
    assert again.encode(probe).tobytes() == vectors.tobytes()
    assert again.name == first.name
    assert {n: a.tobytes() for n, a in again.to_parts().arrays.items()} == {
        n: a.tobytes() for n, a in parts.arrays.items()
    }


def test_rows_have_unit_length_or_are_zero(make: Callable[[], Encoder]) -> None:
    encoder = make()
    encoder.fit(TEXTS)
    vectors = encoder.encode([*TEXTS, "", "  "])
    length = np.linalg.norm(vectors, axis=1)
    assert np.all((np.abs(length - 1) < 1e-5) | (length == 0))
    assert length[:-2].mean() > 0.9
    assert not length[-2:].any()
    assert encoder.encode([]).shape == (0, vectors.shape[1])


@pytest.mark.parametrize(
    "titles", [["red"], ["red"] * 5, ["苹果", "手机壳"], ["", None, "red car"]], ids=lambda t: str(t)[:12]
)
def test_edge_catalogues_give_finite_rows(make: Callable[[], Encoder], titles: list[str | None]) -> None:
    table = pl.DataFrame(
        {"item_id": [f"i{row}" for row in range(len(titles))], "title": pl.Series(titles, dtype=pl.String)}
    )
    items = Items(table.with_columns(text=pl.lit(None, pl.String), categories=pl.lit([], pl.List(pl.String))))
    encoder = make()
    vectors = encode_items(items, encoder, EncodeConfig(), RUN)
    assert vectors is not None
    assert vectors.name == encoder.name
    assert len(vectors.values) == len(titles)
    assert not vectors.values[[row for row, title in enumerate(titles) if not title]].any()
