"""Which method ranks: learned on earlier windows, compared on later ones, the best one taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.config import RecommendConfig
from penchant.data import FloatArray
from penchant.errors import ConfigError, did_you_mean
from penchant.recommend.rank import Blend, Both, Lesson, PlainSum, Ranker, Single, Trees, mean_of
from penchant.threads import in_batches, n_threads

SUMS = ("sum_z", "sum_softmax", "rrf")
LEARNED = ("blend", "trees", "blend+trees")
UNTESTED = "sum_z"  # where the log is too short to compare anything


@dataclass(frozen=True)
class Choice:
    """ranker: fitted on all windows · report: one row a method, best first, see `choose` · held: the same method
    fitted on the windows before each, for the latest window first; none for the earliest, nor where there is nothing to
    learn from.
    """

    ranker: Ranker
    report: pl.DataFrame
    held: tuple[Ranker, ...]


def methods(signal_names: tuple[str, ...]) -> tuple[str, ...]:
    """All methods by name, the simplest first."""
    return (*signal_names, *SUMS, *LEARNED)


def check_method(name: str, signal_names: tuple[str, ...]) -> None:
    """Refuse a method that does not exist, naming the nearest.

    >>> check_method("auto", ("als",))
    """
    if name != "auto" and name not in methods(signal_names):
        hint = did_you_mean(name, ["auto", *methods(signal_names)])
        raise ConfigError(f"recommend.method: no such method here. Got {name!r}; {hint}")


def choose(lessons: Sequence[Lesson], signal_names: tuple[str, ...], config: RecommendConfig, *, seed: int) -> Choice:
    """Compare every method on windows that no fit saw, take the best, and refit it on all windows.

    Each window but the earliest is scored by rankers fitted on the windows before it; the users of all scored windows
    are pooled. With one window only, signals and plain sums are compared on it and nothing is learned.

    The best combination gives way to the best single signal when that one is ahead by more than `step_back_margin`
    standard errors of the paired difference (bootstrap over users). The margin is there because the best of some
    twenty signals, picked after the fact, looks better than it is; a margin of 0 compares the bare means.

    Args:
        lessons: the latest window first.
    Returns:
        The ranker, and a report: method, kind, ndcg_10, n_users, behind (mean paired gap to the best), behind_se,
        share_ahead (share of bootstrap resamples in which the method is at least as good as the best), chosen.
    """
    names = methods(signal_names)
    if config.method != "auto" or not lessons:
        name = UNTESTED if config.method == "auto" else config.method
        report = _report({name: np.zeros(0, np.float32)}, name, signal_names, seed)
        return Choice(_fit_one(name, lessons, signal_names, seed), report, _held(name, lessons, signal_names, seed))
    judged = [(lesson, lessons[i + 1 :]) for i, lesson in enumerate(lessons[:-1] or lessons)]
    threads = min(n_threads(), len(judged))
    found = list(in_batches(lambda one: _judge(*one, signal_names, seed), judged, threads))
    gains = {name: [values[name] for _, values in found if name in values] for name in names}
    pooled = {name: np.concatenate(parts) for name, parts in gains.items() if parts}
    best = _best(pooled, signal_names, config.step_back_margin, seed)
    report = _report(pooled, best, signal_names, seed)
    return Choice(_fit_one(best, lessons, signal_names, seed), report, tuple(rankers[best] for rankers, _ in found))


def _judge(
    lesson: Lesson, earlier: Sequence[Lesson], signal_names: tuple[str, ...], seed: int
) -> tuple[dict[str, Ranker], dict[str, FloatArray]]:
    """Every method fitted on the windows before one, and the NDCG@10 of each of that window's users by it."""
    rankers = _rankers(signal_names, learned=bool(earlier))
    scores: dict[str, FloatArray] = {}
    for name, ranker in rankers.items():
        if isinstance(ranker, Both):
            scores[name] = mean_of(scores[ranker.blend.name], scores[ranker.trees.name], lesson.candidates.valid)
        else:
            ranker.fit(earlier, seed=seed)
            scores[name] = ranker.score(lesson.candidates)
    return rankers, {name: ndcg(values, lesson) for name, values in scores.items()}


