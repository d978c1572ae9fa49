"""Runs the statements of `ddl: additive` at a target: one session at a time, and never for long.

An ALTER waits for the transactions that have used its table, and everybody else then waits behind
it. So it waits for some seconds only, and gives up: a later run tries again. The servers choose the
cheapest way by themselves (INSTANT, then INPLACE, then COPY).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.adapters.database import Database, error_number, translate
from dts_pipeline.core.ddl import Change
from dts_pipeline.errors import TerminalError, TransientError

PATIENCE_SECONDS = 5
"""How long an ALTER waits for the transactions of the table, and users behind it."""
_LOCK = "dts:ddl"
_LOCK_SECONDS = 10
_IDLE_SECONDS = 60
_LOCK_WAIT_TIMEOUT = 1205
_DENIED = {1044, 1142, 1143, 1227}
_DONE_ALREADY = {1050, 1060, 1061}  # the table, column or index is there: somebody was quicker


@dataclass(frozen=True)
class AlterSession:
    """A session that holds the server's lock of schema changes."""

    database: Database
    cursor: Cursor

    def run(self, link: str, change: Change) -> bool:
        """Runs the statement; False if somebody else has made the same meanwhile.

        Raises TerminalError `ddl_refused`, TransientError `ddl_waited`, or what `translate` gives
        for a connection that is lost.
        """
        # A table may be made before the one it refers to; a type that others refer to stays.
        checks = int(not change.statement.startswith("CREATE TABLE"))
        try:
            self.cursor.execute(f"SET SESSION foreign_key_checks = {checks}")
            self.cursor.execute(change.statement)
        except pymysql.MySQLError as error:
            if error_number(error) in _DONE_ALREADY:
                return False
            raise self._translated(error, link, change) from None
        return True

    def _translated(
        self, error: pymysql.MySQLError, link: str, change: Change
    ) -> TransientError | TerminalError:
        number = error_number(error)
        where: dict[str, Any] = {
            "link": link,
            "table": change.table,
            **self.database.place,
            "errno": number,
        }
        if number == _LOCK_WAIT_TIMEOUT:
            return TransientError(
                "ddl_waited",
                f"a transaction has held the table for {PATIENCE_SECONDS} s, so its ALTER was "
                "given up, or all others would wait behind it",
                where=where,
                remedy="The next run tries again by itself. Where it never gets its turn, run it "
                f"by hand at site {self.database.site}: {change.statement}",
            )
        found = translate(error, where)
        if isinstance(found, TransientError):
            return found
        reason = "the account may not do that" if number in _DENIED else "the server refused it"
        return TerminalError(
            "ddl_refused",
            f"what the source has more could not be made up at site {self.database.site}: {reason}",
            where=where,
            remedy=f"Run it by hand at site {self.database.site}: {change.statement}. Under `ddl: "
            "additive` the account needs the GRANTs of `dts init --print`.",
        )


@contextlib.contextmanager
def altering(database: Database, link: str) -> Iterator[AlterSession]:
    """The session for as long as nobody else changes tables here.

    Raises TransientError `ddl_busy`.
    """
    with database.raw(where={"link": link}) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT GET_LOCK(%s, %s)", (_LOCK, _LOCK_SECONDS))
        (got,) = cursor.fetchone() or (0,)
        if not got:
            raise TransientError(
                "ddl_busy",
                "another run is changing tables at the target",
                where={"link": link, **database.place},
                remedy="The next run goes on by itself; a large table's ALTER takes its time.",
            )
        # A frozen run must not keep the lock: its session ends, but not within a statement.
        cursor.execute(
            f"SET SESSION lock_wait_timeout = {PATIENCE_SECONDS}, wait_timeout = {_IDLE_SECONDS}"
        )
        yield AlterSession(database, cursor)
