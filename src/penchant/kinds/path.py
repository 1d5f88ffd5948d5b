"""Lists in which order matters: prerequisites come first, levels rise (courses, series, skills).

The catalogue says so in two columns, either of which is enough: `requires`, the items to take before (a list, or ids
with "|" between them), and `level`, a number. The list is filled from the user's recommendations, best first, each with
all that it requires and the user has not taken, as long as that fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from penchant.data import BoolArray, FloatArray, IntArray, Items
from penchant.errors import DataError
from penchant.io.ids import id_texts
from penchant.tables import Language, gather, recommendations_in_parts

if TYPE_CHECKING:
    from penchant.model import Model

POOL = 100  # recommendations a path is made of, or five times k where that is more
NEEDED: dict[Language, str] = {"en": "Needed before “{title}”", "zh": "学习“{title}”之前需要"}


def learning_path(model: Model, user_id: str, k: int, language: Language, allowed: BoolArray | None) -> pl.DataFrame:
    """At most k items for one user, in an order in which they can be taken.

    What the user touched counts as taken. An item that requires more than there is room for, or something that may not
    be listed, is passed over; places that stay free hold the first steps towards the best item passed over for room.

    Args:
        allowed: (n_items,) what may be listed, prerequisites too; None = all.
    Returns:
        user_id, item_id, title, rank (from 1: the order to take them in), level (null: none), needed_for (the item it
        was added for; null where the list holds it for itself), score (null where it was not recommended),
        interest_id, layer, reason.
    Raises:
        DataError: the catalogue has neither column, a level is no number, or `requires` names an unknown item or goes
            in a circle.
    """
    items = model.items
    levels, needs = read_levels(items), read_requires(items)
    if levels is None and needs is None:
        raise DataError(
            "items: a path needs a column 'requires' (ids of the items to take before, with '|' between them) or "
            "'level' (a number); this model's catalogue has neither: add one and fit the model again"
        )
    found = pl.concat(recommendations_in_parts(model, [user_id], max(POOL, 5 * k), language, allowed, why=False))
    goals = model.item_rows(found["item_id"].to_list())
    before = missing_before(needs, goals, _taken(model, user_id)) if needs is not None else None
    chosen = choose_steps(goals, before, needs, k, allowed)
    steps = in_order(chosen, needs, levels)
    return _table(model, user_id, steps, chosen, levels, found, language)


def read_requires(items: Items) -> sp.csr_array | None:
    """(n_items, n_items) 1 where the row requires the column; None without such a column.

    >>> table = pl.DataFrame({"item_id": ["a", "b", "c"], "title": "", "text": "", "categories": [[], [], []],
    ...     "requires": [None, "a", "a|b"]})
    >>> read_requires(Items(table)).toarray().astype(int).tolist()
    [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    """
    if "requires" not in items.table.columns:
        return None
    column = items.table["requires"]
    if not isinstance(column.dtype, pl.List | pl.Array):
        text = id_texts(column, "items").str.strip_chars()
        written = text.str.starts_with("[").fill_null(value=False)  # a JSON list, as our own CSV files have it
        lists = text.set(written, None).str.split("|")
        column = lists.zip_with(~written, text.set(~written, None).str.json_decode(pl.List(pl.String)))
    pairs = pl.DataFrame({"row": np.arange(len(items), dtype=np.int32), "requires": column}).explode("requires")
    named = id_texts(pairs["requires"], "items").str.strip_chars()
    pairs = pairs.with_columns(named).filter(pl.col("requires").is_not_null() & (pl.col("requires") != ""))
    known = pl.DataFrame({"requires": items.item_ids, "needed": np.arange(len(items), dtype=np.int32)})
    pairs = pairs.join(known, on="requires", how="left", maintain_order="left").unique(maintain_order=True)
    lost = pairs.filter(pl.col("needed").is_null())
    if lost.height:
        raise DataError(
            f"items: column 'requires': {lost.height:,} entries name items that are not in this model ('"
            f"{items.item_ids[lost['row'][0]]}' requires '{lost['requires'][0]}'); add these items or take them out"
        )
    ones = np.ones(pairs.height, np.float32)
    needs = sp.csr_array((ones, (pairs["row"].to_numpy(), pairs["needed"].to_numpy())), shape=(len(items),) * 2)
    _check_circles(needs, items)
    return needs


def read_levels(items: Items) -> FloatArray | None:
    """(n_items,) level of each item, NaN where it has none; None without such a column.

    Raises:
        DataError: the column holds something else than numbers.
    """
    if "level" not in items.table.columns:
        return None
    column = items.table["level"]
    if not column.dtype.is_numeric():
        raise DataError(f"items: column 'level' must hold numbers. Got {column.dtype}; number the levels from 1")
    return column.cast(pl.Float32).fill_null(float("nan")).to_numpy()


def missing_before(needs: sp.csr_array, goals: IntArray, taken: BoolArray) -> sp.csr_array:
    """(n_goals, n_items) what each goal requires, over any number of steps, and is not taken yet.

    What a taken item required is not asked for again.

    >>> chain = sp.csr_array(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32))  # c requires b, b requires a
    >>> missing_before(chain, np.array([2]), np.array([False, False, False])).indices.tolist()
    [0, 1]
    >>> missing_before(chain, np.array([2]), np.array([False, True, False])).nnz
    0
    """
    still = sp.csr_array(needs @ sp.diags_array((~taken).astype(np.float32)))
    still.eliminate_zeros()
    reached = new = sp.csr_array(still[goals])
    while new.nnz:  # one round a step of the longest chain
        ahead = sp.csr_array(new @ still)
        ahead.data[:] = 1.0
        new = sp.csr_array(ahead - ahead.multiply(reached))
        new.eliminate_zeros()
        reached = sp.csr_array(reached + new)
    reached.sort_indices()
    return reached


def choose_steps(
    goals: IntArray, before: sp.csr_array | None, needs: sp.csr_array | None, k: int, allowed: BoolArray | None
) -> dict[int, int]:
    """Item -> the goal it is there for (itself where it is one), at most k, best goals first.

    Every item comes with all that it misses, or after it: what is chosen can be taken.
    """
    chosen: dict[int, int] = {}
    too_long: list[tuple[int, list[int]]] = []
    for place, goal in enumerate(goals.tolist()):
        if len(chosen) == k:
            break
        missing = [] if before is None else before.indices[before.indptr[place] : before.indptr[place + 1]].tolist()
        if goal in chosen or (allowed is not None and not allowed[missing].all()):
            continue
        more = [item for item in missing if item not in chosen]
        if len(chosen) + len(more) + 1 > k:
            too_long.append((goal, missing))
            continue
        chosen |= dict.fromkeys([*more, goal], goal)
    for goal, missing in too_long:
        first = in_order(dict.fromkeys(missing, goal), needs, None)
        steps = [item for item in first if item not in chosen]
        chosen |= dict.fromkeys(steps[: k - len(chosen)], goal)
    return chosen


def in_order(chosen: dict[int, int], needs: sp.csr_array | None, levels: FloatArray | None) -> list[int]:
    """The chosen items: what an item requires before it, levels never falling, else in the order of their goals.

    An item counts at least the level of what it requires; one without a level comes as early as it may.
    """
    goal_place = {goal: place for place, goal in enumerate(dict.fromkeys(chosen.values()))}
    graph = {item: [n for n in _needed(needs, item) if n in chosen] for item in chosen}
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    ready: list[tuple[float, int, int]] = []
    level: dict[int, float] = {}
    out: list[int] = []
    while sorter.is_active():
        for item in sorter.get_ready():
            own = float("-inf") if levels is None or np.isnan(levels[item]) else float(levels[item])
            level[item] = max([own, *(level[n] for n in graph[item])])
            heappush(ready, (level[item], goal_place[chosen[item]], item))
        *_, item = heappop(ready)
        out.append(item)
        sorter.done(item)
    return out


def _needed(needs: sp.csr_array | None, item: int) -> list[int]:
    return [] if needs is None else needs.indices[needs.indptr[item] : needs.indptr[item + 1]].tolist()


def _check_circles(needs: sp.csr_array, items: Items) -> None:
    _, part = connected_components(needs, directed=True, connection="strong")
    in_circle = (np.bincount(part)[part] > 1) | (needs.diagonal() > 0)
    if not in_circle.any():
        return
    first = part[int(np.flatnonzero(in_circle)[0])]
    members = np.flatnonzero(part == first).tolist()
    try:
        TopologicalSorter({item: _needed(needs, item) for item in members}).prepare()
    except CycleError as error:
        circle = " -> ".join(f"'{items.item_ids[item]}'" for item in reversed(error.args[1]))
        raise DataError(
            f"items: column 'requires' goes in a circle: {circle} (-> means requires); take one of them out"
        ) from None


def _taken(model: Model, user_id: str) -> BoolArray:
    """(n_items,) what the user touched; nothing for an unknown one."""
    taken = np.zeros(len(model.items), np.bool_)
    row = int(model.user_rows([user_id])[0])
    touched = model.recommender.past.touched
    if row >= 0:
        taken[touched.indices[touched.indptr[row] : touched.indptr[row + 1]]] = True
    return taken


def _table(
    model: Model,
    user_id: str,
    steps: Sequence[int],
    chosen: dict[int, int],
    levels: FloatArray | None,
    found: pl.DataFrame,
    language: Language,
) -> pl.DataFrame:
    items = pl.Series("row", steps, dtype=pl.Int32)
    goals = pl.Series("goal", [-1 if chosen[s] == s else chosen[s] for s in steps], dtype=pl.Int32)
    ids, titles = model.items.item_ids, pl.Series(model.items.titles, dtype=pl.String)
    level = (
        pl.Series(levels, dtype=pl.Float32)
        if levels is not None
        else pl.repeat(None, len(ids), dtype=pl.Float32, eager=True)
    )
    needed = gather(titles, goals)
    own = found.select("item_id", "score", "interest_id", "layer", "reason")
    leaf = gather(model.tree.nodes["interest_id"], gather(pl.Series(model.tree.leaf_of_item), items))
    table = pl.DataFrame(
        {
            "user_id": pl.Series([user_id] * len(steps), dtype=pl.String),
            "item_id": gather(ids, items),
            "title": gather(titles, items),
            "rank": pl.Series(np.arange(1, len(steps) + 1), dtype=pl.Int32),
            "level": gather(level, items).fill_nan(None),
            "needed_for": gather(ids, goals),
            "leaf": leaf,
            "needed": needed,
        }
    )
    before, after = NEEDED[language].split("{title}")
    said = pl.when(pl.col("needed").is_not_null()).then(pl.concat_str(pl.lit(before), "needed", pl.lit(after)))
    return (
        table.join(own, on="item_id", how="left", maintain_order="left")
        .with_columns(pl.coalesce("interest_id", "leaf").alias("interest_id"), said.otherwise("reason").alias("reason"))
        .drop("leaf", "needed")
    )
