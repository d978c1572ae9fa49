"""How far behind a link is, told by watermarks: rows written at the source by each run.

Everything that was committed at the source before a watermark is applied once the link is past
it. So the age of the newest watermark that it is past, by the source's own clock, is the lag: what
was committed longer ago than that is at the target.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.adapters.watermarks import watermark_topic, write_watermark
from dts_pipeline.core.batches import Checkpoint
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.segments import Segment, segments_of
from dts_pipeline.core.transaction_messages import parse_transaction_messages
from dts_pipeline.core.watermarks import Watermark, nothing_left, parse_watermark, place_of
from dts_pipeline.errors import DtsError
from dts_pipeline.stages.runtime import LinkRuntime

_LOOKED_AT = 500
"""How many watermarks back to look: of all that write to the topic."""
_TRANSACTIONS = 50_000
_NOW = "SELECT CAST(UNIX_TIMESTAMP(UTC_TIMESTAMP(6)) * 1000000 AS SIGNED) AS us"


def mark_source(runtime: LinkRuntime) -> None:
    """Writes the link's watermark at its source.

    A source that cannot be written (a replica behind a one-way link) has none: its lag is then
    told by the age of the newest applied commit.
    """
    with contextlib.suppress(DtsError):
        write_watermark(runtime.source, _name(runtime))


def lag_seconds(runtime: LinkRuntime, checkpoint: Checkpoint) -> float | None:
    """The age of the newest watermark that the link is past; None if there is none to be found."""
    reader = KafkaReader(runtime.kafka)
    try:
        marks = list(_newest_first(runtime, reader))
        if not marks:
            return None
        segments = _segments(runtime, reader, checkpoint)
    finally:
        reader.close()
    applied = GtidSet.parse(checkpoint.applied_gtids)
    position = _position(runtime, checkpoint)
    for mark in marks:
        place = place_of(mark.transaction, segments)
        carried = runtime.link.matches
        if mark.transaction in applied or (
            place is not None and nothing_left(segments, place, position, carried)
        ):
            now = int(runtime.source.query(_NOW)[0].us)
            return max(0.0, (now - mark.written_us) / 1_000_000)
    return None


def _newest_first(runtime: LinkRuntime, reader: KafkaReader) -> Iterator[Watermark]:
    topic = watermark_topic(runtime.link)
    if topic.topic not in runtime.admin.topics([topic.topic]):
        return
    low, high = runtime.admin.offsets([topic])[topic]
    start = max(low, high - _LOOKED_AT)
    buffer = reader.read_to_end({topic: start}, {topic: high}, _LOOKED_AT)[topic]
    for message in reversed(buffer.messages):
        mark = parse_watermark(message.value)
        if mark is not None and mark.name == _name(runtime):
            yield mark


def _segments(runtime: LinkRuntime, reader: KafkaReader, checkpoint: Checkpoint) -> list[Segment]:
    """The transactions behind the link's position."""
    topic = TopicPartition(runtime.link.transaction_topic, 0)
    if topic not in checkpoint.partitions:
        return []
    high = runtime.admin.offsets([topic])[topic][1]
    start = checkpoint.partitions[topic].next_offset
    buffer = reader.read_to_end({topic: start}, {topic: high}, _TRANSACTIONS)[topic]
    names = runtime.link.source_names
    return segments_of(parse_transaction_messages(topic, buffer.messages, names))


def _position(runtime: LinkRuntime, checkpoint: Checkpoint) -> int:
    topic = TopicPartition(runtime.link.transaction_topic, 0)
    return checkpoint.partitions[topic].next_offset if topic in checkpoint.partitions else 0


def _name(runtime: LinkRuntime) -> str:
    return f"lag:{runtime.link.name}"
