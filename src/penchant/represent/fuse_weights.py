"""How much each part of an item (text, behaviour, image, ...) counts: as given, or learned from what users take next.

Learned: the log is cut. Behaviour vectors are fitted anew on the events before the cut; those of the whole log have
seen the answers, and behaviour would always win. A user is the mean of his latest items in each part, so that his
likeness to an item in the fused space is the weighted sum of his likenesses in the parts. Two users who took i and j in
the window are set against the same two with i and j exchanged. Given that users take items in proportion to
`popularity * exp(sum of coefficient * likeness)`, the chance that it was this way round is the logistic function of the
coefficients times the difference of the sums of likenesses. Popularity of the items and choosiness of the users cancel
(pairwise pseudolikelihood: Liang & Qin 2000, J. R. Stat. Soc. B 62), so neither can pass for likeness. The coefficients
are found under the bound that none is below 0: a convex problem of one unknown a part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from penchant.config import RepresentConfig
from penchant.data import Events, FloatArray, IntArray, Vectors
from penchant.represent.held_out import HeldOut, hold_out_late
from penchant.represent.history import latest_liked
from penchant.threads import one_thread

# What a part counts unless the config says otherwise; any part not named here counts 1.
DEFAULT_WEIGHTS: Mapping[str, float] = {"text": 1.0, "behaviour": 2.0}

WINDOW_SHARE = 0.1  # latest likes that are to be foretold
# Latest items that make a user. What is noise in a part averages out in a mean, as it does in a leaf of the interest
# tree, which holds some tens of items: one past item would value noisy parts (texts) too little, hundreds too much.
N_PAST = 30
N_PARTNERS = 10  # exchanges tried for each event of the window
N_FOLDS = 10  # groups of users, left out in turn for the standard errors
MIN_TARGETS = 100  # events of the window, below which nothing is learned
# A coefficient counts by what it exceeds this many of its standard errors: a part that foretells nothing gets nothing,
# where the plain estimate would give a wide part of noise a few percent.
SURE = 2.0
RIDGE = 1e-3  # keeps coefficients finite where likeness tells all pairs apart

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """One modality. name: its word in `RepresentConfig.weights`; vectors: unit rows, zeros where missing."""

    name: str
    vectors: Vectors
    weight: float


def given_weight(name: str, config: RepresentConfig) -> float:
    """The weight of a part by the config, else by `DEFAULT_WEIGHTS`.

    >>> given_weight("behaviour", RepresentConfig()), given_weight("image", RepresentConfig(weights={"image": 0.5}))
    (2.0, 0.5)
    """
    return config.weights.get(name, DEFAULT_WEIGHTS.get(name, 1.0))


@dataclass(frozen=True)
class LearnedWeights:
    """What the window says of each part.

    shares: name -> weight, sum 1; empty if nothing could be learned. coefficients, errors: name -> estimate and its
    standard error. n_targets: events of the window that were foretold.
    """

    shares: Mapping[str, float]
    coefficients: Mapping[str, float]
    errors: Mapping[str, float]
    n_targets: int

    def apply(self, parts: list[Part]) -> tuple[list[Part], str]:
        """The parts with learned weights (some 0), and words on it; as they are where one could not be judged."""
        if not self.shares or any(part.name not in self.shares for part in parts):
            why = "too few" if self.n_targets < MIN_TARGETS else "no part foretells them"
            return parts, f"; weights as given, none learned from {self.n_targets:,} next items ({why})"
        weighed = [replace(part, weight=self.shares[part.name]) for part in parts]
        out = "".join(f", {part.name} 0" for part in parts if not self.shares[part.name])
        return weighed, f"; weights learned from {self.n_targets:,} next items{out}"


def learn_weights(
    events: Events, parts_of_log: Callable[[Events], list[Part]], n_items: int, *, seed: int
) -> LearnedWeights:
    """Learn what parts count from the last tenth of the likes.

    Args:
        events: the whole log.
        parts_of_log: the parts as they are known from a log; called once, with the events before the window. What it
            gives must not have seen the window in another way either (texts tuned on the whole log have).

    Cost: one more fit of the behaviour vectors; beside it, 10 exchanges for each of at most 9,000 events.
    """
    held = hold_out_late(events.positive(), WINDOW_SHARE, n_items, seed=seed)
    if held is None or (held.targets >= 0).sum() < MIN_TARGETS:
        return LearnedWeights({}, {}, {}, 0 if held is None else int((held.targets >= 0).sum()))
    # all actions of the past, not only the likes; the window starts after the last like of `train`
    parts = parts_of_log(events.before(float(np.nextafter(held.train.end, np.inf))))
    with one_thread():
        gain, fold = _exchanges(held, parts, n_items, seed)
        coefficients, errors = fit_with_errors(gain, fold)
    names = [part.name for part in parts]
    sure = np.maximum(coefficients - SURE * errors, 0)
    shares = dict(zip(names, (sure / sure.sum()).tolist(), strict=True)) if sure.sum() > 0 else {}
    return LearnedWeights(
        shares,
        dict(zip(names, coefficients.tolist(), strict=True)),
        dict(zip(names, errors.tolist(), strict=True)),
        int((held.targets >= 0).sum()),
    )


def _exchanges(held: HeldOut, parts: list[Part], n_items: int, seed: int) -> tuple[Array, IntArray]:
    """Two users and their next items as they were, against exchanged.

    Returns:
        (n_pairs, n_parts) likenesses as it was less those exchanged, and (n_pairs,) the fold of both users. Pairs of
        one user or item are left out, and those where a user had the other's item before: there is no other way round.
    """
    rng = np.random.default_rng(seed)
    past = latest_liked(held.history, N_PAST).matrix(n_items, binary=True)[held.users]
    past = past.multiply(1 / np.maximum(past.sum(axis=1), 1)[:, None]).tocsr()
    user, place = np.nonzero(held.targets >= 0)
    item = held.targets[user, place].astype(np.int64)
    row_of = np.full(held.history.n_users, -1)
    row_of[held.users] = np.arange(len(held.users))
    had = row_of[held.history.user_row] * n_items + held.history.item_row
    had = np.unique(np.concatenate([had, user * n_items + item]))
    fold = rng.permutation(len(held.users))[user] % N_FOLDS

    drawn = [_partners(fold, rng) for _ in range(N_PARTNERS)]
    a, b = np.concatenate([d[0] for d in drawn]), np.concatenate([d[1] for d in drawn])
    good = (user[a] != user[b]) & (item[a] != item[b])
    good &= ~np.isin(user[a] * n_items + item[b], had) & ~np.isin(user[b] * n_items + item[a], had)
    a, b = a[good], b[good]
    spaces = [_centred(part.vectors, item) for part in parts]
    means = [np.asarray(past @ space, np.float32) for space in spaces]
    columns = [_gain(u, x, (user[a], item[a]), (user[b], item[b])) for u, x in zip(means, spaces, strict=True)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(a), 0)), fold[a].astype(np.int32)


def _centred(vectors: Vectors, targets: Rows) -> FloatArray:
    """Rows less the mean row of the window's items, still zeros where missing: to miss is no likeness or unlikeness."""
    there = vectors.present[targets]
    mean = vectors.values[targets[there]].mean(axis=0) if there.any() else 0
    return np.asarray((vectors.values - mean) * vectors.present[:, None], np.float32)


