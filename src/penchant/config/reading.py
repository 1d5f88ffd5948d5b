"""Settings of reading, cleaning and weighing (`penchant.io`)."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Literal

from pydantic import Field, field_validator

from penchant.config.section import Section

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
