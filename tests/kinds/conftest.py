"""The small market of the recommender's tests as a whole model: three groups of items, three segments of users."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from penchant.config import Config
from penchant.data import Items, Profiles, Segments
from penchant.model import Model
from tests.recommend.conftest import N_GROUPS, N_USERS, fit_market, make_market


def points(rows: list[tuple[int, int, float, float]]) -> Profiles:
    """Leaf points (user_row, interest_row, share, probability); core from 0.5, secondary from 0.15."""
    schema = {"user_row": pl.Int32, "interest_row": pl.Int32, "share": pl.Float32, "probability": pl.Float32}
    table = pl.DataFrame(rows, schema=schema, orient="row").sort("user_row", "interest_row")
    p = pl.col("probability")
    layer = pl.when(p >= 0.5).then(0).when(p >= 0.15).then(1).otherwise(2).cast(pl.Int8)
    return Profiles(table.with_columns(level=pl.lit(2, pl.Int32), affinity=pl.col("share"), layer=layer), 0.0)


def with_columns(model: Model, **columns: Any) -> Model:
    """The model with other columns of the catalogue."""
    return replace(model, items=Items(model.items.table.with_columns(**columns)))


@pytest.fixture(scope="session")
def small() -> Model:
    market = make_market()
    group = np.arange(N_USERS + 1, dtype=np.int32) % N_GROUPS
    group[N_USERS] = -1  # the user without an event
    names = ["Apple people", "Boat people", "Cat people"]
    table = pl.DataFrame({"segment_id": ["s1", "s2", "s3"], "name": names})
    segments = Segments(group, table, np.eye(N_GROUPS, dtype=np.float32), {}, np.ones(4, np.float32))
    unused: Any = None
    return Model(
        config=Config(),
        user_ids=market.events.user_ids,
        clock="time",
        items=market.items,
        encoder=None,
        space=market.space,
        representation=unused,
        tree=market.tree,
        forecast=unused,
        profiles=points([(u, u % N_GROUPS, 1.0, 0.9) for u in range(N_USERS)]),
        segments=segments,
        recommender=fit_market(market),
        attributes=None,
        findings=(),
        facts={},
    )
