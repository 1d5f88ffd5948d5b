"""One contract for every row of the table of clusterings, and the edge cases that `cluster` decides."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from penchant.config import SegmentsConfig
from penchant.errors import ConfigError, DataError, MissingExtraError
from penchant.evaluate.clustering import agreement
from penchant.segments import algorithms, membership
from penchant.segments.algorithms import METHODS, assign, cluster
from penchant.segments.recipe import Recipe

methods = pytest.mark.parametrize("method", sorted(METHODS))
by_density = pytest.mark.parametrize("method", sorted(m for m, row in METHODS.items() if row.number == "found"))


def blobs(sizes: tuple[int, ...] = (60, 45, 30), d: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.eye(d)[truth] + rng.normal(0, 0.05, (len(truth), d))
    return rows.astype(np.float32), truth


def digest(method: str) -> str:
    """The bytes of one clustering and its memberships, as a word."""
    rows, _ = blobs()
    found = cluster(rows, method, 4, seed=3)
    parts = (found.labels, found.centroids, membership(found, rows))
    return hashlib.sha256(b"".join(p.tobytes() for p in parts) + repr(found.loss).encode()).hexdigest()


@methods
def test_finds_plain_groups_in_order_of_size(method: str) -> None:
    rows, truth = blobs()
    found = cluster(rows, method, 3, seed=0)
    kept = found.labels >= 0
    assert found.labels[kept].tolist() == truth[kept].tolist()
    assert kept.mean() >= (0.8 if METHODS[method].noise else 1.0)
    assert (found.labels.dtype, found.centroids.dtype) == (np.int32, np.float32)
    means = np.stack([rows[found.labels == i].mean(axis=0) for i in range(3)])
    np.testing.assert_allclose(found.centroids, means, atol=1e-6)
    np.testing.assert_allclose(found.loss, np.square(rows - means[truth])[kept].sum(), rtol=1e-4)


@by_density
def test_finds_the_number_by_itself(method: str) -> None:
    rows, truth = blobs()
    found = cluster(rows, method, None, seed=0)
    assert found.n_asked is None
    assert agreement(found.labels[found.labels >= 0], truth[found.labels >= 0]) > 0.9


@methods
def test_same_seed_same_bytes_and_input_untouched(method: str) -> None:
    rows, _ = blobs()
    before = rows.copy()
    rows.flags.writeable = False
    a, b = cluster(rows, method, 5, seed=3), cluster(rows, method, 5, seed=3)
    assert a.labels.tobytes() == b.labels.tobytes()
    assert a.centroids.tobytes() == b.centroids.tobytes()
    assert rows.tobytes() == before.tobytes()


def test_same_bytes_in_another_process() -> None:
    code = f"from tests.segments.test_algorithms import digest\nfor m in {sorted(METHODS)!r}: print(digest(m))"
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, env={"PYTHONHASHSEED": "7"}, capture_output=True)
    assert out.stdout.decode().split() == [digest(m) for m in sorted(METHODS)], out.stderr.decode()


@methods
def test_the_order_of_rows_changes_no_partition(method: str) -> None:
    rows, _ = blobs()
    order = np.random.default_rng(1).permutation(len(rows))
    a, b = cluster(rows, method, 4, seed=0), cluster(rows[order], method, 4, seed=0)
    assert agreement(a.labels[order], b.labels) == 1.0
    assert (a.labels[order] < 0).tolist() == (b.labels < 0).tolist()


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
@pytest.mark.parametrize("n", [3, 4, 6, 12])
def test_a_handful_of_rows(method: str, n: int) -> None:
    rows = np.random.default_rng(n).random((n, 3)).astype(np.float32)
    found = cluster(rows, method, 2, seed=0)
    assert found.n_clusters <= 2
    assert found.labels.max() == found.n_clusters - 1


@methods
def test_piles_of_equal_rows(method: str) -> None:
    rows = np.repeat(np.eye(4, dtype=np.float32), 20, axis=0)
    found = cluster(rows, method, 3, seed=0)
    assert found.labels.min() >= (-1 if METHODS[method].noise else 0)
    for i in range(4):
        assert len(set(found.labels[20 * i : 20 * i + 20].tolist())) == 1


@methods
@pytest.mark.parametrize("d", [1, 2])
def test_rows_of_few_columns(method: str, d: int) -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(1, 0.05, (40, d)), rng.normal(9, 0.05, (40, d))]).astype(np.float32)
    found = cluster(rows, method, 2, seed=0)
    kept = found.labels >= 0
    assert kept.mean() > 0.7
    assert agreement(found.labels[kept], np.repeat([0, 1], 40)[kept]) == 1.0


@methods
def test_one_cluster_holds_all(method: str) -> None:
    rows, _ = blobs()
    assert cluster(rows, method, 1, seed=0).labels.tolist() == [0] * len(rows)


@methods
def test_zero_rows_are_unassigned(method: str) -> None:
    rows, _ = blobs()
    rows[[0, 59]] = 0
    found = cluster(rows, method, 3, seed=0)
    assert found.labels[[0, 59]].tolist() == [-1, -1]
    assert (found.labels < 0).sum() == 2 or METHODS[method].noise


@methods
@pytest.mark.parametrize("n", [0, 4])
def test_nothing_to_cluster(method: str, n: int) -> None:
    found = cluster(np.zeros((n, 3), np.float32), method, 2, seed=0)
    assert found.labels.tolist() == [-1] * n
    assert found.centroids.shape == (0, 3)
    assert membership(found, np.zeros((n, 3), np.float32)).shape == (n, 0)


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


@by_density
def test_all_noise_leaves_everybody_unassigned(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = replace(METHODS[method], fit=lambda rows, *_: algorithms.Fit(np.full(len(rows), -1, np.int32)))
    monkeypatch.setitem(METHODS, method, nothing)  # type: ignore[arg-type]
    found = cluster(np.random.default_rng(0).random((50, 4)).astype(np.float32), method, None, seed=0)
    assert found.labels.tolist() == [-1] * 50
    assert (found.n_clusters, found.assigned_share, found.loss) == (0, 0.0, 0.0)


@methods
def test_more_rows_than_the_method_takes_are_assigned(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, truth = blobs((300, 200, 100))
    monkeypatch.setitem(METHODS, method, replace(METHODS[method], max_rows=150))  # type: ignore[arg-type]
    found = cluster(rows, method, 3, seed=0)
    kept = found.labels >= 0
    assert found.n_fitted == 150
    assert kept.mean() > 0.8
    assert agreement(found.labels[kept], truth[kept]) == 1.0


def test_a_far_row_outside_the_draw_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = blobs((300, 200, 100))
    rows[::50] = 5.0 * np.abs(np.random.default_rng(0).normal(size=(12, 6)))
    monkeypatch.setitem(METHODS, "hdbscan", replace(METHODS["hdbscan"], max_rows=300))  # type: ignore[arg-type]
    assert (cluster(rows, "hdbscan", 3, seed=0).labels[::50] < 0).all()


def test_unknown_method_and_number() -> None:
    rows = np.eye(2, dtype=np.float32)
    with pytest.raises(ConfigError, match="did you mean 'kmeans'"):
        cluster(rows, "kmean", 2, seed=0)
    with pytest.raises(ConfigError, match="at least 1"):
        cluster(rows, "kmeans", 0, seed=0)
    with pytest.raises(ConfigError, match="can't find the number"):
        cluster(rows, "ward", None, seed=0)


@methods
def test_options_work_or_are_refused(method: str) -> None:
    rows, truth = blobs()
    weights = np.ones(len(rows), np.float32)
    row = METHODS[method]
    for init in ("random", "ward"):
        if init in row.inits:
            assert cluster(rows, method, 3, seed=0, init=init).labels.tolist() == truth.tolist()
        else:
            with pytest.raises(ConfigError, match="methods that do: kmeans"):
                cluster(rows, method, 3, seed=0, init=init)
    if row.weights:
        assert cluster(rows, method, 3, seed=0, weights=weights).labels.tolist() == truth.tolist()
    else:
        with pytest.raises(ConfigError, match="does not weight users"):
            cluster(rows, method, 3, seed=0, weights=weights)


def test_weights_move_centres() -> None:
    rows = np.array([[1, 0], [1, 1], [1, 9], [1, 10], [1, 14]], np.float32)
    heavy = np.array([1, 1, 1, 1, 50], np.float32)
    assert cluster(rows, "kmeans", 2, seed=0).labels.tolist() == [1, 1, 0, 0, 0]
    assert cluster(rows, "kmeans", 3, seed=0, weights=heavy).labels[4] != cluster(rows, "kmeans", 3, seed=0).labels[3]
    with pytest.raises(DataError, match="above 0"):
        cluster(rows, "kmeans", 2, seed=0, weights=np.zeros(5, np.float32))


def test_settings_know_every_row_and_its_options() -> None:
    assert set(get_args(SegmentsConfig.model_fields["method"].annotation)) == set(METHODS)
    for method, row in METHODS.items():
        assert Recipe.of(SegmentsConfig(method=method)).method == method  # type: ignore[arg-type]
        for settings, able in (({"init": "ward"}, "ward" in row.inits), ({"balance": "weights"}, row.weights)):
            if able:
                SegmentsConfig(method=method, **settings)  # type: ignore[arg-type]
            else:
                with pytest.raises(ValueError, match="is for"):
                    SegmentsConfig(method=method, **settings)  # type: ignore[arg-type]


def test_deep_without_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"penchant\[neural\]"):
        cluster(blobs()[0], "deep", 3, seed=0)


def test_deep_leaves_the_callers_random_numbers_and_threads_alone() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    cluster(blobs()[0], "deep", 3, seed=0)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_assign_takes_the_nearest_and_the_lower_on_ties() -> None:
    centroids = np.array([[1, 0], [0, 1]], np.float32)
    rows = np.array([[0.6, 0.4], [0.4, 0.6], [0.5, 0.5], [0, 0]], np.float32)
    assert assign(centroids, rows).tolist() == [0, 1, 0, -1]
    with pytest.raises(DataError, match="2 columns"):
        assign(centroids, np.ones((1, 3), np.float32))
