"""Reads from Kafka what a batch needs, within its limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.envelope import parse_events
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.transactions import (
    Cut,
    Segment,
    crash_in_view,
    expected_events,
    find_cut,
)
from dts_pipeline.stages.doubts import refuse_too_large
from dts_pipeline.stages.runtime import LinkRuntime

_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.05
_TOMBSTONE_SECONDS = 1.0


@dataclass(frozen=True)
class Read:
    """What was read: the source's transactions, the events, and where each partition's end is."""

    segments: Sequence[Segment]
    events: pd.DataFrame
    positions: Mapping[TopicPartition, int]
    cut: Cut


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
    wanted = _within(segments, limits.max_events, carried)
    missing: Mapping[str, int] = expected_events(wanted, carried)
    limit, give_up_at = limits.max_bytes, 0.0
    reader.assign(start)
    while True:
        _read_missing(runtime, missing, limit, wait=bool(give_up_at))
        if crash_in_view(wanted):
            _read_past(runtime, wanted)
        events = parse_buffers(reader)
        cut = _find_cut(runtime, checkpoint, wanted, events, start)
        missing = cut.missing
        over = reader.bytes > limit
        if cut.complete == len(wanted) or (over and cut.complete):
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
            break
    _read_last_tombstones(reader)
    positions = {tp: buffer.position for tp, buffer in reader.buffers.items()}
    return Read(wanted, events, positions, cut)


def _more_to_read(runtime: LinkRuntime, missing: Mapping[str, int]) -> bool:
    """Whether a topic-partition of a table with missing events has not been read to its end."""
    topics = {runtime.link.topic_of(table) for table in missing}
    return any(tp.topic in topics and not b.at_end for tp, b in runtime.reader.buffers.items())


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
        first = events.drop_duplicates(["topic", "partition"], keep="first")
        places = zip(first["topic"].tolist(), first["partition"].tolist(), strict=True)
        times = first["timestamp"].tolist()
        later = [ms for tp, ms in zip(places, times, strict=True) if start[TopicPartition(*tp)]]
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
        reader.read_only(lacking)
        need = sum(due[topic] - have[topic] for topic in {tp.topic for tp in lacking})
        idle_since = reader.check_idle(idle_since, reader.poll(need, _POLL_SECONDS))
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
        reader.read_only(open_ends)
        idle_since = reader.check_idle(idle_since, reader.poll(1_000, _POLL_SECONDS))
    refuse_too_large(runtime, wanted, None)


def _read_last_tombstones(reader: KafkaReader) -> None:
    """Reads the tombstone behind a delete that came last.

    Without it the link would look behind by one message until the table's next event. Whatever
    else comes instead lies past the cut, like all that was read too far.
    """
    ends = {}
    for tp, buffer in reader.buffers.items():
        last = buffer.messages[-1:]
        if last and last[0].value is not None and (parse_events(tp, last)["op"] == "d").any():
            ends[tp] = buffer.position
    until = time.monotonic() + _TOMBSTONE_SECONDS
    while ends and time.monotonic() < until:
        reader.read_only(list(ends))
        reader.poll(len(ends), _POLL_SECONDS)
        ends = {
            tp: position for tp, position in ends.items() if reader.buffers[tp].position == position
        }


def _events_by_topic(reader: KafkaReader) -> dict[str, int]:
    have: dict[str, int] = {}
    for tp, buffer in reader.buffers.items():
        have[tp.topic] = have.get(tp.topic, 0) + buffer.events
    return have


def parse_buffers(reader: KafkaReader) -> pd.DataFrame:
    """All row events that the reader holds; columns as `envelope.parse_events` gives them."""
    frames = [parse_events(tp, b.messages) for tp, b in reader.buffers.items() if b.messages]
    if not frames:
        return parse_events(TopicPartition("", 0), [])
    return pd.concat(frames, ignore_index=True)
