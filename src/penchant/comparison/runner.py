"""Candidates one after the other, each in its own process, within a budget; results are kept and taken up again."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from penchant import __version__
from penchant.artefacts import write_json
from penchant.comparison.bench import Bench
from penchant.comparison.jobs import measure_clustering, measure_representation
from penchant.config import RunOptions
from penchant.errors import PenchantError
from penchant.progress import maybe_step

Kind = Literal["representation", "clustering"]


@dataclass(frozen=True)
class Job:
    """One candidate. settings: what its result depends on beside the bench."""

    kind: Kind
    method: str
    settings: Mapping[str, Any]

    def file_name(self, key: str) -> str:
        """Of its kept result: another log, setting or version is another file."""
        told = json.dumps([__version__, key, self.kind, self.method, self.settings], sort_keys=True, default=str)
        return f"{self.kind}-{self.method}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"


def run_jobs(bench: Bench, jobs: list[Job], folder: Path, run: RunOptions, budget_s: float) -> list[dict[str, Any]]:
    """Measure every job, or say why not; a result kept in `folder` is not measured again.

    The budget is of this call's work: a kept result costs nothing. When it is spent, the job that runs is stopped and
    those after it are not begun; the next call goes on with them.
    """
    deadline = time.monotonic() + budget_s
    out = []
    for job in jobs:
        kept = folder / job.file_name(bench.key)
        result = _read(kept)
        if result is None:
            left = deadline - time.monotonic()
            if left <= 0:
                out.append({"method": job.method, "status": "not begun: the budget was spent"})
                continue
            with maybe_step(f"{job.kind} {job.method}", run):
                result = _measure_apart(bench, job, kept, run, left)
        out.append(result)
    return out


def _measure_apart(bench: Bench, job: Job, kept: Path, run: RunOptions, seconds: float) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of other libraries' threads
    quiet = RunOptions(device=run.device, cache_dir=run.cache_dir, checkpoint_dir=run.checkpoint_dir)
    child = context.Process(target=_measure, args=(bench, job, kept, quiet), daemon=True)
    child.start()
    try:
        child.join(seconds)
        late = child.is_alive()
    finally:
        if child.is_alive():
            child.kill()
            child.join()
    if late:
        return {"method": job.method, "status": "stopped: the budget was spent"}
    failed = _read(kept.with_suffix(".failed"))
    kept.with_suffix(".failed").unlink(missing_ok=True)
    ended = {"method": job.method, "status": f"failed: its process ended with code {child.exitcode} (out of memory?)"}
    return _read(kept) or failed or ended


def _measure(bench: Bench, job: Job, kept: Path, run: RunOptions) -> None:
    try:
        if job.kind == "representation":
            result = measure_representation(bench, job.method, run)
        else:
            result = measure_clustering(bench, job.method, int(job.settings["n_segments"]))
        target, result = kept, {**result, "status": "done"}
    except PenchantError as error:
        target, result = kept.with_suffix(".failed"), {"method": job.method, "status": f"failed: {error}"}
    except Exception as error:
        traceback.print_exc()
        reason = f"failed: {type(error).__name__}: {error}"
        target, result = kept.with_suffix(".failed"), {"method": job.method, "status": reason}
    write_json(result, target)


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
