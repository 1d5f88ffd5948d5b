"""What the command line prints, for people (tables) and for programs (JSON)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from penchant.artefacts import to_json
from penchant.recommend.contributions import in_words

if TYPE_CHECKING:
    from penchant.assessment import Evaluation
    from penchant.comparison import Comparison
    from penchant.model import Model
    from penchant.user_profile import UserProfile

WIDTH_OF_FILES = 150
LAYER_STYLE = {"core": "bold green", "secondary": "yellow", "peripheral": "dim"}


def _console(*, err: bool = False) -> Console:
    console = Console(highlight=False, stderr=err)
    # A file or a pipe has no width of its own: do not fold tables there.
    return console if console.is_terminal else Console(highlight=False, stderr=err, width=WIDTH_OF_FILES)


def facts(value: Any) -> None:
    """Print JSON: one value, keys as they are, non-ASCII kept."""
    print(to_json(value, indent=2), end="")


def warn(message: str) -> None:
    """Say something on stderr that the reader should not miss."""
    _console(err=True).print(f"note: {escape(message)}", style="yellow")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a plain table; cells are text, never markup."""
    out = Table(title=escape(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        out.add_column(escape(name), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        out.add_row(*(escape(cell(v)) for v in row))
    _console().print(out)


def frame(title: str, found: pl.DataFrame) -> None:
    """Print a table as it is, numbers to the right, lists as words."""
    numeric = [name for name, kind in found.schema.items() if kind.is_numeric()]
    rows = [tuple(", ".join(map(str, v)) if isinstance(v, list) else v for v in row) for row in found.rows()]
    table(title, found.columns, rows, right=numeric)


def doctor(found: Mapping[str, Any]) -> None:
    """Print what `describe_log` found."""
    plain = {k: v for k, v in found.items() if not isinstance(v, Mapping | list | tuple) and v is not None}
    table("What is in it", ("", ""), [(k, v) for k, v in plain.items() if v != ""])
    columns = [(source, ours, theirs) for source, used in found["columns"].items() for ours, theirs in used.items()]
    table("\nColumns used (others: --columns ours=theirs)", ("table", "ours", "theirs"), columns)
    passed = [
        (source, word, ", ".join(names))
        for source, p in found["columns_passed_over"].items()
        for word, names in p.items()
    ]
    if passed:
        table("\nColumns that could also be meant, but were not taken", ("table", "ours", "theirs"), passed)
    actions = [a for a in found["actions"] if a["n_events"]]
    if actions:
        used = [(a["action"], ", ".join(a["in_log"]), a["n_events"], a["weight"], a["unknown"]) for a in actions]
        names = ("action", "written as", "events", "weight", "unknown")
        table("\nActions", names, used, right=("events", "weight"))
    cannot = found.get("cannot") or []
    if cannot:
        table("\nWhat can't be done", ("",), [(c,) for c in cannot])
    findings = found.get("findings") or []
    if not findings:
        _console().print("\nNothing wrong was found.")
        return
    rows = [(f["where"], f["kind"], f["n_rows"], f["n_dropped"], _rows(f["rows"]), f["rule"]) for f in findings]
    table(
        "\nWhat is wrong, and what is done about it", ("where", "kind", "rows", "dropped", "first rows", "rule"), rows
    )


def model_facts(model: Model, out: Path) -> dict[str, Any]:
    """Facts about a model just fitted."""
    leaves = model.tree.n_leaves
    return {
        "model": str(out),
        "n_users": len(model.user_ids),
        "n_items": len(model.items),
        "n_events": model.facts["n_events"],
        "clock": model.clock,
        "encoder": model.facts["encoder"],
        "encoder_reason": getattr(model.encoder, "reason", ""),  # told, not saved: it depends on what was cached
        "n_interests": leaves,
        "n_top_interests": len(model.tree.rows_of_level(1)),
        "layer_method": model.forecast.method_used,
        "n_segments": model.segments.table.height,
        "unassigned_users_share": float((model.segments.segment_row < 0).mean()),
        "recommender": model.recommender.chosen,
        "notes": list(model.recommender.signals.notes),
        "findings": [asdict(f) for f in model.findings],
        "tree_version": model.tree.version,
    }


def fitted(found: Mapping[str, Any]) -> None:
    """Print a short summary after `fit`."""
    rows = [(k, v) for k, v in found.items() if k not in ("findings", "notes")]
    table(f"{found['model']}", ("", ""), rows)
    for note in found["notes"]:
        warn(note)
    dropped = sum(f["n_dropped"] for f in found["findings"])
    if dropped:
        warn(f"{dropped:,} rows were left out, {len(found['findings'])} kinds of dirt; see 'penchant doctor'")


def profile_facts(found: UserProfile) -> dict[str, Any]:
    """One user's profile as plain data."""
    return asdict(found)


def profile(found: UserProfile) -> None:
    """Print one user's interests, layer by layer."""
    console = _console()
    console.print(f"[bold]{escape(found.user_id)}[/]  segment: {escape(found.segment or 'unassigned')}")
    for name in ("core", "secondary", "peripheral"):
        points = getattr(found, name)
        if not points:
            continue
        console.print(f"\n{name} ({len(points)})", style=LAYER_STYLE[name])
        for p in points[:12]:
            because = ", ".join(title for _, title in p.evidence)
            console.print(
                f"  {p.probability:4.0%}  {escape(p.interest)}  [dim]{p.state}, {p.n_events} events, "
                f"last {p.last_seen or '-'}; {escape(because)}[/]"
            )
        if len(points) > 12:
            console.print(f"  ... and {len(points) - 12} more", style="dim")
    if found.aversions:
        console.print("\naversions", style="red")
        for p in found.aversions:
            console.print(f"  {escape(p.interest)}")


def interests(found: pl.DataFrame) -> None:
    """Print the tree."""
    console, nodes = _console(), {row["interest_id"]: row for row in found.to_dicts()}
    branches: dict[str | None, Any] = {None: Tree(f"{found.height} interests")}
    for row in sorted(nodes.values(), key=lambda r: (r["level"], -r["n_users"], r["interest_id"])):
        label = f"{escape(row['name'])}  [dim]{row['n_items']} items, {row['n_users']} users, {row['interest_id']}[/]"
        branches[row["interest_id"]] = branches[row["parent_id"]].add(label)
    console.print(branches[None])


def segments(found: pl.DataFrame, about: Mapping[str, Any]) -> None:
    """Print the segments and what speaks for them."""
    rows = [
        (
            r["segment_id"],
            r["name"],
            r["n_users"],
            r["share"],
            ", ".join(r["top_interests"][:4]),
            r["worth"],
            r["passes"],
        )
        for r in found.to_dicts()
    ]
    columns = ("segment_id", "name", "users", "share", "top interests", "worth", "passes")
    table("Segments", columns, rows, right=("users", "share", "worth"))
    table("How they were found", ("", ""), [(k, v) for k, v in about.items() if not isinstance(v, Mapping | list)])


def recommendations(found: pl.DataFrame, model: Model, language: Literal["en", "zh"] = "en") -> None:
    """Print recommendations of the first users; what speaks for each item where it was asked for."""
    titles = dict(zip(model.items.item_ids.to_list(), model.items.titles, strict=True))
    shown = found["user_id"].unique(maintain_order=True).head(5)
    why = "why_interests" in found.columns
    for user in shown:
        own = found.filter(pl.col("user_id") == user)
        told = in_words(own, language) if why else [""] * own.height
        rows = [
            (r["rank"], r["item_id"], titles[r["item_id"]], r["layer"] or "", r["reason"], *([said] if why else []))
            for r, said in zip(own.to_dicts(), told, strict=True)
        ]
        table(f"\n{user}", ("", "item_id", "title", "layer", "reason", *(["what speaks for it"] if why else [])), rows)
    if found["user_id"].n_unique() > len(shown):
        warn(f"the first {len(shown)} users are shown; write all with -o recommendations.csv")


class Tells(Protocol):
    """A result that can be printed: tables, then notes."""

    @property
    def notes(self) -> Sequence[str]: ...

    def frames(self) -> list[tuple[str, pl.DataFrame]]: ...


def told(result: Tells) -> None:
    """Print the tables of a result, and its notes."""
    for title, found in result.frames():
        frame(f"\n{title}", found)
    for line in result.notes:
        _console().print(f"- {escape(line)}", soft_wrap=True)


def evaluation(result: Evaluation) -> None:
    """Print the peers' table and the layers' report."""
    told(result)


def comparison(result: Comparison) -> None:
    """Print both leaderboards and the advice."""
    for title, found in result.frames():
        frame(f"\n{title}", found)
    for line in result.advice:
        _console().print(f"- {escape(line)}", soft_wrap=True)


def cell(value: object, *, yes: str = "yes", no: str = "no") -> str:
    """One value as a person reads it; the page and the terminal share this rule.

    >>> cell(0.12345), cell(1234), cell(None), cell(True)
    ('0.1235', '1,234', '', 'yes')
    """
    if isinstance(value, bool):
        return yes if value else no
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)


def _rows(rows: Sequence[int]) -> str:
    return ", ".join(str(r) for r in rows[:5]) + (" ..." if len(rows) > 5 else "")
