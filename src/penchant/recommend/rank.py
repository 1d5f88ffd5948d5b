"""Ways to order candidates: one signal, plain sums, a learned linear blend, boosted trees, and the last two together.

All of them score `Candidates` and learn from `Lesson`s: candidates of past windows with the outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from penchant.data import BoolArray, FloatArray, IntArray, Parts
from penchant.errors import ModelError
from penchant.recommend.candidates import USER_FEATURES, Candidates, feature_names, row_spread, standardise
from penchant.recommend.signals import ITEM_FEATURES

BLEND_L2 = 10.0  # in users: weights of standardised features, as if so many users had told nothing
TREES: dict[str, Any] = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 10,
    "num_leaves": 7,  # small trees: windows are few, and what held in them must hold in the next
    "learning_rate": 0.05,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.5,
    "lambda_l2": 1.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # several threads that wait for a busy core cost far more than they save
    "verbose": -1,
}
N_TREES = 120
N_NEGATIVES = 80  # candidates without a hit that each user lends to training; more cost time and change little
RRF_OFFSET = 60.0


@dataclass(frozen=True)
class Lesson:
    """candidates of the users of one window · hit: (n, c) liked in the window · ideal: (n,) what a perfect list could
    hit (all new likes of the user, candidates or not).
    """

    candidates: Candidates
    hit: BoolArray
    ideal: IntArray


def part_names(signal_names: tuple[str, ...]) -> tuple[str, ...]:
    """What a score may come from: signals, facts of the item, facts of the user.

    >>> part_names(("als",))[:2]
    ('als', 'item_age')
    """
    return (*signal_names, *ITEM_FEATURES, *USER_FEATURES)


class Ranker(Protocol):
    """name · fit(lessons) · score(candidates) -> (n, c) float32, higher is better · parts: see below."""

    name: str

    def fit(self, lessons: Sequence[Lesson], *, seed: int) -> None: ...

    def score(self, candidates: Candidates) -> FloatArray: ...

    def parts(self, candidates: Candidates, columns: IntArray) -> FloatArray:
        """What each thing that is read adds to the scores of some candidates.

        Args:
            columns: (n, k) which candidates of each row.
        Returns:
            (n, k, m), along the last axis as `part_names`, above and below what the usual candidate has: but for a
            number that is the same in all of a row they add up to the score.
        """
        ...

    def to_parts(self) -> Parts: ...


@dataclass
class Single:
    """One signal alone. Ties are broken by item row, as in a full ranking."""

    name: str
    signal_names: tuple[str, ...]

    def fit(self, lessons: Sequence[Lesson], *, seed: int) -> None:
        """Nothing to learn."""

    def score(self, candidates: Candidates) -> FloatArray:
        place = candidates.features[:, :, len(self.signal_names) + self.signal_names.index(self.name)]
        return np.asarray(-place, np.float32)

    def parts(self, candidates: Candidates, columns: IntArray) -> FloatArray:
        out = np.zeros((*columns.shape, len(part_names(self.signal_names))), np.float32)
        own = _beside_the_usual(self.score(candidates)[:, :, None], candidates.valid, columns)
        out[:, :, self.signal_names.index(self.name)] = own[:, :, 0]
        return out

    def to_parts(self) -> Parts:
        return Parts({"kind": "single", "name": self.name, "signal_names": list(self.signal_names)})


@dataclass
class PlainSum:
    """Sums without weights: "sum_z" of z-scores, "sum_softmax" of softmax-normalised z-scores, "rrf" = reciprocal rank
    fusion (Cormack, Clarke & Buettcher 2009), sum of 1 / (60 + rank).
    """

    name: str
    signal_names: tuple[str, ...]

    def fit(self, lessons: Sequence[Lesson], *, seed: int) -> None:
        """Nothing to learn."""

    def score(self, candidates: Candidates) -> FloatArray:
        return np.asarray(self._terms(candidates).sum(axis=2), np.float32)

    def parts(self, candidates: Candidates, columns: IntArray) -> FloatArray:
        terms = _beside_the_usual(self._terms(candidates), candidates.valid, columns)
        facts = len(part_names(self.signal_names)) - len(self.signal_names)
        return np.pad(terms, ((0, 0), (0, 0), (0, facts)))

    def _terms(self, candidates: Candidates) -> FloatArray:
        """(n, c, n_signals) what is summed."""
        n = len(self.signal_names)
        if self.name == "rrf":
            place = np.expm1(candidates.features[:, :, n : 2 * n]) + 1.0
            return np.asarray(1.0 / (RRF_OFFSET + place), np.float32)
        z = candidates.features[:, :, :n]
        if self.name == "sum_z":
            return z
        z = np.where(candidates.valid[:, :, None], z, -np.inf)
        grown = np.exp(z - z.max(axis=1, keepdims=True, initial=-1e9))
        return np.asarray(grown / np.maximum(grown.sum(axis=1, keepdims=True), 1e-9), np.float32)

    def to_parts(self) -> Parts:
        return Parts({"kind": "sum", "name": self.name, "signal_names": list(self.signal_names)})


@dataclass
class Blend:
    """A linear blend of all signals, learned by the listwise softmax loss (Cao et al. 2007, ListNet top one).

    weights: on z-scores of the signals and facts of the item; facts of the user are equal for all their candidates, and
    ranks beside z-scores only made the weights less steady.
    """

    signal_names: tuple[str, ...]
    name: str = "blend"
    weights: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))

    def fit(self, lessons: Sequence[Lesson], *, seed: int) -> None:
        from scipy.optimize import minimize

        from penchant.threads import one_thread

        n = len(self.signal_names) + len(ITEM_FEATURES)
        told = [lesson.hit.any(axis=1) for lesson in lessons]
        features = np.concatenate([self._read(x.candidates)[t] for x, t in zip(lessons, told, strict=True)])
        valid = np.concatenate([x.candidates.valid[t] for x, t in zip(lessons, told, strict=True)])
        hit = np.concatenate([x.hit[t] for x, t in zip(lessons, told, strict=True)]).astype(np.float32)
        hit /= hit.sum(axis=1, keepdims=True)
        scale = features.reshape(-1, n).std(axis=0) + 1e-6
        features /= scale
        closed = np.where(valid, 0.0, -1e9).astype(np.float32)
        flat = features.reshape(-1, n)

        def loss(w: FloatArray) -> tuple[float, FloatArray]:
            s = (flat @ w.astype(np.float32)).reshape(hit.shape) + closed
            s -= s.max(axis=1, keepdims=True)
            total = np.exp(s).sum(axis=1, keepdims=True)
            log_p = s - np.log(total)
            value = -float((hit * np.maximum(log_p, -1e6)).sum(dtype=np.float64)) + BLEND_L2 * float(w @ w) / 2
            slope = ((np.exp(log_p) - hit).ravel() @ flat).astype(np.float64) + BLEND_L2 * w
            return value / len(hit), slope / len(hit)

        with one_thread("blas"):  # sums of several threads would depend on their number
            found = minimize(loss, np.zeros(n), jac=True, method="L-BFGS-B", options={"maxiter": 150})
        self.weights = (found.x / scale).astype(np.float32)

    def score(self, candidates: Candidates) -> FloatArray:
        return np.asarray(self._read(candidates) @ self.weights, np.float32)

    def parts(self, candidates: Candidates, columns: IntArray) -> FloatArray:
        read = _beside_the_usual(self._read(candidates), candidates.valid, columns)
        return np.pad(read * self.weights, ((0, 0), (0, 0), (0, len(USER_FEATURES))))

    def _read(self, candidates: Candidates) -> FloatArray:
        n = len(self.signal_names)
        part = candidates.features
        return np.concatenate([part[:, :, :n], part[:, :, 2 * n : 2 * n + len(ITEM_FEATURES)]], axis=2)

    def to_parts(self) -> Parts:
        return Parts({"kind": "blend", "signal_names": list(self.signal_names)}, {"weights": self.weights})


@dataclass
class Trees:
    """LightGBM over all features, LambdaMART (Burges 2010) on NDCG@10. Saved as LightGBM's own text."""

    signal_names: tuple[str, ...]
    name: str = "trees"
    text: str = ""
    _booster: Any = None

    def fit(self, lessons: Sequence[Lesson], *, seed: int) -> None:
        import lightgbm

        features, labels, sizes = [], [], []
        random = np.random.default_rng([seed, 11])
        for lesson in lessons:
            told = lesson.hit.any(axis=1)
            valid = _some_misses(lesson.candidates.valid[told], lesson.hit[told], random)
            features.append(lesson.candidates.features[told][valid])
            labels.append(lesson.hit[told][valid])
            sizes.append(valid.sum(axis=1))
        table = lightgbm.Dataset(
            np.concatenate(features),
            np.concatenate(labels).astype(np.int32),
            group=np.concatenate(sizes),
            feature_name=[_plain_name(n) for n in feature_names(self.signal_names)],
            params={"max_bin": TREES["max_bin"], "verbose": -1},
        )
        self._booster = lightgbm.train({**TREES, "seed": seed, "objective_seed": seed}, table, N_TREES)
        self.text = self._booster.model_to_string()

    def score(self, candidates: Candidates) -> FloatArray:
        n, c, f = candidates.features.shape
        return np.asarray(self._read().predict(candidates.features.reshape(n * c, f)).reshape(n, c), np.float32)

    def parts(self, candidates: Candidates, columns: IntArray) -> FloatArray:
        """Shapley values of the trees (Lundberg et al. 2020); z-score and rank of a signal together."""
        (n, k), f = columns.shape, candidates.features.shape[2]
        chosen = np.take_along_axis(candidates.features, columns[:, :, None], axis=1).reshape(n * k, f)
        if not len(chosen):
            return np.zeros((n, k, len(part_names(self.signal_names))), np.float32)
        values = np.asarray(self._read().predict(chosen, pred_contrib=True), np.float32)[:, :-1].reshape(n, k, f)
        signals = len(self.signal_names)
        both = values[:, :, :signals] + values[:, :, signals : 2 * signals]
        return np.concatenate([both, values[:, :, 2 * signals :]], axis=2)

    def _read(self) -> Any:
        if self._booster is None:
            import lightgbm

            self._booster = lightgbm.Booster(model_str=self.text)
        return self._booster

    def to_parts(self) -> Parts:
        return Parts({"kind": "trees", "signal_names": list(self.signal_names), "text": self.text})


