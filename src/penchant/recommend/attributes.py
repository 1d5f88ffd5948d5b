"""How an item's price and attributes fit what a user took: signals that only order, and bring no candidate.

    price(u, i)      = -|log price(i) - m(u)| / s(u)

with m and s the mean and the spread of the log prices of u's likes, each like halved with every 20 later ones of the
user's own, and the catalogue's mean and spread counting as PRIOR likes: somebody who buys within narrow bounds is told
more of than somebody who buys at any price.

    attributes(u, i) = mean over u's likes j, faded alike, of cos(a(i), a(j)) - 1

with a(i) the item's values (its categories, its domain, and every other column of texts, lists of texts or truths whose
values several items share), each weighted by how rare it is: log(items / items that have it). Numbers other than the
price are not read: counts and ratings of a catalogue often tell what came later.

Both are at most 0, so they order what others bring ("a signal brings what it scores above zero"): thousands of items
cost the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.data import FloatArray, Items

PRIOR = 5.0  # likes that the catalogue's mean and spread of prices count as
LEAST_SPREAD = 0.05  # of log prices: within 5 % is the same price
MIN_ITEMS = 2  # items that must share a value
MIN_PER_VALUE = 2.0  # items a value of a text column, on average: more different texts than that are no attribute
NOT_READ = ("item_id", "title", "text", "in_catalogue")
_PRICE = re.compile(r"(^|_)price$")


@dataclass(frozen=True)
class ItemFacts:
    """log_price: (n_items,) NaN where unknown; None where the catalogue has no price · attributes: (n_items, n_values)
    unit rows; None where it has none.
    """

    log_price: FloatArray | None = None
    attributes: sp.csr_array | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The signals that can be read of these facts."""
        both = {"attributes": self.attributes, "price": self.log_price}
        return tuple(name for name, known in both.items() if known is not None)

    def score(self, name: str, past: sp.csr_array) -> FloatArray:
        """(n_users, n_items) of "price" or "attributes"; a user with nothing to go by gets one number for all items.

        Args:
            past: (n_users, n_items) what is left of each like.
        """
        if name == "price":
            assert self.log_price is not None
            return _price_fit(past, self.log_price)
        assert self.attributes is not None
        total = np.maximum(np.asarray(past.sum(axis=1)), 1e-9)
        taken = np.asarray((past @ self.attributes).toarray(), np.float32) / total[:, None].astype(np.float32)
        return np.ascontiguousarray((self.attributes @ taken.T).T, np.float32) - np.float32(1)


def read_facts(items: Items) -> ItemFacts:
    """Read price and attributes of a catalogue; what it does not have is None.

    The price is the numeric column `price`, else the first whose name ends in `_price`; only prices above zero count.
    """
    return ItemFacts(_log_price(items.table), _attributes(items.table))


def _log_price(table: pl.DataFrame) -> FloatArray | None:
    names = [n for n, kind in table.schema.items() if kind.is_numeric() and _PRICE.search(n)]
    if not names:
        return None
    price = table["price" if "price" in names else names[0]].cast(pl.Float64).to_numpy()
    known = np.isfinite(price) & (price > 0)
    out = np.full(len(price), np.nan, np.float32)
    out[known] = np.log(price[known])
    return out if len(np.unique(out[known])) > 1 else None


def _attributes(table: pl.DataFrame) -> sp.csr_array | None:
    parts = []
    for name, kind in table.schema.items():
        if name in NOT_READ or kind not in (pl.String, pl.Boolean, pl.List(pl.String)):
            continue
        column = table.select(item=pl.int_range(pl.len()), value=pl.col(name))
        if kind == pl.List(pl.String):
            column = column.explode("value")
        column = column.drop_nulls().unique(maintain_order=True)
        n_values = column["value"].n_unique()
        if kind == pl.String and column.height < MIN_PER_VALUE * n_values:
            continue
        shared = column.filter(pl.len().over("value") >= MIN_ITEMS)
        parts.append(shared.select("item", value=pl.lit(f"{name}=") + pl.col("value").cast(pl.String)))
    pairs = pl.concat(parts) if parts else pl.DataFrame()
    if not pairs.height:
        return None
    codes, value = np.unique(pairs["value"].to_numpy(), return_inverse=True)
    rare = np.log(table.height / np.bincount(value))
    row = pairs["item"].to_numpy()
    norm = np.sqrt(np.bincount(row, rare[value] ** 2, table.height))
    keep = rare[value] > 0  # what every item has says nothing
    data = (rare[value] / np.maximum(norm[row], 1e-9))[keep].astype(np.float32)
    out = sp.csr_array((data, (row[keep], value[keep])), shape=(table.height, len(codes)))
    out.sort_indices()
    return out if out.nnz else None


def _price_fit(past: sp.csr_array, log_price: FloatArray) -> FloatArray:
    known = np.isfinite(log_price)
    x = np.where(known, log_price, 0.0)
    middle, spread = float(x[known].mean()), float(x[known].std())
    x = np.where(known, x - middle, 0.0)  # beside the catalogue's mean: sums of squares stay exact
    sums = np.asarray(past @ np.column_stack([known, x, x**2]))
    mean = sums[:, 1] / (sums[:, 0] + PRIOR)
    square = (sums[:, 2] + PRIOR * (spread**2)) / (sums[:, 0] + PRIOR)
    width = np.sqrt(np.maximum(square - mean**2, LEAST_SPREAD**2))
    score = -np.abs(x[None, :].astype(np.float32) - mean[:, None].astype(np.float32)) / width[:, None].astype(
        np.float32
    )
    usual = np.where(known[None, :], score, 0.0).sum(axis=1) / known.sum()
    score = np.where(known[None, :], score, usual[:, None])  # an unknown price speaks neither for nor against
    return np.asarray(np.where(sums[:, :1] > 0, score, 0.0), np.float32)
