"""Commands that recommend: items for users, sessions and segments, items like an item, users like a user, reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from penchant.cli_options import (
    Json,
    K,
    ModelArg,
    Only,
    OutFile,
    Quiet,
    Where,
    Without,
    choice,
    item_filter,
    read_model,
    write_result,
    write_result_in_parts,
)
from penchant.errors import ConfigError

Language = Annotated[str, typer.Option("--language", metavar="en|zh", help="of the reasons")]
SHOWN, ROWS = 20, 100  # users of `reach`, and rows of any other table, on a screen


def recommend(
    model: ModelArg,
    user: Annotated[str | None, typer.Argument(help="one user; default: all")] = None,
    users: Annotated[
        Path | None, typer.Option("--users", help="a table with user_id, or a text file, one id a line")
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option("--session", metavar="ITEM", help="what somebody unknown touched; repeat it, oldest first"),
    ] = None,
    segment: Annotated[str | None, typer.Option("--segment", help="one list for a segment, by id or name")] = None,
    path: Annotated[bool, typer.Option("--path", help="USER's items in an order in which they can be taken")] = False,
    source: Annotated[str | None, typer.Option("--from", metavar="DOMAIN", help="read the past there alone")] = None,
    target: Annotated[str | None, typer.Option("--to", metavar="DOMAIN", help="list items of it alone")] = None,
    k: K = 10,
    language: Language = "en",
    only: Only = None,
    without: Without = None,
    where: Where = None,
    why: Annotated[bool, typer.Option("--why", help="what speaks for each item, in shares of its score")] = False,
    out: OutFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recommend unseen items, each with the interest and the past events that brought it."""
    from polars import concat

    from penchant import show
    from penchant.io import read_ids

    for_whom = {"USER": user, "--users": users, "--session": session, "--segment": segment}
    _one_at_most("recommend", for_whom)
    said = choice("--language", language, ("en", "zh"))
    options = {"--from": source, "--to": target, "--why": why}
    loaded = read_model(model)
    filters = item_filter(only, without, where)
    if path:
        if user is None:
            raise ConfigError("recommend: --path is made for one USER; name the user")
        _refuse("--path", options)
        _tell(loaded.path(user, k, language=said, **filters), out, json, "A path")
        return
    if segment is not None:
        _refuse("--segment", {**options, "--language": said != "en"})
        _tell(loaded.recommend_for_segment(segment, k, **filters), out, json, f"For the segment {segment}")
        return
    if session:
        _refuse("--session", {"--from": source, "--to": target})
        table = loaded.recommend_from(session, k, language=said, why=why, **filters)
    else:
        asked = [user] if user is not None else read_ids(users) if users is not None else None
        parts = loaded.recommend_in_parts(
            asked, k, language=said, why=why, source_domain=source, target_domain=target, **filters
        )
        _warn_of_unknown(loaded, asked, source, target)
        if out is not None:
            n_users = len(set(asked)) if asked is not None else len(loaded.user_ids)
            write_result_in_parts(parts, out, n_users, quiet)
            return
        table = concat(parts)
    if out is not None:
        write_result(table, out)
    elif json:
        show.facts(table.to_dicts())
    else:
        show.recommendations(table, loaded, said)


def similar(
    model: ModelArg,
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="item ids")],
    k: K = 10,
    only: Only = None,
    without: Without = None,
    where: Where = None,
    out: OutFile = None,
    json: Json = False,
) -> None:
    """Items like each given one: taken together with it, and alike; an item with only a text too."""
    found = read_model(model).similar_items(items, k, **item_filter(only, without, where))
    _tell(found, out, json, "Similar items")


def users_like(
    model: ModelArg,
    users: Annotated[list[str], typer.Argument(metavar="USER...", help="user ids")],
    k: K = 10,
    out: OutFile = None,
    json: Json = False,
) -> None:
    """Users with a like mix of interests, with the interests that both have."""
    _tell(read_model(model).similar_users(users, k), out, json, "Users with a like mix of interests")