@dataclass
class Both:
    """Mean of the z-scores of blend and trees: the trees see what depends on what, the blend keeps them steady."""

    blend: Blend
    trees: Trees
    name: str = "blend+trees"

    def fit(self, lessons: Sequence[Lesson], *, seed: int) -> None:
        """Nothing to learn: its two parts are fitted by themselves."""

    def score(self, candidates: Candidates) -> FloatArray:
        return mean_of(self.blend.score(candidates), self.trees.score(candidates), candidates.valid)

    def parts(self, candidates: Candidates, columns: IntArray) -> FloatArray:
        """Those of both, in the spread each has over the row: what is taken off for z-scores is the same in a row."""
        out = np.zeros((*columns.shape, len(part_names(self.blend.signal_names))), np.float32)
        for ranker in (self.blend, self.trees):
            spread = row_spread(ranker.score(candidates), candidates.valid)
            own = ranker.parts(candidates, columns)
            out += np.divide(own, 2 * spread[:, :, None], out=np.zeros_like(own), where=spread[:, :, None] > 1e-9)
        return out

    def to_parts(self) -> Parts:
        blend, trees = self.blend.to_parts(), self.trees.to_parts()
        return Parts({**trees.config, "kind": "both"}, blend.arrays)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        names = tuple(parts.config["signal_names"])
        return cls(Blend(names, weights=parts.arrays["weights"]), Trees(names, text=parts.config["text"]))


