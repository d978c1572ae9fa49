"""Reads bounded offset ranges from Kafka; nothing is subscribed, committed or reset.

A position always means the NEXT offset: last read + 1. Offsets have gaps (transaction markers,
removed messages), so reading ends at the end of a partition or at a bound, never at a count.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import TopicPartition as KafkaTopicPartition

from dts_pipeline.adapters.kafka_errors import (
    invalid_property,
    patience,
    translated,
    unreachable,
)
from dts_pipeline.adapters.kafka_tls import Unanswered
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
    # What is fetched behind a batch's end is thrown away: enough to keep fetches going, no more.
    "queued.max.messages.kbytes": "16384",
    # A full queue keeps the next fetch back so long; by default a second, in which a run empties it
    # and waits.
    "fetch.queue.backoff.ms": "10",
    "log_level": "0",
}
_CHUNK = 10_000
# Messages taken over at a time: few enough to be still in the processor's cache when they are
# parsed, which halves the time of both.
_TOGETHER = 500
_STRETCH = 64
_SILENT_SECONDS = 30.0
_MAX_UNWANTED_BYTES = 4 * 2**20


@dataclass
class Buffer:
    """What was read of one topic-partition so far; `position` is the next offset.

    `events` counts the messages that are not tombstones, `bytes` is what they take up in memory:
    both of all that was read, also of what has been taken out of `messages` since.
    """

    position: int
    messages: list[Message] = field(default_factory=list)
    events: int = 0
    bytes: int = 0
    at_end: bool = False

    def put(self, messages: Sequence[KafkaMessage], runs: Sequence[str]) -> None:
        """Adds messages, in the order of their offsets, with the runs that sent them."""
        offsets = [int(message.offset() or 0) for message in messages]
        values = [message.value() for message in messages]
        self.messages += [
            Message(offset, message.timestamp()[1], message.key(), value, run)
            for offset, message, value, run in zip(offsets, messages, values, runs, strict=True)
        ]
        self.position = offsets[-1] + 1
        self.events += len(values) - values.count(None)
        # The rest of an event's row in the frame takes up something, too.
        self.bytes += sum(map(len, filter(None, values))) + 200 * len(values)


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
        self._patience = patience(properties, _SILENT_SECONDS)
        self._unanswered = Unanswered(properties)
        self._consumer: Consumer | None = None
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._wanted: frozenset[TopicPartition] = frozenset()
        self._passed_over: dict[TopicPartition, int] = {}  # bytes that came unwanted
        self._places: dict[tuple[str | None, int | None], Buffer] = {}  # of the wanted ones
        self._runs = _RunIds()
        self._stopped = False
        self.buffers: dict[TopicPartition, Buffer] = {}

    def stop(self) -> None:
        """Ends reading in whichever thread it goes on: its next poll raises CancelledError."""
        self._stopped = True

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
        self._want(frozenset(wanted))
        beyond = not self._wanted <= self._assigned - self._passed_over.keys()
        if beyond or sum(self._passed_over.values()) > _MAX_UNWANTED_BYTES:
            self._fetch(self._wanted)

    def _fetch(self, wanted: frozenset[TopicPartition]) -> None:
        """Fetches these from where their buffers end, by a new consumer."""
        self.close()
        self._assigned, self._passed_over = wanted, {}
        self._want(wanted)
        for tp in wanted:
            self.buffers[tp].at_end = False
        self._client().assign(
            [
                KafkaTopicPartition(tp.topic, tp.partition, self.buffers[tp].position)
                for tp in sorted(wanted)
            ]
        )

    def _want(self, wanted: frozenset[TopicPartition]) -> None:
        self._wanted = wanted
        self._places = {(tp.topic, tp.partition): self.buffers[tp] for tp in wanted}

    def poll(
        self, at_most: int, seconds: float, came_some: Callable[[], None] = lambda: None
    ) -> int:
        """Reads up to `at_most` messages into the buffers, waiting up to `seconds`; how many came.

        `came_some` is called whenever some hundreds have come: it may take messages out of the
        buffers. Raises TerminalError `offsets_lost`, TransientError `kafka_unreachable`,
        `offset_given_up`.
        """
        came, left = 0, min(at_most, _CHUNK)
        while left > 0:
            if self._stopped:
                raise CancelledError
            together = min(left, _TOGETHER)
            messages = self._client().consume(together, 0 if came else seconds)
            came += self._put(messages)
            left -= len(messages)
            came_some()
            if len(messages) < together:
                break
        return came

    def _put(self, messages: Sequence[KafkaMessage]) -> int:
        """Puts what came into the buffers; how many messages these now hold more."""
        errors = [message.error() for message in messages]
        last: dict[TopicPartition, KafkaError | None] = {}
        if any(error is not None for error in errors):
            for error, message in zip(errors, messages, strict=True):
                last[_place(message)] = error
                if error is not None:
                    self._on_error(error, _place(message))
            messages = [message for message in messages if message.error() is None]
        came = 0
        for place, some in self._by_place(messages):
            buffer = self._places.get(place)
            if buffer is None:
                self._pass_over(_place(some[0]), sum(len(m.value() or b"") + 1 for m in some))
                continue
            buffer.at_end = False
            buffer.put(some, self._runs.of(some))
            came += len(some)
        for tp, error in last.items():
            if error is not None:  # the end came behind the messages, and is not told again
                self._on_error(error, tp)
        return came

    def _by_place(
        self, messages: Sequence[KafkaMessage]
    ) -> Collection[tuple[tuple[str | None, int | None], Sequence[KafkaMessage]]]:
        """The messages of each topic-partition, in the order in which they came."""
        if len(self._assigned) == 1 and messages:  # the consumer has never had another one
            (tp,) = self._assigned
            return [((tp.topic, tp.partition), messages)]
        topics = [message.topic() for message in messages]
        places = list(zip(topics, [message.partition() for message in messages], strict=True))
        if len(set(places)) == 1:  # a fetch's messages come one partition after the other
            return [(places[0], messages)]
        found: dict[tuple[str | None, int | None], list[KafkaMessage]] = defaultdict(list)
        for place, message in zip(places, messages, strict=True):
            found[place].append(message)
        return found.items()

    def read_to_end(
        self,
        start: Mapping[TopicPartition, int],
        until: Mapping[TopicPartition, int],
        at_most: int,
        max_bytes: int = 2**40,
        came_some: Callable[[], None] = lambda: None,
    ) -> dict[TopicPartition, Buffer]:
        """Reads from `start` up to `until` (a bound on offsets), within both limits.

        `came_some`: see `poll`.
        """
        self.assign(start)
        left = at_most
        idle_since = time.monotonic()
        while left > 0 and self.bytes <= max_bytes and not self._reached(until):
            came = self.poll(left, 0.05, came_some)
            left -= came
            idle_since = self.check_idle(idle_since, came)
        return self.buffers

    def _reached(self, until: Mapping[TopicPartition, int]) -> bool:
        return all(
            buffer.at_end or buffer.position >= until.get(tp, buffer.position)
            for tp, buffer in self.buffers.items()
        )

    def check_idle(self, since: float, came: int) -> float:
        """The moment since which nothing came; raises TransientError `kafka_unreachable` when that
        is 30 s ago, or the property `socket.timeout.ms`.
        """
        now = time.monotonic()
        if came:
            return now
        if now - since > self._patience:
            missing = unreachable(self._servers, f"nothing came for {self._patience:.0f} s")
            raise self._unanswered.explained(missing)
        return since

    def _pass_over(self, tp: TopicPartition, size: int) -> None:
        self._passed_over[tp] = self._passed_over.get(tp, 0) + size
        self.buffers[tp].at_end = False

    def _on_error(self, error: KafkaError, tp: TopicPartition) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            self.buffers[tp].at_end = tp not in self._passed_over
            return
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise self._place_given_up(tp)
        raise self._unanswered.explained(translated(error, self._servers))

    def _place_given_up(self, tp: TopicPartition) -> DtsError:
        """The error for a place that librdkafka gave up: whether it is lost, the broker knows.

        librdkafka gives one up, too, when it takes a log for truncated after its broker came back
        with another leader epoch.
        """
        place = KafkaTopicPartition(tp.topic, tp.partition)
        position = self.buffers[tp].position
        try:
            held = self._client().get_watermark_offsets(place, timeout=self._patience)
        except KafkaException as error:
            return self._unanswered.explained(translated(error.args[0], self._servers))
        if held is None:
            return self._unanswered.explained(unreachable(self._servers, "_TIMED_OUT"))
        where = {"topic": tp.topic, "partition": tp.partition, "offset": position}
        if held[0] <= position <= held[1]:
            return TransientError(
                "offset_given_up",
                "Kafka holds the next offset, but its client stopped reading there",
                where=where,
                remedy="Nothing, unless it comes again and again: see Kafka's own log.",
            )
        return TerminalError(
            "offsets_lost",
            "Kafka no longer holds the next offset",
            where={**where, "low": held[0], "high": held[1]},
            remedy="Compare both sites, then give the link a new start (docs/operations.md).",
        )

    def _client(self) -> Consumer:
        if self._consumer is None:
            try:
                own = {**_FIXED, "error_cb": self._unanswered}
                self._consumer = Consumer({**self._properties, **own})
            except KafkaException as error:
                raise invalid_property(error) from None
        return self._consumer


def _place(message: KafkaMessage) -> TopicPartition:
    return TopicPartition(str(message.topic()), int(message.partition() or 0))


class _RunIds:
    """The runs of the connector that sent messages of a topic-partition.

    To read a message's headers takes as long as all the rest of it, so only those at the ends of
    a stretch are read, and more where these differ: a run's messages lie together. They do not
    where two workers run one connector at once, and then all rows come twice. A row that counts
    for the wrong one of them makes its transaction wait, or stops the link with `late_event`.
    """

    def __init__(self) -> None:
        self._texts: dict[bytes, str] = {}

    def of(self, messages: Sequence[KafkaMessage]) -> list[str]:
        """The run id of each message, '' where no header names one."""
        runs: list[str] = []
        for start in range(0, len(messages), _STRETCH):
            runs += self._between(messages[start : start + _STRETCH])
        return runs

    def _between(self, messages: Sequence[KafkaMessage]) -> list[str]:
        first, last = self._of_one(messages[0]), self._of_one(messages[-1])
        if first == last:
            return [first] * len(messages)
        if len(messages) == 2:
            return [first, last]
        half = len(messages) // 2
        return self._between(messages[:half]) + self._between(messages[half:])

    def _of_one(self, message: KafkaMessage) -> str:
        headers: Any = message.headers()
        for name, value in reversed(headers or ()):  # it stands last as Debezium sends them
            if name == RUN_ID_HEADER and value:
                if value not in self._texts:
                    self._texts[value] = value.decode("ascii", "replace")
                return self._texts[value]
        return ""
