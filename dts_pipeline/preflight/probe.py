"""Asks a server for all that the checks look at; nothing is changed by asking."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pymysql
from sqlalchemy import text

from dts_pipeline.adapters.database import Database, error_number
from dts_pipeline.adapters.ledger import Ledger
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.grants import LEDGER_SCHEMA
from dts_pipeline.core.links import Link
from dts_pipeline.core.marks import mark_uuid
from dts_pipeline.core.row_values import key_columns
from dts_pipeline.core.schema import Dialect, Table
from dts_pipeline.core.statements import quoted
from dts_pipeline.preflight.facts import SiteFacts, Trigger

_REFUSED = frozenset({1044, 1142, 1143, 1227})
# A GTID that no batch ever takes: the number is held for a moment and given back unused.
_TRIAL_GTID = "64747350-0000-8000-8000-000000000000:1"
_ORIGIN_TRIALS = {
    # ROLLBACK gives the number back; without it the session may not leave it (error 1790).
    Dialect.MYSQL: (
        f"SET gtid_next = '{_TRIAL_GTID}'",
        "ROLLBACK",
        "SET gtid_next = 'AUTOMATIC'",
    ),
    Dialect.MARIADB: ("SET SESSION gtid_domain_id = @@SESSION.gtid_domain_id",),
}
_TRIGGERS = """
SELECT event_object_schema AS sch, event_object_table AS tbl, trigger_name AS name,
       action_timing AS timing, event_manipulation AS event, action_statement AS statement
