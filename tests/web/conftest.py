"""A real headless browser, and a page opened in it with every trouble written down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
# Chromium tries to reach its maker's hosts at every start; a test machine has no business there.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = os.environ.get("PENCHANT_BROWSER") or next((p for n in names if (p := shutil.which(n))), None)
    if path is None and not os.environ.get("PENCHANT_REQUIRE_BROWSER"):
        pytest.skip("no chromium or chrome on this machine; install one or set PENCHANT_BROWSER to its path")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


def open_page(browser: Browser, file: Path, size: str) -> tuple[Page, list[str]]:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height})
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    page.on(
        "request",
        lambda r: troubles.append(f"asked for {r.url}") if not r.url.startswith(("file:", "data:", "blob:")) else None,
    )
    page.goto(file.as_uri())
    page.wait_for_function("document.body.dataset.ready === 'yes'")
    return page, troubles
