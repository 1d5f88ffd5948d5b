"""Save and load folders of {config, arrays, tables} with a manifest. No pickle anywhere.

Layout: `manifest.json` (format version first) · `<part>/config.json` · `<part>/<name>.npy` · `<part>/<name>.parquet`.
A folder is written beside its target and renamed, so a crash leaves the old one whole. The same parts give the same
bytes: nothing here reads a clock.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import Parts
from penchant.errors import ModelError, OutputError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Folder:
    """What a saved folder holds: `about` (config, fingerprint, ...) and the parts by name."""

    about: Mapping[str, Any]
    parts: Mapping[str, Parts]


def save_folder(path: str | Path, parts: Mapping[str, Parts], about: Mapping[str, Any]) -> None:
    """Write parts to a folder, all or nothing.

    Raises:
        OutputError: the parent is missing, the disk is full, or the target holds something that is not ours.
    """
    target = Path(path)
    _refuse_foreign(target)
    with folder_beside(target) as folder:
        for name, part in parts.items():
            _write_part(folder / name, part)
        manifest = {"format_version": FORMAT_VERSION, **about, "checksums": _checksums(folder)}
        (folder / MANIFEST).write_text(to_json(manifest), encoding="utf-8")


def load_folder(path: str | Path) -> Folder:
    """Read a folder back and verify every checksum.

    Raises:
        ModelError: missing, not ours, of a newer format, incomplete or changed.
    """
    folder = Path(path)
    manifest = _read_manifest(folder)
    for name, expected in manifest["checksums"].items():
        file = folder / name
        if not file.is_file():
            raise ModelError(f"{folder}: '{name}' is missing; the model folder is incomplete, fit it again")
        if _sha256(file) != expected:
            raise ModelError(f"{folder}: '{name}' was changed or is corrupt (checksum differs); fit the model again")
    names = sorted({Path(name).parts[0] for name in manifest["checksums"]})
    about = {k: v for k, v in manifest.items() if k not in ("format_version", "checksums")}
    return Folder(about, {name: _read_part(folder / name, manifest["checksums"]) for name in names})


def csr_to_arrays(matrix: sp.csr_array, prefix: str) -> dict[str, np.ndarray[Any, Any]]:
    """Take a CSR matrix apart into named arrays.

    >>> sorted(csr_to_arrays(sp.csr_array(np.eye(2, dtype=np.float32)), "m"))
    ['m_data', 'm_indices', 'm_indptr', 'm_shape']
    """
    matrix = sp.csr_array(matrix)
    return {
        f"{prefix}_data": matrix.data,
        f"{prefix}_indices": matrix.indices.astype(np.int32),
        f"{prefix}_indptr": matrix.indptr.astype(np.int64),
        f"{prefix}_shape": np.array(matrix.shape, np.int64),
    }


def csr_from_arrays(arrays: Mapping[str, np.ndarray[Any, Any]], prefix: str) -> sp.csr_array:
    """Put a CSR matrix together again."""
    rows, columns = arrays[f"{prefix}_shape"].tolist()
    triple = (arrays[f"{prefix}_data"], arrays[f"{prefix}_indices"], arrays[f"{prefix}_indptr"])
    return sp.csr_array(triple, shape=(rows, columns))


def fingerprint(*frames: pl.DataFrame) -> str:
    """Short hash of tables by their content and column order: equal data, equal fingerprint."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(repr(list(frame.schema.items())).encode())
        digest.update(frame.hash_rows(seed=0).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def check_writable(path: str | Path) -> None:
    """Fail before the work if a folder can't be written afterwards.

    Raises:
        OutputError: the target holds something that is not ours, or its parent can't be written.
    """
    target = Path(path)
    _refuse_foreign(target)
    parent = target.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        probe = parent / f".{target.name}.probe-{uuid.uuid4().hex[:8]}"
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise OutputError(f"{target}: can't be written ({error.strerror or error}); choose another place") from error


def _refuse_foreign(target: Path) -> None:
    if target.is_file():
        raise OutputError(f"{target}: is a file; give the path of a folder to write the model to")
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise OutputError(f"{target}: is a folder that holds other files; give a new or an empty one")


@contextmanager
def file_beside(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to; moved there when all went well, so that a crash leaves the old file whole.

    Raises:
        OutputError: the target is a folder, can't be written, or the disk is full; nothing was changed.
    """
    beside = target.with_name(f".{target.name}.writing-{uuid.uuid4().hex[:8]}")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        yield beside
        beside.replace(target)
    except (OSError, pl.exceptions.PolarsError) as error:  # Polars reports a full disk as an error of its own
        raise OutputError(f"{target}: can't be written ({_reason(error)}); nothing was changed there") from None
    finally:
        beside.unlink(missing_ok=True)


def write_json(value: object, target: Path) -> None:
    """Write a value as JSON, whole or not at all (`file_beside`)."""
    with file_beside(target) as beside:
        beside.write_text(to_json(value), encoding="utf-8")


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """As `file_beside`, for a folder; what `target` held before is gone afterwards."""
    parent = target.absolute().parent
    token = uuid.uuid4().hex[:8]
    beside = parent / f".{target.name}.writing-{token}"
    old = parent / f".{target.name}.old-{token}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        yield beside
        if target.exists():
            target.rename(old)
        beside.rename(target)
    except (OSError, pl.exceptions.PolarsError) as error:  # Polars reports a full disk as an error of its own
        if old.exists() and not target.exists():
            old.rename(target)
        raise OutputError(f"{target}: can't be written ({_reason(error)}); nothing was changed there") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write_part(folder: Path, part: Parts) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(to_json(part.config), encoding="utf-8")
    for name, array in part.arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array, order="C"), allow_pickle=False)
    for name, table in part.tables.items():
        table.write_parquet(folder / f"{name}.parquet", compression="zstd")


def _read_part(folder: Path, names: Mapping[str, str]) -> Parts:
    files = [folder / Path(name).name for name in names if Path(name).parts[0] == folder.name]
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        arrays = {f.name[:-4]: np.load(f, allow_pickle=False) for f in files if f.suffix == ".npy"}
        tables = {f.name[:-8]: pl.read_parquet(f) for f in files if f.suffix == ".parquet"}
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise ModelError(f"{folder}: can't be read ({error}); fit the model again") from None
    return Parts(config, arrays, tables)


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not folder.exists():
        raise ModelError(f"{folder}: no such model folder; make one with: penchant fit EVENTS ITEMS -o {folder}")
    if not (folder / MANIFEST).is_file():
        raise ModelError(f"{folder}: is not a Penchant model (no {MANIFEST}); give the folder that `fit -o` wrote")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version = manifest["format_version"]
        checksums = manifest["checksums"]
        if not (isinstance(version, int) and isinstance(checksums, dict)):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(f"{folder}: {MANIFEST} is corrupt or not ours; fit the model again") from None
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{folder}: format version {version} is newer than this Penchant reads ({FORMAT_VERSION}); upgrade penchant"
        )
    escaping = [name for name in checksums if Path(name).is_absolute() or ".." in Path(name).parts]
    if escaping:
        raise ModelError(f"{folder}: {MANIFEST} names a file outside the folder ('{escaping[0]}'); refused")
    return dict(manifest)


def _checksums(folder: Path) -> dict[str, str]:
    return {f.relative_to(folder).as_posix(): _sha256(f) for f in sorted(folder.rglob("*")) if f.is_file()}


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def to_json(value: Any, *, indent: int | None = 1) -> str:
    """JSON text with a line end; numbers and arrays of NumPy, series and moments become plain values.

    >>> to_json({"n": np.int64(3), "rows": np.arange(2)}, indent=None).strip()
    '{"n": 3, "rows": [0, 1]}'
    """
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | pl.Series):
        return value.tolist() if isinstance(value, np.ndarray) else value.to_list()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} can't be saved as JSON")
