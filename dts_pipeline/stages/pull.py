"""pull: reads one batch from Kafka and ends it with a whole source transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.adapters.table_schema import read_tables
from dts_pipeline.core.batches import Batch, Checkpoint, Plan, SourcePosition
from dts_pipeline.core.envelope import parse_events, parse_transaction_messages
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.points import Point, reached
from dts_pipeline.core.ranges import OffsetRanges, TopicPartition
from dts_pipeline.core.transactions import (
    Cut,
    Segment,
    crash_in_view,
    events_until,
    expected_events,
    find_cut,
    segments_of,
)
from dts_pipeline.errors import TerminalError
from dts_pipeline.stages.runtime import LinkRuntime

# Transactions of tables that no link carries leave BEGIN and END without events. Writing the
# checkpoint for them alone would itself be a transaction at the target, which the link in the
# other direction would see, and so on for ever: so it waits until this many have come together.
_EMPTY_MESSAGES_WORTH_A_BATCH = 2_000
_TRANSACTION_MESSAGES = 200_000
_GRACE_SECONDS = 2.0


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


@dataclass(frozen=True)
class _Read:
    """What was read: the source's transactions, the events, and where each partition's end is."""

    segments: Sequence[Segment]
    events: pd.DataFrame
    positions: Mapping[TopicPartition, int]
    cut: Cut


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
    data_start = {tp: offset for tp, offset in start.items() if tp != topic}
    read = _read_events(runtime, checkpoint, segments_of(messages), data_start)
    _refuse_missing_metadata(runtime, read.events)
    _refuse_late(runtime, checkpoint, read)
    _refuse_dropped_table(runtime, plan, read.cut)
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


def _before(read: _Read, until: Mapping[TopicPartition, int]) -> pd.DataFrame:
    """The events of the batch; snapshot rows behind the cut are left to the next one as well."""
    inside = read.cut.segment_of < read.cut.complete
    for (topic, partition), group in read.events[inside].groupby(["topic", "partition"]):
        end = until[TopicPartition(str(topic), int(partition))]  # type: ignore[arg-type]
        inside[group.index[group["offset"] >= end]] = False
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


def _read_events(
    runtime: LinkRuntime,
    checkpoint: Checkpoint,
    segments: Sequence[Segment],
    start: Mapping[TopicPartition, int],
) -> _Read:
    """Reads the row events of the first transactions, as many as the limits allow, at least one.

    Past `max_bytes` the batch ends with what is whole; if nothing is, it shrinks to the first
    transaction, which may use up to `max_transaction_bytes`.
    """
    reader, carried, limits = runtime.reader, runtime.link.matches, runtime.limits
    wanted = _within(segments, limits.max_events, carried)
    missing: Mapping[str, int] = expected_events(wanted, carried)
    limit, give_up_at = limits.max_bytes, 0.0
    reader.assign(start)
    while True:
        _read_missing(runtime, missing, limit, wait=bool(give_up_at))
        if crash_in_view(wanted):
            _read_past(runtime, wanted)
        events = _parse(reader)
        cut = _find_cut(runtime, checkpoint, wanted, events, start)
        missing = cut.missing
        over = reader.bytes > limit
        if cut.complete == len(wanted) or (over and cut.complete):
            break
        if over:
            _refuse_too_large(runtime, wanted, cut)
            wanted = _within(wanted, 1, carried)
            limit = limits.max_transaction_bytes
        elif not give_up_at:
            give_up_at = time.monotonic() + _GRACE_SECONDS
        elif time.monotonic() > give_up_at:
            break
    positions = {tp: buffer.position for tp, buffer in reader.buffers.items()}
    return _Read(wanted, events, positions, cut)


def _find_cut(
    runtime: LinkRuntime,
    checkpoint: Checkpoint,
    wanted: Sequence[Segment],
    events: pd.DataFrame,
    start: Mapping[TopicPartition, int],
) -> Cut:
    """The cut; a link that starts in the middle of its topics cannot verify what lies across."""
    unverified = -1
    if checkpoint.batch == 0 and any(start.values()):
        first = events.groupby(["topic", "partition"], sort=False)["timestamp"].min()
        later = [int(ms) for tp, ms in first.items() if start[TopicPartition(*tp)]]  # type: ignore[misc]
        unverified = max(later, default=0)
    return find_cut(
        wanted,
        events,
        runtime.link.matches,
        first_batch=checkpoint.batch == 0,
        unverified_until_ms=unverified,
    )


def _within(
    segments: Sequence[Segment], max_events: int, carried: Callable[[str], bool]
) -> Sequence[Segment]:
    """The first segments whose events stay within the limit; at least up to one with events."""
    total = 0
    for index, segment in enumerate(segments):
        count = sum(n for table, n in segment.counts.items() if carried(table))
        if total and total + count > max_events:
            return segments[:index]
        total += count
    return segments


def _read_missing(runtime: LinkRuntime, missing: Mapping[str, int], limit: int, wait: bool) -> None:
    """Reads so many more events of each table, or up to the ends of its topic-partitions.

    `wait`: the ends were reached before, so poll once for what has come since.
    """
    reader = runtime.reader
    due = _events_by_topic(reader)
    for table, count in missing.items():
        topic = runtime.link.topic_of(table)
        due[topic] = due.get(topic, 0) + count
    idle_since = time.monotonic()
    while reader.bytes <= limit:
        have = _events_by_topic(reader)
        lacking = [
            tp
            for tp, buffer in reader.buffers.items()
            if have[tp.topic] < due[tp.topic] and (wait or not buffer.at_end)
        ]
        if not lacking:
            return
        reader.pause_others(lacking)
        need = sum(due[topic] - have[topic] for topic in {tp.topic for tp in lacking})
        idle_since = reader.check_idle(idle_since, reader.poll(need, 0.2))
        if wait:
            return


def _read_past(runtime: LinkRuntime, wanted: Sequence[Segment]) -> None:
    """Reads every topic-partition to its end, or to an event of a later transaction.

    Where the connector died, first copies may lie where no END announces anything.
    """
    reader = runtime.reader
    names = {segment.transaction for segment in wanted}
    idle_since = time.monotonic()
    while reader.bytes <= runtime.limits.max_transaction_bytes:
        open_ends = []
        for tp, buffer in reader.buffers.items():
            last = parse_events(tp, buffer.messages[-2:])["transaction"].dropna()
            if not buffer.at_end and (last.empty or last.iloc[-1] in names):
                open_ends.append(tp)
        if not open_ends:
            return
        reader.pause_others(open_ends)
        idle_since = reader.check_idle(idle_since, reader.poll(1_000, 0.2))
    _refuse_too_large(runtime, wanted, None)


def _events_by_topic(reader: KafkaReader) -> dict[str, int]:
    have: dict[str, int] = {}
    for tp, buffer in reader.buffers.items():
        have[tp.topic] = have.get(tp.topic, 0) + buffer.events
    return have


def _parse(reader: KafkaReader) -> pd.DataFrame:
    frames = [parse_events(tp, b.messages) for tp, b in reader.buffers.items() if b.messages]
    if not frames:
        return parse_events(TopicPartition("", 0), [])
    return pd.concat(frames, ignore_index=True)


def _refuse_too_large(runtime: LinkRuntime, wanted: Sequence[Segment], cut: Cut | None) -> None:
    if runtime.reader.bytes <= runtime.limits.max_transaction_bytes:
        return
    first = wanted[0].transaction if wanted else "?"
    raise TerminalError(
        "transaction_too_large",
        "a source transaction does not fit into the memory limit",
        where={
            "link": runtime.link.name,
            "transaction": cut.waiting if cut and cut.waiting else first,
            "limit_bytes": runtime.limits.max_transaction_bytes,
        },
        remedy="Raise batch.max_transaction_bytes on a machine with enough memory.",
    )


def _refuse_late(runtime: LinkRuntime, checkpoint: Checkpoint, read: _Read) -> None:
    """Stops on an event of a transaction that counted as whole without it.

    It can only come where the first batch began in the middle of the topics. A copy that the
    connector sent again is not meant: its position was passed.
    """
    applied = GtidSet.parse(checkpoint.applied_gtids)
    unknown = read.events[read.cut.segment_of > len(read.segments)]
    for event in unknown.itertuples(index=False):
        known = checkpoint.partitions[TopicPartition(str(event.topic), int(event.partition))]  # type: ignore[arg-type]
        here = SourcePosition(int(event.file), int(event.pos), int(event.row), int(event.half))  # type: ignore[arg-type]
        if event.transaction in applied and (known.position is None or here > known.position):
            raise TerminalError(
                "late_event",
                "an event came after its transaction had been taken as whole",
                where={
                    "link": runtime.link.name,
                    "topic": event.topic,
                    "partition": event.partition,
                    "offset": event.offset,
                },
                remedy="Compare both sites, then give the link a new start (docs/operations.md).",
            )


def _refuse_dropped_table(runtime: LinkRuntime, plan: Plan, cut: Cut) -> None:
    """Rows of a table that is gone would be waited for for ever; one made just now is not meant."""
    unknown = [t for t in cut.missing if runtime.link.topic_of(t) not in plan.source_tables]
    gone = set(unknown) - set(read_tables(runtime.source, lambda name: name in unknown))
    if gone:
        raise TerminalError(
            "table_missing",
            "rows were written to a table that does not exist at the source any more",
            where={"link": runtime.link.name, "tables": ",".join(sorted(gone))},
            remedy="Leave the table out (`!schema.table` among the pair's `tables`), or make it "
            "again at both sites.",
        )


def _refuse_missing_metadata(runtime: LinkRuntime, events: pd.DataFrame) -> None:
    streamed = events["op"].isin(["c", "u", "d"]) & events["transaction"].isna()
    if not runtime.link.pair or not streamed.any():
        return
    first = events[streamed].iloc[0]
    raise TerminalError(
        "transaction_metadata_missing",
        "a row event names no transaction, so whole transactions cannot be told",
        where={
            "link": runtime.link.name,
            "topic": first["topic"],
            "partition": first["partition"],
            "offset": first["offset"],
        },
        remedy="Set provide.transaction.metadata=true at the connector and give the link a new "
        "start behind these events (docs/operations.md).",
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
    buffers = runtime.reader.read_to_end(start, until, runtime.limits.max_events)
    events = _parse(runtime.reader)
    reached = {tp: buffer.position for tp, buffer in buffers.items()}
    return _batch(plan, checkpoint, slot, start, reached, events, ())
