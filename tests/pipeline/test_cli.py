"""Every command on a real model: contract columns, JSON, endings, nothing half-written when stopped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import penchant.assessment
import penchant.io
import penchant.pipeline
from penchant.artefacts import to_json
from tests.conftest import Ran

Cli = Callable[..., Ran]
DOCS = Path(__file__).parents[2] / "docs"


def _contract() -> dict[str, list[str]]:
    """Command -> columns, as docs/contracts.md promises them."""
    text = (DOCS / "contracts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w -]+)` \| ([a-z_]+, .*) \|$", text, flags=re.M)
    return {name: re.findall(r"[a-z_]+", re.sub(r"\(.*?\)", "", columns)) for name, columns in rows}


CONTRACT = _contract()


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize("command", ["profiles", "interests", "items", "segments", "recommend"])
def test_tables_have_the_columns_the_docs_promise(
    command: str, ending: str, model_folder: Path, tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / f"table{ending}"
    ran = cli(command, model_folder, "-o", out)
    assert ran.code == 0, ran.err
    read = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson}[ending]
    assert read(out).columns == CONTRACT[command]
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_an_audience_holds_the_users_of_its_segment(model_folder: Path, tmp_path: Path, cli: Cli) -> None:
    segments = json.loads(cli("segments", model_folder, "--json").out)
    first = segments[0]
    for key in (first["segment_id"], first["name"]):
        assert cli("audience", model_folder, key, "-o", tmp_path / "a.csv").code == 0
        audience = pl.read_csv(tmp_path / "a.csv")
        assert audience.height == first["n_users"]
        assert audience.columns[: len(CONTRACT["audience"][:4])] == CONTRACT["audience"][:4]


def test_facts_are_printed_as_json_and_as_text(model_folder: Path, cli: Cli) -> None:
    interests = json.loads(cli("interests", model_folder, "--json").out)
    assert {"interest_id", "name", "keywords", "n_users"} <= set(interests[0])
    user = json.loads(cli("recommend", model_folder, "-k", "1", "--json").out)[0]["user_id"]
    profile = json.loads(cli("profile", model_folder, user, "--json").out)
    assert profile["user_id"] == user
    for arguments in (("interests", model_folder), ("segments", model_folder), ("profile", model_folder, user)):
        ran = cli(*arguments)
        assert ran.code == 0
        assert ran.out.strip()
    assert user in cli("recommend", model_folder, user).out


def test_users_come_from_a_file(model_folder: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "users.txt").write_text("u00003\n\nnobody\nu00003\n")
    ran = cli("recommend", model_folder, "--users", tmp_path / "users.txt", "-k", "2", "-o", tmp_path / "r.csv")
    assert ran.code == 0
    assert "1 of 2 users are unknown" in " ".join(ran.err.split())
    assert pl.read_csv(tmp_path / "r.csv")["user_id"].to_list() == ["u00003", "u00003", "nobody", "nobody"]


def test_fit_evaluate_and_report_work_together(world_folder: Path, tmp_path: Path, cli: Cli) -> None:
    files = [world_folder / "events.parquet", world_folder / "items.parquet"]
    tfidf = ("--quiet", "--set", "encode.method=tfidf", "--set", "recommend.ease_max_items=50")
    ran = cli("evaluate", *files, "--against", "popular,item_knn", "-o", tmp_path / "e", "--json", *tfidf)
    assert ran.code == 0, ran.err
    table = {row["method"]: row for row in json.loads(ran.out)["ranking"]}
    assert set(table) == {"penchant", "popular", "item_knn"}
    assert table["penchant"]["ndcg@10_low"] <= table["penchant"]["ndcg@10"] <= table["penchant"]["ndcg@10_high"]
    left_out = [note for note in json.loads(ran.out)["notes"] if note.startswith("penchant: ease: kept the 50")]
    assert len(left_out) == 1, "what a signal could not hold is told"
    fitted = cli("fit", *files, "-o", tmp_path / "m", "--json", *tfidf)
    assert json.loads(fitted.out)["n_users"] > 100
    assert json.loads(fitted.out)["notes"][0].startswith("ease: kept the 50")
    assert cli("report", tmp_path / "m", "--evaluation", tmp_path / "e", "-o", tmp_path / "r.html").code == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "item_knn" in page
    assert "built-in method" not in page


def test_ctrl_c_leaves_nothing_half_written(
    world_folder: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(penchant.pipeline, "segment_users", interrupted)
    ran = cli("fit", world_folder / "events.parquet", "-o", tmp_path / "m", "--quiet")
    assert ran.code == 130
    assert "half-written" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_every_command_of_the_readme_exists_and_has_help(cli: Cli) -> None:
    reading = "profile profiles interests items segments audience recommend similar users-like communities reach report"
    commands = f"demo world doctor fit evaluate compare feedback simulate {reading}"
    for command in commands.split():
        ran = cli(command, "--help")
        assert ran.code == 0
        assert "Usage" in ran.out
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^penchant ([\w-]+)", readme, flags=re.M)) <= set(commands.split())
    assert cli("--version").out.startswith("penchant ")


def test_the_command_line_and_python_read_a_file_alike(tmp_path: Path, cli: Cli) -> None:
    """A log of quantities without actions is one of purchases: unless the caller says what the actions are."""
    log = tmp_path / "log.csv"
    log.write_text(
        "CustomerID,StockCode,Quantity,InvoiceDate\n"
        + "".join(f"c{i % 7},s{i % 11},{q},2020-01-{1 + i % 28:02}\n" for i, q in enumerate([12, -2, 1, 48] * 15))
    )
    in_python = penchant.io.describe_log(penchant.io.read_log(log))
    ran = cli("doctor", log, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["actions"] == json.loads(to_json(in_python))["actions"]
    assert "purchase" in str(in_python["actions"])
    told = cli("doctor", log, "--json", "--set", "io.default_action=view")
    assert "purchase" not in str(json.loads(told.out)["actions"])


def test_a_folder_that_can_not_be_made_is_refused_before_the_work(
    world_folder: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worked(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(penchant.assessment, "assess", worked)
    (tmp_path / "file").write_text("mine")
    ran = cli("evaluate", world_folder / "events.parquet", "-o", tmp_path / "file" / "e", "--quiet")
    assert ran.code == 2
    assert "can't be made" in ran.err


@pytest.mark.parametrize("setting", ["represent.method=factor", "recommend.method=blnd", "segments.n_segments=0"])
def test_a_wrong_setting_is_refused_before_the_work(
    setting: str, world_folder: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worked(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(penchant.start, "encode_items", worked)
    files = (world_folder / "events.parquet", world_folder / "items.parquet")
    ran = cli("fit", *files, "-o", tmp_path / "m", "--quiet", "--set", setting)
    assert ran.code == 2
    assert setting.split("=")[0] in ran.err
