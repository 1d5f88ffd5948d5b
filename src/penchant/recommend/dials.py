"""Dials of a ranking: away from popular items, over more of the catalogue, after the user's own mix of interests.

    score(u, i) = ranked(u, i) - spread(u) * (popularity_bias * z(u, i) + coverage * price(i))

spread is the standard deviation of the user's ranked candidates; z standardises the log number of the item's users over
the same candidates: that is to divide by a power of popularity, as Steck 2011 ("Item popularity and recommendation
accuracy") weighs his training data; price: see `exposure`. `calibration` acts on the list as a whole, see `calibrate`.

A coverage of "auto" sees to it that lists hold no less of the catalogue than those of the plain method that would be
deployed otherwise. On past windows, with rankers that did not see them, it takes the weakest of STRENGTHS whose lists
hold AHEAD times as much as the best of PLAIN there (the widest of those not clearly behind it). None is taken that, or
a weaker one than which, is inferior: whose mean relative loss of NDCG@10 plus one standard error of the paired
difference over users is more than TOLERANCE. It is for users of the log who liked something, as those it was tried on.
The trial leaves popularity_bias out.
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

PLAIN = ("popular", "popular_7d", "popular_30d", "item_knn", "als", "ease")
AHEAD = 1.05  # windows to come are not those of the past
STRENGTHS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
TOLERANCE = 0.05
REPORT = {"strength": pl.Float64, "ndcg_10": pl.Float64, "loss": pl.Float64, "loss_se": pl.Float64,
          "coverage": pl.Float64, "n_users": pl.Int64, "chosen": pl.Boolean}  # fmt: skip
WHY = {
    "setting": "as set",
    "windows": "as much of the catalogue as {plain} lists, on past windows",
    "enough": "not applied: lists hold more of the catalogue than those of {plain}, on past windows",
    "short": "less of the catalogue than {plain} lists; more might cost {tolerance:.0%} of NDCG@10 in past windows",
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
    (a strength that was set does) · why: of coverage, a key of WHY · plain: the method whose lists ours are measured
    by, "" where none was · report: one row a strength of coverage tried on past windows: strength, ndcg_10, loss
    (relative, of NDCG@10), loss_se, coverage (share of the catalogue in the lists, mean over windows), n_users, chosen;
    empty where none was tried.
    """

    popularity_bias: float
    coverage: float
    calibration: float
    price: FloatArray
    for_new: bool
    why: str
    plain: str
    report: pl.DataFrame

    @classmethod
    def off(cls) -> Self:
        """Lists as ranked."""
        return cls(0.0, 0.0, 0.0, np.zeros(0, np.float32), False, "setting", "", pl.DataFrame(schema=REPORT))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is applied and why, a line a dial."""
        return (
            f"popularity_bias {self.popularity_bias:g}: as set",
            f"coverage {self.coverage:g}: {WHY[self.why].format(tolerance=TOLERANCE, plain=self.plain)}",
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
        names = ("popularity_bias", "coverage", "calibration", "for_new", "why", "plain")
        config = {name: getattr(self, name) for name in names}
        return Parts({**config, "report": self.report.to_dicts()}, {"price": self.price})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        config = dict(parts.config)
        report = pl.DataFrame(config.pop("report"), schema=REPORT)
        return cls(**config, price=parts.arrays["price"], report=report)


def fit_dials(
    held: Sequence[Held], signal_names: tuple[str, ...], crowd: Crowd | None, n_items: int, config: RecommendConfig
) -> Dials:
    """Choose the strength of coverage and find the prices of today.

    Args:
        held: past windows, tried where coverage is "auto". signal_names: of the features of their candidates. crowd:
            None where nobody has a past.
    """
    strength, why, plain, report = 0.0, "setting", "", pl.DataFrame(schema=REPORT)
    if config.coverage != "auto":
        strength = config.coverage
    elif crowd is None or not held or not crowd.scores.size:
        why = "no_window"
    else:
        plain, target = plain_coverage(held, signal_names, n_items)
        report = try_coverage(held, n_items, target)
        chosen = report.filter("chosen").row(0, named=True)
        strength = float(chosen["strength"])
        reached = chosen["coverage"] >= target
        why = ("windows" if reached else "short") if strength else ("enough" if reached else "loses")
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
        plain=plain,
        report=report,
    )


def plain_coverage(held: Sequence[Held], signal_names: tuple[str, ...], n_items: int) -> tuple[str, float]:
    """The plain method whose lists ours should not be narrower than, and AHEAD times their share of the catalogue.

    Of PLAIN, those are looked at whose NDCG@10 over the windows is behind the best by one standard error of the paired
    difference at most. "" and 0 where none is a signal.
    """
    gains: dict[str, FloatArray] = {}
    shares: dict[str, float] = {}
    for name in (name for name in PLAIN if name in signal_names):
        column = signal_names.index(name)
        lists = [(w.lesson, w.lesson.candidates.features[:, :, column]) for w in held]
        gains[name] = np.concatenate([ndcg(scores, lesson) for lesson, scores in lists])
        shares[name] = float(np.mean([_share_listed(lesson, scores, n_items) for lesson, scores in lists]))
    if not gains:
        return "", 0.0
    best = max(gains, key=lambda name: float(gains[name].mean(dtype=np.float64)))
    behind = {name: gains[best] - values for name, values in gains.items()}
    near = [name for name, gap in behind.items() if gap.mean() <= gap.std() / max(1, len(gap)) ** 0.5]
    widest = max(near, key=lambda name: shares[name])
    return widest, AHEAD * shares[widest]


def try_coverage(held: Sequence[Held], n_items: int, target: float) -> pl.DataFrame:
    """Try strengths from the weakest on, until lists hold a share of the catalogue, or one is inferior to none.

    Args:
        target: share of the catalogue in a window's lists.
    Returns:
        A table as `Dials.report`.
    """
    none = np.concatenate([ndcg(window.scores, window.lesson) for window in held])
    mean = max(float(none.mean(dtype=np.float64)), 1e-9)
    rows: list[dict[str, Any]] = []
    best = 0.0
    for strength in (0.0, *STRENGTHS):
        turned = [_turned(window, n_items, strength) for window in held]
        values = np.concatenate([ndcg(scores, w.lesson) for scores, w in zip(turned, held, strict=True)])
        loss = (none - values) / mean
        error = float(loss.std(dtype=np.float64)) / max(1, len(loss)) ** 0.5
        shown = [_share_listed(w.lesson, scores, n_items) for scores, w in zip(turned, held, strict=True)]
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
        if rows[-1]["coverage"] >= target:
            break
    return pl.DataFrame([{**row, "chosen": row["strength"] == best} for row in rows], schema=REPORT)


def _share_listed(lesson: Lesson, scores: FloatArray, n_items: int) -> float:
    """Share of the catalogue in the lists of a window's users."""
    crowd = Crowd(lesson.candidates.item_rows, lesson.candidates.valid, scores)
    return float((listed(crowd, n_items) > 0).mean())


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
