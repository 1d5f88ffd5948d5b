"""Words and phrases of texts, English and Chinese alike: what names are made of and what tfidf counts.

A foundation like `penchant.scorers`: any stage may import it. Other scripts written with spaces pass as words too.
"""

from __future__ import annotations

import polars as pl

# A text is in another script when at least this share of its letters is; one Han character says about as much as
# three Latin letters, so an even mix of both tongues lies near a quarter.
OTHER_LETTER_SHARE = 0.25

ENGLISH_STOP_WORDS = frozenset(
    """a about above across after again against all almost along also although always am among an and another any are
    around as at away back be became because become been before behind being below between both but by came can cannot
    come could did do does doing done down during each either else etc even ever every few for from further get gets
    getting go goes going got had has have having he her here hers herself him himself his how however i if in into is
    it its itself just know let like made make makes many may me might more most much must my myself near neither never
    new no nor not now of off often on once one only onto or other others our ours ourselves out over own per perhaps
    quite rather really said same see seem seems several shall she should since so some soon still such take takes than
    that the their theirs them themselves then there these they thing things this those though three through thus to
    together too took toward towards two under until up upon us use used uses using various very via was way we well
    went were what when where whether which while who whole whom whose why will with within without would yet you your
    yours yourself amp com http https www don't doesn't didn't can't won't isn't aren't wasn't it's that's i'm you're
    he's she's they're we're i've""".split()
)
CHINESE_STOP_WORDS = frozenset(
    """一个 一些 一下 一种 一样 一直 一定 一起 一切 一般 一边 一位 一名 一部 一次 一款 一场 一段 一本 一把
    一套 一份 一件 上面 下面 不会 不仅 不但 不同 不是 不能 不要 不过 不只 与其 为了 为什么 之一 之前 之后
    之间 之中 也是 也许 了解 于是 什么 他们 以上 以下 以及 以后 以来 以前 任何 但是 何时 使用 例如 依然
    便是 各个 各种 各自 同时 后来 向着 哪些 哪个 哪里 因为 因此 因而 在于 如何 如果 如此 如下 它们 它的
    对于 将会 尽管 就是 并且 并非 并不 开始 当中 当时 很多 怎么 怎样 总是 我们 或者 或是 所以 所有 所谓
    才能 接着 故此 旁边 无论 既然 时候 是否 显然 更加 最后 最近 有些 有关 有的 有时 有着 本来 来说 来自
    某个 某些 根据 正在 正是 此外 此时 每个 每天 比如 比较 没有 没什么 然后 然而 现在 用于 由于 甚至 的话
    直到 相关 真的 知道 第一 第二 终于 经过 继续 综上 而且 而是 能够 自己 自从 至于 若是 虽然 该款 让人
    许多 该项 起来 这个 这些 这样 这种 这里 这么 这是 进行 还是 还有 还要 通过 那个 那些 那样 那里 那么
    都是 里面 除了 随着 需要 非常 首先 其中 其他 其它 其实 具有 几乎 几个 出来 出现 分别 别人 到底 十分
    又是 只是 只有 只要 可以 可能 可是 关于 全部 全都 他的 她的 她们 你们 大家 已经 已有 以为 作为 个人
    人们 为何 为止 不断 不再 也有 也会 非常适合 以便""".split()
)

_WORD = r"[\p{L}\p{M}\p{N}]+(?:['\-][\p{L}\p{M}\p{N}]+)*"
# Phrases never cross these; a lone dash is one too (a hyphen inside a word is not).
_BREAK = r"[.,;:!?()\[\]{}<>\"“”|/\\…·—–。，！？；：、《》「」『』【】（）]|\s-+\s"


def foreign_share(texts: list[str]) -> float:
    """Share of the texts with letters of which a quarter or more is in another script than Latin (0..1; 0 for none).

    >>> foreign_share(["苹果 iPhone 手机", "apple", "Война и мир", "déjà vu"])
    0.5
    """
    counts = _count_letters(texts, r"\p{Latin}")
    foreign = counts.filter(pl.col("letters") - pl.col("found") >= OTHER_LETTER_SHARE * pl.col("letters"))
    return foreign.height / counts.height if counts.height else 0.0


def _count_letters(texts: list[str], kind: str) -> pl.DataFrame:
    """Letters and those of a kind, of each text that has any letter."""
    column = pl.col("text")
    counts = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)}).select(
        letters=column.str.count_matches(r"\p{L}").cast(pl.Int64), found=column.str.count_matches(kind).cast(pl.Int64)
    )
    return counts.filter(pl.col("letters") > 0)


