"""What happens in the made-up market: who acts when, on which interest, on which item, in which way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from penchant.io.world.items import N_STYLES, PERIOD_DAYS, Catalogue
from penchant.io.world.lexicon import GroupedDraw
from penchant.io.world.noise import Noise
from penchant.io.world.texts import Phrases
from penchant.io.world.users import AVERSION, People, strength

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ACTIONS = ("view", "purchase", "rate", "comment", "search", "hide")
VIEW, PURCHASE, RATE, COMMENT, SEARCH, HIDE = range(6)
DAY = 86_400
NEW_SESSION = 0.5  # a free choice opens a new session with this chance
CHUNK = 500_000  # free choices at a time: bounds memory
# Evening-heavy hours of the day.
HOURS = np.array([2, 1, 1, 1, 1, 2, 3, 5, 6, 6, 6, 6, 7, 6, 6, 6, 6, 7, 8, 10, 11, 10, 7, 4], np.float64)


@dataclass(frozen=True)
class Accounts:
    """One row a user id: its person, the second person of a shared account (-1), and how it uses the market.

    person, partner: rows of People (-1 for a bot); partner_share: 0..1; bot: bool; language: row of LANGUAGES;
    n_events; first_day, last_day: the span of activity in days (float); access: row of MEDIA, or BOTH (a market of one
    medium reads it not).
    """

    person: Rows
    partner: Rows
    partner_share: Floats
    bot: npt.NDArray[np.bool_]
    new: npt.NDArray[np.bool_]
    language: Rows
    n_events: Rows
    first_day: Floats
    last_day: Floats
    access: Rows

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Raw:
    """Events sorted by time; arrays of one entry an event. item -1: none; phrase -1: no text; value NaN: none."""

    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    interest: npt.NDArray[np.int16]
    action: npt.NDArray[np.int8]
    second: npt.NDArray[np.int64]
    value: npt.NDArray[np.float32]
    phrase: npt.NDArray[np.int32]
    session: npt.NDArray[np.int32]


def plan_accounts(
    n_users: int, n_events: int, n_days: int, language: str, noise: Noise, rng: np.random.Generator
) -> Accounts:
    """Decide who is a bot, shared or new, and share out exactly `n_events` events."""
    u = rng.random(n_users)
    edge = np.cumsum([noise.bot_users, noise.shared_accounts, noise.new_users])
    bot, shared, new = u < edge[0], (u >= edge[0]) & (u < edge[1]), (u >= edge[1]) & (u < edge[2])
    person = np.where(bot, -1, np.cumsum(~bot) - 1)
    n_people = int((~bot).sum())
    partner = np.full(n_users, -1, np.int64)
    partner[shared] = n_people + np.arange(shared.sum())
    joined = np.where(rng.random(n_users) < 0.6, 0.0, rng.uniform(0, 0.7, n_users))
    left = np.where(rng.random(n_users) < 0.85, 1.0, np.maximum(rng.uniform(0.5, 1.0, n_users), joined + 0.1))
    joined, left = np.where(new, rng.uniform(0.95, 0.995, n_users), joined), np.where(new, 1.0, left)
    activity = np.exp(rng.normal(0.0, 0.6, n_users)) * np.sqrt(left - joined) * np.where(bot, 12.0, 1.0)
    counts = np.where(new, rng.integers(1, 6, n_users), 1)
    spare = n_events - int(counts.sum())
    if spare < 0:  # a log shorter than one event a user and a few for the new ones
        counts, spare = np.ones(n_users, np.int64), n_events - n_users
    share = np.where(new & ~new.all(), 0.0, activity)
    counts = counts + rng.multinomial(spare, share / share.sum())
    languages = {"en": np.zeros(n_users, np.int64), "zh": np.ones(n_users, np.int64)}
    return Accounts(
        person,
        partner,
        np.where(shared, rng.uniform(0.25, 0.45, n_users), 0.0),
        bot,
        new,
        languages[language] if language in languages else rng.integers(0, 2, n_users),
        counts,
        joined * n_days,
        left * n_days,
        np.zeros(n_users, np.int64),
    )


def simulate(
    accounts: Accounts,
    people: People,
    catalogue: Catalogue,
    popularity: npt.NDArray[np.float32],
    phrases: Phrases,
    noise: Noise,
    n_days: int,
    rng: np.random.Generator,
) -> Raw:
    """Let every account act: sessions, interests, items, actions, texts."""
    user = np.repeat(np.arange(len(accounts)), accounts.n_events)
    first = np.zeros(len(user), bool)
    first[np.concatenate([[0], np.cumsum(accounts.n_events)[:-1]])] = True
    free = first | (rng.random(len(user)) >= noise.stickiness)
    opens = first | (free & (rng.random(len(user)) < NEW_SESSION))
    second, session = _times(user, opens, accounts, n_days, rng)
    interest, averse = _interests(user, free, second, accounts, people, catalogue.interest_weight, noise, n_days, rng)
    item = _items(user, interest, second, accounts, catalogue, popularity, noise, rng)
    item = _repeats(user, interest, item, catalogue, np.where(accounts.bot, 0.0, noise.repeat), rng)
    again = np.concatenate([[False], (item[1:] == item[:-1]) & (user[1:] == user[:-1])])
    action, value, phrase, item = _actions(user, interest, item, averse, again, accounts, phrases, noise, rng)
    order = np.argsort(second, kind="stable")
    return Raw(
        user[order].astype(np.int32),
        item[order].astype(np.int32),
        interest[order].astype(np.int16),
        action[order],
        second[order],
        value[order],
        phrase[order],
        session[order].astype(np.int32),
    )


def _last(flag: npt.NDArray[np.bool_]) -> Rows:
    """(n,) row of the last True at or before each row; the first entry must be True."""
    return np.maximum.accumulate(np.where(flag, np.arange(len(flag)), 0))


def _times(
    user: Rows, opens: npt.NDArray[np.bool_], accounts: Accounts, n_days: int, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Second of each event since the start, and its session; within an account both never go back."""
    owner = user[opens]
    day = accounts.first_day[owner] + rng.random(len(owner)) * (accounts.last_day - accounts.first_day)[owner]
    hour = rng.choice(24, len(owner), p=HOURS / HOURS.sum())
    start = np.floor(day).astype(np.int64) * DAY + hour * 3600 + rng.integers(0, 3600, len(owner))
    start = start[np.lexsort((start, owner))]
    session = np.cumsum(opens) - 1
    pause = np.cumsum(rng.integers(15, 240, len(user)))
    within = pause - pause[_last(opens)]
    second = np.minimum(start[session] + within, n_days * DAY - 1)
    # Two sessions of one account may meet: the later one waits.
    floor = np.maximum.accumulate(second + user * (n_days * DAY))
    return floor - user * (n_days * DAY), session


