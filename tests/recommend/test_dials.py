"""Dials: nothing at 0, monotone, saved and loaded, lists that depend on nobody else, an auto that keeps its word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from penchant.data import FloatArray, IntArray
from penchant.evaluate.ranking import gini, miscalibration
from penchant.recommend import Recommender
from penchant.recommend.calibrate import Mix
from penchant.recommend.candidates import Candidates
from penchant.recommend.contributions import COLUMNS
from penchant.recommend.dials import AHEAD, REPORT, STRENGTHS, TOLERANCE, Held, fit_dials, plain_coverage, try_coverage
from penchant.recommend.exposure import Crowd, listed, prices
from penchant.recommend.past import past_of_new
from penchant.recommend.rank import Lesson

from .conftest import N_ITEMS, N_USERS, Market, fit_market

USERS = np.arange(N_USERS, dtype=np.int32)


def lists(model: Recommender, market: Market, k: int = 5) -> IntArray:
    return model.recommend(USERS, market.profiles, k=k).lists(USERS, k)


def some_crowd(n: int = 200, c: int = 40, n_items: int = 80, seed: int = 1) -> Crowd:
    """Users who agree on what is good, more or less."""
    draw = np.random.default_rng(seed)
    rows = np.sort(np.argsort(draw.random((n, n_items)), axis=1)[:, :c], axis=1).astype(np.int32)
    shared = draw.normal(size=n_items) * 2
    return Crowd(rows, np.ones((n, c), np.bool_), (shared[rows] + draw.normal(size=(n, c))).astype(np.float32))


def held_window(crowd: Crowd, hit: IntArray) -> Held:
    """A window whose users liked one of their candidates each, the column given."""
    flags = np.zeros(crowd.scores.shape, np.bool_)
    flags[np.arange(len(flags)), hit] = True
    found = Candidates(crowd.item_rows, crowd.valid, np.zeros((*flags.shape, 0), np.float32))
    return Held(Lesson(found, flags, np.ones(len(flags), np.int32)), crowd.scores)


def test_at_zero_lists_are_as_ranked(fitted: Recommender, market: Market) -> None:
    plain = fitted.with_dials()
    crowd = plain.crowd(USERS)
    order = np.argsort(-np.where(crowd.valid, crowd.scores, -np.inf), axis=1, kind="stable")[:, :5]
    found = np.take_along_axis(crowd.item_rows, order, axis=1)
    # no layers here: `crowd` has none of the candidates that they bring
    nobody = replace(market.profiles, points=market.profiles.points.clear())
    assert np.array_equal(plain.recommend(USERS, nobody, k=5).lists(USERS, 5), found)
    popularity, everybody = plain.signals.log_popularity, np.ones(N_USERS, np.bool_)
    turned = plain.dials.turn(
        crowd.scores, Candidates(crowd.item_rows, crowd.valid, crowd.scores), popularity, known=everybody
    )
    assert np.array_equal(turned, crowd.scores)


def test_each_stronger_dial_does_more(fitted: Recommender, market: Market) -> None:
    popularity = fitted.signals.log_popularity
    history = fitted.past.matrix()

    def mean_popularity(model: Recommender) -> float:
        return float(popularity[lists(model, market)].mean())

    def unevenness(model: Recommender) -> float:
        return gini(lists(model, market), N_ITEMS)

    def divergence(model: Recommender) -> float:
        return float(np.nanmean(miscalibration(lists(model, market), history, model.membership, USERS)))

    measures = {"popularity_bias": mean_popularity, "coverage": unevenness, "calibration": divergence}
    for dial, measure in measures.items():
        values = [measure(fitted.with_dials(**{dial: s})) for s in (0.0, 0.3, 0.9)]  # type: ignore[arg-type]
        assert values[0] > values[1] > values[2], dial


def test_prices_spread_exposure() -> None:
    crowd = some_crowd()
    covered, highest = [], []
    for strength in (0.0, 0.2, 0.5, 1.0):
        price = prices(crowd, 80, strength)
        scale = crowd.scores.std(axis=1, keepdims=True)
        share = listed(replace(crowd, scores=crowd.scores - strength * scale * price[crowd.item_rows]), 80)
        covered.append(int((share > 0).sum()))
        highest.append(float(share.max()))
    assert covered == sorted(covered)
    assert covered[-1] > covered[0]
    assert highest == sorted(highest, reverse=True)
    assert highest[-1] < highest[0]


def test_price_rises_with_exposure_and_is_nothing_without() -> None:
    crowd = some_crowd()
    share = listed(crowd, 80)
    order = np.argsort(share, kind="stable")
    price = prices(crowd, 80, 0.0)
    assert (np.diff(price[order]) >= 0).all()
    assert (price[share == 0] == 0).all()
    assert (price[share > 0] > 0).all()
    assert prices(Crowd.nobody(), 80, 1.0).tolist() == [0.0] * 80


def test_a_list_depends_on_nobody_else(fitted: Recommender, market: Market) -> None:
    model = fitted.with_dials(popularity_bias=0.4, coverage=0.4, calibration=0.4)
    together = model.recommend(USERS, market.profiles, k=7).table
    for user in (0, 17, 59):
        alone = model.recommend(np.array([user], np.int32), market.profiles, k=7).table
        assert alone["item_row"].to_list() == together.filter(user_row=user)["item_row"].to_list()


def test_a_saved_model_gives_the_same_lists(fitted: Recommender, market: Market) -> None:
    model = fitted.with_dials(popularity_bias=0.4, coverage=0.4, calibration=0.4)
    again = Recommender.from_parts(model.to_parts())
    assert np.array_equal(lists(model, market), lists(again, market))
    assert again.dials.notes == model.dials.notes
    assert again.dials.report.equals(model.dials.report)


def test_shares_of_reasons_are_of_the_score_before(fitted: Recommender, market: Market) -> None:
    key = ["user_row", "item_row"]

    def told(model: Recommender) -> pl.DataFrame:
        return model.recommend(USERS, market.profiles, k=8, why=True).table.select(*key, *COLUMNS)

    both = told(fitted.with_dials()).join(told(fitted.with_dials(coverage=0.5)), on=key, suffix="_turned")
    assert both.height > N_USERS
    for name in COLUMNS:
        assert np.allclose(both[name], both[f"{name}_turned"], atol=1e-5)


def test_the_cost_of_a_mix_is_the_metric_of_the_list() -> None:
    draw = np.random.default_rng(5)
    n, c, n_items = 30, 12, 40
    dense = draw.random((n_items, 6)) * (draw.random((n_items, 6)) < 0.4)
    dense[3] = 0  # an item of no interest
    total = dense.sum(axis=1, keepdims=True)
    membership = sp.csr_array(np.divide(dense, total, out=np.zeros_like(dense), where=total > 0).astype(np.float32))
    owner, item = np.repeat(np.arange(n, dtype=np.int32), 8), draw.integers(0, n_items, 8 * n).astype(np.int32)
    past = past_of_new(owner, item, np.ones(8 * n, np.float32), n_users=n, n_items=n_items)
    rows = np.argsort(draw.random((n, n_items)), axis=1)[:, :c].astype(np.int32)
    mix = Mix(past, membership, rows)
    picked = np.zeros((n, 0), np.int32)
    for place in range(4):
        cost = mix.cost()
        for column in range(c):
            grown = np.hstack([picked, rows[:, [column]]])
            truth = miscalibration(grown, past.matrix(past.weight), membership, np.arange(n))
            told = ~np.isnan(truth)  # the metric says nothing of a list without any interest
            assert np.allclose(cost[told, column], truth[told], atol=1e-4)
        pick = np.full(n, place)
        mix.take(pick, np.ones(n, np.bool_))
        picked = np.hstack([picked, rows[:, [place]]])


@pytest.mark.parametrize("seed", range(4))
def test_auto_takes_no_strength_that_may_lose_more_than_it_says(seed: int) -> None:
    crowd = some_crowd(seed=seed)
    draw = np.random.default_rng([seed, 9])
    top = np.argsort(-crowd.scores, axis=1, kind="stable")
    place = draw.geometric(0.25, len(top)) - 1  # what ranks high is liked more often
    report = try_coverage([held_window(crowd, top[np.arange(len(top)), np.minimum(place, 39)])], 80, np.inf)
    assert report["strength"].to_list() == [0.0, *STRENGTHS][: report.height]
    chosen = report.filter("chosen")
    assert chosen.height == 1
    assert chosen["loss"].item() + chosen["loss_se"].item() <= TOLERANCE
    weaker = report.filter(pl.col("strength") <= chosen["strength"].item())
    assert (weaker["loss"] + weaker["loss_se"] <= TOLERANCE).all()
    assert chosen["coverage"].item() >= report["coverage"][0]


def test_auto_is_none_where_everybody_likes_what_is_listed_to_all() -> None:
    crowd = some_crowd()
    often = listed(crowd, 80)[crowd.item_rows]
    top = np.argsort(-crowd.scores, axis=1, kind="stable")[:, 5:10]
    shared = np.take_along_axis(top, np.argmax(np.take_along_axis(often, top, axis=1), axis=1)[:, None], axis=1)[:, 0]
    report = try_coverage([held_window(crowd, shared)], 80, np.inf)
    harmless = try_coverage([held_window(crowd, np.argmin(often, axis=1))], 80, np.inf)
    assert report.filter("chosen")["strength"].item() < STRENGTHS[-1]
    assert harmless.filter("chosen")["strength"].item() == STRENGTHS[-1]


def test_auto_stops_where_lists_hold_enough() -> None:
    crowd = some_crowd()
    often = listed(crowd, 80)[crowd.item_rows]
    window = held_window(crowd, np.argmin(often, axis=1))  # nothing is lost by any strength
    whole = try_coverage([window], 80, np.inf)
    target = whole["coverage"][2]
    part = try_coverage([window], 80, target)
    chosen = part.filter("chosen")
    assert chosen["coverage"].item() >= target
    assert part.height < whole.height
    assert try_coverage([window], 80, whole["coverage"][0]).filter("chosen")["strength"].item() == 0


def test_lists_are_measured_by_the_widest_plain_method_that_is_not_clearly_behind() -> None:
    crowd = some_crowd()
    best = np.argsort(-crowd.scores, axis=1, kind="stable")
    window = held_window(crowd, best[:, 0])
    wide = np.random.default_rng(4).normal(size=crowd.scores.shape).astype(np.float32)  # other items for everybody
    also = wide.copy()
    np.put_along_axis(also, best[:, :1], 9.0, axis=1)  # and what they liked first
    names = ("popular", "als", "ease", "interest")

    def measured(*features: FloatArray) -> tuple[str, float]:
        found = replace(window.lesson.candidates, features=np.stack(features, axis=2))
        return plain_coverage([replace(window, lesson=replace(window.lesson, candidates=found))], names, 80)

    name, share = measured(crowd.scores, wide, wide, also)  # the wide ones are clearly behind; interest is not plain
    assert name == "popular"
    assert share == pytest.approx(AHEAD * (listed(crowd, 80) > 0).mean())
    name, wider = measured(crowd.scores, also, wide, also)
    assert name == "als"
    assert wider > share
    assert plain_coverage([window], ("interest",), 80) == ("", 0.0)


def test_auto_is_for_users_of_the_log_and_a_number_for_everybody(fitted: Recommender) -> None:
    stated = fitted.with_dials(coverage=1.0)
    auto = replace(stated, dials=replace(stated.dials, for_new=False))
    items, weights = np.array([0, 3], np.int32), np.ones(2, np.float32)
    plain, with_auto, with_number = (
        model.recommend_from_items(items, weights, k=8).table["score"].to_list()
        for model in (fitted.with_dials(), auto, stated)
    )
    assert plain == with_auto != with_number


def test_of_whom_nothing_is_known_the_order_stays(fitted: Recommender) -> None:
    model = fitted.with_dials(popularity_bias=1.0, coverage=1.0)
    rows = np.tile(np.arange(10, dtype=np.int32), (2, 1))
    found = Candidates(rows, np.ones(rows.shape, np.bool_), np.zeros((2, 10, 0), np.float32))
    scores = np.array([np.zeros(10), np.arange(10)], np.float32)
    turned = model.dials.turn(scores, found, model.signals.log_popularity, known=np.ones(2, np.bool_))
    assert np.array_equal(turned[0], scores[0])
    assert not np.array_equal(turned[1], scores[1])


def test_what_is_applied_is_told(fitted: Recommender, market: Market) -> None:
    assert fitted.config.coverage == "auto"
    assert fitted.dials.report.schema == pl.Schema(REPORT)
    assert fitted.dials.report.filter("chosen")["strength"].to_list() == [fitted.dials.coverage]
    off = fit_market(market, coverage=0.0, n_windows=2, method="sum_z")
    assert off.dials.coverage == 0
    assert not len(off.dials.price)
    assert off.dials.notes[1] == "coverage 0: as set"
    alone = fit_dials([], (), Crowd.nobody(), N_ITEMS, fitted.config)
    assert alone.coverage == 0
    assert "no past window" in alone.notes[1]
