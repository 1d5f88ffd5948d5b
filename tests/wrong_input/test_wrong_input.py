"""Wrong input: a clear message, exit code 2, nothing half-written. One row of the table is one case."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

Arguments = tuple[object, ...]
GOOD = "user_id,item_id,action,timestamp\n" + "".join(
    f"u{u},i{i},view,{1_700_000_000 + 3600 * (u * 7 + i)}\n" for u in range(6) for i in range(8) if (u + i) % 3
)
CATALOGUE = "item_id,title\n" + "".join(f"i{i},Thing number {i}\n" for i in range(8))


@dataclass(frozen=True)
class Case:
    """Arguments made in a fresh folder, and the words the message must hold (lower case)."""

    name: str
    make: Callable[[Path, Path], Arguments]
    words: tuple[str, ...]


def _events(text: str, *more: object, encoding: str = "utf-8", name: str = "events.csv") -> Callable[..., Arguments]:
    def make(folder: Path, _model: Path) -> Arguments:
        (folder / name).write_bytes(text.encode(encoding))
        return ("fit", folder / name, "-o", folder / "out", "--quiet", *more)

    return make


def _pair(events: str, items: str) -> Callable[..., Arguments]:
    def make(folder: Path, _model: Path) -> Arguments:
        (folder / "events.csv").write_text(events)
        (folder / "items.csv").write_text(items)
        return ("fit", folder / "events.csv", folder / "items.csv", "-o", folder / "out", "--quiet")

    return make


def _good(*more: object) -> Callable[..., Arguments]:
    return _events(GOOD, *more)


def _bytes(content: bytes, name: str) -> Callable[..., Arguments]:
    def make(folder: Path, _model: Path) -> Arguments:
        (folder / name).write_bytes(content)
        return ("fit", folder / name, "-o", folder / "out", "--quiet")

    return make


def _plain(*arguments: str) -> Callable[..., Arguments]:
    """Arguments where {dir} and {model} stand for the folders."""

    def make(folder: Path, model: Path) -> Arguments:
        return tuple(a.format(dir=folder, model=model) for a in arguments)

    return make


def _harmed(harm: Callable[[Path], None]) -> Callable[..., Arguments]:
    def make(folder: Path, model: Path) -> Arguments:
        shutil.copytree(model, folder / "model")
        harm(folder / "model")
        return ("interests", folder / "model")

    return make


def _edit_manifest(**changes: object) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))

    return harm


def _cut_short(folder: Path) -> None:
    file = next(iter(sorted(folder.rglob("*.npy"))))
    file.write_bytes(file.read_bytes()[:-4])


def _drop_file(folder: Path) -> None:
    next(iter(sorted(folder.rglob("*.parquet")))).unlink()


def _directory_as_file(folder: Path, _model: Path) -> Arguments:
    (folder / "log").mkdir()
    return ("fit", folder / "log", "-o", folder / "out", "--quiet")


def _other_folder(folder: Path, _model: Path) -> Arguments:
    (folder / "events.csv").write_text(GOOD)
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("mine")
    return ("fit", folder / "events.csv", "-o", folder / "out", "--quiet")


def _rows(header: str, *rows: str) -> str:
    return "\n".join((header, *rows)) + "\n"


def _replace_column(column: int, value: str, *, every: int = 1) -> str:
    lines = GOOD.splitlines()
    for number in range(1, len(lines), every):
        cells = lines[number].split(",")
        cells[column] = value
        lines[number] = ",".join(cells)
    return "\n".join(lines) + "\n"


CASES = [
    Case("empty file", _events(""), ("events.csv", "empty")),
    Case("header only", _events("user_id,item_id,timestamp\n"), ("events.csv", "no rows")),
    Case("missing file", _plain("fit", "{dir}/nothing.csv", "-o", "{dir}/out"), ("nothing.csv", "no such file")),
    Case("glob with no match", _plain("fit", "{dir}/*.parquet", "-o", "{dir}/out"), ("*.parquet", "no file")),
    Case("directory for file", _directory_as_file, ("log", "folder")),
    Case("wrong ending", _bytes(b"x", "events.xlsx"), ("events.xlsx", "csv", "parquet")),
    Case("parquet that is none", _bytes(b"not parquet at all", "events.parquet"), ("events.parquet",)),
    Case("jsonl that is none", _bytes(b"{not json\n", "events.jsonl"), ("events.jsonl",)),
    Case("binary for csv", _bytes(bytes(range(256)) * 20, "events.csv"), ("events.csv",)),
    Case(
        "missing user column", _events("user,thing\n1,2\n", "--columns", "user_id=usr"), ("usr", "did you mean", "user")
    ),
    Case("no user column at all", _events("aaa,bbb\n1,2\n"), ("user_id", "aaa", "--columns")),
    Case("no item column, near name", _events("user_id,itm_id\n1,2\n"), ("item_id", "itm_id")),
    Case("duplicate header", _events("user_id,item_id,item_id\n1,2,3\n"), ("item_id", "twice")),
    Case("two columns for one word", _events("userId,userid,item_id\n1,1,2\n"), ("user",)),
    Case("ragged csv", _events(GOOD + "u1,i1,view,1700000000,extra,cells\n"), ("events.csv", "row")),
    Case("--columns without =", _good("--columns", "user_id"), ("--columns", "ours=theirs")),
    Case("--columns unknown word", _good("--columns", "usr_id=user_id"), ("usr_id", "user_id")),
    Case("all users blank", _events(_replace_column(0, "")), ("user",)),
    Case("all items blank", _events(_replace_column(1, "")), ("item",)),
    Case("most users blank", _events(_replace_column(0, "").replace(",i1,", "x,i1,", 1)), ("user",)),
    Case(
        "a bad row with stop", _events(GOOD + ",i1,view,1700000000\n", "--on-error", "stop"), ("row", "--on-error drop")
    ),
    Case("unreadable times", _events(_replace_column(3, "soon")), ("timestamp", "soon")),
    Case("times before 1990", _events(_replace_column(3, "-99")), ("time",)),
    Case("no overlap of ids", _pair(GOOD, "item_id,title\nzz1,A\nzz2,B\n"), ("items", "zz1")),
    Case("catalogue without ids", _pair(GOOD, "name,title\na,A\n"), ("item_id",)),
    Case("catalogue with blank ids only", _pair(GOOD, "item_id,title\n,A\n,B\n"), ("item_id",)),
    Case("wide without items", _events("user_id\n1\n2\n", "--layout", "wide"), ("wide",)),
    Case("wide with words", _events("user_id,a,b\n1,x,y\n2,z,w\n", "--layout", "wide"), ("wide",)),
    Case("unknown layout", _good("--layout", "tall"), ("layout", "long", "wide")),
    Case("unknown on-error", _good("--on-error", "ignore"), ("on_error", "stop", "drop")),
    Case("unknown config key", _good("--set", "interests.horizn=5"), ("interests.horizn", "did you mean", "horizon")),
    Case("unknown config section", _good("--set", "interest.horizon=5"), ("interest", "did you mean", "interests")),
    Case("config value out of range", _good("--set", "interests.core=7"), ("interests.core", "less than 1", "7")),
    Case("config value of wrong type", _good("--set", "segments.max_segments=many"), ("segments.max_segments", "many")),
    Case("--set without =", _good("--set", "seed"), ("--set", "section.key=value")),
    Case("missing config file", _good("-c", "/no/such.toml"), ("/no/such.toml", "can't be read")),
    Case("layers out of order", _good("--set", "interests.secondary=0.9"), ("secondary", "core")),
    Case("out is a file", _plain("fit", __file__, "-o", __file__), ("is a file",)),
    Case("out holds other files", _other_folder, ("holds other files",)),
    Case("out below a file", _plain("fit", __file__, "-o", __file__ + "/out"), ("can't be written",)),
    Case("no such model", _plain("profile", "{dir}/none", "u1"), ("none", "no such model folder")),
    Case("a folder that is no model", _plain("profile", "{dir}", "u1"), ("not a penchant model",)),
    Case("model of a newer format", _harmed(_edit_manifest(format_version=99)), ("99", "newer", "upgrade")),
    Case("foreign manifest", _harmed(_edit_manifest(made_by="other")), ("not a whole penchant model",)),
    Case("manifest without checksums", _harmed(_edit_manifest(checksums=None)), ("corrupt",)),
    Case("model file cut short", _harmed(_cut_short), ("corrupt",)),
    Case("model file missing", _harmed(_drop_file), ("missing",)),
    Case("unknown user", _plain("profile", "{model}", "nobody-at-all"), ("nobody-at-all", "not among")),
    Case("unknown segment", _plain("audience", "{model}", "s999", "-o", "{dir}/a.csv"), ("s999", "segment")),
    Case("level too deep", _plain("profiles", "{model}", "-o", "{dir}/p.csv", "--level", "9"), ("level", "9")),
    Case("output of unknown ending", _plain("items", "{model}", "-o", "{dir}/i.xlsx"), (".xlsx", ".csv", ".parquet")),
    Case("output into a missing folder", _plain("items", "{model}", "-o", "{dir}/no/i.csv"), ("no", "folder")),
    Case("output is a folder", _plain("items", "{model}", "-o", "{dir}"), ("folder",)),
    Case("both user and --users", _plain("recommend", "{model}", "u1", "--users", "x.csv"), ("not both",)),
    Case("missing users file", _plain("recommend", "{model}", "--users", "{dir}/x.csv"), ("x.csv", "no such file")),
    Case("k of zero", _plain("recommend", "{model}", "-k", "0"), ("-k",)),
    Case("report to a folder", _plain("report", "{model}", "-o", "{dir}"), ("folder",)),
    Case(
        "report with a foreign evaluation",
        _plain("report", "{model}", "-o", "{dir}/r.html", "--evaluation", "{dir}"),
        ("ranking.parquet",),
    ),
    Case("unknown peer", _plain("evaluate", "x.csv", "--against", "eas"), ("eas", "did you mean", "ease")),
    Case(
        "unknown language of a world", _plain("world", "--out", "{dir}/w", "--language", "fr"), ("fr", "en, zh, mixed")
    ),
    Case("evaluate: one user", _plain("evaluate", "{dir}/one.csv"), ("one.csv",)),
    Case("an unknown command", _plain("profil"), ("profil",)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_wrong_input_is_explained_and_leaves_nothing(
    case: Case, tmp_path: Path, model_folder: Path, cli: Callable[..., object]
) -> None:
    arguments = case.make(tmp_path, model_folder)
    before = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*"))
    ran = cli(*arguments)
    assert ran.code == 2, ran.err
    message = " ".join(ran.err.lower().split())
    assert [w for w in case.words if w not in message] == [], ran.err
    assert "traceback" not in message
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == before
