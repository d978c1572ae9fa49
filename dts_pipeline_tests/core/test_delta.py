"""Counters: sums over all user updates, marks that overtake and marks that do not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

from dts_pipeline.core import delta
from dts_pipeline.core.conflicts import Meeting
from dts_pipeline.core.delta import Counted, Counters
from dts_pipeline_tests import builders

STOCK = Counters(("n",), ("at",))
Row = Mapping[str, Any] | None


def row(n: object, note: str = "-", at: int = 0) -> dict[str, Any]:
    return {"id": 1, "n": n, "note": note, "at": at}


def event(before: Row, after: Row, *, ours: bool = False, key: int = 1, of: str = "t") -> Any:
    op = "c" if before is None else "d" if after is None else "u"
    sent = builders.change_event(op, key, before=before, after=after, transaction=of)
    return sent, ours


def measured(events: Sequence[Any], counters: Counters = STOCK) -> pd.DataFrame:
    frame = builders.frame(builders.sent(e for e, _ in events), marked=[m for _, m in events])
    frame = delta.join_replaced(frame)
    before, after = (_columns(frame[side].tolist()) for side in ("before", "after"))
    return delta.measure(frame, before, after, counters)


def _columns(rows: Sequence[bytes | None]) -> dict[str, list[object]]:
    decoded = [json.loads(r) if r is not None else {} for r in rows]
    return {name: [r.get(name) for r in decoded] for name in ("id", "n", "note", "at")}


def reduced(events: Sequence[Any]) -> tuple[list[Any], list[Any], int]:
    """Changes as (before, after, sums), superseded as (before, after), how many are plain."""
    counted, plain = delta.split(measured(events))
    changes, superseded = delta.compact(counted)
    return (
        [
            (json.loads(b), json.loads(a), s)
            for b, a, s in zip(changes["before"], changes["after"], changes["sums"], strict=True)
        ],
        [
            (json.loads(b), json.loads(a))
            for b, a in zip(superseded["before"], superseded["after"], strict=True)
        ],
        len(plain),
    )


def test_updates_before_a_mark_are_added_too() -> None:
    changes, superseded, plain = reduced(
        [
            event(row(0), row(10)),
            event(row(10), row(11), ours=True),
            event(row(11), row(8)),
        ]
    )
    assert changes == [(row(0), row(8), (7,))]
    assert superseded == []
    assert plain == 0


def test_a_mark_behind_all_updates_takes_nothing_from_them() -> None:
    changes, superseded, _ = reduced([event(row(0), row(10)), event(row(10), row(11), ours=True)])
    assert changes == [(row(0), row(11), (10,))]
    assert superseded == []


def test_marked_updates_alone_are_nothing() -> None:
    assert reduced([event(row(0), row(1), ours=True)]) == ([], [], 1)


def test_a_mark_that_only_adds_does_not_overtake_other_columns() -> None:
    changes, superseded, _ = reduced(
        [event(row(0), row(0, "mine")), event(row(0, "mine"), row(1, "mine"), ours=True)]
    )
    assert changes == [(row(0), row(1, "mine"), (0,))]
    assert superseded == []


def test_a_mark_that_changes_other_columns_overtakes_them_but_not_the_sum() -> None:
    changes, superseded, _ = reduced(
        [event(row(0), row(5, "mine")), event(row(5, "mine"), row(5, "theirs"), ours=True)]
    )
    assert changes == [(row(5, "theirs"), row(5, "theirs"), (5,))]
    assert superseded == [(row(0), row(5, "mine"))]


def test_a_sum_of_nothing_is_carried_for_its_version() -> None:
    there_and_back = [event(row(0), row(5, at=1)), event(row(5, at=1), row(0, at=2))]
    assert reduced(there_and_back)[0] == [(row(0), row(0, at=2), (0,))]
    assert reduced([event(row(0), row(5)), event(row(5), row(0))])[0] == []


@pytest.mark.parametrize(
    "events",
    [
        [event(None, row(5)), event(row(5), row(6))],
        [event(row(5), row(6)), event(row(6), None)],
        [event(row(5), row(6)), event(row(6), None, ours=True)],
        [
            event(row(5), row(6)),
            event(row(6), None, ours=True),
            event(None, row(2), ours=True, of="later"),
        ],
        [event(row(None), row(6))],
        [event(row(6), row(None))],
    ],
    ids=["insert", "delete", "our_delete", "our_delete_then_insert", "from_null", "to_null"],
)
def test_keys_that_follow_the_policy_as_a_whole(events: Sequence[Any]) -> None:
    assert reduced(events) == ([], [], len(events))


def test_what_we_wrote_before_the_first_user_event_does_not_matter() -> None:
    changes, _, plain = reduced([event(None, row(5), ours=True), event(row(5), row(6))])
    assert changes == [(row(5), row(6), (1,))]
    assert plain == 0


def test_our_delete_and_insert_of_one_transaction_is_an_update() -> None:
    """So apply writes a table with a secondary unique key."""
    changes, _, plain = reduced(
        [
            event(row(0), row(10)),
            event(row(10), None, ours=True),
            event(None, row(11), ours=True),
            event(row(11), row(12)),
        ]
    )
    assert changes == [(row(0), row(12), (11,))]
    assert plain == 0


def test_keys_do_not_touch_each_other() -> None:
    events = [
        event(row(0), row(1)),
        event(None, row(7), key=2),
        event(row(0), row(30), key=3),
        event(row(1), row(5), ours=True),
        event(row(30), row(31), key=3),
    ]
    changes, _, plain = reduced(events)
    assert [sums for _, _, sums in changes] == [(1,), (31,)]
    assert plain == 1


def test_two_counters_each_have_their_sum() -> None:
    pair = Counters(("n", "at"))
    frame = measured([event(row(0, at=5), row(1, at=3)), event(row(1, at=3), row(4, at=9))], pair)
    changes, _ = delta.compact(delta.split(frame)[0])
    assert changes["sums"].tolist() == [(4, 4)]


def test_decimals_are_added_exactly() -> None:
    large = "123456789012345678901234567890.123"
    assert delta.digits_of(delta.units_of(large, 3), 3) == large
    assert delta.digits_of(delta.units_of("0.001", 3) - delta.units_of(large, 3), 3) == (
        "-123456789012345678901234567890.122"
    )
    assert delta.digits_of(-5, 3) == "-0.005"
    assert delta.units_of("-0.5", 3) == -500
    assert delta.units_of(2**64 - 1, 0) == 2**64 - 1


OLD, NEW = row(0, at=1), row(5, at=2)


@pytest.mark.parametrize(
    ("after", "found", "expected"),
    [
        (NEW, OLD, Counted(Meeting.CLEAN, False)),
        (NEW, row(3, at=2), Counted(Meeting.COUNTED, True)),
        (NEW, row(3, "theirs", at=2), Counted(Meeting.COUNTED, True)),
        (NEW, NEW, Counted(Meeting.COUNTED, True)),
        (row(5, "mine", 2), row(3, "-", 2), Counted(Meeting.CLEAN, True)),
        (row(5, "mine", 2), row(3, "mine", 2), Counted(Meeting.SAME, True)),
        (row(5, "mine", 2), row(3, "theirs", 2), Counted(Meeting.CONFLICT, True)),
        (row(5, at=0), row(3, at=2), Counted(Meeting.COUNTED, True, back=True)),
        (NEW, None, Counted(Meeting.CONFLICT, False)),
        (NEW, row(None), Counted(Meeting.CONFLICT, False)),
    ],
)
def test_how_a_counted_change_meets_the_target(
    after: dict[str, Any], found: dict[str, Any] | None, expected: Counted
) -> None:
    assert delta.meet(OLD, after, found, (5,), STOCK) == expected


def test_a_counter_without_room_is_a_conflict() -> None:
    assert delta.meet(OLD, NEW, row(1), (5,), STOCK, fits=False).meeting is Meeting.CONFLICT


def test_merging_adds_and_keeps_the_larger_version() -> None:
    there = row(3, "theirs", 9)
    assert delta.merge(row(5, "mine", 2), there, (5,), STOCK, takes=False) == row(8, "theirs", 9)
    assert delta.merge(row(5, "mine", 2), there, (5,), STOCK, takes=True) == row(8, "mine", 9)
