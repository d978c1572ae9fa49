"""The reader hears from every topic-partition, however often others are wanted in between."""

from __future__ import annotations

import random
import uuid

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline_tests.stacks import Stack

_MESSAGES = 20


@pytest.fixture
def topics(stack_mariadb: Stack) -> list[TopicPartition]:
    servers = {"bootstrap.servers": stack_mariadb.kafka}
    names = [f"reader-{uuid.uuid4().hex[:8]}" for _ in range(8)]
    admin = AdminClient(servers)
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        future.result()
    producer = Producer(servers)
    for name in names:
        for number in range(_MESSAGES):
            producer.produce(name, str(number).encode())
    assert producer.flush(30) == 0
    return [TopicPartition(name, 0) for name in names]


def test_nothing_is_missed_when_the_wanted_change_quickly(
    stack_mariadb: Stack, topics: list[TopicPartition]
) -> None:
    """librdkafka stops fetching, silently, when assigns and pauses follow one another quickly."""
    reader = KafkaReader({"bootstrap.servers": stack_mariadb.kafka})
    rng = random.Random(4)
    try:
        for _ in range(60):
            for topic in rng.sample(topics, 3):
                start = rng.choice([0, 5, _MESSAGES - 1])
                buffer = reader.read_to_end({topic: start}, {topic: _MESSAGES}, 1)[topic]
                assert [m.offset for m in buffer.messages] == [start]
            reader.assign(dict.fromkeys(topics, 0))
            for _ in range(3):
                reader.read_only(rng.sample(topics, 4))
                reader.poll(rng.choice([1, 5, 50]), 0.01)
            while short := [tp for tp in topics if reader.buffers[tp].position < _MESSAGES]:
                reader.read_only(short)
                reader.poll(1_000, 0.05)
            for topic in topics:
                offsets = [m.offset for m in reader.buffers[topic].messages]
                assert offsets == list(range(_MESSAGES))
    finally:
        reader.close()
