"""Reads and prepares the ledger in a target; batches move it in their own transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Update, func, insert, select, text, update
from sqlalchemy.dialects.mysql import insert as mysql_insert

from dts_pipeline.adapters import ledger_tables as t
from dts_pipeline.adapters.database import Database
from dts_pipeline.core.batches import Checkpoint, PartitionCheckpoint, SourcePosition
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import TerminalError

_NOW = text("UTC_TIMESTAMP(6)")


class Ledger:
    """The ledger of one site; every method is a short transaction of its own."""

    def __init__(self, database: Database) -> None:
        """`database` is the site that holds the ledger: a link's target."""
        self.database = database

    def ddl(self) -> list[str]:
        """What `create` runs."""
        return t.create_statements(self.database.engine.dialect)

    def create(self, version: str, installation: str | None = None) -> str:
        """Makes what is missing of the ledger and gives the installation's id."""
        with self.database.connect() as connection:
            existing = connection.execute(
                text("SELECT 1 FROM information_schema.schemata WHERE schema_name = :s"),
                {"s": t.SCHEMA},
            ).first()
            more = t.added_columns(self.database.engine.dialect, _known_columns(connection))
            more += t.changed_constraints(_known_constraints(connection))
            for statement in [*self.ddl()[1 if existing else 0 :], *more]:
                connection.exec_driver_sql(statement)
            found = connection.scalar(select(t.installation.c.id))
            if found is None:
                found = installation or str(uuid.uuid4())
                connection.execute(
                    insert(t.installation).values(id=found, version=version, created_at=_NOW)
                )
                connection.commit()
            return str(found)

    def installation(self) -> str:
        """The installation's id; raises TerminalError `ledger_missing`."""
        with self.database.connect() as connection:
            if not _exists(connection):
                raise self._missing()
            found = connection.scalar(select(t.installation.c.id))
        if found is None:
            raise self._missing()
        return str(found)

    def read(self, link: str, lane: str) -> Checkpoint | None:
        """A lane's checkpoint; None if it never had one."""
        with self.database.connect(where={"link": link}) as connection:
            row = connection.execute(
                select(t.checkpoint).where(t.checkpoint.c.link == link, t.checkpoint.c.lane == lane)
            ).first()
        return _checkpoint(row) if row else None

    def lanes(self, link: str) -> dict[str, Checkpoint]:
        """All checkpoints of a link, by lane."""
        with self.database.connect(where={"link": link}) as connection:
            rows = connection.execute(select(t.checkpoint).where(t.checkpoint.c.link == link))
            return {row.lane: _checkpoint(row) for row in rows}

    def split(self, old: Checkpoint, rest: Checkpoint, new: Sequence[Checkpoint]) -> bool:
        """Begins lanes where `old` stands, which keeps `rest`; False if it has moved meanwhile."""
        values = [
            {
                "link": lane.link,
                "lane": lane.lane,
                "generation": self._last_generation(lane.link, lane.lane) + 1,
                "paused": False,
                "session_id": 0,
                "updated_at": _NOW,
                **columns(lane),
            }
            for lane in new
        ]
        with self.database.connect(where={"link": old.link}) as connection:
            moved = connection.execute(_standing(old).values(updated_at=_NOW, **columns(rest)))
            if moved.rowcount != 1:
                connection.rollback()
                return False
            for row in values:
                connection.execute(insert(t.checkpoint).values(row))
            connection.commit()
        return True

    def begin(self, checkpoint: Checkpoint) -> Checkpoint:
        """Writes a lane's first checkpoint, unless another run did so before; gives what stands.

        A lane that ran before its row was deleted gets the generation after its last, and with it
        GTIDs that were never used.
        """
        values = {
            "link": checkpoint.link,
            "lane": checkpoint.lane,
            "generation": self._last_generation(checkpoint.link, checkpoint.lane) + 1,
            "paused": False,
            "session_id": 0,
            "updated_at": _NOW,
            **columns(checkpoint),
        }
        with self.database.connect(where={"link": checkpoint.link}) as connection:
            connection.execute(mysql_insert(t.checkpoint).values(values).prefix_with("IGNORE"))
            connection.commit()
        standing = self.read(checkpoint.link, checkpoint.lane)
        assert standing is not None
        return standing

    def _last_generation(self, link: str, lane: str) -> int:
        with self.database.connect(where={"link": link}) as connection:
            last = connection.scalar(
                select(func.max(t.batch.c.generation)).where(
                    t.batch.c.link == link, t.batch.c.lane == lane
                )
            )
        return int(last or 0)

    def add_partitions(self, old: Checkpoint, new: Checkpoint) -> Checkpoint:
        """Adds new tables' topic-partitions to a checkpoint, by compare-and-set."""
        with self.database.connect(where={"link": old.link}) as connection:
            connection.execute(_standing(old).values(updated_at=_NOW, **columns(new)))
            connection.commit()
        standing = self.read(old.link, old.lane)
        assert standing is not None
        return standing

    def batch_until(self, link: str, lane: str, generation: int, number: int) -> str | None:
        """The offsets that a batch of the ledger ended at, as JSON; None if there is none."""
        with self.database.connect(where={"link": link}) as connection:
            found = connection.scalar(
                select(t.batch.c.until_offsets).where(
                    t.batch.c.link == link,
                    t.batch.c.lane == lane,
                    t.batch.c.generation == generation,
                    t.batch.c.batch == number,
                )
            )
        return None if found is None else str(found)

    def newest_batches(self, link: str, lane: str, at_most: int = 100) -> Sequence[Any]:
        """The newest batches of a lane's standing generation: batch, from_offsets, until_offsets.

        Newest first; each begins where the one after it in this list ends.
        """
        c = t.batch.c
        last = select(func.max(c.generation)).where(c.link == link, c.lane == lane)
        query = (
            select(c.batch, c.from_offsets, c.until_offsets)
            .where(c.link == link, c.lane == lane, c.generation == last.scalar_subquery())
            .order_by(c.batch.desc())
            .limit(at_most)
        )
        with self.database.connect(where={"link": link}) as connection:
            return connection.execute(query).fetchall()

    def set_paused(self, link: str, lane: str, paused: bool) -> bool:
        """Pauses or resumes a lane; False if it has no checkpoint yet."""
        with self.database.connect(where={"link": link}) as connection:
            result = connection.execute(
                update(t.checkpoint)
                .where(t.checkpoint.c.link == link, t.checkpoint.c.lane == lane)
                .values(paused=paused)
            )
            connection.commit()
        return bool(result.rowcount)

    def open_conflicts(self, link: str) -> dict[str, int]:
        """How many records of a link are open, by `table/kind`."""
        with self.database.connect(where={"link": link}) as connection:
            rows = connection.execute(
                select(t.conflict.c.table_name, t.conflict.c.kind, func.count())
                .where(t.conflict.c.link == link, t.conflict.c.state == "open")
                .group_by(t.conflict.c.table_name, t.conflict.c.kind)
            ).fetchall()
        return {f"{table}/{kind}": int(count) for table, kind, count in rows}

    def _missing(self) -> TerminalError:
        return TerminalError(
            "ledger_missing",
            "the ledger's tables are missing",
            where={"site": self.database.site, "schema": t.SCHEMA},
            remedy="Run `dts init`, or have an administrator run what `dts init --print` shows.",
        )


