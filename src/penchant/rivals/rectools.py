"""SASRec and BERT4Rec as RecTools has them, in an environment of their own: RecTools needs another NumPy than we do.

The two sides speak through a folder of arrays and JSON, see `rectools_worker`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penchant.config import Config
from penchant.data import Events, IntArray
from penchant.errors import ConfigError, PenchantError
from penchant.evaluate.peers import Peer
from penchant.rivals.task import Task

VARIABLE = "PENCHANT_RECTOOLS_PYTHON"
MODELS: Mapping[str, str] = {"sasrec": "SASRec", "bert4rec": "BERT4Rec"}
RATES = (0.001, 0.003)  # learning rates it chooses among
WORKER = Path(__file__).with_name("rectools_worker.py")
N_LINES = 15  # last lines of what the other side said, shown where it fails
INSTALL = f"""\
  python3 -m venv rectools
  rectools/bin/pip install torch "numpy<2" "pandas<3" "rectools[torch]==0.19.0"
  export {VARIABLE}="$PWD/rectools/bin/python\""""


@dataclass(frozen=True)
class Answer:
    """lists: (n, k) item rows, -1 where the model has nothing to say · about: minutes, tried (validation loss, rate and
    epochs of each), rate, epochs.
    """

    lists: IntArray
    about: Mapping[str, Any]


def find_python() -> Path:
    """The interpreter that PENCHANT_RECTOOLS_PYTHON names.

    Raises:
        ConfigError: it is not set, or names no file; says how to install one.
    """
    told = os.environ.get(VARIABLE, "")
    if told and Path(told).is_file():
        return Path(told)
    wrong = f"{VARIABLE} names no file: {told}" if told else f"{VARIABLE} is not set"
    raise ConfigError(
        f"{' and '.join(MODELS)} run in an environment of RecTools, and {wrong}; "
        f"install it and name its Python, e.g.:\n{INSTALL}"
    )


def settings_of(config: Config) -> dict[str, Any]:
    """Sizes, rounds and seed as our own networks have them (`represent.neural`), and the rates to choose among."""
    neural = config.represent.neural
    told = neural.model_dump(include={"n_layers", "n_heads", "n_dims", "dropout", "max_length", "batch_size"})
    return told | {"patience": neural.patience, "epochs": neural.n_epochs, "rates": RATES, "seed": config.seed}


def run_worker(python: Path, peer: str, train: Events, users: IntArray, settings: Mapping[str, Any], k: int) -> Answer:
    """Fit a RecTools model on liked events and list items the users have not liked.

    Args:
        python: with RecTools. peer: a class of `rectools.models` less "Model". train: liked events.
        users: (n,) rising, each with an event. settings: as `settings_of`.
    Raises:
        PenchantError: the other side failed; with its last lines.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # positions instead of times: the same order in both, also where two events share a second
        order, file = train.own_index, folder / "split.npz"
        np.savez(file, users=users, user_id=train.user_row, item_id=train.item_row, datetime=order)
        (folder / "settings.json").write_text(json.dumps({**settings, "peer": peer, "k": k}), encoding="utf-8")
        # -I: neither our folder nor our environment's variables reach the other interpreter
        command = [str(python), "-I", "-W", "ignore", str(WORKER), str(folder)]
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if ran.returncode != 0:
            said = "\n".join(ran.stderr.strip().splitlines()[-N_LINES:])
            raise PenchantError(f"RecTools' {peer} ended with code {ran.returncode} ({python}); it last said:\n{said}")
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        with np.load(folder / "lists.npz", allow_pickle=False) as told:
            return Answer(np.asarray(told["lists"], np.int32), about)


def check(name: str, config: Config) -> None:
    """Raises ConfigError where no environment of RecTools is named, or where lists may repeat, which its can't."""
    if config.evaluate.repeats == "count":
        raise ConfigError(f"peer '{name}' lists nothing twice: leave it out, or evaluate.repeats unset")
    find_python()


def fit(name: str, task: Task) -> Peer:
    """Learning rate and epochs are chosen inside train, by the loss of each user's last liked item.

    Items and users that RecTools leaves out (users of one event, and items that only they took) are filled in by
    popularity.
    """
    python = find_python()
    liked = task.train.positive()
    users = np.intersect1d(task.user_rows, liked.user_row).astype(np.int32)
    reason = "" if _can_choose(liked, task.n_items) else "train is too short to fit it: no user's last item is known"
    reason = reason or ("" if len(users) else "none of the users liked anything")
    if reason:
        popular = task.complete(np.zeros(0, np.int32), np.zeros((0, 0), np.int32))
        return Peer(popular, {}, (), (f"{name}: {reason}; lists are by popularity",))
    # RecTools leaves out what was liked; what was seen and not liked is taken out here, so more are asked for
    unliked = np.diff(task.seen.indptr) - np.diff(task.history.indptr)
    asked = min(task.n_items, task.k + int(unliked[users].max(initial=0)))
    answer = run_worker(python, MODELS[name], liked, users, settings_of(task.config), asked)
    settings = {"rate": answer.about["rate"], "epochs": answer.about["epochs"]}
    losses = tuple(-float(loss) for loss, _, _ in answer.about["tried"])
    bare = len(task.user_rows) - int((answer.lists >= 0).any(axis=1).sum())
    notes = (f"{name}: {bare:,} users are unknown to it; their lists are by popularity",) if bare else ()
    return Peer(task.complete(users, answer.lists), settings, losses, notes)


def _can_choose(liked: Events, n_items: int) -> bool:
    """Whether some user's last liked item is held out, known, and leaves a past of two: else there is no loss."""
    n = liked.n_by_user[liked.user_row]
    last = liked.own_index == n - 1
    known = np.bincount(liked.item_row[~last & (n >= 3)], minlength=n_items) > 0
    return bool(known[liked.item_row[last & (n >= 3)]].any())
