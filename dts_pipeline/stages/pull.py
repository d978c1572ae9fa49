"""pull: reads one batch from Kafka and ends it with a whole source transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import pandas as pd

from dts_pipeline.core.batches import Batch, Checkpoint, Plan
from dts_pipeline.core.envelope import parse_events
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.points import Point, reached
from dts_pipeline.core.ranges import OffsetRanges, TopicPartition
from dts_pipeline.core.transactions import events_until
from dts_pipeline.core.waiting import Announced, Waiting, waiting_for
from dts_pipeline.stages.doubts import (
    refuse_dropped_table,
    refuse_late,
    refuse_long_wait,
    refuse_lost_end,
    refuse_missing_metadata,
    refuse_snapshot_rows,
)
from dts_pipeline.stages.pace import keeps_pace
from dts_pipeline.stages.parsed_events import ParsedEvents, parse_buffers
from dts_pipeline.stages.read import (
    Read,
    read_announced,
    read_events,
)
from dts_pipeline.stages.runtime import LinkRuntime

# Transactions of tables that no link carries leave BEGIN and END without events. Writing the
# checkpoint for them alone would itself be a transaction at the target, which the link in the
# other direction would see, and so on for ever: so it waits until this many have come together.
_EMPTY_MESSAGES_WORTH_A_BATCH = 2_000


def pull(runtime: LinkRuntime, plan: Plan, slot: int) -> Batch | None:
    """Reads one batch from the ledger's checkpoint on; None when nothing is left or time is up.

    Slot 0 always gives a batch, if an empty one. `frame` has the columns of
    `envelope.parse_events`. Raises PoisonError for a malformed message, TerminalError
    `offsets_lost`, `transaction_metadata_missing`, `transaction_too_large`,
    `transaction_incomplete`.
    """
    began = time.monotonic()
    if slot > 0 and began > plan.deadline:
        return None
    checkpoint = plan.checkpoint
    if slot > 0:
        checkpoint = runtime.ledger.read(plan.link, checkpoint.lane) or checkpoint
    if checkpoint.paused or not keeps_pace(runtime, checkpoint, plan.deadline):
        return _empty(plan, checkpoint, slot, began) if slot == 0 else None
    start = _next_offsets(checkpoint)
    if slot > 0 and all(plan.until.get(tp, offset) <= offset for tp, offset in start.items()):
        return None
    batch: Batch | None
    if runtime.link.transaction_topic in plan.topic_ids:
        batch = _whole_transactions(runtime, plan, checkpoint, start, slot)
    else:
        batch = _up_to_high_watermark(runtime, plan, checkpoint, start, slot)
    if batch is None:
        return None if slot > 0 else _empty(plan, checkpoint, slot, began)
    if batch.is_empty and slot > 0:
        return None
    reached(Point.PULLED)
    _begin_next(runtime, plan, batch)
    return replace(batch, seconds={"pull": time.monotonic() - began})


def _begin_next(runtime: LinkRuntime, plan: Plan, batch: Batch) -> None:
    """Reads on while this batch is applied, where the run will want another one."""
    topic = TopicPartition(runtime.link.transaction_topic, 0)
    there = plan.until.get(topic, 0) > _next_offsets(batch.after).get(topic, 0)
    wanted = batch.slot + 1 < plan.slots and time.monotonic() < plan.deadline
    if there and wanted and not batch.is_empty and topic.topic in plan.topic_ids:
        beside = runtime.beside
        runtime.ahead.begin(batch.after, lambda: _fetch(beside, plan, batch.after))


def _next_offsets(checkpoint: Checkpoint) -> dict[TopicPartition, int]:
    return {tp: p.next_offset for tp, p in checkpoint.partitions.items()}


@dataclass(frozen=True)
class _Fetched:
    """What Kafka holds behind a checkpoint, as far as one batch may go."""

    announced: Announced
    read: Read


def _fetch(runtime: LinkRuntime, plan: Plan, checkpoint: Checkpoint) -> _Fetched:
    start = _next_offsets(checkpoint)
    topic = TopicPartition(runtime.link.transaction_topic, 0)
    announced = read_announced(runtime, start.pop(topic), plan.until[topic])
    _look_at_unannounced(runtime, plan, announced, start)
    return _Fetched(announced, read_events(runtime, checkpoint, announced.segments, start))


def _empty(
    plan: Plan, checkpoint: Checkpoint, slot: int, began: float, waiting: Waiting | None = None
) -> Batch:
    """A batch that moves nothing; its number is the next one's."""
    start = _next_offsets(checkpoint)
    return Batch(
        link=plan.link,
        number=checkpoint.batch + 1,
        slot=slot,
        ranges=OffsetRanges.between(start, start),
        before=checkpoint,
        after=checkpoint,
        frame=parse_events(TopicPartition("", 0), []),
        seconds={"pull": time.monotonic() - began},
        waiting=waiting,
    )


