"""The rows of a conflict's record side by side: before, after and found, column by column."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dts_pipeline.core.decode import decode_rows
from dts_pipeline.core.decode_errors import ValueDecodeError
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.schema import Column, Table

_FRACTIONS = {"datetime", "timestamp", "time"}
_ABSENT = "-"


@dataclass(frozen=True)
class ColumnValues:
    """One column of a record; `-` where the row is absent.

    `differs`: the rows that are there do not agree.
    """

    column: str
    before: str
    after: str
    found: str
    differs: bool


def side_by_side(
    before: Mapping[str, str | None] | None,
    after: Mapping[str, str | None] | None,
    found: Mapping[str, str | None] | None,
    table: Table | None = None,
) -> list[ColumnValues]:
    """The columns of the rows that are there, in the table's order if it is known."""
    rows = (before, after, found)
    there = [row for row in rows if row is not None]
    names = [column.name for column in table.written_columns] if table else []
    names += [name for row in there for name in row if name not in names]
    known = {column.name: column for column in table.columns} if table else {}
    lines = []
    for name in dict.fromkeys(names):
        values = {_plain(row.get(name), known.get(name)) for row in there}
        old, new, target = (_ABSENT if row is None else _shown(row.get(name)) for row in rows)
        lines.append(ColumnValues(name, old, new, target, differs=len(values) > 1))
    return lines


def sent_row(
    text: str | None, table: Table | None, source: Table | None, modes: ValueModes | None
) -> dict[str, str | None] | None:
    """A row as the source sent it, as text; as the connector spelled it if it cannot be decoded."""
    if text is None:
        return None
    if table is not None and source is not None and modes is not None:
        try:
            columns = decode_rows([text.encode()], table, modes, source=source).columns
        except ValueDecodeError:
            pass
        else:
            times = {c.name for c in table.columns if c.data_type in _FRACTIONS}
            row = {name: _text(values[0]) for name, values in columns.items()}
            return {n: v.replace("T", " ") if v and n in times else v for n, v in row.items()}
    return text_row(text)


def text_row(text: str | None) -> dict[str, str | None] | None:
    """A row of JSON as text by column."""
    if text is None:
        return None
    row: Mapping[str, object] = json.loads(text)
    return {name: _text(value) for name, value in row.items()}


def differing(lines: Sequence[ColumnValues]) -> list[str]:
    """The names of the columns that differ."""
    return [line.column for line in lines if line.differs]


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex().upper()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _plain(value: str | None, column: Column | None) -> str | None:
    """One spelling of a value: a time's fraction without the zeros that say nothing."""
    if value is None or column is None or column.data_type not in _FRACTIONS or "." not in value:
        return value
    return value.rstrip("0").rstrip(".")


def _shown(value: str | None) -> str:
    return "NULL" if value is None else value
