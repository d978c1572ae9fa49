"""One test a rule: what is left of a key's events."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest

from dts_pipeline.core.compaction import CHANGE_COLUMNS, compact, drop_marked
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import ChangeEvent, delete, insert, key_change, snapshot, update

Change = tuple[bytes, object, object]


def reduced(
    events: Sequence[ChangeEvent], marked: Sequence[int] = ()
) -> tuple[list[Change], list[Change]]:
    """(changes, superseded) as (key, before, after); `marked` holds places of marked events."""
    flags = [place in marked for place in range(len(events))]
    counting, superseded = drop_marked(builders.frame(builders.sent(events), marked=flags))
    return changes(compact(counting)), changes(superseded)


def changes(frame: pd.DataFrame) -> list[Change]:
    assert list(frame.columns) == CHANGE_COLUMNS
    return [(c.key, c.before, c.after) for c in frame.itertuples(index=False)]


def change(key: int, before: object, after: object) -> Change:
    return (
        b'{"id":%d}' % key,
        None if before is None else builders.encoded(builders.row(key, before)),
        None if after is None else builders.encoded(builders.row(key, after)),
    )


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([insert(1, "a")], [(1, None, "a")]),
        ([update(1, "a", "b")], [(1, "a", "b")]),
        ([delete(1, "a")], [(1, "a", None)]),
        ([insert(1, "a"), update(1, "a", "b")], [(1, None, "b")]),
        ([update(1, "a", "b"), update(1, "b", "c")], [(1, "a", "c")]),
        ([update(1, "a", "b"), delete(1, "b")], [(1, "a", None)]),
        ([delete(1, "a"), insert(1, "b")], [(1, "a", "b")]),
    ],
)
def test_before_of_the_first_and_after_of_the_last(
    events: list[ChangeEvent], expected: list[tuple[int, object, object]]
) -> None:
    assert reduced(events) == ([change(*e) for e in expected], [])


@pytest.mark.parametrize(
    "events",
    [
        [insert(1, "a"), delete(1, "a")],
        [update(1, "a", "b"), update(1, "b", "a")],
        [delete(1, "a"), insert(1, "a")],
        [insert(1, "a"), update(1, "a", "b"), delete(1, "b")],
    ],
)
def test_a_key_whose_first_before_and_last_after_are_equal_has_not_changed(
    events: list[ChangeEvent],
) -> None:
    assert reduced(events) == ([], [])


def test_a_snapshot_row_is_an_upsert() -> None:
    frame = builders.frame([snapshot(1, "a")], marked=[False])
    found = compact(drop_marked(frame)[0])

    assert changes(found) == [change(1, None, "a")]
    assert found["snapshot"].tolist() == [True]


def test_a_delete_after_a_snapshot_row_stays_a_delete() -> None:
    found, _ = reduced([snapshot(1, "a"), delete(1, "a")])

    assert [(key, after) for key, _, after in found] == [(b'{"id":1}', None)]


def test_a_delete_after_a_snapshot_row_knows_the_row_that_is_to_go() -> None:
    assert reduced([snapshot(1, "a"), update(1, "a", "b"), delete(1, "b")])[0] == [
        change(1, "b", None)
    ]


def test_a_snapshot_row_after_an_insert_does_not_make_a_delete() -> None:
    """The insert says that the key was absent before; nothing is left to delete."""
    assert reduced([insert(1, "a"), snapshot(1, "a"), delete(1, "a")]) == ([], [])


def test_only_a_change_that_begins_with_a_snapshot_row_is_one_of_a_snapshot() -> None:
    events = [insert(1, "a"), snapshot(1, "b"), snapshot(2, "c"), update(2, "c", "d")]
    found = compact(drop_marked(builders.frame(events, marked=[False] * 4))[0])

    assert found["snapshot"].tolist() == [False, True]


def test_a_key_change_is_a_delete_of_the_old_key_and_an_insert_of_the_new() -> None:
    assert reduced(key_change(1, 2, "a")) == ([change(1, "a", None), change(2, None, "a")], [])


def test_a_key_that_moves_on_leaves_nothing_in_between() -> None:
    events = [*key_change(1, 2, "a"), *key_change(2, 3, "a")]

    assert reduced(events) == ([change(1, "a", None), change(3, None, "a")], [])


def test_a_key_that_moves_and_comes_back_has_not_changed() -> None:
    assert reduced([*key_change(1, 2, "a"), *key_change(2, 1, "a")]) == ([], [])


def test_marked_events_are_nobodys_change() -> None:
    assert reduced([insert(1, "a"), update(2, "a", "b")], marked=[0, 1]) == ([], [])


def test_a_value_that_our_batch_overwrote_before_it_was_read_is_not_brought_back() -> None:
    """A user's `b` was overwritten by the other side's `c`: nothing to write, but a record (R2)."""
    events = [update(1, "a", "b"), update(1, "b", "c")]

    assert reduced(events, marked=[1]) == ([], [change(1, "a", "b")])


def test_only_what_follows_the_last_mark_counts() -> None:
    events = [
        update(1, "a", "b"),
        update(1, "b", "c"),  # marked
        update(1, "c", "d"),
        update(1, "d", "e"),  # marked
        update(1, "e", "f"),
        update(1, "f", "g"),
    ]
    found, superseded = reduced(events, marked=[1, 3])

    assert found == [change(1, "e", "g")]
    assert superseded == [change(1, "a", "d")]


def test_what_a_mark_overtook_is_recorded_even_if_nothing_is_left_to_write() -> None:
    """R2: also where the overtaken events cancel each other out."""
    events = [insert(1, "a"), delete(1, "a"), insert(1, "b")]

    assert reduced(events, marked=[2]) == ([], [change(1, None, None)])


def test_a_mark_on_one_key_leaves_the_others_alone() -> None:
    events = [update(1, "a", "b"), update(2, "a", "b"), update(1, "b", "c")]

    assert reduced(events, marked=[2]) == ([change(2, "a", "b")], [change(1, "a", "b")])


def test_a_mark_on_the_same_key_of_another_table_is_another_key() -> None:
    events = [
        update(1, "a", "b", table="shop.orders"),
        update(1, "a", "c", table="shop.items"),
    ]
    assert reduced(events, marked=[1]) == ([change(1, "a", "b")], [])


def test_a_marked_delete_and_insert_overtake_like_a_marked_update() -> None:
    """A table with a secondary unique key is written by delete and insert."""
    events = [update(1, "a", "b"), delete(1, "b"), insert(1, "c"), update(1, "c", "d")]

    assert reduced(events, marked=[1, 2]) == ([change(1, "c", "d")], [change(1, "a", "b")])


def test_a_user_between_a_marked_delete_and_a_marked_insert_is_overtaken() -> None:
    events = [delete(1, "a"), insert(1, "b"), delete(1, "b"), insert(1, "c")]

    assert reduced(events, marked=[0, 3]) == ([], [change(1, None, None)])


def test_order_within_a_key_is_the_ordinal_and_not_the_place_in_a_hash() -> None:
    """Keys interleaved in every way; the same key in two partitions' worth of events."""
    events = [
        update(1, "a", "b"),
        insert(2, "x"),
        update(1, "b", "c"),
        delete(2, "x"),
        insert(2, "y"),
        update(1, "c", "d"),
    ]
    assert reduced(events)[0] == [change(2, None, "y"), change(1, "a", "d")]


