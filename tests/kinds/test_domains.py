"""From one domain to another: the past is read here, the list holds there, and who has no past here is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from penchant.data import IntArray
from penchant.errors import DataError, NotFoundError
from penchant.model import Model
from penchant.recommend.past import Past, past_of_new, read_past
from tests.recommend.conftest import N_ITEMS, N_USERS, events_of

from .conftest import with_columns

BOOKS = np.arange(N_ITEMS) < 30  # i0..i29 are books, the others films; every group has both


@pytest.fixture
def two(small: Model) -> Model:
    return with_columns(small, domain=pl.Series(["books" if book else "films" for book in BOOKS]))


def test_a_past_among_some_items_keeps_their_order() -> None:
    rows = [(0, 0, 1.0, 1.0), (0, 3, 2.0, 2.0), (0, 1, 1.0, 3.0), (0, 2, -1.0, 4.0), (1, 3, 1.0, 5.0)]
    past = read_past(events_of(rows, 2), 4).of_items(np.array([True, True, True, False]))
    assert past.matrix(past.weight).toarray().tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert past.own_age.tolist() == [1.0, 0.0]  # item 0, then item 1; item 3 between them is not read
    assert past.touched.toarray().tolist() == [[1, 1, 1, 1], [0, 0, 0, 1]]  # still left out of lists
    assert past.n_liked.tolist() == [2, 0]


def test_reading_all_items_changes_no_past() -> None:
    past = past_of_new(
        np.zeros(3, np.int32), np.array([3, 1, 2], np.int32), np.ones(3, np.float32), n_users=1, n_items=5
    )
    same = past.of_items(np.ones(5, np.bool_))
    assert same.own_age.tolist() == past.own_age.tolist()
    assert (same.matrix(same.weight) != past.matrix(past.weight)).nnz == 0


def test_lists_hold_new_items_of_the_target_domain(two: Model) -> None:
    table = two.recommend(k=5, source_domain="books", target_domain="films")
    items = np.array([int(i[1:]) for i in table["item_id"]])
    assert not BOOKS[items].any()
    touched = two.recommender.past.touched.toarray() > 0
    users = two.user_rows(table["user_id"].to_list())
    known = users < N_USERS
    assert not touched[users[known], items[known]].any()
    first = table.filter((pl.col("rank") == 1) & (pl.col("user_id") != f"u{N_USERS}"))
    of_group = [int(i[1:]) % 3 == int(u[1:]) % 3 for u, i in first.select("user_id", "item_id").rows()]
    assert np.mean(of_group) > 0.6  # by chance a third or less: most films of a user's own group are taken
    assert table["layer"].null_count() == table.height


def _without_films(past: Past, user: int, films: IntArray) -> Past:
    """The same log, in which the user liked none of these films."""
    keep = ~((np.repeat(np.arange(past.n_users), past.n_liked) == user) & np.isin(past.indices, films))
    owner = np.repeat(np.arange(past.n_users), past.n_liked)[keep]
    arrays = {n: getattr(past, n)[keep] for n in ("indices", "weight", "own_age", "log_age", "age_days")}
    return replace(past, indptr=np.searchsorted(owner, np.arange(past.n_users + 1)).astype(np.int32), **arrays)


def test_what_was_liked_outside_the_source_domain_is_not_read(two: Model) -> None:
    films = np.flatnonzero(~BOOKS).astype(np.int32)
    other = replace(two, recommender=replace(two.recommender, past=_without_films(two.recommender.past, 4, films)))
    asked = {"source_domain": "books", "target_domain": "films"}
    before, after = two.recommend(["u4"], 5, **asked), other.recommend(["u4"], 5, **asked)  # type: ignore[arg-type]
    assert_frame_equal(before, after)
    whole, less = two.recommend(["u4"], 5, target_domain="films"), other.recommend(["u4"], 5, target_domain="films")
    assert whole["score"].to_list() != less["score"].to_list()


def test_a_target_alone_is_a_condition_on_the_domain(two: Model) -> None:
    assert_frame_equal(two.recommend(k=3, target_domain="films"), two.recommend(k=3, where=["domain=films"]))


def test_a_user_without_a_past_in_the_source_domain_is_told(two: Model) -> None:
    films = with_columns(two, domain=pl.Series(["books" if i == 7 else "films" for i in range(N_ITEMS)]))
    fans = films.recommender.past.matrix().toarray()[:, 7] > 0
    fan, other = f"u{np.flatnonzero(fans)[0]}", f"u{np.flatnonzero(~fans)[0]}"
    for language, words in (("en", "likes nothing of the domain “books”"), ("zh", "“books”领域")):
        table = films.recommend(
            [other, fan, "nobody"],
            2,
            source_domain="books",
            target_domain="films",
            language=language,  # type: ignore[arg-type]
        )
        assert table["user_id"].to_list() == [other] * 2 + [fan] * 2 + ["nobody"] * 2
        told = table["reason"].str.contains(words, literal=True).to_list()
        assert told == [True] * 2 + [False] * 4
    assert set(films.recommend([other], 3, source_domain="films")["item_id"])


def test_wrong_questions_for_domains(two: Model, small: Model) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'books'"):
        two.recommend(["u1"], source_domain="book")
    with pytest.raises(NotFoundError, match="domain 'music' is not in this model; allowed: books, films"):
        two.recommend(["u1"], target_domain="music")
    with pytest.raises(DataError, match="no item of this model has one; give the catalogue a column 'domain'"):
        small.recommend(["u1"], source_domain="books")
    with pytest.raises(DataError, match="no item of the 45 in this model is left by domain 'films', 'item_id=i1'"):
        two.recommend(["u1"], target_domain="films", where=["item_id=i1"])
