"""What is written in the made-up market: titles, texts, categories and prices of items; queries and comments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.io.world.items import Catalogue
from penchant.io.world.lexicon import (
    BRANDS,
    COMPLAINT,
    GENERIC,
    LANGUAGES,
    NOISE_CATEGORIES,
    PRAISE,
    QUERIES,
    SENTENCES,
    TITLES,
    Lexicon,
)
from penchant.io.world.noise import Noise
from penchant.io.world.word_model import DOMAIN, FILLER, Rows, WordDraw, slot_kinds

N_TITLE_WORDS, N_SENTENCES = 3, 3
PHRASES_PER_INTEREST = 60  # of each kind (query, praise, complaint), language and interest


def ids(letter: str, n: int) -> pl.Series:
    """Ids of n things: u00000, u00001, ..."""
    number = pl.int_range(n).cast(pl.String).str.zfill(max(5, len(str(n))))
    return pl.select(pl.concat_str(pl.lit(letter), number).alias("id")).to_series()


def describe(
    catalogue: Catalogue, lexicon: Lexicon, noise: Noise, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write the catalogue; return (items, truth about each item)."""
    n = len(catalogue)
    n_slots = N_TITLE_WORDS + 2 * N_SENTENCES
    kind = slot_kinds((n, n_slots), noise, rng)
    vague = rng.random(n) < noise.vague_item
    # A vague item keeps to words of its domain and of no interest in particular.
    kind[vague] = np.where(rng.random((int(vague.sum()), n_slots)) < 0.4, DOMAIN, FILLER)
    parts = []
    for row, language in enumerate(LANGUAGES):
        mine = np.flatnonzero(catalogue.language == row)
        if len(mine):
            parts.append(_write(mine, language, catalogue.interest[mine], lexicon, kind[mine], rng))
    titled, told = pl.Series(rng.random(n) >= noise.no_title), pl.Series(rng.random(n) >= noise.no_description)
    written = pl.concat(parts).sort("row").select(pl.when(titled).then("title").alias("title"), "text", told=told)
    written = written.select("title", pl.when("told").then("text").alias("text"))
    domain = lexicon.domain_of[catalogue.interest].astype(np.int64)
    filed = np.where(rng.random(n) < noise.wrong_category, rng.integers(0, len(lexicon.domain_ids), n), domain)
    domain_ids = pl.Series(list(lexicon.domain_ids))
    items = pl.DataFrame({"item_id": ids("i", n)}).with_columns(
        written["title"],
        written["text"],
        _categories(filed, catalogue.language, lexicon, noise, rng),
        domain_ids.gather(filed).alias("domain"),
        pl.Series("price", _prices(catalogue, domain, lexicon, rng)),
    )
    truth = items.select("item_id").with_columns(
        pl.Series(list(lexicon.interest_ids)).gather(catalogue.interest).alias("interest_id"),
        domain_ids.gather(domain).alias("domain"),
        pl.Series("style", catalogue.style.astype(np.int8)),
        pl.Series(list(LANGUAGES)).gather(catalogue.language).alias("language"),
        pl.Series("launch_day", catalogue.launch_day.astype(np.int32)),
        pl.Series("vague", vague),
    )
    return items, truth


def _write(
    rows: Rows, language: str, interest: Rows, lexicon: Lexicon, kind: Rows, rng: np.random.Generator
) -> pl.DataFrame:
    """Titles and texts of the items of one language: columns row, title, text."""
    n, n_slots = kind.shape
    draw = WordDraw(lexicon, language)
    flat = draw.draw(np.repeat(interest, n_slots), kind.ravel(), rng).reshape(n, n_slots)
    words = [draw.pool.gather(np.ascontiguousarray(flat[:, i])) for i in range(n_slots)]
    brands, generic = pl.Series(BRANDS[language]), pl.Series(GENERIC[language])

    def any_of(n_choices: int) -> Rows:
        return np.asarray(rng.integers(0, n_choices, n))

    def pick(pool: pl.Series) -> pl.Series:
        return pool.gather(any_of(len(pool)))

    titles, sentences = TITLES[language], SENTENCES[language]
    title = fill(titles, any_of(len(titles)), words[:N_TITLE_WORDS], pick(brands), pick(generic))
    if language == "en":
        first = pl.col("t").str.slice(0, 1).str.to_uppercase()
        title = title.to_frame("t").select(pl.concat_str(first, pl.col("t").str.slice(1))).to_series()
    # The sentences of one text differ: they are neighbours on the ring of forms.
    opening, n_sentences = any_of(len(sentences)), 2 + any_of(N_SENTENCES - 1)
    text = []
    for i in range(N_SENTENCES):
        pair = words[N_TITLE_WORDS + 2 * i : N_TITLE_WORDS + 2 * i + 2]
        sentence = fill(sentences, (opening + i) % len(sentences), pair, None, pick(generic))
        text.append(pl.select(pl.when(pl.Series(n_sentences > i)).then(sentence).alias(f"s{i}")).to_series())
    joined = pl.DataFrame(text).select(
        pl.concat_str(pl.all(), separator=" " if language == "en" else "", ignore_nulls=True).alias("text")
    )
    return pl.DataFrame({"row": rows}).with_columns(title.alias("title"), joined["text"])


