"""What marked transactions wrote and what came back of them, in the ledgers of a pair's two sites.

`core/loop_audit.py` says what is compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

import pymysql
from pymysql.cursors import Cursor

from dts_pipeline.adapters.database import Database
from dts_pipeline.core.loop_audit import LoopFinding, LoopVerdict, Returned, Written
from dts_pipeline.core.marks import Mark
from dts_pipeline.core.schema import Dialect

_KEPT_DAYS = 7
"""How long a write waits for a link that does not run, and how long findings are kept."""
_WRITTEN = (
    "INSERT INTO `dts`.`written` (mark, link, lane, generation, number, stamp, tables, written_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6))"
)
_RETURNED = (
    "INSERT INTO `dts`.`returned` (link, stamp, tables, audited, returned_at) "
    "VALUES (%s, %s, %s, 0, UTC_TIMESTAMP(6)) "
    "ON DUPLICATE KEY UPDATE tables = VALUES(tables), audited = 0"
)
_FINDING = (
    "INSERT IGNORE INTO `dts`.`loop_finding` (link, stamp, table_name, kind, rows_written, "
    "rows_returned, found_at) VALUES (%s, %s, %s, %s, %s, %s, UTC_TIMESTAMP(6))"
)
_OLD = "DELETE FROM `dts`.`{}` WHERE {} < UTC_TIMESTAMP(6) - INTERVAL {} DAY AND link = %s"


@contextlib.contextmanager
def audit_alone(database: Database, link: str) -> Iterator[bool]:
    """Whether nobody else audits the link meanwhile: what one lets go of, another would miss."""
    name = "dts:audit:" + hashlib.sha256(link.encode()).hexdigest()[:40]
    with database.raw(where={"link": link}) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT GET_LOCK(%s, 0)", (name,))
        got = bool((cursor.fetchone() or (0,))[0])
        yield got
        if got:
            cursor.execute("SELECT RELEASE_LOCK(%s)", (name,))


def note_written(
    cursor: Cursor, mark: Mark, lane: str, generation: int, tables: Mapping[str, int]
) -> None:
    """Notes the rows that the server logs for a transaction, by table, inside of it."""
    rows = {table: count for table, count in sorted(tables.items()) if count}
    if not rows:
        return
    # MariaDB numbers a transaction when it commits: see `note_stamp`.
    stamp = None if mark.dialect is Dialect.MARIADB else mark.gtid
    place = (mark.gtid, mark.link, lane, generation, mark.number, stamp)
    cursor.execute(_WRITTEN, (*place, json.dumps(rows)))


def note_stamp(cursor: Cursor, mark: Mark) -> None:
    """Notes the GTID that MariaDB gave to the transaction just committed, if it wrote rows.

    A transaction of its own, after the marked one; it may fail: the rows are written.
    """
    if mark.dialect is not Dialect.MARIADB:
        return
    with contextlib.suppress(pymysql.MySQLError, OSError):
        cursor.execute(
            "UPDATE `dts`.`written` SET stamp = @@last_gtid WHERE mark = %s AND stamp IS NULL",
            (mark.gtid,),
        )
        cursor.connection.commit()


def note_returned(cursor: Cursor, link: str, returned: Mapping[str, Mapping[str, int]]) -> None:
    """Notes the marked row events of a batch by transaction and table, in its transaction."""
    if returned:
        cursor.executemany(
            _RETURNED,
            [(link, stamp, json.dumps(dict(tables))) for stamp, tables in returned.items()],
        )


def read_written(database: Database, link: str) -> list[Written]:
    """What the link wrote at this site and nobody has compared yet."""
    rows = database.query(
        "SELECT mark, link, lane, generation, number, stamp, tables FROM dts.written "
        "WHERE link = :link ORDER BY generation, number",
        {"link": link},
    )
    return [
        Written(r.mark, (r.link, r.lane, r.generation), r.number, r.stamp, json.loads(r.tables))
        for r in rows
    ]


def read_returned(database: Database, link: str) -> list[Returned]:
    """What came back in the batches of a link, which stand in this site's ledger."""
    rows = database.query(
        "SELECT stamp, tables, audited FROM dts.returned WHERE link = :link "
        "ORDER BY returned_at, stamp",
        {"link": link},
    )
    return [Returned(r.stamp, json.loads(r.tables), bool(r.audited)) for r in rows]


def keep_findings(
    database: Database, link: str, verdict: LoopVerdict, returned: Sequence[Returned]
) -> None:
    """Writes the findings, so that what is `returned` is not judged again."""
    with database.raw(where={"link": link}) as connection:
        cursor = connection.cursor()
        if verdict.findings:
            cursor.executemany(_FINDING, [_values(link, found) for found in verdict.findings])
        cursor.executemany(
            "UPDATE `dts`.`returned` SET audited = 1 WHERE link = %s AND stamp = %s",
            [(link, back.stamp) for back in returned if not back.audited],
        )
        cursor.execute(_OLD.format("loop_finding", "found_at", _KEPT_DAYS), (link,))
        connection.commit()


def drop_written(database: Database, link: str, marks: Sequence[str]) -> None:
    """Lets go of writes that were compared, and of those that waited for too long."""
    with database.raw(where={"link": link}) as connection:
        cursor = connection.cursor()
        if marks:
            cursor.executemany("DELETE FROM `dts`.`written` WHERE mark = %s", [(m,) for m in marks])
        cursor.execute(_OLD.format("written", "written_at", _KEPT_DAYS), (link,))
        connection.commit()


def drop_returned(database: Database, link: str) -> None:
    """Lets go of what was audited."""
    with database.raw(where={"link": link}) as connection:
        cursor = connection.cursor()
        cursor.execute("DELETE FROM `dts`.`returned` WHERE link = %s AND audited", (link,))
        connection.commit()


def recent_findings(database: Database, link: str) -> dict[str, int]:
    """How many rows of findings there are of the last day, by kind."""
    rows = database.query(
        "SELECT kind, COUNT(*) AS n FROM dts.loop_finding WHERE link = :link "
        "AND found_at > UTC_TIMESTAMP(6) - INTERVAL 1 DAY GROUP BY kind",
        {"link": link},
    )
    return {row.kind: int(row.n) for row in rows}


def _values(link: str, found: LoopFinding) -> tuple[object, ...]:
    return (link, found.stamp, found.table, found.kind.value, found.written, found.returned)
