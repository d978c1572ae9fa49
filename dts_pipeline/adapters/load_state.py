"""How far the load of each table has come, in `dts.load`: what tells an open load from an ended."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from sqlalchemy import select, text
from sqlalchemy.dialects.mysql import insert

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.ledger_tables import load
from dts_pipeline.core.load import LoadState, TableLoad
from dts_pipeline.core.row_values import from_json, to_json
from dts_pipeline.core.schema import Table

_NOW = text("UTC_TIMESTAMP(6)")
_LEFT = "left"


class LoadStates:
    """The rows of `dts.load` of one pair or one-way link, in the ledger of its second site."""

    def __init__(self, database: Database, name: str) -> None:
        """`name` is the pair's or the one-way link's."""
        self._database = database
        self._name = name

    def all(self, tables: Mapping[str, Table] | None = None) -> dict[str, TableLoad]:
        """Every table's load by name; positions are read for those in `tables` only."""
        with self._database.connect(where={"name": self._name}) as connection:
            rows = connection.execute(
                select(load).where(load.c.name == self._name).order_by(load.c.table_name)
            ).fetchall()
        found = {}
        for row in rows:
            table = (tables or {}).get(row.table_name)
            counts = Counter[str](json.loads(row.counts))
            left = counts.pop(_LEFT, 0)
            place = from_json(table.primary_key, row.position) if table and row.position else None
            found[row.table_name] = TableLoad(
                table=row.table_name,
                state=LoadState(row.state),
                position=place,
                rows=row.rows_read,
                expected=row.rows_expected,
                seconds=float(row.seconds),
                counts=counts,
                left=left,
                source=row.source,
            )
        return found

    def save(self, table: Table, standing: TableLoad) -> None:
        """Keeps where the load of a table stands."""
        position = standing.position
        values = {
            "state": standing.state.value,
            "position": to_json(table.primary_key, position) if position else None,
            "rows_read": standing.rows,
            "rows_expected": standing.expected,
            "counts": json.dumps({**standing.counts, _LEFT: standing.left}),
            "seconds": round(standing.seconds),
            "source": standing.source,
            "changed_at": _NOW,
        }
        statement = insert(load).values(
            name=self._name, table_name=table.full_name, started_at=_NOW, **values
        )
        with self._database.connect(where={"name": self._name}) as connection:
            connection.execute(statement.on_duplicate_key_update(**values))
            connection.commit()
