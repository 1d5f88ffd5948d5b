"""Which words an item, a query or a comment holds: the true word model of the made-up market."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.io.world.lexicon import FILLERS, WORD_SKEW, GroupedDraw, Lexicon
from penchant.io.world.noise import Noise

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

OWN, SIBLING, DOMAIN, STRAY, FILLER = range(5)


def word_distribution(lexicon: Lexicon, noise: Noise, language: str) -> tuple[list[str], Floats]:
    """Return the vocabulary and the (n_interests, n_words) true chances of one word slot of an item that is not vague.

    This is what an oracle may know; filler words are left out (they say nothing), so rows sum to less than 1.
    """
    own_lists, domain_lists = lexicon.words[language], lexicon.domain_words[language]
    vocabulary = sorted({w for words in (*own_lists, *domain_lists) for w in words})
    row = {w: i for i, w in enumerate(vocabulary)}
    own = np.zeros((len(lexicon), len(vocabulary)))
    for k, words in enumerate(own_lists):
        own[k, [row[w] for w in words]] = _skewed(len(words)) / _skewed(len(words)).sum()
    of_domain = np.zeros_like(own)
    for k, domain in enumerate(lexicon.domain_of):
        of_domain[k, [row[w] for w in domain_lists[domain]]] = 1 / len(domain_lists[domain])
    same = lexicon.domain_of[:, None] == lexicon.domain_of[None, :]
    siblings = (same & ~np.eye(len(lexicon), dtype=bool)).astype(float)
    alone = siblings.sum(axis=1) == 0
    siblings[alone, alone.nonzero()[0]] = 1.0  # an interest without siblings borrows from itself
    siblings /= siblings.sum(axis=1, keepdims=True)
    chance = noise.own_word * own + noise.sibling_word * siblings @ own
    return vocabulary, chance + noise.domain_word * of_domain + noise.stray_word * own.mean(axis=0)


class WordDraw:
    """Draw words of one language for interests, with the stated noise."""

    def __init__(self, lexicon: Lexicon, language: str) -> None:
        own = lexicon.words[language]
        of_domain = lexicon.domain_words[language]
        fillers = FILLERS[language]
        self.pool = pl.Series([w for words in (*own, *of_domain) for w in words] + fillers)
        sizes = np.array([len(w) for w in own])
        self.own = GroupedDraw(
            np.repeat(np.arange(len(own)), sizes), np.concatenate([_skewed(n) for n in sizes]), len(own)
        )
        sizes = np.array([len(w) for w in of_domain])
        self.of_domain = GroupedDraw(np.repeat(np.arange(len(of_domain)), sizes), np.ones(sizes.sum()), len(of_domain))
        self.domain_start = sum(len(w) for w in own)
        self.filler_start = self.domain_start + int(sizes.sum())
        self.n_fillers, self.n_interests = len(fillers), len(own)
        self.domain = lexicon.domain_of.astype(np.int64)
        order = np.argsort(self.domain, kind="stable")
        self.by_domain = order
        self.domain_size = np.bincount(self.domain, minlength=len(of_domain))
        self.domain_first = np.cumsum(self.domain_size) - self.domain_size
        self.place = np.empty(len(own), np.int64)
        self.place[order] = np.arange(len(own)) - self.domain_first[self.domain[order]]

    def draw(self, interest: Rows, kind: Rows, rng: np.random.Generator) -> Rows:
        """Rows of `pool` for each (interest, kind of slot)."""
        domain = self.domain[interest]
        size = self.domain_size[domain]
        step = 1 + np.floor(rng.random(len(interest)) * np.maximum(size - 1, 0)).astype(np.int64)
        sibling = self.by_domain[self.domain_first[domain] + (self.place[interest] + step) % size]
        stray = rng.integers(0, self.n_interests, len(interest))
        source = np.where(kind == SIBLING, sibling, np.where(kind == STRAY, stray, interest))
        word = self.own.draw(source, rng.random(len(interest)))
        common = self.domain_start + self.of_domain.draw(domain, rng.random(len(interest)))
        filler = self.filler_start + rng.integers(0, self.n_fillers, len(interest))
        return np.where(kind == DOMAIN, common, np.where(kind == FILLER, filler, word))


def slot_kinds(shape: tuple[int, int], noise: Noise, rng: np.random.Generator) -> Rows:
    """Draw the kind of each word slot: own, sibling, domain, stray or filler."""
    shares = np.cumsum([noise.own_word, noise.sibling_word, noise.domain_word, noise.stray_word])
    return np.searchsorted(shares, rng.random(shape), side="right")


def _skewed(n: int) -> Floats:
    return np.asarray((np.arange(n) + 2.0) ** -WORD_SKEW)
