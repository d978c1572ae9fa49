"""Reads from Kafka what a batch needs, within its limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.envelope import parse_events
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.segments import Segment, segments_of
from dts_pipeline.core.transaction_messages import parse_transaction_messages
from dts_pipeline.core.transactions import (
    Cut,
    crash_in_view,
    early_until,
    expected_events,
    find_cut,
)
from dts_pipeline.core.waiting import Announced
from dts_pipeline.stages.doubts import refuse_too_large
from dts_pipeline.stages.parsed_events import ParsedEvents, last_transaction
from dts_pipeline.stages.runtime import LinkRuntime

_TRANSACTION_MESSAGES = 200_000
_GRACE_SECONDS = 2.0
_FOR_EVER = 2**62
_POLL_SECONDS = 0.05
_USUAL_BYTES = 1_000
_FEW_MESSAGES = 50
_TOMBSTONE_SECONDS = 1.0


@dataclass(frozen=True)
class Read:
    """What was read: the source's transactions, the events, and where each partition's end is."""

    segments: Sequence[Segment]
    events: pd.DataFrame
    positions: Mapping[TopicPartition, int]
    cut: Cut


def read_announced(runtime: LinkRuntime, start: int, until: int) -> Announced:
    """Reads BEGINs and ENDs between two offsets of the transaction topic, at most 200,000."""
    topic = TopicPartition(runtime.link.transaction_topic, 0)
    buffers = runtime.reader.read_to_end({topic: start}, {topic: until}, _TRANSACTION_MESSAGES)
    messages = parse_transaction_messages(topic, buffers[topic].messages, runtime.link.source_names)
    newest = max((message.timestamp for message in messages), default=0)
    return Announced(segments_of(messages), newest)


def read_events(
    runtime: LinkRuntime,
    checkpoint: Checkpoint,
    segments: Sequence[Segment],
    start: Mapping[TopicPartition, int],
) -> Read:
    """Reads the row events of the first transactions, as many as the limits allow, at least one.

    Past `max_bytes` the batch ends with what is whole; if nothing is, it shrinks to the first
    transaction, which may use up to `max_transaction_bytes`.
    """
    reader, carried, limits = runtime.reader, runtime.link.matches, runtime.limits
    wanted = _within(segments, runtime.max_events, carried)
    missing: Mapping[str, int] = expected_events(wanted, carried)
    limit, give_up_at = limits.max_bytes, 0.0
    reader.assign(start)
    parsed = ParsedEvents(reader, runtime.link.source_names)
    early = early_until(segments) if checkpoint.batch == 0 else 0
    while True:
        later = _later_transactions(segments, wanted)
        _read_missing(runtime, missing, limit, parsed, later, wait=bool(give_up_at))
        if crash_in_view(wanted):
            _read_past(runtime, wanted, parsed)
        events = parsed.frame()
        cut = find_cut(
            wanted,
            events,
            carried,
            early_until_ms=early,
            unverified_until_ms=(
                {} if checkpoint.batch else _unverified_until_ms(runtime, wanted, events, start)
            ),
        )
        missing = cut.missing
        over = reader.bytes > limit
        # Transactions of tables that the link does not carry are whole, and no reason to end here:
        # a large one behind them would never be reached.
        if cut.complete == len(wanted) or (over and (cut.segment_of < cut.complete).any()):
            break
        if over:
            refuse_too_large(runtime, wanted, cut)
            wanted = _within(wanted, 1, carried)
            limit, give_up_at = limits.max_transaction_bytes, 0.0
        elif _more_to_read(runtime, missing):
            give_up_at = 0.0
        elif not give_up_at:
            give_up_at = time.monotonic() + _GRACE_SECONDS
        elif time.monotonic() > give_up_at:
            longer = _with_what_was_sent_again(segments, wanted, cut)
            if len(longer) == len(wanted):
                break
            wanted, limit, give_up_at = longer, limits.max_transaction_bytes, 0.0
    ends = _ends_behind_tombstones(reader)
    reader.close()  # and with it what was fetched further; the next batch begins with another
    return Read(wanted, events, ends, cut)


def _more_to_read(runtime: LinkRuntime, missing: Mapping[str, int]) -> bool:
    """Whether a topic-partition of a table with missing events has not been read to its end."""
    topics = {runtime.link.topic_of(table) for table in missing}
    return any(tp.topic in topics and not b.at_end for tp, b in runtime.reader.buffers.items())


def _unverified_until_ms(
    runtime: LinkRuntime,
    wanted: Sequence[Segment],
    events: pd.DataFrame,
    start: Mapping[TopicPartition, int],
) -> dict[str, int]:
    """By table: up to when a transaction may lack rows that lie before the start of its topic.

    That is when the first event behind the start was sent: rows of what began later cannot lie
    before it. Where nothing is behind the start, all rows lie before it. A topic that is read from
    its beginning has no such rows, and neither has one that was made since.
    """
    first = events.drop_duplicates(["topic", "partition"], keep="first")
    columns = (first[name].tolist() for name in ("topic", "partition", "timestamp"))
    sent = {TopicPartition(t, p): ms for t, p, ms in zip(*columns, strict=True)}
    table_of = {runtime.link.topic_of(table): table for s in wanted for table in s.counts}
    found: dict[str, int] = {}
    for tp, offset in start.items():
        table = table_of.get(tp.topic)
        if table is None or not offset:
            continue
        nothing = _FOR_EVER if runtime.reader.buffers[tp].at_end else 0
        found[table] = max(found.get(table, 0), sent.get(tp, nothing))
    return found


def _within(
    segments: Sequence[Segment], max_events: int, carried: Callable[[str], bool]
) -> Sequence[Segment]:
    """The first segments whose events stay within the limit; at least up to one with events.

    Never ends between a transaction that a crash broke off and its later END: nothing in between
    could be taken without the rest.
    """
    ends = {s.transaction: i for i, s in enumerate(segments) if s.end_offset is not None}
    broken: set[str] = set()
    total, end = 0, len(segments)
    for index, segment in enumerate(segments):
        count = sum(n for table, n in segment.counts.items() if carried(table))
        if total and total + count > max_events and not broken:
            end = index
            break
        total += count
        if segment.end_offset is not None:
            broken.discard(segment.transaction)
        elif ends.get(segment.transaction, -1) > index:  # a DDL's BEGIN has no END later
            broken.add(segment.transaction)
    while end > 1 and segments[end - 1].end_offset is None:
        end -= 1  # nothing can be complete behind the last END
    return segments[:end]


def _with_what_was_sent_again(
    segments: Sequence[Segment], wanted: Sequence[Segment], cut: Cut
) -> Sequence[Segment]:
    """Up to the last segment of each of the wanted transactions, where all wait for one of them.

    What is missing may have come there; nothing in between can be taken without it.
    """
    if cut.waiting is None or (cut.segment_of < cut.complete).any():
        return wanted
    last = {segment.transaction: index for index, segment in enumerate(segments)}
    end, reached = 0, len(wanted)
    while end < reached:
        end, reached = reached, 1 + max(last[segment.transaction] for segment in segments[:reached])
    return segments[:reached]


def _later_transactions(segments: Sequence[Segment], wanted: Sequence[Segment]) -> set[str]:
    """Those that were begun behind the wanted ones."""
    names = {segment.transaction for segment in segments[len(wanted) :]}
    return names - {segment.transaction for segment in wanted}


def _read_missing(
    runtime: LinkRuntime,
    missing: Mapping[str, int],
    limit: int,
    parsed: ParsedEvents,
    later: Collection[str],
    *,
    wait: bool,
) -> None:
    """Reads so many more events of each table, or up to the ends of its topic-partitions.

    A topic-partition that has come to a later transaction is read on only where no other is left:
    brokers send long stretches of one, and what is missing hardly lies behind.
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
        if later and len(lacking) > 1:
            nearer = [tp for tp in lacking if last_transaction(tp, reader.buffers[tp]) not in later]
            lacking = nearer or lacking
        reader.read_only(lacking)
        need = sum(due[topic] - have[topic] for topic in {tp.topic for tp in lacking})
        came = reader.poll(min(need, _room(reader, limit)), _POLL_SECONDS, parsed.take)
        idle_since = reader.check_idle(idle_since, came)
        if wait:
            return


