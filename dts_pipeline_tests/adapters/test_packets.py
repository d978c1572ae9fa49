"""How long a statement may be, and how many rows go into one."""

from __future__ import annotations

from typing import Any

import pytest

from dts_pipeline.adapters.packets import PacketCursor, too_large
from dts_pipeline.errors import TerminalError

INSERT = "INSERT INTO t VALUES (%s, %s)"


class Connection:
    """Takes statements, and quotes as the driver does."""

    encoding = "utf8"
    _result = None

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def escape(self, value: object, _mapping: object = None) -> str:
        return str(value) if isinstance(value, int) else f"'{value}'"

    def query(self, statement: Any, unbuffered: bool = False) -> int:
        self.sent.append(statement)
        raise _SentError


class _SentError(Exception):
    """The statement has passed; nobody answers it."""


def passes(statement: str, limit: int, args: Any = None) -> bool:
    connection = Connection()
    cursor = PacketCursor(connection, limit)  # type: ignore[arg-type]
    with pytest.raises((_SentError, TerminalError)) as caught:
        cursor.execute(statement, args)
    assert "x" * 10 not in str(caught.value)
    return bool(connection.sent)


@pytest.mark.parametrize(("size", "expected"), [(98, True), (99, False), (5_000, False)])
def test_a_packet_is_the_command_and_the_statement_and_less_than_the_limit(
    size: int, expected: bool
) -> None:
    assert passes("x" * size, 100) is expected


def test_bytes_count_and_not_characters() -> None:
    assert not passes("ä" * 60, 100)
    assert passes("ä" * 49, 100)


def test_parameters_count() -> None:
    assert passes("SELECT %s", 100, ("x" * 80,))
    assert not passes("SELECT %s", 100, ("x" * 100,))


def test_the_rows_that_no_statement_takes_are_told() -> None:
    cursor = PacketCursor(Connection(), 100)  # type: ignore[arg-type]
    rows = [(0, "x"), (1, "x" * 90), (2, "x" * 60)]
    assert too_large(cursor, INSERT, rows) == [rows[1]]


def test_rows_are_gathered_to_no_more_than_the_limit() -> None:
    assert PacketCursor(Connection(), 4096).max_stmt_length < 4096  # type: ignore[arg-type]
