"""How the values of one column are read: which JSON types may come, and what is made of them."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dts_pipeline.core import decode_bytes, decode_labels, decode_numbers, decode_times
from dts_pipeline.core.decode_modes import ValueModes
from dts_pipeline.core.schema import Column

UNREADABLE = (ValueError, KeyError, TypeError, OverflowError, struct.error)


@dataclass(frozen=True)
class Codec:
    """The reader of one column.

    `expects` says in words what it reads, `gives` what it makes of it; `accepts` holds the types
    that JSON values may have, null aside. `convert` makes a parameter of one value and raises one
    of `UNREADABLE` for one it cannot read; None: the values are right as they are. `convert_all`
    does the same for many at once. `unavailable` holds the texts that stand for a value which the
    row image left out, `stand_in` is a label to put in place of an ENUM's error value.
    """

    expects: str
    gives: str
    accepts: frozenset[type]
    convert: Callable[[Any], object] | None = None
    convert_all: Callable[[list[Any]], list[Any]] | None = None
    unavailable: frozenset[str] = frozenset()
    stand_in: str | None = None

    def standing_in(self) -> Codec:
        """The same reader, which takes ENUM's error value for the label `stand_in`."""
        labels = self.convert
        assert labels is not None
        return replace(self, convert=lambda text: labels(text) if text else self.stand_in)

    def reads(self, value: object) -> bool:
        """Whether this one value can be read."""
        if value is None:
            return True
        try:
            if self.convert is not None:
                self.convert(value)
        except UNREADABLE:
            return False
        return type(value) in self.accepts


_INTEGER = Codec("a whole number", "the number", frozenset({int}))
_TINYINT = Codec("a whole number, true or false", "the number", frozenset({int, bool}), int)
_UNSIGNED = Codec(
    "a whole number",
    "the number, 2^64 added to a negative one",
    frozenset({int}),
    decode_numbers.unsigned_of_signed,
)
_BIG_UNSIGNED = Codec(
    "a base64 number", "the number", frozenset({str}), decode_numbers.integer_of_base64
)
_DOUBLE = Codec(
    "a number",
    "the number; -0 as text",
    frozenset({int, float}),
    decode_numbers.exact_zero,
    decode_numbers.exact_zeros,
)
_FLOAT = replace(
    _DOUBLE,
    gives="the 32-bit value that the digits mean, in full",
    convert=decode_numbers.float32_of_number,
    convert_all=decode_numbers.float32s_of_numbers,
)
_YEAR = Codec("a year", "the year, 0000 for 1900", frozenset({int}), decode_numbers.year_of_number)
_TEXT = Codec("text", "the text", frozenset({str}))
_LONG_TEXT = replace(_TEXT, unavailable=frozenset({decode_bytes.UNAVAILABLE}))
_GEOMETRY = Codec(
    "a geometry {wkb, srid}",
    "the server's own bytes: SRID, then WKB",
    frozenset({dict}),
    decode_bytes.geometry_of_struct,
)
_VECTOR = Codec(
    "a list of numbers",
    "the server's own bytes: 32-bit floats",
    frozenset({list}),
    decode_bytes.vector_of_numbers,
)
_TIMESTAMP = Codec(
    "a time with its zone",
    "text in UTC; the epoch as the zero timestamp",
    frozenset({str}),
    decode_times.timestamp_of_text,
)


def _bigint(column: Column, modes: ValueModes) -> Codec:
    if not column.unsigned:
        return _INTEGER
    return _BIG_UNSIGNED if modes.bigint_unsigned == "precise" else _UNSIGNED


def _decimal(column: Column, modes: ValueModes) -> Codec:
    if modes.decimal == "string":
        return Codec(
            "a plain decimal number", "the digits", frozenset({str}), decode_numbers.decimal_of_text
        )
    convert = decode_numbers.decimal_of_base64(column.scale)
    return Codec(
        "a base64 number", "plain digits, by the column's scale", frozenset({str}), convert
    )


def _bit(column: Column, _modes: ValueModes) -> Codec:
    if _length(column) == 1:
        return Codec("true or false", "a byte", frozenset({bool}), decode_numbers.bits_of_boolean)
    return Codec(
        "base64 bits",
        "the bits in the server's order",
        frozenset({str}),
        decode_numbers.bits_of_base64,
    )


