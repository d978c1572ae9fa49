"""Reads tables from information_schema; identifiers in statements come from here only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, text

from dts_pipeline.adapters.database import Database
from dts_pipeline.core.schema import Column, Dialect, Table

_TABLES = """
SELECT table_schema AS sch, table_name AS tbl, engine AS eng FROM information_schema.tables
WHERE table_type = 'BASE TABLE'
AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema', 'dts')
"""
_COLUMNS = """
SELECT table_schema AS sch, table_name AS tbl, column_name AS name, data_type AS data_type,
       column_type AS column_type, is_nullable AS nullable, character_set_name AS charset,
       collation_name AS collation, extra AS extra
FROM information_schema.columns WHERE table_schema IN :schemas
ORDER BY table_schema, table_name, ordinal_position
"""
_INDEXES = """
SELECT table_schema AS sch, table_name AS tbl, index_name AS idx, column_name AS col
FROM information_schema.statistics WHERE table_schema IN :schemas AND non_unique = 0
ORDER BY table_schema, table_name, index_name, seq_in_index
"""
_CASCADES = """
SELECT DISTINCT r.unique_constraint_schema AS sch, r.referenced_table_name AS tbl,
       CONCAT(r.constraint_schema, '.', r.table_name, '.', r.constraint_name) AS name
FROM information_schema.referential_constraints r
WHERE r.unique_constraint_schema IN :schemas
AND (r.delete_rule NOT IN ('RESTRICT', 'NO ACTION')
     OR r.update_rule NOT IN ('RESTRICT', 'NO ACTION'))
"""
_JSON_CHECKS = """
SELECT constraint_schema AS sch, table_name AS tbl, check_clause AS clause
FROM information_schema.check_constraints WHERE constraint_schema IN :schemas
"""

_Key = tuple[str, str]


def read_tables(database: Database, matches: Callable[[str], bool]) -> dict[str, Table]:
    """The base tables whose `schema.table` matches, by that name. Views are left out.

    Raises what `Database.connect` raises.
    """
    engines = {
        (row.sch, row.tbl): row.eng or ""
        for row in database.query(_TABLES)
        if matches(f"{row.sch}.{row.tbl}")
    }
    if not engines:
        return {}
    schemas = sorted({schema for schema, _ in engines})
    columns = _grouped(_read(database, _COLUMNS, schemas))
    indexes = _grouped(_read(database, _INDEXES, schemas))
    cascades = _grouped(_read(database, _CASCADES, schemas))
    json_columns = _json_columns(database, schemas)
    return {
        f"{key[0]}.{key[1]}": _table(
            key, engine, columns[key], indexes[key], cascades[key], json_columns[key]
        )
        for key, engine in sorted(engines.items())
    }


def _read(database: Database, sql: str, schemas: Sequence[str]) -> Sequence[Any]:
    statement = text(sql).bindparams(bindparam("schemas", expanding=True))
    with database.connect() as connection:
        return connection.execute(statement, {"schemas": list(schemas)}).fetchall()


def _grouped(rows: Sequence[Any]) -> Mapping[_Key, list[Any]]:
    grouped: dict[_Key, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[(row.sch, row.tbl)].append(row)
    return grouped


def _json_columns(database: Database, schemas: Sequence[str]) -> Mapping[_Key, set[str]]:
    """MariaDB's JSON columns: LONGTEXT with the check that the JSON alias adds."""
    found: dict[_Key, set[str]] = defaultdict(set)
    if database.facts.dialect is Dialect.MARIADB:
        for row in _read(database, _JSON_CHECKS, schemas):
            clause = row.clause.strip().lower()
            if clause.startswith("json_valid(`"):
                found[(row.sch, row.tbl)].add(row.clause.split("`")[1])
    return found


def _table(
    key: _Key,
    engine: str,
    columns: Sequence[Any],
    indexes: Sequence[Any],
    cascades: Sequence[Any],
    json_columns: set[str],
) -> Table:
    by_index: dict[str, list[str]] = defaultdict(list)
    for row in indexes:
        by_index[row.idx].append(row.col)
    primary = tuple(by_index.pop("PRIMARY", ()))
    return Table(
        schema=key[0],
        name=key[1],
        columns=tuple(_column(row, json_columns) for row in columns),
        primary_key=primary,
        unique_keys=tuple((name, tuple(cols)) for name, cols in sorted(by_index.items())),
        engine=engine,
        cascading_keys=tuple(row.name for row in cascades),
    )


def _column(row: Any, json_columns: set[str]) -> Column:
    extra = (row.extra or "").lower()
    data_type = row.data_type.lower()
    return Column(
        name=row.name,
        data_type=data_type,
        column_type=row.column_type,
        nullable=row.nullable == "YES",
        charset=row.charset,
        collation=row.collation,
        # MySQL says "DEFAULT_GENERATED" of an expression as a default: that column is written.
        generated="virtual generated" in extra or "stored generated" in extra,
        auto_increment="auto_increment" in extra,
        is_json=data_type == "json" or row.name in json_columns,
    )
