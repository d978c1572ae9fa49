"""Which users' writes undo the marked one before them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dts_pipeline.core.links import Link, MarkKind, Policy
from dts_pipeline.core.pingpong import put_back
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import ChangeEvent, delete, insert, update

OURS, USERS = True, False


def keys(
    *events: tuple[bool, ChangeEvent], ignored: Collection[str] = ()
) -> list[tuple[str, bytes]]:
    frame = builders.frame([event for _, event in events], marked=[ours for ours, _ in events])
    found = put_back(frame, lambda _: ignored)
    return [(row.table, row.key) for row in found.itertuples()]


KEY = [("shop.orders", b'{"id":1}')]


def test_a_row_that_is_set_back_to_what_it_was() -> None:
    assert keys((OURS, update(1, "B", "a")), (USERS, update(1, "a", "B"))) == KEY


def test_a_row_that_was_deleted_and_is_made_again() -> None:
    assert keys((OURS, delete(1, "B")), (USERS, insert(1, "B"))) == KEY


def test_only_the_last_event_counts_and_only_the_last_marked_one() -> None:
    there_and_on = [(USERS, update(1, "a", "B")), (USERS, update(1, "B", "c"))]
    assert keys((OURS, update(1, "B", "a")), *there_and_on) == []
    twice = [(OURS, update(1, "B", "a")), (USERS, update(1, "a", "B")), (OURS, update(1, "B", "a"))]
    assert keys(*twice) == []
    assert keys(*twice, (USERS, update(1, "a", "x")), (USERS, update(1, "x", "B"))) == KEY


def test_another_value_is_a_users_change() -> None:
    assert keys((OURS, update(1, "B", "a")), (USERS, update(1, "a", "c"))) == []


def test_a_row_of_ours_that_a_user_deletes_is_no_return() -> None:
    assert keys((OURS, insert(1, "a")), (USERS, delete(1, "a"))) == []


def test_without_marked_events_or_without_users_nothing_returns() -> None:
    assert keys((OURS, update(1, "B", "a"))) == []
    assert keys((USERS, update(1, "B", "a")), (USERS, update(1, "a", "B"))) == []
    assert keys() == []


def test_other_keys_and_other_tables_do_not_meet() -> None:
    mixed = [
        (OURS, update(1, "B", "a")),
        (OURS, update(2, "B", "a", table="shop.items")),
        (USERS, update(2, "a", "B")),
        (USERS, update(1, "a", "B", table="shop.items")),
    ]
    assert keys(*mixed) == []


def row(event: ChangeEvent, before: dict[str, Any], after: dict[str, Any]) -> ChangeEvent:
    return builders.replace(event, before=before, after=after)


def test_what_ours_did_not_change_may_differ_and_a_version_always_does() -> None:
    ours = row(update(1, "", ""), {"v": "B", "at": 1, "n": 1}, {"v": "a", "at": 2, "n": 1})
    theirs = row(update(1, "", ""), {"v": "a", "at": 2, "n": 1}, {"v": "B", "at": 3, "n": 7})

    assert keys((OURS, ours), (USERS, theirs), ignored={"at"}) == KEY
    assert keys((OURS, ours), (USERS, theirs)) == []


def test_a_write_that_changed_nothing_else_cannot_be_undone() -> None:
    ours = row(update(1, "", ""), {"v": "a", "at": 1}, {"v": "a", "at": 2})
    theirs = row(update(1, "", ""), {"v": "a", "at": 2}, {"v": "a", "at": 3})

    assert keys((OURS, ours), (USERS, theirs), ignored={"at"}) == []


def test_the_columns_that_say_nothing() -> None:
    link = Link(
        "a_to_b",
        "a",
        "b",
        ("shop.*",),
        "a",
        MarkKind.ORIGIN,
        policy=Policy("newest", "a", "at"),
        version_columns={"shop.orders": "version"},
        counters={"shop.stock": ("on_hand",)},
    )

    assert link.restless_columns("shop.orders") == {"at", "version"}
    assert link.restless_columns("shop.stock") == {"at", "on_hand"}
