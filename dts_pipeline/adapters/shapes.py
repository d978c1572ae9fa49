"""What links under `ddl: additive` remember and have done, in the ledger of their target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, text
from sqlalchemy.dialects.mysql import insert as mysql_insert

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.ledger_tables import schema_change, shape
from dts_pipeline.core.ddl import Change
from dts_pipeline.core.shapes import Shape

_NOW = text("UTC_TIMESTAMP(6)")
_DAY = text("UTC_TIMESTAMP(6) - INTERVAL 1 DAY")
_SHOWN = 20


@dataclass(frozen=True)
class SchemaChange:
    """A statement that a link ran at its target; the time in UTC."""

    table: str
    statement: str
    at: datetime


class Shapes:
    """The rows of one link; every method is a short transaction of its own."""

    def __init__(self, database: Database, link: str) -> None:
        """`database` is the link's target."""
        self._database = database
        self._link = link

    def read(self, matches: Callable[[str], bool]) -> dict[str, Shape]:
        """What is remembered of the tables that match."""
        with self._database.connect(where={"link": self._link}) as connection:
            rows = connection.execute(select(shape).where(shape.c.link == self._link)).fetchall()
        return {
            row.table_name: Shape.from_json(row.definition)
            for row in rows
            if matches(row.table_name)
        }

    def keep(self, before: Mapping[str, Shape], now: Mapping[str, Shape]) -> None:
        """Remembers `now` in the place of `before`; writes only what is different."""
        changed = {name: one for name, one in now.items() if before.get(name) != one}
        gone = list(before.keys() - now.keys())
        if not changed and not gone:
            return
        c = shape.c
        with self._database.connect(where={"link": self._link}) as connection:
            for name, one in changed.items():
                values = {"definition": one.to_json(), "changed_at": _NOW}
                row = mysql_insert(shape).values(link=self._link, table_name=name, **values)
                connection.execute(row.on_duplicate_key_update(**values))
            if gone:
                connection.execute(
                    delete(shape).where(c.link == self._link, c.table_name.in_(gone))
                )
            connection.commit()

    def note(self, change: Change, run: str) -> None:
        """Keeps a statement that was run."""
        values = {"link": self._link, "table_name": change.table, "statement": change.statement}
        with self._database.connect(where={"link": self._link}) as connection:
            connection.execute(insert(schema_change).values(**values, run=run, changed_at=_NOW))
            connection.commit()

    def recent(self) -> list[SchemaChange]:
        """What the link ran within a day, the newest first."""
        c = schema_change.c
        query = (
            select(c.table_name, c.statement, c.changed_at)
            .where(c.link == self._link, c.changed_at > _DAY)
            .order_by(c.id.desc())
            .limit(_SHOWN)
        )
        with self._database.connect(where={"link": self._link}) as connection:
            rows = connection.execute(query).fetchall()
        return [SchemaChange(row.table_name, row.statement, row.changed_at) for row in rows]
