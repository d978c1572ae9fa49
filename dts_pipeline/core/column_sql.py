"""Columns and identifiers in SQL: quoting, a stage's types, equality byte by byte, text to show."""

from __future__ import annotations

from dts_pipeline.core.schema import Column, Dialect, Table

TEXT_TYPES = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"}
_APPROXIMATE = {"float", "double"}
_BY_HEX = {
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
    "multipolygon", "geometrycollection", "geomcollection", "vector",
}  # fmt: skip


def quoted(identifier: str) -> str:
    """An identifier between backticks."""
    return "`" + identifier.replace("`", "``") + "`"


def table_name(table: Table) -> str:
    """`schema`.`table`, quoted."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"


def column_name(column: Column) -> str:
    """A column as its site calls it, quoted."""
    return quoted(column.own_name)


def stage_type(column: Column) -> str:
    """A column's type in a stage: the target's own, nullable, without default or constraint."""
    parts = [column.column_type]
    if column.charset and column.data_type in TEXT_TYPES:
        parts.append(f"CHARACTER SET {column.charset} COLLATE {column.collation}")
    return " ".join([*parts, "NULL"])


def same_bytes(
    column: Column, left: str, right: str, dialect: Dialect, compare_json: bool = False
) -> str:
    """Whether two columns of that type hold the same value byte by byte, NULL equal to NULL.

    Not by collation: under it `a` → `A` would look as if it were there already. FLOAT and DOUBLE
    also by their text, which tells -0 from 0. JSON on MySQL as values.
    """
    if column.is_json:
        return _same_json(left, right, dialect, compare_json)
    if column.data_type in TEXT_TYPES:
        return f"CAST({left} AS BINARY) <=> CAST({right} AS BINARY)"
    if column.data_type in _BY_HEX:
        return f"HEX({left}) <=> HEX({right})"
    if column.data_type in _APPROXIMATE:
        return f"({left} <=> {right} AND CAST({left} AS CHAR) <=> CAST({right} AS CHAR))"
    return f"{left} <=> {right}"


def _same_json(left: str, right: str, dialect: Dialect, compare_json: bool) -> str:
    """MySQL compares JSON as values, as Debezium sends them: 1.0 arrives as 1 there."""
    if dialect is Dialect.MYSQL:
        return f"{left} <=> {right}"
    if compare_json:
        left, right = f"JSON_NORMALIZE({left})", f"JSON_NORMALIZE({right})"
    return f"CAST({left} AS BINARY) <=> CAST({right} AS BINARY)"


def readable(column: Column, alias: str) -> str:
    """A column as text for a conflict's record; binary, bit and spatial types as hex."""
    name = f"{alias}.{column_name(column)}"
    binary = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit"}
    if column.data_type in binary | _BY_HEX:
        return f"HEX({name})"
    return f"CAST({name} AS CHAR)"
