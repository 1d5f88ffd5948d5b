"""People of a made-up market with interests that the log does not tell of: who would click what, if shown it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.errors import ConfigError
from penchant.io.world import World
from penchant.io.world.users import LAYER_AT

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

LEFT = 2  # core or secondary interests that a user keeps in the log, the strongest among them


@dataclass(frozen=True)
class Audience:
    """What is true of every account, as of the end of the log.

    user_ids, item_ids, interest_ids: the rows of what follows · interest_of_item: (n_items,) · strength: (n_users,
    n_interests) true chance that the user's next ten events touch the interest · hidden: (n_users, n_interests)
    interests that the user has and never acted on in the log · averse: (n_users, n_interests) · human: (n_users,)
    false for bots, who have no interests.
    """

    user_ids: pl.Series
    item_ids: pl.Series
    interest_ids: pl.Series
    interest_of_item: Rows
    strength: Floats
    hidden: Flags
    averse: Flags
    human: Flags

    @property
    def n_users(self) -> int:
        return len(self.user_ids)


@dataclass(frozen=True)
class HiddenMarket:
    """A market whose log has lost every event on the hidden interests, and the truth of its people."""

    world: World
    audience: Audience


def hide_interests(world: World, *, per_user: int = 2, seed: int = 0) -> HiddenMarket:
    """Hide some interests of every user: leave their events out of the log, keep them in the truth.

    Hidden are, drawn evenly, up to `per_user` of the user's core and secondary interests at the end of the log; the
    strongest is never hidden, and two at least are kept. Every event of the user on an item of a hidden interest goes,
    and so do all users' events without an item (searches, loose comments), whose texts would tell.

    Raises:
        ConfigError: per_user is below 0.
    """
    if per_user < 0:
        raise ConfigError(f"hide_interests: per_user must be at least 0. Got {per_user}; give 0 to hide none")
    user_ids = world.users["user_id"]
    interest_ids, item_ids = world.truth["interests"]["interest_id"], world.truth["items"]["item_id"]
    planted = world.truth["user_interests"].select(
        user=_rows("user_id", user_ids), interest=_rows("interest_id", interest_ids), role="role", chance="probability"
    )
    user, interest, chance = (planted[name].to_numpy() for name in ("user", "interest", "chance"))
    averse = planted["role"].to_numpy() == "aversion"
    hidden = _draw(user, chance, averse, per_user, np.random.default_rng([seed, 21]))
    shape = (len(user_ids), len(interest_ids))
    strength = np.broadcast_to(world.truth["interests"]["base_probability"].to_numpy(), shape).astype(np.float32)
    strength[user, interest] = chance
    flags = {name: np.zeros(shape, np.bool_) for name in ("hidden", "averse")}
    flags["hidden"][user[hidden], interest[hidden]] = True
    flags["averse"][user[averse], interest[averse]] = True
    of_item = world.truth["items"].select(_rows("interest_id", interest_ids)).to_series().to_numpy()
    audience = Audience(
        user_ids=user_ids,
        item_ids=item_ids,
        interest_ids=interest_ids,
        interest_of_item=of_item,
        strength=strength,
        human=~user_ids.is_in(world.truth["bots"]["user_id"].implode()).to_numpy(),
        **flags,
    )
    rows = world.events.select(user=_rows("user_id", user_ids), item=_rows("item_id", item_ids))
    has_item = rows["item"].is_not_null().to_numpy()
    on = of_item[rows["item"].fill_null(0).to_numpy()]
    kept = has_item & ~audience.hidden[rows["user"].to_numpy(), on]
    return HiddenMarket(replace(world, events=world.events.filter(pl.Series(kept))), audience)


def _draw(user: Rows, chance: Floats, averse: Flags, per_user: int, rng: np.random.Generator) -> Flags:
    """(n,) planted interests to hide: those of a low lot among each user's core and secondary ones."""
    strong = ~averse & (chance >= LAYER_AT[1])
    n_strong = np.bincount(user[strong], minlength=int(user.max(initial=-1)) + 1)
    by_strength = np.lexsort((-chance, ~strong, user))
    first = np.zeros(len(user), np.bool_)
    first[by_strength[np.searchsorted(user[by_strength], np.unique(user))]] = True
    open_ = strong & ~first
    lot = np.where(open_, rng.random(len(user)), 2.0)
    order = np.lexsort((lot, user))
    place = np.empty(len(user), np.int64)
    place[order] = np.arange(len(user)) - np.searchsorted(user[order], user[order])
    return np.asarray(open_ & (place < np.clip(n_strong[user] - LEFT, 0, per_user)))


def _rows(column: str, ids: pl.Series) -> pl.Expr:
    rows = pl.Series(np.arange(len(ids)), dtype=pl.Int64)
    return pl.col(column).replace_strict(ids, rows, default=None, return_dtype=pl.Int64)
