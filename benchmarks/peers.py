"""Peers alone on one log: what each reaches, what it costs, and with which settings.

    python benchmarks/peers.py EVENTS [ITEMS] [--set section.key=value ...] [--against popular_7d,ease,medoids]

Peers are scorers (the default: all of them) and rivals (docs/peers.md; only where named, and ablations fit ours).
Times are those of choosing settings, refitting and ranking together; peak memory is that of the whole process so far.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from penchant.config import RunOptions, load_config
from penchant.evaluate.peers import Peer, fit_peers
from penchant.evaluate.split import split_by_time
from penchant.evaluate.table import compare, to_text
from penchant.io import read_log
from penchant.rivals import RIVALS, check_names, check_rivals, fit_rivals


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("events")
    ask.add_argument("items", nargs="?")
    ask.add_argument("--set", action="append", default=[], metavar="section.key=value", dest="overrides")
    ask.add_argument("--against", default="", help="names of peers, by comma (default: all)")
    asked = ask.parse_args()

    config = load_config(overrides=asked.overrides)
    names = check_names(asked.against.split(",") if asked.against else config.evaluate.peers)
    check_rivals([name for name in names if name in RIVALS], config)
    log = read_log(asked.events, asked.items, config=config.io)
    n_items = len(log.items)
    split = split_by_time(log.events, config.evaluate.test_share)
    targets = split.targets(n_items, config.evaluate.cold_items)
    users = np.flatnonzero(np.diff(targets.indptr) > 0).astype(np.int32)
    print(
        f"{len(split.train):,} train and {len(split.test):,} test events, {n_items:,} items, {len(users):,} users; "
        f"{split.cold_share(n_items):.1%} of the targets are items nobody liked in train "
        f"(evaluate.cold_items = {config.evaluate.cold_items})"
    )
    found: dict[str, Peer] = {}
    for name in names:
        started = time.perf_counter()
        if name in RIVALS:
            k = max(config.evaluate.cutoffs)
            found |= fit_rivals(split.train, log.items, [name], users, config, RunOptions(), k=k)
        else:
            found |= fit_peers(split.train, log.items, [name], users, config.evaluate, seed=config.seed)
        peer = found[name]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{name:<12} {time.perf_counter() - started:6.1f} s  peak {peak:6,.0f} MB  {dict(peer.settings)}  "
            f"validation {np.round(peer.validation, 4).tolist()}  {' '.join(peer.notes)}",
            flush=True,
        )
    lists = {name: peer.lists for name, peer in found.items()}
    table = compare(lists, split, users, None, None, config.evaluate, seed=config.seed, n_items=n_items)
    print(to_text(table))


if __name__ == "__main__":
    main()
