"""The catalogue of the made-up market: what items are, and how popular they are when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.io.world.lexicon import LANGUAGES, Lexicon
from penchant.io.world.noise import Noise

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

N_STYLES = 3
PERIOD_DAYS = 7  # popularity and supply change from week to week


@dataclass(frozen=True)
class Catalogue:
    """Arrays of one entry an item, before any text is written.

    interest, style, language (row into LANGUAGES), launch_day, half_life_days, weight (Zipf popularity
    within the interest), medium (row into MEDIA; all 0 in a market of one); interest_weight: (n_interests,) share of
    the market that each interest draws by itself.
    """

    interest: Rows
    style: Rows
    language: Rows
    launch_day: Rows
    half_life_days: Floats
    weight: Floats
    interest_weight: Floats
    medium: Rows
    n_media: int = 1

    def __len__(self) -> int:
        return len(self.interest)


def plan_catalogue(
    n_items: int,
    n_days: int,
    lexicon: Lexicon,
    language: str,
    noise: Noise,
    rng: np.random.Generator,
    *,
    n_media: int = 1,
) -> Catalogue:
    """Decide interest, style, language, life and popularity of each item."""
    n_interests = len(lexicon)
    interest_weight = np.exp(rng.normal(0.0, 0.45, n_interests))
    interest_weight /= interest_weight.sum()
    supply = np.sqrt(interest_weight)
    # Every interest has a third of an equal share of items at least; the rest follows demand, less than in proportion.
    floor = max(1, n_items // (3 * n_interests))
    counts = np.full(n_interests, floor) + rng.multinomial(n_items - floor * n_interests, supply / supply.sum())
    interest = np.repeat(np.arange(n_interests), counts)
    rank = np.arange(n_items) - np.repeat(np.cumsum(counts) - counts, counts)
    weight = (rank + 1.5) ** -0.9 * np.exp(rng.normal(0.0, 0.2, n_items))

    u = rng.random(n_items)
    launch_day = np.zeros(n_items, np.int64)
    late = u < noise.new_items
    launched = (u >= noise.new_items) & (u < noise.new_items + 0.25)
    launch_day[late] = rng.integers(int(n_days * 0.93), n_days, late.sum())
    launch_day[launched] = rng.integers(1, max(2, int(n_days * 0.93)), launched.sum())
    half_life = np.where(rng.random(n_items) < 0.3, rng.uniform(15, 60, n_items), rng.uniform(120, 900, n_items))
    classic = rank < n_media  # the best-known item of each interest (and medium) was always there and stays
    launch_day[classic], half_life[classic] = 0, 2000.0
    # Items launched inside the log start strong; popularity rank is then a matter of luck, not of age.
    weight = np.where(launch_day > 0, weight * rng.uniform(1.0, 4.0, n_items), weight)
    languages = rng.integers(0, 2, n_items) if language == "mixed" else np.full(n_items, LANGUAGES.index(language))
    order = rng.permutation(n_items)  # an item's place in the catalogue says nothing
    return Catalogue(
        interest[order],
        rng.integers(0, N_STYLES, n_items),
        languages,
        launch_day[order],
        half_life[order],
        np.asarray(weight[order], np.float64),
        interest_weight,
        (rank % n_media)[order],
        n_media,
    )


def popularity_by_period(catalogue: Catalogue, n_days: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(n_periods, n_items) weight of each item within its interest week by week; 0 before the launch."""
    n_periods = -(-n_days // PERIOD_DAYS)
    start = np.arange(n_periods)[:, None] * PERIOD_DAYS
    age = np.maximum(start - catalogue.launch_day, 0)
    life = np.maximum(2.0 ** (-age / catalogue.half_life_days), 0.05)
    # A random walk of log popularity: what sells this week says more about next week than the whole past does.
    trend = np.cumsum(rng.normal(0.0, 0.12, (n_periods, len(catalogue))), axis=0)
    on_sale = catalogue.launch_day < start + PERIOD_DAYS
    return np.asarray(catalogue.weight * life * np.exp(trend) * on_sale, np.float32)
