"""A filtered link's target ends with the source's rows inside, for any history and any batches."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dts_pipeline.core.compaction import compact, drop_marked
from dts_pipeline.core.condition_parser import parse_condition
from dts_pipeline.core.conflicts import Meeting, meet
from dts_pipeline.core.decode import ValueDecodeError
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.row_filter import RowFilter, without_outside
from dts_pipeline.core.schema import Column, Table
from dts_pipeline.errors import TerminalError
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import ChangeEvent, encoded
from dts_pipeline_tests.conditions import Drawn, drawn_conditions, numbers

MODES = ValueModes(decimal="string")
TABLE = Table(
    "shop",
    "orders",
    (
        Column("id", "int", "int", nullable=False),
        Column("region", "varchar", "varchar(9)", charset="utf8mb4", collation="utf8mb4_bin"),
        Column("n", "int", "int"),
        Column("d", "decimal", "decimal(9,2)"),
        Column("kind", "enum", "enum('x','y')", charset="utf8mb4", collation="utf8mb4_bin"),
    ),
    ("id",),
)
Row = dict[str, Any]
LITERALS = {
    "id": numbers("1", "2"),
    "region": ("eu", "us"),
    "n": numbers("0", "1.5", "2"),
    "d": numbers("0", "1.5", "2"),
    "kind": ("x", ""),
}
ROWS = st.fixed_dictionaries(
    {
        "region": st.sampled_from([None, "eu", "us", "EU"]),
        "n": st.sampled_from([None, 0, 1, 2]),
        "d": st.sampled_from([None, "0.00", "1.50", "2.00"]),
        "kind": st.sampled_from([None, "x", "y", ""]),
    }
)
WRITES = st.lists(st.tuples(st.integers(1, 3), st.one_of(st.none(), ROWS)), max_size=14)


def rule(text: str, table: Table = TABLE) -> RowFilter:
    return RowFilter(parse_condition(text), table, MODES)


def history(writes: list[tuple[int, Row | None]]) -> tuple[list[ChangeEvent], dict[int, Row]]:
    """The events of writes (None deletes) of the rows by key, and the rows at the end."""
    rows: dict[int, Row] = {}
    events = []
    for key, values in writes:
        before = rows.get(key)
        after = None if values is None else {"id": key, **values}
        if before is None and after is None:
            continue
        op = "c" if before is None else "d" if after is None else "u"
        events.append(ChangeEvent(op, key, before, after))
        rows.pop(key, None)
        if after is not None:
            rows[key] = after
    return events, rows


def filtered(events: pd.DataFrame, row_filter: RowFilter) -> pd.DataFrame:
    inside = (row_filter.inside(events[side].tolist()) for side in ("before", "after"))
    return without_outside(events, *inside)


@settings(max_examples=200)
@given(drawn_conditions(LITERALS), WRITES, st.integers(1, 5))
def test_any_history_in_any_batches(
    drawn: Drawn, writes: list[tuple[int, Row | None]], size: int
) -> None:
    events, rows = history(writes)
    row_filter = rule(drawn.text)
    target: dict[bytes, bytes] = {}
    placed = builders.sent(events)
    for start in range(0, len(placed), size):
        part = placed[start : start + size]
        frame = builders.frame(part, marked=[False] * len(part))
        changes = compact(drop_marked(filtered(frame, row_filter))[0])
        for change in changes.itertuples(index=False):
            assert meet(change.before, change.after, target.get(change.key)) is Meeting.CLEAN
            target.pop(change.key, None)
            if change.after is not None:
                target[change.key] = change.after
    wanted = [row for row in rows.values() if drawn.truth(exact(row)) is True]
    assert target == {encoded({"id": row["id"]}): encoded(row) for row in wanted}, drawn.text


def exact(row: Row) -> Row:
    return {**row, "d": None if row["d"] is None else Decimal(row["d"])}


EU, US = ({"id": 1, "region": region} for region in ("eu", "us"))


@pytest.mark.parametrize(
    ("op", "before", "after", "expected"),
    [
        ("u", EU, EU, ("u", EU, EU)),
        ("u", US, EU, ("c", None, EU)),
        ("u", EU, US, ("d", EU, None)),
        ("u", US, US, None),
        ("c", None, EU, ("c", None, EU)),
        ("c", None, US, None),
        ("d", EU, None, ("d", EU, None)),
        ("d", US, None, None),
        ("r", None, EU, ("r", None, EU)),
        ("r", None, US, None),
    ],
)
def test_what_an_event_says_to_the_target(
    op: str, before: Row | None, after: Row | None, expected: tuple[str, Any, Any] | None
) -> None:
    events = builders.frame([ChangeEvent(op, 1, before, after)], marked=[False])
    found = filtered(events, rule("region = 'eu'"))
    rows = [tuple(row) for row in found[["op", "before", "after"]].itertuples(index=False)]
    wanted = [] if expected is None else [(expected[0], *map(row_bytes, expected[1:]))]
    assert rows == wanted


def row_bytes(row: Row | None) -> bytes | None:
    return None if row is None else encoded(row)


def test_marked_events_stay_to_overtake_what_is_before_them() -> None:
    events = builders.frame([ChangeEvent("u", 1, US, US)], marked=[True])
    found = filtered(events, rule("region = 'eu'"))
    assert found[["before", "after"]].to_numpy().tolist() == [[None, None]]


def test_only_the_columns_of_the_condition_are_read() -> None:
    """Others may be undecodable, or not the table's: those of events from before an ALTER are."""
    rows = [b'{"id":1,"region":"eu","n":"no number"}', b'{"region":"us","gone":1}', None]
    assert rule("region = 'eu'").inside(rows).tolist() == [True, False, False]


def test_rows_that_cannot_be_told() -> None:
    rows = [b'{"n":1}', b'{"n":"x"}', b"[]"]
    with pytest.raises(ValueDecodeError) as error:
        rule("n = 1").inside(rows[:2])
    assert (error.value.row, error.value.code) == (1, "undecodable_value")
    assert sorted(rule("n = 1").undecodable(rows)) == [1, 2]
    with pytest.raises(TerminalError) as missing:
        rule("n = 1").inside([b'{"id":1}'])
    assert missing.value.code == "column_missing"
