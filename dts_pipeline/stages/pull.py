"""pull: reads one batch from Kafka and ends it with a whole source transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dts_pipeline.core.batches import Batch, Checkpoint, Plan
from dts_pipeline.core.envelope import parse_events, parse_transaction_messages
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.points import Point, reached
from dts_pipeline.core.ranges import OffsetRanges, TopicPartition
from dts_pipeline.core.transactions import Segment, events_until, segments_of
from dts_pipeline.stages.doubts import (
    refuse_dropped_table,
    refuse_late,
    refuse_missing_metadata,
    refuse_snapshot_rows,
)
from dts_pipeline.stages.read import Read, parse_buffers, read_events
from dts_pipeline.stages.runtime import LinkRuntime

# Transactions of tables that no link carries leave BEGIN and END without events. Writing the
# checkpoint for them alone would itself be a transaction at the target, which the link in the
# other direction would see, and so on for ever: so it waits until this many have come together.
_EMPTY_MESSAGES_WORTH_A_BATCH = 2_000
_TRANSACTION_MESSAGES = 200_000


def pull(runtime: LinkRuntime, plan: Plan, slot: int) -> Batch | None:
    """Reads one batch from the ledger's checkpoint on; None when nothing is left or time is up.

    Slot 0 always gives a batch, if an empty one. `frame` has the columns of
    `envelope.parse_events`. Raises PoisonError for a malformed message, TerminalError
    `offsets_lost`, `transaction_metadata_missing`, `transaction_too_large`.
    """
    began = time.monotonic()
    if slot > 0 and began > plan.deadline:
        return None
    checkpoint = plan.checkpoint
    if slot > 0:
        checkpoint = runtime.ledger.read(plan.link, checkpoint.lane) or checkpoint
    if checkpoint.paused:
        return _empty(plan, checkpoint, slot, began) if slot == 0 else None
    start = {tp: p.next_offset for tp, p in checkpoint.partitions.items()}
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
    return replace(batch, seconds={"pull": time.monotonic() - began})


def _empty(
    plan: Plan, checkpoint: Checkpoint, slot: int, began: float, waiting: str | None = None
) -> Batch:
    """A batch that moves nothing; its number is the next one's."""
    start = {tp: p.next_offset for tp, p in checkpoint.partitions.items()}
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
    buffers = runtime.reader.read_to_end(
        {topic: start[topic]}, {topic: plan.until[topic]}, _TRANSACTION_MESSAGES
    )
    messages = parse_transaction_messages(topic, buffers[topic].messages)
    segments = segments_of(messages)
    data_start = {tp: offset for tp, offset in start.items() if tp != topic}
    _look_at_unannounced(runtime, plan, segments, data_start)
    read = read_events(runtime, checkpoint, segments, data_start)
    refuse_snapshot_rows(runtime, read.events)
    refuse_missing_metadata(runtime, read.events)
    refuse_late(runtime, checkpoint, read.events, len(read.segments), read.cut)
    refuse_dropped_table(runtime, plan, read.cut)
    if read.cut.transaction_until is None:
        return _empty(plan, checkpoint, slot, time.monotonic(), read.cut.waiting)
    past = events_until(read.cut, read.events)
    until = {tp: past.get(tp, position) for tp, position in read.positions.items()}
    until[topic] = read.cut.transaction_until
    events = _before(read, until)
    if events.empty and until[topic] - start[topic] < _EMPTY_MESSAGES_WORTH_A_BATCH:
        return _empty(plan, checkpoint, slot, time.monotonic(), read.cut.waiting)
    transactions = [segment.transaction for segment in read.segments[: read.cut.complete]]
    batch = _batch(plan, checkpoint, slot, start, until, events, transactions)
    return replace(batch, waiting=read.cut.waiting)


def _look_at_unannounced(
    runtime: LinkRuntime,
    plan: Plan,
    segments: Sequence[Segment],
    start: Mapping[TopicPartition, int],
) -> None:
    """Parses the next message of each topic-partition that no END announces anything for.

    It would never be read otherwise: rows without transaction metadata, or a message of somebody
    else's.
    """
    announced = {runtime.link.topic_of(table) for s in segments for table in s.counts}
    silent = {
        tp: offset
        for tp, offset in start.items()
        if tp.topic not in announced and plan.until.get(tp, offset) > offset
    }
    for tp, offset in silent.items():
        runtime.reader.read_to_end({tp: offset}, {tp: plan.until[tp]}, 1)
        events = parse_buffers(runtime.reader)
        refuse_snapshot_rows(runtime, events)
        refuse_missing_metadata(runtime, events)


def _before(read: Read, until: Mapping[TopicPartition, int]) -> pd.DataFrame:
    """The events of the batch; snapshot rows behind the cut are left to the next one as well."""
    inside = read.cut.segment_of < read.cut.complete
    places = zip(read.events["topic"].tolist(), read.events["partition"].tolist(), strict=True)
    ends = np.array([until[TopicPartition(*place)] for place in places], dtype=np.int64)
    inside &= read.events["offset"].to_numpy() < ends
    return read.events[inside].reset_index(drop=True)


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
    buffers = runtime.reader.read_to_end(start, until, limits.max_events, limits.max_bytes)
    events = parse_buffers(runtime.reader)
    reached = {tp: buffer.position for tp, buffer in buffers.items()}
    return _batch(plan, checkpoint, slot, start, reached, events, ())
