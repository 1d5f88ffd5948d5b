"""Recommending in bounded memory: what batches, threads and parts must not change, and what bounds the memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.dot_product import DotProduct
from penchant.errors import OutputError
from penchant.io import write_parts
from penchant.recommend import Recommender
from penchant.recommend import batch as batches
from penchant.recommend.past import Past
from penchant.scorers import top, top_items, top_lists
from penchant.threads import in_batches

from .conftest import N_USERS, Market, fit_market

N_ITEMS = 4000


def made_up(n_users: int) -> tuple[DotProduct, sp.csr_array]:
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(n, 8)).astype(np.float32) for n in (n_users, N_ITEMS)]
    seen = sp.random_array((n_users, N_ITEMS), density=0.005, format="csr", dtype=np.float32, rng=rng)
    return DotProduct("made up", {}, *vectors), seen


@pytest.mark.parametrize("k", [1, 10, 60])
def test_top_items_of_many_items_are_those_of_a_stable_sort(k: int) -> None:
    """The catalogue is large enough for maxima of blocks; rows are dense, rounded (ties), mostly zero, equal, NaN."""
    rng = np.random.default_rng(k)
    scores = rng.normal(size=(40, N_ITEMS)).astype(np.float32)
    scores[8:16] = scores[8:16].round(1)
    scores[16:24][rng.random((8, N_ITEMS)) < 0.99] = 0.0
    scores[24:28] = 1.0
    scores[28:32][rng.random((4, N_ITEMS)) < 0.2] = np.nan
    scores[32:36][rng.random((4, N_ITEMS)) < 0.999] = -np.inf
    seen = sp.random_array(scores.shape, density=0.05, format="csr", dtype=np.float32, rng=rng)
    before = scores.copy()
    open_ = np.where(np.isnan(scores) | (seen.toarray() != 0), -np.inf, scores)
    order = np.argsort(-open_, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(open_, order, axis=1)
    assert (top_items(scores, k, seen) == np.where(best > -np.inf, order, -1)).all()
    assert (top_items(scores, k, seen, above=0.0) == np.where(best > 0, order, -1)).all()
    assert np.array_equal(scores, before, equal_nan=True)


def test_lists_do_not_depend_on_threads_or_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, seen = made_up(300)
    users = np.arange(300, dtype=np.int32)[::-1]
    whole = top_lists(scorer, users, seen, 10, seen=seen)
    monkeypatch.setattr(top, "BATCH_BYTES", 4 * N_ITEMS * 14)
    told: list[int] = []
    assert (top_lists(scorer, users, seen, 10, seen=seen, on_batch=told.append, threads=2) == whole).all()
    assert max(told) == 14
    assert sum(told) == 300


def test_memory_of_retrieval_hangs_on_the_batch_not_on_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "BATCH_BYTES", 4 * N_ITEMS * 50)
    monkeypatch.setattr(top, "CHUNK_BYTES", 4 * N_ITEMS * 10)

    def peak(n_users: int) -> int:
        scorer, seen = made_up(n_users)
        users = np.arange(n_users, dtype=np.int32)
        top_lists(scorer, users[:50], seen, 10, seen=seen)
        tracemalloc.start()
        lists = top_lists(scorer, users, seen, 10, seen=seen)
        used = tracemalloc.get_traced_memory()[1] - lists.nbytes
        tracemalloc.stop()
        return used

    few, many = peak(200), peak(2000)
    assert many < 1.2 * few
    assert many < 3 * top.BATCH_BYTES


def test_no_more_batches_wait_than_there_are_threads() -> None:
    begun: list[int] = []

    def work(i: int) -> int:
        begun.append(i)
        return i

    for taken, result in enumerate(in_batches(work, range(20), threads=2)):
        assert result == taken
        assert len(begun) <= taken + 3


def test_the_bytes_of_a_batch_bound_its_users(fitted: Recommender) -> None:
    users = batches.batch_size(fitted.signals, 200)
    n = len(fitted.signals.names)
    assert 4 * users * fitted.signals.n_items * n <= batches.BATCH_BYTES


def test_threads_change_nothing(fitted: Recommender, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", 500_000)  # some ten users
    users = np.arange(N_USERS, dtype=np.int32)
    tables = []
    for threads in (1, 3):
        monkeypatch.setattr("penchant.recommend.recommender.n_threads", lambda n=threads: n)
        tables.append(fitted.recommend(users, market.profiles, k=5, why=True).table)
    assert tables[0].equals(tables[1])


def test_the_method_chosen_and_its_figures_do_not_hang_on_threads(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = []
    for threads in (1, 3):
        monkeypatch.setattr("penchant.recommend.choose.n_threads", lambda n=threads: n)
        reports.append(fit_market(market, n_windows=4).report)
    assert reports[0].equals(reports[1])


def test_the_past_of_some_users_is_that_of_their_rows(fitted: Recommender) -> None:
    past: Past = fitted.past
    rows = np.array([5, 0, 5, past.n_users - 1], np.int32)
    some = past.take(rows)
    for name in ("weight", "own_age", "log_age", "age_days"):
        assert (some.matrix(getattr(some, name)) != past.matrix(getattr(past, name))[rows]).nnz == 0
    assert (some.touched != past.touched[rows]).nnz == 0
    assert past.take(rows[:0]).n_users == 0


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_parts_make_the_same_file_as_the_whole(tmp_path: Path, ending: str) -> None:
    whole = pl.DataFrame(
        {"user_id": ["a", "b", "ü,"], "near": [[1, 2], [], None], "score": [0.5, None, 2.0]},
        schema={"user_id": pl.String, "near": pl.List(pl.Int32), "score": pl.Float32},
    )
    parts, at_once = tmp_path / f"parts.{ending}", tmp_path / f"whole.{ending}"
    assert write_parts((whole[i : i + 1] for i in range(3)), parts) == 3
    write_parts([whole], at_once)
    if ending == "parquet":
        assert pl.read_parquet(parts).equals(whole)
        assert pl.read_parquet(parts).schema == whole.schema
    else:
        assert parts.read_bytes() == at_once.read_bytes()


def test_a_part_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "lists.csv"
    target.write_text("old")

    def parts():  # type: ignore[no-untyped-def]
        yield pl.DataFrame({"a": [1]})
        raise OutputError("no more")

    with pytest.raises(OutputError, match="no more"):
        write_parts(parts(), target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
