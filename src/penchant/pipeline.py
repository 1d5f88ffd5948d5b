"""From a log to a model. Read `fit_log` top to bottom to know the system.

Each stage is one call: data in, data out. Stages never import each other; this file alone knows the order. To add an
encoder, add a file and a row in `encode/`; nothing here changes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant import represent as represent_methods
from penchant.artefacts import fingerprint
from penchant.config import Config, RunOptions
from penchant.data import Events, InterestTree, Log, Vectors
from penchant.encode import check_tuning
from penchant.errors import ConfigError, DataError
from penchant.interests.layers import fit_forecast
from penchant.interests.past import past_shares
from penchant.interests.profiles import make_profiles
from penchant.interests.tree import assign_by_text, build_tree
from penchant.io import read_log
from penchant.model import Model
from penchant.progress import maybe_step
from penchant.protocols import Encoder
from penchant.recommend import choose as recommend_methods
from penchant.recommend import fit_recommender
from penchant.recommend.signals import signal_names
from penchant.represent import represent
from penchant.segments import segment_users
from penchant.segments.algorithms import METHODS as CLUSTERINGS
from penchant.start import read_start, read_texts, source_of
from penchant.threads import one_thread


def fit(
    events: Any,
    items: Any = None,
    attributes: Any = None,
    *,
    config: Config | None = None,
    run: RunOptions | None = None,
) -> Model:
    """Fit a model on a log: paths, globs, or any table that speaks Arrow (Polars, pandas, DuckDB, PyArrow).

    Args:
        events: one row an event: `user_id`, `item_id`, and where known `action`, `timestamp`, `value`, `text`.
        items: the catalogue: `item_id`, `title`, ...; may be missing.
        attributes: one row a user; describes segments, never shapes interests.
        config: what changes results; see `penchant.Config`.
        run: what changes only the run (device, cache, progress).

    Raises:
        DataError: a table can't be used; the message says which rows and what to do.
        ConfigError: a setting is unknown or out of range.

    >>> import polars as pl, penchant as pc
    >>> log = pl.DataFrame({"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"], "timestamp": [1e9, 1.1e9, 1.2e9]})
    >>> pc.fit(log).profile("a").user_id
    'a'
    """
    config = config or Config()
    run = run or RunOptions()
    step = partial(maybe_step, run=run)
    with step("reading"):
        log = read_log(events, items, attributes, config=config.io)
    return fit_log(log, config, run)


def fit_log(log: Log, config: Config, run: RunOptions) -> Model:
    """Fit a model on a log already read: the stages in their order."""
    if not len(log.events):
        raise DataError("events: no event is left after cleaning; run 'penchant doctor' on the file to see why")
    check_settings(config)
    events, items, seed = log.events, log.items, config.seed
    step = partial(maybe_step, run=run)

    source = read_start(config, run)
    with step("encoding texts"):
        encoder, text = read_texts(events, items, config, run, source)
    with step("representing behaviour"):
        begun = source_of(source)
        space, representation = represent(events, items, text, config.represent, run, seed=seed, source=begun)
    with step("growing the interest tree"):
        tree = build_tree(space, items, events, config.interests, seed=seed)
        text_membership = place_text_events(events, tree, encoder, config)
    with step("forecasting layers"):
        forecast = fit_forecast(events, tree, config.interests, seed=seed, text_membership=text_membership)
        profiles = make_profiles(events, items, tree, forecast, config.interests, text_membership=text_membership)
    with step("finding segments"):
        past = past_shares(events, tree, config.interests, text_membership=text_membership)
        segments = segment_users(profiles, tree, events.n_users, config.segments, seed=seed, past=past)
    with step("training the recommender"):
        recommender = fit_recommender(
            events,
            items,
            space,
            tree,
            config.recommend,
            seed=seed,
            half_lives=(config.interests.half_life_days, config.interests.short_half_life_days),
        )

    return Model(
        config=config,
        user_ids=events.user_ids,
        clock=events.clock,
        items=items,
        encoder=encoder,
        space=space,
        representation=representation,
        tree=tree,
        forecast=forecast,
        profiles=profiles,
        segments=segments,
        recommender=recommender,
        attributes=log.attributes,
        findings=log.findings,
        facts={
            **log.facts,
            "encoder": encoder.name if encoder is not None else "none (no item has a text)",
            **({} if source is None else {"started_from": source.facts["data_fingerprint"]}),
            "data_fingerprint": fingerprint(events.table, items.table),
            "n_events": len(events),
            "n_users": events.n_users,
            "n_items": len(items),
        },
    )


def check_settings(config: Config) -> None:
    """Refuse a method that does not exist or can't run here, before any work is done.

    Raises:
        ConfigError: names the setting and the nearest method. MissingExtraError: says what to install.
    """
    check_tuning(config.encode)
    represent_methods.check_method(config.represent.method)
    if config.represent.start_from:
        represent_methods.check_start(config.represent.method)
    missing = CLUSTERINGS[config.segments.method].missing()
    if missing:
        raise ConfigError(f"segments.method '{config.segments.method}': {missing}")
    recommend_methods.check_method(config.recommend.method, signal_names(has_text=True))


def place_text_events(
    events: Events, tree: InterestTree, encoder: Encoder | None, config: Config
) -> sp.csr_array | None:
    """Membership of the events that carry a text and no item (searches, posts), or None if there are none.

    Returns:
        (n_text_events, n_leaves), in the order of the events whose `item_row` is -1.
    """
    if encoder is None or tree.text_centroids is None or "text" not in events.table.columns:
        return None
    texts = events.table.filter(pl.col("item_row") < 0)["text"].fill_null("")
    if texts.is_empty():
        return None
    distinct = texts.unique(maintain_order=True)
    with one_thread():  # the order of sums, and so the last bits, would follow the number of threads
        vectors = Vectors(encoder.encode(distinct.to_list()), encoder.name)
        membership = assign_by_text(tree, vectors, config.interests)
    position = texts.to_frame("text").join(
        distinct.to_frame("text").with_row_index("row"), on="text", how="left", maintain_order="left"
    )["row"]
    return sp.csr_array(membership[position.to_numpy().astype(np.int64)])
