"""An encoder that has learned from behaviour, so that likeness of texts says who likes what; also of new items.

Either a small network is put on top of frozen vectors ("head"), or the transformer itself is tuned ("full"). Texts
held out of the training decide whether that is used: they stand for the items to come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from penchant.config import EncodeConfig, RunOptions
from penchant.data import BoolArray, Events, FloatArray, Items, Parts
from penchant.encode.auto import AutoEncoder
from penchant.encode.head import Head
from penchant.encode.pairs import HeldOut, Likes, hold_out, likes_of
from penchant.encode.torch_runtime import pick_device
from penchant.encode.transformer import TransformerEncoder
from penchant.encode.tuned_transformer import CarriedTransformer, make_network
from penchant.errors import ConfigError, MissingExtraError
from penchant.protocols import Encoder

if TYPE_CHECKING:
    from penchant.encode.contrast import Embedder, Trained

# Standard errors by which tuned vectors must rank held-out texts better than untuned ones to be used. Where tuning does
# nothing, one in six is taken by chance and does no harm; two would refuse real gains on catalogues of a few thousand.
MARGIN = 1.0
# Fewer held-out texts, or likes of them, in either half would decide by chance.
MIN_HELD_TEXTS, MIN_HELD_LIKES = 10, 50
MAX_JUDGES = 3000
# A head is judged in a moment; a transformer reads every text that it is judged by anew after each round.
MAX_WANTED = {"head": 2_000, "full": 300}
MAX_PAST = {"head": 20_000, "full": 300}


class TunedEncoder:
    """An encoder, and what was made of it by behaviour.

    Attributes:
        name: of the encoder below and whether it was tuned, with the scores that decided.
        facts: used, untuned and tuned score on held-out texts, its standard error, rounds.
    """

    fitted = True

    def __init__(self, base: Encoder, head: Head | None, facts: Mapping[str, Any]) -> None:
        self.base, self.head, self.facts = base, head, facts

    @property
    def name(self) -> str:
        return f"{self.base.name}, {self.facts['told']}"

    @property
    def reason(self) -> str:
        return str(getattr(self.base, "reason", ""))

    def fit(self, texts: list[str]) -> None:
        """Nothing to learn: the encoder below is fitted."""

    def encode(self, texts: list[str]) -> FloatArray:
        """Return (n, d) float32 rows of unit length; zeros where the encoder below gives zeros."""
        vectors = self.base.encode(texts)
        return vectors if self.head is None else self.head.apply(vectors)

    def to_parts(self) -> Parts:
        base = self.base.to_parts()
        config = {"kind": "tuned", "base": dict(base.config), "facts": dict(self.facts), "head": self.head is not None}
        arrays = {f"base.{name}": array for name, array in base.arrays.items()}
        arrays |= {} if self.head is None else self.head.to_arrays()
        return Parts(config, arrays, {f"base.{name}": table for name, table in base.tables.items()})

    @classmethod
    def from_parts(cls, parts: Parts, open_base: Callable[[Parts], Encoder]) -> TunedEncoder:
        """Read the saved form back; `open_base` opens the encoder below.

        Raises:
            ModelError: an array of the head is missing or of another shape.
        """
        arrays = {n.removeprefix("base."): a for n, a in parts.arrays.items() if n.startswith("base.")}
        tables = {n.removeprefix("base."): t for n, t in parts.tables.items()}
        head = Head.from_arrays(parts.arrays) if parts.config["head"] else None
        return cls(open_base(Parts(parts.config["base"], arrays, tables)), head, parts.config["facts"])


def check_tuning(config: EncodeConfig) -> None:
    """Refuse tuning that can't run here, before any work is done.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    extra = {"off": "", "head": "neural", "full": "transformer"}[config.tune]
    needed = {"off": (), "head": ("torch",), "full": ("torch", "transformers")}[config.tune]
    if any(find_spec(name) is None for name in needed):
        raise MissingExtraError(f"encode.tune={config.tune!r}", extra)


def tune_encoder(
    encoder: Encoder | None, events: Events, items: Items, config: EncodeConfig, run: RunOptions, *, seed: int
) -> Encoder | None:
    """Tune an encoder on the texts that the same users liked; as it is with `config.tune` "off".

    A share of the liked texts is held out of the training. One half of them chooses the round, the other decides:
    users' profiles (mean vector of other liked texts) rank its texts, and if the tuned vectors are not better by
    `MARGIN` standard errors, the encoder stays untuned and its name says so.

    Args:
        encoder: fitted on the texts of the catalogue first, if it is not yet.
        events: their positive events say who likes what.

    Raises:
        ConfigError: tune "full" where `encode.method` "auto" took no transformer.
        MissingExtraError: torch is not installed.
    """
    if encoder is None or config.tune == "off":
        return encoder
    check_tuning(config)
    in_rows = np.array(items.texts(config.fields), dtype=object)
    texts = sorted({text for text in in_rows if text})
    if not texts:
        return encoder
    if not encoder.fitted:
        encoder.fit(texts)
    row_of = {text: row for row, text in enumerate(texts)}
    text_of_item = np.array([row_of.get(text, -1) for text in in_rows], np.int32)
    likes = likes_of(events, text_of_item, len(texts))
    trial = _pose(likes, config, seed)
    if trial is None:
        told = "not tuned: too few liked texts to judge it by"
        return TunedEncoder(encoder, None, {"tune": config.tune, "used": False, "told": told})
    tune = _tune_head if config.tune == "head" else _tune_transformer
    return tune(encoder, texts, trial, config, run, seed)


