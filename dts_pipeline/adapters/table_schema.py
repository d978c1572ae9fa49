"""Reads tables from information_schema; identifiers in statements come from here only."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import bindparam, text

from dts_pipeline.adapters.database import Database
from dts_pipeline.core.names import Names
from dts_pipeline.core.presets import preset_of
from dts_pipeline.core.schema import Column, Dialect, ForeignKey, Table

_TABLES = """
SELECT table_schema AS sch, table_name AS tbl, engine AS eng FROM information_schema.tables
WHERE table_type = 'BASE TABLE'
AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema', 'dts')
"""
_COLUMNS = """
SELECT table_schema AS sch, table_name AS tbl, column_name AS name, data_type AS data_type,
       column_type AS column_type, is_nullable AS nullable, character_set_name AS charset,
       collation_name AS collation, extra AS extra,
       column_default AS preset
FROM information_schema.columns WHERE table_schema IN :schemas
ORDER BY table_schema, table_name, ordinal_position
"""
_INDEXES = """
SELECT table_schema AS sch, table_name AS tbl, index_name AS idx, column_name AS col
FROM information_schema.statistics WHERE table_schema IN :schemas AND non_unique = 0
ORDER BY table_schema, table_name, index_name, seq_in_index
"""
_ACTIONS = """
SELECT constraint_schema AS sch, table_name AS tbl, constraint_name AS name,
       delete_rule AS on_delete, update_rule AS on_update
FROM information_schema.referential_constraints WHERE constraint_schema IN :schemas
"""
_REFERENCES = """
SELECT table_schema AS sch, table_name AS tbl, constraint_name AS name, column_name AS col,
       referenced_table_schema AS parent_sch, referenced_table_name AS parent_tbl,
       referenced_column_name AS parent_col
FROM information_schema.key_column_usage
WHERE constraint_schema IN :schemas AND referenced_table_name IS NOT NULL
ORDER BY table_schema, table_name, constraint_name, ordinal_position
"""
_JSON_CHECKS = """
SELECT constraint_schema AS sch, table_name AS tbl, check_clause AS clause
FROM information_schema.check_constraints WHERE constraint_schema IN :schemas
"""
_JSON_VALID = re.compile(r"json_valid\(`((?:[^`]|``)+)`\)", re.IGNORECASE)

_Key = tuple[str, str]


def read_tables(
    database: Database,
    matches: Callable[[str], bool],
    excluded: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> dict[str, Table]:
    """The base tables whose common name (`schema.table`) matches, by that name. No views.

    `excluded` are a link's `excluded_columns`; leave them out only where columns do not matter.
    Raises what `Database.connect` raises.
    """
    common = database.names.common
    rows = {(row.sch, row.tbl): row.eng or "" for row in database.query(_TABLES)}
    names = {key: name for key in rows if matches(name := common(f"{key[0]}.{key[1]}"))}
    if not names:
        return {}
    schemas = sorted({schema for schema, _ in names})
    columns = _grouped(_read(database, _COLUMNS, schemas))
    indexes = _grouped(_read(database, _INDEXES, schemas))
    foreign_keys = _foreign_keys(database, schemas, columns)
    json_columns = _json_columns(database, schemas)
    dialect = database.facts.dialect
    return {
        name: _table(
            key,
            name,
            rows[key],
            [_column(row, json_columns[key], dialect) for row in columns[key]],
            indexes[key],
            foreign_keys[key],
        )
        .under_common_names(database.names.columns_of(name))
        .excluding(excluded.get(name, ()))
        for key, name in sorted(names.items())
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


def _foreign_keys(
    database: Database, schemas: Sequence[str], known: Mapping[_Key, Sequence[Any]]
) -> Mapping[_Key, list[ForeignKey]]:
    """By the table whose columns they are; two reads, as the server joins such views slowly."""
    found: dict[_Key, list[ForeignKey]] = defaultdict(list)
    names = database.names
    actions = _read(database, _ACTIONS, schemas)
    if not actions:
        return found
    references: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for row in _read(database, _REFERENCES, schemas):
        references[row.sch, row.tbl, row.name].append(row)
    for row in sorted(actions, key=lambda row: (row.sch, row.tbl, row.name)):
        pairs = references[row.sch, row.tbl, row.name]
        there = (row.sch, row.tbl)
        child, columns = _common(names, there, known, [p.col for p in pairs])
        there = (pairs[0].parent_sch, pairs[0].parent_tbl) if pairs else ("", "")
        parent, parent_columns = _common(names, there, known, [p.parent_col for p in pairs])
        found[row.sch, row.tbl].append(
            ForeignKey(
                name=row.name,
                child=child,
                columns=columns,
                parent=parent if pairs else "",
                parent_columns=parent_columns,
                on_delete=row.on_delete,
                on_update=row.on_update,
            )
        )
    return found


def _common(
    names: Names, table: _Key, known: Mapping[_Key, Sequence[Any]], columns: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """The common names of a table and of some of its columns."""
    name = names.common(f"{table[0]}.{table[1]}")
    spelled, called = _spelled(known.get(table, ())), names.columns_of(name)
    return name, tuple(called.common(spelled.get(c.lower(), c)) for c in columns)


def _spelled(columns: Sequence[Any]) -> Mapping[str, str]:
    """The columns' names by their lower case: a foreign key may have been written otherwise."""
    return {row.name.lower(): row.name for row in columns}


