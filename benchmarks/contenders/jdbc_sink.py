"""Debezium's JDBC sink in the stack's Connect worker, at the settings that were fastest here."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.contenders.child import cpu_seconds, resident_bytes
from benchmarks.errors import BenchError
from benchmarks.record import Recording
from benchmarks.results import Run
from benchmarks.setting import Setting, rows_of
from dts_pipeline.adapters.connect_api import ConnectApi
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.core.connector_config import JSON_CONVERTER
from dts_pipeline.core.ranges import TopicPartition as OwnTopicPartition

if TYPE_CHECKING:
    from benchmarks.setting import Connection

_numbers = itertools.count(1)
_LOOK_SECONDS = 0.02
_ASK_SECONDS = 0.5
_STALLED_SECONDS = 300.0
_BINLOG = {"mysql": "SHOW BINARY LOG STATUS", "mariadb": "SHOW BINLOG STATUS"}
_URLS = {
    "mysql": "jdbc:mysql://{host}:{port}/{schema}?rewriteBatchedStatements=true&sslMode=DISABLED"
    "&allowPublicKeyRetrieval=true",
    "mariadb": "jdbc:mariadb://{host}:{port}/{schema}?useBulkStmts=true&sslMode=disable",
}


@dataclass(frozen=True)
class JdbcSink:
    """Reads the messages with schemas, because it can read no others.

    Its time runs from the moment at which its consumer has its partitions, so that it begins to
    read, to its last commit as the target's binlog shows it. `changes` are laid over its settings.
    """

    changes: Mapping[str, str] = field(default_factory=dict)
    name: str = "Debezium JDBC sink"

    def run(self, recording: Recording) -> Run:
        """Carries the recorded range once, as a consumer group of its own."""
        name = f"bench-sink-{next(_numbers)}-{time.time_ns() // 10**9:x}"
        setting = recording.setting
        with (
            ConnectApi(setting.connect) as connect,
            setting.application("b") as connection,
        ):
            began = time.time()
            watch = _Watch(setting, connection)
            connect.put(name, self.settings(recording))
            try:
                reading = self._wait(recording, connect, name, watch)
            finally:
                connect.delete(name)
        return Run(
            contender=self.name,
            events=recording.workload.events,
            seconds=watch.last - reading,
            startup=reading - began,
            peak_bytes=watch.peak,
            cpu=watch.cpu(),
        )

    def settings(self, recording: Recording) -> dict[str, str]:
        """What Connect is given."""
        setting, schema = recording.setting, recording.workload.schema
        at = setting.site("b")
        url = _URLS[setting.target_kind]
        converters = {
            f"{side}.converter{option}": value
            for side in ("key", "value")
            for option, value in (("", JSON_CONVERTER), (".schemas.enable", "true"))
        }
        return {
            "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
            "tasks.max": "1",
            "topics": ",".join(recording.topics("schemas")),
            "connection.url": url.format(host=at["host"], port=at["port"], schema=schema),
            "connection.username": str(at["user"]),
            "connection.password": str(at["password"]),
            "insert.mode": "upsert",
            "delete.enabled": "true",
            "primary.key.mode": "record_key",
            "schema.evolution": "none",
            "collection.name.format": "${source.table}",
            "batch.size": "2000",
            "use.reduction.buffer": "true",
            "consumer.override.max.poll.records": "10000",
            "consumer.override.max.partition.fetch.bytes": str(32 * 2**20),
            "consumer.override.fetch.max.bytes": str(64 * 2**20),
            **converters,
            **self.changes,
        }

    def _wait(self, recording: Recording, connect: ConnectApi, name: str, watch: _Watch) -> float:
        """Until the group has committed the topics' ends; the time at which it began to read."""
        group = _Group(recording, f"connect-{name}")
        reading = 0.0
        asked = moved = time.monotonic()
        while True:
            if not reading and group.has_partitions():
                reading = time.time()
            if watch.look():
                moved = time.monotonic()
            if time.monotonic() - asked >= _ASK_SECONDS:
                asked = time.monotonic()
                if group.is_through():
                    return reading
                connect.raise_if_failed(name)
                if asked - moved > _STALLED_SECONDS:
                    raise BenchError(f"{self.name} has written nothing for {_STALLED_SECONDS} s")
            time.sleep(_LOOK_SECONDS)


class _Watch:
    """When the target's binlog moved last; the Connect worker's memory meanwhile."""

    def __init__(self, setting: Setting, connection: Connection) -> None:
        self._connection = connection
        self._query = _BINLOG[setting.target_kind]
        self._worker = str(setting.pid("connect"))
        self._before = self._position()
        self._cpu = cpu_seconds(self._worker)
        self.last = 0.0
        self.peak = 0

    def look(self) -> bool:
        """Whether something was committed since the last look."""
        self.peak = max(self.peak, resident_bytes(self._worker))
        position = self._position()
        if position == self._before:
            return False
        self._before, self.last = position, time.time()
        return True

    def cpu(self) -> float:
        """The worker's CPU time since this watch was made."""
        return cpu_seconds(self._worker) - self._cpu

    def _position(self) -> tuple[Any, ...]:
        return tuple(rows_of(self._connection, self._query)[0][:2])


class _Group:
    """How far the sink's consumer group is."""

    def __init__(self, recording: Recording, group: str) -> None:
        servers = recording.setting.kafka
        topics = recording.topics("schemas")
        self._client = AdminClient({"bootstrap.servers": servers})
        ends = KafkaAdmin({"bootstrap.servers": servers}).offsets(
            [OwnTopicPartition(topic, 0) for topic in topics]
        )
        self._ends = {tp.topic: end for tp, (_, end) in ends.items()}
        self._name = group
        self._asked = ConsumerGroupTopicPartitions(
            group, [TopicPartition(topic, 0) for topic in topics]
        )

    def has_partitions(self) -> bool:
        """Whether a member of the group has been given partitions to read."""
        future = self._client.describe_consumer_groups([self._name])[self._name]
        try:
            members = future.result(timeout=30).members
        except KafkaException:  # no such group yet
            return False
        return any(member.assignment.topic_partitions for member in members)

    def is_through(self) -> bool:
        """Whether it has committed the end of every topic."""
        futures = self._client.list_consumer_group_offsets([self._asked])
        found = next(iter(futures.values())).result(timeout=30)
        return all(tp.offset >= self._ends[tp.topic] for tp in found.topic_partitions)