def _partners(fold: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Each event and the one behind it in a random round of its fold."""
    order = np.lexsort((rng.random(len(fold)), fold))
    _, start, size = np.unique(fold[order], return_index=True, return_counts=True)
    behind = np.arange(1, len(fold) + 1)
    behind[start + size - 1] = start
    return order, order[behind]


def _gain(users: FloatArray, items: FloatArray, one: tuple[Rows, Rows], other: tuple[Rows, Rows]) -> Array:
    """(n_pairs,) likeness of both users to their items less that to each other's: (u - v) . (i - j)."""
    out = np.empty(len(one[0]))
    for start in range(0, len(out), 8192):  # blocks, so that wide parts stay in little memory
        at = slice(start, start + 8192)
        apart = users[one[0][at]] - users[other[0][at]]
        out[at] = np.einsum("ij,ij->i", apart, items[one[1][at]] - items[other[1][at]], dtype=np.float64)
    return out


def fit_with_errors(gain: Array, fold: IntArray) -> tuple[Array, Array]:
    """Coefficients, and their standard errors by leaving out one fold of users at a time (jackknife).

    Args:
        gain: (n_pairs, n_parts). fold: (n_pairs,).
    Returns:
        (n_parts,) each; coefficients are >= 0, and 0 with error 0 for a part that is the same throughout.
    """
    whole = _fit(gain)
    folds = np.unique(fold)
    if len(folds) < 2:
        return whole, np.full(len(whole), np.inf)
    without = np.stack([_fit(gain[fold != f]) for f in folds])
    spread = np.square(without - without.mean(axis=0)).sum(axis=0)
    return whole, np.sqrt((len(folds) - 1) / len(folds) * spread)


def _fit(gain: Array) -> Array:
    """Least logistic loss with coefficients >= 0."""
    from scipy.optimize import minimize

    scale = np.sqrt(np.square(gain).mean(axis=0)) if len(gain) else np.zeros(gain.shape[1])
    told = scale > 1e-12
    out = np.zeros(gain.shape[1])
    if not told.any():
        return out
    x = gain[:, told] / scale[told]

    def loss(beta: Array) -> tuple[float, Array]:
        margin = x @ beta
        wrong = 1 / (1 + np.exp(np.clip(margin, -500, 500)))
        value = np.logaddexp(0, -margin).mean() + RIDGE / 2 * (beta @ beta)
        return float(value), -(x.T @ wrong) / len(x) + RIDGE * beta

    found = minimize(loss, np.full(x.shape[1], 0.1), jac=True, method="L-BFGS-B", bounds=[(0, None)] * x.shape[1])
    out[told] = found.x / scale[told]
    return out
