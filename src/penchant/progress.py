"""Progress on stderr: which stage runs, and how long each took. Never touches results."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from penchant.config import RunOptions


def maybe_step(name: str, run: RunOptions | None) -> AbstractContextManager[None]:
    """`step`, where progress is wanted."""
    return step(name) if run is not None and run.progress else nullcontext()


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show a spinner while a stage runs, then one line with its time.

    >>> with step("counting"):
    ...     _ = sum(range(10))
    """
    console = Console(stderr=True, highlight=False)
    started = time.perf_counter()
    with console.status(f"{name} ..."):
        yield
    console.print(f"  {name:<28} {time.perf_counter() - started:6.1f} s", style="dim")


def count(parts: Iterable[pl.DataFrame], n_users: int, name: str) -> Iterator[pl.DataFrame]:
    """The same tables, with a bar on stderr that tells how many users of `user_id` are done.

    >>> [part.height for part in count([pl.DataFrame({"user_id": ["a", "a", "b"]})], 2, "recommending")]
    [3]
    """
    columns = ("  {task.description}", BarColumn(), MofNCompleteColumn(), "users", TimeRemainingColumn())
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=n_users)
        for part in parts:
            yield part
            bar.advance(task, part["user_id"].n_unique())


def maybe_say(line: str, run: RunOptions | None) -> None:
    """Print a line on stderr, where progress is wanted."""
    if run is not None and run.progress:
        Console(stderr=True, highlight=False).print(line)
