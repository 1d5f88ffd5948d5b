"""The first screen of the README is true: its example runs as it stands in both languages, and links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_example_runs_as_it_stands(name: str, world_folder: Path, tmp_path: Path) -> None:
    block = re.search(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.S)
    assert block is not None
    events = pl.read_parquet(world_folder / "events.parquet")
    first = events["user_id"][0]
    events.with_columns(pl.col("user_id").replace(first, "u1")).write_csv(tmp_path / "events.csv")
    items = pl.read_parquet(world_folder / "items.parquet").with_columns(pl.col("categories").list.join("|"))
    items.write_csv(tmp_path / "items.csv")
    (tmp_path / "example.py").write_text(block[1], encoding="utf-8")
    ran = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "model" / "manifest.json").is_file()
    assert "shape: (10, 7)" in ran.stdout


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [t for t in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in t]
    assert [t for t in links if not ((ROOT / page).parent / t).exists()] == []


def test_every_script_of_the_benchmarks_page_exists() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    scripts = set(re.findall(r"benchmarks/(\w+\.py)", text))
    assert scripts
    assert {s for s in scripts if not (ROOT / "benchmarks" / s).is_file()} == set()
