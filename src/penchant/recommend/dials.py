"""Dials of a ranking: away from popular items, over more of the catalogue, after the user's own mix of interests.

    score(u, i) = ranked(u, i) - spread(u) * (popularity_bias * z(u, i) + coverage * price(i))

spread is the standard deviation of the user's ranked candidates; z standardises the log number of the item's users over
the same candidates: that is to divide by a power of popularity, as Steck 2011 ("Item popularity and recommendation
accuracy") weighs his training data; price: see `exposure`. `calibration` acts on the list as a whole, see `calibrate`.

A coverage of "auto" is tried on the past windows, with rankers that did not see them: the strongest of STRENGTHS that,
as all weaker ones, is not inferior: its mean relative loss of NDCG@10 plus one standard error of the paired difference
over users is at most TOLERANCE. It is for users of the log who liked something, as those it was tried on. The trial
leaves popularity_bias out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from penchant.config import RecommendConfig
from penchant.data import BoolArray, FloatArray, Parts
from penchant.recommend.candidates import Candidates, row_spread, standardise
from penchant.recommend.choose import ndcg
from penchant.recommend.exposure import Crowd, joined, listed, prices
from penchant.recommend.rank import Lesson

STRENGTHS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
TOLERANCE = 0.05
REPORT = {"strength": pl.Float64, "ndcg_10": pl.Float64, "loss": pl.Float64, "loss_se": pl.Float64,
          "coverage": pl.Float64, "n_users": pl.Int64, "chosen": pl.Boolean}  # fmt: skip
WHY = {
    "setting": "as set",
    "windows": "costs at most {tolerance:.0%} of NDCG@10 on past windows",
    "loses": "not applied: on past windows even the least strength may cost more than {tolerance:.0%} of NDCG@10",
    "no_window": "not applied: no past window to try it on",
}


@dataclass(frozen=True)
class Held:
    """A past window before rankers that did not see it. lesson, scores: (n, c) of its users · others, other_scores: of
    further users of that time, who count for exposure alone; None where the window's own are enough.
    """

    lesson: Lesson
    scores: FloatArray
    others: Candidates | None = None
    other_scores: FloatArray | None = None


@dataclass(frozen=True)
class Dials:
    """popularity_bias, coverage, calibration: strengths applied, 0 = off · price: (n_items,) of being listed often;
    empty where coverage is 0 · for_new: whether coverage also speaks for people who are not in the log or liked nothing
    (a strength that was set does) · why: of coverage, a key of WHY · report: one row a strength of coverage tried on
    past windows: strength, ndcg_10, loss (relative, of NDCG@10), loss_se, coverage (share of the catalogue in the
    lists, mean over windows), n_users, chosen; empty where none was tried.
    """

    popularity_bias: float
    coverage: float
    calibration: float
    price: FloatArray
    for_new: bool
    why: str
    report: pl.DataFrame

    @classmethod
    def off(cls) -> Self:
        """Lists as ranked."""
        return cls(0.0, 0.0, 0.0, np.zeros(0, np.float32), False, "setting", pl.DataFrame(schema=REPORT))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is applied and why, a line a dial."""
        return (
            f"popularity_bias {self.popularity_bias:g}: as set",
            f"coverage {self.coverage:g}: {WHY[self.why].format(tolerance=TOLERANCE)}",
            f"calibration {self.calibration:g}: as set",
        )

    def turn(
        self, ranked: FloatArray, found: Candidates, log_popularity: FloatArray, *, known: BoolArray
    ) -> FloatArray:
        """(n, c) scores less what popularity and exposure cost; each row depends on itself alone.

        Args:
            ranked: (n, c). log_popularity: (n_items,) log number of users. known: (n,) users of the log with a liked
                past. A row of equal scores, of a user of whom nothing is known, keeps its order.
        """
        scale = row_spread(ranked, found.valid)
        out = ranked
        if self.popularity_bias:
            out = out - self.popularity_bias * scale * standardise(log_popularity[found.item_rows], found.valid)
        if self.coverage:
            theirs = self.coverage * scale * (known | self.for_new)[:, None]
            out = out - theirs * self.price[found.item_rows]
        return np.asarray(out, np.float32)

    def to_parts(self) -> Parts:
        names = ("popularity_bias", "coverage", "calibration", "for_new", "why")
        config = {name: getattr(self, name) for name in names}
        return Parts({**config, "report": self.report.to_dicts()}, {"price": self.price})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        config = dict(parts.config)
        report = pl.DataFrame(config.pop("report"), schema=REPORT)
        return cls(**config, price=parts.arrays["price"], report=report)


def fit_dials(held: Sequence[Held], crowd: Crowd | None, n_items: int, config: RecommendConfig) -> Dials:
    """Choose the strength of coverage and find the prices of today.

    Args:
        held: past windows, tried where coverage is "auto". crowd: None where nobody has a past.
    """
    strength, why, report = 0.0, "setting", pl.DataFrame(schema=REPORT)
    if config.coverage != "auto":
        strength = config.coverage
    elif crowd is None or not held or not crowd.scores.size:
        why = "no_window"
    else:
        report = try_coverage(held, n_items)
        strength = float(report.filter("chosen")["strength"].item())
        why = "windows" if strength else "loses"
    price = np.zeros(0, np.float32)
    if strength and crowd is not None:
        price = prices(crowd, n_items, strength)
    return Dials(
        popularity_bias=config.popularity_bias,
        coverage=strength if len(price) else 0.0,
        calibration=config.calibration,
        price=price,
        for_new=config.coverage != "auto",
        why=why,
        report=report,
    )


def try_coverage(held: Sequence[Held], n_items: int) -> pl.DataFrame:
    """Try strengths from the weakest on, until one is inferior to none; a table as `Dials.report`."""
    none = np.concatenate([ndcg(window.scores, window.lesson) for window in held])
    mean = max(float(none.mean(dtype=np.float64)), 1e-9)
    rows: list[dict[str, Any]] = []
    best = 0.0
    for strength in (0.0, *STRENGTHS):
        turned = [_turned(window, n_items, strength) for window in held]
        values = np.concatenate([ndcg(scores, w.lesson) for scores, w in zip(turned, held, strict=True)])
        loss = (none - values) / mean
        error = float(loss.std(dtype=np.float64)) / max(1, len(loss)) ** 0.5
        shown = [
            float((listed(Crowd(w.lesson.candidates.item_rows, w.lesson.candidates.valid, scores), n_items) > 0).mean())
            for scores, w in zip(turned, held, strict=True)
        ]
        rows.append(
            {
                "strength": strength,
                "ndcg_10": float(values.mean(dtype=np.float64)),
                "loss": float(loss.mean(dtype=np.float64)),
                "loss_se": error,
                "coverage": float(np.mean(shown)),
                "n_users": len(values),
            }
        )
        if rows[-1]["loss"] + error > TOLERANCE:
            break
        best = strength
    return pl.DataFrame([{**row, "chosen": row["strength"] == best} for row in rows], schema=REPORT)


def _turned(window: Held, n_items: int, strength: float) -> FloatArray:
    """Scores of the window's users, at prices of that time."""
    found, scores = window.lesson.candidates, window.scores
    if not strength:
        return scores
    crowd = Crowd(found.item_rows, found.valid, scores)
    if window.others is not None and window.other_scores is not None:
        crowd = joined([crowd, Crowd(window.others.item_rows, window.others.valid, window.other_scores)])
    price = prices(crowd, n_items, strength)
    return np.asarray(scores - strength * row_spread(scores, found.valid) * price[found.item_rows], np.float32)
