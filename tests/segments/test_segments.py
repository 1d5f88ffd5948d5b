"""The whole stage on a small market with known segments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

from penchant.config import SegmentsConfig
from penchant.data import Profiles, Segments
from penchant.errors import DataError, ModelError
from penchant.segments import (
    assign_users,
    segment_users,
    segments_from_parts,
    segments_to_parts,
    user_rows,
)
from tests.segments.market import Market, make_market, make_tree, profiles_of

CONFIG = SegmentsConfig(max_segments=8, n_random=20)
SMALL = SegmentsConfig(max_segments=3, n_random=20)


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market()


@pytest.fixture(scope="module")
def segments(market: Market) -> Segments:
    return segment_users(market.profiles, market.tree, market.n_users, CONFIG, seed=0)


def test_finds_the_planted_segments_and_their_number(market: Market, segments: Segments) -> None:
    known = market.segment >= 0
    assert segments.table.height == 4
    assert adjusted_rand_score(market.segment[known], segments.segment_row[known]) > 0.9


def test_table_tells_the_truth(market: Market, segments: Segments) -> None:
    table = segments.table
    assert table["segment_id"].to_list() == ["s1", "s2", "s3", "s4"]
    sizes = np.bincount(segments.segment_row[segments.segment_row >= 0])
    assert table["n_users"].to_list() == sizes.tolist() == sorted(sizes.tolist(), reverse=True)
    np.testing.assert_allclose(table["share"], sizes / 300, rtol=1e-6)
    assert table["name"].n_unique() == 4
    for row in table.iter_rows(named=True):
        assert len(row["exemplars"]) == CONFIG.n_exemplars
        assert all(segments.segment_row[u] == int(row["segment_id"][1:]) - 1 for u in row["exemplars"])
        assert min(row["lift"]) > 1
        assert len(row["lift"]) == len(row["coverage"]) == len(row["top_interests"]) <= CONFIG.n_top_interests
    assert table["passes"].all()
    assert segments.facts["worth"]["ratio"] > segments.facts["worth"]["floor"]


def test_users_without_evidence_are_unassigned_and_counted(segments: Segments) -> None:
    assert segments.segment_row[-2:].tolist() == [-1, -1]
    assert segments.facts["unassigned_share"] == pytest.approx(2 / 300)


def test_seen_again_a_user_gets_the_same_segment(market: Market, segments: Segments) -> None:
    rows = user_rows(market.profiles, market.tree, market.n_users, CONFIG, weights=segments.row_weights)
    assert assign_users(segments, rows.values).tolist() == segments.segment_row.tolist()


def test_survives_saving(segments: Segments) -> None:
    again = segments_from_parts(segments_to_parts(segments))
    assert again.table.equals(segments.table)
    assert again.segment_row.tobytes() == segments.segment_row.tobytes()
    assert again.row_weights.tobytes() == segments.row_weights.tobytes()
    assert again.facts == segments.facts


def test_a_missing_part_is_named(segments: Segments) -> None:
    parts = segments_to_parts(segments)
    del parts.arrays["centroids"]  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="centroids"):
        segments_from_parts(parts)


def test_a_given_number_is_taken_and_still_measured(market: Market) -> None:
    config = SegmentsConfig(n_segments=3, n_random=20)
    found = segment_users(market.profiles, market.tree, market.n_users, config, seed=0)
    assert found.table.height == 3
    assert found.facts["rule"].startswith("given")
    assert found.facts["stability"] is not None


def test_one_segment_has_a_name_and_no_worth(market: Market) -> None:
    found = segment_users(market.profiles, market.tree, market.n_users, SegmentsConfig(n_segments=1), seed=0)
    assert found.table["name"][0].startswith("Mixed: ")
    assert found.table["passes"].to_list() == [False]


def test_no_structure_does_not_pass() -> None:
    market = make_market(structure=False)
    found = segment_users(market.profiles, market.tree, market.n_users, CONFIG, seed=0)
    assert not found.table["passes"].any()


@pytest.mark.parametrize("n_users", [0, 1, 3])
def test_too_few_users(n_users: int) -> None:
    tree = make_tree(2, 2)
    shares = np.full((n_users, 4), 0.25)
    found = segment_users(profiles_of(shares, tree), tree, n_users, CONFIG, seed=0)
    assert found.segment_row.tolist() == [0] * n_users
    assert found.table.height == min(n_users, 1)


def test_all_users_without_evidence() -> None:
    tree = make_tree(2, 2)
    found = segment_users(profiles_of(np.zeros((5, 4)), tree), tree, 5, CONFIG, seed=0)
    assert found.segment_row.tolist() == [-1] * 5
    assert found.table.height == 0
    assert found.facts["unassigned_share"] == 1.0


def test_input_stays_as_it_was(market: Market) -> None:
    before = market.profiles.points.clone()
    segment_users(market.profiles, market.tree, market.n_users, SegmentsConfig(n_segments=2), seed=0)
    assert market.profiles.points.equals(before)


@pytest.mark.parametrize("share", [float("nan"), -0.1, 2.0, None])
def test_bad_shares_are_refused(share: float | None) -> None:
    tree = make_tree(2, 2)
    points = profiles_of(np.full((4, 4), 0.25), tree).points
    points = points.with_columns(share=pl.when(pl.int_range(pl.len()) == 2).then(share).otherwise("share"))
    with pytest.raises(DataError, match="row 2"):
        segment_users(Profiles(points, 0.0), tree, 4, CONFIG, seed=0)


def test_points_of_another_log_are_refused() -> None:
    tree = make_tree(2, 2)
    with pytest.raises(DataError, match=r"'user_row' must be in 0\.\.2"):
        segment_users(profiles_of(np.full((4, 4), 0.25), tree), tree, 3, CONFIG, seed=0)


def test_same_bytes_in_two_processes() -> None:
    code = (
        "from tests.segments.market import make_market as m; from tests.segments.test_segments import SMALL\n"
        "from penchant.segments import segment_users as s; import hashlib; k = m(150)\n"
        "f = s(k.profiles, k.tree, k.n_users, SMALL, seed=0)\n"
        "print(hashlib.sha256(f.segment_row.tobytes() + f.centroids.tobytes() + f.table.write_json().encode()"
        " + repr(f.facts).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    out = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, env={"PYTHONHASHSEED": h}, capture_output=True, check=True
        )
        for h in ("1", "2")
    ]
    assert out[0].stdout == out[1].stdout
    assert len(out[0].stdout) > 60
