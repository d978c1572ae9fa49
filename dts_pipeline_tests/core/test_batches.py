"""The checkpoint: what the fence compares, and how positions order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dts_pipeline.core.batches import Checkpoint, PartitionCheckpoint, SourcePosition
from dts_pipeline.core.ranges import TopicPartition

ORDERS, ITEMS = TopicPartition("a.shop.orders", 0), TopicPartition("a.shop.items", 10)
CHECKPOINT = Checkpoint(
    "a_to_b",
    "main",
    1,
    7,
    {ORDERS: PartitionCheckpoint(3, "x"), ITEMS: PartitionCheckpoint(0, "y")},
)


def test_the_offsets_that_the_fence_compares_have_one_spelling() -> None:
    turned = replace(CHECKPOINT, partitions=dict(reversed(CHECKPOINT.partitions.items())))

    assert CHECKPOINT.offsets_json() == '{"a.shop.items[10]":0,"a.shop.orders[0]":3}'
    assert turned.offsets_json() == CHECKPOINT.offsets_json()


def test_every_next_offset_is_in_what_the_fence_compares() -> None:
    moved = {**CHECKPOINT.partitions, ITEMS: PartitionCheckpoint(1, "y")}

    assert replace(CHECKPOINT, partitions=moved).offsets_json() != CHECKPOINT.offsets_json()
    fewer = replace(CHECKPOINT, partitions={ORDERS: CHECKPOINT.partitions[ORDERS]})
    assert fewer.offsets_json() != CHECKPOINT.offsets_json()


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (SourcePosition(9, 900, 9), SourcePosition(10, 4, 0)),
        (SourcePosition(1, 99, 9), SourcePosition(1, 100, 0)),
        (SourcePosition(1, 4, 0), SourcePosition(1, 4, 1)),
        (SourcePosition(1, 4, 0, 0), SourcePosition(1, 4, 0, 1)),  # delete before insert
    ],
)
def test_positions_order_by_file_pos_row_and_half(
    earlier: SourcePosition, later: SourcePosition
) -> None:
    assert earlier < later
