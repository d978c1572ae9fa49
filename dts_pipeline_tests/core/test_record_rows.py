"""Before, after and found side by side."""

from __future__ import annotations

from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.record_rows import ColumnValues, differing, sent_row, side_by_side, text_row
from dts_pipeline.core.schema import Column, Table

TABLE = Table(
    "shop",
    "stock",
    (
        Column("id", "int", "int(11)"),
        Column("price", "decimal", "decimal(10,2)"),
        Column("at", "datetime", "datetime(6)"),
        Column("raw", "blob", "blob"),
    ),
    ("id",),
)


def test_rows_are_compared_column_by_column_in_the_tables_order() -> None:
    before = {"price": "1.00", "id": "1", "at": None}
    lines = side_by_side(before, before | {"price": "2.00"}, before | {"at": "x"}, TABLE)

    assert lines[:3] == [
        ColumnValues("id", "1", "1", "1", False),
        ColumnValues("price", "1.00", "2.00", "1.00", True),
        ColumnValues("at", "NULL", "NULL", "x", True),
    ]
    assert differing(lines) == ["price", "at"]


def test_an_absent_row_differs_from_nothing() -> None:
    assert side_by_side(None, {"id": "1"}, {"id": "1"}) == [
        ColumnValues("id", "-", "1", "1", False)
    ]
    assert side_by_side(None, None, None) == []


def test_a_time_is_the_same_with_more_zeros() -> None:
    after, found = {"at": "2026-11-23 10:00:00.500000"}, {"at": "2026-11-23 10:00:00.5"}

    assert differing(side_by_side(None, after, found, TABLE)) == []
    assert differing(side_by_side(None, after, found)) == ["at"]


def test_a_sent_row_is_decoded_where_that_can_be_done() -> None:
    sent = '{"id":1,"price":"0jE=","at":1795436618000000,"raw":"qg=="}'

    assert sent_row(sent, TABLE, TABLE, ValueModes()) == {
        "id": "1",
        "price": "-117.27",
        "at": "2026-11-23 12:23:38.000000",
        "raw": "AA",
    }
    raw = sent_row(sent.replace('"0jE="', "{}"), TABLE, TABLE, ValueModes())
    assert raw is not None
    assert raw["price"] == "{}"
    assert sent_row(sent, None, None, None) == text_row(sent)
    assert sent_row(None, TABLE, TABLE, ValueModes()) is None
