"""Our own recommender with one part taken out: what that part is worth.

Everything else is as in `config`. What is taken out can be set by hand too: `recommend.leave_out` and
`encode.method=none`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penchant.config import Config
from penchant.evaluate.peers import Peer
from penchant.pipeline import check_settings, lay_ground, train_recommender
from penchant.recommend.rank import Single
from penchant.recommend.signals import INTEREST, SLOTS
from penchant.rivals.task import Task

LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "without_layers": (SLOTS,),
    "without_tree": (*INTEREST, SLOTS),
    "without_text": (),
}


def config_without(name: str, config: Config) -> Config:
    """The settings of one ablation.

    >>> config_without("without_layers", Config()).recommend.leave_out
    ('slots',)
    >>> config_without("without_text", Config()).encode.method
    'none'
    """
    told = config.model_dump()
    if name == "without_text":
        # a model to start from reads texts, and item dropout leaves nothing but them
        told["encode"] |= {"method": "none", "tune": "off", "precision": "fp32"}
        told["represent"] |= {"start_from": "", "fine_tune": "all"}
        told["represent"]["neural"] |= {"item_dropout": 0.0}
    told["recommend"]["leave_out"] = tuple(dict.fromkeys((*config.recommend.leave_out, *LEFT_OUT[name])))
    return Config.model_validate(told)


def check(name: str, config: Config) -> None:
    """Raises ConfigError where the settings need what is taken out."""
    check_settings(config_without(name, config))


def fit(name: str, task: Task) -> Peer:
    """Fit the recommender on train without the part. The two that read the same texts and tree share them."""
    config = config_without(name, task.config)
    ground = lay_ground(task.train, task.items, config, task.quiet) if name == "without_text" else task.ground
    made = train_recommender(task.train, task.items, ground, config, task.quiet)
    k = min(task.config.evaluate.k, task.k)
    repeat = None if task.config.evaluate.repeats == "count" else False
    lists = made.lists(task.user_rows, ground.profiles, k=k, longest=task.k, allow_seen=repeat)
    settings: dict[str, Any] = {"chosen": made.chosen, "leave_out": config.recommend.leave_out}
    if name == "without_text":
        settings["encode.method"] = config.encode.method
    notes = [f"{name}: {note}" for note in made.signals.notes]
    if name == "without_layers" and isinstance(made.ranker, Single):
        notes.append(
            f"{name}: one signal ranks here ({made.chosen}), which reads no layers: these are the whole's lists"
        )
    return Peer(lists, settings, (), tuple(notes))
