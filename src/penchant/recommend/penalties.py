"""What is taken off a ranking: aversion and saturation, as strongly as the log's own past bears out.

    score(u, i) = ranked(u, i) - spread(u) * (aversion * against(u, i) + saturation * tired(u, i))

spread is the standard deviation of the user's ranked candidates; `against` is what negative evidence alone adds to the
log odds of a skip, dislikes of like items counting as in those of a dislike where that is more (`aversion`); tired =
log(1 + max(0, S - FREE)), S the items of the item's interests that the user took or was shown lately, halved with every
`saturation_half_life_days`. Without negative evidence, or with few like items lately, a list is what it was.

A strength of "auto" is tried on the latest past window, with a ranker and a skip model that did not see it: the best of
STRENGTHS by mean NDCG@10 of new likes less NDCG@10 of new dislikes, if it is ahead of none by more than MARGIN standard
errors of the paired difference over users; else none is applied, and `notes` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray, FloatArray, IntArray, Parts
from penchant.errors import DataError
from penchant.recommend.aversion import (
    AGAINST,
    FEATURES,
    NEGATIVE,
    OF_DISLIKES,
    Evidence,
    Outcomes,
    SkipModel,
    entries,
    features_of_all,
    felt,
    fit_skips,
)
from penchant.recommend.candidates import Candidates, row_spread
from penchant.recommend.choose import ndcg
from penchant.recommend.rank import Lesson

PARTS = ("aversion", "saturation")
STRENGTHS = (0.25, 0.5, 1.0, 2.0)
MARGIN = 2.0
FREE = 3.0  # like items lately that tire nobody
REPORT = {"part": pl.String, "strength": pl.Float64, "why": pl.String, "gain": pl.Float64, "gain_se": pl.Float64,
          "n_users": pl.Int64, "auc": pl.Float64}  # fmt: skip
WHY = {
    "setting": "as set",
    "windows": "ahead on the latest past window",
    "behind": "not applied: no strength is clearly ahead on the latest past window",
    "no_evidence": "not applied: the log holds too few dislikes or ignored impressions to learn from",
    "no_window": "not applied: no past window to try it on",
}


@dataclass(frozen=True)
class Trial:
    """The latest past window. lesson: its candidates and hits · scores: (n, c) by a ranker that did not see it ·
    evidence: of its n users before it · membership: of then · disliked: (n, n_items) 0/1, newly in it.
    """

    lesson: Lesson
    scores: FloatArray
    evidence: Evidence
    membership: sp.csr_array
    disliked: sp.csr_array


@dataclass(frozen=True)
class Penalties:
    """model: of skips, dislike: of dislikes; None where the log has too little to learn from · aversion, saturation:
    strengths applied, 0 = none · evidence: of all users at the end of the log (nothing where nothing reads it) ·
    report: one row a part: part, strength, why, gain (of the strength tried best over none, in net NDCG@10), gain_se,
    n_users, auc (of skips on the latest window; null: not tried).
    """

    model: SkipModel | None
    dislike: SkipModel | None
    aversion: float
    saturation: float
    evidence: Evidence
    report: pl.DataFrame

    @property
    def active(self) -> bool:
        """Whether any list can change."""
        return bool(self.aversion or self.saturation)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is applied and why, a line a part."""
        return tuple(f"{r['part']} {r['strength']:g}: {WHY[r['why']]}" for r in self.report.iter_rows(named=True))

    def lower(self, ranked: FloatArray, found: Candidates, evidence: Evidence, membership: sp.csr_array) -> FloatArray:
        """(n, c) scores less the penalties; rows without any keep theirs.

        Args:
            ranked: (n, c). evidence: of the n users. membership: (n_items, n_leaves).
        """
        for part in PARTS:
            if strength := getattr(self, part):
                ranked = _take_off(ranked, found, strength * self.of(part, found, evidence, membership))
        return ranked

    def of(self, part: str, found: Candidates, evidence: Evidence, membership: sp.csr_array) -> FloatArray:
        """(n, c) the penalty of one part at strength 1, in spreads."""
        if part == "saturation":
            n, c = found.item_rows.shape
            user = np.repeat(np.arange(n, dtype=np.int32), c)
            lately = felt(evidence.recent, membership, user, found.item_rows.ravel()).reshape(n, c)
            return np.asarray(np.log1p(np.maximum(lately - FREE, 0)), np.float32)
        weights = np.zeros(len(FEATURES), np.float32)
        if self.model is not None:
            weights[NEGATIVE] = self.model.weights[NEGATIVE]
        if self.dislike is not None:
            weights[AGAINST] = max(weights[AGAINST], self.dislike.weights[AGAINST])
        if not weights.any():
            return np.zeros(found.item_rows.shape, np.float32)
        return np.asarray(features_of_all(evidence, membership, found.item_rows) @ weights, np.float32)

    def skip_probability(self, user_rows: IntArray, item_rows: IntArray, membership: sp.csr_array) -> FloatArray:
        """(n, c) predicted chance that each user passes each item over.

        Args:
            user_rows: (n,). item_rows: (n, c). membership: (n_items, n_leaves).
        Raises:
            DataError: the log held too few dislikes or ignored impressions to learn from.
        """
        if self.model is None:
            raise DataError(
                f"predicted skips: {WHY['no_evidence'].removeprefix('not applied: ')}; see docs/exploration.md"
            )
        return self.model.probability(features_of_all(self.evidence.take(user_rows), membership, item_rows))

    def to_parts(self) -> Parts:
        models = {
            name: None if m is None else {"constant": m.constant, "weights": m.weights.tolist()}
            for name, m in (("model", self.model), ("dislike", self.dislike))
        }
        config = {**models, "aversion": self.aversion, "saturation": self.saturation}
        return Parts({**config, "report": self.report.to_dicts()}, self.evidence.to_parts().arrays)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        c = parts.config
        model, dislike = (
            None if m is None else SkipModel(float(m["constant"]), np.array(m["weights"], np.float32))
            for m in (c["model"], c["dislike"])
        )
        report = pl.DataFrame(c["report"], schema=REPORT)
        strengths = float(c["aversion"]), float(c["saturation"])
        return cls(model, dislike, *strengths, Evidence.from_parts(parts), report)


