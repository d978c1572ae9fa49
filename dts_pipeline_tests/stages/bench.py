"""A link's runtime over topics in memory, for stages that read and reduce but never write."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from dts_pipeline.adapters.kafka_reader import Buffer, KafkaReader
from dts_pipeline.config import BatchConfig
from dts_pipeline.core.batches import Batch, Checkpoint, PartitionCheckpoint, Plan
from dts_pipeline.core.envelope import Message
from dts_pipeline.core.links import Link, MarkKind
from dts_pipeline.core.names import AS_THEY_ARE, Names
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.schema import Table
from dts_pipeline.core.transaction_messages import TransactionMessage
from dts_pipeline.stages import LinkRuntime, normalize
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import ChangeEvent

pull = import_module("dts_pipeline.stages.pull").pull

INSTALLATION = "2f1d7b52-0000-4000-8000-000000000000"
TRANSACTIONS = TopicPartition("a.transaction", 0)
PAIR = Link("a_to_b", "a", "b", ("shop.*",), "a", MarkKind.ORIGIN, pair="shop")

Logs = dict[TopicPartition, list[Message]]


class MemoryReader(KafkaReader):
    """Reads lists of messages, one topic-partition after the other: the most uneven broker.

    A poll gives at most `chunk` messages.
    """

    def __init__(self, logs: Logs, chunk: int) -> None:
        super().__init__({})
        self._logs = logs
        self._chunk = chunk
        self._paused: set[TopicPartition] = set()

    def assign(self, start: Mapping[TopicPartition, int]) -> None:
        self.buffers = {tp: Buffer(offset) for tp, offset in start.items()}
        self._paused = set()

    def read_only(self, wanted: Collection[TopicPartition]) -> None:
        self._paused = set(self.buffers) - set(wanted)

    def poll(
        self, at_most: int, seconds: float, came_some: Callable[[], None] = lambda: None
    ) -> int:
        came = self._poll(at_most)
        came_some()
        return came

    def _poll(self, at_most: int) -> int:
        count = 0
        for tp, buffer in self.buffers.items():
            if tp in self._paused:
                continue
            for message in self._logs[tp]:
                if message.offset < buffer.position:
                    continue
                if count == min(at_most, self._chunk):
                    return count
                buffer.messages.append(message)
                buffer.position = message.offset + 1
                buffer.events += message.value is not None
                buffer.bytes += len(message.value or b"") + 200
                count += 1
            buffer.at_end = True
        return count


@dataclass
class NoTables:
    """A server whose information_schema is empty."""

    site: str = "a"
    names: Names = AS_THEY_ARE

    def query(self, _sql: str, _parameters: object = None) -> Sequence[Any]:
        return []

    def close(self) -> None:
        pass


@dataclass
class Bench:
    """Topics in memory and the checkpoint that stands; `pull` gives the next batch."""

    logs: Logs
    link: Link = PAIR
    limits: BatchConfig = field(default_factory=BatchConfig)
    start: Mapping[TopicPartition, int] = field(default_factory=dict)
    metadata: bool = True
    chunk: int = 1_000

    def __post_init__(self) -> None:
        self.checkpoint = Checkpoint(
            self.link.name,
            self.link.lane,
            1,
            0,
            {tp: PartitionCheckpoint(self.start.get(tp, 0), "id") for tp in self.logs},
        )
        self.runtime = LinkRuntime(self.link, self.limits, NoTables(), NoTables(), {})  # type: ignore[arg-type]
        for runtime in (self.runtime, self.runtime.beside):
            runtime.__dict__["reader"] = MemoryReader(self.logs, self.chunk)
        self.runtime.__dict__["ledger"] = StandingCheckpoint(self)

    def plan(self, slots: int = 1) -> Plan:
        """A run's plan from the checkpoint that stands."""
        until = {tp: log[-1].offset + 1 if log else 0 for tp, log in self.logs.items()}
        topics = {tp.topic for tp in self.logs if self.metadata or tp != TRANSACTIONS}
        tables = {topic: Table("shop", topic.rpartition(".")[2], (), ()) for topic in topics}
        return Plan(
            self.link.name,
            self.checkpoint,
            until,
            dict.fromkeys(topics, "id"),
            tables,
            tables,
            slots,
            time.monotonic() + 60,
        )

    def read(self) -> Batch:
        """The next batch as it was read."""
        batch = pull(self.runtime, self.plan(), 0)
        assert isinstance(batch, Batch)
        return batch

    def pull(self) -> Batch:
        """The next batch as it was read; it is taken as applied."""
        batch = self.read()
        self.checkpoint = normalize(self.runtime, self.plan(), batch).after
        return batch


@dataclass
class StandingCheckpoint:
    """A ledger that knows one checkpoint."""

    bench: Bench

    def read(self, _link: str, _lane: str) -> Checkpoint:
        return self.bench.checkpoint

    def installation(self) -> str:
        return INSTALLATION


def topics(events: Sequence[ChangeEvent], transactions: Sequence[TransactionMessage]) -> Logs:
    """What lies in Kafka: row events as they are placed, BEGINs and ENDs in order."""
    logs: Logs = {TRANSACTIONS: [builders.raw_transaction(m) for m in transactions]}
    for event in events:
        logs.setdefault(event.topic_partition, []).append(builders.message(event))
    return logs
