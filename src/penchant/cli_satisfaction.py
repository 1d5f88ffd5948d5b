"""Commands about satisfaction: what real users said, and what made-up ones would do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from penchant.cli_options import (
    Columns,
    ConfigFile,
    Json,
    K,
    ModelArg,
    OnError,
    Overrides,
    Quiet,
    Seed,
    choice,
    make_config,
    make_run,
    names,
    read_model,
)
from penchant.errors import ConfigError, did_you_mean

Language = Annotated[str, typer.Option("--language", metavar="en|zh", help="of the page")]
OutFolder = Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="folder for tables and page")]


def feedback(
    model: ModelArg,
    answers: Annotated[str, typer.Argument(metavar="FEEDBACK", help="user_id, answer and what it is about")],
    lists: Annotated[
        str | None, typer.Option("--lists", metavar="FILE", help="what was shown, as `penchant recommend -o` wrote it")
    ] = None,
    scale: Annotated[str | None, typer.Option("--scale", metavar="thumbs|stars|nps", help="of numeric answers")] = None,
    out: OutFolder = None,
    language: Language = "en",
    columns: Columns = None,
    on_error: OnError = None,
    json: Json = False,
) -> None:
    """Who is satisfied, with what, and who answered: survey answers, thumbs or stars joined with a model."""
    from penchant import show
    from penchant.feedback import judge_feedback
    from penchant.io import make_folder
    from penchant.io.answers import SCALES

    words = choice("--language", language, ("en", "zh"))
    if out is not None:
        make_folder(out)  # before the work, not after it
    said = choice("--scale", scale, SCALES) if scale is not None else None
    settings = make_config(None, None, columns, on_error, None, None)
    result = judge_feedback(read_model(model), answers, lists=lists, scale=said, config=settings.io)
    show.facts(result.to_dict()) if json else show.told(result)
    if out is not None:
        result.save(out, language=words)


def simulate(
    users: Annotated[int, typer.Option("--users", min=50)] = 300,
    items: Annotated[int, typer.Option("--items", min=100)] = 1000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=60, help="days")] = 8,
    k: K = 10,
    policies: Annotated[
        str | None, typer.Option("--policies", metavar="NAMES", help="of slots, rank, popular, random")
    ] = None,
    behaviour: Annotated[
        list[str] | None, typer.Option("--behaviour", metavar="NAME=NUMBER", help="e.g. boredom=0; may be repeated")
    ] = None,
    out: OutFolder = None,
    language: Language = "en",
    seed: Seed = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Clicks, boredom, hides and satisfaction of made-up users, day by day, under several policies."""
    from penchant import show
    from penchant.io import make_folder
    from penchant.simulation import POLICIES
    from penchant.simulation import simulate as play

    words = choice("--language", language, ("en", "zh"))
    if out is not None:
        make_folder(out)  # before the work, not after it
    settings = make_config(config, overrides, None, None, None, seed)
    result = play(
        n_users=users,
        n_items=items,
        rounds=rounds,
        k=k,
        policies=names(policies) or POLICIES,
        behaviour=_behaviour(behaviour or []),
        config=settings,
        run=make_run(quiet, None),
    )
    show.facts(result.to_dict()) if json else show.told(result)
    if out is not None:
        result.save(out, language=words)


def _behaviour(stated: list[str]) -> Any:
    from dataclasses import asdict

    from penchant.io.world.sessions import Behaviour

    known = asdict(Behaviour())
    values: dict[str, float] = {}
    for text in stated:
        name, _, number = text.partition("=")
        if name not in known:
            raise ConfigError(f"--behaviour: '{name}' is nothing that can be stated; {did_you_mean(name, list(known))}")
        try:
            values[name] = float(number)
        except ValueError:
            raise ConfigError(f"--behaviour {text!r}: must be NAME=NUMBER, e.g. boredom=0") from None
    return Behaviour(**values)


COMMANDS: dict[str, Callable[..., Any]] = {"feedback": feedback, "simulate": simulate}
