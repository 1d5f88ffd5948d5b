"""The words of the made-up market: 12 domains by 6 interests, in English and Chinese, and sentences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

LANGUAGES = ("en", "zh")
WORD_SKEW = 0.5  # within a list the r-th word is drawn in proportion to (r + 2) ** -WORD_SKEW

BRANDS = {
    "en": (
        "Alderby Brunova Castell Dorrin Elmgate Farrow Gildane Hollin Ivara Juniper&Co Kestler Lumora Marsh&Vale "
        "Norvik Oakhaven Pellworth Quillon Rivenna Solgaard Tamsin Umbra Velden Westray Yarrow Zephra"
    ).split(),
    "zh": "青禾 云岫 木石 南屿 拾光 北辰 半夏 松间 远山 星野 素年 朴居 知行 鹿鸣 长风 海棠 初见 微澜 归田 万象".split(),
}
GENERIC = {
    "en": (
        "new premium best popular quality original complete essential everyday value limited favourite professional "
        "simple modern special choice perfect extra large small"
    ).split(),
    "zh": "新款 高级 精选 热门 品质 原创 完整 必备 日常 超值 限定 喜爱 专业 简约 现代 特别 推荐 完美 加大 小号".split(),
}
FILLERS = {  # nouns that fit anything and tell nothing
    "en": (
        "design finish size weight price delivery packaging warranty detail value comfort material shape option "
        "upgrade bundle offer feature purpose result"
    ).split(),
    "zh": "设计 做工 尺寸 重量 价格 配送 包装 保修 细节 价值 手感 材质 外形 选择 升级 组合 优惠 功能 用途 效果".split(),
}
NOISE_CATEGORIES = {
    "en": ("New in", "Gifts", "Bestsellers", "Sale", "Staff picks", "Under review"),
    "zh": ("新品", "礼物", "畅销", "特价", "店长推荐", "待整理"),
}

# {b} a brand, {g} a generic word, {w} a word of the item. Title forms hold 2 or 3 {w}, sentence forms 2.
TITLES = {
    "en": (
        "{b} {w} {w} {w}",
        "{b} {g} {w} {w}",
        "{w} {w} by {b}",
        "{g} {w} for {w} and {w}",
        "{b} {w}: {w} {w}",
        "{w} {w} {w} ({g})",
    ),
    "zh": ("{b} {w} {w} {w}", "{b}{g}{w} {w}", "{w} {w} {b}", "{g}{w}：{w}与{w}", "{b}{w}·{w}{w}", "{w}{w} {w}（{g}）"),
}
SENTENCES = {
    "en": (
        "Made with {w} and {w} in mind.",
        "A {g} choice when it comes to {w} or {w}.",
        "From {w} to {w}, it does what you ask of it.",
        "Our customers praise the {w} and the {w}.",
        "Goes well with {w}, and with {w} too.",
        "Think {w}, think {w}, and leave the rest to us.",
        "Whether you care about {w} or {w}, start here.",
        "Tested by people who know their {w} and their {w}.",
    ),
    "zh": (
        "为{w}和{w}用心打造。",
        "说到{w}或{w}，这是{g}之选。",
        "从{w}到{w}，样样称心。",
        "顾客称赞它的{w}和{w}。",
        "搭配{w}很合适，{w}也不错。",
        "无论你在意{w}还是{w}，都从这里开始。",
        "由懂{w}、懂{w}的人测试过。",
        "{w}爱好者和{w}玩家都说好。",
    ),
}
QUERIES = {
    "en": ("{w}", "{w} {w}", "best {w} {w}", "{w} for {w}", "cheap {w}", "how to choose {w}"),
    "zh": ("{w}", "{w} {w}", "{w}{w}推荐", "好用的{w}", "便宜{w}", "{w}怎么选"),
}
PRAISE = {
    "en": (
        "Love it, the {w} is just right.",
        "Great {w}, would buy again!",
        "Really good for {w} and {w}.",
        "Exactly the {w} I was after.",
    ),
    "zh": ("很喜欢，{w}刚刚好。", "{w}很棒，会回购！", "用来{w}和{w}都很好。", "正是我想要的{w}。"),
}
COMPLAINT = {
    "en": (
        "Not for me, the {w} was a let-down.",
        "Sent it back: poor {w}, poor {w}.",
        "Why do I keep being shown {w}?",
        "Disappointed by the {w}.",
    ),
    "zh": ("不适合我，{w}让人失望。", "退货了，{w}差，{w}也差。", "为什么老给我推{w}？", "对{w}很失望。"),
}


@dataclass(frozen=True)
class Lexicon:
    """All interests with their words, in the order of the file.

    interest_ids, domain_of (row into domain_ids), names[language], words[language]: one entry an interest;
    domain_ids, domain_names[language], domain_words[language], price_range: one entry a domain.
    """

    interest_ids: tuple[str, ...]
    domain_of: npt.NDArray[np.int32]
    names: dict[str, tuple[str, ...]]
    words: dict[str, tuple[tuple[str, ...], ...]]
    domain_ids: tuple[str, ...]
    domain_names: dict[str, tuple[str, ...]]
    domain_words: dict[str, tuple[tuple[str, ...], ...]]
    price_range: tuple[tuple[float, float], ...]

    def __len__(self) -> int:
        return len(self.interest_ids)

    def take(self, n: int) -> Lexicon:
        """Keep the first `n` interests, going round the domains so that few interests still span many domains."""
        place = np.zeros(len(self), np.int64)
        for domain in range(len(self.domain_ids)):
            rows = np.flatnonzero(self.domain_of == domain)
            place[rows] = np.arange(len(rows))
        kept = np.sort(np.lexsort((self.domain_of, place))[:n])
        return Lexicon(
            tuple(self.interest_ids[i] for i in kept),
            self.domain_of[kept],
            {k: tuple(v[i] for i in kept) for k, v in self.names.items()},
            {k: tuple(v[i] for i in kept) for k, v in self.words.items()},
            self.domain_ids,
            self.domain_names,
            self.domain_words,
            self.price_range,
        )


@cache
def load_lexicon() -> Lexicon:
    """Read the word list that comes with the package.

    >>> lexicon = load_lexicon()
    >>> len(lexicon.domain_ids), len(lexicon), lexicon.words["en"][0][:2]
    (12, 72, ('coffee', 'espresso'))
    """
    text = files("penchant.io.world").joinpath("lexicon.txt").read_text(encoding="utf-8")
    domains: list[list[str]] = []
    interests: list[list[str]] = []
    domain_of: list[int] = []
    words: dict[str, list[tuple[str, ...]]] = {language: [] for language in LANGUAGES}
    domain_words: dict[str, list[tuple[str, ...]]] = {language: [] for language in LANGUAGES}
    target = domain_words
    for line in text.splitlines():
        if line.startswith("== "):
            domains.append([part.strip() for part in line[3:].split("|")])
            target = domain_words
        elif line.startswith("- "):
            interests.append([part.strip() for part in line[2:].split("|")])
            domain_of.append(len(domains) - 1)
            target = words
        elif line[:3] in ("en:", "zh:"):
            target[line[:2]].append(tuple(dict.fromkeys(line[3:].split())))
    prices = [tuple(float(x) for x in row[3].split()) for row in domains]
    return Lexicon(
        tuple(row[0] for row in interests),
        np.array(domain_of, np.int32),
        {"en": tuple(row[1] for row in interests), "zh": tuple(row[2] for row in interests)},
        {k: tuple(v) for k, v in words.items()},
        tuple(row[0] for row in domains),
        {"en": tuple(row[1] for row in domains), "zh": tuple(row[2] for row in domains)},
        {k: tuple(v) for k, v in domain_words.items()},
        tuple((low, high) for low, high in prices),
    )


class GroupedDraw:
    """Draw members of groups by weight, for many (group, member) draws at once.

    Args:
        group: (n,) int, the group of each member, sorted ascending; weight: (n,) >= 0; n_groups.
    `draw` costs one binary search per draw; a group whose weights are all zero gives -1.
    """

    def __init__(self, group: npt.NDArray[np.int64], weight: npt.NDArray[np.float64], n_groups: int) -> None:
        total = np.bincount(group, weights=weight, minlength=n_groups)
        running = np.cumsum(weight)
        start = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=n_groups))])
        before = np.concatenate([[0.0], running])[start[:-1]]
        self.filled = total > 0
        safe = np.where(self.filled, total, 1.0)
        # Member j of group g covers (g + share before j, g + share up to j]: one ascending line for all groups.
        self.edge = group + (running - before[group]) / safe[group]
        self.start, self.n_groups = start, n_groups

    def draw(self, groups: npt.NDArray[np.int64], u: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """(n,) member row for each group and uniform number in [0, 1), or -1 where the group has no weight."""
        spot = np.searchsorted(self.edge, groups + u * (1 - 1e-9), side="right")
        spot = np.clip(spot, self.start[groups], self.start[groups + 1] - 1)
        return np.where(self.filled[groups], spot, -1)
