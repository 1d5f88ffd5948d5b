"""What the tests of rivals share: a small market, quick settings, and where RecTools is."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from penchant.config import Config, RunOptions, build_config
from penchant.data import Events, IntArray, Items
from penchant.evaluate.peers import Peer
from penchant.rivals import fit_rivals
from penchant.rivals.rectools import MODELS, VARIABLE
from tests.scorers.logs import make_items, taste_log

N_ITEMS, K = 40, 5
_LETTERS = np.random.default_rng(5).choice(list("abcdefghijklmnop"), (N_ITEMS, 12))
TITLES: list[str | None] = [
    f"{'red lamp' if i < N_ITEMS // 2 else 'blue bowl'} {''.join(_LETTERS[i, :6])} {''.join(_LETTERS[i, 6:])}"
    if i % 7
    else None
    for i in range(N_ITEMS)
]
QUICK: dict[str, Any] = {
    "encode": {"method": "tfidf", "n_dims": 16},
    "represent": {
        "n_factors": 8,
        "min_item_events": 1,
        "neural": {"n_dims": 8, "n_epochs": 2, "batch_size": 32, "max_length": 10, "patience": 2},
        "word2vec": {"n_epochs": 3},
    },
    "recommend": {"n_candidates": 30, "min_window_users": 5},
    "evaluate": {"k": K},
}
needs_rectools = pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no environment of RecTools")


def quick(**sections: dict[str, Any]) -> Config:
    """QUICK with some sections' settings changed."""
    return build_config({**QUICK, **{name: {**QUICK.get(name, {}), **told} for name, told in sections.items()}})


def market() -> tuple[Events, Items, IntArray]:
    """Train, catalogue and the users whose lists are asked for."""
    return taste_log(n_items=N_ITEMS), make_items(N_ITEMS, TITLES), np.arange(0, 60, 2, dtype=np.int32)


def fit_one(
    name: str,
    log: Events | None = None,
    items: Items | None = None,
    users: IntArray | None = None,
    config: Config | None = None,
    k: int = K,
) -> Peer:
    train, catalogue, asked = market()
    return fit_rivals(
        train if log is None else log,
        catalogue if items is None else items,
        [name],
        asked if users is None else users,
        config or quick(),
        RunOptions(device="cpu"),
        k=k,
    )[name]


def params(names: list[str]) -> list[Any]:
    """Names as parameters of a test; those of RecTools are skipped where it is not installed."""
    return [pytest.param(name, marks=needs_rectools) if name in MODELS else name for name in names]
