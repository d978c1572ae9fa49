"""Removes from a target's ledger what is too old to be asked for again.

Each DELETE is a short transaction of its own. Never touched: checkpoints, open records, keys in
quarantine (an entry goes when it is retried or discarded), and what the loop audit compares, which
goes by itself once it was compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import and_, delete, func, or_, select, text
from sqlalchemy.sql.elements import ColumnElement

from dts_pipeline.adapters import ledger_tables as t
from dts_pipeline.adapters.database import Database
from dts_pipeline.core.ranges import TopicPartition

KEPT_BATCHES = 100
"""How many of a lane's newest batches stay, however old.

The newest one tells a run that was killed after its COMMIT that its batch is applied, and holds the
lane's last generation; the check of touched keys reads as many as these.
"""
_CHUNK = 1_000
_PLACE = (t.batch.c.lane, t.batch.c.generation, t.batch.c.batch)
Place = tuple[str, int, int]


def prune_records(database: Database, link: str, days: float) -> int:
    """Removes the link's records that were closed more than `days` ago; how many."""
    c = t.conflict.c
    old = select(c.id).where(c.state == "closed", c.link == link, c.changed_at < _before(days))
    gone = 0
    with database.connect(where={"link": link}) as connection:
        while ids := list(connection.scalars(old.order_by(c.id).limit(_CHUNK))):
            closed = delete(t.conflict).where(c.id.in_(ids), c.state == "closed")
            gone += connection.execute(closed).rowcount
            connection.commit()
    return gone


def old_batches(
    database: Database, link: str, days: float
) -> Iterator[list[tuple[Place, dict[TopicPartition, int]]]]:
    """The batches that may go by their age, in parts, oldest first: place, and where it ended.

    Of the topic-partitions only those that the batch has read from.
    """
    newest = {lane: _oldest_kept(database, link, lane) for lane in _lanes(database, link)}
    c = t.batch.c
    for lane, kept in newest.items():
        if kept is None:
            continue
        after: tuple[int, int] = (-1, -1)
        while True:
            query = (
                select(c.generation, c.batch, c.from_offsets, c.until_offsets)
                .where(
                    c.link == link,
                    c.lane == lane,
                    _place_is(after, "after"),
                    _place_is(kept, "before"),
                    c.committed_at < _before(days),
                )
                .order_by(c.generation, c.batch)
                .limit(_CHUNK)
            )
            with database.connect(where={"link": link}) as connection:
                rows = connection.execute(query).fetchall()
            if not rows:
                break
            after = (rows[-1].generation, rows[-1].batch)
            yield [
                ((lane, row.generation, row.batch), _read(row.from_offsets, row.until_offsets))
                for row in rows
            ]


def remove_batches(database: Database, link: str, places: Sequence[Place]) -> int:
    """Removes these batches; how many."""
    if not places:
        return 0
    c = t.batch.c
    of_lanes: dict[tuple[str, int], list[int]] = {}
    for lane, generation, batch in places:
        of_lanes.setdefault((lane, generation), []).append(batch)
    gone = 0
    with database.connect(where={"link": link}) as connection:
        for (lane, generation), numbers in of_lanes.items():
            wanted = delete(t.batch).where(
                c.link == link, c.lane == lane, c.generation == generation, c.batch.in_(numbers)
            )
            gone += connection.execute(wanted).rowcount
            connection.commit()
    return gone


def _lanes(database: Database, link: str) -> list[str]:
    with database.connect(where={"link": link}) as connection:
        query = select(t.batch.c.lane).where(t.batch.c.link == link).distinct()
        return list(connection.scalars(query))


def _oldest_kept(database: Database, link: str, lane: str) -> tuple[int, int] | None:
    """Generation and number of the oldest of the lane's batches that stay; None: all stay."""
    c = t.batch.c
    query = (
        select(c.generation, c.batch)
        .where(c.link == link, c.lane == lane)
        .order_by(c.generation.desc(), c.batch.desc())
        .offset(KEPT_BATCHES - 1)
        .limit(1)
    )
    with database.connect(where={"link": link}) as connection:
        row = connection.execute(query).first()
    return (row.generation, row.batch) if row else None


def _place_is(place: tuple[int, int], side: str) -> ColumnElement[bool]:
    """Generation and number before or after a batch, in a form that the primary key serves."""
    c, (generation, batch) = t.batch.c, place
    if side == "after":
        return or_(c.generation > generation, and_(c.generation == generation, c.batch > batch))
    return or_(c.generation < generation, and_(c.generation == generation, c.batch < batch))


def _read(from_json: str, until_json: str) -> dict[TopicPartition, int]:
    begins: Mapping[str, int] = json.loads(from_json)
    ends: Mapping[str, int] = json.loads(until_json)
    return {_parsed(name): end for name, end in ends.items() if end > begins.get(name, 0)}


def _parsed(name: str) -> TopicPartition:
    topic, _, number = name.removesuffix("]").rpartition("[")
    return TopicPartition(topic, int(number))


def _before(days: float) -> ColumnElement[object]:
    return func.timestampadd(text("SECOND"), -int(days * 86_400), text("UTC_TIMESTAMP(6)"))
