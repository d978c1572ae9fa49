"""The ledger's DDL, and what an earlier version's ledger lacks."""

from __future__ import annotations

from sqlalchemy.dialects import mysql

from dts_pipeline.adapters.ledger_tables import (
    added_columns,
    changed_constraints,
    create_statements,
    metadata,
)

WHOLE = {table.name: {column.name for column in table.columns} for table in metadata.sorted_tables}


def test_a_whole_ledger_and_a_missing_table_lack_no_column() -> None:
    assert added_columns(mysql.dialect(), WHOLE) == []
    assert added_columns(mysql.dialect(), {}) == []
    assert len(create_statements(mysql.dialect())) == len(WHOLE) + 1


def test_a_column_that_came_later_is_added() -> None:
    earlier = {**WHOLE, "load": WHOLE["load"] - {"source"}}
    assert added_columns(mysql.dialect(), earlier) == [
        "ALTER TABLE `dts`.`load` ADD COLUMN source VARCHAR(64)"
    ]


def test_a_constraint_of_an_earlier_version_gets_its_columns() -> None:
    place = ("conflict", "one_open_row_a_key")
    now = ["link", "table_name", "key_hash", "open_slot"]
    assert changed_constraints({}) == []
    assert changed_constraints({place: now}) == []
    assert changed_constraints({place: now[1:]}) == [
        "ALTER TABLE `dts`.`conflict` DROP INDEX `one_open_row_a_key`, ADD UNIQUE INDEX "
        "`one_open_row_a_key` (`link`, `table_name`, `key_hash`, `open_slot`)"
    ]
