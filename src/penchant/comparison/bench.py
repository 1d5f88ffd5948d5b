"""One bench for all candidates: the same split, texts, interest tree, user rows and questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant.artefacts import fingerprint
from penchant.config import Config, RunOptions
from penchant.data import Events, FloatArray, IntArray, InterestTree, Items, Log, Vectors
from penchant.errors import DataError
from penchant.evaluate.split import split_by_time
from penchant.interests.past import interest_shares, leaf_shares, past_shares
from penchant.interests.tree import build_tree
from penchant.interests.windows import History
from penchant.progress import maybe_step
from penchant.represent import represent
from penchant.segments.choose import choose_n
from penchant.segments.recipe import Recipe
from penchant.segments.rows import rows_of_shares
from penchant.start import read_start, read_texts


@dataclass(frozen=True)
class Bench:
    """What every candidate is measured on. Nothing here has seen an event after the cut, but the questions.

    train: events before the cut. targets: (n_users, n_items) what known users newly took after it. user_rows: those
    with a target. seen: items already acted on, never recommended. membership: (n_items, n_leaves) of the one tree.
    rows: (n_users, n_nodes) rows of interests at the cut, to be clustered. n_segments: asked of every clustering: the
    one given, or chosen inside the past with k-means. later: (n_users, n_leaves) shares after it.
    truth: name -> (n_users,) int32 labels, -1 = unknown. key: of the data and every setting that is the same for all.
    """

    config: Config
    train: Events
    items: Items
    text: Vectors | None
    targets: sp.csr_array
    user_rows: IntArray
    seen: sp.csr_array
    membership: sp.csr_array
    rows: FloatArray
    n_segments: int
    later: sp.csr_array
    truth: Mapping[str, IntArray]
    key: str


def make_bench(log: Log, truth: Mapping[str, pl.Series], config: Config, run: RunOptions) -> Bench:
    """Cut the log in time, and lay out once what all candidates share.

    The tree is grown on the default representation of the past, so that no candidate is judged by its own tree.

    Args:
        log: all events. truth: name -> labels, one a user of the log (null = unknown).
    Raises:
        DataError: the log is too short to hold out a window, or no known user took anything new in it.
    """
    split = split_by_time(log.events, config.evaluate.test_share)
    targets = split.targets(len(log.items), config.evaluate.cold_items)
    users = np.flatnonzero(np.diff(targets.indptr) > 0).astype(np.int32)
    if not len(users):
        raise DataError(
            f"events: no known user took an unseen item in the last {config.evaluate.test_share:.0%} of the log; "
            "there is nothing to compare on"
        )
    with maybe_step("encoding texts", run):
        source = read_start(config, run)
        _, text = read_texts(split.train, log.items, config, run, source)
    with maybe_step("growing the interest tree", run):
        plain = config.represent.model_copy(update={"method": "factors", "start_from": ""})
        space, _ = represent(split.train, log.items, text, plain, run, seed=config.seed)
        tree = build_tree(space, log.items, split.train, config.interests, seed=config.seed)
    with maybe_step("laying out users", run):
        rows = rows_of_shares(interest_shares(History(split.train), tree, config.interests), tree, config.segments)
        n_segments = _number(split.train, tree, rows.weights, config)
    settings = config.model_dump(exclude={"recommend"}, mode="json")
    settings["started_from"] = source.facts["data_fingerprint"] if source is not None else ""
    tables = (log.events.table, log.items.table, *(s.rename("t").to_frame() for _, s in sorted(truth.items())))
    return Bench(
        config=config,
        train=split.train,
        items=log.items,
        text=text,
        targets=targets,
        user_rows=users,
        seen=split.seen(len(log.items)),
        membership=tree.membership,
        rows=rows.values,
        n_segments=n_segments,
        later=leaf_shares(split.test, tree),
        truth={name: _codes(labels) for name, labels in truth.items()},
        key=f"{fingerprint(*tables)}-{fingerprint(pl.DataFrame({'settings': [repr(sorted(settings.items()))]}))}",
    )


def _number(train: Events, tree: InterestTree, weights: FloatArray, config: Config) -> int:
    """The number given, or the one that `fit` would choose from these events."""
    settings = config.segments
    if settings.n_segments != "auto":
        return settings.n_segments
    past = past_shares(train, tree, config.interests)
    rows = rows_of_shares(past.before, tree, settings, weights=weights).values
    choice = choose_n(
        rows,
        Recipe(),
        max_segments=settings.max_segments,
        max_users=settings.n_choice_users,
        seed=config.seed,
        later=past.after,
    )
    return choice.n_segments or 1


def _codes(labels: pl.Series) -> IntArray:
    names = labels.drop_nulls().unique().sort()
    codes = labels.to_frame("label").join(
        names.to_frame("label").with_row_index("code"), on="label", how="left", maintain_order="left"
    )["code"]
    return codes.cast(pl.Int32).fill_null(-1).to_numpy()
