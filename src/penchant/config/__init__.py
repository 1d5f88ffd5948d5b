"""All settings, one frozen section per stage: the only home of defaults.

`Config` holds what changes results; `RunOptions` holds what changes only the run (device, threads, progress).
Unknown keys are refused with the nearest known one.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from penchant.config.judging import EvaluateConfig, InterestsConfig, RecommendConfig, SegmentsConfig
from penchant.config.reading import DEFAULT_ACTION_WEIGHTS, IoConfig
from penchant.config.section import Section
from penchant.config.vectors import (
    EncodeConfig,
    FullConfig,
    GraphConfig,
    HeadConfig,
    NeuralConfig,
    RepresentConfig,
    TuningConfig,
    Word2VecConfig,
)
from penchant.errors import ConfigError, did_you_mean

__all__ = [
    "DEFAULT_ACTION_WEIGHTS",
    "Config",
    "EncodeConfig",
    "EvaluateConfig",
    "FullConfig",
    "GraphConfig",
    "HeadConfig",
    "InterestsConfig",
    "IoConfig",
    "NeuralConfig",
    "RecommendConfig",
    "RepresentConfig",
    "RunOptions",
    "SegmentsConfig",
    "TuningConfig",
    "Word2VecConfig",
    "build_config",
    "load_config",
]


class Config(Section):
    """Everything that changes results."""

    seed: int = Field(0, ge=0)
    io: IoConfig = IoConfig()
    encode: EncodeConfig = EncodeConfig()
    represent: RepresentConfig = RepresentConfig()
    interests: InterestsConfig = InterestsConfig()
    segments: SegmentsConfig = SegmentsConfig()
    recommend: RecommendConfig = RecommendConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _one_encoder(self) -> Config:
        if self.represent.start_from and (self.encode.method, self.encode.model, self.encode.tune) != (
            "auto",
            "",
            "off",
        ):
            raise ValueError(
                "'represent.start_from' reads texts by the encoder of that model; leave 'encode.method', "
                "'encode.model' and 'encode.tune' as they are"
            )
        return self

    @model_validator(mode="after")
    def _no_leak(self) -> Config:
        if self.encode.tune != "off" and self.represent.fuse_weights == "learned":
            raise ValueError(
                "'represent.fuse_weights' can't be learned on texts tuned by behaviour ('encode.tune'): they have seen "
                "the window it learns on; leave one of the two off"
            )
        return self


@dataclass(frozen=True)
class RunOptions:
    """What changes only the run, never the result (but for rounding, where an encoder finds an ONNX export in a cache).

    device: "auto", "cpu" or "cuda"; cache_dir: where text vectors are kept (None = no cache); progress: bars on stderr;
    checkpoint_dir: where long training leaves its state after each round, to go on from (None = nowhere). Folders may
    be given as str.

    >>> RunOptions(cache_dir="texts").cache_dir == Path("texts")
    True
    """

    device: str = "auto"
    cache_dir: Path | None = None
    progress: bool = False
    checkpoint_dir: Path | None = None

    def __post_init__(self) -> None:
        for name in ("cache_dir", "checkpoint_dir"):
            if (folder := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(folder))


def build_config(data: dict[str, Any]) -> Config:
    """Check a nested dict of settings; name the wrong key and the nearest right one.

    >>> build_config({"interests": {"horizon": 5}}).interests.horizon
    5
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(e) for e in error.errors())) from None


def load_config(path: str | Path | None = None, overrides: list[str] | None = None) -> Config:
    """Read a TOML file (or none) and apply `section.key=value` overrides."""
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: can't be read ({error.strerror}); give the path of a TOML file") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: is not valid TOML ({error})") from None
    for override in overrides or []:
        _apply(data, override)
    return build_config(data)


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: must be section.key=value, e.g. interests.horizon=10")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    parts = key.strip().split(".")
    for part in parts[:-1]:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override!r}: '{part}' is a value, not a section")
    data[parts[-1]] = value


def _explain(error: Any) -> str:
    location = [str(p) for p in error["loc"]]
    name = ".".join(location)
    if error["type"] == "extra_forbidden":
        section: type[BaseModel] = Config
        for part in location[:-1]:
            annotation = section.model_fields[part].annotation
            if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
                break
            section = annotation
        return f"unknown setting '{name}'; {did_you_mean(location[-1], list(section.model_fields))}"
    message = error["msg"].removeprefix("Value error, ")
    got = "" if isinstance(error["input"], dict) else f". Got {error['input']!r} instead"
    return f"{f'setting {name!r}' if name else 'settings'}: {message[0].lower()}{message[1:]}{got}"
