"""Items as words, users as sentences: item2vec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from gensim.models import Word2Vec

from penchant.config import RepresentConfig, RunOptions
from penchant.data import Events, FloatArray, IntArray, Items, Parts, Vectors, unit_rows
from penchant.represent.held_out import HeldOut, hold_out, ndcg
from penchant.represent.history import count_users, latest_liked
from penchant.threads import one_thread

# Ways to read the vectors that the validation window chooses from.
HALF_LIVES = (5.0, 20.0, 100.0)
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0)
# The bias of an item is kept small and its counterpart in the user large: the product is the same, and items stay
# near each other by behaviour rather than by popularity alone.
BIAS_UNIT = 1000.0


@dataclass(frozen=True)
class Reading:
    """How scores come from the vectors.

    side: "output" = the mean of a user's input vectors times output vectors, plus the log of an item's frequency;
    "input" = cosines of input vectors. half_life: own later items after which an item counts half in the mean.
    scale: of the mean in "output": the evidence of several items is more than that of their mean, and less than the
    sum that independent words would ask for.
    """

    side: str = "output"
    half_life: float = 20.0
    scale: float = 1.5


READINGS = (
    *(Reading("output", half_life, scale) for half_life, scale in product(HALF_LIVES, SCALES)),
    *(Reading("input", half_life, 1.0) for half_life in HALF_LIVES),
)


class ItemToVec:
    """Skip-gram with negative sampling over users' liked items (Barkan & Koenigstein 2016), by gensim.

    A user's items are a set to item2vec: they are put in a new order in every round, so that each window is a draw
    from the set. Input and output vectors of a pair give log P(item | other) - log of the noise's share, up to a
    constant (Levy & Goldberg 2014), so the frequency of an item, to the power the noise has, belongs to its score; what
    subsampling took away is given back. How a user is read from the vectors (`Reading`) is chosen on the latest part
    of the log, with vectors trained on the part before; then all is trained again on the whole log.

    Time: 2 x rounds x events x window x negatives, on one core, whatever the number of items.
    """

    method = "word2vec"

    def __init__(self, config: RepresentConfig, run: RunOptions, *, seed: int) -> None:
        self._config, self._seed = config, seed
        self._input: FloatArray = np.zeros((0, 1), np.float32)
        self._reading = Reading()
        self.name = self.method
        self.item_vectors: FloatArray = np.zeros((0, 1), np.float32)
        self.facts: Mapping[str, Any] = {}

    def fit(self, events: Events, items: Items, text: Vectors | None) -> None:
        """Texts are not read. Items below `min_item_events` get zeros."""
        liked = latest_liked(events, self._config.max_history)
        self._reading, facts = self._choose(events.positive(), len(items))
        learned = _learn(liked, len(items), self._config, self._seed)
        self._input = learned.input if self._reading.side == "output" else unit_rows(learned.input)
        self.item_vectors = learned.items(self._reading)
        n_words = int(learned.known.sum())
        self.name = f"word2vec ({learned.input.shape[1]}, skip-gram)" if n_words else "word2vec (nothing learned)"
        self.facts = {"n_words": n_words, "n_sentences": learned.n_sentences, **facts}

    def user_vectors(self, events: Events) -> FloatArray:
        """(n_users, d): the mean of each user's latest liked items, later ones weighing more; one column for biases."""
        liked = latest_liked(events, self._config.max_history)
        return _users(liked, self._input, self._reading)

    def to_parts(self) -> Parts:
        config = {"method": self.method, "name": self.name, "config": self._config.model_dump(), "seed": self._seed}
        return Parts(
            config={**config, "facts": dict(self.facts), "reading": asdict(self._reading)},
            arrays={"item_vectors": self.item_vectors, "input": self._input},
        )

    @classmethod
    def from_parts(cls, parts: Parts, run: RunOptions) -> Self:
        out = cls(RepresentConfig.model_validate(parts.config["config"]), run, seed=parts.config["seed"])
        out.name, out.facts = parts.config["name"], parts.config["facts"]
        out._reading = Reading(**parts.config["reading"])
        out._input, out.item_vectors = parts.arrays["input"], parts.arrays["item_vectors"]
        return out

    def _choose(self, liked: Events, n_items: int) -> tuple[Reading, dict[str, Any]]:
        """The reading with the best NDCG@10 on the latest events; the default where there are too few."""
        held = hold_out(
            liked,
            self._config.neural.validation_share,
            n_items,
            seed=self._seed,
            choose_on=self._config.neural.choose_on,
        )
        learned = None
        if held is not None:
            earlier = latest_liked(held.train, self._config.max_history)
            learned = _learn(earlier, n_items, self._config, self._seed)
        if held is None or learned is None or not learned.known.any():
            return Reading(), {**asdict(Reading()), "chosen_by": "default (too few events to validate on)"}
        history = latest_liked(held.history, self._config.max_history)
        scores = [_validate(held, history, learned, reading) for reading in READINGS]
        best = int(np.argmax(scores))
        facts = {"chosen_by": "validation on the latest events", "validation_ndcg": round(scores[best], 4)}
        return READINGS[best], {**asdict(READINGS[best]), **facts}


