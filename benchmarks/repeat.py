"""Two fits with the same seed in two processes give the same bytes.

python benchmarks/repeat.py [EVENTS ITEMS]        (default: a made-up market)
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from penchant.io.world import make_world, write_world


def digest(folder: Path) -> str:
    """Hash of all files of a folder, names and bytes."""
    total = hashlib.sha256()
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        total.update(file.relative_to(folder).as_posix().encode())
        total.update(file.read_bytes())
    return total.hexdigest()


def main() -> None:
    """Fit twice and compare."""
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        if len(sys.argv) == 3:
            files = sys.argv[1:]
        else:
            write_world(make_world(n_users=600, n_items=900, n_days=90), base / "world")
            files = [str(base / "world" / "events.parquet"), str(base / "world" / "items.parquet")]
        digests = []
        for hash_seed in ("1", "2"):  # Python's own hashing differs between the two processes
            out = base / f"model{hash_seed}"
            command = [sys.executable, "-m", "penchant", "fit", *files, "-o", str(out), "--quiet"]
            cache = str(base / f"cache{hash_seed}")  # each encodes for itself
            environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PENCHANT_CACHE": cache}
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            digests.append(digest(out))
            print(f"fit {hash_seed}: {digests[-1]}")
        print("same bytes" if digests[0] == digests[1] else "DIFFERENT bytes")
        sys.exit(digests[0] != digests[1])


if __name__ == "__main__":
    main()
