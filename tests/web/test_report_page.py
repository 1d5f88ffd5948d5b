"""The report in a real headless browser: no network, no script errors, escaped texts, desktop and phone width."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser

import penchant as pc
from penchant.config import build_config
from penchant.model import Model
from penchant.report import write_report
from tests.web.conftest import SIZES, open_page

EVIL = (
    "<img src=x onerror=\"document.body.dataset.evil='yes'\"></script><script>document.body.dataset.evil='yes'</script>"
)


@pytest.fixture(scope="module")
def report(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    write_report(model, file)
    return file


@pytest.mark.parametrize("size", SIZES)
def test_the_page_draws_without_network_or_errors(browser: Browser, report: Path, size: str) -> None:
    page, troubles = open_page(browser, report, size)
    assert troubles == []
    assert page.locator("#map-plot .scatterlayer .point").count() > 50
    assert page.locator(".rings").count() >= 1
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), "the page scrolls sideways"
    page.close()


def test_colouring_finding_and_highlighting_work(browser: Browser, report: Path, model: Model) -> None:
    page, troubles = open_page(browser, report, "desktop")
    colours = "() => JSON.stringify(document.getElementById('map-plot').data[0].marker.color)"
    before = page.evaluate(colours)
    page.select_option("#colour", "segment")
    assert page.evaluate(colours) != before
    entries = page.locator("#map-contents li:visible")
    total = entries.count()
    name = entries.nth(0).inner_text()
    page.fill("#find", name)
    assert 1 <= entries.count() < total
    entries.nth(0).locator("button").click()
    faint = page.evaluate(
        "() => document.getElementById('map-plot').data[0].marker.opacity.filter(o => o < 0.1).length"
    )
    assert faint > 0
    assert troubles == []
    page.close()


def test_every_section_stands_with_a_time_stamp(browser: Browser, report: Path) -> None:
    page, _ = open_page(browser, report, "desktop")
    sections = ["input", "map", "tree", "layers", "profiles", "segments", "recommendations", "evaluation"]
    assert [s for s in sections if page.locator(f"h2#{s} .stamp").count() != 1] == []
    assert "20" in page.locator("h2#layers .stamp").inner_text()
    page.close()


def test_chinese_words_are_used(browser: Browser, model: Model, tmp_path: Path) -> None:
    write_report(model, tmp_path / "zh.html", language="zh")
    page, troubles = open_page(browser, tmp_path / "zh.html", "phone")
    assert "兴趣地图" in page.locator("h2#map").inner_text()
    assert page.locator("h2#recommendations ~ .scroll td:last-child").first.inner_text() >= "一", "reasons are Chinese"
    assert troubles == []
    page.close()


def test_hostile_texts_stay_texts(browser: Browser, tmp_path: Path) -> None:
    users = [f"u{i}" for i in range(12)]
    events = pl.DataFrame(
        {
            "user_id": [u for u in users for _ in range(6)],
            "item_id": [f"i{(n * 5 + k) % 20}{EVIL if k == 0 else ''}" for n in range(12) for k in range(6)],
            "timestamp": [1_700_000_000 + 4000 * n for n in range(72)],
        }
    )
    ids = events["item_id"].unique(maintain_order=True)
    items = pl.DataFrame({"item_id": ids, "title": [f"{EVIL} shoe {i}" for i in range(len(ids))]})
    model = pc.fit(events, items, config=build_config({"encode": {"method": "tfidf"}}))
    write_report(model, tmp_path / "evil.html")
    page, troubles = open_page(browser, tmp_path / "evil.html", "desktop")
    assert page.evaluate("document.body.dataset.evil") is None
    assert page.locator("main img").count() == 0
    assert troubles == []
    page.close()