@dataclass(frozen=True)
class _Learned:
    """input, output: (n_items, d); bias: (n_items,) log frequency, less the noise's and the subsampling's part."""

    input: FloatArray
    output: FloatArray
    bias: FloatArray
    known: npt.NDArray[np.bool_]
    n_sentences: int

    def items(self, reading: Reading) -> FloatArray:
        """(n_items, d) what users are multiplied by; unknown items get zeros and no known one scores below them."""
        if reading.side == "input":
            return unit_rows(self.input)
        longest = reading.scale * np.linalg.norm(self.input, axis=1).max(initial=0)
        least = self.bias - longest * np.linalg.norm(self.output, axis=1)
        bias = (self.bias - least[self.known].min(initial=np.inf) + 1) * self.known if self.known.any() else self.bias
        return np.hstack([self.output, (bias / BIAS_UNIT)[:, None]]).astype(np.float32)


class _Sentences:
    """One list of words a user; iterated once a round, each time in another order within the user."""

    def __init__(self, words: npt.NDArray[np.str_], users: IntArray, seed: int) -> None:
        self._words, self._users, self._seed, self._round = words, users, seed, 0
        self._ends = np.flatnonzero(np.diff(users, append=-1)) + 1

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[list[str]]:
        rng = np.random.default_rng([self._seed, self._round])
        self._round += 1
        words = self._words[np.lexsort((rng.random(len(self._words)), self._users))]
        start = 0
        for end in self._ends.tolist():
            yield words[start:end].tolist()
            start = end


def _learn(liked: Events, n_items: int, config: RepresentConfig, seed: int) -> _Learned:
    """Train skip-gram on events with one a user and item."""
    settings = config.word2vec
    counts = count_users(liked, n_items)
    known = counts >= config.min_item_events
    width = max(1, min(config.n_factors, int(known.sum())))
    vectors = np.zeros((2, n_items, width), np.float32)
    bias = np.zeros(n_items, np.float32)
    order = np.argsort(liked.user_row, kind="stable")
    order = order[known[liked.item_row[order]]]
    sentences = _Sentences(liked.item_row[order].astype(np.str_), liked.user_row[order], seed)
    if not len(sentences):
        return _Learned(vectors[0], vectors[1], bias, np.zeros(n_items, np.bool_), 0)
    model = Word2Vec(
        sg=1,
        vector_size=width,
        window=settings.window,
        negative=settings.n_negatives,
        ns_exponent=settings.noise_power,
        sample=settings.subsample,
        alpha=settings.learning_rate,
        min_count=1,
        workers=1,  # several threads would write over each other in no fixed order
        seed=seed % 2**32,
        hashfxn=_no_hash,  # Python's own differs between processes
    )
    # the vocabulary from counts, commonest first and ties by row: nothing hangs on the order of a dictionary
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(-counts[rows], kind="stable")]
    model.build_vocab_from_freq({str(row): int(counts[row]) for row in rows}, corpus_count=len(sentences))
    with one_thread("blas"):
        model.train(sentences, total_examples=len(sentences), epochs=settings.n_epochs)
    place = np.array([model.wv.key_to_index[str(row)] for row in rows])
    vectors[0, rows], vectors[1, rows] = model.wv.vectors[place], model.syn1neg[place]
    kept = np.array([model.wv.get_vecattr(str(row), "sample_int") for row in rows]) / 2**32
    bias[rows] = settings.noise_power * np.log(counts[rows]) - np.log(np.clip(kept, 1e-6, 1))
    return _Learned(vectors[0], vectors[1], bias, known, len(sentences))


def _users(liked: Events, vectors: FloatArray, reading: Reading) -> FloatArray:
    """(n_users, d) weighted means of item vectors; users none of whose items has one get zeros."""
    known = liked.take(np.asarray(np.abs(vectors).sum(axis=1) > 0)[liked.item_row])
    age = known.n_by_user[known.user_row] - 1 - known.own_index
    weight = np.exp2(-age / reading.half_life)
    total = np.bincount(known.user_row, weight, minlength=known.n_users)
    weight = weight / total[known.user_row] * (reading.scale if reading.side == "output" else 1.0)
    places = (known.user_row, known.item_row)
    shape = (known.n_users, len(vectors))
    mean = np.asarray(sp.csr_array((weight.astype(np.float32), places), shape=shape) @ vectors, np.float32)
    if reading.side == "input":
        return unit_rows(mean)
    return np.hstack([mean, (total > 0)[:, None] * np.float32(BIAS_UNIT)])


def _validate(held: HeldOut, history: Events, learned: _Learned, reading: Reading) -> float:
    vectors = learned.input if reading.side == "output" else unit_rows(learned.input)
    users, items = _users(history, vectors, reading), learned.items(reading).T
    with one_thread("blas"):
        return ndcg(held, lambda rows: np.asarray(users[rows] @ items, np.float32))


def _no_hash(word: str) -> int:
    return len(word)
