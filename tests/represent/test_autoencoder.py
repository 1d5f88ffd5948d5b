"""Autoencoders: the bag by hand, scores as the network's own, groups found, both weights of the bag."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from penchant.config import RepresentConfig  # noqa: E402
from penchant.data import Events  # noqa: E402
from penchant.errors import ModelError  # noqa: E402
from penchant.represent import make_representation, representation_from_parts  # noqa: E402
from penchant.represent.autoencoder import AutoencoderMethod  # noqa: E402
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
def test_dot_products_are_the_logits_of_the_network_less_a_number_a_user(kind: str) -> None:
    log = market()
    made = fitted(kind, log, n_epochs=2)
    network = made._network
    assert network is not None
    scores = made.user_vectors(log) @ made.item_vectors.T
    hidden = torch.from_numpy(made.user_vectors(log)[:, :-1])
    with torch.inference_mode():
        logits = (hidden @ network.items.weight.T + network.bias).numpy()
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


def test_the_divergence_weighs_in_slowly_and_pulls_users_together() -> None:
    free, log = fitted("autoencoder", market(), n_epochs=3), market()
    held = fitted("variational", market(), n_epochs=3)
    assert held._network is not None
    assert free._network is not None
    assert held._network.second.out_features == 2 * free._network.second.out_features
    assert held.user_vectors(log).shape == free.user_vectors(log).shape


def test_a_missing_weight_is_named() -> None:
    parts = fitted("variational", market(), n_epochs=1).to_parts()
    arrays = {k: v for k, v in parts.arrays.items() if k != "weights.bias"}
    with pytest.raises(ModelError, match="'bias' is missing"):
        representation_from_parts(type(parts)(parts.config, arrays), RUN)