def _binary(_column: Column, modes: ValueModes) -> Codec:
    encoding = modes.binary if modes.binary in ("hex", "base64-url-safe") else "base64"
    reader = decode_bytes.bytes_reader(modes.binary)
    return Codec(f"{encoding} bytes", "the bytes", frozenset({str}), reader)


def _blob(column: Column, modes: ValueModes) -> Codec:
    return replace(_binary(column, modes), unavailable=decode_bytes.UNAVAILABLE_BYTES)


def _enum(column: Column, _modes: ValueModes) -> Codec:
    labels = decode_labels.spelled_labels(column.column_type)
    codec = Codec("one of its labels", "the label", frozenset({str}), labels.__getitem__)
    # A server would take an unknown label `2` for the second one, so only known labels pass.
    return codec if "" in labels else replace(codec, stand_in=next(iter(labels.values()), None))


def _set(column: Column, _modes: ValueModes) -> Codec:
    convert = decode_labels.set_reader(column.column_type)
    return Codec("some of its labels", "the labels", frozenset({str}), convert)


def _date(_column: Column, modes: ValueModes) -> Codec:
    if modes.time == "isostring":
        return Codec(
            "a date such as 2026-11-23Z", "text", frozenset({str}), decode_times.date_of_text
        )
    return Codec(
        "days since 1970",
        "text",
        frozenset({int}),
        decode_times.date_of_days,
        decode_times.dates_of_days,
    )


def _time(_column: Column, modes: ValueModes) -> Codec:
    if modes.time == "isostring":
        return Codec(
            "a time such as 12:34:56Z", "text", frozenset({str}), decode_times.time_of_text
        )
    return Codec("microseconds", "text", frozenset({int}), decode_times.time_of_microseconds)


def _datetime(column: Column, modes: ValueModes) -> Codec:
    if modes.time == "isostring":
        return Codec("an ISO 8601 time", "text", frozenset({str}), decode_times.datetime_of_text)
    count = decode_times.per_second(modes.time, _length(column, 0))
    return Codec(
        f"{decode_times.UNIT_NAMES[count]} since 1970",
        "text",
        frozenset({int}),
        decode_times.datetime_of_count(count),
        decode_times.datetimes_of_counts(count),
    )


def _always(codec: Codec) -> Callable[[Column, ValueModes], Codec]:
    return lambda _column, _modes: codec


def _length(column: Column, default: int = 1) -> int:
    inside = re.search(r"\((\d+)\)", column.column_type)
    return int(inside[1]) if inside else default


CODECS: dict[str, Callable[[Column, ValueModes], Codec]] = {
    "tinyint": _always(_TINYINT),
    **dict.fromkeys(("smallint", "mediumint", "int"), _always(_INTEGER)),
    "bigint": _bigint,
    "decimal": _decimal,
    "float": _always(_FLOAT),
    "double": _always(_DOUBLE),
    "bit": _bit,
    "year": _always(_YEAR),
    **dict.fromkeys(("char", "varchar"), _always(_TEXT)),
    **dict.fromkeys(("tinytext", "text", "mediumtext", "longtext", "json"), _always(_LONG_TEXT)),
    **dict.fromkeys(("binary", "varbinary"), _binary),
    **dict.fromkeys(("tinyblob", "blob", "mediumblob", "longblob"), _blob),
    "enum": _enum,
    "set": _set,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "timestamp": _always(_TIMESTAMP),
    **dict.fromkeys(("geometry", "point", "linestring", "polygon"), _always(_GEOMETRY)),
    **dict.fromkeys(("multipoint", "multilinestring", "multipolygon"), _always(_GEOMETRY)),
    **dict.fromkeys(("geometrycollection", "geomcollection"), _always(_GEOMETRY)),
    "vector": _always(_VECTOR),
}


def codec_of(column: Column, modes: ValueModes) -> Codec | None:
    """The reader of a SOURCE column's values; None for a type that Debezium does not carry whole.

    MariaDB's UUID: the binlog leaves out zero bytes at its end, and Debezium 3.5 puts them in
    front: `…0000` arrives as `0000…`, which another UUID could be. A table with INET4 or INET6
    stops the connector.
    """
    make = CODECS.get(column.data_type.lower())
    return make(column, modes) if make else None