def _categories(filed: Rows, language: Rows, lexicon: Lexicon, noise: Noise, rng: np.random.Generator) -> pl.Series:
    """The name of the domain the item is filed under, for most, and a label that says nothing, for some."""
    n, n_domains = len(filed), len(lexicon.domain_ids)
    names = pl.Series([name for code in LANGUAGES for name in lexicon.domain_names[code]])
    labels = pl.Series([label for code in LANGUAGES for label in NOISE_CATEGORIES[code]])
    n_labels = len(NOISE_CATEGORIES["en"])
    label = labels.gather(language * n_labels + rng.integers(0, n_labels, n))
    named, shown = pl.Series(rng.random(n) >= noise.hidden_category), pl.Series(rng.random(n) < noise.noise_category)
    name = names.gather(language * n_domains + filed)
    return pl.select(
        pl.concat_list(pl.when(named).then(name), pl.when(shown).then(label)).list.drop_nulls().alias("categories")
    ).to_series()


def _prices(catalogue: Catalogue, domain: Rows, lexicon: Lexicon, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Log-uniform within the domain's usual range: interests differ, and the styles go from plain to fine."""
    low, high = np.log(np.array(lexicon.price_range)).T
    level = rng.random(len(lexicon))[catalogue.interest]
    place = 0.4 * level + 0.3 * catalogue.style / 2 + 0.3 * rng.random(len(catalogue))
    return np.asarray(np.round(np.exp(low[domain] + (high - low)[domain] * place), 2))


class Phrases:
    """A stock of queries, praises and complaints for each interest and language; events hold a row of it."""

    KINDS = (QUERIES, PRAISE, COMPLAINT)
    QUERY, LIKE, DISLIKE = range(3)

    def __init__(self, lexicon: Lexicon, noise: Noise, rng: np.random.Generator) -> None:
        self.n_interests = len(lexicon)
        interest = np.repeat(np.arange(len(lexicon)), PHRASES_PER_INTEREST)
        n = len(interest)
        stock = []
        for forms in self.KINDS:
            for language in LANGUAGES:
                draw = WordDraw(lexicon, language)
                kind = slot_kinds((n, 2), noise, rng)
                words = [draw.pool.gather(draw.draw(interest, kind[:, i], rng)) for i in range(2)]
                stock.append(fill(forms[language], rng.integers(0, len(forms[language]), n), words, None, None))
        self.texts = pl.concat(stock)

    def draw(self, kind: int, language: Rows, interest: Rows, rng: np.random.Generator) -> Rows:
        """Rows of `texts` of one kind, in the language and about the interest given for each."""
        block = (kind * len(LANGUAGES) + language) * self.n_interests + interest
        return block * PHRASES_PER_INTEREST + rng.integers(0, PHRASES_PER_INTEREST, len(interest))


def fill(
    forms: Sequence[str], choice: Rows, words: Sequence[pl.Series], brand: pl.Series | None, generic: pl.Series | None
) -> pl.Series:
    """Write one text a row: form `choice[i]` with {b}, {g} and its {w}s in turn."""
    frame = pl.DataFrame({"form": choice, **{f"w{i}": w for i, w in enumerate(words)}}).with_row_index("row")
    if brand is not None:
        frame = frame.with_columns(brand.alias("b"))
    if generic is not None:
        frame = frame.with_columns(generic.alias("g"))
    done = [
        frame.filter(pl.col("form") == i).select("row", pl.concat_str(_pieces(form)).alias("text"))
        for i, form in enumerate(forms)
    ]
    return pl.concat(done).sort("row")["text"]


def _pieces(form: str) -> list[pl.Expr]:
    pieces: list[pl.Expr] = []
    n_words = 0
    for i, part in enumerate(form.replace("}", "{").split("{")):
        if i % 2 == 0:
            pieces += [pl.lit(part)] if part else []
        elif part == "w":
            pieces.append(pl.col(f"w{n_words}"))
            n_words += 1
        else:
            pieces.append(pl.col(part))
    return pieces
