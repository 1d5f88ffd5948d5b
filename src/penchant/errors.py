"""Every error Penchant raises on purpose, in one tree.

```
PenchantError              anything we can explain; the command line prints it and exits with 2
├── DataError              the caller's table: a column, a row, an id
├── ConfigError            a setting: unknown key, wrong type, value out of range
├── ModelError             a model folder: missing, corrupt, foreign, made by a newer version
├── NotFoundError          an id that this model does not know (user, item, segment, interest)
├── MissingExtraError      an optional dependency; carries the exact install line
└── OutputError            a file or folder that can't be written
```

A message says what, where, the value got, what is allowed and the next step.
"""

from __future__ import annotations

from difflib import get_close_matches


class PenchantError(Exception):
    """Base of all errors that Penchant explains."""


class DataError(PenchantError, ValueError):
    """A table the caller gave can't be used as it is."""


class ConfigError(PenchantError, ValueError):
    """A setting is unknown or out of range."""


class ModelError(PenchantError):
    """A model folder can't be read."""


class NotFoundError(PenchantError, KeyError):
    """An id is unknown to this model."""

    def __str__(self) -> str:  # KeyError would print the repr, quotes and all
        return str(self.args[0]) if self.args else ""


class MissingExtraError(PenchantError, ImportError):
    """An optional dependency is not installed.

    >>> str(MissingExtraError("the transformer encoder", "transformer"))
    "the transformer encoder needs an extra that is not installed; run: pip install 'penchant[transformer]'"
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra that is not installed; run: pip install 'penchant[{extra}]'")
        self.extra = extra


class OutputError(PenchantError, OSError):
    """A result can't be written."""


def did_you_mean(got: str, allowed: list[str] | tuple[str, ...]) -> str:
    """Say which allowed word is near `got`, or list the allowed words.

    >>> did_you_mean("hlaf_life", ["half_life", "weights"])
    "did you mean 'half_life'?"
    >>> did_you_mean("zzz", ["a", "b"])
    'allowed: a, b'
    """
    near = get_close_matches(got, allowed, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    shown = ", ".join(sorted(allowed)[:20])
    return f"allowed: {shown}"
