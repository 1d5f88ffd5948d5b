"""Autoencoders: the bag by hand, scores as the network's own, groups found, both weights of the bag."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

torch = pytest.importorskip("torch")

from penchant.config import RepresentConfig  # noqa: E402
from penchant.data import Events  # noqa: E402
from penchant.errors import ModelError  # noqa: E402
from penchant.represent import (  # noqa: E402
    autoencoder_training,
    make_representation,
    representation_from_parts,
)
from penchant.represent.autoencoder import AutoencoderMethod, read_users  # noqa: E402
from penchant.represent.autoencoder_training import Autoencoder, _centred, _sparse_batch  # noqa: E402
from penchant.represent.training import weights_to_arrays  # noqa: E402
from tests.represent.small_logs import GROUP, N_ITEMS, RUN, events_of, items_of, market  # noqa: E402

KINDS = ("autoencoder", "variational")
NEURAL = {"n_dims": 8, "n_epochs": 8, "batch_size": 20, "patience": 8, "learning_rate": 0.01, "refit": False}


def fitted(kind: str, log: Events, n_items: int = N_ITEMS, *, least: int = 1, **neural: object) -> AutoencoderMethod:
    config = RepresentConfig.model_validate({"min_item_events": least, "neural": {**NEURAL, **neural}})
    made = make_representation(kind, config, RUN, seed=0)
    assert isinstance(made, AutoencoderMethod)
    made.fit(log, items_of(n_items), None)
    return made


@pytest.mark.parametrize("bag", ["counts", "tfidf"])
@pytest.mark.parametrize("kind", KINDS)
def test_groups_are_found(kind: str, bag: str) -> None:
    made, log = fitted(kind, market(noise=0.05), bag=bag), market(seed=1, noise=0.05)
    best = np.argmax(made.user_vectors(log) @ made.item_vectors.T, axis=1)
    assert (GROUP[best] == np.arange(log.n_users) % 4).mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_users_read_without_torch_are_those_of_the_network(kind: str) -> None:
    bag = sp.random_array((30, N_ITEMS), density=0.2, format="csr", dtype=np.float32, rng=0)
    torch.manual_seed(0)
    network = Autoencoder(N_ITEMS, 8, 0.5, kind == "variational").eval()
    users = np.arange(30, dtype=np.int32)
    read = read_users(weights_to_arrays(network), bag, users, variational=kind == "variational")
    with torch.inference_mode():
        hidden = network.encode_noisily(_sparse_batch(bag))[0]
        logits = (hidden @ network.items.weight.T + network.bias).numpy()
        scores = read @ _centred(network).T
    np.testing.assert_allclose(read[:, :-1], hidden.numpy(), atol=1e-5)
    assert (read[:, -1] == 1).all()
    off = scores - logits
    np.testing.assert_allclose(off, np.broadcast_to(off[:, :1], off.shape), atol=1e-5)
    np.testing.assert_allclose(scores.mean(axis=1), 0, atol=1e-5)


def test_the_bag_by_hand() -> None:
    log = events_of(np.array([0, 0, 0, 1, 1]), np.array([2, 2, 0, 0, 1]), np.array([1.0, 2.0, 1.0, 1.0, 1.0]))
    made = fitted("autoencoder", log, 4, n_epochs=1)
    counts = made._bag(log, np.array([1, 0, 1, 0], np.float32)).toarray()
    row = np.log([2.0, 4.0])
    np.testing.assert_allclose(counts[0], row / np.linalg.norm(row), rtol=1e-6)
    np.testing.assert_allclose(counts[1], [1, 0], rtol=1e-6)
    weighted = fitted("autoencoder", log, 4, n_epochs=1, bag="tfidf")
    np.testing.assert_allclose(weighted._importance, [1, 1 + np.log(1.5), 1 + np.log(1.5), 0], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_seldom_and_unknown_items_get_zeros_and_a_user_of_such_too(kind: str) -> None:
    log = events_of(np.r_[market().user_row, 0], np.r_[market().item_row, N_ITEMS])
    made = fitted(kind, log, N_ITEMS + 2, least=2, n_epochs=1)
    assert not made.item_vectors[N_ITEMS:].any()
    assert made.item_vectors[:N_ITEMS].any(axis=1).all()
    assert not made.user_vectors(events_of(np.array([0]), np.array([N_ITEMS]))).any()


def test_a_variational_user_vector_is_the_mean_and_never_drawn() -> None:
    made, log = fitted("variational", market(), n_epochs=2), market(seed=1)
    assert np.array_equal(made.user_vectors(log), made.user_vectors(log))


def test_the_divergence_pulls_users_together() -> None:
    """Its weight is annealed from 0: a heavier one leaves the means nearer to the origin they are pulled to."""
    light, heavy = (replace_kl(weight) for weight in (0.0, 5.0))
    assert np.abs(heavy[:, :-1]).mean() < 0.5 * np.abs(light[:, :-1]).mean()


def replace_kl(weight: float) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoencoder_training, "KL_WEIGHT", weight)
        return fitted("variational", market(), n_epochs=8, refit=False).user_vectors(market())


def test_a_missing_weight_is_named() -> None:
    parts = fitted("variational", market(), n_epochs=1).to_parts()
    arrays = {k: v for k, v in parts.arrays.items() if k != "weights.first_bias"}
    with pytest.raises(ModelError, match=r"weights.first_bias' is missing"):
        representation_from_parts(type(parts)(parts.config, arrays), RUN)
