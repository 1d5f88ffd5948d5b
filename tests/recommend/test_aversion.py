"""Aversion and saturation: evidence by hand, laws, and the choice of strengths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.artefacts import load_folder, save_folder
from penchant.config import RecommendConfig, build_config
from penchant.data import Events
from penchant.errors import ConfigError, DataError
from penchant.recommend import Recommender
from penchant.recommend.aversion import (
    Evidence,
    Outcomes,
    SkipModel,
    features_of_pairs,
    fit_skips,
    outcomes,
    read_evidence,
)
from penchant.recommend.candidates import Candidates
from penchant.recommend.penalties import FREE, Penalties, Trial, fit_penalties
from penchant.recommend.rank import Lesson

from .conftest import DAY, N_GROUPS, N_USERS, Market, events_of, fit_market

ALL = np.arange(N_USERS + 1, dtype=np.int32)
TWO_LEAVES = sp.csr_array(np.array([[1, 0], [1, 0], [0.5, 0.5], [0, 1]], np.float32))
STRICT = SkipModel(0.0, np.array([-1, 1, 1, 1, 0], np.float32))


def log_of(rows: list[tuple[int, int, str, float, float]], n_users: int = 2) -> Events:
    """Rows of (user_row, item_row, action, weight, time in days)."""
    actions = ("view", "hide", "impression")
    events = events_of([(u, i, w, t * DAY) for u, i, _, w, t in rows], n_users)
    code = [actions.index(a) for _, _, a, _, _ in sorted(rows, key=lambda r: r[4])]
    return Events(events.table.with_columns(action=pl.Series(code, dtype=pl.Int16)), events.user_ids, actions)


def test_features_by_hand() -> None:
    """User 0, seen from day 10, half-life 10 days: a like of item 0 at day 0, a hide (3) of item 1 and an impression of
    item 3 now. Item 2 lies half in either leaf.
    """
    events = log_of([(0, 0, "view", 5.0, 0), (0, 1, "hide", -3.0, 10), (0, 3, "impression", 0.0, 10)])
    evidence = read_evidence(events, 4, 10.0, 5.0)
    pairs = np.zeros(3, np.int32), np.array([1, 2, 3], np.int32)
    # likes: 0.5 on leaf 0, the crowd's all there; share = (liked + 10 * crowd) / (0.5 + 10)
    # lately: the like is a quarter by now, the impression whole
    share = [(0.5 + 10) / 10.5, (0.25 + 5) / 10.5, 0.001 / 10.5]
    rest = [[3, 0, 3, 0.25], [1.5, 0.5, 0, 0.625], [0, 1, 1, 1]]  # against, ignored, own, lately
    found = features_of_pairs(evidence, TWO_LEAVES, *pairs)
    np.testing.assert_allclose(np.exp(found[:, 0]), share, rtol=1e-3)
    np.testing.assert_allclose(np.expm1(found[:, 1:]), rest, rtol=1e-5)


def test_outcomes_are_what_was_shown_where_the_log_has_impressions() -> None:
    before = read_evidence(log_of([(0, 0, "view", 1.0, 0)]), 4, 10.0, 5.0)
    after = log_of(
        [
            (0, 1, "impression", 0.0, 1),
            (0, 1, "view", 1.0, 2),  # shown and taken
            (0, 3, "impression", 0.0, 1),  # shown and left alone
            (1, 2, "view", 1.0, 2),  # found without being shown: no outcome
            (1, 3, "hide", -3.0, 2),
        ]
    )
    assert outcomes(after, before, TWO_LEAVES, only_shown=True, seed=0).skipped.tolist() == [True, False]
    assert outcomes(after, before, TWO_LEAVES, only_shown=False, seed=0).skipped.tolist() == [True, False, False]


def test_never_shown_never_counts() -> None:
    """Items that exist and were never shown are in no evidence and no outcome, however many there are."""
    rows = [(0, 0, "view", 1.0, 0.0), (0, 1, "impression", 0.0, 1.0), (1, 2, "hide", -3.0, 2.0)]
    many = sp.csr_array(np.vstack([TWO_LEAVES.toarray(), np.tile([1.0, 0.0], (50, 1))]).astype(np.float32))
    few_, many_ = (read_evidence(log_of(rows), n, 10.0, 5.0) for n in (4, 54))
    pair = np.zeros(4, np.int32), np.arange(4, dtype=np.int32)
    np.testing.assert_array_equal(features_of_pairs(few_, TWO_LEAVES, *pair), features_of_pairs(many_, many, *pair))
    assert many_.ignored.nnz == 1
    after = log_of(rows)
    for only_shown in (True, False):
        counts = [
            len(outcomes(after, e, m, only_shown=only_shown, seed=0).skipped)
            for e, m in ((few_, TWO_LEAVES), (many_, many))
        ]
        assert counts[0] == counts[1] <= 2


def test_a_taken_item_is_not_ignored() -> None:
    rows = [(0, 0, "impression", 0.0, 0.0), (0, 0, "impression", 0.0, 1.0), (0, 0, "view", 1.0, 2.0)]
    assert read_evidence(log_of(rows), 4, 10.0, 5.0).ignored.nnz == 0
    assert read_evidence(log_of(rows[:2]), 4, 1e9, 5.0).ignored.toarray()[0].tolist() == [2, 0, 0, 0]


def candidates(rows: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> Candidates:
    return Candidates(rows, np.ones(rows.shape, np.bool_), np.zeros((*rows.shape, 0), np.float32))


def by_hand(evidence: Evidence, aversion: float = 0.0, saturation: float = 0.0) -> Penalties:
    return Penalties(STRICT, None, aversion, saturation, evidence, pl.DataFrame())


def test_more_against_an_interest_pushes_its_items_further_down() -> None:
    ranked, found = np.array([[3.0, 2.0, 1.0]], np.float32), candidates(np.array([[1, 2, 3]], np.int32))
    lows = []
    for weight in (0.0, -0.5, -3.0, -20.0):
        evidence = read_evidence(log_of([(0, 0, "hide", weight, 0.0)]), 4, 10.0, 5.0).take(np.array([0]))
        lows.append(by_hand(evidence, aversion=1.0).lower(ranked, found, evidence, TWO_LEAVES)[0])
    assert lows[0].tolist() == [3.0, 2.0, 1.0]
    assert lows[0][0] > lows[1][0] > lows[2][0] > lows[3][0]
    assert (lows[3][:2] < [3.0, 2.0]).all()
    assert lows[3][2] == 1.0  # nothing against its leaf


def test_saturation_rises_beyond_a_few_and_recovers() -> None:
    def taken(n: int, later: float) -> float:
        rows = [(0, i % 2, "view", 1.0, 0.001 * i) for i in range(n)]
        events = log_of([*rows, (1, 3, "view", 1.0, later)])  # the other user moves the log's now
        evidence = read_evidence(events, 4, 60.0, 2.0).take(np.array([0]))
        return float(
            by_hand(evidence).of("saturation", candidates(np.array([[1]], np.int32)), evidence, TWO_LEAVES)[0, 0]
        )

    assert [taken(n, 0.01) for n in (1, 2, int(FREE))] == [0, 0, 0]
    assert taken(11, 0.01) == pytest.approx(np.log(1 + 11 - FREE), rel=1e-2)
    assert taken(11, 2.01) == pytest.approx(np.log(1 + 5.5 - FREE), rel=1e-2)  # a half-life later
    recovering = [taken(11, days) for days in (0.1, 1.0, 2.0, 3.0, 5.0)]
    assert recovering == sorted(recovering, reverse=True)
    assert recovering[-1] == 0


@pytest.fixture(scope="module")
def plain(market: Market) -> Recommender:
    return fit_market(market, method="sum_z")


def table_of(one: Recommender, market: Market) -> pl.DataFrame:
    return one.recommend(ALL, market.profiles, k=8).table


def test_without_negative_evidence_lists_are_unchanged(plain: Recommender, market: Market) -> None:
    """Only user 0 disliked anything in this log (item 1, of group 1)."""
    evidence = read_evidence(market.events, len(market.items), 60.0, 2.0)
    averse = replace(plain, penalties=by_hand(evidence, aversion=2.0))
    before, after = table_of(plain, market), table_of(averse, market)
    others = pl.col("user_row") != 0
    assert after.filter(others).equals(before.filter(others))

    def of_group(table: pl.DataFrame) -> int:
        own = table.filter(~others & (pl.col("item_row") % N_GROUPS == 1))
        return own.height

    assert of_group(after) < of_group(before) or of_group(before) == 0
    assert not after.filter(~others)["score"].equals(before.filter(~others)["score"])
    for _, rows in after.group_by("user_row", maintain_order=True):
        assert rows["score"].is_sorted(descending=True)
        assert rows["item_row"].n_unique() == rows.height


def test_a_log_with_too_few_dislikes_says_so_and_changes_nothing(plain: Recommender, market: Market) -> None:
    assert plain.penalties.model is None
    assert not plain.penalties.aversion
    assert "aversion 0: not applied: the log holds too few dislikes" in plain.penalties.notes[0]
    off = fit_market(market, method="sum_z", aversion=0.0, saturation=0.0)
    asked = fit_market(market, method="sum_z", aversion=3.0, saturation=0.0)
    assert table_of(off, market).equals(table_of(asked, market))
    assert asked.penalties.report["why"].to_list() == ["no_evidence", "setting"]
    assert off.penalties.evidence.liked.nnz == 0  # nothing reads it, nothing is kept
    with pytest.raises(DataError, match="too few dislikes"):
        plain.skip_probability(ALL[:1], np.zeros((1, 1), np.int32))


def test_a_stated_saturation_changes_lists_and_is_saved(market: Market, tmp_path: Path) -> None:
    off = fit_market(market, method="sum_z", saturation=0.0)
    tired = fit_market(market, method="sum_z", saturation=2.0, saturation_half_life_days=50.0)
    assert not table_of(tired, market).equals(table_of(off, market))
    save_folder(tmp_path / "model", {"recommender": tired.to_parts()}, {})
    again = Recommender.from_parts(load_folder(tmp_path / "model").parts["recommender"])
    assert table_of(again, market).equals(table_of(tired, market))
    assert again.penalties.report.equals(tired.penalties.report)


def test_a_strangers_dislike_counts(plain: Recommender, market: Market) -> None:
    evidence = read_evidence(market.events, len(market.items), 60.0, 2.0)
    averse = replace(plain, penalties=by_hand(evidence, aversion=3.0))
    rows, weights = np.array([0, 3, 1], np.int32), np.array([1, 1, -3], np.float32)
    with_, without = (
        one.recommend_from_items(rows, weights, k=20).table["item_row"].to_list() for one in (averse, plain)
    )
    counts = [sum(item % N_GROUPS == 1 for item in items) for items in (with_, without)]
    assert counts[0] < counts[1]


# --- learning and choosing ---


def some_outcomes(n: int = 400, seed: int = 0) -> Outcomes:
    """Skips that follow dislikes and nothing else."""
    rng = np.random.default_rng(seed)
    features = np.log1p(rng.integers(0, 4, (n, 5))).astype(np.float32)
    chance = 1 / (1 + np.exp(-(3 * features[:, 1] - 2)))
    return Outcomes(features, rng.random(n) < chance)


def test_the_skip_model_finds_what_foretells_skips() -> None:
    model = fit_skips([some_outcomes(seed=s) for s in range(3)])
    assert model is not None
    assert model.weights[1] == pytest.approx(3, abs=0.6)
    assert np.abs(np.delete(model.weights, 1)).max() < 0.4
    assert model.weights[0] <= 0 <= model.weights[1:4].min()
    assert fit_skips([some_outcomes(40)]) is None
    assert fit_skips([]) is None


def trial_of(n: int = 100, *, disliked_is_first: bool) -> Trial:
    """Every user has two candidates, item 0 ranked first; leaf 0 was disliked before. Later either item 1 is liked and
    item 0 disliked, or the other way round.
    """
    rows = np.tile(np.array([0, 3], np.int32), (n, 1))
    scores = np.tile(np.array([1.0, 0.0], np.float32), (n, 1))
    hit = np.tile(np.array([not disliked_is_first, disliked_is_first]), (n, 1))
    events = log_of([(u, 1, "hide", -3.0, 0.0) for u in range(n)], n)
    evidence = read_evidence(events, 4, 10.0, 5.0)
    bad = np.zeros((n, 4), np.float32)
    bad[:, 0 if disliked_is_first else 3] = 1
    lesson = Lesson(candidates(rows), hit, np.ones(n, np.int32))
    return Trial(lesson, scores, evidence, TWO_LEAVES, sp.csr_array(bad))


@pytest.mark.parametrize(("bears_out", "why"), [(True, "windows"), (False, "behind")])
def test_strength_follows_the_window(bears_out: bool, why: str) -> None:
    trial = trial_of(disliked_is_first=bears_out)
    lessons = [some_outcomes(seed=s) for s in range(3)]
    found = fit_penalties(trial, lessons, lessons, trial.evidence, RecommendConfig())
    row = found.report.row(0, named=True)
    assert row["why"] == why
    assert (found.aversion > 0) == bears_out
    assert row["auc"] > 0.8
    assert found.saturation == 0
    assert found.skip_probability(np.array([0]), np.array([[0, 3]]), TWO_LEAVES)[0].argmax() == 0


def test_what_foretells_dislikes_is_taken_off_though_it_foretells_no_skips() -> None:
    """Shown items are passed over whatever was disliked before; dislikes follow dislikes."""
    rng = np.random.default_rng(3)
    shown = [Outcomes(np.log1p(rng.integers(0, 4, (300, 5))).astype(np.float32), rng.random(300) < 0.9) for _ in "ab"]
    disliked = [some_outcomes(seed=s) for s in range(2)]
    evidence = trial_of(2, disliked_is_first=True).evidence
    found = fit_penalties(None, shown, disliked, evidence, RecommendConfig(aversion=1.0))
    assert found.model is not None
    assert found.dislike is not None
    off = found.of("aversion", candidates(np.array([[1, 3], [1, 3]], np.int32)), evidence, TWO_LEAVES)
    strongest = max(found.model.weights[1], found.dislike.weights[1])
    assert off[0, 0] > 2 * np.log1p(3)  # weight of a hide: 3
    assert off[0, 0] >= strongest * np.log1p(3) > off[0, 1] == 0


def test_without_a_window_nothing_is_applied_unless_set() -> None:
    lessons = [some_outcomes(seed=s) for s in range(3)]
    evidence = trial_of(disliked_is_first=True).evidence
    auto = fit_penalties(None, lessons, lessons, evidence, RecommendConfig())
    assert auto.report["why"].to_list() == ["no_window", "no_window"]
    assert not auto.active
    stated = fit_penalties(None, lessons, lessons, evidence, RecommendConfig(aversion=1.5, saturation=0.5))
    assert (stated.aversion, stated.saturation) == (1.5, 0.5)


@pytest.mark.parametrize("wrong", [{"aversion": -1.0}, {"saturation": "much"}, {"saturation_half_life_days": 0}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        build_config({"recommend": wrong})
