"""The contrastive training of text vectors: one loop for the head and for the transformer itself.

The question put to the network is that of use: which text does a user like, by the mean of the vectors of others.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from penchant.config import TuningConfig
from penchant.data import IntArray
from penchant.encode.pairs import Groups, Likes, chance_to_stay, draw_groups
from penchant.errors import ConfigError

# 1 / temperature: where it starts, and what it must not pass (Radford et al. 2021, section 2.5)
FIRST_SCALE, MAX_SCALE = 20.0, 100.0
MAX_GRADIENT_NORM = 1.0


class Embedder(nn.Module, ABC):  # type: ignore[misc]
    """A network from rows of texts to vectors of unit length, and the scale of their likeness."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(FIRST_SCALE))))

    @abstractmethod
    def embed(self, rows: IntArray) -> torch.Tensor:
        """(n, d) vectors of the texts in these rows."""


@dataclass(frozen=True)
class Trained:
    """The network with the weights of its best round; `scores` by round, the first of the untrained network."""

    network: Embedder
    best_round: int
    scores: tuple[float, ...]
    losses: tuple[float, ...]


def train(
    build: Callable[[], Embedder],
    likes: Likes,
    score: Callable[[Embedder], float],
    config: TuningConfig,
    *,
    device: str,
    seed: int,
    tell: Callable[[str], None],
) -> Trained:
    """Train on groups drawn afresh each round; stop after `patience` rounds without a better score.

    AdamW with a linear warm-up and decay of its steps. Every round draws from generators seeded by (seed, round), on
    one thread: the same data gives the same bytes.

    Args:
        build: a fresh network; its weights come from torch's global generator, seeded here.
        score: judges a network in evaluation mode by texts that `likes` does not hold; higher is better.
        tell: called before the first round and after each with a line on how it went.

    Raises:
        ConfigError: the loss grew beyond all bounds.
    """
    with _settings(device):
        torch.manual_seed(_seed_of(seed, 0))
        network = build().to(device)
        weights = {name: w for name, w in network.named_parameters() if w.requires_grad}
        optimiser = torch.optim.AdamW(weights.values(), lr=config.learning_rate, weight_decay=config.weight_decay)
        n_steps = config.n_rounds * -(-config.n_groups // config.batch_size)
        warm = max(1, round(config.warm_up * n_steps))
        slope = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min((step + 1) / warm, max(0.0, (n_steps - step) / max(1, n_steps - warm)))
        )
        scores, losses, best = [_judge(network, score)], [], 0
        kept = {name: w.detach().clone() for name, w in weights.items()}
        tell(f"untrained {scores[0]:.4f}")
        for number in range(1, config.n_rounds + 1):
            losses.append(_one_round(network, likes, optimiser, slope, config, device, seed, number))
            scores.append(_judge(network, score))
            tell(f"loss {losses[-1]:.3f}, held-out texts {scores[-1]:.4f}")
            if scores[-1] > scores[best]:
                best, kept = number, {name: w.detach().clone() for name, w in weights.items()}
            elif number - best >= config.patience:
                break
        with torch.no_grad():
            for name, w in weights.items():
                w.copy_(kept[name])
    return Trained(network.eval(), best, tuple(scores), tuple(losses))


def contrast(
    vectors: torch.Tensor, groups: torch.Tensor, log_scale: torch.Tensor, liked: torch.Tensor, log_share: torch.Tensor
) -> torch.Tensor:
    """InfoNCE (van den Oord et al. 2018): each text of a group is told from the batch's by the mean of the others.

    The answer is right by its share among all texts drawn times exp(likeness); taking `log_share` off the logits
    (Yi et al. 2019, section 4) leaves to the likeness what texts in general are liked for.

    Args:
        vectors: (n, d) unit vectors of the distinct texts of a batch.
        groups: (n_groups, n) 0/1 which texts a group holds.
        liked: (n_groups, n) bool: its user likes the text, so it is no wrong answer and is left out.
        log_share: (n,) how much of a text's commonness is taken off, in nats.
    """
    group, own = torch.nonzero(groups, as_tuple=True)
    size = groups.sum(dim=1)
    can = size[group] >= 2
    group, own = group[can], own[can]
    company = ((groups @ vectors)[group] - vectors[own]) / (size[group] - 1)[:, None]
    likeness = log_scale.exp().clamp(max=MAX_SCALE) * (company @ vectors.T) - log_share
    wrong = liked[group].scatter(1, own[:, None], False)
    return cross_entropy(likeness.masked_fill(wrong, -torch.inf), own)


def _one_round(
    network: Embedder,
    likes: Likes,
    optimiser: torch.optim.Optimizer,
    slope: Any,
    config: TuningConfig,
    device: str,
    seed: int,
    number: int,
) -> float:
    torch.manual_seed(_seed_of(seed, number))
    rng = np.random.default_rng([seed, number])
    groups = draw_groups(
        likes, config.n_groups, size=config.group_size, window=config.window, debias=config.debias, rng=rng
    )
    log_share = config.popularity * _log_share(likes, config.debias)
    network.train()
    total, n_batches = 0.0, 0
    for start in range(0, len(groups), config.batch_size):
        loss = _loss(network, likes, groups, slice(start, start + config.batch_size), log_share, device)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimiser.step()
        slope.step()
        total, n_batches = total + loss.item(), n_batches + 1
    if not np.isfinite(total):
        raise ConfigError(
            f"encode.tune: the loss is not finite in round {number}; lower the learning_rate of encode.head or "
            "encode.full"
        )
    return total / max(1, n_batches)


def _log_share(likes: Likes, debias: float) -> npt.NDArray[np.float64]:
    """(n_texts,) log of the share of a text among the texts drawn."""
    expected = likes.n_by_text * chance_to_stay(likes, debias)
    return np.asarray(np.log(np.maximum(expected, 1e-9) / max(expected.sum(), 1e-9)))


def _loss(
    network: Embedder,
    likes: Likes,
    groups: Groups,
    batch: slice,
    log_share: npt.NDArray[np.float64],
    device: str,
) -> torch.Tensor:
    user, text = groups.user[batch], groups.text[batch]
    rows, place = np.unique(text, return_inverse=True)  # each text is read once
    holds = torch.zeros(len(text), len(rows), device=device)
    holds[np.arange(len(text))[:, None], place.reshape(text.shape)] = 1.0
    liked = torch.from_numpy(likes.matrix[user][:, rows].toarray() > 0).to(device)
    share = torch.from_numpy(log_share[rows]).float().to(device)
    return contrast(network.embed(rows), holds, network.log_scale, liked, share)


def _judge(network: Embedder, score: Callable[[Embedder], float]) -> float:
    network.eval()
    with torch.inference_mode():
        return float(score(network))


def _seed_of(seed: int, number: int) -> int:
    """A seed for torch unlike those of near rounds and near seeds."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


@contextmanager
def _settings(device: str) -> Iterator[None]:
    """One thread, deterministic kernels, and torch's own state put back afterwards."""
    n_threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    only_warn = torch.is_deterministic_algorithms_warn_only_enabled()
    devices = range(torch.cuda.device_count()) if device == "cuda" else []
    with torch.random.fork_rng(devices), warnings.catch_warnings():
        # some CUDA kernels have no deterministic form: there the same seed gives nearly the same weights
        warnings.filterwarnings("ignore", message=".*deterministic", category=UserWarning)
        torch.set_num_threads(1)  # the order of sums, and so the last bits, would follow the number of threads
        torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
        try:
            yield
        finally:
            torch.set_num_threads(n_threads)
            torch.use_deterministic_algorithms(strict, warn_only=only_warn)
