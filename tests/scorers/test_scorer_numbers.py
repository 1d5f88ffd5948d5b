"""Numbers worked by hand or computed another way."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from penchant.data import DAY_S
from penchant.errors import DataError
from penchant.scorers.als import Als
from penchant.scorers.ease import Ease, _invert
from penchant.scorers.item_knn import ItemKnn
from penchant.scorers.plain import Plain
from penchant.scorers.popular import Popular, Popular7Days, Popular30Days
from penchant.scorers.top import top_items, top_lists, top_neighbours
from tests.scorers.logs import make_log, taste_log

ROWS = [(0, 0, 0.0), (0, 0, 1.0), (1, 0, 2.0), (2, 1, 80 * DAY_S), (0, 2, 95 * DAY_S), (1, 2, 100 * DAY_S)]


def test_popularity_counts_users_or_events() -> None:
    log = make_log(ROWS, 3)
    by_user, by_event = Popular(), Popular(count="events")
    by_user.fit(log, 4)
    by_event.fit(log, 4)
    assert by_user.item_score.tolist() == [2, 1, 2, 0]
    assert by_event.item_score.tolist() == [3, 1, 2, 0]


def test_popularity_windows_end_at_the_last_event_and_ties_follow_the_whole_log() -> None:
    log = make_log(ROWS, 3)
    week, month = Popular7Days(), Popular30Days()
    week.fit(log, 4)
    month.fit(log, 4)
    assert week.item_score.tolist() == [0.5, 0.25, 2.5, 0.0]
    assert month.item_score.tolist() == [0.5, 1.25, 2.5, 0.0]


def test_a_log_without_times_is_one_year_long() -> None:
    log = make_log([(0, i % 2 if i < 335 else 2, float(i)) for i in range(365)], 1, clock="order")
    month = Popular30Days(count="events")
    month.fit(log, 3)
    assert np.floor(month.item_score).tolist() == [0, 0, 30]


def test_item_knn_equals_bm25_worked_out_in_full() -> None:
    log = taste_log(n_users=20, n_items=10, per_user=4)
    x = log.matrix(10, binary=True).toarray().T  # items are documents, users are words
    idf = np.log(10) - np.log1p(x.sum(axis=0))
    length = 1 - 0.75 + 0.75 * x.sum(axis=1) / x.sum(axis=1).mean()
    weighted = x * (1.2 + 1) / (1.2 * length[:, None] + x) * idf
    expected = weighted @ weighted.T
    np.fill_diagonal(expected, 0)
    scorer = ItemKnn(k=10, b=0.75)
    scorer.fit(log, 10)
    np.testing.assert_allclose(scorer.neighbours.toarray(), np.maximum(expected, 0), rtol=1e-5)


def test_item_knn_keeps_k_neighbours() -> None:
    scorer = ItemKnn(k=3)
    scorer.fit(taste_log(), 40)
    kept = np.diff(scorer.neighbours.indptr)
    assert kept.max() == 3
    assert scorer.neighbours.diagonal().sum() == 0


def test_ease_equals_the_closed_form() -> None:
    log = taste_log(n_users=30, n_items=12)
    x = log.matrix(12, binary=True).toarray().astype(np.float64)
    liked = x.sum(axis=0) > 0
    gram = x[:, liked].T @ x[:, liked] + 7 * np.eye(liked.sum())
    inverse = np.linalg.inv(gram)
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    scorer = Ease(regularization=7)
    scorer.fit(log, 12)
    np.testing.assert_allclose(scorer.weights, expected, atol=1e-5)


@pytest.mark.parametrize("n", [1, 3, 2100])
def test_inversion_in_place_gives_the_full_symmetric_inverse(n: int) -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(n, 3)).astype(np.float32)
    matrix = np.asfortranarray(root @ root.T + np.eye(n, dtype=np.float32) * 5)
    inverse = _invert(matrix.copy(order="F"))
    assert (inverse == inverse.T).all()
    columns = [0, n // 2, n - 1]
    np.testing.assert_allclose(matrix @ inverse[:, columns], np.eye(n, dtype=np.float32)[:, columns], atol=1e-4)


def test_ease_refuses_what_has_no_inverse() -> None:
    with pytest.raises(DataError, match="raise `regularization`"):
        Ease(regularization=0).fit(make_log([(0, 0, 1.0), (0, 1, 1.0)], 1), 2)


def test_ease_cuts_a_large_catalogue_and_says_so() -> None:
    log = make_log([(u, i, 1.0) for u in range(4) for i in range(u + 1)], 4)  # item 0 has 4 users, item 3 has 1
    scorer = Ease(max_items=2)
    scorer.fit(log, 5)
    assert scorer.kept_rows.tolist() == [0, 1]
    assert scorer.notes == ("ease: kept the 2 most popular of 4 items; the others score zero",)
    scores = scorer.score(np.array([3], np.int32), log.matrix(5, binary=True))
    assert (scores[0, 2:] == 0).all()
    assert (scores[0, :2] > 0).all()
    assert scorer.similar(np.array([3, 0], np.int32)).toarray()[0].sum() == 0


def test_the_tail_of_ease_by_block_inversion() -> None:
    """Against the inverse of the whole matrix, the tail's block of it made diagonal by hand."""
    log = taste_log(n_users=80, n_items=12)
    x = log.matrix(12, binary=True).toarray().astype(np.float64)
    scorer = Ease(max_items=7, tail_users=1, n_tail=7, regularization=20.0)
    scorer.fit(log, 12)
    head, tail = scorer.kept_rows, scorer.tail_rows
    assert len(head) == 7
    assert sorted([*head, *tail]) == np.flatnonzero(x.sum(axis=0)).tolist()
    assert scorer.notes == (
        f"ease: kept the 7 most popular of {7 + len(tail)} items in full and tied {len(tail)} to them",
    )
    g = x.T @ x + 20.0 * np.eye(12)
    a = np.linalg.inv(g[np.ix_(head, head)])
    w = a @ g[np.ix_(head, tail)]
    schur = np.diag(g)[tail] - np.einsum("ij,ij->j", g[np.ix_(head, tail)], w)
    joint = np.block([[a + w / schur @ w.T, -w / schur], [-(w / schur).T, np.diag(1 / schur)]])
    weights = -joint / np.diag(joint)
    np.testing.assert_allclose(scorer.tail.to_tail.toarray(), weights[:7, 7:], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(scorer.tail.to_head.toarray(), weights[7:, :7], rtol=1e-3, atol=1e-5)
    past = np.zeros((1, 12), np.float32)
    past[0, [head[0], tail[0]]] = 1
    score = scorer.score(np.zeros(1, np.int32), sp.csr_array(past))[0]
    np.testing.assert_allclose(score[tail], weights[0, 7:], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(score[head], scorer.weights[0] + weights[7, :7], rtol=1e-3, atol=1e-5)
    again = Ease.from_parts(scorer.to_parts())
    assert (again.score(np.zeros(1, np.int32), sp.csr_array(past))[0] == score).all()


def test_the_tail_is_the_ridge_regression_on_the_head_and_is_cut_to_the_largest() -> None:
    log = taste_log(n_users=80, n_items=12)
    x = log.matrix(12, binary=True).toarray()
    wide, narrow = Ease(max_items=7, n_tail=7), Ease(max_items=7, n_tail=2)
    for scorer in (wide, narrow):
        scorer.fit(log, 12)
    h = x[:, wide.kept_rows].astype(np.float64)
    ridge = np.linalg.solve(h.T @ h + 200.0 * np.eye(7), h.T @ x[:, wide.tail_rows])
    np.testing.assert_allclose(wide.tail.to_tail.toarray(), ridge, rtol=1e-3, atol=1e-6)
    kept = narrow.tail.to_tail.toarray()
    assert ((kept != 0).sum(axis=0) == 2).all()
    assert (np.abs(kept).max(axis=0) == np.abs(wide.tail.to_tail.toarray()).max(axis=0)).all()


def test_blocks_of_the_tail_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log = taste_log(n_users=80, n_items=12)
    one, two = Ease(max_items=5), Ease(max_items=5)
    one.fit(log, 12)
    monkeypatch.setattr("penchant.scorers.tail.BLOCK", 2)
    two.fit(log, 12)
    np.testing.assert_allclose(one.tail.to_head.toarray(), two.tail.to_head.toarray(), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(one.tail.to_tail.toarray(), two.tail.to_tail.toarray(), rtol=1e-4, atol=1e-7)


def test_als_folds_in_the_least_squares_answer() -> None:
    log = taste_log(n_users=30, n_items=12)
    scorer = Als(n_factors=4, alpha=3.0, regularization=0.5)
    scorer.fit(log, 12)
    past = log.matrix(12, binary=True)
    y = scorer.item_factors.astype(np.float64)
    p = past.toarray()[7]
    confidence = np.where(p > 0, 3.0, 1.0)  # Hu et al. 2008, eq. 4; the log's entries are 1
    expected = np.linalg.solve((y.T * confidence) @ y + 0.5 * np.eye(4), (y.T * confidence) @ p)
    found = scorer.user_factors(np.array([7], np.int32), past)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_plain_scores_are_the_share_of_the_cluster() -> None:
    titles = ["red lamp", "red lamp", "soup bowl", "soup bowl"]
    log = make_log([(0, 0, 1.0), (1, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0), (3, 2, 1.0), (3, 3, 1.0)], 4)
    scorer = Plain(n_clusters=2, texts=titles)
    scorer.fit(log, 4)
    scores = scorer.score(np.array([0, 3], np.int32), log.matrix(4, binary=True))
    # ties add at most half of the smallest step between two shares (1/2 of a user in a cluster of two)
    assert np.floor(scores * 2).tolist() == [[2, 1, 0, 0], [0, 0, 2, 1]]


def test_plain_reads_chinese_and_refuses_a_wrong_number_of_texts() -> None:
    log = make_log([(0, 0, 1.0), (1, 1, 1.0)], 2)
    scorer = Plain(n_clusters=2, texts=["科幻电影", "手机保护壳"])
    scorer.fit(log, 2)
    assert scorer.item_words.shape[1] >= 2
    with pytest.raises(DataError, match=r"one text an item is needed \(3\). Got 2"):
        scorer.fit(log, 3)


def test_plain_says_when_there_are_no_texts() -> None:
    scorer = Plain(n_clusters=2, texts=["?", "!"])
    scorer.fit(make_log([(0, 0, 1.0), (1, 1, 1.0)], 2), 2)
    assert "no words" in scorer.notes[0]


def test_top_items_is_a_full_stable_sort() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(-3, 3, (200, 50)).astype(np.float32) / 2  # many ties, negative scores, zeros
    scores[scores == 0] *= rng.choice([-1, 1], (scores == 0).sum())  # both zeros
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :7]
    assert (top_items(scores, 7) == expected).all()


def test_top_items_orders_extreme_floats() -> None:
    big = np.finfo(np.float32)
    scores = np.array([[big.max, np.inf, -big.max, big.tiny, -np.inf, np.nan, -big.tiny, 0.0]], np.float32)
    assert top_items(scores, 8).tolist() == [[1, 0, 3, 7, 6, 2, -1, -1]]


def test_seen_items_are_left_out_and_short_lists_padded() -> None:
    log = make_log([(0, 0, 1.0), (1, 1, 1.0), (1, 2, 1.0)], 2)
    seen = log.matrix(3, binary=True)
    popular = Popular()
    popular.fit(log, 3)
    told: list[int] = []
    lists = top_lists(popular, np.array([1, 0], np.int32), seen, 2, seen=seen, on_batch=told.append)
    assert lists.tolist() == [[0, -1], [1, 2]]
    assert sum(told) == 2


def test_batches_do_not_change_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    log = taste_log()
    scorer, past, users = ItemKnn(), log.matrix(40, binary=True), np.arange(60, dtype=np.int32)
    scorer.fit(log, 40)
    whole = top_lists(scorer, users, past, 5, seen=past)
    monkeypatch.setattr("penchant.scorers.top.BATCH_BYTES", 40 * 4 * 7)
    assert (top_lists(scorer, users, past, 5, seen=past) == whole).all()


def test_neighbours_leave_out_the_item_and_what_is_not_alike() -> None:
    similarity = np.array([[1, 0.2, -0.5, 0.9], [0.2, 1, 0.2, 0.2]], np.float32)
    found = top_neighbours(similarity, np.array([0, 1], np.int32), 2).toarray()
    np.testing.assert_allclose(found, [[0, 0.2, 0, 0.9], [0.2, 0, 0.2, 0]], rtol=1e-6)
