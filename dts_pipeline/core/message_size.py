"""Whether a row of a table can make a message that is larger than Kafka takes."""

from __future__ import annotations

import re

from dts_pipeline.core.schema import Column, Table

_ENDS = {
    **dict.fromkeys(("tinytext", "tinyblob"), 2**8),
    **dict.fromkeys(("text", "blob"), 2**16),
    **dict.fromkeys(("mediumtext", "mediumblob"), 2**24),
    **dict.fromkeys(("longtext", "longblob", "json", "geometry", "linestring", "polygon"), 2**32),
    **dict.fromkeys(("multipoint", "multilinestring", "multipolygon"), 2**32),
    **dict.fromkeys(("geometrycollection", "geomcollection"), 2**32),
}
_PER_CHARACTER = 6  # a control character stands as six in JSON
_SMALL = 100


def can_exceed(table: Table, limit: int) -> bool:
    """Whether the message of an update, which has the row twice, can be larger than `limit` bytes.

    Judged from the types alone, generously: a table that is not named cannot be the one.
    """
    return 2 * sum(map(_largest, table.columns)) > limit


def _largest(column: Column) -> int:
    """The bytes that a value can take in JSON, or more."""
    kind = column.data_type.lower()
    inside = re.search(r"\((\d+)\)", column.column_type)
    length = int(inside[1]) if inside else 1
    if kind == "vector":
        return _SMALL * length
    if kind in ("char", "varchar", "binary", "varbinary"):
        return _SMALL + _PER_CHARACTER * length
    return _SMALL + _PER_CHARACTER * _ENDS.get(kind, 0)
