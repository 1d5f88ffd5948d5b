"""How much memory a piece of work adds at its peak."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Memory:
    """Starts to watch this process when made.

    On Linux the kernel's high-water mark is reset then, and the figure is exact. Elsewhere it is the rise of the
    highest use so far: 0 where the work stayed below what came before it.
    """

    def __init__(self) -> None:
        with suppress(OSError):
            _CLEAR.write_text("5")  # resets VmHWM to the present use
        self._before = _kernel_mb("VmRSS") or _highest_mb()

    def added_mb(self) -> float:
        """MB at the peak above the use at the start."""
        return max(0.0, (_kernel_mb("VmHWM") or _highest_mb()) - self._before)


def _kernel_mb(name: str) -> float:
    """A figure of the kernel in MB; 0 where there is none."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{name}:")), 0.0)


def _highest_mb() -> float:
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