def fit_penalties(
    trial: Trial | None,
    skips: list[Outcomes],
    dislikes: list[Outcomes],
    evidence: Evidence,
    config: RecommendConfig,
) -> Penalties:
    """Learn what foretells skips and dislikes, and choose the strengths, of aversion first.

    Args:
        trial: the latest window, None where there is none. skips, dislikes: outcomes of all windows, the latest first.
        evidence: at the end of the log.
    """
    model, dislike = fit_skips(skips), fit_skips(dislikes, OF_DISLIKES)
    before = fit_skips(skips[1:]), fit_skips(dislikes[1:], OF_DISLIKES)
    earlier = Penalties(*before, 0.0, 0.0, evidence, pl.DataFrame(schema=REPORT))
    learned = {"aversion": bool(model or dislike), "saturation": True}
    tried = {"aversion": bool(earlier.model or earlier.dislike), "saturation": True}
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        asked, known = getattr(config, part), learned[part]
        row: dict[str, Any] = {"part": part, "strength": 0.0, "why": "no_evidence"}
        row |= _auc(earlier.model, skips) if part == "aversion" else {}
        off = None
        if trial is not None and tried[part]:
            off = earlier.of(part, trial.lesson.candidates, trial.evidence, trial.membership)
        if known and asked != "auto":
            row |= {"strength": float(asked), "why": "setting"}
        elif known:
            row |= {"why": "no_window"} if trial is None or off is None else _best(trial, off)
        if trial is not None and off is not None:
            lowered = _take_off(trial.scores, trial.lesson.candidates, row["strength"] * off)
            trial = replace(trial, scores=lowered)
        rows.append(row)
    aversion, saturation = (row["strength"] for row in rows)
    if not learned["aversion"] and not saturation:
        evidence = evidence.emptied()  # nothing will ever read it: the saved model stays small
    return Penalties(model, dislike, aversion, saturation, evidence, pl.DataFrame(rows, schema=REPORT))


def _take_off(scores: FloatArray, found: Candidates, off: FloatArray) -> FloatArray:
    """Scores less penalties that are given in spreads of the row; a flat row counts as of spread 1."""
    spread = row_spread(scores, found.valid)
    return np.asarray(scores - np.where(spread > 0, spread, 1.0) * off, np.float32)


def _best(trial: Trial, off: FloatArray) -> dict[str, Any]:
    """The strength that is most ahead of none on the window, if clearly."""
    found, none = trial.lesson.candidates, _net(trial, trial.scores)
    gains = {s: _net(trial, _take_off(trial.scores, found, s * off)) - none for s in STRENGTHS}
    best = max(STRENGTHS, key=lambda s: float(gains[s].mean(dtype=np.float64)))  # ties: the weaker
    gain, n = float(gains[best].mean(dtype=np.float64)), len(none)
    error = float(gains[best].std(dtype=np.float64)) / max(1.0, n**0.5)
    ahead = gain > MARGIN * error and gain > 0
    why = "windows" if ahead else "behind"
    return {"strength": best if ahead else 0.0, "why": why, "gain": gain, "gain_se": error, "n_users": n}


def _net(trial: Trial, scores: FloatArray) -> FloatArray:
    """(n,) NDCG@10 of new likes less that of new dislikes."""
    found = trial.lesson.candidates
    n, c = found.item_rows.shape
    user = np.repeat(np.arange(n, dtype=np.int32), c)
    hated = entries(trial.disliked, user, found.item_rows.ravel()).reshape(n, c) > 0
    bad: BoolArray = np.asarray(hated & found.valid)
    against = Lesson(found, bad, np.maximum(np.diff(trial.disliked.indptr), 1).astype(np.int32))
    return ndcg(scores, trial.lesson) - ndcg(scores, against)


def _auc(earlier: SkipModel | None, skips: list[Outcomes]) -> dict[str, float]:
    """How well earlier windows foretell the skips of the latest."""
    from sklearn.metrics import roc_auc_score

    if earlier is None or len(set(skips[0].skipped.tolist())) < 2:
        return {}
    return {"auc": float(roc_auc_score(skips[0].skipped, earlier.probability(skips[0].features)))}
