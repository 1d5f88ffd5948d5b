"""Which items may be recommended: ids that are allowed or not, and conditions on columns of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from penchant.data import BoolArray, Items
from penchant.errors import ConfigError, DataError, NotFoundError, did_you_mean

_CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*")
OPERATORS = "=, !=, <, <=, >, >="


@dataclass(frozen=True)
class ItemFilter:
    """only: ids that may be listed (None = all) · without: ids that may not · where: conditions that all must hold ·
    domain: the one domain that may be listed (None = all).

    A condition is `column=value`, with `!=`, `<`, `<=`, `>` or `>=` too; `a|b` is either value. A column of lists
    (categories) holds a value if one of its entries is equal. Missing values satisfy `!=` alone. Dates are written
    2026-11-22.
    """

    only: Sequence[str] | None = None
    without: Sequence[str] = ()
    where: Sequence[str] = ()
    domain: str | None = None

    def allowed(self, items: Items) -> BoolArray | None:
        """(n_items,) which items may be listed; None: all.

        Raises:
            ConfigError: a condition that can't be read, or on a column the catalogue does not have.
            DataError: an id of `only` is none of the catalogue, or no item is left. NotFoundError: no such domain.

        >>> catalogue = pl.DataFrame({"item_id": ["a", "b"], "title": "", "text": "", "categories": [["x"], ["y"]],
        ...     "price": [3, 30]})
        >>> ItemFilter(where=["price < 20", "categories=x|z"]).allowed(Items(catalogue)).tolist()
        [True, False]
        """
        if self.only is None and not self.without and not self.where and self.domain is None:
            return None
        keep = pl.lit(value=True) if self.domain is None else pl.lit(pl.Series(domain_items(items, self.domain)))
        if self.only is not None:
            asked = [str(i) for i in self.only]
            known = items.item_ids.is_in(asked)
            if int(known.sum()) < len(set(asked)):
                lost = sorted(set(asked) - set(items.item_ids.filter(known).to_list()))
                raise DataError(
                    f"only: {len(lost):,} of {len(set(asked)):,} items are not in this model ('{lost[0]}'"
                    f"{', ...' if len(lost) > 1 else ''}); leave them out"
                )
            keep = keep & pl.col("item_id").is_in(asked)
        if self.without:
            keep = keep & ~pl.col("item_id").is_in([str(i) for i in self.without])
        for condition in self.where:
            keep = keep & _condition(condition, items.table)
        kept: BoolArray = items.table.select(keep.alias("kept"))["kept"].to_numpy()
        if len(kept) == 1 != len(items):  # a literal alone
            kept = kept.repeat(len(items))
        if not kept.any():
            raise DataError(f"no item of the {len(items):,} in this model is left by {self.words()}; ask for less")
        return kept

    def words(self) -> str:
        """What is asked, for a message."""
        parts = [] if self.only is None else [f"{len(self.only):,} items allowed"]
        parts += [f"{len(self.without):,} items left out"] if self.without else []
        parts += [f"domain '{self.domain}'"] if self.domain is not None else []
        return ", ".join([*parts, *(f"'{c}'" for c in self.where)])


def domain_items(items: Items, domain: str) -> BoolArray:
    """(n_items,) the items of a domain (`domain` in the catalogue).

    Raises:
        DataError: no item has a domain. NotFoundError: none has this one; names the nearest.
    """
    known = items.table["domain"] if "domain" in items.table.columns else pl.Series(dtype=pl.String)
    if not known.count():
        raise DataError(
            "domain: no item of this model has one; give the catalogue a column 'domain' (or --columns domain=theirs) "
            "and fit the model again"
        )
    found: BoolArray = (known == domain).fill_null(value=False).to_numpy()
    if not found.any():
        words = known.drop_nulls().unique().sort().to_list()
        raise NotFoundError(f"domain '{domain}' is not in this model; {did_you_mean(domain, words)}")
    return found


def _condition(text: str, table: pl.DataFrame) -> pl.Expr:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ConfigError(f"where: '{text}' can't be read; write column, one of {OPERATORS}, value: price<20")
    name, operator, value = found.groups()
    if name not in table.columns:
        raise ConfigError(f"where: the catalogue has no column '{name}'; {did_you_mean(name, table.columns)}")
    column, kind = pl.col(name), table.schema[name]
    if operator in ("=", "!="):
        wanted = [part.strip() for part in value.split("|")]
        if isinstance(kind, pl.List):
            same = column.list.eval(pl.element().cast(pl.String).is_in(wanted)).list.any()
        elif kind.is_numeric():
            same = column.cast(pl.Float64).is_in([_number(part, text) for part in wanted])
        elif kind == pl.Boolean:
            same = column.cast(pl.String).is_in([part.lower() for part in wanted])
        else:
            same = column.cast(pl.String).is_in(wanted)
        same = same.fill_null(value=False)
        return same if operator == "=" else ~same
    if isinstance(kind, pl.List) or kind == pl.Boolean:
        raise ConfigError(f"where: '{text}': column '{name}' has no order; use = or !=")
    if kind.is_numeric():
        left, right = column.cast(pl.Float64), pl.lit(_number(value, text))
    elif kind.is_temporal():
        left, right = column.dt.to_string("iso"), pl.lit(value)
    else:
        raise ConfigError(f"where: '{text}': column '{name}' holds texts, which have no order here; use = or !=")
    compared = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]
    return compared.fill_null(value=False)


def _number(value: str, text: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"where: '{text}': '{value}' is not a number") from None
