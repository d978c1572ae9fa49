"""What a change meets, and who wins."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dts_pipeline.core.conflicts import Kind, Meeting, kind_of, meet, source_wins
from dts_pipeline.core.links import Policy

V, W, X = b"v", b"w", b"x"


@pytest.mark.parametrize(
    ("before", "after", "found", "meeting"),
    [
        (None, V, None, Meeting.CLEAN),
        (None, V, V, Meeting.SAME),
        (None, V, W, Meeting.CONFLICT),
        (V, W, V, Meeting.CLEAN),
        (V, W, W, Meeting.SAME),
        (V, W, X, Meeting.CONFLICT),
        (V, W, None, Meeting.CONFLICT),
        (V, None, V, Meeting.CLEAN),
        (V, None, None, Meeting.SAME),
        (V, None, W, Meeting.CONFLICT),
        (None, None, None, Meeting.SAME),
        (None, None, V, Meeting.CONFLICT),
    ],
)
def test_meetings(
    before: bytes | None, after: bytes | None, found: bytes | None, meeting: Meeting
) -> None:
    assert meet(before, after, found) is meeting


def test_the_numbers_that_stand_in_sql() -> None:
    assert [m.value for m in (Meeting.CLEAN, Meeting.SAME, Meeting.CONFLICT)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("is_delete", "has_before", "found", "kind"),
    [
        (False, True, True, Kind.UPDATE_UPDATE),
        (False, False, True, Kind.INSERT_INSERT),
        (False, True, False, Kind.UPDATE_DELETE),
        (True, True, True, Kind.DELETE_UPDATE),
    ],
)
def test_kinds(is_delete: bool, has_before: bool, found: bool, kind: Kind) -> None:
    assert kind_of(is_delete, has_before, found) is kind


def wins(policy: Policy, source: str, is_delete: bool, found: bool, newer: int) -> bool:
    return bool(
        source_wins(
            policy,
            source,
            is_delete=np.array([is_delete]),
            found=np.array([found]),
            newer=np.array([newer], dtype=np.int64),
        )[0]
    )


def test_under_site_the_named_site_wins_whatever_happened() -> None:
    policy = Policy("site", "a")

    for is_delete, found, newer in product((True, False), (True, False), (-1, 0, 1)):
        assert wins(policy, "a", is_delete, found, newer)
        assert not wins(policy, "b", is_delete, found, newer)


@pytest.mark.parametrize(
    ("newer", "source", "expected"),
    [(1, "a", True), (1, "b", True), (-1, "a", False), (-1, "b", False),
     (0, "a", True), (0, "b", False)],
)  # fmt: skip
def test_under_newest_the_later_row_wins_and_ties_go_to_the_site(
    newer: int, source: str, expected: bool
) -> None:
    assert wins(Policy("newest", "a", "updated_at"), source, False, True, newer) is expected


@pytest.mark.parametrize("source", ["a", "b"])
@pytest.mark.parametrize("newer", [-1, 0, 1])
def test_rows_against_deletes(source: str, newer: int) -> None:
    update_wins = Policy("newest", "a", "updated_at", update_wins=True)
    delete_wins = Policy("newest", "a", "updated_at", update_wins=False)
    source_deleted = {"is_delete": True, "found": True, "newer": newer}
    target_deleted = {"is_delete": False, "found": False, "newer": newer}

    assert not wins(update_wins, source, **source_deleted)  # type: ignore[arg-type]
    assert wins(update_wins, source, **target_deleted)  # type: ignore[arg-type]
    assert wins(delete_wins, source, **source_deleted)  # type: ignore[arg-type]
    assert not wins(delete_wins, source, **target_deleted)  # type: ignore[arg-type]


POLICIES = [
    Policy("site", "a"),
    Policy("site", "b"),
    *(Policy("newest", site, "t", update) for site in "ab" for update in (True, False)),
]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("newer_at_a", [-1, 0, 1])
@pytest.mark.parametrize("gone", [None, "a", "b"])
def test_both_links_of_a_pair_come_to_the_same_winner(
    policy: Policy, newer_at_a: int, gone: str | None
) -> None:
    """Each link sees the other site's row as `found`; seen from b, `newer` is turned round."""
    a_wins_seen_from_a = wins(policy, "a", gone == "a", gone != "b", newer_at_a)
    b_wins_seen_from_b = wins(policy, "b", gone == "b", gone != "a", -newer_at_a)

    assert a_wins_seen_from_a is not b_wins_seen_from_b


def test_many_conflicts_are_decided_each_for_itself() -> None:
    found = source_wins(
        Policy("newest", "a", "t"),
        "b",
        is_delete=np.array([False, False, True, False]),
        found=np.array([True, True, True, False]),
        newer=np.array([1, 0, 1, 0], dtype=np.int64),
    )
    assert found.dtype == np.bool_
    assert found.tolist() == [True, False, False, True]
