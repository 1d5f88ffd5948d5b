"""Small made-up catalogues whose clusters are known."""

import numpy as np
import polars as pl

from penchant.data import Events, Items, ItemSpace, Vectors, unit_rows

WORDS = "apple brick canoe drum eagle flute grape hotel igloo jacket kettle ladder melon needle olive piano".split()


def mixture(n=300, k=6, d=24, noise=0.5, seed=0):
    """(n, d) unit rows around k centres, with nuisance directions that all share, and the (n,) true clusters."""
    rng = np.random.default_rng(seed)
    size = np.exp(0.4 * rng.normal(size=k))
    truth = np.sort(rng.choice(k, size=n, p=size / size.sum()))
    centres = rng.normal(size=(k, d))
    spread = np.linspace(2.0, 0.5, d)
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return unit_rows(centres[truth] + noise * (rng.normal(size=(n, d)) * spread) @ rotation), truth


def items_of(titles, texts=None, categories=None):
    n = len(titles)
    return Items(
        pl.DataFrame(
            {
                "item_id": [f"x{i}" for i in range(n)],
                "title": titles,
                "text": texts or [None] * n,
                "categories": categories or [[] for _ in range(n)],
            },
            schema={"item_id": pl.String, "title": pl.String, "text": pl.String, "categories": pl.List(pl.String)},
        )
    )


def events_of(n_items, n_users=5):
    """Each item once, by users in turn."""
    table = pl.DataFrame(
        {
            "user_row": np.arange(n_items, dtype=np.int32) % n_users,
            "item_row": np.arange(n_items, dtype=np.int32),
            "action": np.zeros(n_items, np.int16),
            "weight": np.ones(n_items, np.float32),
            "time": np.arange(n_items, dtype=np.float64),
        }
    )
    return Events(table, pl.Series([f"u{i}" for i in range(n_users)]), ("view",))


def space_of(values, text=True):
    vectors = Vectors(values, "made up")
    return ItemSpace(vectors, text=vectors if text else None)


def catalogue(n=300, k=6, seed=0, **more):
    """Space, items and events of a mixture; every title holds its cluster's word, and the words of all."""
    values, truth = mixture(n, k, seed=seed, **more)
    titles = [f"{WORDS[t].title()} thing {WORDS[(i * 7) % len(WORDS)]}" for i, t in enumerate(truth)]
    return space_of(values), items_of(titles), events_of(n), truth
