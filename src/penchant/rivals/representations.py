"""A representation of users and items, ranked by a plain dot product: what such a model reaches by itself."""

from __future__ import annotations

from penchant.config import Config
from penchant.dot_product import fit_dot_product
from penchant.evaluate.peers import Peer
from penchant.represent import METHODS
from penchant.rivals.task import Task

NOT_RIVALS = ("factors",)  # ALS: a scorer already, `als`, whose sizes are chosen inside train


def check(name: str, config: Config) -> None:
    """Raises MissingExtraError where the method's library is not installed."""
    METHODS[name].check()


def fit(name: str, task: Task) -> Peer:
    """Fit on train with the settings of `config.represent`; rounds are chosen inside train by the method itself."""
    made = fit_dot_product(name, task.train, task.items, task.text, task.config, task.quiet)
    told = {key: made.facts[key] for key in ("n_rounds",) if key in made.facts}
    return Peer(task.rank(made), {"fitted": made.name, **told}, (), ())