def _room(reader: KafkaReader, limit: int) -> int:
    """About how many messages fit into the limit, by those read so far; it is passed by few."""
    count = sum(buffer.events for buffer in reader.buffers.values())
    usual = reader.bytes / count if count else _USUAL_BYTES
    return _FEW_MESSAGES + int((limit - reader.bytes) / usual)


def _read_past(runtime: LinkRuntime, wanted: Sequence[Segment], parsed: ParsedEvents) -> None:
    """Reads every topic-partition to its end, or to an event of a later transaction.

    Where the connector died, first copies may lie where no END announces anything.
    """
    reader = runtime.reader
    names = {None, *(segment.transaction for segment in wanted)}
    idle_since = time.monotonic()
    while reader.bytes <= runtime.limits.max_transaction_bytes:
        open_ends = []
        for tp, buffer in reader.buffers.items():
            if not buffer.at_end and last_transaction(tp, buffer) in names:
                open_ends.append(tp)
        if not open_ends:
            return
        reader.read_only(open_ends)
        came = reader.poll(1_000, _POLL_SECONDS, parsed.take)
        idle_since = reader.check_idle(idle_since, came)
    refuse_too_large(runtime, wanted, None)


def _ends_behind_tombstones(reader: KafkaReader) -> dict[TopicPartition, int]:
    """Where reading ends: behind the tombstone of a delete that came last, which is read, too.

    Without it the link would look behind by one message until the table's next event. A row event
    that comes with it, or instead, is in no frame: the end stays in front of it, or it would be
    passed over.
    """
    ends = {tp: buffer.position for tp, buffer in reader.buffers.items()}
    open_ends = set()
    for tp, buffer in reader.buffers.items():
        last = buffer.messages[-1:]
        if last and last[0].value is not None and (parse_events(tp, last)["op"] == "d").any():
            open_ends.add(tp)
    until = time.monotonic() + _TOMBSTONE_SECONDS
    while open_ends and time.monotonic() < until:
        reader.read_only(open_ends)
        reader.poll(len(open_ends), _POLL_SECONDS)
        for tp in sorted(open_ends):
            came = [m for m in reader.buffers[tp].messages if m.offset >= ends[tp]]
            if came and came[0].value is None:
                ends[tp] = came[0].offset + 1
            if came:
                open_ends.discard(tp)
    return ends


def _events_by_topic(reader: KafkaReader) -> dict[str, int]:
    have: dict[str, int] = {}
    for tp, buffer in reader.buffers.items():
        have[tp.topic] = have.get(tp.topic, 0) + buffer.events
    return have
