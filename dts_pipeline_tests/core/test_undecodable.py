"""Every row that cannot be decoded is found, wherever they stand."""

from __future__ import annotations

import pytest

from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.schema import Column, Table
from dts_pipeline.core.undecodable import find_undecodable
from dts_pipeline.errors import TerminalError

TABLE = Table("shop", "t", (Column("id", "int", "int(11)"), Column("n", "int", "int(11)")), ("id",))


def row(bad: bool) -> bytes:
    return b'{"id":1,"n":"x"}' if bad else b'{"id":1,"n":2}'


@pytest.mark.parametrize("bad", [set(), {0}, {6}, {2, 3}, {0, 1, 2, 3, 4, 5, 6}])
def test_all_of_them(bad: set[int]) -> None:
    rows = [row(i in bad) for i in range(7)]

    found = find_undecodable(rows, TABLE, ValueModes(), TABLE)

    assert set(found) == bad
    assert all(error.column == "n" for error in found.values())


def test_absent_rows_can_be_decoded() -> None:
    assert find_undecodable([None, row(True), None], TABLE, ValueModes(), TABLE).keys() == {1}


def test_what_is_wrong_with_the_table_is_raised() -> None:
    with pytest.raises(TerminalError, match="column_missing"):
        find_undecodable([b'{"id":1}'], TABLE, ValueModes(), TABLE)
