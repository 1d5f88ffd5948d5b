"""A made-up market with known truth: interests, layers, segments, drift, aversions, bots and all noise stated.

It is the ground truth of tests, demo and benchmarks. How it works, in the order of the code: a catalogue of items, each
of one interest (`items`), described in words that are only partly its own (`word_model`, `texts`); people
whose interests lean on their segment's (`users`); accounts that act in sessions (`events`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from penchant.artefacts import folder_beside, to_json
from penchant.errors import ConfigError, OutputError, did_you_mean
from penchant.io.world.events import ACTIONS, Raw, plan_accounts, simulate
from penchant.io.world.items import plan_catalogue, popularity_by_period
from penchant.io.world.lexicon import LANGUAGES, load_lexicon
from penchant.io.world.media import MEDIA, draw_access, media_lexicon
from penchant.io.world.noise import LEVELS, Level
from penchant.io.world.tables import account_truth, attributes, interest_truth, user_interest_truth
from penchant.io.world.texts import Phrases, describe, ids
from penchant.io.world.users import plan_people

Language = Literal["en", "zh", "mixed"]
START = 1_736_121_600  # Monday 2025-01-06, 00:00 UTC
EVENTS_PER_USER = 140
ITEMS_PER_INTEREST = 10  # small markets hold fewer interests rather than fewer items of each


@dataclass(frozen=True)
class World:
    """A market and its truth.

    events: user_id, item_id (null: none), action, timestamp (seconds since 1970, UTC), value (stars of a rating,
    pieces of a purchase), text, session_id; sorted by time. items: item_id, title, text, categories, domain, price.
    users: user_id and attributes. truth: interests, items, user_interests, segments, bots, shared_accounts, new_users,
    new_items, noise. settings: what `make_world` was called with.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    truth: Mapping[str, pl.DataFrame]
    settings: Mapping[str, Any] = field(default_factory=dict)


