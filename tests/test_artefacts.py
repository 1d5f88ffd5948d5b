"""Folders: the same parts give the same bytes, a crash leaves the old folder whole, a changed file is caught."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.artefacts import (
    FORMAT_VERSION,
    check_writable,
    csr_from_arrays,
    csr_to_arrays,
    fingerprint,
    load_folder,
    save_folder,
)
from penchant.data import Parts
from penchant.errors import ModelError, OutputError

PARTS = {
    "a": Parts({"x": 1, "名": "值"}, {"v": np.arange(3, dtype=np.float32)}, {"t": pl.DataFrame({"s": ["p", None]})}),
    "b": Parts({"y": [1.5]}),
}


def _bytes(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save_folder(tmp_path / "m", PARTS, {"made_by": "test"})
    folder = load_folder(tmp_path / "m")
    assert folder.about == {"made_by": "test"}
    assert folder.parts["a"].config == {"x": 1, "名": "值"}
    assert folder.parts["a"].arrays["v"].tolist() == [0.0, 1.0, 2.0]
    assert folder.parts["a"].tables["t"].to_dicts() == [{"s": "p"}, {"s": None}]
    assert folder.parts["b"].config == {"y": [1.5]}


def test_the_format_version_stands_first(tmp_path: Path) -> None:
    save_folder(tmp_path / "m", PARTS, {"made_by": "test"})
    assert next(iter(json.loads((tmp_path / "m" / "manifest.json").read_text()))) == "format_version"


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    save_folder(tmp_path / "m", PARTS, {})
    first = _bytes(tmp_path / "m")
    save_folder(tmp_path / "m", PARTS, {})
    assert _bytes(tmp_path / "m") == first
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_failed_write_leaves_the_old_folder_whole(tmp_path: Path) -> None:
    save_folder(tmp_path / "m", PARTS, {})
    before = _bytes(tmp_path / "m")
    unsavable = {"a": Parts({"x": object()})}
    with pytest.raises(TypeError, match="can't be saved"):
        save_folder(tmp_path / "m", unsavable, {})
    assert _bytes(tmp_path / "m") == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_folder_with_other_files_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        save_folder(tmp_path, PARTS, {})
    with pytest.raises(OutputError, match="is a file"):
        check_writable(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def _break_checksum(folder: Path) -> None:
    (folder / "a" / "v.npy").write_bytes(b"other")


def _remove_file(folder: Path) -> None:
    (folder / "a" / "t.parquet").unlink()


def _newer(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format_version": FORMAT_VERSION + 1}))


def _not_json(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def _escaping(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "checksums": {"../x.npy": "0"}}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_break_checksum, "checksum differs"),
        (_remove_file, "is missing"),
        (_newer, "newer than this Penchant reads"),
        (_not_json, "corrupt or not ours"),
        (_escaping, "outside the folder"),
    ],
)
def test_a_harmed_folder_is_refused(tmp_path: Path, harm: object, message: str) -> None:
    save_folder(tmp_path / "m", PARTS, {})
    harm(tmp_path / "m")  # type: ignore[operator]
    with pytest.raises(ModelError, match=message):
        load_folder(tmp_path / "m")


def test_missing_and_foreign_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        load_folder(tmp_path / "none")
    with pytest.raises(ModelError, match="is not a Penchant model"):
        load_folder(tmp_path)


def test_a_sparse_matrix_comes_back() -> None:
    matrix = sp.csr_array(np.array([[0, 2.5], [0, 0], [1, 0]], np.float32))
    again = csr_from_arrays(csr_to_arrays(matrix, "m"), "m")
    assert again.shape == (3, 2)
    assert (again.toarray() == matrix.toarray()).all()


def test_the_fingerprint_follows_content() -> None:
    frame = pl.DataFrame({"a": [1, 2]})
    assert fingerprint(frame) == fingerprint(frame.clone())
    assert fingerprint(frame) != fingerprint(pl.DataFrame({"a": [2, 1]}))
    assert fingerprint(frame) != fingerprint(frame.rename({"a": "b"}))
