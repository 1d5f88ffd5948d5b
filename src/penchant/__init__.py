"""Layered, named, living user interests from behaviour logs and item texts."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> the module that holds it, imported on first use: `import penchant` stays light.
_HOME = {
    "Config": "penchant.config",
    "Model": "penchant.model",
    "PenchantError": "penchant.errors",
    "RunOptions": "penchant.config",
    "assess": "penchant.assessment",
    "compare": "penchant.comparison",
    "fit": "penchant.pipeline",
    "judge_feedback": "penchant.feedback",
    "load": "penchant.model",
    "load_config": "penchant.config",
    "make_world": "penchant.io.world",
    "read_log": "penchant.io",
    "simulate": "penchant.simulation",
}
__all__ = [
    "Config",
    "Model",
    "PenchantError",
    "RunOptions",
    "assess",
    "compare",
    "fit",
    "judge_feedback",
    "load",
    "load_config",
    "make_world",
    "read_log",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'penchant' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
