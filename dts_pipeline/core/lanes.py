"""Which lane holds which topic-partitions, and how a link is split into lanes.

Every topic-partition of a table stands in the checkpoint of exactly one lane (lanes by partition
all read every one). A lane without a checkpoint takes its own out of the one that has them, at the
very place in the source's transactions where that one stands, so nothing is carried twice or
passed over. Where tables have moved between lanes that both have a checkpoint there is no such
place, and the link stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dts_pipeline.core.batches import Checkpoint, PartitionCheckpoint
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.links import Link
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.schema import Table
from dts_pipeline.errors import TerminalError

Rows = Mapping[str, Checkpoint]
"""The checkpoints of a link by lane."""
Names = Mapping[str, str]
"""The tables of topics; of a table that is gone the topic's name has to do."""
_TEXT = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})


@dataclass(frozen=True)
class Split:
    """Lanes that begin where another one stands, which keeps `rest`."""

    old: Checkpoint
    rest: Checkpoint
    new: tuple[Checkpoint, ...]


def splits(link: Link, rows: Rows, names: Names) -> list[Split]:
    """The lanes that have no checkpoint yet, each with the one out of which it begins.

    Raises TerminalError `lanes_changed` where a lane's tables stand in several.
    """
    due: dict[str, list[Checkpoint]] = {}
    taken: dict[str, set[TopicPartition]] = {}
    sharing = {own.lane for own in link.whole.each_lane()} if link.by_partition else set()
    for lane in link.whole.each_lane():
        if lane.lane in rows:
            continue
        holders = [r for r in rows.values() if r.lane not in sharing and _places(lane, r, names)]
        if len(holders) > 1:
            raise _changed(link, lane.lane, [row.lane for row in holders])
        for row in holders:
            places = _places(lane, row, names)
            partitions = {
                tp: at
                for tp, at in row.partitions.items()
                if tp in places or tp.topic == link.transaction_topic
            }
            fresh = replace(row, lane=lane.lane, partitions=partitions, mark_sequence=0)
            due.setdefault(row.lane, []).append(replace(fresh, paused=False))
            taken.setdefault(row.lane, set()).update(places)
    return [
        Split(rows[name], _without(rows[name], taken[name]), tuple(new))
        for name, new in due.items()
    ]


def refuse_moved(link: Link, rows: Rows, names: Names) -> None:
    """Stops a lane whose tables stand in another lane's checkpoint, or that holds another's."""
    sharing = {own.lane for own in link.whole.each_lane()} if link.by_partition else set()
    for row in rows.values():
        if row.lane != link.lane and row.lane not in sharing and _places(link, row, names):
            raise _changed(link, link.lane, [row.lane])
    own = rows.get(link.lane)
    if own and _places(link.whole, own, names) - _places(link, own, names):
        raise _changed(link, link.lane, [link.lane])


def merged(link: Link, rows: Sequence[Checkpoint]) -> Checkpoint | None:
    """One checkpoint of several lanes, for what only reads; None unless all of them have one.

    Where lanes share a topic-partition it is the furthest behind that counts.
    """
    if not rows or len(rows) < len(link.each_lane()):
        return None
    if len(rows) == 1:
        return rows[0]
    partitions: dict[TopicPartition, PartitionCheckpoint] = {}
    applied = GtidSet()
    for row in rows:
        for tp, at in row.partitions.items():
            if tp not in partitions or at.next_offset < partitions[tp].next_offset:
                partitions[tp] = at
        applied.unite(GtidSet.parse(row.applied_gtids))
    return replace(
        max(rows, key=lambda row: row.batch),
        lane=link.lane,
        partitions=partitions,
        applied_gtids=str(applied),
        paused=any(row.paused for row in rows),
    )


def refuse_divided(link: Link, tables: Mapping[str, Table]) -> None:
    """Stops where rows that depend on each other would be written by different lanes.

    `tables` are all of the link's, by `schema.table`. Raises TerminalError `lanes_divide`.
    """
    for name, table in tables.items():
        for key in table.foreign_keys:
            if key.parent in tables and (link.by_partition or _lane(link, name, key.parent)):
                raise _divided(
                    link,
                    "a foreign key joins rows of different lanes",
                    "Put both tables into one lane.",
                    table=name,
                    parent=key.parent,
                    constraint=key.name,
                )
        if link.by_partition:
            _refuse_shared_rows(link, table)


def _refuse_shared_rows(link: Link, table: Table) -> None:
    """Lanes by partition tell rows apart by the key's bytes, and know nothing of each other's."""
    for index, columns in table.unique_keys:
        raise _divided(
            link,
            "a unique value can wander between rows of different lanes",
            "Lanes by table, or none, carry such a table.",
            table=table.full_name,
            index=index,
            columns=",".join(columns),
        )
    for name in table.primary_key:
        if table.column(name).data_type in _TEXT:
            raise _divided(
                link,
                "keys that the server's collation finds equal can lie in different partitions, "
                "and so in different lanes",
                "Lanes by table, or none, carry such a table.",
                table=table.full_name,
                column=name,
            )


def _lane(link: Link, child: str, parent: str) -> bool:
    """Whether two tables are in different lanes."""
    lanes = link.whole.each_lane()
    return any(lane.matches(child) != lane.matches(parent) for lane in lanes)


def _places(link: Link, row: Checkpoint, names: Names) -> set[TopicPartition]:
    """The topic-partitions of a checkpoint that belong to a lane."""
    return {
        tp
        for tp in row.partitions
        if tp.topic != link.transaction_topic
        and link.matches(names.get(tp.topic) or link.table_of(tp.topic))
    }


def _without(row: Checkpoint, taken: set[TopicPartition]) -> Checkpoint:
    return replace(row, partitions={tp: p for tp, p in row.partitions.items() if tp not in taken})


def _changed(link: Link, lane: str, holders: Sequence[str]) -> TerminalError:
    return TerminalError(
        "lanes_changed",
        "tables have moved between lanes that stand at different places of the source's log",
        where={"link": link.name, "lane": lane, "held_by": ",".join(sorted(holders))},
        remedy="Give the lanes back the tables that they had, or give the link a new start with "
        "the rows of all its lanes removed (docs/operations.md).",
    )


def _divided(link: Link, what: str, remedy: str, **where: object) -> TerminalError:
    return TerminalError("lanes_divide", what, where={"link": link.name, **where}, remedy=remedy)
