"""Each kind of dirt: counted, named with its rows, treated by its rule."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from penchant.config import IoConfig
from penchant.data import Log
from penchant.errors import DataError
from penchant.io import read_log

T = 1_700_000_000


def _found(log: Log) -> dict[str, tuple[int, tuple[int, ...], int]]:
    return {f.kind: (f.n_rows, f.rows, f.n_dropped) for f in log.findings}


def test_blank_ids_and_duplicates() -> None:
    events = pl.DataFrame(
        {
            "user_id": ["a", "a", "", None, "nan", "b", "b"],
            "item_id": ["x", "x", "x", "x", "x", None, " y "],
            "ts": [T, T, T, T, T, T, T],
        }
    )
    log = read_log(events, config=IoConfig(max_drop_share=0.9))
    assert _found(log) == {
        "space around item ids": (1, (), 0),
        "no user id": (3, (3, 4, 5), 3),
        "no item id": (1, (6,), 1),
        "exact duplicate": (1, (2,), 1),
    }
    assert log.items.item_ids.to_list() == ["x", "y"]


def test_duplicates_differ_by_time_value_action_or_text() -> None:
    base = {"user_id": "a", "item_id": "x", "action": "view", "ts": T, "value": 1.0, "text": "q"}
    rows = [base, {**base, "ts": T + 1}, {**base, "value": 2.0}, {**base, "action": "buy"}, {**base, "text": "r"}, base]
    log = read_log(pl.DataFrame(rows))
    assert _found(log) == {"exact duplicate": (1, (6,), 1)}
    kept = read_log(pl.DataFrame(rows), config=IoConfig(duplicate_rule="keep"))
    assert (len(kept.events), _found(kept)["exact duplicate"]) == (6, (1, (6,), 0))


def test_without_times_repeats_are_kept_and_reported() -> None:
    log = read_log(pl.DataFrame({"user_id": ["a", "a"], "item_id": ["x", "x"]}))
    assert len(log.events) == 2
    assert _found(log) == {"exact duplicate": (1, (2,), 0)}


def test_on_error_stop_names_what_would_go() -> None:
    events = pl.DataFrame({"user_id": ["a", None, "b"], "item_id": ["x", "x", "y"], "ts": [T, T, T]})
    assert len(read_log(events).events) == 2
    with pytest.raises(DataError, match=r"no user id: 1 row \(rows 2\); repair them, or use --on-error drop"):
        read_log(events, config=IoConfig(on_error="stop"))


def test_too_much_dirt_stops_the_run() -> None:
    events = pl.DataFrame({"user_id": ["a", None, None], "item_id": ["x", "x", "y"], "ts": [T, T, T]})
    with pytest.raises(DataError, match=r"2 of 3 rows would be left out \(67%; allowed: 50%\): no user id"):
        read_log(events)
    assert len(read_log(events, config=IoConfig(max_drop_share=0.67)).events) == 1


def test_text_events_need_no_item() -> None:
    events = pl.DataFrame(
        {"user_id": ["a", "a", "b"], "item_id": [None, "x", None], "query": ["red shoes", None, " "], "ts": [T] * 3}
    )
    log = read_log(events)
    assert log.events.item_row.tolist() == [-1, 0]
    assert log.events.table["text"].to_list() == ["red shoes", None]
    assert _found(log) == {"neither item id nor text": (1, (3,), 1)}


def test_texts_alone_load() -> None:
    log = read_log(pl.DataFrame({"user_id": ["a", "b"], "text": ["hello there", "good day"]}))
    assert (len(log.events), len(log.items)) == (2, 0)


def test_numbers_that_are_none() -> None:
    events = pl.DataFrame(
        {"user_id": list("abcdef"), "item_id": list("abcdef"), "qty": ["1,5", "x", "inf", "1e300", "NaN", "3"]}
    )
    log = read_log(events)
    assert log.events.table.sort("item_row")["value"].to_list() == [1.5, None, None, None, None, 3.0]
    assert _found(log) == {"column 'qty' is not a usable number": (3, (2, 3, 4), 0)}


def test_commas_part_thousands_unless_one_cannot() -> None:
    events = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "qty": ["1,234", "1,234.5"]})
    assert read_log(events).events.table["value"].to_list() == [1234.0, 1234.5]


def test_a_rating_off_the_scale_does_not_bend_the_others() -> None:
    stars = [4.0, 5.0, 3.0] * 100
    users = [f"u{k % 30}" for k in range(300)]
    frame = {"user_id": [*users, "u0"], "item_id": [f"i{k % 50}" for k in range(301)], "rating": [*stars, 9999.0]}
    log = read_log(pl.DataFrame(frame))
    assert _found(log)["rating far off the scale"] == (1, (301,), 0)
    assert np.abs(log.events.weight).max() <= 6


def test_ids_of_other_types_are_joined_and_counted() -> None:
    events = pl.DataFrame({"user_id": list("abcd"), "item_id": ["1.0", "02", "3", "x"]})
    items = pl.DataFrame({"item_id": [1, 2, 3], "title": ["one", "two", "three"]})
    log = read_log(events, items)
    assert log.items.item_ids.to_list() == ["1", "2", "3", "x"]
    assert log.events.table.sort("user_row")["item_row"].to_list() == [0, 1, 2, 3]
    found = _found(log)
    assert found["item ids joined without '.0' at the end"] == (1, (1,), 0)
    assert found["item ids joined without zeros in front"] == (1, (2,), 0)
    assert found["item without a catalogue row"] == (1, (4,), 0)
    assert log.items.table["in_catalogue"].to_list() == [True, True, True, False]


def test_zeros_in_front_are_kept_where_both_forms_are_real() -> None:
    events = pl.DataFrame({"user_id": ["007", "7"], "item_id": ["01", "1"]})
    items = pl.DataFrame({"item_id": ["01", "1"], "title": ["a", "b"]})
    log = read_log(events, items)
    assert log.events.user_ids.to_list() == ["007", "7"]
    assert sorted(log.events.item_row.tolist()) == [0, 1]


def test_float_ids_of_a_column_with_gaps() -> None:
    log = read_log(pl.DataFrame({"user_id": [17850.0, None, 12.0], "item_id": ["x", "y", "z"]}))
    assert log.events.user_ids.to_list() == ["12", "17850"]


def test_ids_that_differ_in_letter_case_are_reported_not_merged() -> None:
    log = read_log(pl.DataFrame({"user_id": list("abc"), "item_id": ["15A", "15a", "16"]}))
    assert _found(log) == {"item ids that differ only in letter case": (2, (1, 2), 0)}
    assert len(log.items) == 3


def test_no_common_item_id_stops_with_examples() -> None:
    with pytest.raises(DataError, match=r"none of its 1 item ids is in items table \(log: x; catalogue: i1\)"):
        read_log(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}), pl.DataFrame({"item_id": ["i1"], "title": ["t"]}))


def test_rows_of_users_do_not_depend_on_the_order_of_the_file() -> None:
    events = pl.DataFrame(
        {"user_id": ["b", "a", "10", "9"], "item_id": ["y", "x", "q", "p"], "ts": [T, T + 1, T + 2, T + 3]}
    )
    one, other = read_log(events), read_log(events.reverse())
    assert one.events.user_ids.to_list() == other.events.user_ids.to_list() == ["10", "9", "a", "b"]
    assert one.events.table.equals(other.events.table)
    assert one.items.item_ids.to_list() == ["p", "q", "x", "y"]


def test_a_wide_matrix(tmp_path: object) -> None:
    wide = pl.DataFrame({"who": ["a", "b"], "i1": ["5", "1"], "i2": ["0", "4"], "i3": [None, "x"]})
    log = read_log(wide, config=IoConfig(layout="wide"))
    got = log.events.table.sort("user_row", "item_row").select("user_row", "item_row", "value").rows()
    assert got == [(0, 0, 5.0), (1, 0, 1.0), (1, 1, 4.0)]
    assert _found(log) == {"column 'i3' is not a usable number": (1, (2,), 0)}
    with pytest.raises(DataError, match="wide log needs"):
        read_log(wide.select("who"), config=IoConfig(layout="wide"))


def test_sessions_get_rows_and_gaps_minus_one() -> None:
    events = pl.DataFrame(
        {"user_id": list("abc"), "item_id": list("xyz"), "session_id": ["s9", None, "s1"], "ts": [T] * 3}
    )
    assert read_log(events).events.table["session_row"].to_list() == [1, -1, 0]
