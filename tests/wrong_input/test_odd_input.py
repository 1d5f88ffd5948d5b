"""Odd but usable input: the job runs, says what it found, and loses nothing silently."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wrong_input.test_wrong_input import CATALOGUE, GOOD

HEADER = "user_id,item_id,action,timestamp\n"
ONE_TIME = "".join(f"u{u},i{i},view,1700000000\n" for u in range(5) for i in range(6) if (u + i) % 2)
ODD = {
    "one row": HEADER + "u1,i1,view,1700000000\n",
    "one user": HEADER + "".join(f"u1,i{i},view,{1_700_000_000 + i}\n" for i in range(9)),
    "one item": HEADER + "".join(f"u{u},i1,view,{1_700_000_000 + u}\n" for u in range(9)),
    "all the same time": HEADER + ONE_TIME,
    "no times": "user_id,item_id\n" + "".join(f"u{u},i{i}\n" for u in range(5) for i in range(6) if (u + i) % 2),
    "only negative events": HEADER
    + "".join(f"u{u},i{i},dislike,{1_700_000_000 + u + i}\n" for u in range(4) for i in range(4)),
    "texts alone": "user_id,text\n" + "".join(f"u{u},looking for running shoes number {u}\n" for u in range(6)),
    "a byte order mark": "\ufeff" + GOOD,
    "semicolons": GOOD.replace(",", ";"),
    "a future time": GOOD + "u1,i1,view,99999999999\n",
    "a huge value": GOOD.replace("timestamp", "timestamp,value")
    .replace("\n", ",1\n")
    .replace("timestamp,value,1", "timestamp,value", 1)
    + "u1,i2,view,1700000000,1e300\n",
    "not a number": GOOD.replace("timestamp", "timestamp,value")
    .replace("\n", ",NaN\n")
    .replace("timestamp,value,NaN", "timestamp,value", 1),
    "html in ids": HEADER + "<b>u</b>,<script>i</script>,view,1700000000\nu2,i2,view,1700000001\n",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_logs_run_end_to_end(name: str, tmp_path: Path, cli: Callable[..., object]) -> None:
    events, model = tmp_path / "events.csv", tmp_path / "model"
    events.write_text(ODD[name], encoding="utf-8")
    ran = cli("fit", events, "-o", model, "--quiet", "--set", "encode.method=tfidf")
    assert ran.code == 0, ran.err
    assert cli("profiles", model, "-o", tmp_path / "profiles.csv").code == 0
    assert cli("recommend", model, "-o", tmp_path / "recommendations.csv").code == 0
    assert cli("report", model, "-o", tmp_path / "report.html").code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>i</script>" not in page


def test_doctor_counts_every_kind_of_dirt(tmp_path: Path, cli: Callable[..., object]) -> None:
    events, items = tmp_path / "events.csv", tmp_path / "items.csv"
    dirty = (
        GOOD
        + "u1,i2,view,1700032400\n" * 2
        + ",i1,view,1700000000\nu1,,view,1700000000\nu1,i1,view,\nu1,i99,view,1700000000\n"
    )
    events.write_text(dirty)
    items.write_text(CATALOGUE + "i1,Again\n,Blank\ni777,Never used\n")
    ran = cli("doctor", events, items, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)["findings"]
    assert all(f["n_rows"] > 0 and f["rule"] and f["kind"] and f["where"] for f in found)
    assert len(found) >= 6
    assert sum(f["n_dropped"] for f in found if "events" in f["where"]) >= 4
