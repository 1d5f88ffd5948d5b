"""From a log to a model. Read `fit_log` top to bottom to know the system.

Each stage is one call: data in, data out. Stages never import each other; this file alone knows the order. To add an
encoder, add a file and a row in `encode/`; nothing here changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from penchant import represent as represent_methods
from penchant.artefacts import fingerprint
from penchant.config import Config, RunOptions
from penchant.data import Events, InterestTree, Items, ItemSpace, Log, Profiles, Vectors
from penchant.dot_product import fit_dot_product
from penchant.encode import check_tuning
from penchant.errors import ConfigError, DataError
from penchant.interests.forecast import Forecast
from penchant.interests.layers import fit_forecast
from penchant.interests.past import past_shares
from penchant.interests.profiles import make_profiles
from penchant.interests.tree import assign_by_text, build_tree
from penchant.io import read_log
from penchant.model import Model
from penchant.progress import maybe_step
from penchant.protocols import Encoder, Representation
from penchant.recommend import Recommender, fit_recommender
from penchant.recommend import choose as recommend_methods
from penchant.recommend.networks import START as NETWORK
from penchant.recommend.repeats import REPEAT
from penchant.recommend.signals import OPTIONAL, check_left_out, signal_names
from penchant.represent import represent
from penchant.segments import segment_users
from penchant.segments.algorithms import METHODS as CLUSTERINGS
from penchant.start import read_start, read_texts, source_of
from penchant.threads import one_thread


@dataclass(frozen=True)
class Ground:
    """What is learned of a log before users are grouped and items recommended: texts, space, tree, profiles.

    encoder: None where no text is read · text_membership: see `place_text_events` · started_from: fingerprint of the
    log of the model in `represent.start_from`, "" without one.
    """

    encoder: Encoder | None
    space: ItemSpace
    representation: Representation
    tree: InterestTree
    text_membership: sp.csr_array | None
    forecast: Forecast
    profiles: Profiles
    started_from: str


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
    events, items = log.events, log.items
    ground = lay_ground(events, items, config, run)
    tree, profiles = ground.tree, ground.profiles
    with maybe_step("finding segments", run):
        past = past_shares(events, tree, config.interests, text_membership=ground.text_membership)
        segments = segment_users(profiles, tree, events.n_users, config.segments, seed=config.seed, past=past)
    recommender = train_recommender(events, items, ground, config, run)

    return Model(
        config=config,
        user_ids=events.user_ids,
        clock=events.clock,
        items=items,
        encoder=ground.encoder,
        space=ground.space,
        representation=ground.representation,
        tree=tree,
        forecast=ground.forecast,
        profiles=profiles,
        segments=segments,
        recommender=recommender,
        attributes=log.attributes,
        findings=log.findings,
        facts={
            **log.facts,
            "encoder": ground.encoder.name if ground.encoder is not None else _no_encoder(config),
            **({"started_from": ground.started_from} if ground.started_from else {}),
            "data_fingerprint": fingerprint(events.table, items.table),
            "n_events": len(events),
            "n_users": events.n_users,
            "n_items": len(items),
        },
    )


def lay_ground(events: Events, items: Items, config: Config, run: RunOptions) -> Ground:
    """Texts to vectors, behaviour to vectors, both to a tree of interests, and everybody's profile in it."""
    seed, step = config.seed, partial(maybe_step, run=run)
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
    started_from = source.facts["data_fingerprint"] if source is not None else ""
    return Ground(encoder, space, representation, tree, text_membership, forecast, profiles, started_from)


def train_recommender(events: Events, items: Items, ground: Ground, config: Config, run: RunOptions) -> Recommender:
    """Fit the recommender on what `lay_ground` found; `config.recommend` may differ from call to call."""
    with maybe_step("training the recommender", run):
        return fit_recommender(
            events,
            items,
            ground.space,
            ground.tree,
            config.recommend,
            seed=config.seed,
            half_lives=(config.interests.half_life_days, config.interests.short_half_life_days),
            networks={
                name: partial(fit_dot_product, name, items=items, text=ground.space.text, config=config, run=run)
                for name in config.recommend.networks
            },
        )


def _no_encoder(config: Config) -> str:
    return "none (encode.method)" if config.encode.method == "none" else "none (no item has a text)"


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
    for name in config.recommend.networks:
        represent_methods.check_method(name)
    left_out, networks = config.recommend.leave_out, [NETWORK + name for name in config.recommend.networks]
    check_left_out(left_out, optional=(*OPTIONAL, *networks))
    offered = [name for name in OPTIONAL if name not in REPEAT or config.recommend.repeat == "predict"]
    optional = (*offered, *networks)
    names = signal_names(has_text=True, optional=optional, leave_out=left_out)
    recommend_methods.check_method(config.recommend.method, names)


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
