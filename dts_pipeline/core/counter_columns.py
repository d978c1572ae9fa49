"""Which columns can be counters (`core/delta.py`), and what their types hold."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dts_pipeline.core.delta import Counters, digits_of
from dts_pipeline.core.links import Link
from dts_pipeline.core.schema import Column, Table

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_VERSIONS = {*_BITS, "decimal", "datetime", "timestamp", "date"}


def counters_of(link: Link, table: str) -> Counters | None:
    """The counters of a table, with the columns that keep the larger value; None without any.

    Those are the table's `version`, and the column of `newest`: both change with every write.
    """
    columns = link.counters.get(table)
    if not columns:
        return None
    policy = link.policy_of(table)
    versions = (link.version_column_of(table), policy.column if policy else None)
    return Counters(columns, tuple(dict.fromkeys(name for name in versions if name)))


def limits(column: Column) -> tuple[str, str]:
    """The smallest and the largest value of a counter's type, as plain digits."""
    if column.data_type == "decimal":
        precision = re.search(r"\d+", column.column_type)
        largest = digits_of(10 ** int(precision[0] if precision else 10) - 1, column.scale)
        return ("0" if column.unsigned else f"-{largest}"), largest
    bits = _BITS[column.data_type]
    if column.unsigned:
        return "0", str(2**bits - 1)
    return str(-(2 ** (bits - 1))), str(2 ** (bits - 1) - 1)


def counter_problems(counters: Counters, source: Table, target: Table) -> Iterator[tuple[str, str]]:
    """`(column, what is wrong)` for each counter and version that cannot be one at both sites."""
    for name in counters.columns:
        sides = [_written(table, name) for table in (source, target)]
        if any(column is None for column in sides):
            yield name, "is not a written column of the table at both sites"
        elif name in source.primary_key or name in counters.versions:
            yield name, "is a key or a version, which cannot be added up"
        elif any(name in columns for table in (source, target) for _, columns in table.unique_keys):
            yield name, "stands in a unique key, which sums would break"
        elif not all(column and _exact(column) for column in sides):
            yield name, "is not a whole number or DECIMAL at both sites"
        elif len({column.scale for column in sides if column}) > 1:
            yield name, "has more decimal places at one site than at the other"
    for name in counters.versions:
        sides = [_written(table, name) for table in (source, target)]
        if not all(column and column.data_type in _VERSIONS for column in sides):
            yield name, "is the version of a table with counters, and is no number or time"


def _written(table: Table, name: str) -> Column | None:
    return next((column for column in table.written_columns if column.name == name), None)


def _exact(column: Column) -> bool:
    return column.data_type in _BITS or column.data_type == "decimal"
