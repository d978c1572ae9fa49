"""Reads bounded offset ranges from Kafka; nothing is subscribed, committed or reset.

A position always means the NEXT offset: last read + 1. Offsets have gaps (transaction markers,
removed messages), so reading ends at the end of a partition or at a bound, never at a count.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
)
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from dts_pipeline.core.envelope import Message
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import DtsError, TerminalError, TransientError

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
_ASK_SECONDS = 15.0


@dataclass(frozen=True)
class TopicFacts:
    """A topic as the broker knows it; `id` differs when it was deleted and made anew."""

    name: str
    id: str
    partitions: int
    compacted: bool


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
    """One consumer and one admin client, made when first needed and closed with the reader."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        """`properties` are librdkafka's; those that the pipeline fixes win."""
        self._properties = dict(properties)
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None
        self.buffers: dict[TopicPartition, Buffer] = {}

    def close(self) -> None:
        """Leaves the broker."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def topics(self, names: Collection[str]) -> dict[str, TopicFacts]:
        """Those of the named topics that exist.

        Raises TransientError `kafka_unreachable`.
        """
        wanted = [name for name in names if name in self._existing()]
        if not wanted:
            return {}
        described = self._admin_client().describe_topics(
            TopicCollection(wanted), request_timeout=_ASK_SECONDS
        )
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
        configs = self._admin_client().describe_configs(resources, request_timeout=_ASK_SECONDS)
        facts = {}
        for resource in resources:
            description = _answer(described[resource.name])
            policy = _answer(configs[resource])["cleanup.policy"].value
            facts[resource.name] = TopicFacts(
                resource.name,
                str(description.topic_id),
                len(description.partitions),
                "compact" in policy,
            )
        return facts

    def offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """The first offset still held, and the next one to be written, of each topic-partition."""
        asked = [KafkaTopicPartition(tp.topic, tp.partition) for tp in partitions]
        if not asked:
            return {}
        low, high = (
            self._admin_client().list_offsets(
                {tp: spec for tp in asked},
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=_ASK_SECONDS,
            )
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
        )
        lows = {TopicPartition(tp.topic, tp.partition): _answer(f).offset for tp, f in low.items()}
        return {
            TopicPartition(tp.topic, tp.partition): (
                lows[TopicPartition(tp.topic, tp.partition)],
                _answer(f).offset,
            )
            for tp, f in high.items()
        }

    @property
    def bytes(self) -> int:
        """About how much memory the buffers hold."""
        return sum(buffer.bytes for buffer in self.buffers.values())

    def assign(self, start: Mapping[TopicPartition, int]) -> None:
        """Begins to read at the given offsets, with empty buffers."""
        self.buffers = {tp: Buffer(offset) for tp, offset in start.items()}
        self._client().assign(
            [KafkaTopicPartition(tp.topic, tp.partition, offset) for tp, offset in start.items()]
        )

    def pause_others(self, wanted: Collection[TopicPartition]) -> None:
        """Fetches from the wanted topic-partitions only; what is buffered stays."""
        both = ([], [])  # type: tuple[list[KafkaTopicPartition], list[KafkaTopicPartition]]
        for tp in self.buffers:
            both[tp in wanted].append(KafkaTopicPartition(tp.topic, tp.partition))
        self._client().pause(both[0])
        self._client().resume(both[1])

    def poll(self, at_most: int, seconds: float) -> int:
        """Reads up to `at_most` messages into the buffers, waiting up to `seconds`; how many came.

        Raises TerminalError `offsets_lost`, TransientError `kafka_unreachable`.
        """
        count = 0
        for message in self._client().consume(min(at_most, _CHUNK), seconds):
            count += self._take(message)
        return count

    def read_to_end(
        self, start: Mapping[TopicPartition, int], until: Mapping[TopicPartition, int], at_most: int
    ) -> dict[TopicPartition, Buffer]:
        """Reads from `start` up to `until` (a bound on offsets), at most so many messages."""
        self.assign(start)
        left = at_most
        idle_since = time.monotonic()
        while left > 0 and not all(
            b.at_end or b.position >= until.get(tp, b.position) for tp, b in self.buffers.items()
        ):
            came = self.poll(left, 0.2)
            left -= came
            idle_since = self.check_idle(idle_since, came)
        return self.buffers

    @staticmethod
    def check_idle(since: float, came: int, limit: float = 30.0) -> float:
        """The moment since which nothing came; raises TransientError past `limit` seconds."""
        now = time.monotonic()
        if came:
            return now
        if now - since > limit:
            raise TransientError(
                "kafka_unreachable",
                f"the broker sent nothing for {limit:.0f} s",
                remedy="Check that the broker of kafka.bootstrap.servers is up and reachable.",
            )
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
        buffer.messages.append(
            Message(offset, message.timestamp()[1], message.key(), value, _run_id(message))  # type: ignore[arg-type]
        )
        buffer.position = offset + 1
        buffer.at_end = False
        buffer.events += value is not None
        buffer.bytes += len(value or b"") + 200  # the rest of an event's row in the frame
        return 1

    def _on_error(self, error: KafkaError, tp: TopicPartition) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            self.buffers[tp].at_end = True
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
        raise kafka_error(error)

    def _existing(self) -> set[str]:
        try:
            return set(self._admin_client().list_topics(timeout=_ASK_SECONDS).topics)
        except KafkaException as error:
            raise kafka_error(error.args[0]) from None

    def _client(self) -> Consumer:
        if self._consumer is None:
            self._consumer = _made(lambda: Consumer(self._properties | _FIXED))
        return self._consumer

    def _admin_client(self) -> AdminClient:
        if self._admin is None:
            self._admin = _made(lambda: AdminClient(self._properties | {"log_level": "0"}))
        return self._admin


def kafka_error(error: KafkaError) -> DtsError:
    """A librdkafka error as a DtsError; only its name is carried over."""
    where = {"kafka_error": error.name()}
    if error.code() in (
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._SSL,
    ):
        return TerminalError(
            "kafka_access_denied",
            "the broker refused the client",
            where=where,
            remedy="Check the credentials and ACLs of the kafka section.",
        )
    return TransientError(
        "kafka_unreachable",
        "the broker did not answer as it should",
        where=where,
        remedy="Check that the broker of kafka.bootstrap.servers is up and reachable.",
    )


def _made(make):  # type: ignore[no-untyped-def]
    try:
        return make()
    except KafkaException as error:
        text = error.args[0].str() if error.args else ""
        raise TerminalError(
            "kafka_property_invalid",
            f"librdkafka refuses a property: {text}",
            remedy="Mend the kafka section of dts.yaml.",
        ) from None


def _answer(future):  # type: ignore[no-untyped-def]
    try:
        return future.result(timeout=_ASK_SECONDS + 5)
    except KafkaException as error:
        raise kafka_error(error.args[0]) from None


def _run_id(message: KafkaMessage) -> str:
    for name, value in message.headers() or ():
        if name == RUN_ID_HEADER and value:
            return value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return ""
