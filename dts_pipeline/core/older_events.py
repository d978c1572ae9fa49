"""Events from before an ALTER, given the columns that the table has now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dts_pipeline.core.presets import older_value
from dts_pipeline.core.schema import Table

FILLED = object()
"""Stands in a row for the constant that ADD COLUMN gave it (`presets.older_value`)."""


def reshape(rows: Iterable[dict[str, Any]], source: Table, target: Table) -> None:
    """Makes rows of an older shape, in place, what the ALTER made of them at the source.

    Two changes can be told by the columns' names alone:

    - a row that lacks columns is from before ADD COLUMN. The server gave NULL to the rows that were
      there, if the column is `null_by_default` at both sites, and such columns are filled. Where
      `source.fills_presets`, those with the same constant default at both sites get FILLED.
    - a row with columns that neither table has is from before DROP COLUMN. They are left out.

    A row with both may be from before a RENAME COLUMN, whose value must not be lost: it is left as
    it is, as is every other row, and whoever reads it refuses it.
    """
    written = {column.name for column in target.written_columns}
    known = {column.name for table in (source, target) for column in table.columns}
    at_source, at_target = (
        {c.name for c in t.written_columns if c.null_by_default} for t in (source, target)
    )
    filling: dict[str, Any] = dict.fromkeys(at_source & at_target)
    filling |= dict.fromkeys(_preset_columns(source, target), FILLED)
    for row in rows:
        lacking, unknown = written - row.keys(), row.keys() - known
        if lacking <= filling.keys() and not (lacking and unknown):
            row.update({name: filling[name] for name in lacking})
            for name in unknown:
                del row[name]


def _preset_columns(source: Table, target: Table) -> set[str]:
    if not source.fills_presets:
        return set()
    there, here = ({c.name: older_value(c) for c in t.written_columns} for t in (source, target))
    return {n for n, value in here.items() if value is not None and value == there.get(n)}