def _whole_transactions(
    runtime: LinkRuntime,
    plan: Plan,
    checkpoint: Checkpoint,
    start: Mapping[TopicPartition, int],
    slot: int,
) -> Batch:
    topic = TopicPartition(runtime.link.transaction_topic, 0)
    fetched = runtime.ahead.take(checkpoint) if slot > 0 else None
    fetched = fetched or _fetch(runtime, plan, checkpoint)
    announced, read = fetched.announced, fetched.read
    refuse_snapshot_rows(runtime, read.events)
    refuse_missing_metadata(runtime, read.events)
    refuse_late(runtime, checkpoint, read.events, len(read.segments), read.cut)
    refuse_dropped_table(runtime, plan, read.cut)
    waiting = waiting_for(read.cut, announced.newest_ms)
    if read.cut.transaction_until is None:
        refuse_long_wait(runtime, checkpoint, waiting)
        return _empty(plan, checkpoint, slot, time.monotonic(), waiting)
    past = events_until(read.cut, read.events)
    until = {tp: past.get(tp, position) for tp, position in read.positions.items()}
    until[topic] = read.cut.transaction_until
    events = _before(read, until)
    if events.empty and until[topic] - start[topic] < _EMPTY_MESSAGES_WORTH_A_BATCH:
        refuse_long_wait(runtime, checkpoint, waiting)
        return _empty(plan, checkpoint, slot, time.monotonic(), waiting)
    transactions = [segment.transaction for segment in read.segments[: read.cut.complete]]
    batch = _batch(plan, checkpoint, slot, start, until, events, transactions)
    return replace(batch, waiting=waiting)


def _look_at_unannounced(
    runtime: LinkRuntime,
    plan: Plan,
    announced: Announced,
    start: Mapping[TopicPartition, int],
) -> None:
    """Parses the next message of each topic-partition that no END announces anything for.

    It would never be read otherwise: rows without transaction metadata, rows whose END was lost,
    or a message of somebody else's.
    """
    topics = {runtime.link.topic_of(table) for s in announced.segments for table in s.counts}
    silent = {
        tp: offset
        for tp, offset in start.items()
        if tp.topic not in topics and plan.until.get(tp, offset) > offset
    }
    for tp, offset in silent.items():
        runtime.reader.read_to_end({tp: offset}, {tp: plan.until[tp]}, 1)
        events = parse_buffers(runtime.reader, runtime.link.source_names)
        refuse_snapshot_rows(runtime, events)
        refuse_missing_metadata(runtime, events, any_link=True)
        refuse_lost_end(runtime, events, announced)


def _before(read: Read, until: Mapping[TopicPartition, int]) -> pd.DataFrame:
    """The events of the batch; snapshot rows behind the cut are left to the next one as well."""
    inside = read.cut.segment_of < read.cut.complete
    offsets = read.events["offset"].to_numpy()
    for place, rows in read.events.groupby(["topic", "partition"]).indices.items():
        topic, partition = cast("tuple[str, int]", place)
        inside[rows] &= offsets[rows] < until[TopicPartition(topic, int(partition))]
    return read.events if inside.all() else read.events[inside].reset_index(drop=True)


def _batch(
    plan: Plan,
    checkpoint: Checkpoint,
    slot: int,
    start: Mapping[TopicPartition, int],
    until: Mapping[TopicPartition, int],
    events: pd.DataFrame,
    transactions: Iterable[str],
) -> Batch:
    partitions = {
        tp: replace(p, next_offset=until.get(tp, p.next_offset))
        for tp, p in checkpoint.partitions.items()
    }
    applied = GtidSet.parse(checkpoint.applied_gtids)
    applied.add(transactions)
    applied.add(events["gtid"].dropna().unique())
    return Batch(
        link=plan.link,
        number=checkpoint.batch + 1,
        slot=slot,
        ranges=OffsetRanges.between(start, until),
        before=checkpoint,
        after=replace(
            checkpoint,
            batch=checkpoint.batch + 1,
            partitions=partitions,
            applied_gtids=str(applied),
        ),
        frame=events,
        counts={"events": len(events)},
    )


def _up_to_high_watermark(
    runtime: LinkRuntime,
    plan: Plan,
    checkpoint: Checkpoint,
    start: Mapping[TopicPartition, int],
    slot: int,
) -> Batch | None:
    """A one-way link whose source sends no transaction metadata: whatever is there now."""
    until = {tp: plan.until[tp] for tp in start}
    if all(start[tp] >= until[tp] for tp in start):
        return None
    limits = runtime.limits
    parsed = ParsedEvents(runtime.reader, runtime.link.source_names)
    buffers = runtime.reader.read_to_end(
        start, until, runtime.max_events, limits.max_bytes, parsed.take
    )
    events = parsed.frame()
    reached = {tp: buffer.position for tp, buffer in buffers.items()}
    runtime.reader.close()
    return _batch(plan, checkpoint, slot, start, reached, events, ())
