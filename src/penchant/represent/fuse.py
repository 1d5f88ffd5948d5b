"""One vector an item out of its parts: text, behaviour, image, price, ...; a missing part is guessed from the others.

A part is a (n_items, d) matrix of unit rows, zeros where missing. The fused row is the parts side by side, each times
the square root of its share of the weights, so that a cosine of fused rows is the weighted mean of the parts' cosines.
A guess is shorter than one, by what is not known; so the cosine of a guessed row to a known one is the expected one,
and an item of which little is known is near to little, instead of near to everything.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.config import RepresentConfig
from penchant.data import FloatArray, Items, Vectors, unit_rows
from penchant.errors import ConfigError, DataError, did_you_mean
from penchant.represent.fuse_weights import LearnedWeights, Part, given_weight
from penchant.threads import one_thread

# A map from parts to a part is tried on every fifth item, and needs this many items that have both.
N_FOLDS = 5
MIN_PAIRS = 20
# ridge strengths, relative to the mean variance of a source column; the last is as good as predicting the mean
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1e4)
# What is not known of an item points in a direction of its own, in columns of their own: those of two items, and of an
# item and any known part, are (nearly) at right angles.
N_UNKNOWN_DIMS = 64
# An attribute with more values than this tells items apart rather than which are alike.
MAX_VALUES = 200

Array = npt.NDArray[np.float64]


def item_parts(items: Items, config: RepresentConfig) -> list[Part]:
    """Parts that the items bring themselves: vector columns, then the attributes asked for.

    Returns:
        Unit rows with their given weights, also those of weight 0.

    Raises:
        ConfigError: `config.weights` or `config.attributes` names what the items don't have; says the nearest.
        DataError: a vector column is called "text" or "behaviour"; an attribute can't be compared.
    """
    for name in ("text", "behaviour"):
        if name in items.vectors:
            raise DataError(f"items: the vector column '{name}' has the name of another part; rename the column")
    known = ["text", "behaviour", *sorted(items.vectors), *config.attributes]
    for name in config.weights:
        if name not in known:
            raise ConfigError(f"represent.weights: the items have no part '{name}'; {did_you_mean(name, known)}")
    vectors = {name: unit_rows(items.vectors[name]) for name in sorted(items.vectors)}
    vectors |= {name: attribute_rows(items.table, name) for name in config.attributes if name not in vectors}
    return [Part(name, Vectors(rows, name), given_weight(name, config)) for name, rows in vectors.items()]


def attribute_rows(table: pl.DataFrame, name: str) -> FloatArray:
    """Lay the values of a column out so that cosines say how alike two items are; rows of zeros where missing.

    Numbers (and dates) take a quarter of a circle by rank: equal values have cosine 1, the least and the largest 0; a
    rank needs no unit and no outlier shifts it. Words, truth values and lists of words take a column a value.

    Returns:
        (n_items, 2) for numbers, else (n_items, n_values); unit rows.

    Raises:
        ConfigError: no such column; names the nearest.
        DataError: more than `MAX_VALUES` different words, or no kind of value that can be compared.

    >>> rows = attribute_rows(pl.DataFrame({"price": [1.0, 5.0, 900.0, None]}), "price")
    >>> (rows @ rows[0]).round(3).tolist()
    [1.0, 0.7070000171661377, 0.0, 0.0]
    """
    where = f"represent.attributes: column '{name}' of the items"
    if name not in table.columns:
        raise ConfigError(f"{where} does not exist; {did_you_mean(name, table.columns)}")
    column = table[name]
    kind = column.dtype
    if kind.is_numeric() or kind.is_temporal():
        return _number_rows(column.to_physical().cast(pl.Float64))
    if kind in (pl.String, pl.Boolean, pl.Categorical, pl.Enum, pl.List(pl.String)):
        return _word_rows(column, where)
    raise DataError(f"{where} holds {kind}; give numbers, dates, words or lists of words")


def _number_rows(column: pl.Series) -> FloatArray:
    values = column.fill_null(float("nan")).to_numpy()
    out = np.zeros((len(values), 2), np.float32)
    there = np.isfinite(values)
    _, place, counts = np.unique(values[there], return_inverse=True, return_counts=True)
    before = np.cumsum(counts) - counts  # ties share one rank, and the least and the largest are 0 and 1
    rank = (before + (counts - 1) / 2)[place]
    low, high = (rank.min(), rank.max()) if len(rank) else (0.0, 0.0)
    angle = np.pi / 2 * (rank - low) / max(high - low, 1e-12)
    out[there] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return out


def _word_rows(column: pl.Series, where: str) -> FloatArray:
    pairs = column.alias("word").to_frame().with_row_index("row")
    pairs = pairs.explode("word") if isinstance(column.dtype, pl.List) else pairs
    pairs = pairs.with_columns(pl.col("word").cast(pl.String).str.strip_chars()).filter(pl.col("word") != "").unique()
    words = pairs["word"].unique().sort()
    if len(words) > MAX_VALUES:
        raise DataError(
            f"{where} has {len(words):,} different values; at most {MAX_VALUES} can be a part: leave it out, merge "
            "values, or name it in encode.fields to be read as text"
        )
    out = np.zeros((len(column), max(len(words), 1)), np.float32)
    out[pairs["row"].to_numpy(), words.search_sorted(pairs["word"]).to_numpy()] = 1
    return unit_rows(out)


def parts_of(text: Vectors | None, behaviour: Vectors | None, items: Items, config: RepresentConfig) -> list[Part]:
    """Text, behaviour, then the parts of `item_parts`: those with a given weight above 0 that any item has."""
    named = {"text": text, "behaviour": behaviour}
    parts = [
        Part(name, Vectors(unit_rows(vectors.values), vectors.name), given_weight(name, config))
        for name, vectors in named.items()
        if vectors is not None
    ]
    parts += item_parts(items, config)
    return [part for part in parts if part.weight > 0 and part.vectors.present.any()]


def fuse(
    text: Vectors | None,
    behaviour: Vectors | None,
    items: Items,
    config: RepresentConfig,
    *,
    seed: int,
    learned: LearnedWeights | None = None,
) -> Vectors:
    """Fuse texts, behaviour and the parts of the items, by weights given or learned.

    Returns:
        (n_items, sum of widths) rows of unit length; zeros for items without any part. Where parts are missing and
        `impute` is on, `N_UNKNOWN_DIMS` columns follow. One column of zeros when there is no part at all. The name
        tells the share of each part, and how the weights were learned.
    """
    parts = parts_of(text, behaviour, items, config)
    if not parts:
        return Vectors(np.zeros((len(items), 1), np.float32), "nothing (no texts, no behaviour)")
    # guesses first: an item of which only a part without weight is known is guessed from it, not lost
    values = impute(parts) if config.impute and len(parts) > 1 else [part.vectors.values for part in parts]
    note = ""
    if learned is not None and len(parts) > 1:
        parts, note = learned.apply(parts)
    total = sum(part.weight for part in parts)
    known = [(part, rows) for part, rows in zip(parts, values, strict=True) if part.weight > 0]
    rows = np.hstack([v * np.float32(np.sqrt(part.weight / total)) for part, v in known])
    if config.impute:
        rows = _fill_up(rows, seed)
    shares = [f"{part.weight / total:.2g} " if len(known) > 1 else "" for part, _ in known]
    name = " + ".join(share + part.vectors.name for share, (part, _) in zip(shares, known, strict=True))
    return Vectors(unit_rows(rows), name + note)


def _fill_up(rows: FloatArray, seed: int) -> FloatArray:
    """Bring rows shorter than one to unit length in columns of their own, each item in a random direction."""
    length = np.square(rows).sum(axis=1)
    short = (length > 0) & (length < 1 - 1e-3)
    if not short.any():
        return rows
    direction = unit_rows(np.random.default_rng(seed).standard_normal((len(rows), N_UNKNOWN_DIMS), dtype=np.float32))
    return np.hstack([rows, direction * np.sqrt(np.where(short, 1 - length, 0))[:, None].astype(np.float32)])


def impute(parts: list[Part]) -> list[FloatArray]:
    """Guess the missing rows of each part by a ridge map from all other parts; known rows stay.

    Returns:
        For each part (n_items, d): unit rows where known, at most that long where guessed (the surer, the longer),
        still zeros where an item has no other part either, or where fewer than `MIN_PAIRS` items have both.
    """
    out = []
    for target in parts:
        others = [part for part in parts if part is not target]
        source = np.hstack([part.vectors.values * np.float32(np.sqrt(part.weight)) for part in others])
        known = target.vectors.present
        has_source = np.abs(source).sum(axis=1) > 0
        both, missing = known & has_source, ~known & has_source
        values = target.vectors.values.copy()
        if missing.any() and both.sum() >= MIN_PAIRS:
            with one_thread():
                predict = fit_map(source[both].astype(np.float64), values[both].astype(np.float64))
                guess = predict(source[missing].astype(np.float64))
            length = np.linalg.norm(guess, axis=1, keepdims=True)
            values[missing] = guess / np.maximum(length, 1)
        out.append(values)
    return out


def fit_map(source: Array, target: Array) -> Callable[[Array], Array]:
    """Ridge regression with an intercept; its strength is the one of least squared error on every fifth row.

    Args:
        source: (n, d_source) and
        target: (n, d_target) of the same items.
    """
    held = np.arange(len(source)) % N_FOLDS == 0
    trial = _Ridge(source[~held], target[~held])
    errors = [float(np.square(trial.at(s)(source[held]) - target[held]).mean()) for s in STRENGTHS]
    return _Ridge(source, target).at(STRENGTHS[int(np.argmin(errors))])


class _Ridge:
    """Ridge maps of all strengths from one decomposition of the source's covariance."""

    def __init__(self, source: Array, target: Array) -> None:
        self.source_mean, self.target_mean = source.mean(axis=0), target.mean(axis=0)
        centred = source - self.source_mean
        self.values, self.basis = np.linalg.eigh(centred.T @ centred)
        self.cross = self.basis.T @ (centred.T @ (target - self.target_mean))

    def at(self, strength: float) -> Callable[[Array], Array]:
        penalty = strength * max(float(self.values.mean()), 1e-12)
        weight = self.basis @ (self.cross / (np.maximum(self.values, 0) + penalty)[:, None])
        return lambda source: (source - self.source_mean) @ weight + self.target_mean
