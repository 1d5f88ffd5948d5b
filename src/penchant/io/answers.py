"""What people answer, in words, thumbs, stars or points, as one of three opinions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import polars as pl

from penchant.errors import DataError

Scale = Literal["thumbs", "stars", "nps"]
SCALES: tuple[Scale, ...] = get_args(Scale)

# Compared without case, spaces, hyphens and skin tones.
_UP = """up thumbsup thumbup 👍 ❤ 😀 🙂 + like liked likeit love loved loveit yes y true t good great excellent awesome
satisfied verysatisfied somewhatsatisfied happy helpful useful relevant agree stronglyagree recommend positive
interested right correct 赞 点赞 喜欢 很喜欢 满意 非常满意 很满意 比较满意 是 是的 好 很好 非常好 有用 有帮助
推荐 愿意 同意 非常同意 感兴趣 正面 对"""
_DOWN = """down thumbsdown thumbdown 👎 🙁 😞 dislike disliked hate hated no n false f bad poor terrible awful
dissatisfied verydissatisfied somewhatdissatisfied unsatisfied unhappy nothelpful unhelpful useless
irrelevant notrelevant disagree stronglydisagree negative notinterested wrong incorrect 踩 点踩 不喜欢 讨厌 不满意
非常不满意 很不满意 不太满意 否 不
不是 不好 差 很差 没用 没帮助 不推荐 不愿意 不同意 非常不同意 不感兴趣 负面 不对"""
_NEUTRAL = """neutral ok okay soso maybe mixed unsure notsure neither average fair dontknow 😐 一般 中立 还行 还可以
不确定 不知道 无所谓 说不清"""
_WORDS = {word: sign for words, sign in ((_UP, 1), (_DOWN, -1), (_NEUTRAL, 0)) for word in words.split()}
_NOISE = r"[\s_\-.!'’\x{fe0f}\x{1f3fb}-\x{1f3ff}]"
_NUMBER = r"^([+-]?\d+(?:[.,]\d+)?)\s*(?:/\s*(?:5|10)|stars?|星|分)?$"


@dataclass(frozen=True)
class Answers:
    """opinion: (n,) i8, 1 = for, 0 = neither, -1 = against, null = not understood or blank · given: (n,) bool,
    something stood there · scales: question -> how its numbers were read ("words" where it has none).
    """

    opinion: pl.Series
    given: pl.Series
    scales: Mapping[str, str]


def read_answers(raw: pl.Series, questions: pl.Series, where: str, *, scale: Scale | None = None) -> Answers:
    """Read answers: English or Chinese words, thumbs, 1-5 stars, 0-10 points; numbers have one scale a question.

    thumbs: 1 for, 0 against (0 is neither where -1 stands beside it). stars: 4 and 5 for, 1 and 2 against. nps (0-10):
    9 and 10 for, 0 to 6 against (Reichheld 2003).

    Args:
        raw: (n,) text, numbers or booleans. questions: (n,) text, none missing.
        scale: what numbers mean, where it is not plain.
    Raises:
        DataError: the scale of a question's numbers can't be told.

    >>> found = read_answers(pl.Series(["👍", "不喜欢", "so-so", "?"]), pl.Series(["q"] * 4), "f")
    >>> found.opinion.to_list()
    [1, -1, 0, None]
    >>> read_answers(pl.Series([5, 3, 1]), pl.Series(["q"] * 3), "f").scales
    {'q': 'stars'}
    """
    if raw.dtype.is_float():
        raw = raw.fill_nan(None)
    texts = raw.cast(pl.String).str.strip_chars().str.to_lowercase()
    given = (texts.is_not_null() & ~texts.is_in(["", "nan", "null", "none"])).fill_null(False)
    table = pl.DataFrame(
        {
            "text": texts.set(~given, None),
            "question": questions,
            "word": texts.str.replace_all(_NOISE, "").replace_strict(_WORDS, default=None, return_dtype=pl.Int8),
        }
    ).with_columns(
        number=pl.col("text")
        .str.extract(_NUMBER, 1)
        .str.replace(",", ".", literal=True)
        .cast(pl.Float64, strict=False),
        says=pl.when(pl.col("text").str.contains(r"/\s*10$"))
        .then(pl.lit("nps"))
        .when(pl.col("text").str.contains(r"/\s*5$|star|星"))
        .then(pl.lit("stars")),
    )
    scales: dict[str, str] = {}
    numbers = table.filter(pl.col("number").is_not_null())
    for (question,), own in numbers.group_by("question", maintain_order=True):
        said = own["says"].drop_nulls().unique().to_list()
        scales[str(question)] = scale or (said[0] if len(said) == 1 else _scale_of(own["number"], str(question), where))
    for question in table["question"].unique(maintain_order=True).to_list():
        scales.setdefault(question, "words")
    signed = numbers.filter(pl.col("number") == -1)["question"].unique().to_list()
    x, of = pl.col("number"), pl.col("question").replace_strict(scales, return_dtype=pl.String)
    low = pl.when(pl.col("question").is_in(signed)).then(0).otherwise(-1)
    opinion = (
        pl.when(x.is_null())
        .then(pl.col("word"))
        .when((of == "thumbs") & x.is_in([-1.0, 0.0, 1.0]))
        .then(pl.when(x == 0).then(low).otherwise(x))
        .when((of == "stars") & x.is_between(1, 5))
        .then((x >= 4).cast(pl.Int8) - (x <= 2).cast(pl.Int8))
        .when((of == "nps") & x.is_between(0, 10))
        .then((x >= 9).cast(pl.Int8) - (x < 7).cast(pl.Int8))
    )
    found = table.select(opinion.cast(pl.Int8).alias("opinion"))["opinion"]
    return Answers(found.set(~given, None), given, scales)


def _scale_of(numbers: pl.Series, question: str, where: str) -> Scale:
    values = set(numbers.unique().to_list())
    if values <= {-1.0, 0.0, 1.0} and len(values) > 1:
        return "thumbs"
    if min(values) >= 1 and 3 <= max(values) <= 5:
        return "stars"
    if min(values) >= 0 and 8 <= max(values) <= 10 and all(v == round(v) for v in values):
        return "nps"
    shown = ", ".join(f"{v:g}" for v in sorted(values)[:6])
    about = f" to '{question}'" if question else ""
    raise DataError(
        f"{where}: can't tell what the answers {shown}{about} mean; say --scale thumbs (0 and 1), stars (1 to 5) or "
        "nps (0 to 10)"
    )
