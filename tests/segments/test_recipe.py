"""Splitting, merging, joining; memberships; uneven data; advice."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from penchant.config import SegmentsConfig
from penchant.errors import DataError
from penchant.segments import advise, assign_users, membership, segment_users, user_membership, user_rows
from penchant.segments.advice import measure_rows
from penchant.segments.algorithms import METHODS, assign, cluster
from penchant.segments.imbalance import balanced_draw, group_weights, strongest_field, thicken
from penchant.segments.recipe import Recipe
from penchant.segments.reduce import directions, reduce
from tests.segments.market import make_market, make_tree, profiles_of
from tests.segments.test_algorithms import blobs


def test_a_recipe_without_steps_is_the_clustering() -> None:
    rows, _ = blobs()
    plain = cluster(rows, "kmeans", 4, seed=0)
    made = Recipe().make(rows, 4, seed=0)
    assert not Recipe().refines
    assert made.labels.tobytes() == plain.labels.tobytes()


def test_merging_undoes_a_needless_cut() -> None:
    rows, truth = blobs()
    assert cluster(rows, "kmeans", 4, seed=0).n_clusters == 4
    found = Recipe(merge_above=0.1).make(rows, 4, seed=0)
    assert found.labels.tolist() == truth.tolist()
    assert found.n_asked == 4


def test_clear_clusters_are_not_merged() -> None:
    rows, truth = blobs()
    assert Recipe(merge_above=0.1).make(rows, 3, seed=0).labels.tolist() == truth.tolist()


def test_splitting_cuts_the_loose_cluster_only() -> None:
    rows, truth = blobs()
    assert Recipe(split_above=1.2).make(rows, 2, seed=0).labels.tolist() == truth.tolist()
    assert Recipe(split_above=2.5).make(rows, 3, seed=0).labels.tolist() == truth.tolist()


def test_small_clusters_join_the_nearest() -> None:
    rng = np.random.default_rng(0)
    at = np.array([[1, 0], [0, 1], [0.1, 1.4]])[np.repeat([0, 1, 2], [50, 40, 3])]
    rows = (at + rng.normal(0, 0.02, at.shape)).astype(np.float32)
    assert cluster(rows, "kmeans", 3, seed=0).n_clusters == 3
    found = Recipe(min_share=0.05).make(rows, 3, seed=0)
    assert found.labels.tolist() == np.repeat([0, 1, 1], [50, 40, 3]).tolist()
    assert Recipe(min_share=0.9).make(rows, 3, seed=0).n_clusters == 1


@pytest.mark.parametrize("method", ["kmeans", "ward", "gmm", "hdbscan"])
def test_steps_leave_input_and_seen_again_rows_alone(method: str) -> None:
    rows, _ = blobs()
    before = rows.copy()
    found = Recipe(method, split_above=1.1, merge_above=0.3, min_share=0.05).make(rows, 5, seed=0)
    assert rows.tobytes() == before.tobytes()
    if METHODS[method].by_centroid:
        assert assign(found.centroids, rows).tolist() == found.labels.tolist()


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"deep"}))
def test_memberships_sum_to_one_and_follow_labels(method: str) -> None:
    rows, _ = blobs()
    rows[3] = 0
    found = cluster(rows, method, 3, seed=0)
    soft = membership(found, rows, labels=found.labels)
    assert soft.shape == (len(rows), found.n_clusters)
    kept = found.labels >= 0
    np.testing.assert_allclose(soft[kept].sum(axis=1), 1, atol=1e-6)
    assert not soft[~kept].any()
    assert soft[kept].argmax(axis=1).tolist() == found.labels[kept].tolist()
    assert not membership(found, rows)[3].any()


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
@pytest.mark.parametrize("width", [0.2, 0.4, 0.6])
def test_a_membership_is_a_chance(method: str, width: float) -> None:
    """Two clouds and 40 columns that tell nothing: the mean membership of a label is how often the label is right."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 1500)
    rows = rng.normal(0, 0.3, (3000, 42))
    rows[:, 0] = 10 + rng.normal(0, width, 3000) * 0.5
    rows[:, 1] = truth + rng.normal(0, width, 3000) * 0.5
    rows = rows.astype(np.float32)
    found = cluster(rows, method, 2, seed=0)
    right = max((found.labels == truth).mean(), (found.labels != truth).mean())
    assert membership(found, rows).max(axis=1).mean() == pytest.approx(right, abs=0.03)


def test_membership_refuses_other_rows() -> None:
    rows, _ = blobs()
    for method in ("kmeans", "gmm"):
        found = cluster(rows, method, 3, seed=0)
        with pytest.raises(DataError, match="6 columns"):
            membership(found, rows[:, :2])
    with pytest.raises(DataError, match="one label a row"):
        membership(found, rows, labels=found.labels[:2])


def test_reduction_keeps_what_goes_together() -> None:
    rng = np.random.default_rng(0)
    group = np.eye(5)[rng.integers(0, 5, 800)]
    assert reduce((group @ rng.normal(size=(5, 60)) + rng.normal(size=(800, 60))).astype(np.float32), 0).values.shape[
        1
    ] in (4, 5)
    assert reduce(rng.normal(size=(800, 60)).astype(np.float32), 0).values.shape[1] == 2
    assert reduce(np.ones((4, 1), np.float32), 0).values.shape == (4, 1)
    far = directions(np.array([[3.0, 0, 0], [0, 0, 0], [0, 4, 3]]))
    np.testing.assert_allclose(far, [[1, 0, 0], [0, 0, 0], [0, 0.8, 0.6]])