def _interests(
    user: Rows,
    free: npt.NDArray[np.bool_],
    second: Rows,
    accounts: Accounts,
    people: People,
    interest_weight: Floats,
    noise: Noise,
    n_days: int,
    rng: np.random.Generator,
) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """The interest of each event, and whether it is one the person dislikes."""
    rows = np.flatnonzero(free)
    chosen = np.empty(len(rows), np.int64)
    averse = np.zeros(len(rows), bool)
    market = np.cumsum(interest_weight)
    for at in range(0, len(rows), CHUNK):
        part = rows[at : at + CHUNK]
        who, u = user[part], rng.random((3, len(part)))
        person = np.where(u[0] < accounts.partner_share[who], accounts.partner[who], accounts.person[who])
        time = (second[part] / (n_days * DAY)).astype(np.float32)[:, None]
        weight = people.share[person] * strength(people.drift[person], people.drift_at[person], time, n_days)
        running = np.cumsum(weight, axis=1)
        slot = (running <= (u[1].astype(np.float32) * running[:, -1])[:, None]).sum(axis=1)
        slot = np.minimum(slot, weight.shape[1] - 1)
        elsewhere = (u[2] < noise.exploration) | accounts.bot[who]
        anything = np.minimum(np.searchsorted(market, rng.random(len(part))), len(market) - 1)
        chosen[at : at + CHUNK] = np.where(elsewhere, anything, people.interest[person, slot])
        averse[at : at + CHUNK] = ~elsewhere & (people.role[person, slot] == AVERSION)
    source = np.cumsum(free) - 1  # an event that is not a free choice goes on with the last one
    return chosen[source], averse[source]


