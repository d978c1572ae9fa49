"""The records of `dts.conflict` as reconcile sees them: which are open, closing, opening."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pymysql.cursors import Cursor
from sqlalchemy import select

from dts_pipeline.adapters import ledger_tables as t
from dts_pipeline.adapters.database import Database
from dts_pipeline.core.conflicts import Kind, Winner

_CHUNK = 1_000
_OPEN = (
    "INSERT IGNORE INTO `dts`.`conflict` (link, lane, batch, table_name, key_hash, key_json, kind, "
    "decision, before_json, after_json, found_json, state, open_slot, times, opened_at, changed_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, NULL, %s, %s, 'open', 1, 1, UTC_TIMESTAMP(6), "
    "UTC_TIMESTAMP(6))"
)
OWN_KEYS = frozenset({Kind.REPLAY, Kind.REPAIR, Kind.UNIQUE_HOLDER, Kind.CASCADE})
"""Kinds whose `key_json` is `row_values.to_json` of a row; others hold Debezium's key."""


@dataclass(frozen=True)
class OpenRecord:
    """An open record at `site`; `times` changes when it is brought up to date."""

    site: str
    id: int
    times: int
    link: str
    table: str
    kind: Kind
    key_json: str


@dataclass(frozen=True)
class Overwritten:
    """A row that a reconcile wrote over, or took away: its key and both rows as JSON."""

    table: str
    key_json: str
    written: str | None
    found: str | None


def open_records(
    database: Database, link: str, at_most: int, after: int = 0, table: str | None = None
) -> list[OpenRecord]:
    """A link's open records at its target, oldest first, from behind id `after` on."""
    c = t.conflict.c
    query = (
        select(c.id, c.times, c.table_name, c.kind, c.key_json)
        .where(c.state == "open", c.link == link, c.id > after)
        .order_by(c.id)
        .limit(at_most)
    )
    if table is not None:
        query = query.where(c.table_name == table)
    with database.connect(where={"link": link}) as connection:
        rows = connection.execute(query).fetchall()
    return [
        OpenRecord(database.site, r.id, r.times, link, r.table_name, Kind(r.kind), r.key_json)
        for r in rows
    ]


def own_records(
    database: Database, link: str, table: str, keys: Sequence[str]
) -> dict[str, OpenRecord]:
    """The open records that this link has of these keys (`to_json`), by key."""
    c = t.conflict.c
    found: dict[str, OpenRecord] = {}
    hashes = [own_hash(table, key) for key in keys]
    with database.connect(where={"link": link}) as connection:
        for start in range(0, len(hashes), _CHUNK):
            query = select(c.id, c.times, c.kind, c.key_json).where(
                c.state == "open",
                c.link == link,
                c.table_name == table,
                c.key_hash.in_(hashes[start : start + _CHUNK]),
            )
            for r in connection.execute(query):
                found[r.key_json] = OpenRecord(
                    database.site, r.id, r.times, link, table, Kind(r.kind), r.key_json
                )
    return found


def close_records(cursor: Cursor, records: Sequence[OpenRecord]) -> int:
    """Closes those that nobody brought up to date since they were read; how many."""
    closed = 0
    for start in range(0, len(records), _CHUNK):
        part = records[start : start + _CHUNK]
        places = ", ".join(["(%s, %s)"] * len(part))
        closed += cursor.execute(
            "UPDATE `dts`.`conflict` SET state = 'closed', open_slot = NULL, "
            f"changed_at = UTC_TIMESTAMP(6) WHERE state = 'open' AND (id, times) IN ({places})",
            [value for record in part for value in (record.id, record.times)],
        )
    return closed


def open_own_records(
    cursor: Cursor,
    link: str,
    lane: str,
    batch: int,
    kind: Kind,
    rows: Iterable[Overwritten],
    decision: Winner = Winner.SOURCE,
) -> None:
    """A record for each row that reconcile wrote over, unless the key has an open one already."""
    values = [
        (
            *(link, lane, batch, row.table, own_hash(row.table, row.key_json), row.key_json),
            *(kind.value, decision.value, row.written, row.found),
        )
        for row in rows
    ]
    if values:
        cursor.executemany(_OPEN, values)


def own_hash(table: str, key_json: str) -> bytes:
    """What identifies a key in reconcile's own spelling."""
    return hashlib.sha256(table.encode() + b"\0" + key_json.encode()).digest()
