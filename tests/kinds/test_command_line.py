"""Every kind on the command line: the columns the docs promise, what Python gives, and clear refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from penchant.io import write_table
from penchant.model import Model
from tests.conftest import Ran
from tests.pipeline.test_cli import CONTRACT

from .conftest import with_columns

Cli = Callable[..., Ran]
ASKED: dict[str, tuple[str, ...]] = {
    "similar": ("{item}", "-k", "3"),
    "users-like": ("{user}", "-k", "3"),
    "communities": ("-k", "2", "--layer", "core"),
    "reach": ("{item}", "-k", "5"),
    "recommend --segment": ("s1", "-k", "4"),
    "recommend --path": ("{user}", "-k", "4"),
}


@pytest.fixture(scope="module")
def course_folder(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared model with a catalogue that has levels and prerequisites."""
    folder = tmp_path_factory.mktemp("course") / "model"
    n = len(model.items)
    requires = [None if i % 3 == 0 else model.items.item_ids[i - 1] for i in range(n)]
    with_columns(model, level=pl.Series([i % 3 for i in range(n)]), requires=pl.Series(requires)).save(folder)
    return folder


def _arguments(command: str, folder: Path, model: Model) -> list[object]:
    name, *option = command.split()
    given = [a.format(item=model.items.item_ids[0], user=model.user_ids[0]) for a in ASKED[command]]
    return [name, folder, *option, *given]


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize("command", ASKED)
def test_tables_have_the_columns_the_docs_promise(
    command: str, ending: str, model: Model, course_folder: Path, tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / f"table{ending}"
    ran = cli(*_arguments(command, course_folder, model), "-o", out)
    assert ran.code == 0, ran.err
    read = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson}[ending]
    table = read(out)
    assert table.columns == CONTRACT[command]
    assert table.height
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("command", ASKED)
def test_the_screen_and_json_say_what_python_says(command: str, model: Model, course_folder: Path, cli: Cli) -> None:
    item, user = model.items.item_ids[0], model.user_ids[0]
    course = with_columns(
        model, **{c: pl.read_parquet(course_folder / "items" / "items.parquet")[c] for c in ("level", "requires")}
    )
    in_python = {
        "similar": lambda: model.similar_items([item], 3),
        "users-like": lambda: model.similar_users([user], 3),
        "communities": lambda: model.communities(k=2, layer="core"),
        "reach": lambda: model.audience_for([item], k=5).users,
        "recommend --segment": lambda: model.recommend_for_segment("s1", 4),
        "recommend --path": lambda: course.path(user, 4),
    }[command]()
    arguments = _arguments(command, course_folder, model)
    printed = json.loads(cli(*arguments, "--json").out)
    rows = printed["users"] if command == "reach" else printed
    ids = next(c for c in ("similar_id", "user_id", "item_id") if c in in_python.columns)
    ids = "item_id" if command == "recommend --path" else ids
    assert [row[ids] for row in rows] == in_python[ids].to_list()
    on_screen = cli(*arguments)
    assert on_screen.code == 0, on_screen.err
    assert str(in_python[ids][0]) in on_screen.out


def test_reach_tells_segments_wherever_users_go(model: Model, model_folder: Path, tmp_path: Path, cli: Cli) -> None:
    item = model.items.item_ids[0]
    ran = cli("reach", model_folder, item, "-o", tmp_path / "u.csv", "--json")
    printed = json.loads(ran.out.partition("\n")[2])
    assert set(printed) == {"segments"}
    assert list(printed["segments"][0]) == CONTRACT["reach segments"]
    assert "lift" in cli("reach", model_folder, item).out
    text = cli("reach", model_folder, "--text", model.items.texts()[0], "-k", "2", "--json")
    assert len(json.loads(text.out)["users"]) == 2


