"""The people of the made-up market: segments, planted interests, drift, and the true chance of each interest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.io.world.noise import Noise

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ROLES = ("core", "secondary", "peripheral", "aversion")
CORE, SECONDARY, PERIPHERAL, AVERSION = range(4)
DRIFTS = ("steady", "rising", "fading", "seasonal")
STEADY, RISING, FADING, SEASONAL = range(4)
MAX_OF_ROLE = (3, 5, 4, 2)
SEASON_DAYS = 90
HORIZON = 10
LAYER_AT = (0.5, 0.15)  # chance to touch an interest in the next HORIZON events: core, secondary
N_SEGMENTS = 8
SIGNATURE = 8  # interests of a segment


@dataclass(frozen=True)
class People:
    """One row a person, one column a planted interest (-1 where there is none).

    interest, role, drift: int; share: part of the person's free choices at full strength, rows sum to 1; drift_at: the
    turning point (rising, fading) or phase (seasonal) as a share of the log; segment: (n,) row; signature:
    (n_segments, n_interests) weights, rows sum to 1.
    """

    interest: Rows
    role: Rows
    share: npt.NDArray[np.float32]
    drift: Rows
    drift_at: npt.NDArray[np.float32]
    segment: Rows
    signature: Floats


def plan_people(n: int, interest_weight: Floats, noise: Noise, rng: np.random.Generator) -> People:
    """Draw segments and, from each segment's signature, the interests of n people."""
    signature = _signatures(interest_weight, rng)
    n_segments = len(signature)
    size = np.linspace(1.0, 0.45, n_segments)
    segment = rng.choice(n_segments, n, p=size / size.sum())
    role = np.repeat(np.arange(4), MAX_OF_ROLE)[None, :].repeat(n, axis=0)
    counts = np.stack(
        [
            rng.choice([1, 2, 3], n, p=[0.2, 0.5, 0.3]),
            rng.integers(3, MAX_OF_ROLE[SECONDARY] + 1, n),
            rng.integers(1, MAX_OF_ROLE[PERIPHERAL] + 1, n),
            rng.choice([0, 1, 2], n, p=[0.5, 0.3, 0.2]),
        ],
        axis=1,
    )
    place = np.concatenate([np.arange(m) for m in MAX_OF_ROLE])
    held = place[None, :] < counts[:, np.repeat(np.arange(4), MAX_OF_ROLE)]
    interest = _choose(signature[segment], interest_weight, noise, rng)
    held &= interest >= 0
    interest = np.where(held, interest, -1)
    role = np.where(held, role, -1)
    drift, drift_at = _drift(role, noise, rng)
    return People(interest, role, _shares(role, rng), drift, drift_at, segment, signature)


def _choose(wanted: Floats, interest_weight: Floats, noise: Noise, rng: np.random.Generator) -> Rows:
    """(n, slots) interests without replacement, -1 where the market has no more.

    Core and secondary interests lean on `wanted`, the (n, n_interests) signature of each person's segment.
    """
    lean = {CORE: 1 - noise.own_passion, SECONDARY: 1 - noise.off_signature}
    interest = np.full((len(wanted), sum(MAX_OF_ROLE)), -1, np.int64)
    taken = np.zeros(wanted.shape, bool)
    at = 0
    for role, most in (
        (CORE, MAX_OF_ROLE[CORE]),
        (SECONDARY, MAX_OF_ROLE[SECONDARY]),
        (PERIPHERAL, sum(MAX_OF_ROLE[2:])),
    ):
        part = lean.get(role, 0.0)
        chance = part * wanted + (1 - part) * interest_weight
        # Gumbel noise on log chances: the largest keys are a draw without replacement.
        key = np.where(taken, -np.inf, np.log(chance) + rng.gumbel(size=wanted.shape))
        top = np.argsort(-key, axis=1, kind="stable")[:, :most]
        free = np.take_along_axis(key, top, axis=1) > -np.inf
        interest[:, at : at + top.shape[1]] = np.where(free, top, -1)
        np.put_along_axis(taken, top, True, axis=1)
        at += most
    return interest