def ndcg(scores: FloatArray, lesson: Lesson, k: int = 10) -> FloatArray:
    """(n,) NDCG@k of each user (binary gains, Jarvelin & Kekalainen 2002); ties: the lower item row first."""
    closed = np.where(lesson.candidates.valid, scores, -np.inf)
    top = np.argsort(-closed, axis=1, kind="stable")[:, :k]
    discount = 1.0 / np.log2(np.arange(2, top.shape[1] + 2))
    gain = (np.take_along_axis(lesson.hit, top, axis=1) * discount).sum(axis=1)
    full = np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))
    return np.asarray(gain / full[np.minimum(lesson.ideal, k) - 1], np.float32)


def _rankers(signal_names: tuple[str, ...], *, learned: bool) -> dict[str, Ranker]:
    """Every method, simplest first; "blend+trees" comes last and shares its parts, already fitted by then."""
    out: dict[str, Ranker] = {name: Single(name, signal_names) for name in signal_names}
    out |= {name: PlainSum(name, signal_names) for name in SUMS}
    if learned:
        blend, trees = Blend(signal_names), Trees(signal_names)
        out |= {"blend": blend, "trees": trees, "blend+trees": Both(blend, trees)}
    return out


def _fit_one(name: str, lessons: Sequence[Lesson], signal_names: tuple[str, ...], seed: int) -> Ranker:
    if name in LEARNED and not lessons:
        raise ConfigError(
            f"recommend.method: {name!r} has no past window to learn from (the log is too short); take 'auto'"
        )
    rankers = _rankers(signal_names, learned=bool(lessons))
    for part in ("blend", "trees") if name == "blend+trees" else (name,):
        rankers[part].fit(lessons, seed=seed)
    return rankers[name]


def _held(name: str, lessons: Sequence[Lesson], signal_names: tuple[str, ...], seed: int) -> tuple[Ranker, ...]:
    """One method before each window it can be fitted for, the latest first."""
    if name in LEARNED:
        return tuple(_fit_one(name, lessons[i:], signal_names, seed) for i in range(1, len(lessons)))
    return tuple(_fit_one(name, (), signal_names, seed) for _ in lessons)


def _best(pooled: dict[str, FloatArray], signal_names: tuple[str, ...], margin: float, seed: int) -> str:
    """The best combination, unless the best single signal is ahead by more than `margin` standard errors."""
    means = {name: float(values.mean(dtype=np.float64)) for name, values in pooled.items()}
    # max takes the first of equals, and the simplest methods come first
    combined = max((name for name in means if name not in signal_names), key=lambda name: means[name])
    single = max((name for name in means if name in signal_names), key=lambda name: means[name])
    lead = pooled[single] - pooled[combined]
    ahead = means[single] - means[combined]
    return single if ahead > margin * float(_resampled_means(lead, seed).std()) else combined


def _resampled_means(values: FloatArray, seed: int, n: int = 400) -> FloatArray:
    """(n,) means of bootstrap resamples over users."""
    if not len(values):
        return np.zeros(n, np.float32)
    return np.asarray(_counts(len(values), seed, n) @ values.astype(np.float64) / len(values), np.float32)


@lru_cache(maxsize=1)
def _counts(n_users: int, seed: int, n: int) -> npt.NDArray[np.float64]:
    """(n, n_users) how often each user is drawn: the same for every method that is compared."""
    return np.random.default_rng([seed, 10]).multinomial(n_users, np.full(n_users, 1 / n_users), size=n).astype(float)


def _report(pooled: dict[str, FloatArray], chosen: str, signal_names: tuple[str, ...], seed: int) -> pl.DataFrame:
    best = max(pooled, key=lambda name: float(pooled[name].mean(dtype=np.float64)) if len(pooled[name]) else 0.0)
    rows = []
    for name, values in pooled.items():
        gap = values - pooled[best]
        resampled = _resampled_means(gap, seed)
        kind = "signal" if name in signal_names else "sum" if name in SUMS else "learned"
        rows.append(
            {
                "method": name,
                "kind": kind,
                "ndcg_10": float(values.mean(dtype=np.float64)) if len(values) else None,
                "n_users": len(values),
                "behind": -float(gap.mean(dtype=np.float64)) if len(values) else None,
                "behind_se": float(resampled.std()) if len(values) else None,
                "share_ahead": float((resampled >= 0).mean()) if len(values) else None,
                "chosen": name == chosen,
            }
        )
    schema = {"method": pl.String, "kind": pl.String, "ndcg_10": pl.Float64, "n_users": pl.Int32, "behind": pl.Float64,
              "behind_se": pl.Float64, "share_ahead": pl.Float64, "chosen": pl.Boolean}  # fmt: skip
    return pl.DataFrame(rows, schema=schema).sort("ndcg_10", descending=True, maintain_order=True, nulls_last=True)
