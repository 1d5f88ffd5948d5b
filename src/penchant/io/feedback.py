"""What real people said: answers of a survey, thumbs, stars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from penchant.config import IoConfig
from penchant.data import Finding
from penchant.errors import DataError
from penchant.io.answers import Scale, read_answers
from penchant.io.columns import check_named, map_columns, need
from penchant.io.findings import ROW, Findings, say
from penchant.io.ids import id_texts
from penchant.io.sources import open_source
from penchant.io.times import parse_times
from penchant.io.values import parse_numbers

ABOUT = ("item_id", "interest", "segment")  # what an answer may be about


@dataclass(frozen=True)
class Feedback:
    """table: one row an answer that was understood: user_id str · item_id, interest, segment, source str? · question
    str ("" where the table has none) · opinion i8 (1 for, 0 neither, -1 against) · time f64? (seconds, UTC) · rank
    i32? · predicted f64?. scales: question -> how its numbers were read. name: of the source.
    """

    table: pl.DataFrame
    scales: dict[str, str]
    findings: tuple[Finding, ...]
    name: str


def read_feedback(given: Any, *, config: IoConfig = IoConfig(), scale: Scale | None = None) -> Feedback:  # noqa: B008
    """Read answers of users: CSV, TSV, JSONL, Parquet, or a table in memory; columns by name or well-known alias.

    Args:
        given: `user_id` and `answer` are needed; `item_id`, `interest`, `segment` (what it is about), `question`,
            `timestamp`, `rank` and `source` (of the recommendation), `predicted` (its score) may be there.
        config: `columns`, `on_error`, `max_drop_share`, `day_first`. scale: see `read_answers`.
    Raises:
        DataError: it can't be read, an answer's scale can't be told, or too many answers are not understood.

    >>> read_feedback(pl.DataFrame({"user": ["a"], "item": ["x"], "thumb": ["up"]})).table["opinion"].to_list()
    [1]
    """
    source = open_source(given, "feedback", ragged_rows=config.ragged_rows)
    check_named(config.columns, {"feedback": (source.name, source.columns)})
    columns = map_columns("feedback", source.name, source.columns, config.columns)
    need(source.name, columns, "user_id", source.columns, "who answered")
    need(source.name, columns, "answer", source.columns, "a thumb, a rating, or words")
    loaded = source.load(list(dict.fromkeys(columns.used.values())))
    if not loaded.n_rows:
        raise DataError(f"{source.name}: has a header but no rows; give one row an answer")
    book = Findings(list(loaded.findings))
    has = {word: loaded.frame[column] for word, column in columns.used.items()}
    where, n = source.name, loaded.frame.height
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, n)
    texts = {w: _text(has[w], where) if w in has else nothing for w in ("user_id", *ABOUT, "source", "question")}
    questions = texts["question"].fill_null("")
    answers = read_answers(has["answer"], questions, where, scale=scale)
    table = pl.DataFrame({ROW: loaded.frame[ROW], **texts}).with_columns(
        question=questions,
        opinion=answers.opinion,
        given=answers.given,
        said=has["answer"].cast(pl.String),
        time=_times(has, where, config, book, loaded.frame[ROW]),
        rank=_ranks(has, where, book, loaded.frame[ROW], decimal_comma=source.decimal_comma),
        predicted=parse_numbers(has["predicted"], where, decimal_comma=source.decimal_comma).values
        if "predicted" in has
        else pl.lit(None, pl.Float64),
    )
    table = book.drop(table, pl.col("user_id").is_null(), where, "no user id", "left out")
    table = book.drop(table, ~pl.col("given"), where, "no answer", "left out", asked=True)
    odd = table.filter(pl.col("opinion").is_null())["said"]
    example = f" (such as {str(odd[0])[:40]!r})" if len(odd) else ""
    table = book.drop(table, pl.col("opinion").is_null(), where, f"answer not understood{example}", "left out")
    book.stop_if_losing(config.on_error, where)
    lost = book.lost(where)
    if not table.height or lost > config.max_drop_share * n:
        kinds = "; ".join(say(f) for f in book.found) or "every answer is blank"
        raise DataError(
            f"{where}: {lost:,} of {n:,} answers can't be used ({kinds}); check --columns answer=..., or state --scale"
        )
    table = _last_of_each(table, book, where)
    return Feedback(table.drop(ROW, "given", "said"), dict(answers.scales), tuple(book.found), where)


def _last_of_each(table: pl.DataFrame, book: Findings, where: str) -> pl.DataFrame:
    """Who answers the same question about the same thing again has a new opinion: the latest counts."""
    keys = ["user_id", *ABOUT, "question"]
    table = table.sort("time", maintain_order=True, nulls_last=False)
    again = ~table.select(pl.struct(keys).is_last_distinct().alias("last"))["last"]
    book.add(where, "answered again", table[ROW].filter(again).to_numpy(), "the last answer counts")
    return table.filter(~again)


def _text(raw: pl.Series, where: str) -> pl.Series:
    texts = id_texts(raw, where).str.strip_chars()
    return texts.set(texts.str.to_lowercase().is_in(["", "nan", "null", "none"]).fill_null(False), None)


def _times(has: dict[str, pl.Series], where: str, config: IoConfig, book: Findings, rows: pl.Series) -> pl.Series:
    if "timestamp" not in has:
        return pl.Series("time", [None], dtype=pl.Float64).new_from_index(0, len(rows))
    times = parse_times(has["timestamp"], where, day_first=config.day_first)
    odd = rows.filter(times.given & times.seconds.is_null()).to_numpy()
    book.add(where, "unreadable time", odd, "kept without a time")
    return times.seconds


def _ranks(has: dict[str, pl.Series], where: str, book: Findings, rows: pl.Series, *, decimal_comma: bool) -> pl.Series:
    if "rank" not in has:
        return pl.Series("rank", [None], dtype=pl.Int32).new_from_index(0, len(rows))
    numbers = parse_numbers(has["rank"], where, decimal_comma=decimal_comma)
    values = numbers.values.fill_null(0.0).to_numpy()
    fits = (values >= 1) & (values < 1e6) & (values == np.round(values))
    given = numbers.values.is_not_null().to_numpy() | numbers.refused.to_numpy()
    book.add(where, "rank is no number from 1", rows.to_numpy()[given & ~fits], "kept without a rank")
    return pl.Series("rank", np.where(fits, values, 0).astype(np.int32)).set(pl.Series(~fits), None)


def read_shown_lists(given: Any, *, config: IoConfig = IoConfig()) -> pl.DataFrame:  # noqa: B008
    """Read the lists that people were shown, as `penchant recommend -o` writes them.

    Returns:
        user_id, item_id str · rank i32 · source str? · predicted f64? (the column `score`); one row a user and item.
    Raises:
        DataError: it can't be read, or has no user, item or rank.
    """
    source = open_source(given, "lists", ragged_rows=config.ragged_rows)
    columns = map_columns("feedback", source.name, source.columns, {"answer": "", "predicted": "score"})
    for word, why in (("user_id", "whose list"), ("item_id", "what was listed"), ("rank", "on which place")):
        need(source.name, columns, word, source.columns, why)
    frame = source.load(list(dict.fromkeys(columns.used.values()))).frame
    has = {word: frame[column] for word, column in columns.used.items()}
    book = Findings()
    out = pl.DataFrame(
        {
            "user_id": _text(has["user_id"], source.name),
            "item_id": _text(has["item_id"], source.name),
            "rank": _ranks(has, source.name, book, frame[ROW], decimal_comma=source.decimal_comma),
        }
    ).with_columns(
        source=_text(has["source"], source.name) if "source" in has else pl.lit(None, pl.String),
        predicted=parse_numbers(has["predicted"], source.name, decimal_comma=source.decimal_comma).values
        if "predicted" in has
        else pl.lit(None, pl.Float64),
    )
    return out.drop_nulls(["user_id", "item_id", "rank"]).unique(["user_id", "item_id"], maintain_order=True)
