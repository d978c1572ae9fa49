"""One applying session a lane: a lock of the server, and the end of sessions that are half-dead.

A session whose client is frozen or cut off without a word keeps what it holds: the lane's lock,
the rows' locks, on MySQL its GTID, for which the next session would wait past
all lock time-outs. All of it belongs to the session that holds the lane's lock, so it is looked at
first, and a holder that has waited for its client for too long is killed. That is safe at any
moment: its transaction is rolled back, and should its client live, the fence stops it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.adapters.database import Database
from dts_pipeline.errors import TerminalError

HALF_DEAD_SECONDS = 15
"""How long the lock's holder may wait for its client's next statement; a run's are close together,
but for the decoding of a large table."""
_WAIT = 5
_ROLLBACK_WAIT = 60
_GONE = {1094, 1095}  # no such session any more; its number belongs to another account's by now


def lane_lock(link: str, lane: str) -> str:
    """The name of a lane's lock at the target; a hash, because MySQL takes 64 characters."""
    return "dts:" + hashlib.sha256(f"{link}/{lane}".encode()).hexdigest()[:40]


def lock_lane(cursor: Cursor, link: str, lane: str) -> None:
    """Takes the lane's lock, which the server frees when the session dies.

    A half-dead holder is killed, and its rollback waited for. Raises TerminalError `lane_busy`.
    """
    got, holder = _try(cursor, lane_lock(link, lane), _WAIT)
    if not got and holder is not None and _is_half_dead(cursor, holder):
        _kill(cursor, holder)
        got, holder = _try(cursor, lane_lock(link, lane), _ROLLBACK_WAIT)
    if not got:
        raise TerminalError(
            "lane_busy",
            "another run is applying a batch of this lane",
            where={"link": link, "session": holder},
            remedy="Let that run end; this one wrote nothing. A session whose client is gone is "
            f"ended by the first run that finds it {HALF_DEAD_SECONDS} s without a statement.",
        )


def end_session(database: Database, link: str, lane: str, session: int) -> None:
    """Ends a failed attempt's session, if it still holds the lane's lock.

    Only then: after the server's restart its number is somebody else's.
    """
    with contextlib.suppress(Exception), database.raw() as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT IS_USED_LOCK(%s)", (lane_lock(link, lane),))
        (holder,) = cursor.fetchone() or (None,)
        if holder == session:
            _kill(cursor, session)


def _try(cursor: Cursor, name: str, seconds: int) -> tuple[bool, int | None]:
    """Whether the lock was got, and who holds it."""
    cursor.execute("SELECT GET_LOCK(%s, %s), IS_USED_LOCK(%s)", (name, seconds, name))
    got, holder = cursor.fetchone() or (0, None)
    return bool(got), holder


def _kill(cursor: Cursor, session: int) -> None:
    try:
        cursor.execute(f"KILL {int(session)}")
    except pymysql.MySQLError as error:
        if error.args[0] not in _GONE:
            raise


def _is_half_dead(cursor: Cursor, session: int) -> bool:
    """Whether the server has waited for the session's client that long, or is ending it already."""
    cursor.execute("SHOW PROCESSLIST")
    rows: Sequence[Any] = cursor.fetchall()
    for number, _user, _host, _schema, command, seconds, *_ in rows:
        if number == session:
            waits = command == "Sleep" and seconds >= HALF_DEAD_SECONDS
            return bool(waits or command == "Killed")
    return True  # gone meanwhile
