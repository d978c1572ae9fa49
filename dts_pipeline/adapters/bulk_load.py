"""LOAD DATA LOCAL: the rows as they are, no statement to write and parse.

The server may ask a client that allows LOCAL for any file it can read, whatever the statement
said. So it is only allowed towards a server that is known: over verified TLS or loopback
(`Database.may_load`). The rows lie in memory under a file's name, never on a disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.core.load_text import FORMAT, binary_columns, rendered

T = TypeVar("T")
_VALUES = 80_000  # rendered at a time: few, so that the server soon has something to do
_NOT_ALLOWED = {1148, 3948, 2068, 4166}  # LOCAL is off at the server or the client


@dataclass(frozen=True)
class Piece:
    """Some rows as text; `binary` says which of their columns are hexadecimal digits."""

    text: bytes
    rows: int
    binary: Sequence[bool]


def load(
    cursor: Cursor, table: str, names: Sequence[str], columns: Sequence[Sequence[Any]]
) -> bool:
    """Whether the columns' rows now stand in the (quoted) table, every one and without a warning.

    LOCAL turns errors into warnings and leaves rows out, so anything but the full count and no
    warning means no: then the caller empties the table and finds out what the server refuses.
    """
    return load_pieces(cursor, table, names, _pieces(columns))


def load_pieces(
    cursor: Cursor, table: str, names: Sequence[str], pieces: Iterator[Piece], comment: str = ""
) -> bool:
    """As `load`; each piece is made while the server takes the one before it.

    `names` are quoted; `comment` is the mark's. What making a piece raises, this does.
    """
    try:
        for piece in _ahead(pieces):
            with _file(piece.text) as path:
                came = cursor.execute(_statement(table, names, piece.binary, comment), (path,))
            if came != piece.rows or cursor.warning_count:
                return False
    except UnicodeEncodeError:
        return False
    except pymysql.MySQLError as error:
        if error.args and error.args[0] in _NOT_ALLOWED:
            return False
        raise
    return True


def slices(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Start and end of each piece of so many rows."""
    size = max(1, _VALUES // columns)
    return ((start, min(start + size, rows)) for start in range(0, rows, size))


def _pieces(columns: Sequence[Sequence[Any]]) -> Iterator[Piece]:
    binary = binary_columns(columns)
    for start, end in slices(len(columns[0]), len(columns)):
        yield Piece(rendered(columns, start, end), end - start, binary)


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, the next of which is made while the one before it is used: the server takes as
    long to load rows as it takes to render them.
    """
    with ThreadPoolExecutor(1, "dts-render") as executor:
        following = executor.submit(next, items, None)
        while (item := following.result()) is not None:
            following = executor.submit(next, items, None)
            yield item


def _statement(table: str, names: Sequence[str], binary: Sequence[bool], comment: str) -> str:
    targets = [f"@b{i}" if raw else name for i, (name, raw) in _each(names, binary)]
    unhexed = [f"{name} = UNHEX(@b{i})" for i, (name, raw) in _each(names, binary) if raw]
    assignments = f" SET {', '.join(unhexed)}" if unhexed else ""
    verb = f"LOAD {comment} DATA" if comment else "LOAD DATA"
    into = f"INTO TABLE {table} {FORMAT} ({', '.join(targets)}){assignments}"
    return f"{verb} LOCAL INFILE %s " + into.replace("%", "%%")  # %s is the driver's


def _each(names: Sequence[str], binary: Sequence[bool]) -> Iterator[tuple[int, tuple[str, bool]]]:
    return enumerate(zip(names, binary, strict=True))


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[str]:
    """A file in memory that holds the content."""
    descriptor = os.memfd_create("dts_rows", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
