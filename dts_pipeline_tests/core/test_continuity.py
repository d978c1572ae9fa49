"""What makes a checkpoint one that cannot be carried on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from dts_pipeline.core.batches import Checkpoint, PartitionCheckpoint
from dts_pipeline.core.continuity import refuse_break
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import TerminalError

ORDERS, MORE, ITEMS = (
    TopicPartition("a.shop.orders", 0),
    TopicPartition("a.shop.orders", 1),
    TopicPartition("a.shop.items", 0),
)
CHECKPOINT = Checkpoint(
    "a_to_b",
    "main",
    1,
    7,
    {ORDERS: PartitionCheckpoint(30, "id-1"), MORE: PartitionCheckpoint(5, "id-1")},
    incarnation="server_id:1",
)


@dataclass(frozen=True)
class Described:
    id: str
    partitions: int = 2


TOPICS: dict[str, Described] = {"a.shop.orders": Described("id-1")}
OFFSETS = {ORDERS: (10, 40), MORE: (0, 5)}


def refused(
    incarnation: str = "server_id:1",
    topics: Mapping[str, Described] = TOPICS,
    offsets: Mapping[TopicPartition, tuple[int, int]] = OFFSETS,
) -> TerminalError:
    with pytest.raises(TerminalError) as caught:
        refuse_break(CHECKPOINT, incarnation, topics, offsets)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    "offsets",
    [OFFSETS, {ORDERS: (30, 30), MORE: (5, 9)}, {**OFFSETS, ITEMS: (0, 9)}],
    ids=["within", "at both bounds", "a table made since"],
)
def test_what_can_be_carried_on_from(offsets: dict[TopicPartition, tuple[int, int]]) -> None:
    refuse_break(CHECKPOINT, "server_id:1", TOPICS, offsets)


def test_another_server_behind_the_source() -> None:
    error = refused(incarnation="server_id:2")

    assert error.code == "source_changed"
    assert error.where == {"link": "a_to_b", "was": "server_id:1", "is": "server_id:2"}


def test_a_topic_that_is_gone() -> None:
    error = refused(topics={}, offsets={})

    assert (error.code, error.where["topic"]) == ("topic_missing", "a.shop.orders")


def test_a_topic_deleted_and_made_anew() -> None:
    """It starts at offset 0 again: the next offset alone would look well."""
    assert refused(topics={"a.shop.orders": Described("id-2")}).code == "topic_recreated"


@pytest.mark.parametrize("held", [(31, 40), (0, 29), None], ids=["removed", "cut off", "unknown"])
def test_offsets_that_kafka_no_longer_holds(held: tuple[int, int] | None) -> None:
    offsets = {MORE: (0, 5)} | ({ORDERS: held} if held else {})
    error = refused(offsets=offsets)

    assert (error.code, error.where["partition"]) == ("offsets_lost", 0)
    assert error.where["next"] == 30


def test_partitions_added_to_a_topic() -> None:
    """Keys have moved between them."""
    third = TopicPartition("a.shop.orders", 2)
    error = refused(offsets={**OFFSETS, third: (0, 0)})

    assert (error.code, error.where["partition"]) == ("partitions_added", 2)
