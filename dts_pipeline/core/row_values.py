"""Rows on their way from one site to the other outside Kafka: SELECTed so that they arrive exactly.

`transfer` gives the expression whose value, as the driver returns it, can be staged at the other
site unchanged. `to_json` and `from_json` keep such values in a conflict's record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from dts_pipeline.core.column_sql import column_name
from dts_pipeline.core.schema import Column, Table

_TEMPORAL = {"date", "time", "datetime", "timestamp"}


def transfer(column: Column, alias: str) -> str:
    """The SELECT expression of a column of table `alias`.

    Times as text (the session is in UTC); FLOAT as the DOUBLE that it is, because its own text
    has 6 digits only; BIT as a number; everything else as it is: numbers, text, bytes (spatial
    and vector values as the server stores them).
    """
    name = f"{alias}.{column_name(column)}"
    if column.data_type in _TEMPORAL:
        return f"CAST({name} AS CHAR)"
    if column.data_type == "float":
        return f"CAST({name} AS DOUBLE)"
    if column.data_type == "bit":
        return f"CAST({name} AS UNSIGNED)"
    return name


def key_columns(table: Table) -> tuple[Column, ...]:
    """The primary key's columns in the index's order."""
    return tuple(table.column(name) for name in table.primary_key)


def to_json(names: Iterable[str], values: Sequence[Any]) -> str:
    """A row or key of transferred values as a JSON object; bytes stand as `{"hex": …}`."""
    pairs = zip(names, map(_spelled, values), strict=True)
    return json.dumps(dict(pairs), ensure_ascii=False, separators=(",", ":"))


def from_json(names: Iterable[str], text: str) -> tuple[Any, ...]:
    """The values that `to_json` wrote, in the order of `names`; KeyError if one is missing."""
    row: Mapping[str, Any] = json.loads(text)
    return tuple(_read(row[name]) for name in names)


def _spelled(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return {"hex": bytes(value).hex()}
    return str(value) if isinstance(value, Decimal) else value


def _read(value: Any) -> Any:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
