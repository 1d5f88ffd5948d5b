import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import v_measure_score

from penchant.config import ConfigError, InterestsConfig, build_config
from penchant.data import ItemSpace, Vectors
from penchant.interests.tree import assign_by_text, build_tree, tree_from_parts, tree_to_parts
from tests.interests.mixtures import catalogue, events_of, items_of, space_of

CONFIG = InterestsConfig()


@pytest.fixture(scope="module")
def grown():
    space, items, events, truth = catalogue()
    return build_tree(space, items, events, CONFIG, seed=0), space, items, events, truth


def test_true_clusters_become_leaves(grown):
    tree, _, _, _, truth = grown
    assert tree.n_leaves == 6
    assert v_measure_score(truth, tree.leaf_of_item) > 0.95


def test_membership_is_sharp_sparse_and_sums_to_one(grown):
    tree = grown[0]
    membership = tree.membership
    assert membership.dtype == np.float32
    assert membership.indices.dtype == np.int32
    assert membership.has_sorted_indices
    np.testing.assert_allclose(np.asarray(membership.sum(axis=1)).ravel(), 1.0, atol=1e-5)
    assert np.diff(membership.indptr).max() <= CONFIG.top_memberships
    assert np.median(membership.max(axis=1).toarray()) > 0.8


def test_node_table_holds_leaves_first_and_the_top_last(grown):
    tree = grown[0]
    nodes = tree.nodes
    assert dict(nodes.schema) == {
        "interest_id": pl.String,
        "parent_row": pl.Int32,
        "level": pl.Int32,
        "name": pl.String,
        "keywords": pl.List(pl.String),
        "n_items": pl.Int32,
        "medoid_item_row": pl.Int32,
        "coverage": pl.Float32,
        "distinctiveness": pl.Float32,
    }
    assert nodes["level"].to_list()[: tree.n_leaves] == [2] * tree.n_leaves
    assert (nodes["level"].to_numpy()[tree.n_leaves :] == 1).all()
    assert (tree.parent_row[: tree.n_leaves] >= tree.n_leaves).all()
    assert (tree.parent_row[tree.n_leaves :] == -1).all()
    for level in (1, 2):
        assert nodes["n_items"].to_numpy()[tree.rows_of_level(level)].sum() == 300


def test_siblings_stand_side_by_side_and_no_parent_has_an_only_child(grown):
    parents = grown[0].parent_row[: grown[0].n_leaves]
    assert (np.diff(parents) >= 0).all()
    assert np.bincount(parents)[parents.min() :].min() > 1


def test_three_levels_nest():
    space, items, events, _ = catalogue(n=480, k=12, d=32)
    tree = build_tree(space, items, events, InterestsConfig(n_levels=3), seed=0)
    assert tree.n_levels == 3
    n_by_level = [len(tree.rows_of_level(level)) for level in (1, 2, 3)]
    assert n_by_level == sorted(n_by_level)
    assert tree.nodes["level"].to_list() == sorted(tree.nodes["level"].to_list(), reverse=True)
    top = tree.membership_at(1)
    np.testing.assert_allclose(np.asarray(top.sum(axis=1)).ravel(), 1.0, atol=1e-5)
    middle = tree.rows_of_level(2)
    assert set(tree.parent_row[middle]) == set(tree.rows_of_level(1))
    seen = tree.parent_row[tree.parent_row[: tree.n_leaves]]
    assert len(np.flatnonzero(np.diff(seen))) == len(set(seen)) - 1  # grandparents stand together too


def test_medoids_lie_in_their_leaf(grown):
    tree = grown[0]
    medoids = tree.nodes["medoid_item_row"].to_numpy()[: tree.n_leaves]
    assert tree.leaf_of_item[medoids].tolist() == list(range(tree.n_leaves))


def test_new_items_find_their_leaf_by_text_alone(grown):
    tree, space, _, _, _ = grown
    rows = np.vstack([space.text.values, np.zeros((1, space.text.values.shape[1]), np.float32)])
    found = assign_by_text(tree, Vectors(rows, "new"), CONFIG)
    assert found.shape == (301, tree.n_leaves)
    assert found[[300]].nnz == 0
    placed = np.diff(found.indptr)[:300] > 0
    assert placed.mean() > 0.98
    right = np.asarray(found.argmax(axis=1)).ravel()[:300] == tree.leaf_of_item
    assert right[placed].mean() > 0.9