@dataclass(frozen=True)
class _Trial:
    """likes: what may be learned from. choose, decide: two halves of the texts that are held out."""

    likes: Likes
    choose: HeldOut
    decide: HeldOut


def _pose(likes: Likes, config: EncodeConfig, seed: int) -> _Trial | None:
    """Hold texts out; None if there are too few to tell anything."""
    liked = np.flatnonzero(likes.n_by_text > 0)
    n_half = min(MAX_WANTED[config.tune], round(config.tune_share * len(liked) / 2))
    drawn = np.random.default_rng(seed).permutation(liked)[: 2 * n_half]
    past = np.ones(likes.n_texts, np.bool_)
    past[drawn] = False
    halves = []
    for rows in (drawn[:n_half], drawn[n_half:]):
        wanted: BoolArray = np.zeros(likes.n_texts, np.bool_)
        wanted[rows] = True
        half = hold_out(likes, wanted, past, max_users=MAX_JUDGES, max_texts=MAX_PAST[config.tune])
        if len(half.wanted) < MIN_HELD_TEXTS or len(half.user) < MIN_HELD_LIKES:
            return None
        halves.append(half)
    return _Trial(likes.of_texts(past), *halves)


def _tune_head(
    encoder: Encoder, texts: list[str], trial: _Trial, config: EncodeConfig, run: RunOptions, seed: int
) -> Encoder:
    from penchant.encode.head_training import HeadNetwork

    vectors, choose = encoder.encode(texts), trial.choose

    def judge(network: Any) -> float:
        now = network.head()
        return float(choose.scores(now.apply(vectors[choose.past]), now.apply(vectors[choose.wanted])).mean())

    trained = _train(lambda: HeadNetwork(vectors, config.head), judge, trial, config.head, run, seed, encoder.name)
    head: Head = trained.network.head()
    facts = _decide(trial.decide, lambda rows: vectors[rows], lambda rows: head.apply(vectors[rows]), trained, "head")
    return TunedEncoder(encoder, head if facts["used"] else None, facts)


def _tune_transformer(
    encoder: Encoder, texts: list[str], trial: _Trial, config: EncodeConfig, run: RunOptions, seed: int
) -> Encoder:
    below = encoder.chosen if isinstance(encoder, AutoEncoder) else encoder
    if not isinstance(below, TransformerEncoder):
        raise ConfigError(
            f"encode.tune 'full': needs a transformer, and encode.method 'auto' took {encoder.name}; use 'head', or "
            "name a model by encode.model"
        )
    folder, choose = below.folder, trial.choose

    def judge(network: Any) -> float:
        return float(choose.scores(network.embed_all(choose.past), network.embed_all(choose.wanted)).mean())

    trained = _train(
        lambda: make_network(folder, texts, config.full.n_layers), judge, trial, config.full, run, seed, encoder.name
    )
    carried = CarriedTransformer.of(trained.network, folder, below.config, run, texts)

    def read(by: Encoder) -> Callable[[npt.NDArray[np.int32]], FloatArray]:
        return lambda rows: by.encode([texts[row] for row in rows])

    facts = _decide(trial.decide, read(encoder), read(carried), trained, "full")
    return TunedEncoder(carried if facts["used"] else encoder, None, facts)


def _train(
    build: Callable[[], Embedder],
    judge: Callable[[Any], float],
    trial: _Trial,
    config: Any,
    run: RunOptions,
    seed: int,
    name: str,
) -> Trained:
    from penchant.encode.contrast import train

    with _bar(f"tuning {name}", config.n_rounds, run.progress) as tell:
        return train(build, trial.likes, judge, config, device=pick_device(run.device), seed=seed, tell=tell)


def _decide(
    held: HeldOut,
    untuned: Callable[[npt.NDArray[np.int32]], FloatArray],
    tuned: Callable[[npt.NDArray[np.int32]], FloatArray],
    trained: Trained,
    tune: str,
) -> dict[str, Any]:
    """Compare both on texts that neither training nor the choice of the round has seen."""
    before = held.scores(untuned(held.past), untuned(held.wanted))
    after = held.scores(tuned(held.past), tuned(held.wanted))
    gain = after - before
    # likes of one text rise and fall together: the spread is between texts
    by_text = np.bincount(held.place, gain - gain.mean(), minlength=len(held.wanted))
    error = float(np.sqrt((by_text**2).sum()) / len(gain))
    used = trained.best_round > 0 and float(gain.mean()) > MARGIN * error
    scores = f"{before.mean():.3f} -> {after.mean():.3f} on held-out texts"
    what = {"head": "with a head tuned on behaviour", "full": "its weights tuned on behaviour"}[tune]
    return {
        "tune": tune,
        "used": used,
        "told": f"{what} ({scores})" if used else f"not tuned: no better ({scores})",
        "untuned_score": round(float(before.mean()), 4),
        "tuned_score": round(float(after.mean()), 4),
        "gain_standard_error": round(error, 4),
        "n_texts_deciding": len(held.wanted),
        "n_likes_deciding": len(gain),
        "n_rounds": trained.best_round,
        "score_by_round": [round(score, 4) for score in trained.scores],
        "loss_by_round": [round(loss, 4) for loss in trained.losses],
    }


@contextmanager
def _bar(title: str, n_rounds: int, wanted: bool) -> Iterator[Callable[[str], None]]:
    """A progress bar on stderr: one step a round, and how it went."""
    if not wanted:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=n_rounds + 1)
        yield lambda line: progress.update(task, advance=1, description=f"{title}: {line}")
