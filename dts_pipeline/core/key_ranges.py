"""Ranges of primary keys, cut at values that one site holds.

Both sites are asked for the rows in `(low, high]`. Neither has to order keys as the other does:
the ranges of a table follow each other and the outer two are open, so at either site every row is
in at least one of them, in whatever order its collation puts the boundaries. A row that lies in
different ranges at the two sites makes these ranges look different, never equal; it is found equal
when it is looked up by its key. So another order costs time and hides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dts_pipeline.core.column_sql import column_name
from dts_pipeline.core.row_values import key_columns, transfer
from dts_pipeline.core.schema import Column, Table

Boundary = tuple[Any, ...]


@dataclass(frozen=True)
class KeyRange:
    """The keys behind `low` up to and with `high`; None is open. Values as `boundary` selects."""

    low: Boundary | None = None
    high: Boundary | None = None

    def split(self, middle: Boundary) -> tuple[KeyRange, KeyRange]:
        """The part up to and with `middle`, and the part behind it."""
        return KeyRange(self.low, middle), KeyRange(middle, self.high)


def boundary(column: Column, alias: str) -> str:
    """What a key column is cut by: an ENUM or SET by its number, by which it is ordered."""
    if column.data_type in ("enum", "set"):
        return f"{alias}.{_name(column)} + 0"
    return transfer(column, alias).replace("%", "%%")


def in_range(table: Table, keys: KeyRange) -> tuple[str, list[Any]]:
    """A condition on table `t` for the rows of a range, and its parameters."""
    columns = key_columns(table)
    conditions, parameters = [], []
    for values, strict, last in ((keys.low, ">", ">"), (keys.high, "<", "<=")):
        if values is None:
            continue
        # The first column alone once more: an optimizer finds its range by it.
        conditions.append(f"{_field(columns[0])} {strict}= {_value(columns[0])}")
        parameters.append(values[0])
        if len(columns) > 1:
            text, more = _beyond(columns, values, strict, last)
            conditions.append(f"({text})")
            parameters += more
        else:
            conditions[-1] = f"{_field(columns[0])} {last} {_value(columns[0])}"
    return " AND ".join(conditions) or "TRUE", parameters


def key_order(table: Table) -> str:
    """The ORDER BY of the primary key."""
    return ", ".join(_field(column) for column in key_columns(table))


def _beyond(
    columns: Sequence[Column], values: Sequence[Any], strict: str, last: str
) -> tuple[str, list[Any]]:
    """`(k0, k1, …) strict (v0, v1, …)` as the ORs that every optimizer can follow."""
    field, value = _field(columns[0]), _value(columns[0])
    if len(columns) == 1:
        return f"{field} {last} {value}", [values[0]]
    text, parameters = _beyond(columns[1:], values[1:], strict, last)
    return (
        f"{field} {strict} {value} OR ({field} = {value} AND ({text}))",
        [values[0], values[0], *parameters],
    )


def _field(column: Column) -> str:
    return f"t.{_name(column)}"


def _value(column: Column) -> str:
    """A parameter; a DECIMAL's can arrive as text, which would be compared as a DOUBLE."""
    return f"CAST(%s AS DECIMAL(65, {column.scale}))" if column.data_type == "decimal" else "%s"


def _name(column: Column) -> str:
    return column_name(column).replace("%", "%%")