def test_changes_stand_in_the_order_of_each_keys_last_event() -> None:
    events = [insert(3, "a"), insert(1, "a"), insert(2, "a"), update(3, "a", "b")]

    assert [key for key, _, _ in reduced(events)[0]] == [b'{"id":%d}' % k for k in (1, 2, 3)]


def test_the_place_named_is_that_of_the_last_event() -> None:
    events = builders.sent([insert(1, "a"), update(1, "a", "b"), insert(2, "a")], offset=40)
    found = compact(drop_marked(builders.frame(events, marked=[False] * 3))[0])

    assert found["offset"].tolist() == [41, 42]


def test_rows_are_compared_as_they_came() -> None:
    """Numbers above 2^53 differ in their last digit."""
    events = [
        builders.change_event(
            "u", 1, before={"id": 1, "n": 9007199254740992}, after={"id": 1, "n": 9007199254740993}
        )
    ]
    assert len(reduced(events)[0]) == 1


def test_no_events() -> None:
    assert reduced([]) == ([], [])
    assert reduced([insert(1, "a")], marked=[0]) == ([], [])


def test_what_counts_keeps_the_columns_of_the_events() -> None:
    frame = builders.frame([insert(1, "a"), insert(2, "b")], marked=[True, False])
    counting, _ = drop_marked(frame)

    pd.testing.assert_frame_equal(counting, frame.iloc[[1]])
