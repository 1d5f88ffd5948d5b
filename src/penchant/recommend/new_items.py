"""Items that nobody took, or hardly anybody: what is said of them is said by their texts.

A new item has no neighbours, no factors and no popularity of its own, so the usual signals are silent on it. But the
known items whose texts are nearest have all of these: every signal and every fact of a new item is the weighted mean of
theirs, and beside that stand the likeness of its own text and regressions on texts. What each is worth is learned as
for known items, on past windows in which some known items are hidden: their likes before the window are not read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray, FloatArray, IntArray, Items, unit_rows
from penchant.recommend.batch import Wanted, closed_items
from penchant.recommend.candidates import describe, pick_candidates
from penchant.recommend.cold import FEW_USERS
from penchant.recommend.lessons import join, make_lesson
from penchant.recommend.past import Past
from penchant.recommend.rank import Lesson, Ranker
from penchant.recommend.signals import OWN_HALF_LIVES, Signals
from penchant.recommend.windows import Window
from penchant.threads import one_thread

N_NEAR = 20  # known items that speak for a new one
NEAR_TEMPERATURE = 0.1  # of the softmax over their cosines
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
OWN = ("text", "text_last5", "attributes", "price")  # read of the item itself, not of its neighbours
EXPECTED = {"popular_by_text": "popular", "popular_30d_by_text": "popular_30d"}
BY_TEXT = (*EXPECTED, "als_by_text", "text_fit", "text_fit_last5")  # regressions
LABEL_WEIGHTS = (0.0, 0.25, 0.5, 1.0)
MAX_JUDGED = 2000  # items that tell what categories are worth
BLOCK_BYTES = 128_000_000  # of cosines at a time
MIN_CATEGORY, MAX_CATEGORIES = 5, 256
N_FOLDS = 5  # a fifth of the known items is hidden at a time
MAX_USERS, ENOUGH_USERS = 1000, 500  # of a fold; of the folds of a window


@dataclass(frozen=True, kw_only=True)
class NewItemSignals(Signals):
    """The signals of a moment as they speak for new items; zero for all others.

    heard_of: the items are new to these users alone: of how many liked them all is known (see `strangers`) ·
    known: the signals themselves · traits: of `item_traits` · new: (n_items,) · near: (n_items, n_items) CSR, rows of
    new items: shares of the nearest known items · factors: (n_items, f) of ALS, and expected: name -> (n_items,) of
    EXPECTED, as a ridge regression on traits foretells them · fitted: (n_items, d) traits of known items as a ridge
    regression of likes reads them.
    """

    known: Signals
    traits: FloatArray
    new: BoolArray
    near: sp.csr_array
    factors: FloatArray
    expected: dict[str, FloatArray]
    fitted: FloatArray
    heard_of: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return new_item_names(self.known, heard_of=self.heard_of)

    def score(self, past: Past, wanted: frozenset[str] | None = None) -> dict[str, FloatArray]:
        """As `Signals.score`, for new items alone."""
        rows = np.flatnonzero(self.new)
        near = sp.csr_array(self.near[rows])
        out: dict[str, FloatArray] = {}
        for name, values in self.known.score(past, wanted).items():
            if name in self.popular_names:
                told = self.popular(name) * self.new if self.heard_of else self.near @ self.popular(name)
                out[name] = np.broadcast_to(np.asarray(told, np.float32), values.shape)
            else:
                of_new = values[:, rows] if name in OWN else np.asarray((near @ values.T).T, np.float32)
                out[name] = self._spread(of_new, rows)
        for name in self.names[len(self.known.names) :]:
            if wanted is not None and name not in wanted:
                continue
            if name in EXPECTED:
                value = self.expected[name] * self.new
                out[name] = np.broadcast_to(value.astype(np.float32), (past.n_users, self.n_items))
                continue
            with one_thread("blas"):  # equal bytes on any number of threads
                if name == "als_by_text":
                    users = self.als.user_factors(np.arange(past.n_users, dtype=np.int32), past.matrix())
                    of_new = users @ self.factors[rows].T
                else:
                    fade = np.exp2(-past.own_age / OWN_HALF_LIVES["last5"]).astype(np.float32)
                    read = past.matrix(fade if name.endswith("last5") else None)
                    of_new = np.asarray(read @ self.fitted, np.float32) @ self.traits[rows].T
            out[name] = self._spread(np.asarray(of_new, np.float32), rows)
        return out

    def _spread(self, of_new: FloatArray, rows: npt.NDArray[np.int64]) -> FloatArray:
        full = np.zeros((len(of_new), self.n_items), np.float32)
        full[:, rows] = of_new
        return full


def new_item_names(signals: Signals, *, heard_of: bool = False) -> tuple[str, ...]:
    """Names of the signals of new items: those of the known ones, then BY_TEXT (`heard_of`: nothing is EXPECTED)."""
    return (*signals.names, *(name for name in BY_TEXT if not (heard_of and name in EXPECTED)))


def item_traits(text: FloatArray | None, labels: sp.csr_array) -> FloatArray:
    """(n_items, d) unit rows: the text beside the labels; zero where an item has neither.

    Args:
        text: (n_items, d') unit rows or None. labels: of `weigh_labels`.
    """
    if not labels.nnz:
        return np.zeros((labels.shape[0], 1), np.float32) if text is None else text
    dense = labels.toarray()
    return unit_rows(dense if text is None else np.concatenate([text, dense], axis=1))


def weigh_labels(categories: sp.csr_array, signals: Signals) -> sp.csr_array:
    """Categories as rows of the length they are worth beside the text (1) in this log: one of LABEL_WEIGHTS.

    That whose neighbours foretell best: each known item is judged by the cosine of its ALS factors and the mean of
    those of its neighbours, itself left out.

    Args:
        categories: of `category_matrix`. signals: of the log.
    """
    size = np.sqrt(np.maximum(categories.sum(axis=1), 1.0))
    unit = sp.csr_array(categories.multiply(1.0 / size[:, None]), dtype=np.float32)
    known = signals.popular("popular") >= FEW_USERS
    factors = unit_rows(signals.als.item_factors)
    best, at = -1.0, 0.0
    for weight in LABEL_WEIGHTS if categories.nnz else ():
        traits = item_traits(signals.text, sp.csr_array(unit * np.float32(weight)))
        told = described(traits) & known
        if told.sum() > N_NEAR:
            judged = np.zeros(len(told), np.bool_)
            judged[np.flatnonzero(told)[:: -(-int(told.sum()) // MAX_JUDGED)]] = True
            near = nearest(traits, told, judged)
            alike = float((unit_rows(np.asarray(near @ factors, np.float32)) * factors).sum())
            best, at = max((best, at), (alike, weight))
    out = sp.csr_array(unit * np.float32(at))
    out.eliminate_zeros()
    return out


def category_matrix(items: Items) -> sp.csr_array:
    """(n_items, m) 0/1: the categories that at least MIN_CATEGORY items have, at most MAX_CATEGORIES of them."""
    pairs = items.table.select(pl.int_range(pl.len()).alias("row"), "categories").explode("categories").drop_nulls()
    common = (
        pairs.group_by("categories")
        .len()
        .filter(pl.col("len") >= MIN_CATEGORY)
        .sort(pl.col("len"), "categories", descending=[True, False])
        .head(MAX_CATEGORIES)
        .with_row_index("column")
    )
    at = pairs.join(common, on="categories").unique(["row", "column"]).sort("row", "column")
    where = (at["row"].to_numpy(), at["column"].to_numpy())
    return sp.csr_array((np.ones(at.height, np.float32), where), shape=(len(items), common.height))


def find_new(signals: Signals, traits: FloatArray) -> BoolArray:
    """(n_items,) the items with a text or a category that fewer than FEW_USERS users liked."""
    return described(traits) & (signals.popular("popular") < FEW_USERS)


def described(traits: FloatArray) -> BoolArray:
    """(n_items,) whether an item has any trait."""
    return np.asarray(np.abs(traits).sum(axis=1) > 0)


def new_item_signals(
    signals: Signals, traits: FloatArray, new: BoolArray, known: BoolArray | None = None, *, heard_of: bool = False
) -> NewItemSignals:
    """Let known items speak for new ones. Cost: a ridge regression of factors and popularity on traits.

    Args:
        traits: (n_items, d) of `item_traits`. new: (n_items,) all have traits. known: (n_items,) None = all that are
            not new; those without traits are left out. heard_of: see `NewItemSignals`.
    """
    from sklearn.linear_model import RidgeCV

    known = described(traits) & (~new if known is None else known)
    popularity = np.log1p(np.stack([signals.popular(name) for name in EXPECTED.values()])).T
    factors = signals.als.item_factors.shape[1]
    told, fitted = np.zeros((len(traits), factors + len(EXPECTED)), np.float32), np.zeros_like(traits)
    with one_thread("blas"):  # equal bytes on any number of threads
        if known.sum() > 1:
            x, y = traits[known], np.concatenate([signals.als.item_factors, popularity], axis=1)[known]
            ridge = RidgeCV(RIDGES, alpha_per_target=True).fit(x, y)
            told = np.asarray(ridge.predict(traits), np.float32)
            alpha = np.float32(np.median(ridge.alpha_[:factors]))
            gram = x.T @ x + alpha * np.eye(x.shape[1], dtype=np.float32)
            fitted[known] = np.linalg.solve(gram, x.T).T
    near = nearest(traits, known, new)
    own = {field.name: getattr(signals, field.name) for field in fields(Signals)}
    if not heard_of:
        own["item_features"] = np.asarray(near @ signals.item_features, np.float32)
    return NewItemSignals(
        **own,
        known=signals,
        traits=traits,
        new=new,
        near=near,
        factors=told[:, :factors],
        expected=dict(zip(EXPECTED, np.expm1(np.maximum(told[:, factors:], 0.0)).T, strict=True)),
        fitted=fitted,
        heard_of=heard_of,
    )


def nearest(traits: FloatArray, known: BoolArray, new: BoolArray) -> sp.csr_array:
    """(n_items, n_items): for each new item shares of its N_NEAR nearest known ones but itself, sum 1."""
    rows, others = np.flatnonzero(new), np.flatnonzero(known)
    width = min(N_NEAR, len(others))
    nearest_rows, shares = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.float32)
    step = max(1, BLOCK_BYTES // (4 * max(1, len(others))))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        with one_thread("blas"):  # equal bytes on any number of threads
            cosine = traits[block] @ traits[others].T
        cosine[block[:, None] == others] = -1.0  # itself
        top = np.argsort(-cosine, axis=1, kind="stable")[:, :width]
        share = np.exp(np.take_along_axis(cosine, top, axis=1) / NEAR_TEMPERATURE)
        shares[start : start + step] = share / share.sum(axis=1, keepdims=True)
        nearest_rows[start : start + step] = others[top]
    at = (np.repeat(rows, width), nearest_rows.ravel())
    return sp.csr_array((shares.ravel(), at), shape=(len(traits), len(traits)))


def new_item_lesson(
    window: Window, past: Past, signals: Signals, traits: FloatArray, config: RecommendConfig, *, seed: int
) -> Lesson | None:
    """What lists of new items would have been judged by in a past window.

    Known items with traits fall into N_FOLDS. New are those of one fold, whose likes before the window are not read,
    and the items with traits that were first liked in it. Folds are taken until ENOUGH_USERS tell.

    Args:
        past: of all users before the window. traits: of `item_traits`.
    Returns:
        None where fewer than `min_window_users` users newly liked such an item.
    """
    told = described(traits)
    known = signals.popular("popular") >= FEW_USERS
    first_liked = ~known & told & (np.asarray(window.target.sum(axis=0)).ravel() > 0)
    draw = np.random.default_rng([seed, 13])
    fold = draw.integers(0, N_FOLDS, len(known))
    out: list[Lesson] = []
    for i in range(N_FOLDS):
        hidden = known & told & (fold == i)
        new, read = hidden | first_liked, known & ~hidden
        target = sp.csr_array(window.target[window.user_rows])
        target.data = target.data * new[target.indices]
        target.eliminate_zeros()
        users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
        if len(users) > MAX_USERS:
            users = np.sort(draw.choice(users, MAX_USERS, replace=False))
        if not len(users) or not (read & told).any():
            continue
        whole = past.take(window.user_rows[users])
        of_new = new_item_signals(signals, traits, new, read)
        closed = closed_items(whole, Wanted(k=1, allowed=new))
        out.append(make_lesson(whole.of_items(read), sp.csr_array(target[users]), of_new, config, closed))
        if sum(len(lesson.ideal) for lesson in out) >= ENOUGH_USERS:
            break
    return join(out) if sum(len(lesson.ideal) for lesson in out) >= config.min_window_users else None


@dataclass(frozen=True)
class NewItems:
    """The new items of today, their signals and the ranker that orders them."""

    signals: NewItemSignals
    ranker: Ranker
    n_candidates: int

    def only(self, allowed: BoolArray | None) -> bool:
        """Whether a list may hold new items alone (and such as nothing is known of).

        Args:
            allowed: (n_items,), None = all.
        """
        if allowed is None or not (allowed & self.signals.new).any():
            return False
        return not (allowed & (self.signals.popular("popular") >= FEW_USERS)).any()

    def best(self, past: Past, closed: sp.csr_array, listed: BoolArray, n: int) -> tuple[IntArray, FloatArray]:
        """The n best new items of each user, -1 where fewer, and their scores.

        Args:
            closed: (n_users, n_items) stored entries are left out. listed: (n_users, n_items) so are these.
        """
        blocked = sp.csr_array(closed + sp.csr_array(listed, dtype=np.float32))
        scores = self.signals.score(past)
        rows, valid = pick_candidates(scores, blocked, self.n_candidates)
        value = np.where(valid, self.ranker.score(describe(self.signals, scores, past, rows, valid)), -np.inf)
        top = np.argsort(-value, axis=1, kind="stable")[:, :n]
        value = np.take_along_axis(value, top, axis=1)
        found = np.isfinite(value)
        items = np.full((past.n_users, n), -1, np.int32)
        score = np.zeros((past.n_users, n), np.float32)
        items[:, : top.shape[1]] = np.where(found, np.take_along_axis(rows, top, axis=1), -1)
        score[:, : top.shape[1]] = np.where(found, value, 0.0)
        return items, score
