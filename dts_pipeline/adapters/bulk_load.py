"""LOAD DATA LOCAL into a temporary table: the rows as they are, no statement to write and parse.

The server may ask a client that allows LOCAL for any file it can read, whatever the statement
said. So it is only allowed towards a server that is known: over verified TLS or loopback
(`Database.may_load`). The rows lie in memory under a file's name, never on a disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.core.load_text import FORMAT, binary_columns, rendered

T = TypeVar("T")
_ROWS = 20_000  # rendered at a time: some megabytes of text
_NOT_ALLOWED = {1148, 3948, 2068, 4166}  # LOCAL is off at the server or the client


def load(
    cursor: Cursor, table: str, names: Sequence[str], columns: Sequence[Sequence[Any]]
) -> bool:
    """Whether the columns' rows now stand in the (quoted) table, every one and without a warning.

    LOCAL turns errors into warnings and leaves rows out, so anything but the full count and no
    warning means no: then the caller empties the table and finds out what the server refuses.
    """
    statement = _statement(table, names, binary_columns(columns))
    try:
        for text, count in _ahead(_texts(columns)):
            with _file(text) as path:
                came = cursor.execute(statement, (path,))
            if came != count or cursor.warning_count:
                return False
    except UnicodeEncodeError:
        return False
    except pymysql.MySQLError as error:
        if error.args and error.args[0] in _NOT_ALLOWED:
            return False
        raise
    return True


def _texts(columns: Sequence[Sequence[Any]]) -> Iterator[tuple[bytes, int]]:
    """The rows as text, some at a time, and how many."""
    count = len(columns[0])
    for start in range(0, count, _ROWS):
        end = min(start + _ROWS, count)
        yield rendered(columns, start, end), end - start


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, the next of which is made while the one before it is used: the server takes as
    long to load rows as it takes to render them.
    """
    with ThreadPoolExecutor(1, "dts-render") as executor:
        following = executor.submit(next, items, None)
        while (item := following.result()) is not None:
            following = executor.submit(next, items, None)
            yield item


def _statement(table: str, names: Sequence[str], binary: Sequence[bool]) -> str:
    targets = [f"@{name}" if raw else name for name, raw in zip(names, binary, strict=True)]
    unhexed = [f"{name} = UNHEX(@{name})" for name, raw in zip(names, binary, strict=True) if raw]
    assignments = f" SET {', '.join(unhexed)}" if unhexed else ""
    return (
        f"LOAD DATA LOCAL INFILE %s INTO TABLE {table} {FORMAT} ({', '.join(targets)}){assignments}"
    )


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
