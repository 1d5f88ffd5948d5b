"""The command line: parse, call, print. Exit code 0 = done, 1 = a check said no, 2 = an error that we explain."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from penchant import __version__
from penchant.errors import ConfigError, PenchantError

app = typer.Typer(
    name="penchant",
    help="Layered, named user interests from behaviour logs and item texts; segments and recommendations on top.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _writable(path: Path | None) -> Path | None:
    """Refuse a result file that could not be written before any work is done."""
    if path is not None:
        from penchant.io import check_target

        check_target(path)
    return path


CTRL_C = 130
EventsArg = Annotated[str, typer.Argument(metavar="EVENTS", help="CSV, TSV, JSONL, Parquet, or a quoted glob")]
ItemsArg = Annotated[str | None, typer.Argument(metavar="[ITEMS]", help="the catalogue, same kinds of file")]
ModelArg = Annotated[Path, typer.Argument(metavar="MODEL", help="a folder that `penchant fit -o` wrote")]
OutFile = Annotated[
    Path | None, typer.Option("-o", "--out", callback=_writable, help="write to .parquet, .csv or .jsonl")
]
NeededFile = Annotated[Path, typer.Option("-o", "--out", callback=_writable, help="write to .parquet, .csv or .jsonl")]
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


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"penchant {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for the log, model, tables and report")] = Path(
        "penchant-demo"
    ),
    seed: Seed = None,
    quiet: Quiet = False,
) -> None:
    """Made-up market -> model, evaluation, report; under a minute."""
    from penchant.demo import run_demo

    run_demo(out, seed=seed or 0, run=_run(quiet, None))


@app.command()
def world(
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for events, items, users and truth/")],
    users: Annotated[int, typer.Option("--users", min=10)] = 2000,
    items: Annotated[int, typer.Option("--items", min=100)] = 3000,
    days: Annotated[int, typer.Option("--days", min=7)] = 180,
    events: Annotated[int | None, typer.Option("--events", help="number of events; default: by users and days")] = None,
    language: Annotated[str, typer.Option("--language", metavar="en|zh|mixed")] = "en",
    level: Annotated[str, typer.Option("--level", metavar="easy|middle|hard")] = "middle",
    seed: Seed = None,
    quiet: Quiet = False,
) -> None:
    """Write a made-up market with known interests, layers, segments and drift."""
    from penchant.io.world import make_world, write_world

    made = make_world(
        n_users=users,
        n_items=items,
        n_days=days,
        n_events=events,
        language=_choice("--language", language, ("en", "zh", "mixed")),
        level=_choice("--level", level, ("easy", "middle", "hard")),
        seed=seed or 0,
    )
    write_world(made, out)
    typer.echo(f"{out}: {made.events.height:,} events, {made.items.height:,} items, truth/ beside them")


@app.command()
def doctor(
    events: EventsArg,
    items: ItemsArg = None,
    attributes: Annotated[str | None, typer.Option("--attributes", help="one row a user")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    columns: Columns = None,
    on_error: OnError = None,
    layout: Layout = None,
    json: Json = False,
) -> None:
    """Say what is in these files, what is wrong, and what would be dropped. Fits nothing."""
    from penchant import show
    from penchant.io import describe_log, read_log

    settings = _config(config, overrides, columns, on_error, layout, None)
    facts = describe_log(read_log(events, items, attributes, config=settings.io))
    show.facts(facts) if json else show.doctor(facts)


@app.command()
def fit(
    events: EventsArg,
    items: ItemsArg = None,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="MODEL", help="folder for the model")] = Path("model"),
    attributes: Annotated[str | None, typer.Option("--attributes", metavar="USERS", help="one row a user")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    columns: Columns = None,
    on_error: OnError = None,
    layout: Layout = None,
    seed: Seed = None,
    cache: Cache = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fit a model on a log and write its folder."""
    from penchant import show
    from penchant.artefacts import check_writable
    from penchant.pipeline import fit as fit_model

    check_writable(out)  # before the work, not after it
    settings = _config(config, overrides, columns, on_error, layout, seed)
    model = fit_model(events, items, attributes, config=settings, run=_run(quiet, cache))
    model.save(out)
    facts = show.model_facts(model, out)
    show.facts(facts) if json else show.fitted(facts)


@app.command()
def profile(model: ModelArg, user: str, json: Json = False) -> None:
    """Show one user's layered interests with names, forecasts and evidence."""
    from penchant import show

    found = _load(model).profile(user)
    show.facts(show.profile_facts(found)) if json else show.profile(found)


@app.command()
def profiles(
    model: ModelArg,
    out: NeededFile,
    level: Annotated[int | None, typer.Option("--level", help="1 = top of the tree; default: leaves")] = None,
) -> None:
    """Write every user's interest points."""
    _write(_load(model).profiles_table(level), out)