def _standing(old: Checkpoint) -> Update:
    """An UPDATE of a checkpoint that still is as it was read."""
    c = t.checkpoint.c
    return update(t.checkpoint).where(
        c.link == old.link,
        c.lane == old.lane,
        c.generation == old.generation,
        c.batch == old.batch,
        c.offsets == old.offsets_json(),
    )


def _known_columns(connection: Connection) -> dict[str, set[str]]:
    """The columns of the ledger's tables that are there, by table."""
    rows = connection.execute(
        text(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = :s"
        ),
        {"s": t.SCHEMA},
    )
    known: dict[str, set[str]] = {}
    for table, column in rows:
        known.setdefault(table, set()).add(column)
    return known


def _known_constraints(connection: Connection) -> dict[tuple[str, str], list[str]]:
    """The columns of the ledger's indexes that are there, in their order, by table and name."""
    rows = connection.execute(
        text(
            "SELECT table_name, index_name, column_name FROM information_schema.statistics "
            "WHERE table_schema = :s ORDER BY table_name, index_name, seq_in_index"
        ),
        {"s": t.SCHEMA},
    )
    known: dict[tuple[str, str], list[str]] = {}
    for table, index, column in rows:
        known.setdefault((table, index), []).append(column)
    return known


def _exists(connection: Connection) -> bool:
    return bool(
        connection.scalar(
            text(
                "SELECT COUNT(*) FROM information_schema.tables "
                "WHERE table_schema = 'dts' AND table_name = 'installation'"
            )
        )
    )


def columns(checkpoint: Checkpoint) -> dict[str, Any]:
    """The checkpoint's moving columns as the ledger stores them."""
    return {
        "batch": checkpoint.batch,
        "offsets": checkpoint.offsets_json(),
        "partitions": json.dumps(_partitions(checkpoint), separators=(",", ":")),
        "mark_sequence": checkpoint.mark_sequence,
        "incarnation": checkpoint.incarnation,
        "applied_gtids": checkpoint.applied_gtids,
    }


def _partitions(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    return [
        {
            "topic": tp.topic,
            "partition": tp.partition,
            "next": p.next_offset,
            "id": p.topic_id,
            "position": [p.position.file, p.position.pos, p.position.row, p.position.half]
            if p.position
            else None,
            "ts_ms": p.ts_ms,
        }
        for tp, p in sorted(checkpoint.partitions.items())
    ]


def _checkpoint(row: Any) -> Checkpoint:
    partitions: Mapping[TopicPartition, PartitionCheckpoint] = {
        TopicPartition(p["topic"], p["partition"]): PartitionCheckpoint(
            p["next"],
            p["id"],
            SourcePosition(*p["position"]) if p["position"] else None,
            p["ts_ms"],
        )
        for p in json.loads(row.partitions)
    }
    return Checkpoint(
        link=row.link,
        lane=row.lane,
        generation=row.generation,
        batch=row.batch,
        partitions=partitions,
        mark_sequence=row.mark_sequence,
        incarnation=row.incarnation,
        applied_gtids=row.applied_gtids,
        paused=bool(row.paused),
    )


def moved(checkpoint: Checkpoint, until: Mapping[TopicPartition, int]) -> Checkpoint:
    """The checkpoint one batch further, at the given next offsets."""
    partitions = {
        tp: replace(p, next_offset=until.get(tp, p.next_offset))
        for tp, p in checkpoint.partitions.items()
    }
    return replace(checkpoint, batch=checkpoint.batch + 1, partitions=partitions)
