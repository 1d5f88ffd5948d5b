"""Aversion: how likely a user passes an item over, from what was disliked and ignored among the items like it.

For a user u and an item i, with m(i, k) the membership of i in leaf k and every event halved with its half-life:

    share    of u's likes, those of k: (sum over k of m(i, k) * (likes on k) + 10 * crowd) / (likes + 10), crowd being
             the share over all users, which speaks where u has told little
    against  sum over k of m(i, k) * (negative weights on k): low ratings, returns, hides, dislikes
    ignored  the same of impressions on items that u never acted on
    own      impressions and negative weights on i itself
    lately   likes and impressions on k, halved with the half-life of saturation

    log odds of a skip = constant - a * log(share) + b * log(1 + against) + c * log(1 + ignored) + d * log(1 + own)
                         + e * log(1 + lately)

with a, b, c, d >= 0 and e of either sign, learned from past windows of the log. Where the log has impressions,
outcomes are the pairs shown in a window: liked there, or passed over. (What users find by themselves is another sample:
beside impressions its likes would say that to be shown is to be skipped.) Without impressions they are likes and
dislikes. A second model, of share and against alone, is learned of likes and dislikes on any log: beside the many
interests that a user has nothing to do with, a disliked one is hardly skipped more often, but it is the one that is
disliked again.
What a user was never shown is neither evidence nor outcome: not to have clicked it says nothing (missing not at random:
Marlin & Zemel 2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.artefacts import csr_from_arrays, csr_to_arrays
from penchant.data import BoolArray, Events, FloatArray, IntArray, Parts
from penchant.recommend.ignored import impressed, is_impression, read_ignored

Bound = tuple[float | None, float | None]

FEATURES = ("share", "against", "ignored", "own", "lately")
AGAINST = 1
NEGATIVE = slice(1, 4)  # of FEATURES: what speaks against
BOUNDS: tuple[Bound, ...] = ((None, 0.0), (0.0, None), (0.0, None), (0.0, None), (None, None))
OF_DISLIKES = (*BOUNDS[:2], (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))  # what is shown came with the policy that showed it
CROWD = 10.0  # likes that the crowd's share counts as
LEAST = 1e-3  # likes that an interest nobody took counts as
L2 = 1.0  # on the weights, in outcomes
MAX_PAIRS = 20_000  # outcomes drawn from a window
MIN_OUTCOMES = 50  # skips, and likes, to learn from


@dataclass(frozen=True)
class Evidence:
    """Of some users at one moment, (n_users, n_items) each: liked, against, ignored, halved with the half-life of
    interests; recent: likes and impressions, halved with that of saturation. crowd: (n_items,) parts of all users'
    likes, sum 1 or 0.
    """

    liked: sp.csr_array
    against: sp.csr_array
    ignored: sp.csr_array
    recent: sp.csr_array
    crowd: FloatArray

    def take(self, user_rows: IntArray) -> Evidence:
        """Of some of the users, in the order given."""
        liked, against, ignored, recent = (
            sp.csr_array(part[user_rows]) for part in (self.liked, self.against, self.ignored, self.recent)
        )
        return Evidence(liked, against, ignored, recent, self.crowd)

    def emptied(self) -> Evidence:
        """Of as many users and items, nothing but the crowd."""
        none = sp.csr_array(self.liked.shape, dtype=np.float32)
        return Evidence(none, none, none, none, self.crowd)

    def to_parts(self) -> Parts:
        arrays: dict[str, npt.NDArray[np.generic]] = {"crowd": self.crowd}
        for name in ("liked", "against", "ignored", "recent"):
            arrays |= csr_to_arrays(getattr(self, name), name)
        return Parts({}, arrays)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        a = parts.arrays
        matrices = {name: csr_from_arrays(a, name) for name in ("liked", "against", "ignored", "recent")}
        return cls(**matrices, crowd=a["crowd"])


@dataclass(frozen=True)
class Outcomes:
    """Pairs of one window that something happened to. features: (m, 5) as FEATURES, of before · skipped: (m,)."""

    features: FloatArray
    skipped: BoolArray


@dataclass(frozen=True)
class SkipModel:
    """constant and weights: (5,) as FEATURES."""

    constant: float
    weights: FloatArray

    def probability(self, features: FloatArray) -> FloatArray:
        """(...) chance that the item is passed over, for (..., 5) features.

        >>> SkipModel(0.0, np.array([-1, 1, 0, 0, 0])).probability(np.array([[1, 1, 5, 5, 5]])).tolist()
        [0.5]
        """
        return np.asarray(1 / (1 + np.exp(-(features @ self.weights + self.constant))), np.float32)


def read_evidence(events: Events, n_items: int, half_life: float, short: float) -> Evidence:
    """Read what speaks for and against items at the end of a log.

    Args:
        half_life: of likes, dislikes and impressions; short: of saturation; in days (own events in an "order" log).
    """
    shape = (events.n_users, n_items)
    on_item, age = events.item_row >= 0, events.age_days()
    liked, against = (on_item & (events.weight * sign > 0) for sign in (1, -1))
    shown = is_impression(events)

    def matrix(mask: BoolArray, weight: FloatArray, halved: float) -> sp.csr_array:
        values = (weight[mask] * np.exp2(-age[mask] / halved)).astype(np.float32)
        out = sp.csr_array((values, (events.user_row[mask], events.item_row[mask])), shape=shape)
        out.sum_duplicates()
        return out

    size, ones = np.abs(events.weight), np.ones(len(events), np.float32)
    likes = matrix(liked, ones, half_life)
    crowd = np.asarray(likes.sum(axis=0), np.float32)
    return Evidence(
        likes,
        matrix(against, size, half_life),
        read_ignored(events, n_items, half_life=half_life).counts,
        matrix(liked | shown, ones, short),
        crowd / max(float(crowd.sum()), 1e-9),
    )


def evidence_of_new(
    user_rows: IntArray, item_rows: IntArray, weights: FloatArray, crowd: FloatArray, *, n_users: int
) -> Evidence:
    """Of people who are not in the log, from the items they touched; nothing is recent.

    Args:
        user_rows: (n,) whose touch it was. item_rows, weights: (n,). crowd: (n_items,), see `Evidence`.
    """

    def matrix(mask: BoolArray, size: FloatArray) -> sp.csr_array:
        out = sp.csr_array((size[mask], (user_rows[mask], item_rows[mask])), shape=(n_users, len(crowd)))
        out.sum_duplicates()
        return out

    ones = np.ones(len(item_rows), np.float32)
    nothing = sp.csr_array((n_users, len(crowd)), dtype=np.float32)
    return Evidence(matrix(weights > 0, ones), matrix(weights < 0, np.abs(weights)), nothing, nothing, crowd)


def features_of_all(evidence: Evidence, membership: sp.csr_array, item_rows: IntArray) -> FloatArray:
    """(n, c, 5) features of c items for each user of the evidence.

    Args:
        membership: (n_items, n_leaves). item_rows: (n, c).
    """
    n, c = item_rows.shape
    user = np.repeat(np.arange(n, dtype=np.int32), c)
    return features_of_pairs(evidence, membership, user, item_rows.ravel()).reshape(n, c, len(FEATURES))


def features_of_pairs(evidence: Evidence, membership: sp.csr_array, user: IntArray, item: IntArray) -> FloatArray:
    """(m, 5) features of (user, item) pairs, of items of a catalogue with (n_items, n_leaves) membership."""
    liked = felt(evidence.liked, membership, user, item)
    likes = np.asarray(evidence.liked.sum(axis=1)).ravel()[user]
    nobody = np.zeros_like(user)
    crowd = felt(sp.csr_array(evidence.crowd[None, :]), membership, nobody, item)
    share = (liked + CROWD * crowd + LEAST) / (likes + CROWD)
    against, ignored, lately = (
        felt(matrix, membership, user, item) for matrix in (evidence.against, evidence.ignored, evidence.recent)
    )
    own = entries(sp.csr_array(evidence.ignored + evidence.against), user, item)
    counts = np.log1p(np.column_stack([against, ignored, own, lately]))
    return np.column_stack([np.log(share), counts]).astype(np.float32)


def felt(matrix: sp.csr_array, membership: sp.csr_array, user: IntArray, item: IntArray) -> FloatArray:
    """(m,) what is on a user's items, as felt by one item: sum over leaves of m(item, k) * (on leaf k).

    >>> on = sp.csr_array(np.array([[4.0, 0.0]]))
    >>> felt(on, sp.csr_array(np.array([[1.0, 0.0], [0.5, 0.5]])), np.array([0, 0]), np.array([0, 1])).tolist()
    [4.0, 2.0]
    """
    on_leaf = np.asarray((matrix @ membership).toarray())
    of_item = sp.csr_array(membership[item])
    row = np.repeat(np.arange(len(item)), np.diff(of_item.indptr))
    values = of_item.data * on_leaf[user[row], of_item.indices]
    return np.bincount(row, values, minlength=len(item)).astype(np.float32)


def entries(matrix: sp.csr_array, user: IntArray, item: IntArray) -> FloatArray:
    """(m,) single entries, 0 where nothing is stored. (SciPy's own look-up fails on no pairs at all.)"""
    matrix.sum_duplicates()
    n = matrix.shape[1]
    stored = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)) * n + matrix.indices
    if not len(stored):
        return np.zeros(len(user), np.float32)
    wanted = user.astype(np.int64) * n + item
    at = np.minimum(np.searchsorted(stored, wanted), len(stored) - 1)
    return np.where(stored[at] == wanted, matrix.data[at], 0).astype(np.float32)


