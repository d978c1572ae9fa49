"""Half-open ranges of offsets."""

from __future__ import annotations

import pytest

from dts_pipeline.core.ranges import OffsetRange, OffsetRanges, TopicPartition

ONE, TWO = TopicPartition("a.shop.orders", 0), TopicPartition("a.shop.orders", 1)


@pytest.mark.parametrize(("first", "until"), [(-1, 0), (3, 2), (-2, -1)])
def test_what_is_no_range_is_refused(first: int, until: int) -> None:
    with pytest.raises(ValueError, match="not a range"):
        OffsetRange(ONE, first, until)


def test_a_range_may_be_empty() -> None:
    assert OffsetRange(ONE, 3, 3).size == 0


def test_ranges_go_from_start_to_until_and_stand_sorted() -> None:
    ranges = OffsetRanges.between({TWO: 5, ONE: 0}, {ONE: 3, TWO: 9})

    assert list(ranges) == [OffsetRange(ONE, 0, 3), OffsetRange(TWO, 5, 9)]
    assert (ranges.start(), ranges.until(), ranges.size) == ({ONE: 0, TWO: 5}, {ONE: 3, TWO: 9}, 7)


def test_a_partition_that_until_does_not_name_stays_where_it_is() -> None:
    assert OffsetRanges.between({ONE: 4}, {}).until() == {ONE: 4}


def test_a_range_never_goes_back() -> None:
    assert OffsetRanges.between({ONE: 4}, {ONE: 2}).until() == {ONE: 4}


def test_as_text() -> None:
    assert str(OffsetRange(ONE, 0, 3)) == "a.shop.orders[0][0, 3)"