def communities(
    model: ModelArg,
    level: Annotated[int | None, typer.Option("--level", help="1 = top of the tree; default: leaves")] = None,
    layer: Annotated[
        str, typer.Option("--layer", metavar="core|secondary", help="the weakest layer that counts")
    ] = "secondary",
    k: Annotated[int | None, typer.Option("-k", min=1, help="users of each interest; default: all")] = None,
    out: OutFile = None,
    json: Json = False,
) -> None:
    """The users of each interest, the likeliest to come back to it first."""
    least = choice("--layer", layer, ("core", "secondary"))
    _tell(read_model(model).communities(level, layer=least, k=k), out, json, "Communities")


def reach(
    model: ModelArg,
    items: Annotated[list[str] | None, typer.Argument(metavar="[ITEM...]", help="item ids")] = None,
    text: Annotated[str | None, typer.Option("--text", help="of something that is no item yet")] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="users listed; default: a tenth of all")] = None,
    out: OutFile = None,
    json: Json = False,
) -> None:
    """Who should hear of an item: users by expected interest, and the expected lift of each segment."""
    from penchant import show

    found = read_model(model).audience_for(items or (), text=text, k=k)
    if found.users.is_empty():
        show.warn("nobody of this log is expected to care, or everybody had it")
    if out is not None:
        write_result(found.users, out)
    if json:
        users = {} if out is not None else {"users": found.users.to_dicts()}
        show.facts({"segments": found.segments.to_dicts(), **users})
        return
    show.frame("Segments", found.segments)
    if out is None:
        show.frame("\nWho should hear of it", found.users.head(SHOWN))
        if found.users.height > SHOWN:
            show.warn(f"the first {SHOWN} of {found.users.height:,} users are shown; write all with -o users.csv")


COMMANDS: dict[str, Callable[..., None]] = {
    "recommend": recommend,
    "similar": similar,
    "users-like": users_like,
    "communities": communities,
    "reach": reach,
}


def _one_at_most(command: str, given: dict[str, Any]) -> None:
    named = [name for name, value in given.items() if value]
    if len(named) > 1:
        raise ConfigError(f"{command}: give {' or '.join(named)}, not both")


def _refuse(option: str, given: dict[str, Any]) -> None:
    """Refuse options that would do nothing beside `option`."""
    named = [name for name, value in given.items() if value]
    if named:
        raise ConfigError(f"recommend: {option} can't be used with {', '.join(named)}; leave one of them out")


def _tell(table: Any, out: Path | None, json: bool, title: str) -> None:
    from penchant import show

    if out is not None:
        write_result(table, out)
    elif json:
        show.facts(table.to_dicts())
    else:
        show.frame(title, table.head(ROWS))
        if table.height > ROWS:
            show.warn(f"the first {ROWS} of {table.height:,} rows are shown; write all with -o FILE")


def _warn_of_unknown(loaded: Any, asked: list[str] | None, source: str | None, target: str | None) -> None:
    from penchant import show
    from penchant.filters import domain_items
    from penchant.tables import n_liked_of

    rows = loaded.user_rows(asked if asked is not None else loaded.user_ids.to_list())
    unknown = int((rows < 0).sum())
    if unknown:
        show.warn(f"{unknown:,} of {len(rows):,} users are unknown to this model: they get what is popular now")
    if source is not None:
        here = domain_items(loaded.items, source)
        liked = n_liked_of(loaded, here)
        silent = int((liked[rows[rows >= 0]] == 0).sum())
        if silent:
            show.warn(f"{silent:,} of {len(rows):,} users like nothing of '{source}' yet: they get what is popular now")
        strangers = loaded.recommender.strangers
        if target is not None and strangers is not None and strangers.between(here, domain_items(loaded.items, target)):
            show.warn(
                f"hardly anybody acts in both '{source}' and '{target}': lists go by what the texts of both say, and "
                "by what is popular there"
            )
