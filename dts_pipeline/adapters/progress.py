"""`dts.progress`: where a lane stood after its last run, and how its last failed run ended."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping

import pymysql

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.totals import FAILURES, RUNS, SECONDS, add_totals
from dts_pipeline.errors import DtsError

_SUCCESS = (
    "INSERT INTO `dts`.`progress` (link, lane, lag_seconds, behind, succeeded_at, run) "
    "VALUES (%s, %s, %s, %s, UTC_TIMESTAMP(6), %s) ON DUPLICATE KEY UPDATE "
    "lag_seconds = VALUES(lag_seconds), behind = VALUES(behind), "
    "succeeded_at = VALUES(succeeded_at), run = VALUES(run)"
)
_FAILURE = (
    "INSERT INTO `dts`.`progress` (link, lane, failed_at, run, error) "
    "VALUES (%s, %s, UTC_TIMESTAMP(6), %s, %s) ON DUPLICATE KEY UPDATE "
    "failed_at = VALUES(failed_at), run = VALUES(run), error = VALUES(error)"
)


def note_success(
    database: Database,
    place: tuple[str, str],
    run: str,
    *,
    lag_seconds: float,
    behind: int,
    seconds: Mapping[str, float],
) -> None:
    """Notes where the lane at `place` (link, lane) stands, and adds the stages' seconds."""
    totals = {f"{SECONDS}{stage}": value for stage, value in seconds.items()}
    with database.raw(where={"link": place[0]}) as connection:
        cursor = connection.cursor()
        cursor.execute(_SUCCESS, (*place, round(lag_seconds, 3), behind, run))
        add_totals(cursor, *place, {RUNS: 1, **totals})
        connection.commit()


def note_failure(database: Database, place: tuple[str, str], run: str, error: DtsError) -> None:
    """Notes how a run of the lane ended; nothing where the ledger cannot be written."""
    with (
        contextlib.suppress(DtsError, pymysql.MySQLError, OSError),
        database.raw(where={"link": place[0]}) as connection,
    ):
        cursor = connection.cursor()
        cursor.execute(_FAILURE, (*place, run, json.dumps(error.to_dict())))
        add_totals(cursor, *place, {f"{FAILURES}{error.code}": 1})
        connection.commit()
