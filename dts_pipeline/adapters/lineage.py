"""What the ledger knows of offsets and keys: the batches that covered them, the records of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
from sqlalchemy import bindparam, text

from dts_pipeline.adapters.database import Database
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.tracing import BATCH_COLUMNS

_BATCH = (
    "generation, batch, CAST(JSON_EXTRACT(from_offsets, :path) AS UNSIGNED) AS first_offset, "
    "CAST(JSON_EXTRACT(until_offsets, :path) AS UNSIGNED) AS until_offset, mark, "
    "JSON_UNQUOTE(JSON_EXTRACT(counts, '$.run')) AS run, committed_at "
    "FROM dts.batch WHERE link = :link"
)
_COVERING = (
    f"SELECT * FROM (SELECT {_BATCH} AND (:lane IS NULL OR lane = :lane)) AS b "
    "WHERE until_offset > first_offset AND until_offset > :low AND first_offset <= :high "
    "ORDER BY generation, batch"
)
_MARKED = f"SELECT {_BATCH} AND mark IN :marks ORDER BY generation, batch"
_RECORDS = (
    "SELECT id, link, batch, kind, decision, state, times, opened_at, changed_at "
    "FROM dts.conflict WHERE table_name = :table AND key_hash IN :hashes ORDER BY id"
)


def covering_batches(
    database: Database, link: str, lane: str | None, place: TopicPartition, low: int, high: int
) -> pd.DataFrame:
    """The batches of a lane (None: any) with an offset from `low` to `high`; BATCH_COLUMNS."""
    asked = {"link": link, "lane": lane, "path": _path(place), "low": low, "high": high}
    return _frame(database.query(_COVERING, asked))


def marked_batches(database: Database, link: str, marks: Sequence[str]) -> pd.DataFrame:
    """The batches that were written under these GTIDs; columns BATCH_COLUMNS, offsets empty."""
    if not marks:
        return _frame([])
    statement = text(_MARKED).bindparams(bindparam("marks", expanding=True))
    asked = {"link": link, "path": "$.none", "marks": list(marks)}
    with database.connect(where={"link": link}) as connection:
        return _frame(connection.execute(statement, asked).fetchall())


def records_of(database: Database, table: str, hashes: Sequence[bytes]) -> list[dict[str, Any]]:
    """The records of a key, open or closed, oldest first; times as ISO text, in UTC."""
    statement = text(_RECORDS).bindparams(bindparam("hashes", expanding=True))
    with database.connect() as connection:
        rows = connection.execute(statement, {"table": table, "hashes": list(hashes)}).mappings()
        return [
            {name: v.isoformat() if hasattr(v, "isoformat") else v for name, v in row.items()}
            for row in rows
        ]


def _path(place: TopicPartition) -> str:
    return f"$.{json.dumps(str(place))}"


def _frame(rows: Sequence[Any]) -> pd.DataFrame:
    frame = pd.DataFrame([tuple(row) for row in rows], columns=BATCH_COLUMNS)
    frame["committed_at"] = frame["committed_at"].map(
        lambda moment: moment.isoformat(timespec="milliseconds")
    )
    return frame
