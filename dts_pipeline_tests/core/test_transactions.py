"""Which transactions are whole: counts of ENDs against events, across crashes of the connector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.segments import Segment, run_started_ms, segments_of
from dts_pipeline.core.transaction_messages import TransactionMessage
from dts_pipeline.core.transactions import (
    Cut,
    crash_in_view,
    early_until,
    events_until,
    expected_events,
    find_cut,
)
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import T0, ChangeEvent, begin, end, run_id

ORDERS = "shop.orders"
ITEMS = "shop.items"


def carried(table: str) -> bool:
    return table.startswith("shop.")


def rows(
    transaction: str | None,
    count: int,
    *,
    first: int = 0,
    started: int = T0 - 5_000,
    at: int = T0,
    **fields: Any,
) -> list[ChangeEvent]:
    """`count` events of a transaction from offset `first` on, sent by the run started then."""
    run = run_id(started) if started else ""
    return [
        builders.insert(
            first + i,
            "v",
            transaction=transaction,
            offset=first + i,
            run=run,
            timestamp=at,
            **fields,
        )
        for i in range(count)
    ]


def cut_of(
    messages: Sequence[TransactionMessage], events: Sequence[ChangeEvent], *, first: bool = False
) -> Cut:
    segments = segments_of(messages)
    early = early_until(segments) if first else 0
    return find_cut(segments, builders.frame(events), carried, early_until_ms=early)


def waits(cut: Cut) -> str | None:
    """The transaction that is not whole."""
    return cut.waiting.transaction if cut.waiting else None


def until_of(cut: Cut, events: Sequence[ChangeEvent]) -> Mapping[TopicPartition, int]:
    return events_until(cut, builders.frame(events))


def test_a_begin_and_its_end_make_one_segment() -> None:
    assert segments_of([begin("x:1", at=5), end("x:1", {ORDERS: 2}, offset=1, at=7)]) == [
        Segment("x:1", 5, 1, {ORDERS: 2}, 7)
    ]


def test_a_begin_at_the_end_is_no_segment_yet() -> None:
    assert segments_of([begin("x:1")]) == []


def test_a_begin_that_comes_again_breaks_the_segment_before_it() -> None:
    last = end("x:1", {ORDERS: 1}, offset=2, at=11)
    messages = [begin("x:1", at=5), begin("x:1", at=9), last]

    assert segments_of(messages) == [
        Segment("x:1", 5, None, {}, 9),
        Segment("x:1", 9, 2, {ORDERS: 1}, 11),
    ]


def test_an_end_of_another_transaction_breaks_the_one_that_had_begun() -> None:
    messages = [begin("x:1", at=5), end("x:0", {ORDERS: 1}, offset=1, at=6)]

    assert segments_of(messages) == [
        Segment("x:1", 5, None, {}, 6),
        Segment("x:0", 0, 1, {ORDERS: 1}, 6),
    ]


def test_a_transaction_whose_events_are_all_there_is_whole() -> None:
    events = rows("x:1", 3)
    cut = cut_of([begin("x:1"), end("x:1", {ORDERS: 3}, offset=1)], events)

    assert (cut.complete, cut.transaction_until, waits(cut)) == (1, 2, None)
    assert until_of(cut, events) == {}


def test_a_transaction_with_an_event_missing_is_waited_for_by_name() -> None:
    events = rows("x:1", 2) + rows("x:2", 2, first=2)
    messages = [
        begin("x:1"),
        end("x:1", {ORDERS: 2}, offset=1),
        begin("x:2", offset=2),
        end("x:2", {ORDERS: 3}, offset=3),
    ]
    cut = cut_of(messages, events)

    assert (cut.complete, cut.transaction_until, waits(cut)) == (1, 2, "x:2")
    assert until_of(cut, events) == {TopicPartition("a.shop.orders", 0): 2}


def test_nothing_whole_gives_no_end_of_the_transaction_topic() -> None:
    cut = cut_of([begin("x:1"), end("x:1", {ORDERS: 3}, offset=1)], rows("x:1", 2))

    assert (cut.complete, cut.transaction_until) == (0, None)


def test_events_of_a_transaction_without_its_end_stay_outside_the_batch() -> None:
    events = rows("x:1", 2) + rows("x:2", 4, first=2)
    cut = cut_of([begin("x:1"), end("x:1", {ORDERS: 2}, offset=1), begin("x:2", offset=2)], events)

    assert cut.complete == 1
    assert until_of(cut, events) == {TopicPartition("a.shop.orders", 0): 2}


def test_a_later_transaction_waits_for_an_earlier_one_in_a_lagging_partition() -> None:
    """DEBEZIUM.md, "Where sinks go wrong" 13: order holds within one partition only."""
    messages = [
        begin("x:1"),
        end("x:1", {ORDERS: 2}, offset=1),
        begin("x:2", offset=2),
        end("x:2", {ORDERS: 1}, offset=3),
    ]
    one = rows("x:1", 1, partition=0)
    later = rows("x:2", 1, first=1, partition=0)
    lagging = rows("x:1", 1, partition=1)

    cut = cut_of(messages, one + later)
    assert (cut.complete, waits(cut)) == (0, "x:1")
    assert until_of(cut, one + later)[TopicPartition("a.shop.orders", 0)] == 0

    assert cut_of(messages, one + later + lagging).complete == 2


def test_counts_are_kept_per_table() -> None:
    messages = [begin("x:1"), end("x:1", {ORDERS: 1, ITEMS: 1}, offset=1)]
    two_of_one = rows("x:1", 2)
    one_of_each = rows("x:1", 1) + rows("x:1", 1, table=ITEMS)

    assert cut_of(messages, two_of_one).complete == 0
    assert cut_of(messages, one_of_each).complete == 1


def test_tables_that_the_link_does_not_carry_are_not_waited_for() -> None:
    messages = [begin("x:1"), end("x:1", {"other.log": 9, ORDERS: 1}, offset=1)]

    assert cut_of(messages, rows("x:1", 1)).complete == 1
    assert expected_events(segments_of(messages), carried) == {ORDERS: 1}


def test_a_transaction_of_other_tables_only_is_whole_at_once() -> None:
    messages = [begin("x:1"), end("x:1", {"other.log": 9}, offset=1)]

    assert cut_of(messages, []).complete == 1


def test_a_table_made_later_is_waited_for_as_soon_as_an_end_counts_it() -> None:
    messages = [
        begin("x:1"),
        end("x:1", {ORDERS: 1}, offset=1),
        begin("x:2", offset=2),
        end("x:2", {"shop.made_later": 1}, offset=3),
    ]
    before = cut_of(messages, rows("x:1", 1))
    assert (before.complete, waits(before)) == (1, "x:2")

    now_read = rows("x:1", 1) + rows("x:2", 1, table="shop.made_later")
    assert cut_of(messages, now_read).complete == 2


def test_an_end_whose_events_are_not_visible_yet_is_waited_for() -> None:
    cut = cut_of([begin("x:1"), end("x:1", {ORDERS: 2}, offset=1)], [])

    assert (cut.complete, waits(cut)) == (0, "x:1")


def test_tombstones_do_not_count() -> None:
    """END counts row events; `parse_events` leaves tombstones out, so both agree."""
    gone = [
        builders.delete(1, "a", transaction="x:1", offset=0),
        builders.delete(2, "a", transaction="x:1", offset=2),
    ]
    assert cut_of([begin("x:1"), end("x:1", {ORDERS: 2}, offset=1)], gone).complete == 1


def test_a_begin_without_end_of_a_ddl_statement_does_not_hold_anything_up() -> None:
    """MariaDB's connector sends BEGIN without END for DDL."""
    messages = [
        begin("0-1-7"),
        begin("0-1-8", offset=1),
        end("0-1-8", {ORDERS: 1}, offset=2),
        begin("0-1-9", offset=3),
        begin("0-1-10", offset=4),
        end("0-1-10", {ORDERS: 1}, offset=5),
    ]
    cut = cut_of(messages, rows("0-1-8", 1) + rows("0-1-10", 1, first=1))

    assert (cut.transaction_until, waits(cut)) == (6, None)


