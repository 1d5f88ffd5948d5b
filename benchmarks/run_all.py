"""Every benchmark that needs no outside data, one after the other: `make bench`.

Heavy: about fifty minutes on two cores. The slowest rows of some tables are left out here, and the figures on real logs
need the logs: docs/benchmarks.md names the whole command of each table.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNS = (
    ("repeat.py",),
    ("truth.py", "--seeds", "10,11,12"),
    ("plain_world.py", "--levels", "middle", "--seeds", "10,11,12"),
    ("layers.py", "--world", "middle"),
    ("trees.py", "--quick"),
    ("modalities.py", "--levels", "middle", "--seeds", "10"),
    (
        "clusterings.py",
        "--levels",
        "middle",
        "--seeds",
        "13",
        "--trials",
        "0",
        "--methods",
        "kmeans,minibatch,ward,gmm,dbscan",
    ),
    ("representations.py", "--logs", "market", "--splits", "time", "--methods", "popular,mean,factors,variational,gcn"),
    ("encoders.py", "--n", "1500"),
    ("sessions.py", "--seeds", "31", "--rounds", "4"),
    ("off_policy.py", "--logs", "20"),
    ("affinity_cost.py",),
    ("speed_recommend.py", "--users", "100000", "--items", "20000", "--fit-users", "10000", "--timed", "20000"),
    ("kinds.py",),
)


def main() -> None:
    """Run each script; stop at the first that fails."""
    for script, *arguments in RUNS:
        print(f"\n=== {script} {' '.join(arguments)}", flush=True)
        subprocess.run([sys.executable, str(HERE / script), *arguments], check=True)


if __name__ == "__main__":
    main()
