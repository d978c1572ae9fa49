"""The ledger's DDL, and what an earlier version's ledger lacks."""

from __future__ import annotations

from sqlalchemy.dialects import mysql

from dts_pipeline.adapters.ledger_tables import added_columns, create_statements, metadata

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