def test_snapshot_rows_belong_to_every_batch() -> None:
    events = [builders.snapshot(1, "a"), *rows("x:1", 1, first=1)]
    cut = cut_of([begin("x:1"), end("x:1", {ORDERS: 1}, offset=1)], events)

    assert cut.complete == 1
    assert (cut.segment_of < cut.complete).all()


def crash(
    first_copy: int, again_from: int, total: int, *, run_ids: bool = True, **fields: Any
) -> tuple[list[TransactionMessage], list[ChangeEvent]]:
    """One transaction of `total` rows: killed after `first_copy`, sent again from `again_from`."""
    sent_again = total - again_from
    first_run, second_run = (T0 - 5_000, T0 + 20_000) if run_ids else (0, 0)
    messages = [
        begin("x:1", at=T0),
        begin("x:1", offset=1, at=T0 + 25_000),
        end("x:1", {ORDERS: sent_again}, offset=2, at=T0 + 26_000),
    ]
    events = rows("x:1", first_copy, started=first_run, at=T0 + 10, **fields)
    events += rows(
        "x:1", sent_again, first=first_copy, started=second_run, at=T0 + 25_010, **fields
    )
    return messages, events


@pytest.mark.parametrize("run_ids", [True, False], ids=["run ids", "timestamps only"])
@pytest.mark.parametrize(
    ("first_copy", "again_from", "total"),
    [
        # The figures of DEBEZIUM.md, a hundredth in size: 20,916 of 300,000 rows came twice, END
        # said 258,996; and 4,556 for a transaction of 5,000.
        (619, 410, 3_000),
        (50, 4, 50),
        # As many in the first copy as the second END counts: a plain count would be satisfied.
        (30, 20, 50),
        # Everything sent again, and nothing sent again.
        (10, 0, 40),
        (10, 10, 40),
    ],
)
def test_after_a_crash_an_end_counts_what_its_own_run_sent(
    first_copy: int, again_from: int, total: int, run_ids: bool
) -> None:
    messages, events = crash(first_copy, again_from, total, run_ids=run_ids)

    assert cut_of(messages, events).complete == 2
    for missing in (1, (total - again_from) // 2, total - again_from):
        cut = cut_of(messages, events[:-missing])
        assert (cut.complete, waits(cut)) == (0, "x:1")


HOUR = 3_600_000


@pytest.mark.parametrize("back", [6_000, 24_000, HOUR], ids=["6 s", "24 s", "an hour"])
@pytest.mark.parametrize("uptime", [5_000, 20 * HOUR], ids=["young", "old"])
def test_a_clock_set_back_before_the_connector_starts_again(back: int, uptime: int) -> None:
    """Run ids, BEGINs and events of the second run are stamped by a clock that is behind."""
    new = T0 + 20_000 - back
    messages = [
        begin("x:1", at=T0),
        begin("x:1", offset=1, at=new + 5_000),
        end("x:1", {ORDERS: 30}, offset=2, at=new + 6_000),
    ]
    first = rows("x:1", 30, started=T0 - uptime, at=T0 + 10)
    again = rows("x:1", 30, first=30, started=new, at=new + 5_010)

    assert cut_of(messages, first + again).complete == 2
    for missing in (1, 15, 29):
        assert cut_of(messages, first + again[:-missing]).complete == 0
    # Where the END of before the crash is there, copies do not stand for what it announces.
    ended = [begin("x:1", at=T0), end("x:1", {ORDERS: 30}, offset=1, at=T0 + 20)]
    assert cut_of(ended, first[:-1] + again[:5]).complete == 0
    assert cut_of(ended, first + again[:5]).complete == 1


def test_a_clock_set_back_while_the_connector_runs() -> None:
    """Everything is then stamped earlier than the run began."""
    back = T0 - HOUR
    messages = [
        *(begin("x:1", at=T0), end("x:1", {ORDERS: 2}, offset=1, at=T0)),
        *(begin("x:2", offset=2, at=back), end("x:2", {ORDERS: 2}, offset=3, at=back)),
    ]
    before = rows("x:1", 2, started=T0 - 5_000, at=T0)
    after = rows("x:2", 2, first=2, started=T0 - 5_000, at=back + 3)

    assert cut_of(messages, before + after).complete == 2
    assert cut_of(messages, before + after[:1]).complete == 1
    assert cut_of(messages[2:], after).complete == 1


def test_a_crashed_transaction_holds_back_what_was_sent_again_of_those_before_it() -> None:
    """Copies of x:1 lie between the two halves of x:2; no cut may fall in between."""
    old, new = T0 - 5_000, T0 + 20_000
    messages = [
        begin("x:1", at=T0),
        end("x:1", {ORDERS: 2}, offset=1, at=T0),
        begin("x:2", offset=2, at=T0),
        begin("x:1", offset=3, at=T0 + 25_000),
        end("x:1", {ORDERS: 1}, offset=4, at=T0 + 25_000),
        begin("x:2", offset=5, at=T0 + 25_000),
        end("x:2", {ORDERS: 3}, offset=6, at=T0 + 25_000),
    ]
    sent_first = rows("x:1", 2, started=old) + rows("x:2", 2, first=2, started=old)
    sent_again = rows("x:1", 1, first=4, started=new) + rows("x:2", 3, first=5, started=new)
    halfway = sent_first + sent_again[:2]
    cut = cut_of(messages, halfway)

    assert (cut.complete, cut.transaction_until, waits(cut)) == (1, 2, "x:2")
    assert until_of(cut, halfway) == {TopicPartition("a.shop.orders", 0): 2}
    assert cut_of(messages, sent_first + sent_again).complete == 4


def test_a_transaction_that_had_ended_before_the_crash_is_whole_twice() -> None:
    """An END of 5,000 from before the crash exists, and one of 4,556 after it (by a hundred)."""
    messages = [
        begin("x:1", at=T0),
        end("x:1", {ORDERS: 50}, offset=1, at=T0 + 100),
        begin("x:1", offset=2, at=T0 + 25_000),
        end("x:1", {ORDERS: 46}, offset=3, at=T0 + 26_000),
    ]
    first = rows("x:1", 50)
    again = rows("x:1", 46, first=50, started=T0 + 20_000, at=T0 + 25_010)

    assert cut_of(messages, first).complete == 1
    cut = cut_of(messages, first + again[:45])
    assert (cut.complete, cut.transaction_until) == (1, 2)
    assert until_of(cut, first + again[:45]) == {TopicPartition("a.shop.orders", 0): 50}
    assert cut_of(messages, first + again).complete == 2


def test_three_runs_of_one_transaction() -> None:
    messages = [
        begin("x:1", at=T0),
        begin("x:1", offset=1, at=T0 + 10_000),
        begin("x:1", offset=2, at=T0 + 20_000),
        end("x:1", {ORDERS: 4}, offset=3, at=T0 + 20_000),
    ]
    events = [
        *rows("x:1", 4, started=T0 - 1),
        *rows("x:1", 4, first=4, started=T0 + 9_999),
        *rows("x:1", 3, first=8, started=T0 + 19_999),
    ]
    assert cut_of(messages, events).complete == 0
    more = events + rows("x:1", 1, first=11, started=T0 + 19_999)
    assert cut_of(messages, more).complete == 3


def sent_again(lost: int) -> tuple[list[TransactionMessage], list[ChangeEvent]]:
    """Ten rows and their END, of which Kafka did not take the last `lost`; then a crash.

    The new run begins with the last two rows before those.
    """
    messages = [
        begin("x:1", at=T0),
        end("x:1", {ORDERS: 10}, offset=1, at=T0 + 100),
        begin("x:2", offset=2, at=T0 + 110),
        begin("x:1", offset=3, at=T0 + 25_000),
        end("x:1", {ORDERS: lost + 2}, offset=4, at=T0 + 26_000),
        begin("x:2", offset=5, at=T0 + 26_001),
        end("x:2", {ORDERS: 1}, offset=6, at=T0 + 26_002),
    ]
    first = [replace(e, row=i) for i, e in enumerate(rows("x:1", 10))]
    copies = [
        replace(e, offset=10 + i, run=run_id(T0 + 20_000), timestamp=T0 + 25_010)
        for i, e in enumerate(first[8 - lost :])
    ]
    last = replace(copies[-1], key=99, pos=9_999, transaction="x:2", offset=30)
    return messages, [*first[: 10 - lost], *copies, last]


@pytest.mark.parametrize("lost", [1, 5, 8])
def test_rows_that_kafka_did_not_take_are_made_up_for_by_what_is_sent_again(lost: int) -> None:
    messages, events = sent_again(lost)

    assert cut_of(messages, events[: 10 - lost]).complete == 0
    assert cut_of(messages, events[:-2]).complete == 0  # the second segment is not whole either
    assert waits(cut_of(messages[:3], events)) == "x:1"  # nor has it ended
    cut = cut_of(messages, events)
    assert (cut.complete, cut.transaction_until, cut.waiting) == (4, 7, None)
    assert cut.missing == {}
    # Without the second transaction, all of the first one is a batch, and not less.
    assert cut_of(messages[:5], events[:-1]).complete == 3


def test_rows_that_neither_run_has_brought_are_still_waited_for() -> None:
    """A row of the first run that the second one did not have to send again."""
    messages, events = sent_again(3)
    lagging = events[2]
    cut = cut_of(messages, [event for event in events if event is not lagging])

    assert (cut.complete, waits(cut)) == (0, "x:1")
    assert cut.lacking == {ORDERS: 4}


def test_events_of_a_run_whose_begin_is_not_visible_yet_count_for_no_segment() -> None:
    messages = [
        begin("x:1", at=T0),
        begin("x:1", offset=1, at=T0 + 10_000),
        end("x:1", {ORDERS: 2}, offset=2, at=T0 + 10_000),
    ]
    third_run = rows("x:1", 2, started=T0 + 20_000, at=T0 + 25_000)

    assert cut_of(messages, third_run).complete == 0
    second_run = rows("x:1", 2, started=T0 + 9_000, at=T0 + 10_000)
    assert cut_of(messages, second_run).complete == 2


def test_copies_sent_by_a_later_run_do_not_count_for_the_only_segment_in_view() -> None:
    """The END of before the crash is visible, the BEGIN of after it is not yet."""
    messages = [begin("x:1", at=T0), end("x:1", {ORDERS: 3}, offset=1, at=T0)]
    read_so_far = rows("x:1", 2, partition=0)
    copies = rows("x:1", 2, first=2, partition=0, started=T0 + 20_000, at=T0 + 25_000)
    lagging = rows("x:1", 1, partition=1)

    assert cut_of(messages, read_so_far + copies).complete == 0
    events = read_so_far + copies + lagging
    cut = cut_of(messages, events)
    assert cut.complete == 1
    assert until_of(cut, events) == {TopicPartition("a.shop.orders", 0): 2}


def test_what_was_sent_before_the_first_begin_that_kafka_holds_is_in_the_first_batch() -> None:
    orphans = rows("x:0", 2, at=T0 - 1_000)
    events = orphans + rows("x:1", 1, first=2)
    messages = [begin("x:1", at=T0), end("x:1", {ORDERS: 1}, offset=1, at=T0)]

    first = cut_of(messages, events, first=True)
    assert (first.segment_of < first.complete).all()
    assert until_of(first, events) == {}
    later = cut_of(messages, events)
    assert until_of(later, events) == {TopicPartition("a.shop.orders", 0): 0}


def test_the_first_batch_does_not_take_events_of_a_transaction_under_way() -> None:
    events = rows("x:1", 1) + rows("x:2", 1, first=1, at=T0 + 1)
    messages = [begin("x:1", at=T0), end("x:1", {ORDERS: 1}, offset=1, at=T0)]
    cut = cut_of(messages, events, first=True)

    assert until_of(cut, events) == {TopicPartition("a.shop.orders", 0): 1}


def test_the_first_batch_takes_no_later_events_that_a_clock_set_back_makes_look_older() -> None:
    """Another run of the connector sent x:1 again, then x:2 to a partition of its own."""
    back = T0 - 60_000
    events = rows("x:1", 1, at=T0)
    events += rows("x:1", 1, first=1, at=back + 1, started=back - 5_000)
    events += rows("x:2", 1, at=back + 3, started=back - 5_000, partition=1)
    messages = [
        begin("x:1", at=T0),
        end("x:1", {ORDERS: 1}, offset=1, at=T0),
        begin("x:1", offset=2, at=back),
        end("x:1", {ORDERS: 1}, offset=3, at=back + 1),
    ]
    cut = cut_of(messages, events, first=True)

    assert until_of(cut, events) == {TopicPartition("a.shop.orders", 1): 0}


def test_what_is_missing_is_counted_by_table_over_all_transactions() -> None:
    messages = [
        begin("x:1"),
        end("x:1", {ORDERS: 3, ITEMS: 1, "other.log": 5}, offset=1),
        begin("x:2", offset=2),
        end("x:2", {ORDERS: 2}, offset=3),
    ]
    cut = cut_of(messages, rows("x:1", 1) + rows("x:2", 1, first=1))

    assert cut.missing == {ORDERS: 3, ITEMS: 1}
    whole = rows("x:1", 3) + rows("x:2", 2, first=3) + rows("x:1", 1, table=ITEMS)
    assert cut_of(messages, whole).missing == {}


def test_what_is_missing_after_a_crash_does_not_count_first_copies() -> None:
    """As many first copies as the second END counts: the reader must still ask for more."""
    messages, events = crash(30, 20, 50)

    assert cut_of(messages, events[:40]).missing == {ORDERS: 20}


@pytest.mark.parametrize(
    ("messages", "seen"),
    [
        ([begin("x:1"), end("x:1", {})], False),
        ([begin("x:1"), end("x:1", {}), begin("x:2"), end("x:2", {})], False),
        ([begin("x:1"), begin("x:1"), end("x:1", {})], True),
        ([begin("x:1"), end("x:1", {}), begin("x:1"), end("x:1", {})], True),
        ([begin("x:1"), begin("x:2"), end("x:2", {})], True),  # or a DDL statement
    ],
)
def test_a_crash_in_view(messages: list[TransactionMessage], seen: bool) -> None:
    assert crash_in_view(segments_of(messages)) is seen


def test_a_link_that_starts_in_the_middle_takes_what_lies_across_as_it_is() -> None:
    """Its rows of before the start are not the link's; it would wait for them for ever."""
    messages = [
        end("x:1", {ORDERS: 3}, offset=1, at=T0),  # its BEGIN is before the start
        begin("x:2", offset=2, at=T0 + 1),
        end("x:2", {ORDERS: 3}, offset=3, at=T0 + 2),
        begin("x:3", offset=4, at=T0 + 1_000),
        end("x:3", {ORDERS: 2}, offset=5, at=T0 + 1_001),
    ]
    events = rows("x:2", 1, at=T0 + 2) + rows("x:3", 1, first=1, at=T0 + 1_000)
    segments, frame = segments_of(messages), builders.frame(events)

    assert early_until(segments) == 0
    assert find_cut(segments, frame, carried).complete == 0
    cut = find_cut(segments, frame, carried, unverified_until_ms={ORDERS: T0 + 2})
    assert (cut.complete, cut.transaction_until, waits(cut)) == (2, 4, "x:3")
    assert cut.missing == {ORDERS: 1}


def test_what_is_lacking_of_a_topic_that_was_made_since_the_start_is_waited_for() -> None:
    """The link had not seen the topic yet; its rows would come late, and stop the link."""
    messages = [begin("x:1", at=T0), end("x:1", {ORDERS: 1, "shop.new": 1}, offset=1, at=T0)]
    segments, frame = segments_of(messages), builders.frame([])

    cut = find_cut(segments, frame, carried, unverified_until_ms={ORDERS: T0 + 1_000})
    assert (cut.complete, cut.missing) == (0, {"shop.new": 1})


def test_a_begin_stamped_a_little_after_its_first_rows_is_theirs() -> None:
    """Its topic is made first; a restart of the connector takes longer than that."""
    messages = [
        begin("x:1", at=T0),
        begin("x:1", offset=1, at=T0 + 10_000),
        end("x:1", {ORDERS: 2}, offset=2, at=T0 + 10_100),
    ]
    second = rows("x:1", 2, first=2, started=0, at=T0 + 9_900)

    assert cut_of(messages, [*rows("x:1", 2, started=0, at=T0), *second]).complete == 2


def test_no_messages_and_no_events() -> None:
    cut = cut_of([], [])

    assert (cut.complete, cut.transaction_until, waits(cut)) == (0, None, None)
    assert until_of(cut, []) == {}


def test_expected_events_add_up_over_transactions() -> None:
    messages = [
        begin("x:1"),
        end("x:1", {ORDERS: 2, ITEMS: 1}, offset=1),
        begin("x:2", offset=2),
        end("x:2", {ORDERS: 3}, offset=3),
    ]
    assert expected_events(segments_of(messages), carried) == {ORDERS: 5, ITEMS: 1}


@pytest.mark.parametrize(
    ("run", "started"),
    [
        (run_id(T0), T0),
        ("0190b0c1-2d3e-7abc-8def-0123456789ab", 0x0190B0C12D3E),
        ("", 0),
        ("0190b0c1-2d3e-4abc-8def-0123456789ab", 0),  # version 4 tells no time
        ("7", 0),
    ],
)
def test_the_start_of_a_run_is_read_from_its_uuid(run: str, started: int) -> None:
    assert run_started_ms(run) == started
