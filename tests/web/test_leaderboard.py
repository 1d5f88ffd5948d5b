"""The comparison's page in a real headless browser."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser

from penchant.comparison import Comparison
from penchant.report.leaderboard import write_leaderboard
from tests.web.conftest import SIZES, open_page

EVIL = "<img src=x onerror=\"document.body.dataset.evil='yes'\">"


def comparison(*, measured: bool = True) -> Comparison:
    vectors = pl.DataFrame(
        {
            "method": ["factors", "mean", "gru"],
            "name": ["factors (ALS 64)", EVIL, None],
            "ndcg": [0.2, 0.1, None],
            "ndcg_low": [0.18, 0.09, None],
            "ndcg_high": [0.22, 0.11, None],
            "recall": [0.3, 0.2, None],
            "seconds": [3.0, 0.5, None],
            "pareto": [True, True, False],
            "status": ["done", "done", f"failed: {EVIL}"],
        }
    )
    groups = pl.DataFrame(
        {
            "method": ["kmeans"],
            "n_clusters": [4],
            "score": [0.1],
            "worth": [1.2],
            "seconds": [0.1],
            "pareto": [True],
            "status": ["done"],
        }
    )
    if not measured:
        vectors, groups = (t.with_columns(status=pl.lit("not begun: the budget was spent")) for t in (vectors, groups))
    names = ("n_events", "n_users", "n_items", "n_test_users", "n_leaves", "n_segments", "seed")
    return Comparison(vectors, groups, (f"Take factors {EVIL}",), dict.fromkeys(names, 7))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_draws_without_network_or_errors(browser: Browser, tmp_path: Path, size: str, language: str) -> None:
    write_leaderboard(comparison(), tmp_path / "c.html", language=language)  # type: ignore[arg-type]
    page, troubles = open_page(browser, tmp_path / "c.html", size)
    assert troubles == []
    assert page.locator("#front-0 .scatterlayer .point").count() == 2
    assert page.locator("#front-1 .scatterlayer .point").count() == 1
    assert page.locator("body").get_attribute("data-evil") is None
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), "the page scrolls sideways"
    page.close()


def test_a_page_of_nothing_measured_draws_too(browser: Browser, tmp_path: Path) -> None:
    write_leaderboard(comparison(measured=False), tmp_path / "c.html")
    page, troubles = open_page(browser, tmp_path / "c.html", "desktop")
    assert troubles == []
    assert "the budget was spent" in page.locator("#representations ~ .scroll").inner_text()
    page.close()
