"""How well layers forecast, out of time: every model form and every rule on one log, or on the made-up market.

    python benchmarks/layers.py EVENTS [ITEMS] [--set section.key=value ...]
    python benchmarks/layers.py --world middle

The log is cut once, at the last fifth of its events; tree and forecast see only what lies before. ECE: ten bins of
equally many points (`ece`) and of equal width (`ece_width`). On the made-up market the true layers are known too, and
the F1 of every method is printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

import polars as pl

from penchant.config import Config, RunOptions, load_config
from penchant.data import LAYERS, Events, InterestTree, Items, Log, Profiles
from penchant.encode import encode_items, make_encoder
from penchant.evaluate.split import split_by_time
from penchant.interests.layers import fit_forecast, test_forecast
from penchant.interests.profiles import make_profiles
from penchant.interests.tree import build_tree
from penchant.io import read_log
from penchant.io.world import World, make_world
from penchant.io.world.truth import score_layers
from penchant.pipeline import place_text_events
from penchant.represent import represent

FORMS = ("logistic", "boosted", "blend", "softmax", "auto")
RULES = ("share", "points", "recency", "frequency", "kmeans")


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("events", nargs="?")
    ask.add_argument("items", nargs="?")
    ask.add_argument("--world", choices=["easy", "middle", "hard"], help="a made-up market instead of a log")
    ask.add_argument("--users", type=int, default=2000, help="of the made-up market")
    ask.add_argument("--set", action="append", default=[], metavar="section.key=value", dest="overrides")
    asked = ask.parse_args()
    config = load_config(overrides=asked.overrides)
    pl.Config.set_tbl_rows(50).set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True)
    if asked.world:
        world = make_world(n_users=asked.users, level=asked.world, seed=config.seed)
        log = read_log(world.events, world.items, world.users, config=config.io)
        against_time(log, config)
        against_truth(world, log, config)
    elif asked.events:
        against_time(read_log(asked.events, asked.items, config=config.io), config)
    else:
        ask.error("give EVENTS [ITEMS], or --world")


def grow(events: Events, items: Items, config: Config) -> tuple[InterestTree, object]:
    """The stages before layers, on these events alone."""
    run = RunOptions()
    encoder = make_encoder(config.encode, run, seed=config.seed)
    text = encode_items(items, encoder, config.encode, run)
    space, _ = represent(events, items, text, config.represent, run, seed=config.seed)
    tree = build_tree(space, items, events, config.interests, seed=config.seed)
    return tree, place_text_events(events, tree, encoder if text is not None else None, config)


def against_time(log: Log, config: Config) -> None:
    """What every method says of the last fifth of the events, and what happened."""
    split = split_by_time(log.events, config.evaluate.test_share)
    tree, texts = grow(split.train, log.items, config)
    print(f"{len(split.train):,} events to learn from, {len(split.test):,} to test on, {tree.n_leaves} leaves")
    methods, layers = [], []
    for form in FORMS:
        settings = config.interests.model_copy(update={"forecast_model": form})
        started = time.perf_counter()
        forecast = fit_forecast(split.train, tree, settings, seed=config.seed, text_membership=texts)
        took = time.perf_counter() - started
        report = test_forecast(
            forecast, split.train, split.test, tree, settings, seed=config.seed, text_membership=texts
        )
        if report is None:
            print("too few users act often enough after the cut")
            return
        name = pl.lit(f"{form} ({forecast.method_used})" if form == "auto" else form)
        ours = pl.col("method") == forecast.models[tree.n_levels].to_parts().config["kind"]
        table = report.methods_by_level.with_columns(method=pl.when(ours).then(name).otherwise(pl.col("method")))
        methods.append(table if form == FORMS[0] else table.filter(pl.col("method").str.starts_with(form)))
        print(f"{form}: fitted in {took:.1f} s; {forecast.method_used}; {forecast.facts}")
        if form == "auto":
            layers.append(report.layers_by_level)
            print(report.facts)
            print(report.reliability)
    print(pl.concat(methods).sort("level", "auc", descending=True))
    print(pl.concat(layers).filter(pl.col("method").is_in(["forecast", "points", "share"])))


def against_truth(world: World, log: Log, config: Config) -> None:
    """F1 against the true layers, over the true interests' own tree and over ours."""
    tree, texts = grow(log.events, log.items, config)
    forecast = fit_forecast(log.events, tree, config.interests, seed=config.seed, text_membership=texts)
    rows = []
    for method in ("forecast", *RULES):
        settings = config.interests.model_copy(update={"layer_method": method})
        profiles = make_profiles(log.events, log.items, tree, forecast, settings, text_membership=texts)
        rows.append({"method": method} | score_layers(world.truth, listed(profiles, log, tree), members(log, tree)))
    print(pl.DataFrame(rows).drop("confusion"))


def listed(profiles: Profiles, log: Log, tree: InterestTree) -> pl.DataFrame:
    """The leaf points by name, as the truth scorer wants them."""
    return profiles.of_level(tree.n_levels).select(
        pl.col("user_row").replace_strict(range(log.events.n_users), log.events.user_ids).alias("user_id"),
        pl.col("interest_row").cast(pl.String).alias("interest_id"),
        pl.col("layer").replace_strict(range(len(LAYERS)), LAYERS, return_dtype=pl.String),
        "probability",
    )


def members(log: Log, tree: InterestTree) -> pl.DataFrame:
    """Item, leaf, membership."""
    pairs = tree.membership.tocoo()
    ids: Iterable[str] = log.items.item_ids.gather(pairs.row.tolist())
    return pl.DataFrame({"item_id": ids, "interest_id": pl.Series(pairs.col).cast(pl.String), "membership": pairs.data})


if __name__ == "__main__":
    main()