def test_thin_users_borrow_at_most_half_and_are_marked() -> None:
    shares = np.zeros((24, 4), np.float32)
    shares[:12, :2] = 0.5
    shares[12:, 2:] = 0.5
    shares[0] = [1, 0, 0, 0]
    shares[23] = 0
    n_events = np.full(24, 20, np.int32)
    n_events[[0, 1]] = [1, 4]
    rows = (shares / np.maximum(np.linalg.norm(shares, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    made = thicken(sp.csr_array(shares), rows, n_events, 5, seed=0)
    assert np.flatnonzero(made.thin).tolist() == [0, 1]
    np.testing.assert_allclose(made.shares.toarray()[0], [0.75, 0.25, 0, 0], atol=1e-6)  # half its own, half theirs
    np.testing.assert_allclose(made.shares.toarray()[1:], shares[1:], atol=1e-6)
    assert thicken(sp.csr_array(shares), rows, n_events, 1, seed=0).thin.sum() == 0


def test_groups_by_strongest_field() -> None:
    tree = make_tree(2, 2)
    market = profiles_of(np.array([[0.6, 0.1, 0.3, 0], [0, 0, 1, 0], [0, 0, 0, 0]]), tree)
    from penchant.segments import share_matrix

    assert strongest_field(share_matrix(market, tree, 3), tree).tolist() == [0, 1, -1]
    weights = group_weights(np.array([0, 0, 0, 0, 1, -1], np.int32))
    assert weights[4] == pytest.approx(2 * weights[0])
    assert weights[5] == 1


def test_draws_even_groups_out() -> None:
    group = np.repeat([0, 1, 2, -1], [60, 28, 2, 5]).astype(np.int32)
    more, fewer = (balanced_draw(group, kind, seed=0) for kind in ("oversample", "undersample"))
    assert np.bincount(group[more]).tolist() == [60, 30, 20]  # the smallest at most tenfold
    assert set(more.tolist()) == set(range(90))
    assert np.bincount(group[fewer]).tolist() == [30, 28, 2]
    assert len(balanced_draw(np.full(3, -1, np.int32), "oversample", seed=0)) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "gmm"},
        {"method": "hdbscan"},
        {"method": "minibatch", "balance": "weights"},
        {"balance": "oversample"},
        {"balance": "undersample", "init": "ward"},
        {"merge_above": 0.5, "split_above": 1.2, "min_segment_share": 0.02},
    ],
)
def test_the_stage_takes_every_option(settings: dict[str, object]) -> None:
    market = make_market()
    config = SegmentsConfig(max_segments=5, n_random=20, **settings)  # type: ignore[arg-type]
    before = market.profiles.points.clone()
    found = segment_users(market.profiles, market.tree, market.n_users, config, seed=0)
    assert market.profiles.points.equals(before)
    assert found.table.height >= 2
    assert found.facts["method"] == config.method
    rows = user_rows(market.profiles, market.tree, market.n_users, config, weights=found.row_weights).values
    assert (assign_users(found, rows) == found.segment_row)[:-2].mean() == pytest.approx(
        found.facts["seen_again_share"]
    )
    soft = user_membership(found, rows)
    assert soft.shape == (market.n_users, found.table.height)
    np.testing.assert_allclose(soft[:-2].sum(axis=1), 1, atol=1e-5)
    assert not soft[-2:].any()


def test_thin_users_are_counted_by_the_stage() -> None:
    market = make_market()
    points = market.profiles.points
    import polars as pl

    thin = points.with_columns(n_events=pl.when(pl.col("user_row") < 30).then(1).otherwise(9).cast(pl.Int32))
    profiles = type(market.profiles)(thin, 0.0)
    config = SegmentsConfig(n_segments=4, n_random=20, thin_events=5)
    found = segment_users(profiles, market.tree, market.n_users, config, seed=0)
    n_leaves = points.filter((pl.col("level") == 2) & (pl.col("user_row") < 30))["user_row"].value_counts()
    assert found.facts["n_thin_users"] == (n_leaves["count"] < 5).sum() > 0


def test_advice_quotes_facts_and_each_rule_speaks() -> None:
    rng = np.random.default_rng(0)
    clear, _ = blobs((400, 300, 300), d=30)
    noise = rng.dirichlet(np.full(40, 0.5), 1000).astype(np.float32)
    piles = np.eye(12, dtype=np.float32)[rng.integers(0, 12, 900)]
    group = rng.integers(0, 3, (2, 900))
    tight, loose = (
        at * np.eye(30)[g + at] + rng.normal(0, w, (900, 30))
        for at, g, w in zip((1, 3), group, (0.02, 0.3), strict=True)
    )
    uneven = np.concatenate([tight, loose]).astype(np.float32)
    empty = clear.copy()
    empty[::3] = 0
    said = {name: " ".join(advise(rows)) for name, rows in (
        ("clear", clear), ("noise", noise), ("piles", piles), ("uneven", uneven), ("empty", empty), ("few", clear[::20])
    )}  # fmt: skip
    assert "2 of 30 dimensions" in said["clear"]
    assert "dense places" in said["clear"]
    assert "cut this cloud somewhere" in said["noise"]
    assert "take a method with centres" in said["noise"]
    assert "100% of the users have a near duplicate" in said["piles"]
    assert "8.3% of a row" in said["piles"]
    assert "hdbscan or optics, not dbscan" in said["uneven"]
    assert "33% of the users have no evidence" in said["empty"]
    assert "50 users are few" in said["few"]
    assert advise(np.zeros((4, 3), np.float32))[0].startswith("Only 0 users")
    assert measure_rows(np.ones((9, 3), np.float32)).duplicate_share == 1.0


def test_advice_names_limits_of_a_large_log() -> None:
    rows = np.random.default_rng(0).normal(size=(21_000, 6)).astype(np.float32)
    said = " ".join(advise(rows))
    assert "21,000 users: minibatch" in said
    assert "ward (5,000)" in said