@app.command()
def interests(model: ModelArg, out: OutFile = None, json: Json = False) -> None:
    """Print or write the interest tree."""
    from penchant import show

    loaded = _load(model)
    table = loaded.interests_table()
    if out is not None:
        _write(table, out)
    elif json:
        show.facts(table.to_dicts())
    else:
        show.interests(table)


@app.command()
def items(model: ModelArg, out: NeededFile) -> None:
    """Write the membership of items in interests."""
    _write(_load(model).items_table(), out)


@app.command()
def segments(model: ModelArg, out: OutFile = None, json: Json = False) -> None:
    """Print or write the user segments."""
    from penchant import show

    loaded = _load(model)
    table = loaded.segments_table()
    if out is not None:
        _write(table, out)
    elif json:
        show.facts(table.to_dicts())
    else:
        show.segments(table, loaded.segments.facts)


@app.command()
def audience(model: ModelArg, segment: str, out: NeededFile) -> None:
    """Write the users of a segment (by id or name)."""
    _write(_load(model).audience(segment), out)


@app.command()
def recommend(
    model: ModelArg,
    user: Annotated[str | None, typer.Argument(help="one user; default: all")] = None,
    users: Annotated[
        Path | None, typer.Option("--users", help="a table with user_id, or a text file, one id a line")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="items per user")] = 10,
    language: Annotated[str, typer.Option("--language", metavar="en|zh", help="of the reasons")] = "en",
    out: OutFile = None,
    json: Json = False,
) -> None:
    """Recommend unseen items, each with the interest and the past events that brought it."""
    from penchant import show
    from penchant.io import read_user_ids

    if user is not None and users is not None:
        raise ConfigError("recommend: give USER or --users, not both")
    loaded = _load(model)
    asked = [user] if user is not None else read_user_ids(users) if users is not None else None
    table = loaded.recommend(asked, k, language=_choice("--language", language, ("en", "zh")))
    unknown = int((loaded.user_rows(asked) < 0).sum()) if asked is not None else 0
    if unknown:
        show.warn(f"{unknown:,} of {len(asked or []):,} users are unknown to this model: they get what is popular now")
    if out is not None:
        _write(table, out)
    elif json:
        show.facts(table.to_dicts())
    else:
        show.recommendations(table, loaded)


@app.command()
def evaluate(
    events: EventsArg,
    items: ItemsArg = None,
    against: Annotated[str | None, typer.Option("--against", metavar="NAMES", help="peers, comma-separated")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="folder for the tables")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    columns: Columns = None,
    on_error: OnError = None,
    layout: Layout = None,
    seed: Seed = None,
    cache: Cache = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare with what you would use instead, on your own log: time split, full ranking, intervals."""
    from penchant import show
    from penchant.assessment import assess

    settings = _config(config, overrides, columns, on_error, layout, seed)
    names = [n.strip() for n in against.split(",") if n.strip()] if against else None
    result = assess(events, items, against=names, config=settings, run=_run(quiet, cache))
    if out is not None:
        result.save(out)
    show.facts(result.to_dict()) if json else show.evaluation(result)


@app.command()
def report(
    model: ModelArg,
    out: Annotated[Path, typer.Option("-o", "--out", help="the page to write")] = Path("report.html"),
    evaluation: Annotated[Path | None, typer.Option("--evaluation", help="folder `evaluate -o` wrote")] = None,
    language: Annotated[str, typer.Option("--language", metavar="en|zh")] = "en",
) -> None:
    """Write one self-contained page that works without a network."""
    from penchant.report import write_report

    write_report(_load(model), out, evaluation=evaluation, language=_choice("--language", language, ("en", "zh")))
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, open it in a browser")


def main() -> None:
    """Run the command line; explained errors end with exit code 2 and no traceback."""
    try:
        app()
    except PenchantError as error:
        typer.echo(f"penchant: {error}", err=True)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == CTRL_C:  # what Typer makes of Ctrl-C
            typer.echo("penchant: stopped; nothing half-written was left behind", err=True)
        raise
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output (head, less) went away: not an error
        sys.exit(0)


def _load(path: Path) -> Any:
    from penchant.model import load

    return load(path)


def _write(table: Any, out: Path) -> None:
    from penchant.io import write_table

    write_table(table, out)
    typer.echo(f"{out}: {table.height:,} rows")


def _run(quiet: bool, cache: Path | None) -> Any:
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


def _config(
    path: Path | None,
    overrides: list[str] | None,
    columns: list[str] | None,
    on_error: str | None,
    layout: str | None,
    seed: int | None,
) -> Any:
    from penchant.config import build_config, load_config

    settings = load_config(path, overrides).model_dump()
    io = settings["io"]
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


def _choice(option: str, got: str, allowed: tuple[str, ...]) -> Any:
    if got not in allowed:
        raise ConfigError(f"{option}: must be one of {', '.join(allowed)}. Got '{got}' instead")
    return got
