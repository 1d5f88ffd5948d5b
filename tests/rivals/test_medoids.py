"""Medoids by hand: clusters, medoids, importance, dealing of places, and what is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.data import DAY_S
from penchant.rivals.medoids import GRID, SPACES, Neighbours, deal
from penchant.rivals.ward import MAX_ITEMS, cut_trees, find_medoids, read_pasts
from tests.rivals.logs import N_ITEMS, fit_one, quick
from tests.scorers.logs import make_items, make_log, taste_log

# items on a circle: 0, 1 and 2 lie near each other, 3 at a right angle to 0; 4 and 5 beside 1 and 3; 6 is unknown
ANGLES = np.radians([0, 10, 20, 90, 12, 88])
VECTORS = np.vstack([np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]), np.zeros((1, 2))]).astype(np.float32)
# user 0 liked 0, 1 and 2 ten days before 3; user 1 liked 3 alone; user 2 only what has no vector
LOG = make_log([(0, i, 0.0) for i in (0, 1, 2)] + [(0, 3, 10 * DAY_S), (1, 3, 5 * DAY_S), (2, 6, 1.0)], 3)
USERS = np.array([0, 1, 2], np.int32)


def test_the_past_of_each_user() -> None:
    pasts = read_pasts(LOG, USERS, VECTORS)
    assert pasts.user.tolist() == [0, 0, 0, 0, 1]
    assert pasts.item.tolist() == [0, 1, 2, 3, 3]
    assert pasts.age.tolist() == [10, 10, 10, 0, 0]  # days before the user's own latest


def test_ward_cuts_by_distance() -> None:
    """Items 0-1 and 1-2 are 2 sin 5 deg = .174 apart, their cluster and 3 some 1.5: sqrt(2 * 3 / 4) * 1.27."""
    pasts = read_pasts(LOG, USERS, VECTORS)
    every, some, one = (len(np.unique(row)) for row in cut_trees(pasts, VECTORS, [0.1, 0.7, 2.0]))
    assert (every, some, one) == (5, 3, 2)
    labels = cut_trees(pasts, VECTORS, [0.7])[0]
    assert labels[0] == labels[1] == labels[2] != labels[3]
    assert labels[4] not in labels[:4]  # clusters are a user's own


@pytest.mark.parametrize(
    ("decay", "first", "share"),
    [(0.0, [1, 3], 3 / 4), (0.1, [1, 3], 3 / (3 + np.e)), (0.2, [3, 1], np.e**2 / (3 + np.e**2))],
)
def test_medoids_by_decayed_frequency(decay: float, first: list[int], share: float) -> None:
    """Three likes of ten days ago weigh 3 exp(-10 decay), the one of today 1; item 1 lies between 0 and 2."""
    pasts = read_pasts(LOG, USERS, VECTORS)
    found = find_medoids(pasts, cut_trees(pasts, VECTORS, [0.7])[0], VECTORS, decay=decay, n_medoids=3)
    assert found.item.tolist() == [[*first, -1], [3, -1, -1], [-1, -1, -1]]
    assert found.share[0, 0] == pytest.approx(share)
    assert found.share.sum(axis=1) == pytest.approx([1, 1, 0])


def test_lists_hold_the_nearest_unseen_items_of_the_medoids() -> None:
    """User 0: the medoids 1 (share 3/4) and 3 have 4 and 5 beside them, the unknown item comes last."""
    pasts = read_pasts(LOG, USERS, VECTORS)
    found = find_medoids(pasts, cut_trees(pasts, VECTORS, [0.7])[0], VECTORS, decay=0.0, n_medoids=3)
    lists = Neighbours(VECTORS, USERS, LOG.touched(7), [found], 4).lists(found, 4)
    # 4 at .5 / .75 = .67; 5 at min(1.5 / .75, .5 / .25) = 2; 6 at 2.5 / .75 = 3.33
    assert lists.tolist() == [[4, 5, 6, -1], [5, 2, 4, 1], [-1, -1, -1, -1]]


def test_places_are_dealt_by_share() -> None:
    lists = np.array([[[1, 2, 3, 4], [5, 6, 7, 8]]])
    assert deal(lists, np.array([[0.5, 0.5]]), 4).tolist() == [[1, 5, 2, 6]]
    assert deal(lists, np.array([[0.75, 0.25]]), 4).tolist() == [[1, 2, 5, 3]]  # 2 and 5 both at 2: the lower row
    assert deal(lists, np.array([[1.0, 0.0]]), 3).tolist() == [[1, 2, 3]]
    assert deal(np.zeros((2, 0, 3), int), np.zeros((2, 0)), 2).tolist() == [[-1, -1], [-1, -1]]


def test_only_the_latest_items_are_clustered() -> None:
    log = make_log([(0, i, float(i)) for i in range(MAX_ITEMS + 50)], 1)
    pasts = read_pasts(log, np.zeros(1, np.int32), np.ones((MAX_ITEMS + 50, 2), np.float32))
    assert pasts.item.tolist() == list(range(50, MAX_ITEMS + 50))


def test_items_that_are_all_alike_are_one_cluster() -> None:
    log = make_log([(0, i, float(i)) for i in range(5)], 1)
    same = np.tile(np.array([[1, 0]], np.float32), (5, 1))
    pasts = read_pasts(log, np.zeros(1, np.int32), same)
    found = find_medoids(pasts, cut_trees(pasts, same, [0.5])[0], same, decay=0.0, n_medoids=2)
    assert found.item.tolist() == [[0, -1]]


def test_settings_are_the_best_of_the_grid() -> None:
    peer = fit_one("medoids")
    assert len(peer.validation) == len(GRID)
    assert peer.settings == GRID[int(np.argmax(peer.validation))]
    assert {row["space"] for row in GRID} == set(SPACES)


def test_without_texts_only_behaviour_is_tried() -> None:
    peer = fit_one("medoids", items=make_items(N_ITEMS))
    assert len(peer.validation) == len(GRID) // 2
    assert peer.settings["space"] == "behaviour"
    assert "no text is read" in peer.notes[0]


def test_too_short_a_train_says_so() -> None:
    peer = fit_one("medoids", make_log([(0, 0, 1.0), (1, 1, 1.0)], 2), make_items(8), USERS[:2])
    assert peer.validation == ()
    assert peer.settings == GRID[0]
    assert "too short to choose settings on" in peer.notes[-1]


def test_a_text_space_by_a_tuned_encoder_is_read_before_the_window() -> None:
    """The window's answers must not have tuned the space that is chosen on it: two fits of the encoder, not one."""
    config = quick(encode={"tune": "head", "head": {"n_rounds": 1, "n_groups": 20}})
    assert (fit_one("medoids", config=config).lists >= 0).all()


def test_a_log_without_times() -> None:
    assert (fit_one("medoids", taste_log(n_items=N_ITEMS, clock="order")).lists >= 0).all()
