"""What `penchant doctor` says of a log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from penchant.data import DAY_S, Events, Log

# Texts looked at for the language, spread evenly over the log's.
N_TEXTS = 2000
_CJK = r"[\p{Han}]"
_LATIN = r"[A-Za-z]"


def describe_log(log: Log) -> dict[str, Any]:
    """Say what a log holds as plain data (JSON-able): counts, span, columns, actions, findings, what can't be done.

    >>> from penchant.io import read_log
    >>> facts = describe_log(read_log(pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "x"]})))
    >>> facts["n_events"], facts["clock"], facts["language"]
    (2, 'order', 'none')
    """
    events, items = log.events, log.items
    facts = dict(log.facts)
    title = pl.coalesce("title", "text").is_not_null()
    n_text = int(items.table.select(title.sum()).item()) if len(items) else 0
    n_in = int(items.table["in_catalogue"].sum()) if "in_catalogue" in items.table.columns else 0
    own_texts = events.table["text"].drop_nulls() if "text" in events.table.columns else pl.Series([], dtype=pl.String)
    return {
        "sources": facts.get("sources", {}),
        "columns": facts.get("columns", {}),
        "columns_passed_over": facts.get("columns_passed_over", {}),
        "n_rows_read": int(facts.get("n_rows", len(events))),
        "n_events": len(events),
        "n_rows_left_out": int(facts.get("n_rows", len(events))) - len(events),
        "n_users": events.n_users,
        "n_items": len(items),
        "n_items_in_catalogue": n_in,
        "n_items_with_text": n_text,
        "text_share": n_text / len(items) if len(items) else 0.0,
        "n_items_with_events": len(np.unique(events.item_row[events.item_row >= 0])),
        "n_events_with_text": len(own_texts),
        "n_events_without_item": int((events.item_row < 0).sum()),
        "n_events_averse": int((events.weight < 0).sum()),
        **_propensities(events),
        "vectors": {name: list(values.shape) for name, values in log.items.vectors.items()},
        "attributes": None if log.attributes is None else _attributes(log),
        "clock": events.clock,
        **_span(events),
        "time_form": facts.get("time_form", ""),
        "order_by": facts.get("order_by", events.clock),
        "value_form": facts.get("value_form", ""),
        "value_meaning": facts.get("value_meaning", ""),
        "actions": _actions(log),
        "unused_action_weights": facts.get("unused_action_weights", {}),
        "outliers": facts.get("outliers", {}),
        "findings": [
            {
                "where": f.where,
                "kind": f.kind,
                "n_rows": f.n_rows,
                "rows": list(f.rows),
                "rule": f.rule,
                "n_dropped": f.n_dropped,
            }
            for f in log.findings
        ],
        "language": guess_language(
            pl.concat(
                [items.table.select(pl.coalesce("title", "text")).to_series().drop_nulls(), own_texts], rechunk=False
            )
        ),
        "cannot": _cannot(log, n_text, len(own_texts)),
    }


def guess_language(texts: pl.Series) -> str:
    """ "en", "zh", "mixed", "other" or "none", by the script of their letters.

    A text is Chinese if a tenth of its letters are Han, Latin if not and half are a-z; a language needs 95 % of the
    texts, "mixed" is both at 5 % or more. Looks at 2,000 texts, spread evenly.

    >>> guess_language(pl.Series(["红色 T恤", "a red shirt"])), guess_language(pl.Series(["red"]))
    ('mixed', 'en')
    """
    texts = texts.filter(texts.str.strip_chars() != "")
    if not len(texts):
        return "none"
    step = max(1, len(texts) // N_TEXTS)
    table = (
        pl.DataFrame({"t": texts.gather_every(step)})
        .select(
            han=pl.col("t").str.count_matches(_CJK),
            latin=pl.col("t").str.count_matches(_LATIN),
            letters=pl.col("t").str.count_matches(r"\p{L}"),
        )
        .filter(pl.col("letters") > 0)
    )
    if not table.height:
        return "other"
    is_zh = table["han"] >= 0.1 * table["letters"]
    zh = float(is_zh.mean())  # type: ignore[arg-type]
    en = float((~is_zh & (table["latin"] >= 0.5 * table["letters"])).mean())  # type: ignore[arg-type]
    if zh >= 0.95:
        return "zh"
    if zh >= 0.05 and en >= 0.05:
        return "mixed"
    return "en" if en >= 0.9 else "zh" if zh > en else "other"


def _propensities(events: Events) -> dict[str, int]:
    if "propensity" not in events.table.columns:
        return {}
    return {"n_events_with_propensity": int(events.table["propensity"].is_not_null().sum())}


def _span(events: Events) -> dict[str, Any]:
    if events.clock != "time" or not len(events):
        return {"start": None, "end": None, "span_days": None}
    first, last = (datetime.fromtimestamp(t, UTC).isoformat() for t in (events.start, events.end))
    return {"start": first, "end": last, "span_days": (events.end - events.start) / DAY_S}


def _attributes(log: Log) -> dict[str, Any]:
    table = log.attributes
    assert table is not None
    return {
        "columns": [c for c in table.columns if c != "user_id"],
        "n_rows": table.height,
        "n_users_known": int(log.facts.get("n_users_with_attributes", 0)),
    }


def _actions(log: Log) -> list[dict[str, Any]]:
    events = log.events
    counts = np.bincount(events.table["action"].to_numpy(), minlength=len(events.actions))
    weights, named = log.facts.get("action_weights", {}), log.facts.get("action_names", {})
    unknown = set(log.facts.get("unknown_actions", []))
    return [
        {
            "action": action,
            "n_events": int(n),
            "weight": float(weights.get(action, 0.0)),
            "in_log": sorted(g for g, name in named.items() if name == action and g != action),
            "unknown": action in unknown,
        }
        for action, n in zip(events.actions, counts, strict=True)
    ]


def _cannot(log: Log, n_text: int, n_own: int) -> list[str]:
    """What this log can't give, and why."""
    events, out = log.events, []
    if events.clock == "order":
        by = log.facts.get("order_by", "position")
        out.append(
            "no timestamps: no dates, no recency in days, no drift by week; half-lives count a user's own events"
        )
        if by == "position":
            out.append(
                "no order column either: the order of a user's rows is taken from the table; events of different users "
                "have no common time, so a split takes the last share of each user's rows"
            )
    elif len(events) and events.start == events.end:
        out.append("all events have one time: nothing can be forecast or split by time")
    if not n_text and not n_own:
        out.append("no texts: interests come from behaviour alone and are named by items; new items can't be placed")
    elif not n_text and len(log.items):
        out.append("no item has a title or text: items lie by behaviour alone; new items can't be placed")
    if not (events.item_row >= 0).any():
        out.append("no event has an item: interests come from texts alone; there is nothing to recommend")
    if not (events.weight < 0).any():
        out.append("no negative evidence: no aversions")
    if events.n_users < 2:
        out.append("one user: no segments, nothing to learn from others")
    if len(log.items) < 2:
        out.append("fewer than two items: no interest tree, nothing to recommend")
    return out
