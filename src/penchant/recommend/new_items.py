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
import scipy.sparse as sp

from penchant.config import RecommendConfig
from penchant.data import BoolArray, FloatArray, IntArray
from penchant.recommend.batch import closed_items
from penchant.recommend.candidates import describe, pick_candidates
from penchant.recommend.cold import FEW_USERS
from penchant.recommend.lessons import make_lesson
from penchant.recommend.past import Past
from penchant.recommend.rank import Lesson, Ranker
from penchant.recommend.signals import OWN_HALF_LIVES, Signals
from penchant.recommend.windows import Window
from penchant.threads import one_thread

N_NEAR = 20  # known items that speak for a new one
NEAR_TEMPERATURE = 0.1  # of the softmax over their cosines
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
OWN_TEXT = ("text", "text_last5")  # read of the item's own text, not of its neighbours'
BY_TEXT = ("als_by_text", "text_fit", "text_fit_last5")  # regressions: of factors, of likes, of the last likes
HIDDEN = 0.2  # of the known items, in a lesson
MAX_USERS = 1000  # of a lesson


@dataclass(frozen=True, kw_only=True)
class NewItemSignals(Signals):
    """The signals of a moment as they speak for new items; zero for all others.

    known: the signals themselves · new: (n_items,) · near: (n_items, n_items) CSR, rows of new items: shares of the
    known items nearest by text · told: (n_items, f) factors as texts foretell them · fitted: (n_items, d) texts of
    known items as a ridge regression of likes on texts reads them.
    """

    known: Signals
    new: BoolArray
    near: sp.csr_array
    told: FloatArray
    fitted: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.known.names, *BY_TEXT)

    def score(self, past: Past, wanted: frozenset[str] | None = None) -> dict[str, FloatArray]:
        """As `Signals.score`, for new items alone."""
        rows = np.flatnonzero(self.new)
        near = sp.csr_array(self.near[rows])
        out: dict[str, FloatArray] = {}
        for name, values in self.known.score(past, wanted).items():
            if name in self.popular_names:
                out[name] = np.broadcast_to(np.asarray(self.near @ self.popular(name), np.float32), values.shape)
            else:
                of_new = values[:, rows] if name in OWN_TEXT else np.asarray((near @ values.T).T, np.float32)
                out[name] = self._spread(of_new, rows)
        text = np.zeros((self.n_items, 0), np.float32) if self.text is None else self.text
        for name in BY_TEXT:
            if wanted is not None and name not in wanted:
                continue
            with one_thread("blas"):  # equal bytes on any number of threads
                if name == "als_by_text":
                    users = self.als.user_factors(np.arange(past.n_users, dtype=np.int32), past.matrix())
                    of_new = users @ self.told[rows].T
                else:
                    fade = np.exp2(-past.own_age / OWN_HALF_LIVES["last5"]).astype(np.float32)
                    read = past.matrix(fade if name.endswith("last5") else None)
                    of_new = np.asarray(read @ self.fitted, np.float32) @ text[rows].T
            out[name] = self._spread(np.asarray(of_new, np.float32), rows)
        return out

    def _spread(self, of_new: FloatArray, rows: npt.NDArray[np.int64]) -> FloatArray:
        full = np.zeros((len(of_new), self.n_items), np.float32)
        full[:, rows] = of_new
        return full


def find_new(signals: Signals) -> BoolArray:
    """(n_items,) the items with a text that fewer than FEW_USERS users liked."""
    return has_text(signals) & (signals.popular("popular") < FEW_USERS)


def has_text(signals: Signals) -> BoolArray:
    if signals.text is None:
        return np.zeros(signals.n_items, np.bool_)
    return np.asarray(np.abs(signals.text).sum(axis=1) > 0)


def new_item_signals(signals: Signals, new: BoolArray, known: BoolArray | None = None) -> NewItemSignals:
    """Let known items with a text speak for new ones. Cost: one ridge regression of factors on texts.

    Args:
        new: (n_items,) all have a text. known: (n_items,) None = all that are not new and have a text.
    """
    from sklearn.linear_model import RidgeCV

    text = signals.text
    assert text is not None
    known = has_text(signals) & (~new if known is None else known)
    near = nearest(text, known, new)
    with one_thread("blas"):  # equal bytes on any number of threads
        told, fitted = np.zeros((len(text), signals.als.item_factors.shape[1]), np.float32), np.zeros_like(text)
        if known.sum() > 1:
            x = text[known]
            ridge = RidgeCV(RIDGES).fit(x, signals.als.item_factors[known])
            told = np.asarray(ridge.predict(text), np.float32)
            gram = x.T @ x + np.float32(ridge.alpha_) * np.eye(x.shape[1], dtype=np.float32)
            fitted[known] = np.linalg.solve(gram, x.T).T
    own = {field.name: getattr(signals, field.name) for field in fields(Signals)}
    own["item_features"] = np.asarray(near @ signals.item_features, np.float32)
    return NewItemSignals(**own, known=signals, new=new, near=near, told=told, fitted=fitted)


def nearest(text: FloatArray, known: BoolArray, new: BoolArray) -> sp.csr_array:
    """(n_items, n_items): for each new item shares of its N_NEAR nearest known ones, sum 1."""
    rows, others = np.flatnonzero(new), np.flatnonzero(known)
    width = min(N_NEAR, len(others))
    with one_thread("blas"):
        cosine = text[rows] @ text[others].T
    top = np.argsort(-cosine, axis=1, kind="stable")[:, :width]
    share = np.exp(np.take_along_axis(cosine, top, axis=1) / NEAR_TEMPERATURE)
    share /= share.sum(axis=1, keepdims=True)
    at = (np.repeat(rows, width), others[top].ravel())
    return sp.csr_array((share.ravel().astype(np.float32), at), shape=(len(text), len(text)))


def new_item_lesson(
    window: Window, past: Past, signals: Signals, config: RecommendConfig, *, seed: int
) -> Lesson | None:
    """What lists of new items would have been judged by in a past window.

    New are a draw of the known items with a text, whose likes before the window are not read, and the items with a text
    that were first liked in it.

    Args:
        past: of all users before the window.
    Returns:
        None without texts, or with fewer than `min_window_users` users who newly liked such an item.
    """
    told = has_text(signals)
    if not told.any():
        return None
    known = signals.popular("popular") >= FEW_USERS
    draw = np.random.default_rng([seed, 13])
    hidden = known & told & (draw.random(len(known)) < HIDDEN)
    first_liked = np.asarray(window.target.sum(axis=0)).ravel() > 0
    new = hidden | (~known & told & first_liked)
    known = known & ~hidden
    target = sp.csr_array(window.target[window.user_rows])
    target.data = target.data * new[target.indices]
    target.eliminate_zeros()
    users = np.flatnonzero(np.diff(target.indptr)).astype(np.int32)
    if len(users) > MAX_USERS:
        users = np.sort(draw.choice(users, MAX_USERS, replace=False))
    if len(users) < config.min_window_users or not (known & told).any():
        return None
    whole = past.take(window.user_rows[users])
    of_new = new_item_signals(signals, new, known)
    closed = closed_items(whole, seen_too=False, allowed=new)
    return make_lesson(whole.of_items(known), sp.csr_array(target[users]), of_new, config, closed)


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
