"""move: gives a lane another checkpoint, further on, under a new generation (rule R6).

What lies between is not carried. Everything that the old generation began (a batch on its way, its
GTIDs, its numbers) no longer fits: the fence compares the generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dts_pipeline.adapters.checkpoint_move import move_checkpoint, unused_generation
from dts_pipeline.adapters.kafka_admin import TopicSettings
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.batches import Checkpoint, PartitionCheckpoint
from dts_pipeline.core.marks import mark_uuid
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.plan import link_topics
from dts_pipeline.stages.runtime import LinkRuntime

_Offsets = Mapping[TopicPartition, tuple[int, int]]


@dataclass(frozen=True)
class Move:
    """From where to where; `old` is None where the lane has no checkpoint.

    `passed` counts, by topic-partition, the messages that are passed over; of topics that were made
    anew, or that the old checkpoint did not have, those that Kafka holds.
    """

    old: Checkpoint | None
    new: Checkpoint
    passed: Mapping[TopicPartition, int] = field(default_factory=dict)


def planned(runtime: LinkRuntime, time_ms: int | None) -> Move:
    """What a move would do: to what comes to Kafka from `time_ms` on; None: from now on.

    Raises TerminalError `checkpoint_backwards`, `offsets_lost`, `topic_missing`,
    `topic_compacted`.
    """
    link = runtime.link
    old = runtime.ledger.read(link.name, link.lane)
    topics, offsets = _there(runtime)
    starts = _starts(runtime, offsets, time_ms)
    # Asked last: rows whose BEGIN comes later than this then lie behind their start.
    transactions = TopicPartition(link.transaction_topic, 0)
    if transactions in starts:
        starts |= _starts(runtime, runtime.admin.offsets([transactions]), time_ms)
    partitions = {tp: PartitionCheckpoint(at, topics[tp.topic].id) for tp, at in starts.items()}
    if old is not None:
        _refuse_backwards(old, partitions)
    installation = runtime.ledger.installation()
    generation = unused_generation(
        runtime.target,
        link.name,
        link.lane,
        lambda number: str(mark_uuid(installation, link.name, link.lane, number)),
    )
    incarnation = runtime.source.facts.incarnation
    new = Checkpoint(
        link.name,
        link.lane,
        generation,
        0,
        partitions,
        incarnation=incarnation,
        paused=old.paused if old else False,
    )
    return Move(old, new, _passed(old, partitions, offsets))


def carry_out(runtime: LinkRuntime, move: Move) -> Checkpoint:
    """Moves it, if it still stands where `move` found it; gives what stands then.

    Raises TerminalError `lane_busy`, `another_run_ahead`.
    """
    if move.old is None:
        return runtime.ledger.begin(move.new)
    return move_checkpoint(runtime.target, runtime.ledger, move.old, move.new)


def _there(runtime: LinkRuntime) -> tuple[dict[str, TopicSettings], _Offsets]:
    """The topics of the link that exist, and what they hold."""
    tables = read_tables(runtime.source, runtime.link.matches)
    topics = link_topics(runtime, tables, None)
    places = [TopicPartition(t.name, p) for t in topics.values() for p in range(t.partitions)]
    return topics, runtime.admin.offsets(places)


def _starts(
    runtime: LinkRuntime, offsets: _Offsets, time_ms: int | None
) -> dict[TopicPartition, int]:
    if time_ms is None:
        return {tp: high for tp, (_, high) in offsets.items()}
    found = runtime.admin.offsets_at(list(offsets), time_ms)
    for tp, (low, _) in offsets.items():
        if 0 < low == found[tp]:
            raise TerminalError(
                "offsets_lost",
                "Kafka may have removed messages of after that time",
                where={"link": runtime.link.name, "topic": tp.topic, "partition": tp.partition},
                remedy="Name a later time, or latest.",
            )
    return {tp: at if at >= 0 else offsets[tp][1] for tp, at in found.items()}


def _refuse_backwards(old: Checkpoint, new: Mapping[TopicPartition, PartitionCheckpoint]) -> None:
    """Old events would be applied as if they were new."""
    for tp, at in sorted(new.items()):
        before = old.partitions.get(tp)
        if before and before.topic_id == at.topic_id and at.next_offset < before.next_offset:
            raise TerminalError(
                "checkpoint_backwards",
                "a checkpoint only moves on: what was applied would be taken for new changes",
                where={
                    "link": old.link,
                    "topic": tp.topic,
                    "partition": tp.partition,
                    "stands_at": before.next_offset,
                    "would_go_to": at.next_offset,
                },
                remedy="To make right what a past range touched: `dts replay` (docs/ranges.md).",
            )


def _passed(
    old: Checkpoint | None,
    new: Mapping[TopicPartition, PartitionCheckpoint],
    offsets: _Offsets,
) -> dict[TopicPartition, int]:
    found = {}
    for tp, at in new.items():
        before = old.partitions.get(tp) if old else None
        same = before is not None and before.topic_id == at.topic_id
        first = max(before.next_offset, offsets[tp][0]) if before and same else offsets[tp][0]
        found[tp] = max(0, at.next_offset - first)
    return found
