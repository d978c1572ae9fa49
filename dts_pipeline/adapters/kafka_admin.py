"""Topics as an administrator sees them: looked at by preflight, made when connectors register."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from dts_pipeline.adapters.kafka_errors import (
    invalid_property,
    patience,
    translated,
    unreachable,
)
from dts_pipeline.adapters.kafka_tls import Unanswered
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import DtsError

_SECONDS = 8.0
_ENDS = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class TopicSettings:
    """A topic: `id` is new when it was made anew; `retention_ms` is -1 for ever."""

    name: str
    id: str
    partitions: int
    cleanup_policy: str
    retention_ms: int
    max_message_bytes: int

    @property
    def compacted(self) -> bool:
        """Whether Kafka drops older messages of a key, and with them befores and marks."""
        return "compact" in self.cleanup_policy


class KafkaAdmin:
    """An admin client; every method raises TransientError `kafka_unreachable` (after 8 s, or the
    property `socket.timeout.ms`), or TerminalError `kafka_access_denied`, `kafka_refused`, or what
    adapters.tls says of the broker's certificate.
    """

    def __init__(self, properties: Mapping[str, str]) -> None:
        """`properties` are librdkafka's, secrets filled in."""
        self._servers = properties.get("bootstrap.servers", "")
        self._patience = patience(properties, _SECONDS)
        self._unanswered = Unanswered(properties)
        own: dict[str, Any] = {
            "log_level": "0",
            "socket.connection.setup.timeout.ms": "5000",
            "error_cb": self._unanswered,
        }
        try:
            self._client = AdminClient({**properties, **own})
        except KafkaException as error:
            raise invalid_property(error) from None

    def names(self) -> set[str]:
        """The names of all topics that the account may see."""
        try:
            return set(self._client.list_topics(timeout=self._patience).topics)
        except KafkaException as error:
            raise self._error(error) from None

    def topics(self, names: Collection[str]) -> dict[str, TopicSettings]:
        """Those of the named topics that exist."""
        wanted = sorted(set(names) & self.names())
        if not wanted:
            return {}
        described = self._client.describe_topics(
            TopicCollection(wanted), request_timeout=self._patience
        )
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
        configs = self._client.describe_configs(resources, request_timeout=self._patience)
        found = {}
        for resource in resources:
            topic = self._answer(described[resource.name])
            config = self._answer(configs[resource])
            found[resource.name] = TopicSettings(
                name=resource.name,
                id=str(topic.topic_id),
                partitions=len(topic.partitions),
                cleanup_policy=str(config["cleanup.policy"].value),
                retention_ms=int(config["retention.ms"].value),
                max_message_bytes=int(config["max.message.bytes"].value),
            )
        return found

    def offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """The first offset still held, and the next one to be written, of each topic-partition.

        The latter as `read_committed` sees it.
        """
        if not partitions:
            return {}
        lows, highs = (self._ends(partitions, spec) for spec in _ENDS)
        return {tp: (lows[tp], highs[tp]) for tp in partitions}

    def offsets_at(
        self, partitions: Collection[TopicPartition], time_ms: int
    ) -> dict[TopicPartition, int]:
        """The first offset whose message is from `time_ms` or later; -1 where there is none."""
        return self._ends(partitions, OffsetSpec.for_timestamp(time_ms)) if partitions else {}

    def _ends(
        self, partitions: Collection[TopicPartition], spec: OffsetSpec
    ) -> dict[TopicPartition, int]:
        asked = {KafkaTopicPartition(tp.topic, tp.partition): spec for tp in partitions}
        answers = self._client.list_offsets(
            asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=self._patience
        )
        return {
            TopicPartition(tp.topic, tp.partition): int(self._answer(future).offset)
            for tp, future in answers.items()
        }

    def end_offset(self, topic: str) -> int:
        """The next offset of the topic, summed over its partitions; 0 if it does not exist."""
        found = self.topics([topic]).get(topic)
        if found is None:
            return 0
        partitions = [TopicPartition(topic, number) for number in range(found.partitions)]
        return sum(high for _, high in self.offsets(partitions).values())

    def create(self, names: Collection[str], config: Mapping[str, str]) -> list[str]:
        """Makes those of the topics that are missing, one partition each; gives their names."""
        missing = sorted(set(names) - self.names())
        if not missing:
            return []
        topics = [NewTopic(name, num_partitions=1, config=dict(config)) for name in missing]
        made = []
        for name, future in self._client.create_topics(
            topics, request_timeout=self._patience
        ).items():
            try:
                future.result()
                made.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._error(error) from None
        return made

    def raise_message_limit(self, names: Collection[str], limit: int) -> list[str]:
        """Lets topics take messages of `limit` bytes that take less; gives their names."""
        low = [n for n, topic in self.topics(names).items() if topic.max_message_bytes < limit]
        entry = ConfigEntry(
            "max.message.bytes", str(limit), incremental_operation=AlterConfigOpType.SET
        )
        changes = [
            ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry]) for name in low
        ]
        if changes:
            done = self._client.incremental_alter_configs(changes, request_timeout=self._patience)
            for future in done.values():
                self._answer(future)
        return low

    def _answer(self, future: Future[Any]) -> Any:
        try:
            return future.result(timeout=self._patience + 2)
        except KafkaException as error:
            raise self._error(error) from None
        except TimeoutError:
            missing = unreachable(self._servers, "_TIMED_OUT")
            raise self._unanswered.explained(missing) from None

    def _error(self, error: KafkaException) -> DtsError:
        self._client.poll(0)  # what the callback has not been told yet
        return self._unanswered.explained(translated(error.args[0], self._servers))