def _signatures(interest_weight: Floats, rng: np.random.Generator) -> Floats:
    """(n_segments, n_interests): each segment leans on a few interests, drawn from a pool so that segments overlap."""
    n_interests = len(interest_weight)
    n_segments = int(np.clip(n_interests // 6, 2, N_SEGMENTS))
    size = int(np.clip(n_interests // 3, 2, SIGNATURE))
    pool = rng.permutation(n_interests)[: max(size + 1, int(0.6 * n_interests))]
    out = np.zeros((n_segments, n_interests))
    uses = np.zeros(len(pool))
    for s in range(n_segments):
        # The least used interests first, so that no interest belongs to every segment.
        chosen = np.lexsort((rng.random(len(pool)), uses))[:size]
        uses[chosen] += 1
        out[s, pool[chosen]] = rng.uniform(0.8, 1.2, size)
    return np.asarray(out / out.sum(axis=1, keepdims=True))


def _shares(role: Rows, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """(n, slots) parts of a person's free choices; the core interests take what the others leave."""
    u = rng.random(role.shape)
    share = np.zeros(role.shape)
    for code, low, high in ((SECONDARY, 0.042, 0.064), (PERIPHERAL, 0.004, 0.011), (AVERSION, 0.004, 0.012)):
        share = np.where(role == code, low + (high - low) * u, share)
    core = role == CORE
    lean = np.where(core, 0.6 + 0.4 * rng.exponential(size=role.shape), 0.0)
    lean /= np.maximum(lean.sum(axis=1, keepdims=True), 1e-12)
    even = core / np.maximum(core.sum(axis=1, keepdims=True), 1)
    rest = 1 - share.sum(axis=1, keepdims=True)
    return np.asarray(share + rest * (0.5 * even + 0.5 * lean), np.float32)


def _drift(role: Rows, noise: Noise, rng: np.random.Generator) -> tuple[Rows, npt.NDArray[np.float32]]:
    moves = (rng.random(role.shape) < noise.drifting) & ((role == CORE) | (role == SECONDARY))
    moves[:, 0] = False  # the first core interest stays: a person never loses all of them
    kind = rng.choice([RISING, FADING, SEASONAL], role.shape, p=[0.4, 0.4, 0.2])
    drift = np.where(moves, kind, STEADY)
    at = np.where(drift == SEASONAL, rng.random(role.shape), rng.uniform(0.4, 0.8, role.shape))
    return drift, np.where(drift == STEADY, 0.0, at).astype(np.float32)


def strength(
    drift: Rows, at: npt.NDArray[np.float32], time: npt.NDArray[np.float32], n_days: int
) -> npt.NDArray[np.float32]:
    """Factor in (0, 1] on a planted share at `time` (a share of the log, 0 = first day, 1 = end)."""
    turn = np.where(drift == RISING, time - at, at - time)
    step = 0.04 + 0.96 / (1 + np.exp(np.clip(-turn / 0.04, -60, 60)))
    season = 0.15 + 0.425 * (1 + np.cos(2 * np.pi * (time * n_days / SEASON_DAYS - at)))
    out = np.where(drift == SEASONAL, season, np.where(drift == STEADY, 1.0, step))
    return np.asarray(out, np.float32)


def rates(people: People, n_interests: int, n_days: int, time: float | None) -> Floats:
    """(n_people, n_interests) chance that a free choice at `time` falls on each interest; None = at full strength."""
    weight = people.share.astype(np.float64)
    if time is not None:
        weight = weight * strength(people.drift, people.drift_at, np.float32(time), n_days)  # type: ignore[arg-type]
    weight = weight / weight.sum(axis=1, keepdims=True)
    out = np.zeros((len(weight), n_interests))
    row, slot = np.nonzero(people.interest >= 0)
    out[row, people.interest[row, slot]] = weight[row, slot]
    return out


def touch_probability(rate: Floats, stickiness: float, n_events: int = HORIZON) -> Floats:
    """Chance that the next `n_events` events touch an interest whose share of free choices is `rate`.

    The first event is a free choice; each later one goes on with the interest before it with chance `stickiness`, so it
    misses the interest, given a miss before, with stickiness + (1 - stickiness) * (1 - rate).

    >>> float(touch_probability(np.array(0.5), stickiness=0.0, n_events=2))
    0.75
    """
    rate = np.asarray(rate, np.float64)
    return np.asarray(1 - (1 - rate) * (1 - (1 - stickiness) * rate) ** (n_events - 1))


def layer_of(probability: Floats) -> Rows:
    """0 core, 1 secondary, 2 peripheral by the true chance."""
    return np.asarray((probability < LAYER_AT[0]).astype(np.int64) + (probability < LAYER_AT[1]))
