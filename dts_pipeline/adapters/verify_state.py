"""How far a comparison has come, kept in the ledger so that it can be taken up again."""

from __future__ import annotations

import json

import pandas as pd
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.mysql import insert

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.ledger_tables import verify
from dts_pipeline.core.row_values import from_json, to_json
from dts_pipeline.core.schema import Table
from dts_pipeline.core.verification import TableProgress

_NOW = text("UTC_TIMESTAMP(6)")


class VerifyState:
    """The rows of `dts.verify` of one comparison, in the ledger of one of its sites."""

    def __init__(self, database: Database, name: str) -> None:
        """`name` is the pair's or the one-way link's."""
        self._database = database
        self._name = name

    def forget(self) -> None:
        """Removes what an earlier comparison left."""
        with self._database.connect(where={"name": self._name}) as connection:
            connection.execute(delete(verify).where(verify.c.name == self._name))
            connection.commit()

    def load(self, table: Table) -> TableProgress:
        """How far a table was read; its beginning where nothing is kept."""
        with self._database.connect(where={"name": self._name}) as connection:
            row = connection.execute(
                select(verify).where(
                    verify.c.name == self._name, verify.c.table_name == table.full_name
                )
            ).first()
        if row is None:
            return TableProgress(table.full_name)
        key = table.primary_key
        keys = [from_json(key, entry) for entry in json.loads(row.candidates)]
        return TableProgress(
            table=table.full_name,
            position=from_json(key, row.position) if row.position else None,
            rows=(row.rows_first, row.rows_second),
            chunks=row.chunks,
            candidates=[pd.DataFrame(keys, columns=list(key), dtype=object)],
            truncated=bool(row.truncated),
            done=row.state == "done",
        )

    def save(self, table: Table, progress: TableProgress) -> None:
        """Keeps how far a table was read; a small write a chunk."""
        key = table.primary_key
        candidates = progress.keys(key)
        rows = zip(*(candidates[name] for name in key), strict=True)
        values = {
            "position": to_json(key, progress.position) if progress.position else None,
            "rows_first": progress.rows[0],
            "rows_second": progress.rows[1],
            "chunks": progress.chunks,
            "candidates": json.dumps([to_json(key, row) for row in rows]),
            "truncated": progress.truncated,
            "state": "done" if progress.done else "running",
            "changed_at": _NOW,
        }
        statement = insert(verify).values(
            name=self._name, table_name=table.full_name, started_at=_NOW, **values
        )
        with self._database.connect(where={"name": self._name}) as connection:
            connection.execute(statement.on_duplicate_key_update(**values))
            connection.commit()
