"""Rivals: peers that are more than a scorer of one past matrix, fitted on train and ranked in full.

`fit_rivals` is the entry; `RIVALS` says which there are. To add one: a module here with `check(name, config)` and
`fit(name, task)`, and a row in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from penchant.config import Config, RunOptions
from penchant.data import Events, IntArray, Items
from penchant.errors import ConfigError, did_you_mean
from penchant.evaluate.peers import Peer
from penchant.progress import maybe_step
from penchant.represent import METHODS
from penchant.rivals import ablations, medoids, rectools, representations
from penchant.rivals.task import Task
from penchant.scorers import SCORERS

__all__ = ["RIVALS", "Rival", "check_names", "check_rivals", "fit_rivals"]


@dataclass(frozen=True)
class Rival:
    """One row of the table. check: raises where it can't run here, before any work is done."""

    about: str
    check: Callable[[str, Config], None]
    fit: Callable[[str, Task], Peer]


def _representation(about: str) -> Rival:
    return Rival(f"{about}; plain dot product", representations.check, representations.fit)


RIVALS: Mapping[str, Rival] = {
    "medoids": Rival("items nearest to a few medoids a user (PinnerSage, Pal et al. 2020)", medoids.check, medoids.fit),
    **{name: _representation(row.about) for name, row in METHODS.items() if name not in representations.NOT_RIVALS},
    "sasrec": Rival("SASRec (Kang & McAuley 2018) as RecTools has it", rectools.check, rectools.fit),
    "bert4rec": Rival("BERT4Rec (Sun et al. 2019) as RecTools has it", rectools.check, rectools.fit),
    "without_layers": Rival("ours, no candidates of the user's layers", ablations.check, ablations.fit),
    "without_tree": Rival("ours, no signal and no candidate of the tree", ablations.check, ablations.fit),
    "without_text": Rival("ours, no text is read", ablations.check, ablations.fit),
}


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Refuse a peer that is neither a scorer nor a rival, naming the nearest of both.

    Raises:
        ConfigError: an unknown name.

    >>> check_names(["als", "medoids"])
    ('als', 'medoids')
    """
    known = [*SCORERS, *RIVALS]
    for name in names:
        if name not in known:
            raise ConfigError(f"peer '{name}' is unknown; {did_you_mean(name, known)}")
    return tuple(names)


def check_rivals(names: Sequence[str], config: Config) -> None:
    """Refuse a rival that does not exist or can't run here, before any work is done.

    Raises:
        ConfigError: no rival has the name, or a setting or environment that it needs is missing.
        MissingExtraError: a library is not installed.
    """
    for name in check_names(names):
        if name not in RIVALS:
            raise ConfigError(f"peer '{name}' is a scorer, no rival; fit it by penchant.evaluate.peers.fit_peers")
        RIVALS[name].check(name, config)


def fit_rivals(
    train: Events,
    items: Items,
    names: Sequence[str],
    user_rows: IntArray,
    config: Config,
    run: RunOptions,
    *,
    k: int,
) -> dict[str, Peer]:
    """Fit each rival on train and list k items for some users.

    Settings are chosen inside train. Ranking is in full over all items; items the user acted on in train are left out,
    equal scores go by item row.

    Args:
        names: rows of `RIVALS`. user_rows: (n,) different users.
        config: `seed`, `evaluate` (the validation window, and the k that settings are chosen for), `encode`,
            `represent`, and for ablations all that `penchant.fit` reads.
        k: length of the lists.
    Returns:
        name -> lists (n, k) of item rows (-1 where fewer are left), settings, validation and notes.
    Raises:
        ConfigError, MissingExtraError: as `check_rivals`, before the first one is fitted.
    """
    check_rivals(names, config)
    task = Task(train, items, user_rows, config, run, k)
    out: dict[str, Peer] = {}
    for name in names:
        with maybe_step(f"peer {name}", run):
            out[name] = RIVALS[name].fit(name, task)
    return out