def test_a_session_is_recommended_to(model: Model, model_folder: Path, cli: Cli) -> None:
    items = model.items.item_ids.head(2).to_list()
    options = [word for item in items for word in ("--session", item)]
    ran = cli("recommend", model_folder, *options, "-k", "3", "--json")
    assert ran.code == 0, ran.err
    assert [r["item_id"] for r in json.loads(ran.out)] == model.recommend_from(items, 3)["item_id"].to_list()
    assert items[0] not in cli("recommend", model_folder, *options).out.split()


def test_from_domain_to_domain(model: Model, model_folder: Path, cli: Cli) -> None:
    domains = model.items.table["domain"].drop_nulls().unique().sort().to_list()
    ran = cli("recommend", model_folder, "--from", domains[0], "--to", domains[1], "-k", "2", "--json")
    assert ran.code == 0, ran.err
    found = pl.DataFrame(json.loads(ran.out), infer_schema_length=None)
    assert found["item_id"].to_list() == (
        model.recommend(k=2, source_domain=domains[0], target_domain=domains[1])["item_id"].to_list()
    )
    n_silent = found.filter(pl.col("reason").str.contains("likes nothing"))["user_id"].n_unique()
    assert n_silent
    said = " ".join(ran.err.split())
    assert f"{n_silent} of {len(model.user_ids)} users like nothing of '{domains[0]}' yet" in said


def test_filters_come_from_files(model: Model, model_folder: Path, tmp_path: Path, cli: Cli) -> None:
    allowed = model.items.item_ids.sample(60, seed=1)
    write_table(allowed.to_frame("item_id"), tmp_path / "only.csv")
    (tmp_path / "without.txt").write_text("\n".join(allowed.head(30)))
    filters = ("--only", tmp_path / "only.csv", "--without", tmp_path / "without.txt", "--json")
    for arguments, column in (
        (("similar", model_folder, model.items.item_ids[0]), "similar_id"),
        (("recommend", model_folder, "--segment", "s1"), "item_id"),
        (("recommend", model_folder, "--session", model.items.item_ids[0]), "item_id"),
    ):
        ran = cli(*arguments, *filters)
        assert ran.code == 0, ran.err
        found = {r[column] for r in json.loads(ran.out)}
        assert found
        assert found <= set(allowed.tail(30))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("similar", "nothing"), "item 'nothing' is not in this model"),
        (("users-like", "nobody"), "user 'nobody' is not among"),
        (("reach", "nothing"), "item 'nothing' is not in this model"),
        (("reach",), "give items of the catalogue or a text"),
        (("communities", "--layer", "all"), "--layer: must be one of core, secondary"),
        (("communities", "--level", "9"), "level: must be 1"),
        (("recommend", "--segment", "s99"), "segment 's99' is not in this model"),
        (("recommend", "--from", "nowhere"), "domain 'nowhere' is not in this model"),
        (("recommend", "--to", "nowhere"), "domain 'nowhere' is not in this model"),
        (("recommend", "--session", "nothing"), "item 'nothing' is not in this model"),
        (("recommend", "u00001", "--path"), "needs a column 'requires'"),
        (("recommend", "--path"), "--path is made for one USER"),
        (("recommend", "u00001", "--path", "--why"), "--path can't be used with --why"),
        (("recommend", "u00001", "--segment", "s1"), "give USER or --segment, not both"),
        (("recommend", "--segment", "s1", "--from", "x"), "--segment can't be used with --from"),
        (("recommend", "--session", "i00001", "--to", "x"), "--session can't be used with --to"),
    ],
)
def test_wrong_questions_end_with_2_and_say_why(
    arguments: tuple[str, ...], said: str, model_folder: Path, tmp_path: Path, cli: Cli
) -> None:
    command, *rest = arguments
    ran = cli(command, model_folder, *rest, "-o", tmp_path / "out.csv")
    assert ran.code == 2
    assert said in " ".join(ran.err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["similar", "users-like", "communities", "reach", "recommend"])
def test_k_is_at_least_one(command: str, model_folder: Path, cli: Cli) -> None:
    assert cli(command, model_folder, "x", "-k", "0").code == 2