FROM information_schema.triggers
WHERE trigger_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema', 'dts')
"""
_LEDGER_COLUMNS = {
    "installation": "id",
    "checkpoint": "link",
    "batch": "link",
    "conflict": "id",
    "quarantine": "id",
    "watermark": "name",
    "written": "mark",
}
_STAGE = f"{quoted(LEDGER_SCHEMA)}.{quoted('preflight_trial')}"
_STAGE_TRIALS = (
    f"CREATE TEMPORARY TABLE {_STAGE} (id INT PRIMARY KEY)",
    f"INSERT INTO {_STAGE} VALUES (1)",
    f"DROP TEMPORARY TABLE {_STAGE}",
)
_BINLOG_READERS = """
SELECT COUNT(*) AS readers FROM information_schema.processlist
WHERE command LIKE 'Binlog Dump%' AND user <> :connector
"""


def probe_site(database: Database, links: Iterable[Link], connector_user: str) -> SiteFacts:
    """Everything of one site.

    `connector_user` is the account whose binlog reading is expected. Raises what
    `Database.connect` raises when the server does not answer or lets nobody in.
    """
    mine = [link for link in links if database.site in (link.source, link.target)]
    facts = database.facts
    tables = read_tables(database, lambda name: any(link.matches(name) for link in mine))
    ledger = _ledger_tables(database)
    rights = _rights(database)
    checkpoints = _checkpoints(database, mine, ledger)
    ahead, doubt = _clock(database)
    return SiteFacts(
        name=database.site,
        version=facts.version,
        dialect=facts.dialect,
        variables=_variables(database),
        tables=tables,
        ledger=ledger,
        origin_errno=_first_error(database, _ORIGIN_TRIALS[facts.dialect]),
        refused=_refused(database, _trial_columns(tables, ledger)) | _refused_stage(database),
        triggers=_triggers(database, facts.dialect, rights),
        replicas=_replicas(database, rights, connector_user),
        clock_ahead=ahead,
        clock_doubt=doubt,
        incarnation=facts.incarnation,
        checkpoints=checkpoints,
        used_marks=_used_marks(database, facts.dialect, checkpoints),
        grants=tuple(str(row[0]) for row in database.query("SHOW GRANTS")),
    )


def _variables(database: Database) -> dict[str, str]:
    asked = ("SHOW GLOBAL VARIABLES", "SHOW GLOBAL STATUS LIKE 'Slaves_running'")
    return {row[0].lower(): row[1] for question in asked for row in database.query(question)}


def _checkpoints(
    database: Database, links: Iterable[Link], tables: frozenset[str]
) -> dict[str, Checkpoint]:
    """The checkpoints of the links that write here, by link and lane, as far as they have run."""
    if not tables >= {"installation", "checkpoint"}:
        return {}
    ledger = Ledger(database)
    return {
        lane.title: checkpoint
        for link in links
        if link.target == database.site
        for lane in link.each_lane()
        if (checkpoint := ledger.read(link.name, lane.lane)) is not None
    }


def _used_marks(
    database: Database, dialect: Dialect, checkpoints: Mapping[str, Checkpoint]
) -> frozenset[str]:
    """The links whose next GTID this MySQL server would skip."""
    if dialect is not Dialect.MYSQL or not checkpoints:
        return frozenset()
    installation = Ledger(database).installation()
    used = set()
    for name, at in checkpoints.items():
        uuid = mark_uuid(installation, at.link, at.lane, at.generation)
        gtid = f"{uuid}:{at.mark_sequence + 1}"
        sql = "SELECT GTID_SUBSET(:gtid, @@GLOBAL.gtid_executed) AS used"
        if database.query(sql, {"gtid": gtid})[0].used:
            used.add(name)
    return frozenset(used)


def _ledger_tables(database: Database) -> frozenset[str]:
    sql = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'dts'"
    return frozenset(row.name for row in database.query(sql))


def _rights(database: Database) -> set[str]:
    """The privileges that the account holds anywhere, as SHOW GRANTS spells them."""
    found: set[str] = set()
    for row in database.query("SHOW GRANTS"):
        match = re.match(r"GRANT (.+?) ON ", row[0])
        if match:
            found |= {part.strip().upper() for part in match[1].split(",")}
    return found


def _holds(rights: set[str], right: str) -> bool:
    return bool(rights & {right, "ALL PRIVILEGES", "SUPER" if right == "PROCESS" else right})


def _triggers(database: Database, dialect: Dialect, rights: set[str]) -> tuple[Trigger, ...] | None:
    # MySQL hides triggers from accounts without the TRIGGER privilege; MariaDB shows them.
    if dialect is Dialect.MYSQL and not _holds(rights, "TRIGGER"):
        return None
    name_of = database.names.common
    return tuple(
        Trigger(name_of(f"{r.sch}.{r.tbl}"), r.name, r.timing, r.event, r.statement or "")
        for r in database.query(_TRIGGERS)
    )


def _replicas(database: Database, rights: set[str], connector_user: str) -> int | None:
    if not _holds(rights, "PROCESS"):
        return None
    return int(database.query(_BINLOG_READERS, {"connector": connector_user})[0].readers)


def _clock(database: Database) -> tuple[float, float]:
    """Seconds by which the server's clock is ahead of this machine's, and how unsure that is."""
    with database.connect() as connection:
        connection.scalar(text("SELECT 1"))  # the way there is warm now
        before = time.time()
        # Seconds since 1970, whatever the session's time zone.
        there = float(connection.scalar(text("SELECT UNIX_TIMESTAMP(NOW(6))")))
        after = time.time()
    return there - (before + after) / 2, (after - before) / 2


def _trial_columns(tables: Mapping[str, Table], ledger: Iterable[str]) -> dict[str, str]:
    """A column of each table, as the site calls it, by which an UPDATE can be tried."""
    found = {
        name: (*key_columns(table), table.columns[0])[0].own_name for name, table in tables.items()
    }
    for name in ledger:
        if name in _LEDGER_COLUMNS:
            found[f"{LEDGER_SCHEMA}.{name}"] = _LEDGER_COLUMNS[name]
    return found


def _refused(database: Database, columns: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The rights on each table that EXPLAIN was refused for; it needs them and changes nothing."""
    found = {}
    with database.raw() as connection:
        for name, column in columns.items():
            place = ".".join(quoted(part) for part in database.names.own(name).split(".", 1))
            trials = {
                "SELECT": f"EXPLAIN SELECT {quoted(column)} FROM {place} WHERE 1 = 0",
                "INSERT": f"EXPLAIN INSERT INTO {place} () VALUES ()",
                "UPDATE": f"EXPLAIN UPDATE {place} SET {quoted(column)} = NULL WHERE 1 = 0",
                "DELETE": f"EXPLAIN DELETE FROM {place} WHERE 1 = 0",
            }
            refused = tuple(r for r, sql in trials.items() if _error(connection, sql) in _REFUSED)
            if refused:
                found[name] = refused
    return found


def _refused_stage(database: Database) -> dict[str, tuple[str, ...]]:
    """Whether a batch may be staged; a temporary table is its session's and not in the binlog."""
    if _first_error(database, _STAGE_TRIALS) in _REFUSED:
        return {f"{LEDGER_SCHEMA}.*": ("CREATE TEMPORARY TABLES",)}
    return {}


def _first_error(database: Database, statements: Sequence[str]) -> int:
    """Runs statements in a session of their own; the number of the first error, 0 for none."""
    with database.raw() as connection:
        return next((n for sql in statements if (n := _error(connection, sql))), 0)


def _error(connection: Any, sql: str) -> int:
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            cursor.fetchall()
    except pymysql.err.OperationalError as error:
        number = error_number(error)
        if number >= 2000 and number < 3000:  # the connection itself is gone
            raise
        return number
    except pymysql.MySQLError as error:
        return error_number(error)
    return 0
