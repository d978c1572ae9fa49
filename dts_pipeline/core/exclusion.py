"""Columns that each site keeps for itself: taken out of events before anything looks at their rows.

A write that changes nothing else is no write to the other site, so its event is let go. It could
otherwise win a conflict against a real change there, with the old values of all other columns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
import numpy as np
import pandas as pd

from dts_pipeline.core.schema import Table

EXCLUDE_UNKNOWN_REMEDY = (
    "Spell table and column as the servers do, case included, or take them out of `columns`."
)
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def without_excluded(events: pd.DataFrame, excluded: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Events (columns op, table, before, after, marked) without the excluded columns of their rows.

    `excluded` maps `schema.table` to columns, spelled as the server spells them. Unmarked updates
    that then change nothing are left out. A row that is no JSON object stays as it is, for the
    decoder to refuse.
    """
    mine = events["table"].isin(list(excluded)).to_numpy()
    if not mine.any():
        return events
    before, after = (events[side].to_numpy(dtype=object, copy=True) for side in ("before", "after"))
    for table, names in excluded.items():
        at = np.flatnonzero((events["table"] == table).to_numpy())
        for rows in (before, after):
            rows[at] = _stripped(rows[at].tolist(), names)
    updates = mine & (events["op"] == "u").to_numpy() & ~events["marked"].to_numpy(dtype=bool)
    idle = np.zeros(len(events), dtype=bool)
    at = np.flatnonzero(updates)
    idle[at] = before[at] == after[at]
    narrower: pd.DataFrame = events.assign(before=before, after=after)[~idle]
    return narrower.reset_index(drop=True)


def unknown_columns(
    excluded: Mapping[str, Collection[str]],
    source: Mapping[str, Table],
    target: Mapping[str, Table],
) -> list[tuple[str, str]]:
    """(table, column) of what is excluded but at neither site; both sites' tables by name."""
    found = []
    for name, columns in excluded.items():
        tables = [tables[name] for tables in (source, target) if name in tables]
        known = {column.name for table in tables for column in table.columns}
        found += [(name, column) for column in columns if column not in known]
    return found


def without_extra(source: Table, target: Table | None) -> Table:
    """The source's table with the columns excluded that the target lacks (`ddl: ignore`)."""
    if target is None:
        return source
    names = {column.name.lower() for column in target.columns}
    extra = {c.name for c in source.columns if c.name.lower() not in names}
    return source.excluding(extra - set(source.primary_key))


def _stripped(
    rows: Sequence[object], names: Collection[str]
) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    found = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        found[i] = _without(row, names) if isinstance(row, bytes) else row
    return found


def _without(row: bytes, names: Collection[str]) -> bytes:
    try:
        values = _decode(row)
    except msgspec.DecodeError:
        return row
    for name in names:
        values.pop(name, None)
    return _encode(values)
