"""From the caller's tables to a checked Log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.config import IoConfig
from penchant.data import Events, Items, Log
from penchant.errors import DataError
from penchant.io.actions import unused_weights
from penchant.io.catalogue import (
    Catalogue,
    add_log_items,
    catalogue_from_log,
    empty_catalogue,
    read_attributes,
    read_catalogue,
)
from penchant.io.clean import RawLog, clean_events, read_events
from penchant.io.columns import Columns, Kind, check_named, map_columns
from penchant.io.findings import ROW, Findings
from penchant.io.ids import Coded, match_ids, used_only
from penchant.io.outliers import Outliers, find_outliers
from penchant.io.sources import Source, open_source
from penchant.io.weights import quantity_factor
from penchant.io.wide import long_from_wide

N_IDS_SHOWN = 20


def read_log(events: Any, items: Any = None, attributes: Any = None, *, config: IoConfig = IoConfig()) -> Log:  # noqa: B008
    """Read, check and clean a log, its catalogue and its user attributes.

    Args:
        events: a path or glob (CSV, TSV, JSONL, Parquet), or a table in memory (Polars, pandas, PyArrow, DuckDB).
        items: the catalogue, likewise; None: the log alone (its own title column serves, if it has one).
        attributes: one row a user, likewise; or None.
        config: columns, rules and weights.
    Returns:
        events sorted by time, items (the catalogue's order, then what only the log knows), findings and facts. Users
        are sorted by id. The tables given are not changed.
    Raises:
        DataError: a table can't be read or used; says where, what, and the next step.

    >>> log = read_log(pl.DataFrame({"userId": [1, 1, 2], "movieId": [7, 8, 7], "ts": [1.7e9, 1.7e9 + 60, 1.7e9]}))
    >>> len(log.events), log.events.user_ids.to_list(), log.items.item_ids.to_list()
    (3, ['1', '2'], ['7', '8'])
    """
    book = Findings()
    sources: dict[Kind, Source] = {"events": open_source(events, "events", ragged_rows=config.ragged_rows)}
    if items is not None:
        sources["items"] = open_source(items, "items", ragged_rows=config.ragged_rows)
    if attributes is not None:
        sources["attributes"] = open_source(attributes, "attributes", ragged_rows=config.ragged_rows)
    check_named(config.columns, {k: (s.name, s.columns) for k, s in sources.items()})
    columns = {
        k: map_columns(k, s.name, s.columns, config.columns, items_in_log=items is None)
        for k, s in sources.items()
        if k != "events" or config.layout == "long"
    }
    raw = _raw_log(sources["events"], columns.get("events"), config, book)
    catalogue = empty_catalogue()
    if "items" in sources:
        catalogue = read_catalogue(sources["items"], columns["items"], book, config.on_error)
    elif raw.item_words is not None:
        catalogue = catalogue_from_log(raw.item_words, raw.items.names, sources["events"].name, book)
    return _assemble(raw, catalogue, sources, columns, config, book)


def _raw_log(source: Source, columns: Columns | None, config: IoConfig, book: Findings) -> RawLog:
    if columns is not None:
        return read_events(source, columns, config, book)
    frame, n_rows = long_from_wide(source, book)
    used = {"user_id": source.columns[0], "item_id": "(each other column)", "value": "(the cells)"}
    return clean_events(frame, source, used, config, book, n_rows)


def _assemble(
    raw: RawLog,
    catalogue: Catalogue,
    sources: Mapping[Kind, Source],
    columns: Mapping[Kind, Columns],
    config: IoConfig,
    book: Findings,
) -> Log:
    where = sources["events"].name
    table = raw.table
    users = used_only(Coded(table["user"].to_numpy(), raw.users.names))
    coded = used_only(Coded(table["item"].to_numpy(), raw.items.names))
    item_row, log_only = _join_items(coded, catalogue, table[ROW].to_numpy(), where, book)
    item_table, vectors = add_log_items(catalogue, log_only)
    weight = _weights(raw)
    bots = find_outliers(
        users.codes,
        weight,
        table["time"].to_numpy() if raw.clock == "time" else None,
        len(users.names),
        bot_score=config.bot_score,
        cap_user_share=config.cap_user_share,
        bot_hours=config.bot_hours,
    )
    weight = (weight * bots.factor[users.codes]).astype(np.float32)
    out = {
        "user_row": pl.Series(users.codes),
        "item_row": pl.Series(item_row),
        "action": table["action"],
        "weight": pl.Series(weight),
        "time": table["time"],
    }
    if table["value"].null_count() < table.height:
        out["value"] = table["value"].cast(pl.Float32)
    if "text" in table.columns:
        out["text"] = table["text"]
    if "session" in table.columns:
        _, session_row = np.unique(table["session"].to_numpy(), return_inverse=True)
        first = int((table["session"] < 0).any())  # no session is -1
        out["session_row"] = pl.Series((session_row - first).astype(np.int32))
    if "propensity" in table.columns:
        out["propensity"] = table["propensity"].cast(pl.Float32)
    out |= {
        f"{name}_row" if name == "list" else name: table[name] for name in ("list", "place") if name in table.columns
    }
    events = Events(pl.DataFrame(out), users.names.alias("user_id"), raw.actions.names, raw.clock)
    _note_outliers(bots, users, table[ROW].to_numpy(), where, book)
    attributes, known = None, 0
    if "attributes" in sources:
        attributes, known = _attributes(sources["attributes"], columns["attributes"], users, config, book)
    facts = {
        **raw.facts,
        "columns": {k: dict(c.used) for k, c in columns.items()},
        "columns_passed_over": {
            k: {w: list(n) for w, n in c.passed_over.items()} for k, c in columns.items() if c.passed_over
        },
        "sources": {k: s.name for k, s in sources.items()},
        "n_catalogue_rows": catalogue.n_rows,
        "catalogue": catalogue.name,
        "action_names": dict(raw.actions.named),
        "action_weights": dict(zip(raw.actions.names, raw.actions.weights.tolist(), strict=True)),
        "unknown_actions": list(raw.actions.unknown),
        "unused_action_weights": unused_weights(raw.actions.names, config),
        "outliers": _outlier_facts(bots, users),
        "n_users_with_attributes": known,
    }
    return Log(events, Items(item_table, vectors), attributes, tuple(book.found), facts)


def _join_items(
    coded: Coded, catalogue: Catalogue, rows: npt.NDArray[np.integer], where: str, book: Findings
) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Item row of each event, and the ids that only the log knows (sorted: they follow the catalogue)."""
    ids = catalogue.table["item_id"]
    matched = match_ids(coded.names, ids)
    for rule, names in matched.by_rule.items():
        book.add(where, f"item ids joined {rule}", rows[np.isin(coded.codes, names)], "the catalogue's form is kept")
    missing = np.flatnonzero(matched.to < 0)
    if len(ids) and len(coded.names):
        if len(missing) == len(coded.names):
            raise DataError(
                f"{where}: none of its {len(coded.names):,} item ids is in {catalogue.name} (log: "
                f"{', '.join(coded.names.head(3).to_list())}; catalogue: {', '.join(ids.head(3).to_list())}); "
                "check --columns item_id=..., or leave the catalogue out"
            )
        book.add(
            where, "item without a catalogue row", rows[np.isin(coded.codes, missing)], _known_by_log(len(missing))
        )
        idle = ids.gather(np.setdiff1d(np.arange(len(ids)), matched.to))
        rule = f"kept, known by text only: {', '.join(idle.head(3).to_list())}{', ...' if len(idle) > 3 else ''}"
        book.add(catalogue.name, "catalogue row without events", rows[:0], rule, n=len(idle))
    to = np.append(matched.to, np.int32(-1))
    to[missing] = len(ids) + np.arange(len(missing), dtype=np.int32)
    return to[coded.codes], coded.names.gather(missing).to_list()


def _known_by_log(n: int) -> str:
    return f"kept: {n:,} items known by behaviour only"


def _weights(raw: RawLog) -> npt.NDArray[np.float64]:
    """Action weight times value factor (a rating's own factor, else the quantity's)."""
    base = raw.actions.weights[raw.table["action"].to_numpy()].astype(np.float64)
    rating = raw.table["factor"].fill_null(float("nan")).to_numpy()
    value = raw.table["value"].fill_null(float("nan")).to_numpy()
    return np.asarray(base * np.where(np.isnan(rating), quantity_factor(value), rating))


def _note_outliers(bots: Outliers, users: Coded, rows: npt.NDArray[np.integer], where: str, book: Findings) -> None:
    rule = f"kept, weights scaled: each user in all at most {bots.heavy_mass:,.0f} (99th percentile of the others)"
    kinds = (
        (f"user with more than {bots.busy_bound:,.0f} events", bots.busy, rule),
        ("user awake around the clock", bots.sleepless, rule),
        ("user above the share of a user", bots.capped, f"kept, weights scaled to {bots.share_bound:.1%} of all"),
    )
    for kind, who, what in kinds:
        ids = ", ".join(users.names.gather(who[:3]).to_list())
        book.add(where, kind, rows[np.isin(users.codes, who)], f"{what}; {len(who):,} users: {ids}")


def _outlier_facts(bots: Outliers, users: Coded) -> dict[str, Any]:
    def ids(who: npt.NDArray[np.int64]) -> list[str]:
        return users.names.gather(who[:N_IDS_SHOWN]).to_list()

    return {
        "busy": {"n_users": len(bots.busy), "user_ids": ids(bots.busy)},
        "sleepless": {"n_users": len(bots.sleepless), "user_ids": ids(bots.sleepless)},
        "capped": {"n_users": len(bots.capped), "user_ids": ids(bots.capped), "share": bots.share_bound},
    }


def _attributes(
    source: Source, columns: Columns, users: Coded, config: IoConfig, book: Findings
) -> tuple[pl.DataFrame, int]:
    """Attributes under the log's own form of the ids; and how many users of the log have some."""
    table = read_attributes(source, columns, book, config.on_error)
    matched = match_ids(table["user_id"], users.names)
    joined: npt.NDArray[np.int32] = np.zeros(0, np.int32)
    for rule, places in matched.by_rule.items():
        book.add(source.name, f"user ids joined {rule}", table[ROW].to_numpy()[places], "the log's form is kept")
        joined = np.append(joined, places).astype(np.int32)
    known = pl.Series("known", matched.to >= 0)
    if len(joined):
        form = pl.Series(users.names.gather(matched.to[joined]))
        table = table.with_columns(table["user_id"].scatter(pl.Series(joined), form))
    again = ~table["user_id"].is_first_distinct()
    rule = "the first row is kept"
    book.add(source.name, "another form of a user id", table[ROW].to_numpy()[again.to_numpy()], rule, dropped=True)
    book.stop_if_losing(config.on_error, source.name)
    n_known = int((known & ~again).sum())
    table = table.filter(~again).drop(ROW)
    if not n_known and table.height:
        raise DataError(
            f"{source.name}: none of its {table.height:,} user ids is in the log (attributes: "
            f"{', '.join(table['user_id'].head(3).to_list())}; log: {', '.join(users.names.head(3).to_list())}); "
            "check --columns user_id=..."
        )
    book.add(source.name, "user without events", np.zeros(0, np.int64), "kept", n=table.height - n_known)
    n_without = len(users.names) - n_known
    book.add(source.name, "user of the log without attributes", np.zeros(0, np.int64), "kept, blank", n=n_without)
    return table, n_known
