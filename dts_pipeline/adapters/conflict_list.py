"""`dts.conflict` as the command line reads it: listed, filtered, one by its id."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from dts_pipeline.adapters import ledger_tables as t
from dts_pipeline.adapters.database import Database


@dataclass(frozen=True)
class Listed:
    """A record at `site`; `key`, `before`, `after` and `found` are JSON. Times in UTC."""

    site: str
    id: int
    link: str
    batch: int
    table: str
    key: str
    kind: str
    decision: str
    state: str
    times: int
    opened_at: datetime
    changed_at: datetime
    before: str | None
    after: str | None
    found: str | None


@dataclass(frozen=True)
class Filter:
    """Which records; None stands for all. `state` is open, closed or all."""

    table: str | None = None
    kind: str | None = None
    state: str = "open"


def listed(
    database: Database, links: Collection[str], wanted: Filter, at_most: int
) -> list[Listed]:
    """The records of these links at their target, the newest changes first."""
    c = t.conflict.c
    query = select(t.conflict).where(c.link.in_(list(links)))
    if wanted.table is not None:
        query = query.where(c.table_name == wanted.table)
    if wanted.kind is not None:
        query = query.where(c.kind == wanted.kind)
    if wanted.state != "all":
        query = query.where(c.state == wanted.state)
    query = query.order_by(c.changed_at.desc(), c.id.desc()).limit(at_most)
    with database.connect() as connection:
        return [_listed(database.site, row) for row in connection.execute(query)]


def one(database: Database, number: int) -> Listed | None:
    """The record of that id at the site."""
    with database.connect() as connection:
        row = connection.execute(select(t.conflict).where(t.conflict.c.id == number)).first()
    return _listed(database.site, row) if row else None


def _listed(site: str, row: Any) -> Listed:
    return Listed(
        site=site,
        id=row.id,
        link=row.link,
        batch=row.batch,
        table=row.table_name,
        key=row.key_json,
        kind=row.kind,
        decision=row.decision,
        state=row.state,
        times=row.times,
        opened_at=row.opened_at,
        changed_at=row.changed_at,
        before=row.before_json,
        after=row.after_json,
        found=row.found_json,
    )