def outcomes(after: Events, evidence: Evidence, membership: sp.csr_array, *, only_shown: bool, seed: int) -> Outcomes:
    """What happened in a window, with the features of before: see the head of this file.

    Args:
        after: the window's events. evidence, membership: of before it. only_shown: the log has impressions.
    """
    n_items = evidence.liked.shape[1]
    liked = after.matrix(n_items, binary=True)
    if only_shown:
        shown = impressed(after, n_items)
        liked = sp.csr_array(liked.multiply(shown))
        skipped = sp.csr_array(shown - liked)
    else:
        disliked = negative(after, n_items)
        skipped = sp.csr_array(disliked - disliked.multiply(liked))
    skipped.eliminate_zeros()
    liked.eliminate_zeros()
    user, item = (np.concatenate(x).astype(np.int32) for x in zip(skipped.nonzero(), liked.nonzero(), strict=True))
    label = np.arange(len(user)) < skipped.nnz
    if len(user) > MAX_PAIRS:
        drawn = np.sort(np.random.default_rng([seed, 24]).choice(len(user), MAX_PAIRS, replace=False))
        user, item, label = user[drawn], item[drawn], label[drawn]
    return Outcomes(features_of_pairs(evidence, membership, user, item), label)


def fit_skips(lessons: list[Outcomes], bounds: tuple[Bound, ...] = BOUNDS) -> SkipModel | None:
    """Learn the weights; None where the windows hold too few skips or likes.

    Logistic loss with an L2 penalty, by L-BFGS-B with the signs as bounds.
    """
    from scipy.optimize import minimize

    from penchant.threads import one_thread

    features = np.concatenate([np.zeros((0, len(FEATURES)), np.float32), *(x.features for x in lessons)])
    skipped = np.concatenate([np.zeros(0, np.bool_), *(x.skipped for x in lessons)])
    if min(skipped.sum(), (~skipped).sum()) < MIN_OUTCOMES:
        return None
    sign = np.where(skipped, 1.0, -1.0)

    def loss(w: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margin = sign * (features @ w[1:] + w[0])
        pull = -sign / (1 + np.exp(np.clip(margin, -60, 60)))
        value = float(np.logaddexp(0, -margin).sum()) + L2 * float(w[1:] @ w[1:]) / 2
        return value / len(sign), np.r_[pull.sum(), pull @ features + L2 * w[1:]] / len(sign)

    with one_thread("blas"):
        start = np.zeros(1 + len(FEATURES))
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), *bounds])
    return SkipModel(float(found.x[0]), found.x[1:].astype(np.float32))


def negative(events: Events, n_items: int) -> sp.csr_array:
    """(n_users, n_items) 0/1: disliked."""
    at = (events.item_row >= 0) & (events.weight < 0)
    ones = np.ones(int(at.sum()), np.float32)
    out = sp.csr_array((ones, (events.user_row[at], events.item_row[at])), shape=(events.n_users, n_items))
    out.sum_duplicates()
    out.data[:] = 1.0
    return out
