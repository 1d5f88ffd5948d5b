"""The contract of every row of `METHODS`: what any representation must do, whatever it learns."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penchant.artefacts import load_folder, save_folder
from penchant.config import RepresentConfig
from penchant.data import Events
from penchant.errors import ConfigError, ModelError
from penchant.protocols import Representation
from penchant.represent import METHODS, make_representation, representation_from_parts
from tests.represent.small_logs import GROUP, N_ITEMS, RUN, events_of, items_of, market, texts

SMALL = RepresentConfig.model_validate(
    {
        "n_factors": 8,
        "min_item_events": 1,
        "neural": {"n_dims": 8, "n_epochs": 4, "batch_size": 32, "max_length": 10, "dropout": 0.0, "patience": 4},
    }
)


def fitted(method: str, events: Events | None = None, *, with_text: bool = False, seed: int = 0) -> Representation:
    made = make_representation(method, SMALL, RUN, seed=seed)
    made.fit(market() if events is None else events, items_of(), texts() if with_text else None)
    return made


def digest(made: Representation) -> str:
    users = made.user_vectors(market(seed=1))
    return hashlib.sha256(made.item_vectors.tobytes() + users.tobytes()).hexdigest()


@pytest.fixture(scope="module", params=sorted(METHODS))
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def made(method: str) -> Representation:
    return fitted(method)


def test_vectors_are_aligned_and_finite(made: Representation) -> None:
    log = market()
    users = made.user_vectors(log)
    assert made.item_vectors.dtype == users.dtype == np.float32
    assert len(made.item_vectors) == N_ITEMS
    assert users.shape == (log.n_users, made.item_vectors.shape[1])
    assert np.isfinite(made.item_vectors).all()
    assert np.isfinite(users).all()
    assert made.name


def test_saved_and_read_back_it_says_the_same(made: Representation, method: str) -> None:
    parts = made.to_parts()
    assert parts.config["method"] == method
    assert all(a.dtype != object for a in parts.arrays.values())
    again = representation_from_parts(parts, RUN)
    assert (again.name, digest(again)) == (made.name, digest(made))
    assert dict(again.facts) == dict(made.facts)


def test_its_parts_survive_a_folder(made: Representation, tmp_path: Path) -> None:
    save_folder(tmp_path / "model", {"representation": made.to_parts()}, {})
    again = representation_from_parts(load_folder(tmp_path / "model").parts["representation"], RUN)
    assert (again.name, digest(again)) == (made.name, digest(made))


def test_same_seed_same_vectors_and_inputs_stay(made: Representation, method: str) -> None:
    log, text = market(), texts()
    before, rows = log.table.clone(), text.values.copy()
    assert digest(fitted(method)) == digest(made)
    fitted(method, log, with_text=True)
    assert log.table.equals(before)
    assert (text.values == rows).all()


def test_asking_changes_nothing(made: Representation) -> None:
    first = digest(made)
    made.user_vectors(market(seed=2))
    assert digest(made) == first


def test_a_user_without_a_liked_event_gets_zeros(made: Representation) -> None:
    log = events_of(np.array([0, 0, 2, 2]), np.array([0, 1, 3, 4]), np.array([1.0, 1.0, -1.0, -1.0]))
    users = made.user_vectors(log)
    assert users[0].any()
    assert not users[1:].any()


def test_other_users_do_not_change_a_users_vector(made: Representation) -> None:
    log = market(seed=1)
    alone = log.take(log.user_row == 3)
    np.testing.assert_allclose(made.user_vectors(alone)[3], made.user_vectors(log)[3], rtol=1e-4, atol=1e-5)


def test_a_user_is_nearest_to_items_of_the_own_group(method: str) -> None:
    """Users of a clean market like one group of items each: most of their best new items are of it."""
    config = SMALL.model_copy(update={"neural": SMALL.neural.model_copy(update={"n_epochs": 30, "patience": 30})})
    made = make_representation(method, config, RUN, seed=0)
    log = market(noise=0.05)
    made.fit(log, items_of(), None)
    scores = made.user_vectors(log) @ made.item_vectors.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    own = np.arange(log.n_users) % len(np.unique(GROUP))
    assert (GROUP[best] == own[:, None]).mean() > 0.7


def test_items_nobody_took_do_not_crowd_out_the_others(method: str) -> None:
    """A tenth of the items has a text and no event: no reason to be most of what is ranked first."""
    log = market()
    log = log.take(log.item_row % 10 != 9)
    made = fitted(method, log, with_text=True)
    scores = made.user_vectors(log) @ made.item_vectors.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    assert (best % 10 == 9).mean() < 0.5


@pytest.mark.parametrize("case", ["no events", "one event", "one user", "nothing liked", "items nobody took"])
def test_edge_logs(method: str, case: str) -> None:
    log = {
        "no events": events_of(np.zeros(0), np.zeros(0)),
        "one event": events_of(np.zeros(1), np.zeros(1)),
        "one user": events_of(np.zeros(6), np.arange(6)),
        "nothing liked": events_of(np.array([0, 1]), np.array([0, 1]), np.array([-1.0, -1.0])),
        "items nobody took": events_of(np.repeat(np.arange(5), 3), np.tile(np.arange(3), 5)),
    }[case]
    made = fitted(method, log)
    users = made.user_vectors(log)
    assert made.item_vectors.shape[0] == N_ITEMS
    assert users.shape[0] == log.n_users
    assert np.isfinite(made.item_vectors).all()
    assert np.isfinite(users).all()
    representation_from_parts(made.to_parts(), RUN)


def test_same_bytes_in_another_process(made: Representation, method: str) -> None:
    code = f"from tests.represent.test_methods import digest, fitted; print(digest(fitted({method!r})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split()[-1] == digest(made)


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "gensim"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
from penchant.artefacts import load_folder
from penchant.represent import representation_from_parts
from penchant.errors import MissingExtraError
from tests.represent.test_methods import RUN, digest
made = representation_from_parts(load_folder(sys.argv[1]).parts["representation"], RUN)
print(made.name, made.item_vectors.shape[0])
try:
    print(digest(made))
except MissingExtraError as error:
    print(error)
assert not {"torch", "gensim"} & set(sys.modules)
"""


def test_it_is_read_back_where_its_library_is_missing(made: Representation, method: str, tmp_path: Path) -> None:
    """Item vectors always; users where no library is needed to read them, else an error that names the extra."""
    save_folder(tmp_path / "model", {"representation": made.to_parts()}, {})
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    told, users = run.stdout.splitlines()
    assert told == f"{made.name} {N_ITEMS}"
    reads_alone = method not in ("word2vec", "lightgcn", "gcn", "gat")
    assert users == digest(made) if reads_alone else "pip install 'penchant[" in users


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'factors'"):
        make_representation("factor", SMALL, RUN, seed=0)


def test_a_missing_part_is_named() -> None:
    parts = fitted("mean").to_parts()
    del parts.arrays["item_vectors"]  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="item_vectors"):
        representation_from_parts(parts, RUN)