def test_a_text_far_from_all_is_no_interest(grown):
    tree = grown[0]
    away = -tree.text_centroids.sum(axis=0, keepdims=True)
    away /= np.linalg.norm(away)
    assert assign_by_text(tree, Vectors(away.astype(np.float32), "new"), CONFIG).nnz == 0


def test_without_texts_nothing_is_placed_by_text(grown):
    _, space, items, events, _ = grown
    tree = build_tree(ItemSpace(space.fused), items, events, CONFIG, seed=0)
    assert tree.text_centroids is None
    assert assign_by_text(tree, space.text, CONFIG).nnz == 0


def test_saved_form_gives_the_same_tree(grown):
    tree, space, _, _, _ = grown
    back = tree_from_parts(tree_to_parts(tree))
    assert back.nodes.equals(tree.nodes)
    assert (back.membership != tree.membership).nnz == 0
    assert back.version == tree.version
    assert back.facts == tree.facts
    again = assign_by_text(back, space.text, CONFIG)
    assert (again != assign_by_text(tree, space.text, CONFIG)).nnz == 0


def test_same_seed_same_bytes_in_two_processes():
    code = (
        "import hashlib;from penchant.config import InterestsConfig;"
        "from penchant.interests.tree import build_tree;from tests.interests.mixtures import catalogue;"
        "s,i,e,_=catalogue(n=120,k=4);t=build_tree(s,i,e,InterestsConfig(),seed=3);"
        "h=hashlib.sha256(t.membership.data.tobytes()+t.centroids.tobytes()+t.text_centroids.tobytes());"
        "print(t.version,h.hexdigest(),t.nodes['name'].to_list(),t.facts)"
    )
    root = Path(__file__).parents[2]
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1] != ""


def test_inputs_are_left_alone(grown):
    _, space, items, events, _ = grown
    before = space.fused.values.copy(), items.table.clone()
    build_tree(space, items, events, InterestsConfig(n_leaves=4), seed=1)
    assert (space.fused.values == before[0]).all()
    assert items.table.equals(before[1])


def test_ids_depend_on_content_not_on_the_seed(grown):
    tree, space, items, events, _ = grown
    other = build_tree(space, items, events, CONFIG, seed=5)
    same = set(tree.nodes["interest_id"][: tree.n_leaves]) & set(other.nodes["interest_id"][: other.n_leaves])
    assert len(same) >= tree.n_leaves - 1


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_tiny_catalogues(n):
    values = np.eye(8, dtype=np.float32)[:n]
    tree = build_tree(space_of(values), items_of(["Cup of tea"] * n), events_of(n), CONFIG, seed=0)
    assert tree.n_levels == 2
    assert tree.n_leaves >= 1
    assert tree.membership.shape == (n, tree.n_leaves)
    assert tree.nodes["name"].n_unique() == tree.nodes.height


def test_zero_rows_are_unassigned_and_identical_points_share_a_leaf():
    values = np.zeros((40, 4), np.float32)
    tree = build_tree(space_of(values), items_of(["a"] * 40), events_of(40), CONFIG, seed=0)
    assert tree.membership.nnz == 0
    assert tree.n_leaves == 1
    values[:, 0] = 1.0
    values[7] = 0.0
    tree = build_tree(space_of(values), items_of(["a"] * 40), events_of(40), CONFIG, seed=0)
    assert tree.n_leaves == 1
    assert tree.leaf_of_item[7] == -1
    assert (np.delete(tree.leaf_of_item, 7) == 0).all()


def test_a_given_number_of_leaves_is_kept(grown):
    _, space, items, events, _ = grown
    assert build_tree(space, items, events, InterestsConfig(n_leaves=9), seed=0).n_leaves == 9


@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_a_wrong_number_of_leaves_is_refused(value):
    with pytest.raises(ConfigError, match="n_leaves"):
        build_config({"interests": {"n_leaves": int(value) if value != "many" else value}})