def make_world(
    *,
    n_users: int = 2000,
    n_items: int = 3000,
    n_days: int = 180,
    n_events: int | None = None,
    language: Language = "en",
    level: Level = "middle",
    seed: int = 0,
    overlap: float | None = None,
) -> World:
    """Make a market up. Same arguments, same bytes.

    Args:
        n_users: accounts, bots among them. n_items: size of the catalogue. n_days: length of the log.
        n_events: length of the log in events, exactly (None: 140 a user). language: of texts; "mixed" = each item
        and each user has one of the two. level: how much noise (`noise.LEVELS`). seed: >= 0.
        overlap: None = one market of twelve domains. A share: two domains, books and films, with the same
        interests told in words of which they share a third; this share of the accounts uses both, others one of them.
    Raises:
        ConfigError: a number too small (10 users, 20 items, 14 days, one event a user), a share outside 0..1,
        an unknown language or level.

    >>> world = make_world(n_users=50, n_items=60, n_days=30)
    >>> world.events.height, world.items.height, world.truth["interests"].height
    (7000, 60, 6)
    """
    n_events = EVENTS_PER_USER * n_users if n_events is None else n_events
    _check(n_users, n_items, n_days, n_events, language, level, seed, overlap)
    noise = LEVELS[level]
    lexicon = load_lexicon()
    lexicon = lexicon.take(int(np.clip(n_items // ITEMS_PER_INTEREST, 6, len(lexicon))))
    # One stream a part: a change to how texts are drawn leaves the behaviour of the market as it was.
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(9)]
    n_media = 1 if overlap is None else len(MEDIA)
    catalogue = plan_catalogue(n_items, n_days, lexicon, language, noise, streams[0], n_media=n_media)
    accounts = plan_accounts(n_users, n_events, n_days, language, noise, streams[2])
    if overlap is None:
        items, item_truth = describe(catalogue, lexicon, noise, streams[1])
    else:  # told as its medium tells it, and never filed under the other one
        told = replace(catalogue, interest=catalogue.medium * len(lexicon) + catalogue.interest)
        items, item_truth = describe(told, media_lexicon(lexicon), replace(noise, wrong_category=0.0), streams[1])
        accounts = replace(accounts, access=draw_access(n_users, overlap, streams[8]))
    n_people = max(1, int((accounts.person >= 0).sum() + (accounts.partner >= 0).sum()))
    people = plan_people(n_people, catalogue.interest_weight, noise, streams[3])
    phrases = Phrases(lexicon, noise, streams[4])
    popularity = popularity_by_period(catalogue, n_days, streams[5])
    raw = simulate(accounts, people, catalogue, popularity, phrases, noise, n_days, streams[6])
    user_ids = ids("u", n_users)
    truth = {
        "interests": interest_truth(lexicon, catalogue, noise),
        "items": item_truth,
        "user_interests": user_interest_truth(user_ids, accounts, people, catalogue, lexicon, noise, n_days),
        "new_items": item_truth.filter(pl.col("launch_day") >= int(n_days * 0.93)).select("item_id", "launch_day"),
        **account_truth(user_ids, accounts, people, lexicon),
        "noise": pl.DataFrame({"name": list(noise.as_rows()), "share": list(noise.as_rows().values())}),
    }
    settings = {
        "n_users": n_users,
        "n_items": n_items,
        "n_days": n_days,
        "n_events": n_events,
        "language": language,
        "level": level,
        "seed": seed,
        **({} if overlap is None else {"overlap": overlap}),
    }
    users = attributes(user_ids, accounts, people, streams[7])
    return World(_event_table(raw, user_ids, items["item_id"], phrases), items, users, truth, settings)


def write_world(world: World, out_dir: str | Path) -> Path:
    """Write events, items and users as Parquet, truth/*.parquet and world.json (the settings).

    Everything is written beside `out_dir` and then moved in, so a crash leaves no half-written market.

    Raises:
        OutputError: the folder can't be written; or it holds anything else than an earlier made-up market, which
        would be lost.
    """
    out = Path(out_dir).resolve()
    _check_target(out, world)
    with folder_beside(out) as beside:
        (beside / "truth").mkdir()
        for name, table in (("events", world.events), ("items", world.items), ("users", world.users)):
            table.write_parquet(beside / f"{name}.parquet", row_group_size=500_000)
        for name, table in sorted(world.truth.items()):
            table.write_parquet(beside / "truth" / f"{name}.parquet")
        (beside / "world.json").write_text(to_json(dict(world.settings), indent=2), encoding="utf-8")
    return out


def _check_target(out: Path, world: World) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; give a new or empty folder")
    ours = {"world.json", "truth", *(f"{name}.parquet" for name in ("events", "items", "users"))}
    ours |= {f"truth/{name}.parquet" for name in world.truth}
    found = {path.relative_to(out).as_posix() for path in out.rglob("*")} if out.is_dir() else set()
    strange = sorted(found - ours)
    if strange:
        raise OutputError(
            f"{out}: holds {strange[0]!r}, which is no part of a made-up market; give a new or empty folder"
        )


def _event_table(raw: Raw, user_ids: pl.Series, item_ids: pl.Series, phrases: Phrases) -> pl.DataFrame:
    def pick(pool: pl.Series, rows: Any) -> pl.Series:
        index = pl.Series(rows)
        return pool.gather(index.to_frame("r").select(pl.when(pl.col("r") >= 0).then("r")).to_series())

    n_sessions = int(raw.session.max()) + 1
    return pl.DataFrame(
        {
            "user_id": user_ids.gather(raw.user),
            "item_id": pick(item_ids, raw.item),
            "action": pl.Series(list(ACTIONS)).gather(raw.action),
            "timestamp": raw.second + START,
            "value": pl.Series(raw.value, nan_to_null=True),
            "text": pick(phrases.texts, raw.phrase),
            "session_id": ids("s", n_sessions).gather(raw.session),
        }
    )


def _check(
    n_users: int, n_items: int, n_days: int, n_events: int, language: str, level: str, seed: int, overlap: float | None
) -> None:
    if overlap is not None and not 0 <= overlap <= 1:
        raise ConfigError(f"make_world: overlap must be in 0..1. Got {overlap}; give a share of the users, or None")
    for name, value, least in (
        ("n_users", n_users, 10),
        ("n_items", n_items, 20),
        ("n_days", n_days, 14),
        ("n_events", n_events, n_users),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ConfigError(f"make_world: {name} must be at least {least}. Got {value}; give a larger number")
    for name, word, allowed in (("language", language, (*LANGUAGES, "mixed")), ("level", level, get_args(Level))):
        if word not in allowed:
            raise ConfigError(f"make_world: unknown {name} {word!r}; {did_you_mean(str(word), allowed)}")
