"""Sessions in a made-up market: a list is shown, and the user looks, clicks, hides, grows bored, recovers.

The behaviour is stated, so that a way to recommend can be tried where what users would have done is known. It is made
up: that a way wins here says that it does what it should, not what it earns elsewhere. For a user u, an item i of
interest k, on place p of a list (from 1):

    seen:     p ** -position
    clicked:  if seen, (base + (top - base) * strength(u, k)) * exp(-boredom * B) * again ** (times i was seen before)
    hidden:   if seen, not clicked and k is one the user dislikes: `hide`

`strength` is the true chance that the user's next ten events touch k; a hidden interest has its true one, a disliked
one has `averse` as the chance of a click. B counts the items of k that the user has seen, in this list on higher
places and in earlier ones, halved with every `recovery_days`. (Seeing by place: Joachims et al. 2005; boredom that
grows with repeats and passes: Kapoor et al. 2015.)
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.errors import ConfigError, DataError
from penchant.io.world.audience import Audience, Flags, Floats

DAY = 86_400


@dataclass(frozen=True)
class Behaviour:
    """The stated numbers; chances and factors are 0..1. See the head of this file."""

    base: float = 0.005
    top: float = 0.4
    averse: float = 0.002
    hide: float = 0.4
    position: float = 0.25
    boredom: float = 0.12
    recovery_days: float = 2.0
    again: float = 0.5

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            most = np.inf if f.name in ("position", "boredom", "recovery_days") else 1.0
            if not 0 <= value <= most or (f.name == "recovery_days" and not value):
                raise ConfigError(f"Behaviour: {f.name} must be in 0..{most:g}. Got {value}; give a stated chance")


@dataclass(frozen=True)
class Memory:
    """What users carry from list to list.

    bored: (n_users, n_interests) B at `day` · times_seen: (n_users, n_items) how often each item was seen.
    """

    bored: Floats
    times_seen: npt.NDArray[np.int16]
    day: float

    @classmethod
    def fresh(cls, audience: Audience, day: float = 0.0) -> Memory:
        """Of users who have seen nothing."""
        items = np.zeros((audience.n_users, len(audience.item_ids)), np.int16)
        return cls(np.zeros(audience.strength.shape, np.float32), items, day)


@dataclass(frozen=True)
class Round:
    """One list a user and what came of it.

    lists: (n_users, k) item rows, -1 = no item · chance: (n_users, k) of a click if seen · freshness: (n_users, k)
    exp(-boredom * B), 1 = not bored at all · seen, clicked, hidden: (n_users, k) · memory: of the users afterwards.
    """

    lists: npt.NDArray[np.int32]
    chance: Floats
    freshness: Floats
    seen: Flags
    clicked: Flags
    hidden: Flags
    memory: Memory

    def by_user(self) -> dict[str, npt.NDArray[np.float64]]:
        """(n_users,) each: clicks, hides, seen · fresh (freshness, summed over what was seen), bored (1 less it) ·
        pleased (1 if the user clicked something and hid nothing) · users (1).
        """
        clicks, hides, seen = (f.sum(axis=1, dtype=np.float64) for f in (self.clicked, self.hidden, self.seen))
        fresh = (self.freshness * self.seen).sum(axis=1, dtype=np.float64)
        pleased = ((clicks > 0) & (hides == 0)).astype(np.float64)
        return {"clicks": clicks, "hides": hides, "seen": seen, "fresh": fresh, "bored": seen - fresh,
                "pleased": pleased, "users": np.ones(len(seen))}  # fmt: skip

    def satisfaction(self, users: Flags) -> dict[str, float]:
        """Clicks and hides a list, and mean freshness of what was seen, over the users under a (n_users,) mask."""
        sums = {name: float(values[users].sum()) for name, values in self.by_user().items()}
        n = max(1.0, sums["users"])
        fresh = sums["fresh"] / sums["seen"] if sums["seen"] else 1.0
        return {"clicks": sums["clicks"] / n, "hides": sums["hides"] / n, "freshness": fresh}


def show(
    audience: Audience, behaviour: Behaviour, memory: Memory, lists: npt.NDArray[np.int32], *, day: float, seed: int
) -> Round:
    """Show every user a list, and let them act on it as stated.

    Args:
        lists: (n_users, k) item rows, best first, -1 where a list is shorter. day: of this round, not before the
        memory's. seed: of this round; the same seed, users and lists give the same acts.
    Raises:
        DataError: lists of a wrong shape or item; a day before the last one.
    """
    _check(audience, memory, lists, day)
    rng = np.random.default_rng([seed, 22])
    n, k = lists.shape
    look, want, dislike = (rng.random((n, k), np.float32) for _ in range(3))
    shown, rows = lists >= 0, np.arange(n)[:, None]
    interest = np.where(shown, audience.interest_of_item[lists], -1)
    seen = shown & (look < np.arange(1, k + 1, dtype=np.float32) ** -behaviour.position)
    bored = memory.bored * np.float32(2.0 ** (-(day - memory.day) / behaviour.recovery_days))
    alike = (interest[:, :, None] == interest[:, None, :]) & seen[:, None, :]
    count = np.tril(alike, -1).sum(axis=2)  # of the same list, seen on higher places
    freshness = np.exp(-behaviour.boredom * (bored[rows, interest] + count))
    strength = audience.strength[rows, interest]
    rate = behaviour.base + (behaviour.top - behaviour.base) * strength
    rate = np.where(audience.human[:, None], rate, behaviour.base)
    averse = audience.averse[rows, interest]
    rate = np.where(averse, behaviour.averse, rate)
    chance = rate * freshness * behaviour.again ** memory.times_seen[rows, lists]
    clicked = seen & (want < chance)
    hidden = seen & ~clicked & averse & (dislike < behaviour.hide)
    user, place = np.nonzero(seen)
    np.add.at(bored, (user, interest[user, place]), np.float32(1))
    times = memory.times_seen.copy()
    np.add.at(times, (user, lists[user, place]), np.int16(1))
    return Round(
        lists,
        np.where(shown, chance, 0).astype(np.float32),
        freshness.astype(np.float32),
        seen,
        clicked,
        hidden,
        Memory(bored, times, day),
    )


def as_events(audience: Audience, outcome: Round, *, start: int, propensity: Floats | None = None) -> pl.DataFrame:
    """What a log would hold of a round: an impression for each item shown, seen or not; clicks; hides.

    Args:
        start: seconds since 1970 when the first user's first place is shown; other places follow by a second, acts by
        half a minute, other users spread over half a day.
        propensity: (n_users, k) the chance with which each item came into its list, where it is to be logged.
    Returns:
        user_id, item_id, action (impression, click, hide), timestamp; sorted by time; with propensities also
        propensity (null for acts), list_id and place (from 1).
    """
    parts = []
    for action, flags, later in (
        ("impression", outcome.lists >= 0, 0),
        ("click", outcome.clicked, 30),
        ("hide", outcome.hidden, 30),
    ):
        user, place = np.nonzero(flags)
        item = outcome.lists[user, place]
        columns = {
            "user_id": audience.user_ids.gather(user),
            "item_id": audience.item_ids.gather(item),
            "action": pl.Series([action], dtype=pl.String).new_from_index(0, len(user)),
            "timestamp": start + user * (DAY // 2) // audience.n_users + place + later,
        }
        if propensity is not None:
            chance = propensity[user, place].astype(np.float64)
            columns["propensity"] = pl.Series(chance if action == "impression" else np.full(len(user), np.nan))
            columns["list_id"] = audience.user_ids.gather(user) + f"-{start}"
            columns["place"] = pl.Series(place + 1)
        parts.append(pl.DataFrame(columns))
    return pl.concat(parts).with_columns(pl.col(pl.Float64).fill_nan(None)).sort("timestamp", maintain_order=True)


def _check(audience: Audience, memory: Memory, lists: npt.NDArray[np.int32], day: float) -> None:
    n_items = len(audience.item_ids)
    if lists.ndim != 2 or len(lists) != audience.n_users:
        raise DataError(f"show: lists must have a row for each of {audience.n_users} users. Got shape {lists.shape}")
    if lists.size and not -1 <= lists.min() <= lists.max() < n_items:
        raise DataError(f"show: items must be in -1..{n_items - 1}. Got {lists.min()}..{lists.max()}")
    if day < memory.day:
        raise DataError(f"show: day must not go back. Got {day} after {memory.day}")
