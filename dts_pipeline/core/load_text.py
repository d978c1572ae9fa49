"""Rows as the text that LOAD DATA reads: a line a row, a tab between fields.

The format is the one the servers' manuals give for LOAD DATA with their default ESCAPED BY: in
texts a backslash stands before backslash, tab and newline, NUL is `\\0`, and a field that is just
`\\N` is NULL. Bytes go as hexadecimal digits, because a file has one character set and they none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

_NULL = "\\N"
# Between two texts while a column is escaped as one; no text holds it unescaped at that time.
_BETWEEN = "\x00"
FORMAT = r"CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n'"
"""The clause that says so to the server."""


def binary_columns(columns: Sequence[Sequence[Any]]) -> list[bool]:
    """Which columns hold bytes, and so must pass through UNHEX."""
    return [bytes in set(map(type, column)) for column in columns]


def rendered(columns: Sequence[Sequence[Any]], start: int, end: int) -> bytes:
    """The rows `start` to `end` of the columns (int, float, str, bytes, bool or None) as text.

    Raises UnicodeEncodeError for a text that has no UTF-8.
    """
    fields = [_fields(column[start:end]) for column in columns]
    return ("\n".join(map("\t".join, zip(*fields, strict=True))) + "\n").encode()


def _fields(values: Sequence[Any]) -> Sequence[str]:
    kinds = set(map(type, values))
    nulls = type(None) in kinds
    kinds.discard(type(None))
    if kinds == {str} and not nulls:
        return _escaped(values)
    if kinds <= {int, float} and not nulls:
        return list(map(repr, values))
    return [_NULL if value is None else _FIELD[type(value)](value) for value in values]


def _escaped(values: Sequence[str]) -> Sequence[str]:
    """All at once where no text holds a NUL."""
    joined = _BETWEEN.join(values)
    if joined.count(_BETWEEN) != len(values) - 1:
        return list(map(_text, values))
    for plain, escape in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n")):
        if plain in joined:
            joined = joined.replace(plain, escape)
    return joined.split(_BETWEEN)


def _text(value: str) -> str:
    value = value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return value.replace("\x00", "\\0")


_FIELD: dict[type, Callable[[Any], str]] = {
    int: repr,
    float: repr,
    bool: lambda value: "1" if value else "0",
    str: _text,
    bytes: bytes.hex,
}
