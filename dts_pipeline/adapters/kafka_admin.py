"""Topics as an administrator sees them: looked at by preflight, made when connectors register."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from dts_pipeline.errors import DtsError, TerminalError, TransientError

_SECONDS = 15.0
_AWAY = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError.REQUEST_TIMED_OUT,
}
_DENIED = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


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
    """An admin client; every method raises TransientError `kafka_unreachable`, or TerminalError
    `kafka_access_denied` or `kafka_refused`.
    """

    def __init__(self, properties: Mapping[str, str]) -> None:
        """`properties` are librdkafka's, secrets filled in."""
        self._servers = properties.get("bootstrap.servers", "")
        try:
            self._client = AdminClient(
                {**properties, "log_level": "0", "socket.connection.setup.timeout.ms": "5000"}
            )
        except KafkaException as error:
            raise self._translated(error) from None

    def names(self) -> set[str]:
        """The names of all topics that the account may see."""
        try:
            return set(self._client.list_topics(timeout=_SECONDS).topics)
        except KafkaException as error:
            raise self._translated(error) from None

    def topics(self, names: Collection[str]) -> dict[str, TopicSettings]:
        """Those of the named topics that exist."""
        wanted = sorted(set(names) & self.names())
        if not wanted:
            return {}
        described = self._client.describe_topics(TopicCollection(wanted), request_timeout=_SECONDS)
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
        configs = self._client.describe_configs(resources, request_timeout=_SECONDS)
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

    def end_offset(self, topic: str) -> int:
        """The next offset of the topic, summed over its partitions; 0 if it does not exist."""
        found = self.topics([topic]).get(topic)
        if found is None:
            return 0
        asked = {
            KafkaTopicPartition(topic, p): OffsetSpec.latest() for p in range(found.partitions)
        }
        answers = self._client.list_offsets(asked, request_timeout=_SECONDS)
        return sum(int(self._answer(future).offset) for future in answers.values())

    def create(self, names: Collection[str], config: Mapping[str, str]) -> list[str]:
        """Makes those of the topics that are missing, one partition each; gives their names."""
        missing = sorted(set(names) - self.names())
        if not missing:
            return []
        topics = [NewTopic(name, num_partitions=1, config=dict(config)) for name in missing]
        made = []
        for name, future in self._client.create_topics(topics, request_timeout=_SECONDS).items():
            try:
                future.result()
                made.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._translated(error) from None
        return made

    def _answer(self, future: Future[Any]) -> Any:
        try:
            return future.result(timeout=_SECONDS)
        except KafkaException as error:
            raise self._translated(error) from None

    def _translated(self, error: KafkaException) -> DtsError:
        problem = error.args[0]
        where = {"kafka": self._servers, "cause": problem.name()}
        if problem.code() in _AWAY:
            return TransientError(
                "kafka_unreachable",
                "no broker answers",
                where=where,
                remedy="Start Kafka, or mend bootstrap.servers in dts.yaml.",
            )
        if problem.code() in _DENIED:
            return TerminalError(
                "kafka_access_denied",
                "the broker does not let this account in",
                where=where,
                remedy="Check the security settings under `kafka:` and the account's ACLs.",
            )
        return TerminalError(
            "kafka_refused",
            "the broker refused a request",
            where=where,
            remedy="Look the cause up in Kafka's list of errors.",
        )
