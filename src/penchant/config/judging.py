"""Settings of interests, segments, recommendations and their evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from penchant.config.section import Section

Share = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["auto"]


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
    forecast_model: Literal["auto", "logistic", "boosted", "blend", "softmax"] = Field(
        "auto", description="form of the forecast; auto = of the first three, the least Brier score on a later window"
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

    method: Literal[
        "kmeans", "minibatch", "bisecting", "ward", "average", "dbscan", "optics", "hdbscan", "gmm", "deep"
    ] = "kmeans"
    n_segments: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="a hint to dbscan, optics and hdbscan, which find the number themselves"
    )
    max_segments: int = Field(20, ge=2)
    init: Literal["plusplus", "random", "ward"] = Field("plusplus", description="where centres of k-means start")
    split_above: float | None = Field(
        None, ge=1, description="cut segments that are looser than this many times the mean; unset = none"
    )
    merge_above: float | None = Field(
        None, gt=0, lt=2, description="merge segments whose members belong to either by more than this; unset = none"
    )
    min_segment_share: float = Field(0.0, ge=0, lt=1, description="smaller segments join the nearest; 0 = none does")
    thin_events: int = Field(
        0, ge=0, description="users with fewer events borrow up to half of their mix from like users; 0 = nobody does"
    )
    balance: Literal["none", "weights", "oversample", "undersample"] = Field(
        "none", description="how users of large fields of interest are kept from drawing all segments to themselves"
    )
    n_exemplars: int = Field(5, ge=1)
    n_top_interests: int = Field(5, ge=1, le=50, description="interests told of a segment, at most")
    min_coverage: float = Field(0.1, ge=0, le=1, description="an interest speaks for a segment if this share has it")
    row_events: int = Field(10, ge=1, description="a user row holds the chance that this many events touch an interest")
    parent_weight: float = Field(0.3, ge=0, le=1, description="weight of a level in a user row, to the one below it")
    n_choice_users: int = Field(3000, ge=100, description="users the number of segments is chosen on, at most")
    n_random: int = Field(100, ge=20, description="random partitions a segmentation is tested against")

    @model_validator(mode="after")
    def _method_has_the_options(self) -> SegmentsConfig:
        # said here and not by the clustering alone, which runs only after minutes of other stages
        if self.init != "plusplus" and self.method not in ("kmeans", "minibatch"):
            raise ValueError(f"'init' {self.init!r} is for the methods kmeans and minibatch, not {self.method!r}")
        if self.balance == "weights" and self.method not in ("kmeans", "minibatch", "bisecting"):
            raise ValueError(f"'balance' 'weights' is for kmeans, minibatch and bisecting, not {self.method!r}")
        return self


class RecommendConfig(Section):
    """Candidates, ranking, diversity (`penchant.recommend`)."""

    method: str = Field("auto", description="auto = what wins on past windows; or one method's name, e.g. blend, ease")
    leave_out: tuple[str, ...] = Field(
        (), description="signals that neither bring nor rank candidates; slots = those of the user's layers"
    )
    networks: tuple[str, ...] = Field(
        (),
        description="representations, e.g. transformer, whose next items are a signal; each is fitted once a past "
        "window and once more",
    )
    n_candidates: int = Field(200, ge=10, description="items a user that the ranker orders")
    repeat: Literal["never", "allow", "predict"] = Field(
        "never",
        description="what a user took before: never listed; listed by what speaks for the like of it; or foretold, by "
        "a chance of a repeat learned from the log, with rankers taught on lists that may repeat",
    )
    diversity: float = Field(0.0, ge=0, le=1, description="0 = by score alone, 1 = by novelty within the list")
    n_explore: int = Field(0, ge=0, description="last places of a list kept for near items with few or no events")
    slots: tuple[Share, Share, Share, Share] | None = Field(
        None,
        description="shares of places for core, secondary, peripheral and new interests, e.g. [0.6, 0.25, 0.1, 0.05]; "
        "unset = by rank alone",
    )
    aversion: Strength = Field(
        "auto", description="how strongly dislikes and repeated ignoring push items down; auto = as past windows say"
    )
    saturation: Strength = Field(
        "auto", description="how strongly many like items lately push more of them down; auto = as past windows say"
    )
    popularity_bias: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="how strongly popular items step back; 0 = as ranked"
    )
    coverage: Strength = Field(
        "auto", description="how strongly items that stand in many lists step back; auto = no narrower than plain lists"
    )
    calibration: Share = Field(
        0.0, description="0 = by score alone, 1 = lists hold interests in the shares of the user's past"
    )
    saturation_half_life_days: float = Field(2.0, gt=0, description="time in which half of a saturation is gone")
    n_windows: int = Field(
        8,
        ge=1,
        le=20,
        description="past windows, at most: methods are trained on them and compared on the later; 5 are enough where "
        "users are many",
    )
    window_share: float = Field(0.1, gt=0, le=0.5, description="events in a window, as a share of the log")
    min_window_users: int = Field(10, ge=1, description="a window with fewer users to learn from is left out")
    max_train_users: int = Field(1500, ge=10, description="users drawn from each window")
    step_back_margin: float = Field(
        0.0, ge=0, description="standard errors a single signal must be ahead by before combinations give way to it"
    )
    ease_max_items: int = Field(
        4000, ge=10, description="EASE is solved on the most popular items; cost grows cubically"
    )
    n_neighbours: int = Field(256, ge=10, description="EASE weights kept an item")

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, told: Any) -> Any:
        if isinstance(told, dict) and "allow_seen" in told:
            raise ValueError("'allow_seen' is now 'repeat': 'never' (false), 'allow' (true) or 'predict'")
        return told

    @model_validator(mode="after")
    def _slots_fit(self) -> RecommendConfig:
        if self.slots is None:
            return self
        if abs(sum(self.slots) - 1) > 1e-6:
            raise ValueError(f"'slots' must sum to 1, not to {sum(self.slots):g}")
        if self.n_explore:
            raise ValueError("'slots' and 'n_explore' both claim the last places of a list; leave one of them unset")
        return self


class EvaluateConfig(Section):
    """The time split, peers and metrics (`penchant.evaluate`)."""

    test_share: float = Field(0.2, gt=0, lt=0.9, description="last share of the events, in time or order")
    cold_items: Literal["miss", "leave_out"] = Field(
        "leave_out", description="targets that nobody liked in train: leave out, as most published figures, or miss"
    )
    repeats: Literal["leave_out", "count"] = Field(
        "leave_out",
        description="what a user took before and takes again: neither listed nor a target, or both, for peers as well; "
        "ours lists it as `recommend.repeat` says",
    )
    k: int = Field(10, ge=1, description="leading cutoff: tables are sorted by ndcg@k, and lists are judged at k")
    more_k: tuple[Annotated[int, Field(ge=1)], ...] = Field((5, 20), description="further cutoffs of the hit metrics")
    n_windows: int = Field(1, ge=1, le=6, description="consecutive test windows, each of test_share; each costs a fit")
    peers: tuple[str, ...] = ("popular", "popular_7d", "popular_30d", "item_knn", "als", "ease", "plain")
    n_bootstrap: int = Field(500, ge=50, description="redraws of users for the 95 % intervals")
    n_permutations: int = Field(1999, ge=199, description="sign flips of the paired tests; the least p is 2 / (n + 1)")
    n_choice_users: int = Field(10_000, ge=100, description="users a peer's settings are chosen on, at most")
    propensity: Literal["list", "place"] = Field(
        "list",
        description="what propensities are chances of: that the item was in the list, or stood at its place",
    )
    max_weight: Annotated[float, Field(ge=1, allow_inf_nan=False)] | Literal["auto"] = Field(
        "auto", description="off-policy weights are clipped here; auto = by the size of the sample"
    )
    reward_hours: float = Field(
        24.0, gt=0, description="a liked event so long after an impression counts as its reward"
    )
    list_gap_seconds: float = Field(
        60.0, ge=0, description="impressions of a user no further apart are one list, where the log has no list_id"
    )

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """The leading cutoff, then the others in rising order.

        >>> EvaluateConfig(k=10, more_k=(20, 5, 10)).cutoffs
        (10, 5, 20)
        """
        return (self.k, *sorted(set(self.more_k) - {self.k}))