def _json_columns(database: Database, schemas: Sequence[str]) -> Mapping[_Key, set[str]]:
    """MariaDB's JSON columns: LONGTEXT with the check that the JSON alias adds."""
    found: dict[_Key, set[str]] = defaultdict(set)
    if database.facts.dialect is Dialect.MARIADB:
        for row in _read(database, _JSON_CHECKS, schemas):
            match = _JSON_VALID.match(row.clause.strip())
            if match:
                found[(row.sch, row.tbl)].add(match[1].replace("``", "`"))
    return found


def _table(
    key: _Key,
    common: str,
    engine: str,
    columns: Sequence[Column],
    indexes: Sequence[Any],
    foreign_keys: Sequence[ForeignKey],
) -> Table:
    by_index: dict[str, list[str]] = defaultdict(list)
    for row in indexes:
        by_index[row.idx].append(row.col)
    primary = tuple(by_index.pop("PRIMARY", ()))
    return Table(
        schema=key[0],
        name=key[1],
        columns=tuple(columns),
        primary_key=primary,
        unique_keys=tuple((name, tuple(cols)) for name, cols in sorted(by_index.items())),
        engine=engine,
        foreign_keys=tuple(foreign_keys),
        common="" if common == f"{key[0]}.{key[1]}" else common,
    )


def _column(row: Any, json_columns: set[str], dialect: Dialect) -> Column:
    extra = (row.extra or "").lower()
    data_type = row.data_type.lower()
    generated = "virtual generated" in extra or "stored generated" in extra
    # A column without a default: MariaDB quotes text, so that this is not the text 'NULL'.
    no_preset = "NULL" if dialect is Dialect.MARIADB else None
    default, preset = preset_of(row.preset, data_type, extra, dialect)
    return Column(
        name=row.name,
        data_type=data_type,
        column_type=row.column_type,
        nullable=row.nullable == "YES",
        charset=row.charset,
        collation=row.collation,
        # MySQL says "DEFAULT_GENERATED" of an expression as a default: that column is written.
        generated=generated,
        auto_increment="auto_increment" in extra,
        is_json=data_type == "json" or row.name in json_columns,
        null_by_default=row.nullable == "YES" and row.preset == no_preset,
        needs_value=row.nullable != "YES"
        and row.preset is None
        and not generated
        and "auto_increment" not in extra,
        default=default,
        preset=preset,
        on_update="on update" in extra,
    )
