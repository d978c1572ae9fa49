"""What the ledger says of a link in figures: for the exporter and for `dts status`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select, text

from dts_pipeline.adapters import ledger_tables as t
from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.loop_ledger import recent_findings

_RATE_SECONDS = 300
_LOOKED_AT = 500


@dataclass(frozen=True)
class LaneFigures:
    """One lane. `lag_seconds` goes on growing from the last run's; None before the first.

    `totals` is `dts.total`: counts of all batches, `runs`, `failures/CODE`, `seconds/STAGE`. Times
    in UTC. `error` is what ended the last run that failed: code, message, where, remedy.
    """

    lane: str
    generation: int | None = None
    batch: int | None = None
    paused: bool = False
    moved_at: datetime | None = None
    lag_seconds: float | None = None
    behind: int | None = None
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    error: Mapping[str, Any] | None = None
    totals: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_failing(self) -> bool:
        """Whether the newest run that ended here has failed."""
        if self.failed_at is None:
            return False
        return self.succeeded_at is None or self.failed_at > self.succeeded_at


@dataclass(frozen=True)
class LinkFigures:
    """One link: its lanes, and what is counted for all of them together.

    `conflicts` counts open records by table and kind, `loop` the loop audit's findings of a day.
    """

    lanes: tuple[LaneFigures, ...]
    conflicts: Mapping[tuple[str, str], int]
    quarantined: int
    loop: Mapping[str, int]


def read_figures(database: Database, link: str) -> LinkFigures:
    """Reads them from the ledger in the link's target, in one transaction but for `loop`."""
    with database.connect(where={"link": link}) as connection:
        lanes = _lanes(connection, link)
        conflicts = _conflicts(connection, link)
        held = connection.scalar(
            select(func.count()).select_from(t.quarantine).where(t.quarantine.c.link == link)
        )
    return LinkFigures(lanes, conflicts, int(held or 0), recent_findings(database, link))


def events_a_second(database: Database, link: str, lane: str) -> float:
    """The row events of the batches of the last five minutes, by second."""
    c = t.batch.c
    newest = (
        select(c.counts)
        .where(
            c.link == link,
            c.lane == lane,
            c.committed_at > text(f"UTC_TIMESTAMP(6) - INTERVAL {_RATE_SECONDS} SECOND"),
        )
        .order_by(c.generation.desc(), c.batch.desc())
        .limit(_LOOKED_AT)
    )
    with database.connect(where={"link": link}) as connection:
        counts = [json.loads(found) for found in connection.scalars(newest)]
    return float(sum(own.get("events", 0) for own in counts)) / _RATE_SECONDS


def last_batch(database: Database, link: str, lane: str) -> tuple[int, float] | None:
    """The events of a lane's newest batch, and how many seconds ago it was committed."""
    c = t.batch.c
    age = func.timestampdiff(text("MICROSECOND"), c.committed_at, text("UTC_TIMESTAMP(6)"))
    query = (
        select(c.counts, age)
        .where(c.link == link, c.lane == lane)
        .order_by(c.generation.desc(), c.batch.desc())
        .limit(1)
    )
    with database.connect(where={"link": link}) as connection:
        row = connection.execute(query).first()
    return (int(json.loads(row[0]).get("events", 0)), float(row[1]) / 1e6) if row else None


def _lanes(connection: Connection, link: str) -> tuple[LaneFigures, ...]:
    """Every lane that has a checkpoint, or of which a run has ended."""
    found: dict[str, dict[str, Any]] = {}
    (now,) = connection.execute(text("SELECT UTC_TIMESTAMP(6)")).one()
    c = t.checkpoint.c
    standing = select(c.lane, c.generation, c.batch, c.paused, c.updated_at).where(c.link == link)
    for lane, generation, batch, paused, moved in connection.execute(standing):
        found[lane] = {
            "generation": generation,
            "batch": batch,
            "paused": bool(paused),
            "moved_at": _utc(moved),
        }
    for row in connection.execute(select(t.progress).where(t.progress.c.link == link)):
        found.setdefault(row.lane, {}).update(_progress(row, now))
    totals: dict[str, dict[str, float]] = {}
    for row in connection.execute(select(t.total).where(t.total.c.link == link)):
        totals.setdefault(row.lane, {})[row.name] = float(row.value)
    return tuple(
        LaneFigures(lane, totals=totals.get(lane, {}), **own) for lane, own in sorted(found.items())
    )


def _progress(row: Any, now: datetime) -> dict[str, Any]:
    """The lag is the last run's, and what has passed since then by the server's own clock."""
    lag = None
    if row.lag_seconds is not None and row.succeeded_at is not None:
        passed = (now - row.succeeded_at).total_seconds()
        lag = float(row.lag_seconds) + max(0.0, passed)
    return {
        "lag_seconds": lag,
        "behind": row.behind,
        "succeeded_at": _utc(row.succeeded_at),
        "failed_at": _utc(row.failed_at),
        "error": json.loads(row.error) if row.error else None,
    }


def _conflicts(connection: Connection, link: str) -> dict[tuple[str, str], int]:
    c = t.conflict.c
    query = (
        select(c.table_name, c.kind, func.count())
        .where(c.link == link, c.state == "open")
        .group_by(c.table_name, c.kind)
    )
    return {(table, kind): int(count) for table, kind, count in connection.execute(query)}


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
