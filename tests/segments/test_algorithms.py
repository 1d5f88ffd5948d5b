"""One contract for every row of the table of clusterings, and the edge cases that `cluster` decides."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.errors import ConfigError, DataError
from penchant.segments.algorithms import METHODS, Method, assign, cluster

methods = pytest.mark.parametrize("method", sorted(METHODS))


def blobs(sizes: tuple[int, ...] = (30, 20, 10), d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.eye(d)[truth] + rng.normal(0, 0.05, (len(truth), d))
    return rows.astype(np.float32), truth


@methods
def test_finds_plain_groups_in_order_of_size(method: str) -> None:
    rows, truth = blobs()
    found = cluster(rows, method, 3, seed=0)
    assert found.labels.tolist() == truth.tolist()
    assert found.labels.dtype == np.int32
    assert found.centroids.dtype == np.float32
    means = np.stack([rows[truth == i].mean(axis=0) for i in range(3)])
    np.testing.assert_allclose(found.centroids, means, atol=1e-6)
    np.testing.assert_allclose(found.loss, np.square(rows - means[truth]).sum(), rtol=1e-4)


@methods
def test_same_seed_same_bytes_and_input_untouched(method: str) -> None:
    rows, _ = blobs()
    before = rows.copy()
    a, b = cluster(rows, method, 5, seed=3), cluster(rows, method, 5, seed=3)
    assert a.labels.tobytes() == b.labels.tobytes()
    assert a.centroids.tobytes() == b.centroids.tobytes()
    assert rows.tobytes() == before.tobytes()


@methods
@pytest.mark.parametrize("n_clusters", [1, 2, 5])
def test_identical_points_are_one_cluster(method: str, n_clusters: int) -> None:
    found = cluster(np.ones((7, 3), np.float32), method, n_clusters, seed=0)
    assert found.labels.tolist() == [0] * 7
    assert (found.n_clusters, found.n_asked, found.loss) == (1, n_clusters, 0.0)


@methods
def test_fewer_points_than_clusters(method: str) -> None:
    found = cluster(np.eye(3, dtype=np.float32), method, 10, seed=0)
    assert sorted(found.labels.tolist()) == [0, 1, 2]
    assert found.n_asked == 10


@methods
def test_zero_rows_are_unassigned(method: str) -> None:
    rows, _ = blobs()
    rows[[0, 59]] = 0
    found = cluster(rows, method, 3, seed=0)
    assert np.flatnonzero(found.labels < 0).tolist() == [0, 59]


@methods
@pytest.mark.parametrize("n", [0, 4])
def test_nothing_to_cluster(method: str, n: int) -> None:
    found = cluster(np.zeros((n, 3), np.float32), method, 2, seed=0)
    assert found.labels.tolist() == [-1] * n
    assert found.centroids.shape == (0, 3)


@methods
def test_one_row(method: str) -> None:
    assert cluster(np.ones((1, 2), np.float32), method, 4, seed=0).labels.tolist() == [0]


@methods
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_values_are_refused(method: str, bad: float) -> None:
    rows, _ = blobs()
    rows[4, 1] = bad
    with pytest.raises(DataError, match=r"finite.*first at 4"):
        cluster(rows, method, 3, seed=0)


def test_unknown_method_and_number() -> None:
    with pytest.raises(ConfigError, match="did you mean 'kmeans'"):
        cluster(np.eye(2, dtype=np.float32), "kmean", 2, seed=0)
    with pytest.raises(ConfigError, match="at least 1"):
        cluster(np.eye(2, dtype=np.float32), "kmeans", 0, seed=0)


def test_more_rows_than_the_method_takes_are_assigned(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, truth = blobs((300, 200, 100))
    spec = METHODS["kmeans"]
    monkeypatch.setitem(METHODS, "kmeans", Method(spec.fit, 60, spec.by_centroid))  # type: ignore[arg-type]
    assert cluster(rows, "kmeans", 3, seed=0).labels.tolist() == truth.tolist()


def test_assign_takes_the_nearest_and_the_lower_on_ties() -> None:
    centroids = np.array([[1, 0], [0, 1]], np.float32)
    rows = np.array([[0.6, 0.4], [0.4, 0.6], [0.5, 0.5], [0, 0]], np.float32)
    assert assign(centroids, rows).tolist() == [0, 1, 0, -1]
    with pytest.raises(DataError, match="2 columns"):
        assign(centroids, np.ones((1, 3), np.float32))
