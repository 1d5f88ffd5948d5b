"""Ids: any type to clean text, text to codes, and two files' ways of writing one id brought together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from penchant.errors import DataError

# Written forms of "nothing" that exports leave behind; compared without case.
MISSING_WORDS = ("", "nan", "null", "none", "<na>", "nat")

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Coded:
    """codes: (n,) int32 into `names`, -1 = missing; names: unique clean ids, sorted as text."""

    codes: Codes
    names: pl.Series
    n_spaces: int = 0


@dataclass(frozen=True)
class Matched:
    """to: (n_names,) the row in the other file's ids, -1 = not there; by_rule: rule -> name rows it joined."""

    to: Codes
    by_rule: Mapping[str, Codes] = field(default_factory=dict)


def id_texts(ids: pl.Series, where: str) -> pl.Series:
    """Ids as text: whole numbers lose their ".0" (a float column, or text in which every id ends so), the rest stays.

    >>> id_texts(pl.Series("u", [12.0, None, 7.0]), "t").to_list()
    ['12', None, '7']
    """
    kind = ids.dtype
    if kind.is_nested() or kind == pl.Binary or kind == pl.Object:
        raise DataError(f"{where}: column '{ids.name}' has type {kind}; ids must be text or numbers")
    if kind.is_float():
        ids = ids.fill_nan(None).cast(pl.Float64)
        finite = ids.is_finite()
        ids = ids.set(~finite.fill_null(True), None)
        whole = ((ids == ids.round()) & (ids.abs() < 2**63)).fill_null(True)
        if whole.all():
            return ids.cast(pl.Int64).cast(pl.String)
    return ids.cast(pl.String)


def code_ids(ids: pl.Series, where: str) -> Coded:
    """Clean ids and code them: outer space off, "nan" and the like are missing. Works on distinct ids, not on rows."""
    texts = id_texts(ids, where)
    raw = texts.unique().drop_nulls().sort()
    if not len(raw):
        return Coded(np.full(len(texts), -1, np.int32), pl.Series([], dtype=pl.String))
    codes = texts.cast(pl.Enum(raw)).to_physical().cast(pl.Int32).fill_null(-1).to_numpy()
    clean = raw.str.strip_chars()
    missing = clean.str.to_lowercase().is_in(list(MISSING_WORDS))
    spaced = ((clean != raw) & ~missing).to_numpy()
    kept = clean.filter(~missing)
    if len(kept) and kept.str.contains(r"^-?\d+\.0$").all():  # a float column that went through text
        clean = clean.str.strip_suffix(".0")
    names = clean.filter(~missing).unique().sort()
    to = _rows_in(clean, names)
    to[missing.to_numpy()] = -1
    table = np.append(to, np.int32(-1))
    n_spaces = int(np.append(spaced, False)[codes].sum())
    return Coded(table[codes], names, n_spaces)


def match_ids(names: pl.Series, others: pl.Series) -> Matched:
    """Join ids of two files: exactly; else without a ".0" at the end; else without zeros in front.

    A looser rule joins only what is left, and only where one single id of the other file has that form.
    """
    to = _rows_in(names, others)
    by_rule: dict[str, Codes] = {}
    for rule, pattern in (
        ("without '.0' at the end", r"^(-?\d+)\.0+$"),
        ("without zeros in front", r"^0*(\d+?)(?:\.0+)?$"),
    ):
        left = np.flatnonzero(to < 0).astype(np.int32)
        if not len(left):
            break
        ours = names.gather(left).str.replace(pattern, "${1}")
        theirs = pl.DataFrame({"key": others.str.replace(pattern, "${1}")}).with_row_index("row")
        theirs = theirs.filter(pl.len().over("key") == 1)
        found = pl.DataFrame({"key": ours}).join(theirs, on="key", how="left", maintain_order="left")["row"]
        rows = found.cast(pl.Int32).fill_null(-1).to_numpy()
        if (rows >= 0).any():
            to[left] = rows
            by_rule[rule] = left[rows >= 0]
    return Matched(to, by_rule)


def differing_by_case(names: pl.Series) -> pl.Series:
    """Ids that are another id in other letter case, sorted."""
    low = pl.DataFrame({"id": names, "low": names.str.to_lowercase()})
    return low.filter(pl.len().over("low") > 1).sort("low", "id")["id"]


def used_only(coded: Coded) -> Coded:
    """Drop names that no code uses any more; the order stays."""
    present = np.zeros(len(coded.names) + 1, bool)
    present[coded.codes] = True
    keep = present[:-1]
    if keep.all():
        return coded
    new = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1).astype(np.int32)
    return Coded(new[coded.codes], coded.names.filter(pl.Series(keep)))


def _rows_in(names: pl.Series, others: pl.Series) -> Codes:
    """Row of each name in `others`, -1 where it is not there."""
    right = pl.DataFrame({"id": others}).with_row_index("row")
    found = pl.DataFrame({"id": names}).join(right, on="id", how="left", maintain_order="left")["row"]
    return np.array(found.cast(pl.Int32).fill_null(-1).to_numpy())
