"""The rows of events, still encoded, made columns of statement parameters.

Everything works by column: one look at the types of all its JSON values, then one conversion, or
none where JSON's value is already what the driver takes. Nothing is rounded on the way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from types import NoneType
from typing import Any

import msgspec

from dts_pipeline.core.decode_codec import UNREADABLE, Codec, codec_of
from dts_pipeline.core.decode_errors import ValueDecodeError
from dts_pipeline.core.decode_modes import ValueModes, lossy_modes
from dts_pipeline.core.older_events import FILLED, reshape
from dts_pipeline.core.presets import older_value
from dts_pipeline.core.schema import Column, Table
from dts_pipeline.errors import TerminalError

__all__ = ["DecodedRows", "ValueDecodeError", "ValueModes", "decode_rows", "lossy_modes"]

_CHUNK = 5_000  # rows held as dicts at a time
_parse = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True)
class DecodedRows:
    """The values of rows by written column of the target, as the driver takes them.

    Every list is as long as `present`; where a row is absent its values are None. `empty_enums`
    (only when asked for) maps an ENUM column to the rows that hold the server's error value: the
    lists have some valid label there, which the writer must replace in the stage, before it is
    used, by `UPDATE IGNORE stage SET column = '' WHERE …`.
    """

    columns: Mapping[str, list[Any]]
    present: list[bool]
    empty_enums: Mapping[str, list[int]] = field(default_factory=dict)


def decode_rows(
    rows: Sequence[bytes | None],
    table: Table,
    modes: ValueModes,
    *,
    source: Table | None = None,
    empty_enums: bool = False,
    only: Collection[str] | None = None,
) -> DecodedRows:
    """Decodes Debezium's `before` or `after` objects; None stands for an absent row.

    `table` is the target's, whose non-generated columns are filled. `source` is the same table at
    the source: the meaning of a value (the scale of a DECIMAL, the unit of a DATETIME, the size of
    a BIT) stands only there. Leave it out only if both are defined alike. `only` names the columns
    that are wanted; of the others nothing is asked, nor whether the table has them.

    Values: int, float, str, bytes or None. Temporal values are text, TIMESTAMP in UTC; DECIMAL is
    plain digits; BIT, geometries and vectors are the bytes that the server stores.

    Raises TerminalError `column_missing` when the events and the table have different columns,
    `column_type_unsupported`, `lossy_mode`; ValueDecodeError (`undecodable_value`) for a row.
    """
    _refuse_lossy_modes(modes, table)
    codecs = _codecs(table, source or table, modes, only)
    present = [row is not None for row in rows]
    whole = all(present)
    index = range(len(rows)) if whole else [i for i, there in enumerate(present) if there]
    older = source if source is not None and source.reads_older else None
    excluded = {c.name for c in source.columns if c.excluded} if source is not None else set()
    known = {column.name for column in table.columns} | excluded if only is None else None
    raw = _raw_columns(rows, index, table, list(codecs), older, known)
    columns: dict[str, list[Any]] = {}
    errors: dict[str, list[int]] = {}
    for name, codec in codecs.items():
        values = raw.pop(name)
        if empty_enums and codec.stand_in is not None and "" in values:
            errors[name] = [i for i, value in zip(index, values, strict=True) if value == ""]
            codec = codec.standing_in()
        reader = _ColumnReader(table, table.column(name), codec, index)
        fills = older is not None and older.fills_presets
        decoded = reader.read_filled(values) if fills else reader.read(values)
        columns[name] = decoded if whole else _spread(decoded, index, len(rows))
    return DecodedRows(columns, present, errors)


def _refuse_lossy_modes(modes: ValueModes, table: Table) -> None:
    found = lossy_modes(modes, table)
    if found:
        raise TerminalError(
            "lossy_mode",
            "; ".join(found),
            where={"table": table.full_name},
            remedy="Change the connector's setting and start again from a new snapshot.",
        )


def _codecs(
    table: Table, source: Table, modes: ValueModes, only: Collection[str] | None
) -> dict[str, Codec]:
    spelled = {column.name: column for column in source.columns}
    codecs = {}
    for target in table.written_columns:
        if only is not None and target.name not in only:
            continue
        column = spelled.get(target.name)
        if column is None:
            raise _missing(table, target.name, "the source's table lacks a column of the target's")
        codec = codec_of(column, modes)
        if codec is None:
            raise TerminalError(
                "column_type_unsupported",
                f"values of type {column.data_type} do not come whole through the connector",
                where={"table": table.full_name, "column": column.name},
                remedy="Change the column's type at both sites, or leave the table out.",
            )
        codecs[target.name] = codec
    return codecs


def _missing(table: Table, column: str, what: str) -> TerminalError:
    return TerminalError(
        "column_missing",
        what,
        where={"table": table.full_name, "column": column},
        remedy="Give the table the same columns at both sites.",
    )


def _raw_columns(
    rows: Sequence[bytes | None],
    index: Sequence[int],
    table: Table,
    names: list[str],
    older: Table | None,
    known: set[str] | None,
) -> dict[str, list[Any]]:
    """JSON's values by column, of the rows at `index`; every row must have the columns.

    Or, where `older` is the source's table, those of an older shape that says the same. It may have
    others that are `known`; None: any others.
    """
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for start in range(0, len(index), _CHUNK):
        part = index[start : start + _CHUNK]
        objects = _parsed(rows, part, table)
        if older is not None:
            reshape(objects, older, table)
        for name in names:
            try:
                columns[name] += map(itemgetter(name), objects)
            except KeyError:
                raise _missing(table, name, "an event lacks a column of the table") from None
        if known is not None and sum(map(len, objects)) != len(objects) * len(names):
            unknown = set().union(*objects) - known
            if unknown:
                what = "an event has a column that the target's table lacks"
                raise _missing(table, min(unknown), what)
    return columns


def _parsed(
    rows: Sequence[bytes | None], part: Sequence[int], table: Table
) -> list[dict[str, Any]]:
    try:
        return [_parse(rows[i]) for i in part]  # type: ignore[arg-type]
    except msgspec.DecodeError:
        row = next(i for i in part if not _is_object(rows[i]))
        reason = "a row is not a JSON object"
        raise ValueDecodeError(reason, table=table.full_name, row=row, column=None) from None


def _is_object(row: bytes | None) -> bool:
    try:
        _parse(row or b"")
    except msgspec.DecodeError:
        return False
    return True


def _spread(values: list[Any], index: Iterable[int], length: int) -> list[Any]:
    spread: list[Any] = [None] * length
    for i, value in zip(index, values, strict=True):
        spread[i] = value
    return spread


@dataclass(frozen=True)
class _ColumnReader:
    """Reads one column; `index` says which row each value belongs to."""

    table: Table
    column: Column
    codec: Codec
    index: Sequence[int]

    def read_filled(self, values: list[Any]) -> list[Any]:
        """Those of older events are the constant that the column began with."""
        if FILLED not in values:
            return self.read(values)
        told = [i for i, value in enumerate(values) if value is not FILLED]
        reader = replace(self, index=[self.index[i] for i in told])
        decoded = [older_value(self.column)] * len(values)
        for i, value in zip(told, reader.read([values[i] for i in told]), strict=True):
            decoded[i] = value
        return decoded

    def read(self, values: list[Any]) -> list[Any]:
        kinds = set(map(type, values))
        nulls = NoneType in kinds
        kinds.discard(NoneType)
        if nulls and not self.column.nullable:
            raise self._error(values.index(None), "is null, but the column is NOT NULL")
        if not kinds <= self.codec.accepts:
            raise self._unreadable(values)
        if any(text in values for text in self.codec.unavailable):
            at = next(i for i, v in enumerate(values) if v in self.codec.unavailable)
            remedy = "Set binlog_row_image=FULL at the source."
            raise self._error(at, "was left out of the row image", remedy)
        return self._converted(values, nulls)

    def _converted(self, values: list[Any], nulls: bool) -> list[Any]:
        codec = self.codec
        if codec.convert is None:
            return values
        there = [value for value in values if value is not None] if nulls else values
        with contextlib.suppress(*UNREADABLE):  # its text would quote the value
            decoded = codec.convert_all(there) if codec.convert_all else map(codec.convert, there)
            if not nulls:
                return list(decoded)
            following = iter(decoded)
            return [None if value is None else next(following) for value in values]
        raise self._unreadable(values)

    def _unreadable(self, values: list[Any]) -> ValueDecodeError:
        at = next(i for i, value in enumerate(values) if not self.codec.reads(value))
        return self._error(at, f"is not {self.codec.expects}")

    def _error(self, at: int, what: str, remedy: str = "") -> ValueDecodeError:
        return ValueDecodeError(
            f"a value of a {self.column.data_type} column {what}",
            table=self.table.full_name,
            row=self.index[at],
            column=self.column.name,
            remedy=remedy,
        )
