"""The scripts that print the figures of the docs start, and name their options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "benchmarks"
TRY = """
import contextlib, io, runpy, sys
for path in sys.argv[1:]:
    sys.argv = [path, "--help"]
    told = io.StringIO()
    try:
        asks = "argparse" in open(path, encoding="utf-8").read()  # the others would run at once
        with contextlib.redirect_stdout(told):
            runpy.run_path(path, run_name="__main__" if asks else "imported")
        if asks:
            print(path, "ran instead of telling its options")
    except SystemExit as end:
        if end.code or "usage" not in told.getvalue():
            print(path, end.code)
    except Exception as error:
        print(path, repr(error))
"""


def test_every_benchmark_starts() -> None:
    scripts = sorted(FOLDER.glob("*.py"))
    assert len(scripts) > 20
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n{TRY}", *map(str, scripts)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
