"""Reads bounded offset ranges from Kafka; nothing is subscribed, committed or reset.

A position always means the NEXT offset: last read + 1. Offsets have gaps (transaction markers,
removed messages), so reading ends at the end of a partition or at a bound, never at a count.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaTopicPartition

from dts_pipeline.adapters.kafka_errors import invalid_property, translated, unreachable
from dts_pipeline.core.envelope import Message
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import TerminalError

RUN_ID_HEADER = "__debezium.context.runId"
_FIXED = {
    "group.id": "dts_pipeline",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": "true",
    "fetch.wait.max.ms": "50",
    "queued.max.messages.kbytes": "65536",
    "log_level": "0",
}
_CHUNK = 10_000
_MAX_UNWANTED_BYTES = 4 * 2**20


@dataclass
class Buffer:
    """What was read of one topic-partition so far; `position` is the next offset.

    `events` counts the messages that are not tombstones.
    """

    position: int
    messages: list[Message] = field(default_factory=list)
    events: int = 0
    bytes: int = 0
    at_end: bool = False


class KafkaReader:
    """Reads topic-partitions from given offsets on, at any moment only those that are wanted.

    An assignment is never changed and nothing is ever paused: every other set of topic-partitions
    gets a consumer of its own. After an assign or a pause that follows another one quickly,
    librdkafka may fetch nothing more from a topic-partition, without an error (its issues 2190 and
    5591).
    """

    def __init__(self, properties: Mapping[str, str]) -> None:
        """`properties` are librdkafka's, secrets filled in; those that the pipeline fixes win."""
        self._properties = dict(properties)
        self._servers = self._properties.get("bootstrap.servers", "")
        self._consumer: Consumer | None = None
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._wanted: frozenset[TopicPartition] = frozenset()
        self._passed_over: dict[TopicPartition, int] = {}  # bytes that came unwanted
        self.buffers: dict[TopicPartition, Buffer] = {}

    def close(self) -> None:
        """Leaves the broker."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    @property
    def bytes(self) -> int:
        """About how much memory the buffers hold."""
        return sum(buffer.bytes for buffer in self.buffers.values())

    def assign(self, start: Mapping[TopicPartition, int]) -> None:
        """Begins to read at the given offsets, with empty buffers."""
        self.buffers = {tp: Buffer(offset) for tp, offset in start.items()}
        self._fetch(frozenset(start))

    def read_only(self, wanted: Collection[TopicPartition]) -> None:
        """Reads the wanted topic-partitions only; what is buffered of the others stays."""
        self._wanted = frozenset(wanted)
        beyond = not self._wanted <= self._assigned - self._passed_over.keys()
        if beyond or sum(self._passed_over.values()) > _MAX_UNWANTED_BYTES:
            self._fetch(self._wanted)

    def _fetch(self, wanted: frozenset[TopicPartition]) -> None:
        """Fetches these from where their buffers end, by a new consumer."""
        self.close()
        self._assigned, self._wanted, self._passed_over = wanted, wanted, {}
        for tp in wanted:
            self.buffers[tp].at_end = False
        self._client().assign(
            [
                KafkaTopicPartition(tp.topic, tp.partition, self.buffers[tp].position)
                for tp in sorted(wanted)
            ]
        )

    def poll(self, at_most: int, seconds: float) -> int:
        """Reads up to `at_most` messages into the buffers, waiting up to `seconds`; how many came.

        Raises TerminalError `offsets_lost`, TransientError `kafka_unreachable`.
        """
        count = 0
        for message in self._client().consume(min(at_most, _CHUNK), seconds):
            count += self._take(message)
        return count

    def read_to_end(
        self,
        start: Mapping[TopicPartition, int],
        until: Mapping[TopicPartition, int],
        at_most: int,
        max_bytes: int = 2**40,
    ) -> dict[TopicPartition, Buffer]:
        """Reads from `start` up to `until` (a bound on offsets), within both limits."""
        self.assign(start)
        left = at_most
        idle_since = time.monotonic()
        while left > 0 and self.bytes <= max_bytes and not self._reached(until):
            came = self.poll(left, 0.05)
            left -= came
            idle_since = self.check_idle(idle_since, came)
        return self.buffers

    def _reached(self, until: Mapping[TopicPartition, int]) -> bool:
        return all(
            buffer.at_end or buffer.position >= until.get(tp, buffer.position)
            for tp, buffer in self.buffers.items()
        )

    def check_idle(self, since: float, came: int, limit: float = 30.0) -> float:
        """The moment since which nothing came; raises TransientError past `limit` seconds."""
        now = time.monotonic()
        if came:
            return now
        if now - since > limit:
            raise unreachable(self._servers, f"nothing came for {limit:.0f} s")
        return since

    def _take(self, message: KafkaMessage) -> int:
        tp = TopicPartition(str(message.topic()), int(message.partition() or 0))
        error = message.error()
        if error is not None:
            self._on_error(error, tp)
            return 0
        buffer = self.buffers[tp]
        offset = int(message.offset() or 0)
        value = message.value()
        if tp not in self._wanted:
            self._passed_over[tp] = self._passed_over.get(tp, 0) + len(value or b"") + 1
            buffer.at_end = False
            return 0
        buffer.messages.append(
            Message(offset, message.timestamp()[1], message.key(), value, _run_id(message))
        )
        buffer.position = offset + 1
        buffer.at_end = False
        buffer.events += value is not None
        buffer.bytes += len(value or b"") + 200  # the rest of an event's row in the frame
        return 1

    def _on_error(self, error: KafkaError, tp: TopicPartition) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            self.buffers[tp].at_end = tp not in self._passed_over
            return
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise TerminalError(
                "offsets_lost",
                "Kafka no longer holds the next offset",
                where={
                    "topic": tp.topic,
                    "partition": tp.partition,
                    "offset": self.buffers[tp].position,
                },
                remedy="Compare both sites, then give the link a new start (docs/operations.md).",
            )
        raise translated(error, self._servers)

    def _client(self) -> Consumer:
        if self._consumer is None:
            try:
                self._consumer = Consumer({**self._properties, **_FIXED})
            except KafkaException as error:
                raise invalid_property(error) from None
        return self._consumer


def _run_id(message: KafkaMessage) -> str:
    for name, value in cast("Iterable[tuple[str, bytes | None]]", message.headers() or ()):
        if name == RUN_ID_HEADER and value:
            return value.decode("ascii", "replace")
    return ""
