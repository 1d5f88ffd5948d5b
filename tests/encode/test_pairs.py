"""Likes, groups and held-out texts: hand-worked numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from penchant.data import Events
from penchant.encode.pairs import HeldOut, Likes, chance_to_stay, draw_groups, hold_out, likes_of


def _likes(*users: list[int], n_texts: int = 6) -> Likes:
    user = np.repeat(np.arange(len(users)), [len(u) for u in users]).astype(np.int32)
    return Likes(user, np.array([t for u in users for t in u], np.int32), len(users), n_texts)


def test_likes_are_positive_first_and_in_the_order_of_time() -> None:
    table = pl.DataFrame(
        {
            "user_row": pl.Series([1, 0, 0, 1, 0, 0], dtype=pl.Int32),
            "item_row": pl.Series([2, 1, 0, 2, -1, 3], dtype=pl.Int32),
            "action": pl.Series([0] * 6, dtype=pl.Int16),
            "weight": pl.Series([1, 1, 2, 1, 1, -1], dtype=pl.Float32),
            "time": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        }
    )
    events = Events(table, pl.Series(["a", "b"]), ("view",))
    likes = likes_of(events, np.array([4, 2, -1, 0], np.int32), 5)  # item 2 has no text
    assert list(zip(likes.user.tolist(), likes.text.tolist(), strict=True)) == [(0, 2), (0, 4)]
    assert likes.matrix.toarray().tolist() == [[0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]
    assert likes.n_by_text.tolist() == [0, 0, 1, 0, 1]


def test_popular_texts_are_thinned_by_the_stated_formula() -> None:
    likes = _likes([0, 1], [0, 2], [0, 3], [0, 4])  # text 0 has 4 users, half of the likes: the median is 2.5
    assert np.allclose(chance_to_stay(likes, 1.0)[:2], [2.5 / 4, 1])
    assert (chance_to_stay(likes, 0.0) == 1).all()


def test_groups_come_from_one_user_within_the_window() -> None:
    likes = _likes([0, 1, 2, 3, 4], [5])
    groups = draw_groups(likes, 500, size=3, window=1, debias=0.0, rng=np.random.default_rng(0))
    assert groups.text.shape == (500, 3)
    assert set(groups.user.tolist()) == {0}  # the other user has one text only
    assert (np.abs(groups.text[:, 1:] - groups.text[:, :1]) == 1).all()
    assert set(groups.text[:, 0].tolist()) == {0, 1, 2, 3, 4}


def test_no_group_without_two_texts_of_a_user() -> None:
    assert len(draw_groups(_likes([0], [1]), 10, size=2, window=5, debias=0.5, rng=np.random.default_rng(0))) == 0


def test_held_out_texts_are_ranked_by_the_mean_of_the_past() -> None:
    likes = _likes([0, 1, 4], [2, 3], [0])
    wanted, past = np.array([0, 0, 0, 1, 1, 1], bool), np.array([1, 1, 1, 0, 0, 0], bool)
    held = hold_out(likes, wanted, past, max_users=10, max_texts=10)
    assert held.past.tolist() == [0, 1, 2]
    assert held.wanted.tolist() == [3, 4]  # nobody likes 5
    assert held.profile.toarray().tolist() == [[0.5, 0.5, 0], [0, 0, 1]]
    past_vectors = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    wanted_vectors = np.array([[1, 0], [1, 1]], np.float32)
    # user 0: 0.5 and 1, wants the second: rank 1. user 1: 1 and 1, wants the first, which stands before its equal
    assert held.scores(past_vectors, wanted_vectors).tolist() == [1.0, 1.0]
    # user 0 now has 1 and 0.5: rank 2
    assert held.scores(past_vectors, wanted_vectors[::-1])[0] == pytest.approx(1 / np.log2(3))


def test_only_the_users_with_the_most_answers_judge() -> None:
    likes = _likes([0, 3], [0, 3, 4], [1, 4])
    wanted, past = np.array([0, 0, 0, 1, 1, 1], bool), np.array([1, 1, 1, 0, 0, 0], bool)
    held: HeldOut = hold_out(likes, wanted, past, max_users=1, max_texts=1)
    assert held.past.tolist() == [0]
    assert (held.user.tolist(), held.place.tolist()) == ([0, 0], [0, 1])
