"""Events from before an ALTER: what is filled, what is left out, and what is left to be refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dts_pipeline.core.decode import ValueModes, decode_rows
from dts_pipeline.core.older_events import reshape
from dts_pipeline.core.schema import Column, Default, Table
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


PRESETS = (
    Column("n", "int", "int", nullable=False, default=Default.LITERAL, preset="7"),
    Column("amount", "decimal", "decimal(8,2)", default=Default.LITERAL, preset="1.50"),
    Column("name", "varchar", "varchar(9)", default=Default.LITERAL, preset="it's"),
    Column("day", "date", "date", default=Default.LITERAL, preset="2026-01-31"),
    Column("must", "bigint", "bigint", nullable=False, needs_value=True),
    Column("word", "varchar", "varchar(9)", nullable=False, needs_value=True),
)


def test_columns_with_a_constant_default_get_it_under_additive() -> None:
    now = table(*PRESETS)
    rows = [b'{"id": 1}', None]
    source = replace(now, reads_older=True, fills_presets=True)
    decoded = decode_rows(rows, now, ValueModes(), source=source)
    assert decoded.columns == {
        "id": [1, None],
        "n": [7, None],
        "amount": ["1.5", None],
        "name": ["it's", None],
        "day": ["2026-01-31", None],
        "must": [0, None],
        "word": ["", None],
    }


def test_rows_of_both_shapes_keep_their_order() -> None:
    now = table(PRESETS[0])
    rows = [b'{"id": 1, "n": 1}', b'{"id": 2}', b'{"id": 3, "n": 3}']
    source = replace(now, reads_older=True, fills_presets=True)
    assert decode_rows(rows, now, ValueModes(), source=source).columns["n"] == [1, 7, 3]


@pytest.mark.parametrize(
    "other",
    [
        replace(PRESETS[0], preset="8"),
        replace(PRESETS[0], default=Default.COMPUTED, preset=""),
        replace(PRESETS[0], nullable=True, default=Default.NONE, preset=""),
    ],
    ids=["another constant", "a computed one", "none"],
)
def test_a_default_that_is_not_the_same_at_both_sites_is_refused(other: Column) -> None:
    source = replace(table(other), reads_older=True, fills_presets=True)
    with pytest.raises(TerminalError) as refused:
        decode_rows([b'{"id": 1}'], table(PRESETS[0]), ValueModes(), source=source)
    assert refused.value.code == "column_missing"
