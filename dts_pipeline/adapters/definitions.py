"""Reads what `ddl: additive` compares beyond the tables themselves: indexes, collations, SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import text

from dts_pipeline.adapters.database import Database
from dts_pipeline.core.column_sql import table_name
from dts_pipeline.core.definitions import Definition, Index
from dts_pipeline.core.schema import Table

_INDEXES = """
SELECT table_schema AS sch, table_name AS tbl, index_name AS name, non_unique AS shared,
       column_name AS col, sub_part AS length, index_type AS kind, collation AS direction
FROM information_schema.statistics
WHERE index_name <> 'PRIMARY' AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'dts')
ORDER BY table_schema, table_name, index_name, seq_in_index
"""


def read_definitions(database: Database, tables: Mapping[str, Table]) -> dict[str, Definition]:
    """The tables with their secondary indexes."""
    found: dict[str, dict[str, Index]] = defaultdict(dict)
    for row in database.query(_INDEXES):
        mine = found[f"{row.sch}.{row.tbl}"]
        before = mine.get(row.name)
        plain = row.col is not None and row.kind == "BTREE" and row.direction == "A"
        columns = (*(before.columns if before else ()), (row.col or "", int(row.length or 0)))
        plain = plain and (before is None or before.plain)
        mine[row.name] = Index(row.name, columns, not row.shared, plain)
    return {
        name: Definition(table, tuple(found.get(table.own_name, {}).values()))
        for name, table in tables.items()
    }


def read_collations(database: Database) -> frozenset[str]:
    """The collations that the server knows, as columns name them.

    MariaDB lists some of them without their character set, and with it beside that.
    """
    rows = database.query("SELECT * FROM information_schema.collation_character_set_applicability")
    found: set[str] = set()
    for row in rows:
        values = {name.lower(): value for name, value in row._mapping.items()}
        found |= {str(v) for name, v in values.items() if name.endswith("collation_name")}
    return frozenset(found)


def show_create(database: Database, table: Table) -> str:
    """SHOW CREATE TABLE."""
    with database.connect(where=table.place) as connection:
        row = connection.execute(text("SHOW CREATE TABLE " + escaped(table_name(table)))).one()
    return str(row[1])


def escaped(sql: str) -> str:
    """For SQLAlchemy, to which a colon is a parameter."""
    return sql.replace(":", "\\:")
