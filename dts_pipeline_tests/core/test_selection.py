"""A range as people name it, and held against what Kafka has."""

from __future__ import annotations

from typing import Any

import pytest

from dts_pipeline.core.ranges import OffsetRange, OffsetRanges, TopicPartition
from dts_pipeline.core.selection import against, parse_selection, spelled, time_ms
from dts_pipeline.errors import TerminalError

ONE, TWO = TopicPartition("a.shop.orders", 0), TopicPartition("a.shop.orders", 1)
TOPIC = ONE.topic


def test_the_nth_of_each_option_belong_together() -> None:
    found = parse_selection([TOPIC, TOPIC], [0, 1], [5, 7], [9, 8], tables=["shop.*"])

    assert found.offsets == {ONE: (5, 9), TWO: (7, 8)}
    assert (found.tables, found.is_open) == (("shop.*",), False)


def test_partition_and_until_may_be_left_out() -> None:
    assert parse_selection([TOPIC], froms=[5]).offsets == {ONE: (5, None)}


def test_nothing_named_is_the_open_range() -> None:
    assert parse_selection().is_open
    assert parse_selection(tables=["shop.orders"]).is_open


@pytest.mark.parametrize(
    "words",
    [
        {"topics": [TOPIC]},
        {"topics": [TOPIC], "froms": [1, 2]},
        {"froms": [1]},
        {"topics": [TOPIC], "froms": [3], "untils": [2]},
        {"topics": [TOPIC], "froms": [-1]},
        {"topics": [TOPIC], "partitions": [-1], "froms": [0]},
        {"topics": [TOPIC, TOPIC], "froms": [0, 5], "untils": [5, 9]},
        {"topics": [TOPIC, "x"], "partitions": [0, 0], "froms": [0, 0], "untils": [5]},
        {"topics": [TOPIC], "froms": [0], "since": "2026-11-23"},
        {"until_time": "2026-11-23"},
        {"since": "yesterday"},
        {"since": "2026-11-23", "until_time": "2026-11-23"},
    ],
)
def test_what_is_no_range_is_refused(words: dict[str, Any]) -> None:
    with pytest.raises(TerminalError) as caught:
        parse_selection(**words)

    assert caught.value.code == "range_invalid"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:01", 1_000),
        ("1970-01-01T01:00:01+01:00", 1_000),
        ("1970-01-01T00:00:00.5Z", 500),
        ("1970-01-02", 86_400_000),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, ms: int) -> None:
    assert time_ms(text) == ms


def test_tables_narrow_the_range() -> None:
    found = parse_selection(tables=["shop.orders", "stock.*"])

    assert [found.takes(t) for t in ("shop.orders", "stock.a", "shop.mail")] == [True, True, False]
    assert parse_selection().takes("shop.mail")


HELD = {ONE: (10, 20), TWO: (0, 5)}


class TestAgainstKafka:
    def test_an_open_end_is_the_end_of_now(self) -> None:
        found = against("a_to_b", {ONE: (10, None), TWO: (0, 3)}, HELD)

        assert list(found) == [OffsetRange(ONE, 10, 20), OffsetRange(TWO, 0, 3)]

    @pytest.mark.parametrize(
        ("wanted", "code"),
        [
            ((9, 15), "range_lost"),
            ((0, 5), "range_lost"),
            ((15, 21), "range_ahead"),
            ((21, None), "range_ahead"),
        ],
    )
    def test_what_kafka_does_not_hold_is_refused(
        self, wanted: tuple[int, int | None], code: str
    ) -> None:
        with pytest.raises(TerminalError) as caught:
            against("a_to_b", {ONE: wanted}, HELD)

        assert caught.value.code == code
        assert caught.value.where["topic"] == ONE.topic
        assert caught.value.where["partition"] == 0

    def test_the_first_offset_held_is_named(self) -> None:
        with pytest.raises(TerminalError) as caught:
            against("a_to_b", {ONE: (9, 15)}, HELD)

        assert caught.value.where["low"] == 10

    def test_by_time_the_first_message_held_may_not_be_the_first_of_the_range(self) -> None:
        assert against("a_to_b", {ONE: (11, 15)}, HELD, by_time=True).size == 4
        assert against("a_to_b", {TWO: (0, 5)}, HELD, by_time=True).size == 5
        with pytest.raises(TerminalError) as caught:
            against("a_to_b", {ONE: (10, 15)}, HELD, by_time=True)
        assert caught.value.code == "range_lost"


def test_a_range_is_spelled_as_it_is_read() -> None:
    ranges = OffsetRanges((OffsetRange(ONE, 3, 9), OffsetRange(TWO, 4, 4)))

    words = spelled(ranges, ["shop.orders"])

    assert words == f"--topic {TOPIC} --partition 0 --from 3 --until 9 --table 'shop.orders'"
