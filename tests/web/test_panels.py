"""The pages of feedback and of simulated sessions in a real headless browser."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser

from penchant.evaluate.satisfaction import satisfaction_table
from penchant.feedback import Satisfaction
from penchant.report.satisfaction import write_feedback
from penchant.report.simulation import write_simulation
from penchant.simulation import FIGURES, Simulation
from tests.web.conftest import SIZES, open_page

EVIL = "<img src=x onerror=\"document.body.dataset.evil='yes'\">"


def said() -> Satisfaction:
    users = pl.Series([1, 2, 3, 4]).to_numpy()
    parts = []
    for by, groups in (("all", ["all"] * 4), ("layer", ["core", "core", None, None]), ("interest", [EVIL] * 4)):
        table = satisfaction_table(users, pl.Series([1, 1, -1, 0]).to_numpy(), groups)
        parts.append(table.select(pl.lit(by).alias("by"), pl.lit(EVIL).alias("question"), pl.all()))
    agreement = pl.DataFrame(
        {"question": [EVIL], "auc": [0.7], "low": [0.6], "high": [0.8], "n_users": [3], "n_answers": [4]}
    )
    coverage = pl.DataFrame(
        {"by": ["activity"], "group": ["new"], "n_users": [9], "n_answered": [4], "response": [4 / 9],
         "response_low": [0.2], "response_high": [0.7], "share_of_users": [1.0], "share_of_answers": [1.0],
         "satisfied": [0.5]}
    )  # fmt: skip
    facts = {"scales": {EVIL: "words"}, "n_model_users": 9, "weighted_satisfied": 0.5, "heaviest_share": 0.25,
             "known_before": 2, "n_answers_of_unknown_users": 0, "n_answers_about_unknown_items": 0,
             "n_answers_about_items": 4, "ranks_from": "the answers"}  # fmt: skip
    return Satisfaction(pl.concat(parts), agreement, coverage, pl.DataFrame(), (), facts)


def played() -> Simulation:
    rows = [
        {
            "policy": name,
            "day": day,
            "n_users": 5,
            **{f"{f}{end}": 0.5 for f in FIGURES for end in ("", "_low", "_high")},
        }
        for name in (EVIL, "random")
        for day in (1, 2)
    ]
    gaps = {f"{f}_vs{end}": [None, -0.1] for f in ("satisfied", "clicks") for end in ("", "_low", "_high")}
    by_day = pl.DataFrame(rows)
    whole = by_day.filter(pl.col("day") == 1).drop("day").with_columns(**{k: pl.Series(v) for k, v in gaps.items()})
    return Simulation(by_day, whole, {"seed": 1, "k": 5, "rounds": 2, "behaviour": {"boredom": 0.1}})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_users_said_is_drawn_without_network_or_errors(
    browser: Browser, tmp_path: Path, size: str, language: str
) -> None:
    write_feedback(said(), tmp_path, language=language)  # type: ignore[arg-type]
    page, troubles = open_page(browser, tmp_path / "feedback.html", size)
    assert troubles == []
    assert page.locator("#plot-0 .scatterlayer .point").count() == 1
    assert page.locator("body").get_attribute("data-evil") is None
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), "the page scrolls sideways"
    page.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_simulated_days_are_drawn_without_network_or_errors(
    browser: Browser, tmp_path: Path, size: str, language: str
) -> None:
    write_simulation(played(), tmp_path, language=language)  # type: ignore[arg-type]
    page, troubles = open_page(browser, tmp_path / "simulation.html", size)
    assert troubles == []
    assert page.locator("#plot-1 .scatterlayer .point").count() == 4
    assert page.locator("body").get_attribute("data-evil") is None
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), "the page scrolls sideways"
    page.close()
