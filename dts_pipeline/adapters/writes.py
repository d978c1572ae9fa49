"""The statements that write synced tables, each held against what classification foresaw."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.adapters.database import error_number
from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.errors import TerminalError, TransientError

# The server's own words after an UPDATE; a row that stays as it is, is found but not logged.
_CHANGED = re.compile(rb"Changed: ([0-9]+)")
_COLUMNS = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
)
TABLES_CHANGED = "tables_changed"
"""The batch is not repeated for it: the plan knows other tables."""
_DUPLICATE_KEY = re.compile(r"for key '([^']*)'$")


def write_rows(
    cursor: Cursor,
    staged: Sequence[StagedTable],
    make_room: Callable[[StagedTable], bool] | None = None,
) -> None:
    """Deletes of all tables first, then updates and inserts.

    `make_room` is called where the server refuses a duplicate: whether the INSERT is worth another
    try. Raises TransientError `duplicate_key` where a user was faster, `tables_changed`,
    TerminalError `count_mismatch`, NotAsExpectedError where a table was to do without its stage.
    """
    expected = []
    for table in staged:
        table.logged = 0
        if table.due is not None:
            expected.append(list(table.due))
            continue
        merge = table.statements.merge()
        if merge is not None:
            cursor.execute(merge)
        cursor.execute(table.statements.expected_counts())
        expected.append([int(number) for number in cursor.fetchone() or (0, 0, 0)])
    for table, (deletes, updates, _) in zip(staged, expected, strict=True):
        replaced = updates if table.statements.replaces_rows else 0
        if replaced:
            _refuse_other_columns(cursor, table)
        _run(cursor, table, table.statements.delete(), deletes + replaced)
    for table, (deletes, updates, inserts) in zip(staged, expected, strict=True):
        table.counts |= {"deleted": deletes, "updated": updates, "inserted": inserts}
        if table.direct is not None:
            table.logged += table.direct.write(cursor)
            continue
        update = table.statements.update()
        if update is not None:
            _run(cursor, table, update, updates)
        replaced = 0 if update is not None else updates
        _run(cursor, table, table.statements.insert(), inserts + replaced, make_room)


def _refuse_other_columns(cursor: Cursor, table: StagedTable) -> None:
    """Rows that are deleted and inserted again would lose a column that has come since the plan.

    The look that came before in this transaction keeps every ALTER back until its end.
    """
    place = (table.table.schema, table.table.name)
    cursor.execute(_COLUMNS, place)
    if {name for (name,) in cursor.fetchall()} != {c.own_name for c in table.table.columns}:
        raise TransientError(
            TABLES_CHANGED,
            "a table was changed while the run was under way; nothing of the batch was written",
            where={"table": table.table.full_name},
            remedy="The next run compares both sites' tables anew.",
        )


def _run(
    cursor: Cursor,
    table: StagedTable,
    statement: str,
    expected: int,
    make_room: Callable[[StagedTable], bool] | None = None,
) -> None:
    try:
        table.logged += write_exactly(cursor, table.table.full_name, statement, expected)
    except TransientError as error:
        if error.code != "duplicate_key" or make_room is None or not make_room(table):
            raise
        _run(cursor, table, statement, expected)


def write_exactly(cursor: Cursor, table: str, statement: str, expected: int) -> int:
    """Runs a statement that writes so many rows of a table (`schema.table`); nothing for 0.

    Gives how many of them the server logged. Raises TransientError `duplicate_key`, TerminalError
    `count_mismatch`.
    """
    if not expected:
        return 0
    try:
        written = cursor.execute(statement)
    except pymysql.IntegrityError as error:
        if error_number(error) != 1062:
            raise
        match = _DUPLICATE_KEY.search(str(error.args[1]))
        raise TransientError(
            "duplicate_key",
            "a key appeared at the target between classification and write",
            where={"table": table, "index": match[1] if match else "?"},
            remedy="The batch is repeated by itself.",
        ) from None
    if written != expected:
        raise TerminalError(
            "count_mismatch",
            f"a statement wrote {written} row(s) where {expected} were due",
            where={"table": table, "statement": statement.split(" ", 1)[0]},
            remedy="Look for triggers or a GTID that was used before; nothing was written.",
        )
    message = cursor._result.message  # type: ignore[attr-defined]
    told = _CHANGED.search(bytes(message or b""))
    return int(told[1]) if told else written
