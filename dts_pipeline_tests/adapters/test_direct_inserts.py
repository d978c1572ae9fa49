"""Which changes may be loaded straight into their table, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest

from dts_pipeline.adapters.direct_inserts import LEAST, DirectInserts, are_inserts
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.delta import Counters
from dts_pipeline.core.schema import Column, Dialect, Table
from dts_pipeline.core.statements import TableStatements

TABLE = Table("s", "t", (Column("id", "int", "int"), Column("n", "int", "int")), ("id",))


def changes(keys: Sequence[bytes], befores: Sequence[bytes | None] = ()) -> pd.DataFrame:
    """Rows that come in, but for those with a `before`; the `after` of each is its key."""
    before = list(befores) or [None] * len(keys)
    return pd.DataFrame({"key": keys, "before": before, "after": keys}, dtype=object)


def many() -> list[bytes]:
    return [b'{"id":%d}' % number for number in range(LEAST)]


def statements(table: Table = TABLE, counters: Counters | None = None) -> TableStatements:
    return TableStatements(table, Dialect.MARIADB, 0, "", counters=counters)


def test_many_new_rows_are_inserts() -> None:
    assert are_inserts(changes(many()), statements())


@pytest.mark.parametrize("column", ["before", "after"])
def test_one_other_change_keeps_all_by_the_stages(column: str) -> None:
    found = changes(many())
    found.loc[LEAST - 1, column] = b"{}" if column == "before" else None
    assert not are_inserts(found, statements())


def test_few_rows_are_not_worth_it() -> None:
    assert not are_inserts(changes(many()[1:]), statements())


def test_counters_and_unique_values_need_a_stage() -> None:
    unique = Table("s", "t", TABLE.columns, ("id",), unique_keys=(("n", ("n",)),))
    assert not are_inserts(changes(many()), statements(unique))
    assert not are_inserts(changes(many()), statements(counters=Counters(("n",))))


def in_order(keys: list[bytes]) -> list[bytes]:
    return list(DirectInserts.of(changes(keys), statements(), TABLE, ValueModes()).rows)


def test_numbers_grow() -> None:
    keys = [b'{"id":%d}' % number for number in (100, 9, 10, 8, 1)]
    assert in_order(keys) == [b'{"id":%d}' % number for number in (1, 8, 9, 10, 100)]


def test_long_keys_stay_as_they_come() -> None:
    keys = [b'{"id":"%s"}' % (letter * 300) for letter in (b"b", b"a")]
    assert in_order(keys) == keys
