"""What real people say of what was recommended: satisfaction by layer, interest, segment, rank and source."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from penchant.config import IoConfig
from penchant.evaluate.groups import ACTIVITY, activity_groups
from penchant.evaluate.interval import wilson
from penchant.evaluate.satisfaction import agreement, satisfaction_table
from penchant.feedback.joining import join_model
from penchant.feedback.result import Satisfaction
from penchant.io import read_feedback
from penchant.io.answers import Scale
from penchant.io.feedback import read_shown_lists
from penchant.model import Model

__all__ = ["Satisfaction", "judge_feedback"]

BY = ("layer", "interest", "segment", "rank", "source")
N_BOOTSTRAP = 500


def judge_feedback(
    model: Model, feedback: Any, *, lists: Any = None, scale: Scale | None = None, config: IoConfig | None = None
) -> Satisfaction:
    """Join answers of users with a model, and count who is satisfied, with what, and who answered at all.

    Args:
        model: fitted, ideally before the answers were given: see `notes`.
        feedback: a file or table with `user_id` and `answer`, and what it is about (`io.feedback.read_feedback`).
        lists: what was shown, as `penchant recommend -o` writes it; tells rank and predicted order of each answer that
            doesn't tell them itself. None: the lists this model makes now.
        scale: of numeric answers, where it can't be told. config: columns and rules (default: those of the model's fit
            without their column names).
    Raises:
        DataError: the answers can't be read, or none is of a user or item of this model.
    """
    io = config or model.config.io.model_copy(update={"columns": {}, "layout": "long"})
    found = read_feedback(feedback, config=io, scale=scale)
    answers, facts = join_model(model, found, None if lists is None else read_shown_lists(lists, config=io))
    seed = model.config.seed
    tables, agreements = [], []
    for (question,), own in answers.group_by("question", maintain_order=True):
        users, opinions = own["user"].to_numpy(), own["opinion"].to_numpy()
        for by in ("all", *BY):
            groups = ["all"] * own.height if by == "all" else own[by].to_list()
            table = satisfaction_table(users, opinions, groups)
            order = ["group"] if by in ("layer", "rank") else []
            table = _ordered(table, by) if order else table.sort("n_answers", "group", descending=[True, False])
            tables.append(table.select(pl.lit(by).alias("by"), pl.lit(question).alias("question"), pl.all()))
        known = own.filter(pl.col("predicted").is_not_null())
        order_found = agreement(
            known["user"].to_numpy(), known["predicted"].to_numpy(), known["opinion"].to_numpy(),
            n_bootstrap=N_BOOTSTRAP, seed=seed,
        )  # fmt: skip
        agreements.append({"question": question, **asdict(order_found)})
    floats = dict.fromkeys(("auc", "low", "high"), pl.Float64)
    coverage, weighted = _coverage(model, answers)
    facts |= {"scales": found.scales, "weighted_satisfied": weighted, "source": found.name}
    return Satisfaction(
        table=pl.concat(tables),
        agreement=pl.DataFrame(agreements, schema_overrides=floats),
        coverage=coverage,
        answers=answers.drop("user"),
        findings=found.findings,
        facts=facts,
    )


def _ordered(table: pl.DataFrame, by: str) -> pl.DataFrame:
    known = {"layer": ["core", "secondary", "peripheral"], "rank": []}[by]
    place = {name: i for i, name in enumerate(known)}
    if by == "rank":
        first = pl.col("group").str.extract(r"^(\d+)").cast(pl.Int32).fill_null(10**6)
    else:
        first = pl.col("group").replace_strict(place, default=len(known), return_dtype=pl.Int32)
    return table.sort(first, "group")


def _coverage(model: Model, answers: pl.DataFrame) -> tuple[pl.DataFrame, float | None]:
    """Who answered, by activity and segment, and satisfaction if everybody answered like their group of activity.

    Returns:
        by · group · n_users (of the model) · n_answered · response, response_low, response_high (Wilson) ·
        share_of_users · share_of_answers · satisfied (of the group's answers, null without any); and the share of
        satisfied answers with groups of activity weighed by their users, None where a group never answered.
    """
    n = len(model.user_ids)
    known = answers.filter(pl.col("user") < n)
    user, positive = known["user"].to_numpy(), (known["opinion"] > 0).to_numpy()
    answered = np.bincount(user, minlength=n)
    happy = np.bincount(user, positive, minlength=n)
    segments = [*model.segments.table["name"].to_list(), "unassigned"]
    segment = np.where(model.segments.segment_row < 0, len(segments) - 1, model.segments.segment_row)
    active = activity_groups(np.diff(model.recommender.interactions.indptr))
    rows: list[dict[str, object]] = []
    weighted: float | None = 0.0
    for by, names, group in (("activity", ACTIVITY, active), ("segment", segments, segment)):
        counts = [np.bincount(group, w, minlength=len(names)) for w in (np.ones(n), answered > 0, answered, happy)]
        for name, n_users, n_answered, n_answers, n_happy in zip(names, *counts, strict=True):
            if not n_users:
                continue
            low, high = wilson(n_answered, n_users)
            satisfied = n_happy / n_answers if n_answers else None
            rows.append(
                {
                    "by": by,
                    "group": name,
                    "n_users": int(n_users),
                    "n_answered": int(n_answered),
                    "response": n_answered / n_users,
                    "response_low": float(low),
                    "response_high": float(high),
                    "share_of_users": n_users / n,
                    "share_of_answers": n_answers / max(1, len(user)),
                    "satisfied": satisfied,
                }
            )
            if by == "activity":
                gone = weighted is None or satisfied is None
                weighted = None if gone else weighted + satisfied * n_users / n
    return pl.DataFrame(rows, schema_overrides={"satisfied": pl.Float64}), weighted
