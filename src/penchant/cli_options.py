"""What commands take from the command line: the options, and what is made of them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from penchant.errors import ConfigError


def _check_file(path: Path | None) -> Path | None:
    """Refuse a result file that could not be written before any work is done."""
    if path is not None:
        from penchant.io import check_target

        check_target(path)
    return path


EventsArg = Annotated[str, typer.Argument(metavar="EVENTS", help="CSV, TSV, JSONL, Parquet, or a quoted glob")]
ItemsArg = Annotated[str | None, typer.Argument(metavar="[ITEMS]", help="the catalogue, same kinds of file")]
ModelArg = Annotated[Path, typer.Argument(metavar="MODEL", help="a folder that `penchant fit -o` wrote")]
OutFile = Annotated[
    Path | None, typer.Option("-o", "--out", callback=_check_file, help="write to .parquet, .csv or .jsonl")
]
NeededFile = Annotated[Path, typer.Option("-o", "--out", callback=_check_file, help="a .parquet, .csv or .jsonl")]
Json = Annotated[bool, typer.Option("--json", help="print facts as JSON")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress on stderr")]
ConfigFile = Annotated[Path | None, typer.Option("-c", "--config", help="settings as TOML")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="may be repeated")]
Columns = Annotated[
    list[str] | None, typer.Option("--columns", metavar="OURS=THEIRS", help="may be repeated, or comma-separated")
]
OnError = Annotated[str | None, typer.Option("--on-error", metavar="stop|drop", help="what to do with bad rows")]
Layout = Annotated[str | None, typer.Option("--layout", metavar="long|wide", help="wide = a user-by-item matrix")]
Seed = Annotated[int | None, typer.Option("--seed", help="same seed, data and settings give the same bytes")]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache", envvar="PENCHANT_CACHE", help="folder that keeps text vectors between fits (~/.cache/penchant)"
    ),
]

K = Annotated[int, typer.Option("-k", min=1, max=1000, help="how many")]
Only = Annotated[Path | None, typer.Option("--only", metavar="FILE", help="item ids that may be listed")]
Without = Annotated[Path | None, typer.Option("--without", metavar="FILE", help="item ids that may not")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="CONDITION", help="on a catalogue column: 'price<20', 'categories=a|b'"),
]

Attributes = Annotated[str | None, typer.Option("--attributes", metavar="USERS", help="one row a user")]
LogOptions = inspect.Signature(
    [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in {
            "config": ConfigFile,
            "overrides": Overrides,
            "columns": Columns,
            "on_error": OnError,
            "layout": Layout,
            "seed": Seed,
        }.items()
    ]
)


def reads_a_log(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of whatever reads a log; it takes the settings made of them as `settings`."""
    own = inspect.signature(command, eval_str=True).parameters

    @wraps(command)
    def run(**given: Any) -> None:
        options = {name: given.pop(name) for name in LogOptions.parameters}
        command(**given, settings=make_config(**options))

    kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, p in own.items() if name != "settings"]
    parameters = [*kept, *LogOptions.parameters.values()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def make_run(quiet: bool, cache: Path | None) -> Any:
    from penchant.config import RunOptions

    return RunOptions(progress=not quiet, cache_dir=cache or _own_cache())


def _own_cache() -> Path | None:
    """The user's cache folder, or none where it can't be written (a container without a home, say)."""
    folder = Path.home() / ".cache" / "penchant"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def make_config(
    config: Path | None,
    overrides: list[str] | None,
    columns: list[str] | None,
    on_error: str | None,
    layout: str | None,
    seed: int | None,
) -> Any:
    from penchant.config import build_config, load_config

    # only what was set: reading asks which settings are the caller's own
    settings = load_config(config, overrides).model_dump(exclude_unset=True)
    io = settings.setdefault("io", {})
    if columns:
        io["columns"] = dict(io.get("columns", {}))
    for pair in [p for text in columns or [] for p in text.split(",")]:
        ours, equals, theirs = pair.partition("=")
        if not (ours.strip() and equals and theirs.strip()):
            raise ConfigError(f"--columns {pair!r}: must be ours=theirs, e.g. user_id=CustomerID")
        io["columns"][ours.strip()] = theirs.strip()
    if on_error is not None:
        io["on_error"] = on_error
    if layout is not None:
        io["layout"] = layout
    if seed is not None:
        settings["seed"] = seed
    return build_config(settings)


def names(text: str | None) -> list[str] | None:
    """The names of a comma-separated list; None where nothing was said."""
    return [n.strip() for n in text.split(",") if n.strip()] if text else None


def choice(option: str, got: str, allowed: tuple[str, ...]) -> Any:
    if got not in allowed:
        raise ConfigError(f"{option}: must be one of {', '.join(allowed)}. Got '{got}' instead")
    return got


def item_filter(only: Path | None, without: Path | None, where: list[str] | None) -> dict[str, Any]:
    """The filter options as arguments of the model's methods."""
    from penchant.io import read_ids

    return {
        "only": read_ids(only, "item") if only is not None else None,
        "without": read_ids(without, "item") if without is not None else (),
        "where": where or (),
    }


def read_model(path: Path) -> Any:
    from penchant.model import load

    return load(path)


def write_result(table: Any, out: Path) -> None:
    from penchant.io import write_table

    write_table(table, out)
    typer.echo(f"{out}: {table.height:,} rows")


def write_result_in_parts(parts: Any, out: Path, n_users: int, quiet: bool) -> None:
    """Write tables of some users each as they come, with a bar of the users done."""
    from penchant.io import write_parts
    from penchant.progress import count

    n_rows = write_parts(parts if quiet else count(parts, n_users, "recommending"), out)
    typer.echo(f"{out}: {n_rows:,} rows")
