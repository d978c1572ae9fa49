"""What a batch's temporary tables can hold: columns, bytes of a row, rows that can be sorted."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dts_pipeline.core.column_sql import TEXT_TYPES, stage_type
from dts_pipeline.core.schema import Column, Dialect, Table

MOST_COLUMNS = 1017  # InnoDB
_ROW_BYTES = 65_535  # without what lies off the page
_OWN_COLUMNS = 3  # ord, is_delete, has_before
_OFF_PAGE = 12  # a pointer and a length
_FIXED = 34  # no number, date or DECIMAL takes more
_SORTED_BYTES = 8_192  # the smallest rows of which MySQL's default sort buffer holds enough
_CHARACTER_BYTES = {"utf8mb4": 4, "utf16": 4, "utf16le": 4, "utf32": 4, "utf8mb3": 3, "utf8": 3}
_ROOMY = {"varchar": "longtext", "varbinary": "longblob"}
_IN_ROW = {"char", "varchar", "binary", "varbinary"}
_OUTSIDE = {
    "tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob",
    "json", "vector", "geometry", "point", "linestring", "polygon", "multipoint",
    "multilinestring", "multipolygon", "geometrycollection", "geomcollection",
}  # fmt: skip


def stage_columns(table: Table) -> int:
    """How many columns the widest temporary table of a batch needs for that table."""
    return _OWN_COLUMNS + len(table.primary_key) + len(table.written_columns)


def staged_types(keys: Iterable[Column], columns: Iterable[Column]) -> list[str]:
    """The types of `columns` in a stage that also holds `keys`.

    Columns whose length varies lie outside of the row where the server would find it too long
    (error 1118): the same bytes, without the column's limit, which the target's table has.
    """
    columns = list(columns)
    fits = sum(map(_bytes, [*keys, *columns])) + 4 * _OFF_PAGE <= _ROW_BYTES
    return [stage_type(column) if fits else _roomy(column) for column in columns]


def sorts(columns: Iterable[Column], dialect: Dialect) -> bool:
    """Whether the server can surely sort rows of these columns.

    MySQL sorts whole rows (since 8.0.20 with TEXT, BLOB, JSON in them) and ends with error 1038
    where its buffer holds too few.
    """
    columns = list(columns)
    if dialect is not Dialect.MYSQL:
        return True
    return not any(c.data_type in _OUTSIDE for c in columns) and (
        sum(map(_bytes, columns)) <= _SORTED_BYTES
    )


def _bytes(column: Column) -> int:
    if column.data_type in _OUTSIDE:
        return _OFF_PAGE
    if column.data_type not in _IN_ROW:
        return _FIXED
    inside = re.search(r"\((\d+)\)", column.column_type)
    return (int(inside[1]) if inside else 1) * _CHARACTER_BYTES.get(column.charset or "", 2) + 2


def _roomy(column: Column) -> str:
    other = _ROOMY.get(column.data_type)
    if other is None:
        return stage_type(column)
    if column.data_type in TEXT_TYPES and column.charset:
        return f"{other} CHARACTER SET {column.charset} COLLATE {column.collation} NULL"
    return f"{other} NULL"
