"""Sequence models (and other representations) as signals: the dot product of a user's and an item's vector.

A network is fitted anew on what came before each past window, and once more on the whole log: what a ranker learns of
it is how well it foretells what it has not seen. That costs as many fits as there are windows and one, so none is a
signal unless it is asked for (`recommend.networks`). People who are not in the log, and lists across domains, have no
vector: the signal is 0 for them, in what their ranker learned from as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from penchant.data import Events, FloatArray
from penchant.recommend.past import Past

START = "network_"  # of the names of these signals


class Network(Protocol):
    """users: (n_users, d) · items: (n_items, d), float32; zeros for whom and for what nothing is known."""

    @property
    def users(self) -> FloatArray: ...

    @property
    def items(self) -> FloatArray: ...


Learn = Callable[[Events], Network]


def learn(networks: Mapping[str, Learn], events: Events) -> dict[str, Network]:
    """Fit each on the events; keys are names of signals."""
    return {START + name: fit(events) for name, fit in networks.items()}


def with_vectors(past: Past, learned: Mapping[str, Network]) -> Past:
    """The past of all users of a log, with their vectors in it."""
    return replace(past, vectors={name: network.users for name, network in learned.items()})
