"""A disk that takes no more: real failed writes (a limit on file size stands in for it), and unreadable files."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

LIMIT = 4096  # bytes a file may have: enough to begin with, not to end


def _full() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a failed write, not a killed process
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-m", "penchant", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=_full, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("items", "{model}", "-o", "{out}/items.csv"),
        ("profiles", "{model}", "-o", "{out}/profiles.parquet"),
        ("recommend", "{model}", "-o", "{out}/lists.jsonl"),
        ("report", "{model}", "-o", "{out}/report.html"),
        ("fit", "{world}/events.parquet", "-o", "{out}/model", "--quiet"),
        ("world", "--out", "{out}/world", "--users", "50", "--items", "100"),
    ],
    ids=lambda a: a[0],
)
def test_a_full_disk_is_explained_and_leaves_nothing(
    arguments: tuple[str, ...], model_folder: Path, world_folder: Path, tmp_path: Path
) -> None:
    ran = _run(*(a.format(model=model_folder, world=world_folder, out=tmp_path) for a in arguments))
    assert ran.returncode == 2, ran.stderr
    assert "can't be written" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_explained(tmp_path: Path, cli: Callable[..., object]) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user_id,item_id\nu,i\n")
    file.chmod(0)
    ran = cli("doctor", file)
    assert ran.code == 2
    assert "events.csv" in ran.err
