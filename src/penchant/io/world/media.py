"""Two domains that share their interests: books and films, told in words that are only partly the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penchant.io.world.lexicon import LANGUAGES, Lexicon

Rows = npt.NDArray[np.int64]

MEDIA = ("books", "films")
NAMES: dict[str, tuple[str, ...]] = {"en": ("Books", "Films"), "zh": ("图书", "影片")}
WORDS = {
    "en": (
        "book author paperback reading chapter story translated pages hardcover edition print cover".split(),
        "film director cast screen scene trailer documentary sequel camera cinema subtitles footage".split(),
    ),
    "zh": (
        "图书 作者 平装 阅读 章节 故事 译本 书页 精装 版本 印刷 封面".split(),
        "影片 导演 演员 银幕 场景 预告 纪录片 续集 镜头 影院 字幕 片段".split(),
    ),
}
PRICES = ((5.0, 45.0), (3.0, 30.0))
SHARED = 1 / 3  # of the words of an interest are said in both domains, a third more in each alone
BOTH = len(MEDIA)  # of `draw_access`


def media_lexicon(lexicon: Lexicon) -> Lexicon:
    """Each interest twice, as books tell it and as films do: interest k of medium m is entry m * len(lexicon) + k.

    >>> from penchant.io.world.lexicon import load_lexicon
    >>> two = media_lexicon(load_lexicon())
    >>> len(two), sorted({*two.words["en"][0]} & {*two.words["en"][72]})
    (144, ['blend', 'crema', 'dripper', 'espresso', 'filter', 'grinder', 'steam'])
    """
    n = len(lexicon)
    words: dict[str, tuple[tuple[str, ...], ...]] = {}
    for language in LANGUAGES:
        of_books, of_films = [], []
        for own in lexicon.words[language]:
            alone = round(len(own) * (1 - SHARED) / 2)
            # every third word is a book's, every third a film's: frequent and rare words alike
            turn = np.arange(len(own)) % 3
            mine = (np.cumsum(turn == 0) <= alone) & (turn == 0), (np.cumsum(turn == 2) <= alone) & (turn == 2)
            of_books.append(tuple(w for w, other in zip(own, mine[1], strict=True) if not other))
            of_films.append(tuple(w for w, other in zip(own, mine[0], strict=True) if not other))
        words[language] = (*of_books, *of_films)
    return Lexicon(
        lexicon.interest_ids * 2,
        np.repeat(np.arange(2), n).astype(np.int32),
        {k: v * 2 for k, v in lexicon.names.items()},
        words,
        MEDIA,
        NAMES,
        {k: tuple(tuple(w) for w in v) for k, v in WORDS.items()},
        PRICES,
    )


def draw_access(n_users: int, overlap: float, rng: np.random.Generator) -> Rows:
    """(n_users,) row of MEDIA that each account uses, or BOTH."""
    both = rng.random(n_users) < overlap
    return np.where(both, BOTH, rng.integers(0, len(MEDIA), n_users))
