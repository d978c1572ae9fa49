"""Key by key: what a verdict comes to, and which columns a change touched."""

from __future__ import annotations

import pandas as pd
import pytest

from dts_pipeline.core.conflicts import Meeting
from dts_pipeline.core.previews import changed_columns, previewed

CLEAN, SAME, CONFLICT = Meeting.CLEAN.value, Meeting.SAME.value, Meeting.CONFLICT.value


@pytest.mark.parametrize(
    ("before", "after", "columns"),
    [
        (b'{"id":1,"v":"a","n":1}', b'{"id":1,"v":"b","n":1}', ("v",)),
        (b'{"id":1,"v":null}', b'{"id":1,"v":"null"}', ("v",)),
        (b'{"id":1,"v":"a"}', b'{"id":1,"v":"a","new":2}', ("new",)),
        (b'{"id":1}', b'{"id":1}', ()),
        (None, b'{"id":1}', ()),
        (b'{"id":1}', None, ()),
    ],
)
def test_changed_columns(
    before: bytes | None, after: bytes | None, columns: tuple[str, ...]
) -> None:
    assert changed_columns(before, after) == columns


@pytest.mark.parametrize(
    ("meeting", "found", "won", "is_delete", "action", "disputed"),
    [
        (CLEAN, 0, 0, 0, "insert", False),
        (CLEAN, 1, 0, 0, "update", False),
        (CLEAN, 1, 0, 1, "delete", False),
        (CLEAN, 0, 0, 1, "none", False),
        (SAME, 1, 0, 0, "same", False),
        (SAME, 0, 0, 1, "same", False),
        (CONFLICT, 1, 1, 0, "update", True),
        (CONFLICT, 0, 1, 0, "insert", True),
        (CONFLICT, 1, 1, 1, "delete", True),
        (CONFLICT, 1, 0, 0, "lost", True),
    ],
)
def test_actions(
    meeting: int, found: int, won: int, is_delete: int, action: str, disputed: bool
) -> None:
    changes = pd.DataFrame({"key": [b"{}", b'{"id":1}'], "before": [None] * 2, "after": [None] * 2})
    columns = ["ord", "meeting", "found", "won", "is_delete"]
    verdicts = pd.DataFrame([(1, meeting, found, won, is_delete)], columns=columns)

    (key,) = previewed("shop.orders", changes, verdicts, stops=False)

    assert (key.key, key.action, key.disputed) == ('{"id":1}', action, disputed)


def test_under_fail_a_dispute_stops_the_link() -> None:
    changes = pd.DataFrame({"key": [b"{}"] * 2, "before": [None] * 2, "after": [None] * 2})
    columns = ["ord", "meeting", "found", "won", "is_delete"]
    verdicts = pd.DataFrame([(0, CONFLICT, 1, 0, 0), (1, CLEAN, 1, 0, 0)], columns=columns)

    keys = previewed("shop.orders", changes, verdicts, stops=True)

    assert [key.action for key in keys] == ["stop", "update"]
