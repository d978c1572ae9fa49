"""Events from before an ALTER: what is filled, what is left out, and what is left to be refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dts_pipeline.core.decode import ValueModes, decode_rows
from dts_pipeline.core.older_events import reshape
from dts_pipeline.core.schema import Column, Table
from dts_pipeline.errors import TerminalError

ID = Column("id", "int", "int", nullable=False)
FREE = Column("free", "int", "int", null_by_default=True)
PRESET = Column("preset", "int", "int")
SHOWN = Column("shown", "int", "int", generated=True)


def table(*columns: Column) -> Table:
    return Table("shop", "item", (ID, *columns), ("id",))


@pytest.mark.parametrize(
    ("source", "target", "row", "reshaped"),
    [
        ((FREE,), (FREE,), {"id": 1}, {"id": 1, "free": None}),
        ((FREE,), (FREE,), {"id": 1, "free": 2}, {"id": 1, "free": 2}),
        ((PRESET,), (PRESET,), {"id": 1}, {"id": 1}),
        ((PRESET,), (replace(PRESET, null_by_default=True),), {"id": 1}, {"id": 1}),
        ((replace(PRESET, null_by_default=True),), (PRESET,), {"id": 1}, {"id": 1}),
        ((), (), {"id": 1, "gone": 2}, {"id": 1}),
        ((FREE,), (FREE,), {"id": 1, "old": 2}, {"id": 1, "old": 2}),
        ((FREE, SHOWN), (FREE, SHOWN), {"id": 1}, {"id": 1, "free": None}),
        ((SHOWN,), (SHOWN,), {"id": 1, "shown": 2}, {"id": 1, "shown": 2}),
        ((FREE,), (), {"id": 1, "free": 2}, {"id": 1, "free": 2}),
    ],
    ids=[
        "added",
        "as it is now",
        "added with a default",
        "with a default at the source",
        "with a default at the target",
        "dropped",
        "perhaps renamed",
        "beside a generated one",
        "a generated one",
        "at the source only",
    ],
)
def test_a_row_of_an_older_shape(
    source: tuple[Column, ...],
    target: tuple[Column, ...],
    row: dict[str, Any],
    reshaped: dict[str, Any],
) -> None:
    reshape([row], table(*source), table(*target))
    assert row == reshaped


def test_rows_of_both_shapes_are_decoded_together_once_they_are_known_to_be_older() -> None:
    now = table(FREE)
    rows = [b'{"id": 1}', None, b'{"id": 2, "free": 3}']
    decoded = decode_rows(rows, now, ValueModes(), source=replace(now, reads_older=True))
    assert decoded.columns == {"id": [1, None, 2], "free": [None, None, 3]}


def test_otherwise_they_are_refused() -> None:
    now = table(FREE)
    for row in (b'{"id": 1}', b'{"id": 1, "free": 2, "gone": 3}'):
        with pytest.raises(TerminalError) as refused:
            decode_rows([row], now, ValueModes(), source=now)
        assert refused.value.code == "column_missing"


def test_a_renamed_column_is_refused_even_then() -> None:
    now = table(FREE)
    with pytest.raises(TerminalError) as refused:
        decode_rows(
            [b'{"id": 1, "old": 2}'], now, ValueModes(), source=replace(now, reads_older=True)
        )
    assert refused.value.code == "column_missing"
