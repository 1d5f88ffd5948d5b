"""Commands about satisfaction: what real users said, and what made-up ones would do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from penchant.cli_options import Columns, Json, ModelArg, OnError, choice, make_config, read_model

OutFolder = Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="folder for tables and page")]


def feedback(
    model: ModelArg,
    answers: Annotated[str, typer.Argument(metavar="FEEDBACK", help="user_id, answer and what it is about")],
    lists: Annotated[
        str | None, typer.Option("--lists", metavar="FILE", help="what was shown, as `penchant recommend -o` wrote it")
    ] = None,
    scale: Annotated[str | None, typer.Option("--scale", metavar="thumbs|stars|nps", help="of numeric answers")] = None,
    out: OutFolder = None,
    columns: Columns = None,
    on_error: OnError = None,
    json: Json = False,
) -> None:
    """Who is satisfied, with what, and who answered: survey answers, thumbs or stars joined with a model."""
    from penchant import show
    from penchant.feedback import judge_feedback
    from penchant.io import make_folder
    from penchant.io.answers import SCALES

    if out is not None:
        make_folder(out)  # before the work, not after it
    said = choice("--scale", scale, SCALES) if scale is not None else None
    settings = make_config(None, None, columns, on_error, None, None)
    result = judge_feedback(read_model(model), answers, lists=lists, scale=said, config=settings.io)
    show.facts(result.to_dict()) if json else show.told(result)
    if out is not None:
        result.save(out)


COMMANDS: dict[str, Callable[..., Any]] = {"feedback": feedback}
