"""All settings, one frozen section per stage: the only home of defaults.

`Config` holds what changes results; `RunOptions` holds what changes only the run (device, threads, progress).
Unknown keys are refused with the nearest known one.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from penchant.errors import ConfigError, did_you_mean

DEFAULT_ACTION_WEIGHTS: dict[str, float] = {
    "view": 1.0,
    "click": 1.0,
    "search": 1.0,
    "impression": 0.0,
    "like": 3.0,
    "bookmark": 3.0,
    "save": 3.0,
    "comment": 3.0,
    "share": 4.0,
    "follow": 3.0,
    "play": 2.0,
    "listen": 2.0,
    "watch": 2.0,
    "read": 2.0,
    "download": 3.0,
    "add_to_cart": 3.0,
    "wishlist": 2.0,
    "purchase": 5.0,
    "rate": 3.0,
    "review": 3.0,
    "tag": 2.0,
    "hide": -3.0,
    "dislike": -3.0,
    "return": -4.0,
    "cancel": -4.0,
    "skip": -0.5,
    "unfollow": -2.0,
    "unlike": -2.0,
    "remove_from_cart": -1.0,
    "adjust": 0.0,
}


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class IoConfig(Section):
    """Reading and cleaning (`penchant.io`)."""

    columns: dict[str, str] = Field(default_factory=dict, description="ours -> theirs")
    layout: Literal["long", "wide"] = "long"
    on_error: Literal["stop", "drop"] = "drop"
    max_drop_share: float = Field(0.5, ge=0, le=1, description="a run that would drop more than this share stops")
    action_weights: dict[str, float] = Field(default_factory=dict, description="overrides of the defaults")
    default_action: str = "view"
    unknown_action_weight: float = Field(1.0, description="for an action with no stated weight")
    rating_actions: tuple[str, ...] = ("rate", "review")
    min_value: float | None = Field(None, description="leave out rated events below this value")
    duplicate_rule: Literal["drop", "keep"] = "drop"
    cap_user_share: float = Field(
        0.02, gt=0, le=1, description="no user may hold more than this share of all events (robust users)"
    )
    bot_score: float = Field(3.5, gt=0, description="robust z-score of log events above which a user is an outlier")
    ragged_rows: Literal["stop", "drop"] = "stop"
    bot_hours: int = Field(20, ge=1, le=24, description="active hours of a day, twice or more, no person has")
    day_first: bool | None = Field(None, description="1/2/2024 is in February (true); unset: the log must show it")
    latest_time: str = Field("", description="ISO time; a later one is impossible; empty: a day after reading")

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, value: dict[str, str]) -> dict[str, str]:
        return {str(k): str(v) for k, v in value.items()}

    @field_validator("action_weights")
    @classmethod
    def _finite_weights(cls, value: dict[str, float]) -> dict[str, float]:
        bad = [k for k, v in value.items() if not math.isfinite(v)]
        if bad:
            raise ValueError(f"the weight of '{bad[0]}' must be a finite number")
        return value

    @field_validator("latest_time")
    @classmethod
    def _iso_time(cls, value: str) -> str:
        if value:
            datetime.fromisoformat(value)  # its ValueError says what is wrong
        return value

    def weight_of(self) -> dict[str, float]:
        """Return action -> weight with the overrides applied."""
        return {**DEFAULT_ACTION_WEIGHTS, **self.action_weights}


class EncodeConfig(Section):
    """Item texts to vectors (`penchant.encode`)."""

    method: Literal["auto", "tfidf", "transformer", "none"] = "auto"
    model: str = Field("", description="Hugging Face name or local path; empty = the packaged MiniLM")
    fields: tuple[str, ...] = ("title", "text", "categories")
    n_dims: int = Field(256, ge=2, le=4096, description="size of the tfidf vectors after SVD")
    max_tokens: int = Field(128, ge=8, le=8192)
    batch_size: int = Field(64, ge=1)
    backend: Literal["auto", "torch", "onnx"] = "auto"


class NeuralConfig(Section):
    """Networks over behaviour: one training loop for all (`penchant.represent.training`)."""

    n_dims: int = Field(64, ge=2, le=2048, description="size of user and item vectors")
    n_layers: int = Field(2, ge=1, le=24)
    n_heads: int = Field(2, ge=1, le=32, description="of attention; must divide n_dims")
    dropout: float = Field(0.2, ge=0, lt=1)
    max_length: int = Field(50, ge=2, description="latest events of a user that a sequence model reads")
    n_negatives: int = Field(0, ge=0, description="items drawn for a sampled softmax; 0 = softmax over all items")
    n_epochs: int = Field(40, ge=1, description="rounds over the data, at most")
    patience: int = Field(4, ge=1, description="rounds without a better validation score before training stops")
    validation_share: float = Field(0.1, gt=0, le=0.5, description="latest events, by which the round is chosen")
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _heads_fit(self) -> NeuralConfig:
        if self.n_dims % self.n_heads:
            raise ValueError(f"'n_heads' ({self.n_heads}) must divide 'n_dims' ({self.n_dims})")
        return self


class RepresentConfig(Section):
    """What behaviour adds to items (`penchant.represent`)."""

    method: str = Field("factors", description="a row of penchant.represent.METHODS; mean = nothing is learned")
    neural: NeuralConfig = NeuralConfig()
    n_factors: int = Field(64, ge=2, le=1024)
    regularization: float = Field(10.0, ge=0, description="of the factors; larger = smoother, for sparser logs")
    max_history: int = Field(500, ge=1, description="only a user's latest items shape the vectors: bounds heavy users")
    min_item_events: int = Field(3, ge=1, description="items with fewer events get no behaviour vector")
    text_weight: float = Field(1.0, ge=0)
    behaviour_weight: float = Field(2.0, ge=0)
    vector_weight: float = Field(1.0, ge=0, description="of each vector column of the items (image, audio, ...)")
    impute: bool = Field(True, description="guess a missing part of an item from its other parts, by a ridge map")


class InterestsConfig(Section):
    """Tree, affinity, layers, names (`penchant.interests`)."""

    n_leaves: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    max_leaves: int = Field(200, ge=2)
    min_leaf_items: int = Field(5, ge=1, description="smaller leaves join the nearest (n_leaves = auto)")
    n_levels: Literal[2, 3] = 2
    top_memberships: int = Field(3, ge=1, le=10, description="an item lies in at most this many leaves")
    half_life_days: float = Field(60.0, gt=0)
    short_half_life_days: float = Field(7.0, gt=0)
    layer_method: Literal["forecast", "share", "points", "recency", "frequency", "kmeans"] = "forecast"
    forecast_model: Literal["auto", "logistic", "boosted", "blend"] = Field(
        "auto", description="form of the forecast; auto = the least Brier score on a later window"
    )
    max_forecast_users: int = Field(20_000, ge=100, description="users the forecast is learnt from, at most")
    horizon: int = Field(10, ge=1, description="H: the next events a forecast speaks of")
    core: float = Field(0.5, gt=0, lt=1)
    secondary: float = Field(0.15, gt=0, lt=1)
    n_evidence: int = Field(3, ge=1, le=20)
    n_keywords: int = Field(8, ge=1, le=50)

    @model_validator(mode="after")
    def _layers_in_order(self) -> InterestsConfig:
        if self.secondary >= self.core:
            raise ValueError(f"'secondary' ({self.secondary}) must be below 'core' ({self.core})")
        return self


class SegmentsConfig(Section):
    """User segments (`penchant.segments`)."""

    method: Literal["kmeans"] = "kmeans"
    n_segments: int | Literal["auto"] = "auto"
    max_segments: int = Field(20, ge=2)
    n_exemplars: int = Field(5, ge=1)
    n_top_interests: int = Field(5, ge=1, le=50, description="interests told of a segment, at most")
    min_coverage: float = Field(0.1, ge=0, le=1, description="an interest speaks for a segment if this share has it")
    row_events: int = Field(10, ge=1, description="a user row holds the chance that this many events touch an interest")
    parent_weight: float = Field(0.3, ge=0, le=1, description="weight of a level in a user row, to the one below it")
    n_choice_users: int = Field(3000, ge=100, description="users the number of segments is chosen on, at most")
    n_random: int = Field(100, ge=20, description="random partitions a segmentation is tested against")


class RecommendConfig(Section):
    """Candidates, ranking, diversity (`penchant.recommend`)."""

    method: str = Field("auto", description="auto = what wins on past windows; or one method's name, e.g. blend, ease")
    n_candidates: int = Field(200, ge=10, description="items a user that the ranker orders")
    allow_seen: bool = False
    diversity: float = Field(0.0, ge=0, le=1, description="0 = by score alone, 1 = by novelty within the list")
    n_explore: int = Field(0, ge=0, description="last places of a list kept for near items with few or no events")
    n_windows: int = Field(
        3, ge=1, le=6, description="past windows: methods are trained on them and compared on the later"
    )
    window_share: float = Field(0.2, gt=0, le=0.5, description="events in a window, as a share of the log")
    min_window_users: int = Field(10, ge=1, description="a window with fewer users to learn from is left out")
    max_train_users: int = Field(1500, ge=10, description="users drawn from each window")
    step_back_margin: float = Field(
        0.0, ge=0, description="standard errors a single signal must be ahead by before combinations give way to it"
    )
    ease_max_items: int = Field(
        4000, ge=10, description="EASE is solved on the most popular items; cost grows cubically"
    )
    n_neighbours: int = Field(256, ge=10, description="EASE weights kept an item")


class EvaluateConfig(Section):
    """The time split, peers and metrics (`penchant.evaluate`)."""

    test_share: float = Field(0.2, gt=0, lt=0.9, description="last share of the events, in time or order")
    cold_items: Literal["miss", "leave_out"] = Field(
        "leave_out", description="targets that nobody liked in train: leave out, as most published figures, or miss"
    )
    k: int = Field(10, ge=1)
    peers: tuple[str, ...] = ("popular", "popular_7d", "popular_30d", "item_knn", "als", "ease", "plain")
    n_bootstrap: int = Field(500, ge=50, description="redraws of users for the 95 % intervals")
    n_choice_users: int = Field(10_000, ge=100, description="users a peer's settings are chosen on, at most")


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


@dataclass(frozen=True)
class RunOptions:
    """What changes only the run, never the result.

    device: "auto", "cpu" or "cuda"; cache_dir: where text vectors are kept (None = no cache); progress: bars on stderr;
    checkpoint_dir: where long training leaves its state after each round, to go on from (None = nowhere).
    """

    device: str = "auto"
    cache_dir: Path | None = None
    progress: bool = False
    checkpoint_dir: Path | None = None


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
    return f"setting '{name}': {message[0].lower()}{message[1:]}. Got {error['input']!r} instead"
