"""Every form of a timestamp gives the same second; what is no time is dirt."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from penchant.config import IoConfig
from penchant.errors import DataError
from penchant.io import describe_log, read_log
from penchant.io.times import parse_times

AT = 1_704_164_645.0  # 2024-01-02 03:04:05 UTC


@pytest.mark.parametrize(
    "given",
    [
        [1704164645], [1704164645000], [1704164645000000], [1704164645000000000], [1704164645.0], ["1704164645"],
        ["2024-01-02T03:04:05Z"], ["2024-01-02 03:04:05"], ["2024-01-02T04:04:05+01:00"], ["2024-01-01 22:04:05-05"],
        ["2024-01-02T08:34:05+0530"], ["2024-01-02 03:04:05 UTC"], ["2024/01/02 03:04:05"], ["20240102T030405Z"],
        ["2 Jan 2024 03:04:05"], ["Tue Jan 2 03:04:05 2024"], [20240102030405], [datetime(2024, 1, 2, 3, 4, 5)],
        [datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)],
    ],
)  # fmt: skip
def test_forms(given: list[object]) -> None:
    assert parse_times(pl.Series("t", given), "e").seconds.to_list() == [AT]


def test_dates_alone_and_fractions() -> None:
    midnight = 1_704_153_600.0
    for given in (date(2024, 1, 2), "2024-01-02", "02-Jan-2024", 20240102, "20240102", "Jan 2, 2024"):
        assert parse_times(pl.Series("t", [given]), "e").seconds.to_list() == [midnight]
    assert parse_times(pl.Series("t", ["2024-01-02 03:04:05.25"]), "e").seconds.to_list() == [AT + 0.25]


def test_zones_mixed_with_missing_and_unreadable() -> None:
    times = parse_times(pl.Series("t", ["2024-01-02T03:04:05Z", "2024-01-02 04:04:05+01:00", "", None, "soon"]), "e")
    assert times.seconds.to_list() == [AT, AT, None, None, None]
    assert times.given.to_list() == [True, True, False, False, True]


def test_day_and_month_are_read_off_the_log_or_asked_for() -> None:
    def seconds(*texts: str, day_first: bool | None = None) -> list[float | None]:
        return parse_times(pl.Series("t", texts), "e", day_first=day_first).seconds.to_list()

    first = 1_704_067_200.0  # 2024-01-01
    assert seconds("1/1/2024", "31/1/2024") == [first, first + 30 * 86_400]
    assert seconds("1/1/2024", "1/31/2024 6:30 PM") == [first, first + 30 * 86_400 + 66_600]
    assert seconds("02.01.2024", day_first=True) == [first + 86_400]
    assert seconds("1/2/2024", day_first=False) == [first + 86_400]
    with pytest.raises(DataError, match=r"can't tell day from month .*'1/2/2024'.*io.day_first"):
        seconds("1/2/2024")
    with pytest.raises(DataError, match="both orders occur"):
        seconds("13/1/2024", "1/13/2024")


def _log(times: list[object], **options: object) -> object:
    n = len(times)
    frame = pl.DataFrame({"user_id": ["u"] * n, "item_id": [f"i{k:02}" for k in range(n)], "ts": times}, strict=False)
    return read_log(frame, config=IoConfig(**options))  # type: ignore[arg-type]


def test_impossible_times_are_counted_and_left_out() -> None:
    log = _log(["2024-01-02", "2024-01-03", "soon", "", "1970-01-01", "2999-01-01"], max_drop_share=0.7)
    kinds = {f.kind: f.rows for f in log.findings}  # type: ignore[attr-defined]
    assert kinds == {
        "no time": (4,),
        "unreadable time (column 'ts', such as 'soon')": (3,),
        "time before 1990": (5,),
        "time in the future": (6,),
    }


def test_latest_time_is_the_callers_to_set() -> None:
    days = ["2024-01-02", "2024-01-03"]
    assert len(_log(days, latest_time="2024-01-02T12:00:00").events) == 1  # type: ignore[attr-defined]
    assert len(_log([*days, "2999-01-01"], latest_time="3000-01-01").events) == 3  # type: ignore[attr-defined]


def test_a_stray_time_far_after_the_log_is_left_out() -> None:
    days = [1_600_000_000 + 3600 * k for k in range(2000)]
    log = _log([*days, 1_700_000_000])
    assert [(f.kind, f.rows) for f in log.findings] == [("time far after all others", (2001,))]  # type: ignore[attr-defined]
    assert log.events.end == days[-1]  # type: ignore[attr-defined]


def test_too_few_times_stop_the_run_and_say_what_to_do() -> None:
    with pytest.raises(DataError, match=r"75%; allowed: 50%.*no time: 3 rows.*--columns timestamp= "):
        _log([1_700_000_000, None, None, None])
    with pytest.raises(DataError, match=r"time before 1990: 2 rows.*check the column's unit"):
        _log([1, 2])


def test_ties_keep_the_order_of_the_file() -> None:
    log = _log([1_700_000_060] + [1_700_000_000] * 5)
    rows = log.events.item_row.tolist()  # type: ignore[attr-defined]
    assert rows == [1, 2, 3, 4, 5, 0]


def test_an_order_column_serves_without_timestamps() -> None:
    frame = pl.DataFrame(
        {"user_id": list("aabb"), "item_id": list("wxyz"), "timestamp": [None] * 4, "seq": [3, 1, 2, None]}
    )
    log = read_log(frame)
    assert log.events.clock == "order"
    assert log.events.time.tolist() == [1.0, 2.0, 3.0]
    assert [(f.kind, f.rows) for f in log.findings] == [("no number of order", (4,))]
    assert describe_log(log)["order_by"] == "column 'seq'"


def test_without_any_order_time_is_a_users_own_position() -> None:
    log = read_log(pl.DataFrame({"user_id": list("abaa"), "item_id": list("wxyz")}))
    assert log.events.clock == "order"
    by_item = dict(zip(log.items.item_ids, log.events.table.sort("item_row")["time"], strict=True))
    assert by_item == pytest.approx({"w": 1 / 6, "x": 0.5, "y": 0.5, "z": 5 / 6})
    assert any("no timestamps" in line for line in describe_log(log)["cannot"])


def test_an_order_column_that_is_no_number_is_used_only_if_it_is_one() -> None:
    frame = pl.DataFrame({"user_id": ["a"], "item_id": ["x"], "order": ["O-17"]})
    assert describe_log(read_log(frame))["order_by"] == "position"
    with pytest.raises(DataError, match="holds no number to order by"):
        read_log(frame, config=IoConfig(columns={"seq": "order"}))
