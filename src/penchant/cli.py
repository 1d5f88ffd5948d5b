"""The command line: parse, call, print. Exit codes: 0 = done, 2 = an error that we explain, 130 = Ctrl-C."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from penchant import __version__
from penchant.cli_kinds import COMMANDS
from penchant.cli_options import (
    Attributes,
    Cache,
    EventsArg,
    ItemsArg,
    Json,
    ModelArg,
    NeededFile,
    OutFile,
    Quiet,
    Seed,
    choice,
    make_run,
    names,
    read_model,
    reads_a_log,
    write_result,
)
from penchant.cli_satisfaction import COMMANDS as SATISFACTION
from penchant.config import Config
from penchant.errors import PenchantError

CTRL_C = 130

app = typer.Typer(
    name="penchant",
    help="Layered, named user interests from behaviour logs and item texts; segments and recommendations on top.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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

    run_demo(out, seed=seed or 0, run=make_run(quiet, None))


@app.command()
def world(
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for events, items, users and truth/")],
    users: Annotated[int, typer.Option("--users", min=10)] = 2000,
    items: Annotated[int, typer.Option("--items", min=100)] = 3000,
    days: Annotated[int, typer.Option("--days", min=14)] = 180,
    events: Annotated[int | None, typer.Option("--events", help="number of events; default: by users and days")] = None,
    language: Annotated[str, typer.Option("--language", metavar="en|zh|mixed")] = "en",
    level: Annotated[str, typer.Option("--level", metavar="easy|middle|hard")] = "middle",
    overlap: Annotated[
        float | None, typer.Option("--overlap", help="two domains, books and films; share of users who act in both")
    ] = None,
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
        language=choice("--language", language, ("en", "zh", "mixed")),
        level=choice("--level", level, ("easy", "middle", "hard")),
        seed=seed or 0,
        overlap=overlap,
    )
    write_world(made, out)
    typer.echo(f"{out}: {made.events.height:,} events, {made.items.height:,} items, truth/ beside them")


@app.command()
@reads_a_log
def doctor(
    events: EventsArg,
    items: ItemsArg = None,
    attributes: Attributes = None,
    json: Json = False,
    *,
    settings: Config,
) -> None:
    """Say what is in these files, what is wrong, and what would be dropped. Fits nothing."""
    from penchant import show
    from penchant.io import describe_log, read_log

    facts = describe_log(read_log(events, items, attributes, config=settings.io))
    show.facts(facts) if json else show.doctor(facts)


@app.command()
@reads_a_log
def fit(
    events: EventsArg,
    items: ItemsArg = None,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="MODEL", help="folder for the model")] = Path("model"),
    attributes: Attributes = None,
    cache: Cache = None,
    quiet: Quiet = False,
    json: Json = False,
    *,
    settings: Config,
) -> None:
    """Fit a model on a log and write its folder."""
    from penchant import show
    from penchant.artefacts import check_writable
    from penchant.pipeline import fit as fit_model

    check_writable(out)  # before the work, not after it
    model = fit_model(events, items, attributes, config=settings, run=make_run(quiet, cache))
    model.save(out)
    facts = show.model_facts(model, out)
    show.facts(facts) if json else show.fitted(facts)


@app.command()
def profile(model: ModelArg, user: str, json: Json = False) -> None:
    """Show one user's layered interests with names, forecasts and evidence."""
    from penchant import show

    found = read_model(model).profile(user)
    show.facts(show.profile_facts(found)) if json else show.profile(found)


@app.command()
def profiles(
    model: ModelArg,
    out: NeededFile,
    level: Annotated[int | None, typer.Option("--level", help="1 = top of the tree; default: leaves")] = None,
) -> None:
    """Write every user's interest points."""
    write_result(read_model(model).profiles_table(level), out)


@app.command()
def interests(model: ModelArg, out: OutFile = None, json: Json = False) -> None:
    """Print or write the interest tree."""
    from penchant import show

    loaded = read_model(model)
    table = loaded.interests_table()
    if out is not None:
        write_result(table, out)
    elif json:
        show.facts(table.to_dicts())
    else:
        show.interests(table)