def _items(
    user: Rows,
    interest: Rows,
    second: Rows,
    accounts: Accounts,
    catalogue: Catalogue,
    popularity: npt.NDArray[np.float32],
    noise: Noise,
    rng: np.random.Generator,
) -> Rows:
    """An item on sale in the week of the event, of its interest, a medium the account uses and, mostly, its style."""
    style = (user * 7919 + interest * 104_729) % 999_983 % N_STYLES  # a fixed taste for each account and interest
    period = (second // (PERIOD_DAYS * DAY)).astype(np.int64)
    keeps = (rng.random(len(user)) < noise.in_style) & ~accounts.bot[user]
    u = rng.random(len(user))
    n_media, of_user = catalogue.n_media, accounts.access[user]
    any_medium = rng.integers(0, n_media, len(user)) if n_media > 1 else np.zeros(len(user), np.int64)
    # where interest and medium meet; of one medium there is nothing but interests
    place = interest * n_media + np.where(of_user < n_media, of_user, any_medium)
    of_item = catalogue.interest * n_media + catalogue.medium
    n_places = len(catalogue.interest_weight) * n_media
    by_style = np.lexsort((catalogue.style, of_item))
    group = of_item[by_style] * N_STYLES + catalogue.style[by_style]
    out = np.empty(len(user), np.int64)
    order = np.argsort(period.astype(np.int16), kind="stable")
    edges = np.searchsorted(period[order], np.arange(len(popularity) + 1))
    for p in range(len(popularity)):
        part = order[edges[p] : edges[p + 1]]
        weight = popularity[p, by_style].astype(np.float64)
        spot = GroupedDraw(group, weight, n_places * N_STYLES).draw(place[part] * N_STYLES + style[part], u[part])
        wide = GroupedDraw(of_item[by_style], weight, n_places).draw(place[part], u[part])
        out[part] = by_style[np.where(keeps[part] & (spot >= 0), spot, wide)]
    return out


def _repeats(
    user: Rows, interest: Rows, item: Rows, catalogue: Catalogue, repeat: Floats, rng: np.random.Generator
) -> Rows:
    """Let some events return to the item of the account's last event on the same interest."""
    key = user * len(catalogue.interest_weight) + interest
    order = np.argsort(key, kind="stable")
    starts = np.concatenate([[True], key[order][1:] != key[order][:-1]])
    fresh = starts | (rng.random(len(order)) >= repeat[user[order]])
    out = np.empty_like(item)
    out[order] = item[order][_last(fresh)]
    return out


def _actions(
    user: Rows,
    interest: Rows,
    item: Rows,
    averse: npt.NDArray[np.bool_],
    again: npt.NDArray[np.bool_],
    accounts: Accounts,
    phrases: Phrases,
    noise: Noise,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32], npt.NDArray[np.int32], Rows]:
    """Action, value (stars or pieces), row of a phrase, and the item (gone for searches and some comments)."""
    n = len(user)
    u = rng.random(n)
    usual = np.searchsorted(np.cumsum([0.66, 0.12, 0.10, 0.05]), u, side="right")
    returning = np.searchsorted(np.cumsum([0.35, 0.40, 0.18, 0.07]), u, side="right")  # seen before: buy, rate
    averse_action = np.array([RATE, HIDE, COMMENT])[np.searchsorted([0.5, 0.85], u, side="right")]
    action = np.where(averse, averse_action, np.where(again, np.minimum(returning, COMMENT), usual)).astype(np.int8)
    action[accounts.bot[user]] = VIEW

    value = np.full(n, np.nan, np.float32)
    rated = action == RATE
    mood = rng.normal(4.1, 0.4, len(accounts))[user[rated]] + rng.normal(0.0, 0.7, int(rated.sum()))
    stars = np.where(averse[rated], rng.integers(1, 3, int(rated.sum())), np.clip(np.round(mood), 1, 5))
    value[rated] = stars
    bought = action == PURCHASE
    value[bought] = 1 + (rng.random(int(bought.sum())) < 0.12)

    phrase = np.full(n, -1, np.int64)
    writes = (action == COMMENT) | (rated & (rng.random(n) < 0.3))
    writes &= rng.random(n) >= noise.missing_text
    searched = action == SEARCH
    for rows, kind in (
        (np.flatnonzero(searched), Phrases.QUERY),
        (np.flatnonzero(writes & ~averse), Phrases.LIKE),
        (np.flatnonzero(writes & averse), Phrases.DISLIKE),
    ):
        phrase[rows] = phrases.draw(kind, accounts.language[user[rows]], interest[rows], rng)
    # A post about an interest in general names no item; without its text it would say nothing, so those keep it.
    loose = (action == COMMENT) & (phrase >= 0) & (rng.random(n) < 0.3)
    return action, value, phrase.astype(np.int32), np.where(searched | loose, -1, item)
