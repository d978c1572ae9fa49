"""Ranges of keys as SQL: every key is in exactly one of two neighbours."""

from __future__ import annotations

import itertools

import pytest

from dts_pipeline.core.key_ranges import KeyRange, boundary, in_range
from dts_pipeline.core.schema import Column, Table

INTS = tuple(Column(name, "int", "int", nullable=False) for name in "abc")


def holds(table: Table, keys: KeyRange, row: tuple[int, ...]) -> bool:
    """Whether a row fulfils the condition, worked out by Python."""
    sql, parameters = in_range(table, keys)
    text = sql.replace(" OR ", " or ").replace(" AND ", " and ").replace(" = ", " == ")
    for name, value in zip("abc", row, strict=False):
        text = text.replace(f"t.`{name}`", str(value))
    return bool(eval((text % tuple(parameters)).replace("TRUE", "True")))


@pytest.mark.parametrize("width", [1, 2, 3])
def test_neighbours_share_no_row_and_leave_none_out(width: int) -> None:
    table = Table("shop", "item", INTS, tuple("abc"[:width]))
    middle = (1,) * width
    low, high = KeyRange().split(middle)
    for row in itertools.product(range(3), repeat=width):
        assert (holds(table, low, row), holds(table, high, row)) == (row <= middle, row > middle)


def test_a_range_has_both_ends() -> None:
    table = Table("shop", "item", INTS, ("a", "b"))
    keys = KeyRange((0, 2), (2, 1))
    for row in itertools.product(range(3), repeat=2):
        assert holds(table, keys, row) is ((0, 2) < row <= (2, 1))


def test_the_whole_table_has_no_ends() -> None:
    assert in_range(Table("shop", "item", INTS, ("a",)), KeyRange()) == ("TRUE", [])


def test_labels_are_cut_by_number_and_decimals_never_compared_as_doubles() -> None:
    label = Column("e", "enum", "enum('b','a')")
    price = Column("p", "decimal", "decimal(30,4)")

    assert boundary(label, "t") == "t.`e` + 0"
    assert in_range(Table("s", "t", (price,), ("p",)), KeyRange(("1.5",), None)) == (
        "t.`p` > CAST(%s AS DECIMAL(65, 4))",
        ["1.5"],
    )


def test_percent_signs_in_names_are_no_placeholders() -> None:
    table = Table("s", "t", (Column("a%s", "int", "int"),), ("a%s",))

    assert in_range(table, KeyRange((1,), None)) == ("t.`a%%s` > %s", [1])