@app.command()
def items(model: ModelArg, out: NeededFile) -> None:
    """Write the membership of items in interests."""
    write_result(read_model(model).items_table(), out)


@app.command()
def segments(model: ModelArg, out: OutFile = None, json: Json = False) -> None:
    """Print or write the user segments."""
    from penchant import show

    loaded = read_model(model)
    table = loaded.segments_table()
    if out is not None:
        write_result(table, out)
    elif json:
        show.facts(table.to_dicts())
    else:
        show.segments(table, loaded.segments.facts)


@app.command()
def audience(model: ModelArg, segment: str, out: NeededFile) -> None:
    """Write the users of a segment (by id or name)."""
    write_result(read_model(model).audience(segment), out)


for name, command in {**COMMANDS, **SATISFACTION}.items():
    app.command(name)(command)


@app.command()
@reads_a_log
def evaluate(
    events: EventsArg,
    items: ItemsArg = None,
    against: Annotated[str | None, typer.Option("--against", metavar="NAMES", help="peers, comma-separated")] = None,
    windows: Annotated[
        int | None, typer.Option("--windows", min=1, max=6, help="consecutive test windows; each costs a fit")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="folder for the tables")] = None,
    cache: Cache = None,
    quiet: Quiet = False,
    json: Json = False,
    *,
    settings: Config,
) -> None:
    """Compare with what you would use instead, on your own log: time split, full ranking, intervals, tests."""
    from penchant import show
    from penchant.assessment import assess
    from penchant.io import make_folder

    if out is not None:
        make_folder(out)  # before the work, not after it
    if windows is not None:
        settings = settings.model_copy(update={"evaluate": settings.evaluate.model_copy(update={"n_windows": windows})})
    result = assess(events, items, against=names(against), config=settings, run=make_run(quiet, cache))
    show.facts(result.to_dict()) if json else show.evaluation(result)
    if out is not None:
        result.save(out)


@app.command()
@reads_a_log
def compare(
    events: EventsArg,
    items: ItemsArg = None,
    attributes: Attributes = None,
    represent: Annotated[str | None, typer.Option("--represent", metavar="NAMES", help="comma-separated")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAMES", help="comma-separated")] = None,
    truth: Annotated[
        str | None, typer.Option("--truth", metavar="COLUMNS", help="of the attributes: users' true groups")
    ] = None,
    budget: Annotated[str, typer.Option("--budget", metavar="TIME", help="90s, 30m, 2h: then it stops")] = "30m",
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="folder for tables and page")] = None,
    cache: Cache = None,
    quiet: Quiet = False,
    json: Json = False,
    *,
    settings: Config,
) -> None:
    """Leaderboard of representations and clusterings on your own log; results are kept and taken up again."""
    from penchant import show
    from penchant.comparison import compare as compare_methods
    from penchant.io import make_folder

    if out is not None:
        make_folder(out)  # before the work, not after it
    result = compare_methods(
        events,
        items,
        attributes,
        represent=names(represent),
        cluster=names(cluster),
        truth=names(truth) or (),
        budget=budget,
        config=settings,
        run=make_run(quiet, cache),
    )
    show.facts(result.to_dict()) if json else show.comparison(result)
    if out is not None:
        result.save(out)


@app.command()
def report(
    model: ModelArg,
    out: Annotated[Path, typer.Option("-o", "--out", help="the page to write")] = Path("report.html"),
    evaluation: Annotated[Path | None, typer.Option("--evaluation", help="folder `evaluate -o` wrote")] = None,
    language: Annotated[str, typer.Option("--language", metavar="en|zh")] = "en",
) -> None:
    """Write one self-contained page that works without a network."""
    from penchant.report import write_report

    write_report(read_model(model), out, evaluation=evaluation, language=choice("--language", language, ("en", "zh")))
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
