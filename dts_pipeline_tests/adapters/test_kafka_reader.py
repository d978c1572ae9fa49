"""What a poll makes of what came: ends of partitions, and which run sent each message."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from dts_pipeline.adapters.kafka_reader import RUN_ID_HEADER, Buffer, KafkaReader, _RunIds
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import DtsError, TerminalError

PLACE = TopicPartition("t", 0)


@dataclass
class Sent:
    """A message of a run; `asked` counts how often its headers were read."""

    run: str | None
    asked: list[str | None] = field(default_factory=list)

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        self.asked.append(self.run)
        if self.run is None:
            return None
        return [("__debezium.context.taskId", b"0"), (RUN_ID_HEADER, self.run.encode())]


def runs_of(messages: list[Sent]) -> list[str]:
    return _RunIds().of(messages)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from([None, *"abcdefgh"]), st.integers(1, 200)), max_size=5))
def test_runs_that_follow_each_other_are_told_apart(
    stretches: list[tuple[str | None, int]],
) -> None:
    following = {run: count for run, count in stretches}  # none comes back
    sent = [Sent(run) for run, count in following.items() for _ in range(count)]

    assert runs_of(sent) == [message.run or "" for message in sent]


def test_few_headers_are_read() -> None:
    asked: list[str | None] = []
    assert runs_of([Sent("a", asked) for _ in range(6_400)]) == ["a"] * 6_400
    assert len(asked) <= 6_400 / 30


@dataclass
class Came:
    """What librdkafka hands over: a message, or in its place that a partition has ended."""

    at: int | None
    instead: int = KafkaError._PARTITION_EOF

    def error(self) -> KafkaError | None:
        return KafkaError(self.instead) if self.at is None else None

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    def offset(self) -> int | None:
        return self.at

    def key(self) -> bytes:
        return b"{}"

    value = key

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def headers(self) -> None:
        return None


@dataclass
class Handing:
    """A consumer that hands over all at once; `held` is what the broker holds."""

    came: list[Came]
    held: tuple[int, int] | None = None

    def consume(self, _at_most: int, _seconds: float) -> list[Came]:
        return self.came

    def get_watermark_offsets(self, _place: object, timeout: float) -> tuple[int, int] | None:
        assert timeout > 0
        return self.held


@pytest.mark.parametrize(
    ("came", "at_end"), [([0, 1], False), ([0, 1, None], True), ([0, None, 1], False)]
)
def test_an_end_that_comes_together_with_messages_is_not_forgotten(
    came: list[int | None], at_end: bool
) -> None:
    """It is told once; a read that waits for it would take the broker for silent."""
    reader = reading(Handing([Came(offset) for offset in came]), 0)

    assert reader.poll(100, 0) == 2
    assert reader.buffers[PLACE].at_end is at_end


@pytest.mark.parametrize("cause", [KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE])
@pytest.mark.parametrize(
    ("held", "code"),
    [
        ((0, 7), "offset_given_up"),
        ((7, 9), "offset_given_up"),
        ((8, 9), "offsets_lost"),
        ((0, 6), "offsets_lost"),
        (None, "kafka_unreachable"),
    ],
)
def test_whether_an_offset_is_lost_is_for_the_broker_to_say(
    cause: int, held: tuple[int, int] | None, code: str
) -> None:
    """librdkafka gives a place up, too, when it takes a log for truncated after a crash."""
    reader = reading(Handing([Came(None, cause)], held), 7)

    with pytest.raises(DtsError) as caught:
        reader.poll(100, 0)

    assert caught.value.code == code
    assert isinstance(caught.value, TerminalError) is (code == "offsets_lost")


def reading(consumer: Handing, position: int) -> KafkaReader:
    reader = KafkaReader({})
    reader.buffers = {PLACE: Buffer(position)}
    reader._consumer = consumer  # type: ignore[assignment]
    reader._want(frozenset([PLACE]))
    return reader