def segment(texts: list[str]) -> list[str]:
    """Lower-case texts with spaces between Chinese words (jieba's dictionary); the rest keeps its own spaces.

    >>> segment(["科幻电影 iPhone手机壳", "Toy Story"])
    ['科幻电影 iphone 手机 壳', 'toy story']
    """
    out = list(texts)
    han = pl.Series("text", texts, dtype=pl.String).str.contains(r"\p{Han}").arg_true().to_list()
    if han:
        import rjieba  # the dictionary (some 5 MB) is read at the first cut: English logs never pay for it

        for row in han:  # before lower-casing: the dictionary knows T恤, not t恤
            out[row] = " ".join(" ".join(rjieba.cut(out[row])).split())
    lowered: list[str] = pl.Series("text", out, dtype=pl.String).str.to_lowercase().to_list()
    return lowered


def tokenise(texts: list[str], *, max_words: int = 3) -> list[list[str]]:
    """Candidate words and phrases for names, in the order of the text, repeats kept.

    English and other spaced scripts: lower-case phrases of one to `max_words` words that neither begin nor end with
    a stop word, a number or a single letter, and cross no punctuation. Chinese: words of two or more characters
    without stop words. Numbers alone are left out.

    Args:
        texts: (n,) strings; "" gives [].
        max_words: longest phrase, in words.
    Returns:
        (n,) lists; some 60,000 titles or 8,000 paragraphs a second on one core.

    >>> tokenise(["Salt and Pepper (set of 2)"])
    [['salt', 'salt and pepper', 'pepper', 'set']]
    >>> tokenise(["我喜欢科幻电影"])
    [['喜欢', '科幻电影']]
    """
    tokens = _token_table(texts)
    # `run` numbers the stretches within which phrases may form; Chinese words stand alone.
    phrases = [tokens.filter("end").select("row", "at", n=pl.lit(1, pl.Int8), phrase="token")]
    joined, same = pl.col("token"), pl.lit(True)
    for n in range(2, max_words + 1):
        step = n - 1
        joined = pl.concat_str(joined, pl.col("token").shift(-step), separator=" ")
        same = same & (pl.col("run").shift(-step) == pl.col("run"))
        last = pl.col("end").shift(-step)
        phrases.append(
            tokens.select("row", "at", n=pl.lit(n, pl.Int8), phrase=joined, keep=pl.col("end") & last & same)
            .filter("keep")
            .drop("keep")
        )
    table = pl.concat(phrases).sort("row", "at", "n").group_by("row", maintain_order=True).agg("phrase")
    out: list[list[str]] = [[] for _ in texts]
    for row, found in zip(table["row"].to_list(), table["phrase"].to_list(), strict=True):
        out[row] = found
    return out


def _token_table(texts: list[str]) -> pl.DataFrame:
    """One row a token: row (of its text), at (position), token, run (no phrase crosses it), end (may end a phrase)."""
    spaced = pl.Series("text", segment(texts), dtype=pl.String)
    spaced = spaced.str.replace_all("[’‘]", "'").str.replace_all("&amp;|&", " and ")
    tokens = (
        pl.DataFrame({"row": pl.int_range(len(texts), dtype=pl.Int32, eager=True), "text": spaced})
        .select("row", token=pl.col("text").str.extract_all(f"{_WORD}|{_BREAK}"))
        .explode("token", empty_as_null=True)
        .drop_nulls()
        .with_columns(is_break=~pl.col("token").str.contains(r"^[\p{L}\p{M}\p{N}]"))
        .with_columns(han=pl.col("token").str.contains(r"\p{Han}"))
        # a Chinese word opens a run of its own and closes it again, as a break does
        .with_columns(cut=(pl.col("is_break") | pl.col("han")).cast(pl.Int32))
        .with_columns(run=pl.col("cut").cum_sum() + pl.col("han").shift(1, fill_value=False).cast(pl.Int32).cum_sum())
        .filter(~pl.col("is_break"))
        .with_columns(run=pl.struct("row", "run").rle_id(), at=pl.int_range(pl.len(), dtype=pl.Int32))
    )
    token = pl.col("token")
    stop = token.is_in(sorted(ENGLISH_STOP_WORDS | CHINESE_STOP_WORDS)) | (token.str.len_chars() < 2)
    return tokens.select("row", "at", "token", "run", end=~stop & ~token.str.contains(r"^[\p{N}'\-]+$"))
