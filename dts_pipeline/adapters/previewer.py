"""Classifies a batch as apply does, in a transaction that may not write and is rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
from pymysql.cursors import Cursor

from dts_pipeline.adapters.apply_request import ApplyRequest
from dts_pipeline.adapters.database import Database, translated
from dts_pipeline.adapters.mysql_writer import BatchWriter
from dts_pipeline.adapters.staging import StagedTable
from dts_pipeline.adapters.unique_preview import foresee_unique, prepare_unique
from dts_pipeline.adapters.verdicts import classify
from dts_pipeline.core.previews import PreviewedKey, outcomes, previewed
from dts_pipeline.core.statements import LEDGER_SCHEMA
from dts_pipeline.errors import TerminalError


@dataclass
class Foreseen:
    """The counts of each table as apply would report them, the first keys, the tables that stop."""

    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    keys: list[PreviewedKey] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)


def foresee(database: Database, request: ApplyRequest, limit: int) -> Foreseen:
    """What applying the batch now would do, and its first `limit` keys.

    Only temporary tables are written. No row lock is taken, no number of a mark is used and
    nothing is left in the ledger: the server itself refuses writes in this transaction. Raises
    PoisonError and TerminalError as staging does.
    """
    where = {"link": request.link.name}
    with database.raw(where=where) as connection, translated(where):
        cursor = connection.cursor()
        connection.select_db(LEDGER_SCHEMA)
        staged = BatchWriter(database).stage(cursor, request)
        for table in staged:
            table.statements = replace(table.statements, locking=False)
            prepare_unique(cursor, table)
        connection.commit()
        cursor.execute("START TRANSACTION READ ONLY")
        try:
            return _look(cursor, request, staged, limit)
        finally:
            connection.rollback()


def _look(
    cursor: Cursor, request: ApplyRequest, staged: Sequence[StagedTable], limit: int
) -> Foreseen:
    found = Foreseen()
    for table in staged:
        going = _classified(cursor, request, table)
        stops = not (foresee_unique(cursor, request.link, table) and going)
        cursor.execute(table.statements.expected_counts())
        deleted, updated, inserted = (int(n) for n in cursor.fetchone() or (0, 0, 0))
        written = {"deleted": deleted, "updated": updated, "inserted": inserted}
        name = table.table.full_name
        waiting = {"quarantined": len(table.left_out)} if table.left_out else {}
        found.tables[name] = {**table.counts, **written, **waiting}
        found.stops += [name] if stops else []
        found.keys += _keys(cursor, table, limit - len(found.keys), stops)
    return found


def _classified(cursor: Cursor, request: ApplyRequest, table: StagedTable) -> bool:
    """False where the policy `fail` would stop the link; the verdicts are there all the same."""
    try:
        classify(cursor, request, table)
    except TerminalError as error:
        if error.code != "conflict":
            raise
        return False
    return True


def _keys(cursor: Cursor, table: StagedTable, limit: int, stops: bool) -> list[PreviewedKey]:
    if limit <= 0:
        return []
    cursor.execute(outcomes(table.statements), (limit,))
    columns = ["ord", "meeting", "found", "won", "is_delete"]
    verdicts = pd.DataFrame(list(cursor.fetchall()), columns=columns)
    return previewed(table.table.full_name, table.changes, verdicts, stops=stops)
