"""What was read ahead is taken for its own checkpoint only, and errors stay where they belong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace

import pytest

from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.config import BatchConfig
from dts_pipeline.core.batches import Batch, Checkpoint, PartitionCheckpoint
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.stages import normalize
from dts_pipeline.stages.ahead import ReadAhead
from dts_pipeline_tests.stages.bench import Bench, pull, topics
from dts_pipeline_tests.stages.test_pull import announced, transaction

ORDERS = TopicPartition("a.shop.orders", 0)
HERE = Checkpoint("a_to_b", "main", 1, 4, {ORDERS: PartitionCheckpoint(10, "id")})


@pytest.fixture
def ahead() -> Iterator[ReadAhead[int]]:
    made: ReadAhead[int] = ReadAhead(lambda: None)
    yield made
    made.close()


def test_it_is_taken_once_for_the_checkpoint_that_it_was_read_for(ahead: ReadAhead[int]) -> None:
    ahead.begin(HERE, lambda: 7)
    assert ahead.take(replace(HERE, mark_sequence=9, applied_gtids="u:1-5")) == 7
    assert ahead.take(HERE) is None


@pytest.mark.parametrize(
    "other",
    [
        replace(HERE, generation=2),
        replace(HERE, batch=5),
        replace(HERE, partitions={ORDERS: PartitionCheckpoint(11, "id")}),
    ],
)
def test_another_checkpoint_gets_nothing(ahead: ReadAhead[int], other: Checkpoint) -> None:
    ahead.begin(HERE, lambda: 7)
    assert ahead.take(other) is None
    assert ahead.take(HERE) is None


def test_an_error_leaves_the_reading_to_the_run_itself(ahead: ReadAhead[int]) -> None:
    ahead.begin(HERE, lambda: 1 // 0)
    assert ahead.take(HERE) is None
    ahead.begin(HERE, lambda: 8)
    assert ahead.take(HERE) == 8


def test_closing_stops_a_reading_under_way() -> None:
    stopped = threading.Event()
    ahead: ReadAhead[bool] = ReadAhead(stopped.set)
    ahead.begin(HERE, lambda: stopped.wait(20))
    ahead.close()
    assert stopped.is_set()
    assert ahead.take(HERE) is None


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Three transactions of two events each; a batch takes one of them."""
    events = [event for n in range(3) for event in transaction(n + 1, 2, offset=2 * n)]
    made = Bench(
        topics(events, announced((1, 2), (2, 2), (3, 2))), limits=BatchConfig(max_events=2)
    )
    yield made
    made.runtime.close()


def test_a_run_finds_its_next_batch_read(bench: Bench) -> None:
    plan = bench.plan(slots=4)
    found: list[Batch | None] = []
    for slot in range(4):
        batch = pull(bench.runtime, plan, slot)
        found.append(batch)
        if batch is not None:
            bench.checkpoint = normalize(bench.runtime, plan, batch).after
    assert [len(batch.frame) for batch in found if batch] == [2, 2, 2]
    assert [batch.number for batch in found if batch] == [1, 2, 3]
    assert found[3] is None
    assert bench.runtime.ahead.taken == 2


def test_a_checkpoint_that_moved_otherwise_is_read_for_again(bench: Bench) -> None:
    plan = bench.plan(slots=4)
    first = pull(bench.runtime, plan, 0)
    bench.checkpoint = replace(first.after, generation=2)
    second = pull(bench.runtime, plan, 1)
    assert second.before == bench.checkpoint
    assert [len(batch.frame) for batch in (first, second)] == [2, 2]
    assert bench.runtime.ahead.taken == 0


def test_nothing_is_read_ahead_for_a_batch_that_the_run_will_not_take(bench: Bench) -> None:
    pull(bench.runtime, bench.plan(slots=1), 0)
    assert "ahead" not in bench.runtime.__dict__


def test_a_reader_that_is_stopped_reads_no_more() -> None:
    reader = KafkaReader({"bootstrap.servers": "127.0.0.1:1"})
    reader.assign({ORDERS: 0})
    reader.stop()
    with pytest.raises(CancelledError):
        reader.poll(1, 0.01)
    reader.close()
