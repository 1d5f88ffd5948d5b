"""Vectors of tokens whose weighted mean is what a teacher makes of the whole text, and how near it comes.

Each text is a row of token weights, B (n, V), that sum to 1: rarer tokens and earlier ones may weigh more. The vectors
that the teacher gives single tokens are first sent through one linear map, the best for all of them together: W0. Then
each token is moved by as much as the texts tell: min ||B W - T||^2 + ridge ||W - W0||^2, where T (n, d) are the
teacher's vectors of the texts, for all dimensions at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from penchant.data import FloatArray, unit_rows
from penchant.encode.token_bags import Tokens
from penchant.threads import one_thread

Array = npt.NDArray[np.float64]

# A token of this share of all tokens counts half (Arora et al. 2017); inf = all count alike. Teachers that pool by the
# mean mostly take the larger ones, so the texts choose.
SIF_A = (1e-3, 1e-2, 1e-1, np.inf)
PLAIN_SIF_A = 1e-2  # where no text can choose
# A token at this place counts half as much as the first: of long texts a teacher's vector tells the beginning most.
HALF_PLACES = (np.inf, 40.0, 20.0, 10.0)
RIDGES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
MAP_RIDGES = (1e-3, 1e-1, 10.0)
# tokens of texts in general, spread by Zipf's law over the vocabulary, that are counted with those of the texts
PRIOR_TOKENS = 10_000
# Of fewer texts, too few are left over to learn from or to choose by.
MIN_TEXTS, MIN_JUDGING = 100, 12
MAX_CHOOSING, MAX_JUDGING = 500, 1_000
N_NEIGHBOURS = 10
TOLERANCE, MAX_STEPS = 1e-3, 200


@dataclass(frozen=True)
class Distilled:
    """vectors: (V, d) float32, weighted: a text is their sum, with `half_place` as in `Tokens.bags`."""

    vectors: FloatArray
    half_place: float
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Likeness:
    """How alike two sets of vectors rank pairs of texts.

    spearman: of the cosines of all pairs. neighbours: share of the `N_NEIGHBOURS` nearest that are the same.
    """

    spearman: float
    neighbours: float
    n_texts: int


def likeness(vectors: npt.NDArray[Any], teacher: npt.NDArray[Any]) -> Likeness:
    """Compare (n, d) rows with the (n, D) rows of a teacher, without a common space.

    >>> rows = np.eye(3)
    >>> likeness(rows, np.hstack([rows, rows])).neighbours
    1.0
    """
    from scipy.stats import spearmanr

    n = len(vectors)
    k = min(N_NEIGHBOURS, n - 1)
    pairs = np.triu_indices(n, 1)
    cosines, near = [], []
    with one_thread():
        for rows in (vectors, teacher):
            unit = unit_rows(rows)
            like = unit @ unit.T
            cosines.append(like[pairs])
            np.fill_diagonal(like, -np.inf)
            chosen = np.zeros((n, n), np.bool_)
            np.put_along_axis(chosen, np.argsort(-like, axis=1, kind="stable")[:, :k], True, axis=1)
            near.append(chosen)
    varied = all(len(c) > 1 and np.ptp(c) > 0 for c in cosines)
    spearman = float(spearmanr(*cosines).statistic) if varied else 0.0
    return Likeness(spearman, float((near[0] & near[1]).sum() / (n * k)) if k else 0.0, n)


def distil(
    alone: FloatArray, counts: npt.NDArray[np.int64], sample: Tokens, teacher: FloatArray, n_dims: int
) -> Distilled:
    """Teach token vectors.

    Args:
        alone: (V, D) what the teacher makes of each token alone.
        counts: (V,) of the tokens in all texts; V in the order of the vocabulary.
        sample: tokens of n texts, in random order.
        teacher: (n, D) rows of unit length for those texts.
        n_dims: of the result, at most.
    Returns:
        Vectors, and facts: learned, spearman and neighbours (to the teacher on `n_texts_judging` texts that had no
        part in the learning; left out where there are too few), the same of plain vectors (from tokens alone), and
        what was chosen.
    """
    n = sample.n_texts
    n_judging = min(MAX_JUDGING, n // 5) if n >= MIN_TEXTS else n
    n_choosing = min(MAX_CHOOSING, n // 10) if n >= MIN_TEXTS else 0
    held = n_judging + n_choosing
    share = _share(counts)
    facts: dict[str, Any] = {"learned": False, "n_texts_learned": 0}
    with one_thread():
        basis = _basis(alone, teacher[held:], n_dims)
        tokens, target = alone @ basis, teacher @ basis
        kept = untaught = _Found(PLAIN_SIF_A, np.inf, 0.0, 0.0, _plain(tokens, share))
        if n_choosing:
            choose = sample.of_texts(n_judging, held)
            found = _choose(tokens, share, sample.of_texts(held, n), target[held:], choose, target[n_judging:held])
            scores = [_like(f, choose, teacher[n_judging:held]).spearman for f in (kept, found)]
            facts["choosing_spearman"] = [round(score, 4) for score in scores]
            if scores[1] > scores[0]:
                kept = _again(found, tokens, share, sample.of_texts(n_judging, n), target[n_judging:])
                facts |= {"learned": True, "n_texts_learned": n - n_judging, "ridge": found.ridge}
                facts |= {"sif_a": _json(found.sif_a), "half_place": _json(found.half_place)}
        if n_judging >= MIN_JUDGING:
            judge, truth = sample.of_texts(0, n_judging), teacher[:n_judging]
            facts |= _told(_like(kept, judge, truth), "")
            facts |= _told(_like(untaught, judge, truth), "plain_")
    return Distilled(kept.vectors.astype(np.float32), kept.half_place, facts)


@dataclass(frozen=True)
class _Found:
    """sif_a, half_place, map_ridge, ridge: what was chosen. vectors: (V, d) weighted, made by them."""

    sif_a: float
    half_place: float
    map_ridge: float
    ridge: float
    vectors: Array


def _like(found: _Found, texts: Tokens, teacher: FloatArray) -> Likeness:
    return likeness(texts.bags(len(found.vectors), found.half_place) @ found.vectors, teacher)


def _choose(tokens: Array, share: Array, learn: Tokens, target: Array, choose: Tokens, wanted: Array) -> _Found:
    """Weights first, by the linear map alone; then the ridge. Both by squared error on texts not learned from."""
    least, chosen = np.inf, (SIF_A[0], HALF_PLACES[0], MAP_RIDGES[0])
    for half in HALF_PLACES:
        inner, outer = learn.bags(len(tokens), half), choose.bags(len(tokens), half)
        for a in SIF_A:
            weight = _weight(share, a)
            read, told = _means(inner, weight) @ tokens, _means(outer, weight) @ tokens
            for map_ridge in MAP_RIDGES:
                error = _error(_map_of(read, target, map_ridge).apply(told), wanted)
                if error < least:
                    least, chosen = error, (a, half, map_ridge)
    a, half, map_ridge = chosen
    weight = _weight(share, a)
    inner, outer = (_means(texts.bags(len(tokens), half), weight) for texts in (learn, choose))
    mapped = _map_of(inner @ tokens, target, map_ridge).apply(tokens)
    moved = np.zeros_like(mapped)
    least, ridge, best = np.inf, RIDGES[0], mapped
    for tried in RIDGES:  # each starts where the one before it ended
        moved = _moved(inner, target - inner @ mapped, tried, moved)
        error = _error(outer @ (mapped + moved), wanted)
        if error < least:
            least, ridge, best = error, tried, mapped + moved
    return _Found(a, half, map_ridge, ridge, best * weight[:, None])


def _again(found: _Found, tokens: Array, share: Array, texts: Tokens, target: Array) -> _Found:
    """Learn with what was chosen, from the texts that chose it too."""
    weight = _weight(share, found.sif_a)
    means = _means(texts.bags(len(tokens), found.half_place), weight)
    mapped = _map_of(means @ tokens, target, found.map_ridge).apply(tokens)
    moved = _moved(means, target - means @ mapped, found.ridge, np.zeros_like(mapped))
    return replace(found, vectors=(mapped + moved) * weight[:, None])


@dataclass(frozen=True)
class _Map:
    """Rows (n, d), less their middle, times a matrix, plus a centre."""

    middle: Array
    matrix: Array
    centre: Array

    def apply(self, rows: Array) -> Array:
        mapped: Array = (rows - self.middle) @ self.matrix + self.centre
        return mapped


def _map_of(read: Array, target: Array, ridge: float) -> _Map:
    """The map under which rows come nearest to their targets; with a large ridge it only scales."""
    middle, centre = read.mean(axis=0), target.mean(axis=0)
    rows, wanted = read - middle, target - centre
    square, cross = rows.T @ rows, rows.T @ wanted
    size = np.trace(square)
    scale = np.trace(cross) / max(size, 1e-12)
    pull = max(ridge * size / len(square), 1e-12) * np.eye(len(square))
    return _Map(middle, np.linalg.solve(square + pull, cross + scale * pull), centre)


def _plain(tokens: Array, share: Array) -> Array:
    """Centred and weighted by inverse frequency: what all tokens share says nothing."""
    plain: Array = (tokens - tokens.mean(axis=0)) * _weight(share, PLAIN_SIF_A)[:, None]
    return plain


def _moved(means: sp.csr_array, rest: Array, ridge: float, start: Array) -> Array:
    """(V, d) the solution D of (B'B + ridge) D = B' rest, by conjugate gradients on all columns at once.

    Preconditioned by the diagonal: tokens differ in frequency by a factor of thousands.
    """
    back = sp.csr_array(means.T)
    used = np.flatnonzero(np.diff(back.indptr))
    forward, back = sp.csr_array(means[:, used]), sp.csr_array(back[used])
    scale = (back.multiply(back).sum(axis=1) + ridge)[:, None]
    found = start[used]
    wanted = back @ rest
    left = wanted - (back @ (forward @ found) + ridge * found)
    enough = TOLERANCE * np.sqrt((wanted**2 / scale).sum())
    step = near = left / scale
    power = np.einsum("vd,vd->d", left, near)
    for _ in range(MAX_STEPS):
        if np.sqrt(power.sum()) <= enough:
            break
        image = back @ (forward @ step) + ridge * step
        length = power / np.maximum(np.einsum("vd,vd->d", step, image), 1e-300)
        found = found + length * step
        left = left - length * image
        near = left / scale
        after = np.einsum("vd,vd->d", left, near)
        step = near + after / np.maximum(power, 1e-300) * step
        power = after
    moved = np.zeros_like(start)
    moved[used] = found
    return moved


def _means(bags: sp.csr_array, weight: Array) -> sp.csr_array:
    """(n, V) float64 rows of weights that sum to 1."""
    weighted = sp.csr_array(bags, dtype=np.float64, copy=True)
    weighted.data *= weight[weighted.indices]
    total = np.asarray(weighted.sum(axis=1)).ravel()
    weighted.data /= np.repeat(total, np.diff(weighted.indptr))
    return weighted


def _share(counts: npt.NDArray[np.int64]) -> Array:
    prior = 1 / (np.arange(len(counts)) + 1.0)
    share: Array = (counts + PRIOR_TOKENS * prior / max(prior.sum(), 1.0)) / (counts.sum() + PRIOR_TOKENS)
    return share


def _weight(share: Array, a: float) -> Array:
    return np.ones_like(share) if np.isinf(a) else a / (a + share)


def _basis(alone: FloatArray, teacher: FloatArray, n_dims: int) -> Array:
    """(D, d) the directions with most of the squared length of tokens and texts, which count alike; as it is if few.

    Not centred: the teacher's cosines are to stay as they are.
    """
    width = alone.shape[1]
    if n_dims >= width:
        return np.eye(width)
    square = np.zeros((width, width))
    for rows in (alone.astype(np.float64), teacher.astype(np.float64)):
        square += rows.T @ rows / max(1, len(rows))
    basis: Array = np.linalg.eigh(square)[1][:, ::-1][:, :n_dims]
    return basis


def _error(got: Array, wanted: Array) -> float:
    return float(((got - wanted) ** 2).sum() / max(1, len(wanted)))


def _json(number: float) -> float | str:
    return "inf" if np.isinf(number) else number


def _told(found: Likeness, prefix: str) -> dict[str, Any]:
    told = {f"{prefix}spearman": round(found.spearman, 4), f"{prefix}neighbours": round(found.neighbours, 4)}
    return told | ({} if prefix else {"n_texts_judging": found.n_texts})
