"""Statements that fit into the server's max_allowed_packet; an error for one that cannot.

The server answers a larger one by ending the connection, often before it has said why, so that it
looks like a lost connection, which is repeated in vain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.errors import TerminalError

PACKET_TOO_LARGE = "packet_too_large"
_COMMAND = 1  # a packet begins with its command


class PacketCursor(Cursor):
    """A cursor that knows how long a statement may be; many rows are sent in so many statements.

    Its methods raise TerminalError `packet_too_large` instead of sending a longer one.
    """

    def __init__(self, connection: pymysql.Connection[Any], limit: int) -> None:
        """`limit` is the session's max_allowed_packet, in bytes."""
        super().__init__(connection)
        self._limit = limit
        self.max_stmt_length = min(Cursor.max_stmt_length, limit - _COMMAND - 1)  # type: ignore[misc]

    def execute(self, query: Any, args: Any = None) -> int:
        """As any cursor's; looks at the statement's size first."""
        statement = query if args is None else self.mogrify(query, args)
        if not self.fits(statement):
            raise TerminalError(
                PACKET_TOO_LARGE,
                "a statement, which takes a row or a record of it at least, is larger than the "
                "server's max_allowed_packet",
                where={"max_allowed_packet": self._limit},
                remedy="Raise max_allowed_packet of the server; nothing was written.",
            )
        return super().execute(statement)

    def fits(self, statement: str | bytes | bytearray) -> bool:
        """Whether the server takes a statement of this size."""
        size = len(statement)
        if isinstance(statement, str) and 4 * size >= self._limit:
            size = len(statement.encode("utf-8", "surrogateescape"))
        return size + _COMMAND < self._limit


def measured(connection: pymysql.Connection[Any]) -> pymysql.Connection[Any]:
    """The connection, whose cursors are from now on of this kind."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@SESSION.max_allowed_packet")
        (limit,) = cursor.fetchone() or (0,)
    connection.cursorclass = lambda made: PacketCursor(made, int(limit))  # type: ignore
    return connection


def too_large(
    cursor: Cursor, statement: str, rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """The rows that no statement can take, of those of an `executemany`."""
    if not isinstance(cursor, PacketCursor):
        return []
    return [row for row in rows if not cursor.fits(cursor.mogrify(statement, row))]
