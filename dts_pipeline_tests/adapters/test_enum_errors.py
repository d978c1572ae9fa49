"""Which rows of a stage hold ENUM's error value, and what is inserted in its place."""

from __future__ import annotations

from dts_pipeline.adapters.enum_errors import standing_in
from dts_pipeline.core.schema import Column

TEXT = Column("t", "varchar", "varchar(9)")


def enum(kind: str) -> Column:
    return Column("e", "enum", kind)


def test_an_error_value_is_replaced_by_a_label_and_remembered() -> None:
    rows = [(7, "", "x", ""), (8, "", None, ""), (9, "", "", "y")]
    columns = {1: ("a0", TEXT), 2: ("a1", enum("enum('it''s','x')")), 3: ("a2", enum("enum('y')"))}

    staged, errors = standing_in(rows, columns)

    assert staged == [(7, "", "x", "y"), (8, "", None, "y"), (9, "", "it's", "y")]
    assert errors == {"a1": [9], "a2": [7, 8]}


def test_an_empty_label_is_itself() -> None:
    rows = [(1, ""), (2, "a")]

    assert standing_in(rows, {1: ("a0", enum("enum('a','')"))}) == (rows, {})