def as_listed(ranker: Ranker, candidates: Candidates) -> FloatArray:
    """(n, c) scores in the form lists are ranked by: of a signal alone its own numbers, not their ranks."""
    if isinstance(ranker, Single):
        return candidates.features[:, :, ranker.signal_names.index(ranker.name)]
    return ranker.score(candidates)


def mean_of(blend: FloatArray, trees: FloatArray, valid: BoolArray) -> FloatArray:
    """(n, c) scores of `Both` from those of its parts."""
    return (standardise(blend, valid) + standardise(trees, valid)) / np.float32(2)


def ranker_from_parts(parts: Parts) -> Ranker:
    """Rebuild a ranker from what its `to_parts` gave."""
    kind, names = parts.config["kind"], tuple(parts.config["signal_names"])
    if kind == "single":
        return Single(str(parts.config["name"]), names)
    if kind == "sum":
        return PlainSum(str(parts.config["name"]), names)
    if kind == "blend":
        return Blend(names, weights=parts.arrays["weights"])
    if kind == "trees":
        return Trees(names, text=parts.config["text"])
    if kind == "both":
        return Both.from_parts(parts)
    raise ModelError(f"recommender: unknown ranker {kind!r} in the saved model; fit the model again")


def _beside_the_usual(terms: FloatArray, valid: BoolArray, columns: IntArray) -> FloatArray:
    """(n, k, m) terms of the chosen columns less the mean of the row's valid ones."""
    shown = np.where(valid[:, :, None], terms, 0.0)
    mean = shown.sum(axis=1, keepdims=True) / np.maximum(valid.sum(axis=1), 1)[:, None, None]
    return np.asarray(np.take_along_axis(terms, columns[:, :, None], axis=1) - mean, np.float32)


def _some_misses(valid: BoolArray, hit: BoolArray, random: np.random.Generator) -> BoolArray:
    """Keep each user's hits and N_NEGATIVES of the other valid candidates, drawn evenly."""
    lot = np.where(valid & ~hit, random.random(valid.shape, np.float32), np.float32(2))
    if lot.shape[1] <= N_NEGATIVES:
        return valid
    bar = np.partition(lot, N_NEGATIVES - 1, axis=1)[:, N_NEGATIVES - 1 : N_NEGATIVES]
    return valid & (hit | (lot <= bar))


def _plain_name(name: str) -> str:
    """LightGBM refuses some characters in names."""
    return "".join(c if c.isalnum() else "_" for c in name)
