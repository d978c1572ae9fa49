"""pull: whole transactions within the limits, whatever the connector and the broker did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dts_pipeline.config import BatchConfig
from dts_pipeline.core.batches import Batch
from dts_pipeline.core.envelope import Message
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.transaction_messages import TransactionMessage
from dts_pipeline.core.waiting import Waiting
from dts_pipeline.errors import PoisonError, TerminalError
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import T0, ChangeEvent, begin, end, run_id
from dts_pipeline_tests.stages.bench import PAIR, TRANSACTIONS, Bench, Logs, topics

ORDERS = TopicPartition("a.shop.orders", 0)
ORDERS_1 = TopicPartition("a.shop.orders", 1)


def transaction(
    number: int, count: int, *, offset: int = 0, started: int = T0 - 5_000, **fields: Any
) -> list[ChangeEvent]:
    """`count` inserts of transaction 0-1-<number>, positions as the binlog has them."""
    gtid = f"0-1-{number}"
    return [
        builders.insert(
            100 * number + i,
            "v",
            gtid=gtid,
            transaction=gtid,
            offset=offset + i,
            pos=1_000 * number + i,
            run=run_id(started),
            **fields,
        )
        for i in range(count)
    ]


def announced(*counts: tuple[int, int]) -> list[TransactionMessage]:
    """BEGIN and END of each (number, count), all rows in shop.orders."""
    messages = []
    for place, (number, count) in enumerate(counts):
        messages.append(begin(f"0-1-{number}", offset=2 * place, at=T0 + place))
        messages.append(
            end(f"0-1-{number}", {"shop.orders": count}, offset=2 * place + 1, at=T0 + place)
        )
    return messages


def keys(batch: Batch) -> list[bytes]:
    return list(batch.frame["key"])


def test_all_that_is_whole_is_one_batch() -> None:
    events = transaction(1, 2) + transaction(2, 3, offset=2)
    batch = Bench(topics(events, announced((1, 2), (2, 3)))).pull()

    assert len(batch.frame) == 5
    assert (batch.number, batch.before.batch, batch.after.batch) == (1, 0, 1)
    assert batch.ranges.until() == {ORDERS: 5, TRANSACTIONS: 4}
    assert batch.after.applied_gtids == "0-2"
    assert batch.waiting is None


def test_nothing_new_is_an_empty_batch() -> None:
    bench = Bench(topics(transaction(1, 2), announced((1, 2))))
    bench.pull()
    batch = bench.pull()

    assert batch.is_empty
    assert batch.frame.empty


def test_a_batch_ends_with_the_last_transaction_that_fits() -> None:
    events = [*transaction(1, 2), *transaction(2, 2, offset=2), *transaction(3, 2, offset=4)]
    logs = topics(events, announced((1, 2), (2, 2), (3, 2)))
    bench = Bench(logs, limits=BatchConfig(max_events=5))

    assert [len(bench.pull().frame) for _ in range(3)] == [4, 2, 0]


def test_a_transaction_larger_than_the_limit_is_taken_whole() -> None:
    events = transaction(1, 9) + transaction(2, 1, offset=9)
    bench = Bench(topics(events, announced((1, 9), (2, 1))), limits=BatchConfig(max_events=3))

    assert [len(bench.pull().frame) for _ in range(2)] == [9, 1]


def test_past_the_byte_limit_a_batch_ends_with_what_is_whole() -> None:
    big = {"id": 1, "v": "x" * 2_000}
    events = [
        replace(event, after=big)
        for number in (1, 2, 3)
        for event in transaction(number, 1, offset=number - 1)
    ]
    limits = BatchConfig.model_validate({"max_bytes": "3KiB"})
    bench = Bench(topics(events, announced((1, 1), (2, 1), (3, 1))), limits=limits, chunk=1)

    assert [len(bench.pull().frame) for _ in range(3)] == [2, 1, 0]


def test_a_transaction_larger_than_the_byte_limit_is_taken_behind_an_empty_one() -> None:
    """Each run leaves a watermark's transaction in front of what comes next."""
    events = [replace(e, after={"id": 1, "v": "x" * 2_000}) for e in transaction(2, 5)]
    messages = announced((1, 0), (2, 5))
    messages[1] = end("0-1-1", {"dts.watermark": 1}, offset=1, at=T0)
    limits = BatchConfig.model_validate({"max_bytes": "3KiB"})
    bench = Bench(topics(events, messages), limits=limits, chunk=1)

    assert len(bench.pull().frame) == 5


def test_reading_does_not_go_far_past_what_memory_may_hold() -> None:
    events = [replace(e, after={"id": 1, "v": "x" * 2_000}) for e in transaction(1, 500)]
    limits = BatchConfig.model_validate({"max_bytes": "1KiB", "max_transaction_bytes": "100KiB"})
    with pytest.raises(TerminalError) as caught:
        Bench(topics(events, announced((1, 500))), limits=limits).pull()

    assert caught.value.where["read_bytes"] < 400 * 1024


def test_a_transaction_that_memory_cannot_hold_stops_the_link() -> None:
    events = [replace(e, after={"id": 1, "v": "x" * 2_000}) for e in transaction(1, 3)]
    limits = BatchConfig.model_validate({"max_bytes": "1KiB", "max_transaction_bytes": "3KiB"})
    with pytest.raises(TerminalError) as caught:
        Bench(topics(events, announced((1, 3))), limits=limits, chunk=1).pull()

    assert caught.value.code == "transaction_too_large"
    assert caught.value.where["transaction"] == "0-1-1"
    assert caught.value.where["events"] == 3
    assert caught.value.where["limit_bytes"] == 3 * 1024


def test_offsets_have_gaps() -> None:
    """Tombstones and transaction markers: the end is a position, never a count."""
    one, two = transaction(1, 2)
    two = replace(two, offset=7)
    logs = topics([one, two], announced((1, 2)))
    logs[ORDERS].insert(1, builders.tombstone(one, 3))
    batch = Bench(logs).pull()

    assert len(batch.frame) == 2
    assert batch.ranges.until()[ORDERS] == 8


def test_the_tombstone_of_a_delete_that_came_last_is_read_too() -> None:
    deleted = builders.delete(
        100, "v", gtid="0-1-1", transaction="0-1-1", pos=1_000, run=run_id(T0 - 5_000)
    )
    logs = topics([deleted], announced((1, 1)))
    logs[ORDERS].append(builders.tombstone(deleted, 1))
    bench = Bench(logs, chunk=1)

    batch = bench.pull()

    assert len(batch.frame) == 1
    assert batch.after.partitions[ORDERS].next_offset == 2


@pytest.mark.parametrize("tombstones", [True, False])
def test_what_comes_with_a_tombstone_or_instead_is_left_to_the_next_batch(
    tombstones: bool,
) -> None:
    """Deletes came last in two topics; the poll for both tombstones brings the next row as well."""
    fields = {"gtid": "0-1-1", "transaction": "0-1-1", "run": run_id(T0 - 5_000)}
    items, orders = (
        builders.delete(100, "v", table=table, pos=1_000 + place, **fields)
        for place, table in enumerate(("shop.items", "shop.orders"))
    )
    later = transaction(2, 1, offset=1 + tombstones)
    messages = announced((1, 0), (2, 1))
    messages[1] = end("0-1-1", {"shop.items": 1, "shop.orders": 1}, offset=1, at=T0)
    logs = topics([items, orders, *later], messages)
    if tombstones:  # that of items has not come yet
        logs[ORDERS].insert(1, builders.tombstone(orders, 1))
    bench = Bench(logs, limits=BatchConfig.model_validate({"max_events": 2}))

    first, second = bench.pull(), bench.pull()

    assert list(first.frame["op"]) == ["d", "d"]
    assert first.ranges.until()[ORDERS] == 1 + tombstones
    assert list(second.frame["op"]) == ["c"]


def test_events_whose_end_is_not_there_wait() -> None:
    logs = topics(transaction(1, 2) + transaction(2, 1, offset=2), announced((1, 2)))
    logs[TRANSACTIONS].append(builders.raw_transaction(begin("0-1-2", offset=2, at=T0 + 9)))
    bench = Bench(logs)
    batch = bench.pull()

    assert len(batch.frame) == 2
    assert batch.ranges.until() == {ORDERS: 2, TRANSACTIONS: 2}
    logs[TRANSACTIONS].append(
        builders.raw_transaction(end("0-1-2", {"shop.orders": 1}, offset=3, at=T0 + 9))
    )
    assert len(bench.pull().frame) == 1


def test_a_fast_partition_with_a_backlog_does_not_starve_the_others() -> None:
    """The rows of one transaction lie in three partitions; one of them has much behind them."""
    one = [replace(e, partition=i % 3, offset=i // 3) for i, e in enumerate(transaction(1, 6))]
    behind = transaction(2, 60, offset=2)
    messages = announced((1, 6), (2, 60))
    bench = Bench(topics([*one, *behind], messages), limits=BatchConfig(max_events=6), chunk=1)

    assert set(bench.pull().frame["transaction"]) == {"0-1-1"}


@pytest.mark.parametrize("chunk", [1, 4, 1_000])
def test_of_a_backlog_in_many_partitions_hardly_more_is_read_than_a_batch_takes(chunk: int) -> None:
    """A broker sends long stretches of one partition; parsed again and again they take minutes."""
    rows = [event for number in range(1, 101) for event in transaction(number, 2)]
    placed = [replace(e, partition=i % 3, offset=i // 3) for i, e in enumerate(rows)]
    messages = announced(*((number, 2) for number in range(1, 101)))
    limits = BatchConfig(max_events=6)
    bench = Bench(topics(placed, messages), limits=limits, chunk=chunk)
    reader = bench.runtime.reader

    for _ in range(5):
        assert len(bench.pull().frame) == 6
        assert sum(buffer.events for buffer in reader.buffers.values()) <= 5 * 6


def test_an_end_whose_events_are_not_there_is_named() -> None:
    batch = Bench(topics(transaction(1, 2), announced((1, 3)))).pull()

    assert batch.is_empty
    assert batch.waiting == Waiting("0-1-1", 0.0, {"shop.orders": 1}, 1)


# --- transactions that stay incomplete ---------------------------------------------------------

PATIENT = BatchConfig(max_wait_seconds=600)


def later(logs: Logs, seconds: float) -> Logs:
    """Some time after, a watermark's transaction, which no link carries, went through."""
    offset, at = logs[TRANSACTIONS][-1].offset, T0 + round(1000 * seconds)
    for message in (
        begin("0-1-90", offset=offset + 1, at=at),
        end("0-1-90", {"dts.watermark": 1}, offset=offset + 2, at=at),
    ):
        logs[TRANSACTIONS].append(builders.raw_transaction(message))
    return logs


def two_tables() -> tuple[list[ChangeEvent], list[TransactionMessage]]:
    """A transaction over two tables and two partitions, between two others."""
    middle = [
        *transaction(2, 2, offset=1),
        *transaction(2, 2, offset=0, partition=1),
        *transaction(2, 2, offset=0, table="shop.items"),
    ]
    messages = announced((1, 1), (2, 4), (3, 1))
    messages[3] = end("0-1-2", {"shop.orders": 4, "shop.items": 2}, offset=3, at=T0 + 1)
    events = [*transaction(1, 1), *middle, *transaction(3, 1, offset=3)]
    return [replace(event, pos=1_000 + i) for i, event in enumerate(events)], messages


@pytest.mark.parametrize(
    ("lost", "missing"),
    [
        (1, "shop.orders: 1 in a.shop.orders partition 0/1"),
        (3, "shop.orders: 1 in a.shop.orders partition 0/1"),
        (5, "shop.items: 1 in a.shop.items partition 0"),
    ],
)
def test_a_lost_event_is_reported_once_it_has_been_waited_for_too_long(
    lost: int, missing: str
) -> None:
    events, messages = two_tables()
    del events[lost]
    bench = Bench(topics(events, messages), limits=PATIENT)
    assert set(bench.pull().frame["transaction"]) == {"0-1-1"}
    later(bench.logs, 599)
    batch = bench.pull()
    assert batch.is_empty
    assert batch.waiting is not None
    assert (batch.waiting.transaction, batch.waiting.seconds) == ("0-1-2", 598.999)

    later(bench.logs, 700)
    with pytest.raises(TerminalError) as caught:
        bench.pull()

    where = caught.value.where
    assert caught.value.code == "transaction_incomplete"
    assert (where["transaction"], where["waited_seconds"]) == ("0-1-2", 700)
    assert (where["topic"], where["offset"]) == ("a.transaction", 3)
    assert where["missing"] == missing


def test_an_event_that_comes_late_after_all_lets_the_link_go_on() -> None:
    events, messages = two_tables()
    late = events.pop(6)
    bench = Bench(later(topics(events, messages), 700), limits=PATIENT)
    bench.pull()
    with pytest.raises(TerminalError):
        bench.pull()
    bench.logs[late.topic_partition].append(builders.message(replace(late, offset=7)))

    assert set(bench.pull().frame["transaction"]) == {"0-1-2", "0-1-3"}


def test_a_transaction_whose_end_never_came_is_reported() -> None:
    """The connector died in it, and began again behind it: as after offsets set by hand."""
    messages = announced((1, 2), (2, 1))
    logs = topics(transaction(1, 2) + transaction(2, 1, offset=2), [messages[0], *messages[2:]])
    bench = Bench(logs, limits=PATIENT)
    assert bench.pull().waiting == Waiting("0-1-1", 0.0)
    later(logs, 700)
    with pytest.raises(TerminalError) as caught:
        bench.pull()

    assert caught.value.code == "transaction_incomplete"
    assert (caught.value.where["transaction"], caught.value.where["missing"]) == ("0-1-1", "END")


def test_rows_without_any_transaction_message_are_reported() -> None:
    logs = later(topics(transaction(1, 2), [begin("0-1-0"), end("0-1-0", {}, offset=1)]), 500)
    bench = Bench(logs, limits=PATIENT)
    assert bench.pull().is_empty
    later(logs, 700)
    with pytest.raises(TerminalError) as caught:
        bench.pull()

    assert caught.value.code == "transaction_incomplete"
    assert (caught.value.where["topic"], caught.value.where["offset"]) == (ORDERS.topic, 0)


def test_a_link_far_behind_does_not_take_a_backlog_for_a_wait() -> None:
    events = transaction(1, 2) + transaction(2, 2, offset=2)
    bench = Bench(later(topics(events, announced((1, 2), (2, 2))), 90_000), limits=PATIENT)

    assert len(bench.pull().frame) == 4


def test_a_connector_that_stood_still_was_not_waited_for() -> None:
    """An hour between the two BEGINs of a transaction that it died in."""
    hour = T0 + 3_600_000
    messages = [
        begin("0-1-1", at=T0),
        begin("0-1-0", offset=1, at=hour),
        end("0-1-0", {"shop.orders": 0}, offset=2, at=hour + 1_000),
        begin("0-1-1", offset=3, at=hour + 2_000),
    ]
    batch = Bench(topics(transaction(1, 2), messages), limits=PATIENT).pull()

    assert batch.waiting == Waiting("0-1-1", 2.0)


# --- after a crash of the connector ----------------------------------------------------------

NEW_RUN = T0 + 20_000


def crashed(*, again_from: int = 20, sent: int = 30, total: int = 60) -> Bench:
    """`sent` rows of one transaction, a crash, then all from `again_from` on once more."""
    rows = transaction(1, total)
    copies = [replace(e, run=run_id(NEW_RUN), timestamp=NEW_RUN + 9) for e in rows[again_from:]]
    placed = [replace(e, offset=i) for i, e in enumerate([*rows[:sent], *copies])]
    messages = [
        begin("0-1-1", at=T0),
        begin("0-1-1", offset=1, at=NEW_RUN + 5),
        end("0-1-1", {"shop.orders": total - again_from}, offset=2, at=NEW_RUN + 9),
    ]
    return Bench(topics(placed, messages))


@pytest.mark.parametrize(
    ("again_from", "sent", "total"), [(20, 30, 60), (20, 30, 50), (0, 30, 30), (30, 30, 60)]
)
def test_a_crash_inside_a_transaction_does_not_stop_the_link_for_ever(
    again_from: int, sent: int, total: int
) -> None:
    batch = crashed(again_from=again_from, sent=sent, total=total).pull()

    assert len(batch.frame) == sent + total - again_from
    assert set(keys(batch)) == {b'{"id":%d}' % (100 + i) for i in range(total)}


def test_first_copies_in_a_partition_that_no_end_speaks_of_are_not_left_behind() -> None:
    rows = transaction(1, 4)
    aside = replace(rows[0], partition=1)
    first = [replace(e, offset=i) for i, e in enumerate(rows[1:3])]
    again = [
        replace(e, offset=2 + i, run=run_id(NEW_RUN), timestamp=NEW_RUN + 9)
        for i, e in enumerate(rows[2:])
    ]
    messages = [
        begin("0-1-1", at=T0),
        begin("0-1-1", offset=1, at=NEW_RUN + 5),
        end("0-1-1", {"shop.orders": 2}, offset=2, at=NEW_RUN + 9),
    ]
    batch = Bench(topics([*first, *again, aside], messages)).pull()

    assert set(keys(batch)) == {b'{"id":%d}' % (100 + i) for i in range(4)}
    assert batch.ranges.until()[ORDERS_1] == 1


def test_copies_of_a_transaction_that_had_ended_wait_for_their_own_end() -> None:
    rows = transaction(1, 3)
    copies = [
        replace(e, offset=3 + i, run=run_id(NEW_RUN), timestamp=NEW_RUN + 9)
        for i, e in enumerate(rows[1:])
    ]
    logs = topics([*rows, *copies], announced((1, 3)))
    bench = Bench(logs)
    assert len(bench.pull().frame) == 3
    logs[TRANSACTIONS] += [
        builders.raw_transaction(begin("0-1-1", offset=2, at=NEW_RUN + 5)),
        builders.raw_transaction(end("0-1-1", {"shop.orders": 2}, offset=3, at=NEW_RUN + 9)),
    ]
    assert len(bench.pull().frame) == 2
    assert bench.pull().is_empty


def test_a_crash_with_more_copies_than_a_batch_may_hold_does_not_stop_the_link() -> None:
    """Died in 0-1-3; sent again from 0-1-1 on, which is more than a batch may hold."""
    rows = [*transaction(1, 3), *transaction(2, 3), *transaction(3, 3)]
    copies = [replace(e, run=run_id(NEW_RUN), timestamp=NEW_RUN + 9) for e in rows]
    placed = [replace(e, offset=i) for i, e in enumerate([*rows[:8], *copies])]
    before = [*announced((1, 3), (2, 3)), begin("0-1-3", at=T0 + 2)]
    after = [replace(m, timestamp=NEW_RUN + 5) for m in announced((1, 3), (2, 3), (3, 3))]
    messages = [replace(m, offset=i) for i, m in enumerate([*before, *after])]
    bench = Bench(topics(placed, messages), limits=BatchConfig(max_events=3))
    seen = {key for _ in range(5) for key in keys(bench.pull())}

    assert seen == {event.key_bytes for event in rows}


# --- snapshot rows ---------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["in front", "behind", "alone"])
def test_snapshot_rows_stop_the_link_aloud(place: str) -> None:
    """They belong to no transaction; a first load has a command of its own."""
    rows = [builders.snapshot(i, "s") for i in range(3)]
    streamed = transaction(1, 2) if place != "alone" else []
    ordered = [*rows, *streamed] if place == "in front" else [*streamed, *rows]
    events = [replace(event, offset=i) for i, event in enumerate(ordered)]
    bench = Bench(topics(events, announced((1, 2)) if streamed else []))
    if place == "behind":
        assert len(bench.pull().frame) == 2
    with pytest.raises(TerminalError) as caught:
        bench.pull()

    assert caught.value.code == "snapshot_rows"
    assert caught.value.where["offset"] == (2 if place == "behind" else 0)


# --- starts in the middle --------------------------------------------------------------------


def test_a_start_in_the_middle_of_a_transaction_takes_what_is_there() -> None:
    events = transaction(1, 3, timestamp=T0 + 1) + transaction(2, 1, offset=3, timestamp=T0 + 1_000)
    logs = topics(events, announced((1, 3), (2, 1)))
    bench = Bench(logs, start={ORDERS: 2, TRANSACTIONS: 1})

    assert keys(bench.pull()) == [b'{"id":102}', b'{"id":200}']


# --- what stops ------------------------------------------------------------------------------


def test_a_malformed_message_is_poison_and_named() -> None:
    logs = topics(transaction(1, 2), announced((1, 2)))
    logs[ORDERS][1] = Message(1, T0, b'{"id":1}', b'{"secret')
    with pytest.raises(PoisonError) as caught:
        Bench(logs).pull()

    assert (caught.value.code, caught.value.where["offset"]) == ("malformed_event", 1)


def test_rows_of_a_pair_without_transaction_metadata_stop_the_link() -> None:
    events = [replace(e, transaction=None) for e in transaction(1, 2)]
    with pytest.raises(TerminalError) as caught:
        Bench(topics(events, [])).pull()

    assert caught.value.code == "transaction_metadata_missing"
    assert caught.value.where["offset"] == 0


def test_rows_of_a_table_that_is_gone_stop_the_link() -> None:
    """Made, written and dropped between two runs: nobody would ever read its topic."""
    messages = [
        begin("0-1-1", at=T0),
        end("0-1-1", {"shop.orders": 1, "shop._orders_new": 5}, offset=1, at=T0),
    ]
    with pytest.raises(TerminalError) as caught:
        Bench(topics(transaction(1, 1), messages)).pull()

    assert (caught.value.code, caught.value.where["tables"]) == (
        "table_missing",
        "shop._orders_new",
    )


# --- a one-way link without metadata -----------------------------------------------------------


def test_a_one_way_link_without_metadata_goes_to_the_high_watermark() -> None:
    events = [replace(e, transaction=None) for e in transaction(1, 2) + transaction(2, 1, offset=2)]
    one_way = replace(PAIR, pair=None)
    bench = Bench(topics(events, []), link=one_way, metadata=False)
    batch = bench.pull()

    assert len(batch.frame) == 3
    assert batch.after.applied_gtids == "0-2"
    assert batch.after.consistency(PAIR.transaction_topic) == "transactional"  # the bench's topics
    assert bench.pull().is_empty


def test_rows_without_metadata_do_not_lie_for_ever_beside_a_transaction_topic() -> None:
    """Switched off at the connector of a one-way link that had it before."""
    events = [replace(e, transaction=None) for e in transaction(1, 2)]
    with pytest.raises(TerminalError) as caught:
        Bench(topics(events, []), link=replace(PAIR, pair=None)).pull()

    assert caught.value.code == "transaction_metadata_missing"


# --- any stream --------------------------------------------------------------------------------

SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=7)
CRASHES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(0, 3), st.integers(0, 3)),
    max_size=2,
)


CLOCKS = st.sampled_from([60_000, -60_000, -4_000, -3_600_000])
"""By how many ms a run of the connector seems to begin after the one before it."""


def streamed(
    sizes: list[int], crashes: list[tuple[int, int, int, int]], clock: int = 60_000
) -> tuple[Bench, list[bytes]]:
    """Transactions of these sizes over two partitions, sent with crashes.

    A crash: after how many tenths; how many rows are sent again; how many at the end of either
    partition never reached Kafka, though BEGINs and ENDs did. Those are sent again in any case.
    (None where the clock was set back as well: then there can be nothing left to tell runs by.)
    """
    rows = [
        replace(event, partition=event.pos % 2)
        for number, size in enumerate(sizes, start=1)
        for event in transaction(number, size)
    ]
    sent: list[ChangeEvent] = []
    messages: list[TransactionMessage] = []
    reached = 0
    for run, (tenths, again, *lost) in enumerate([*sorted(crashes), (10, 0, 0, 0)]):
        started = T0 + clock * run
        crash = max(reached, len(rows) * tenths // 10)
        own: list[ChangeEvent] = []
        _send(rows, reached, crash, started, own, messages)
        kept, first_lost = _without_the_last(own, lost if clock > 0 else (0, 0))
        sent += kept
        reached = min(max(0, crash - again), reached + first_lost)
    placed, next_offset = [], {0: 0, 1: 0}
    for event in sent:
        placed.append(replace(event, offset=next_offset[event.partition]))
        next_offset[event.partition] += 1
    numbered = [replace(message, offset=i) for i, message in enumerate(messages)]
    return Bench(topics(placed, numbered), limits=BatchConfig(max_events=4)), [
        event.key_bytes or b"" for event in rows
    ]


def _without_the_last(own: list[ChangeEvent], lost: Sequence[int]) -> tuple[list[ChangeEvent], int]:
    """What is left of a run's rows, and the place of the first one that is not."""
    places = [[i for i, e in enumerate(own) if e.partition == p] for p in (0, 1)]
    gone = {
        place
        for found, count in zip(places, lost, strict=True)
        for place in found[max(0, len(found) - count) :]
    }
    kept = [event for i, event in enumerate(own) if i not in gone]
    return kept, min(gone, default=len(own))


def _send(
    rows: list[ChangeEvent],
    first: int,
    until: int,
    started: int,
    sent: list[ChangeEvent],
    messages: list[TransactionMessage],
) -> None:
    """What one run of the connector sends: rows, BEGIN where it begins, END where all was sent."""
    open_transaction, count, at = "", 0, started + 5_000
    for place in range(first, until):
        row = rows[place]
        at += 10
        if row.transaction != open_transaction:
            open_transaction, count = row.transaction or "", 0
            messages.append(begin(open_transaction, at=at))
        sent.append(replace(row, run=run_id(started), timestamp=at))
        count += 1
        if place + 1 == len(rows) or rows[place + 1].transaction != open_transaction:
            messages.append(end(open_transaction, {"shop.orders": count}, at=at))


@settings(max_examples=15, deadline=None)
@example(sizes=[1, 1, 2], crashes=[(3, 1, 0, 0)], clock=-60_000)
@example(sizes=[4, 1, 1], crashes=[(9, 1, 0, 1)], clock=60_000)
@example(sizes=[2, 3, 2, 1, 5, 4, 3], crashes=[(4, 12, 2, 2), (3, 6, 0, 3)], clock=60_000)
@given(sizes=SIZES, crashes=CRASHES, clock=CLOCKS)
def test_whatever_crashes_every_event_is_pulled_once_and_in_whole_transactions(
    sizes: list[int], crashes: list[tuple[int, int, int, int]], clock: int
) -> None:
    bench, expected = streamed(sizes, crashes, clock)
    seen: set[bytes] = set()
    pulled = 0
    while not (batch := bench.pull()).is_empty:
        pulled += len(batch.frame)
        new = set(keys(batch)) - seen
        seen |= new
        done = {t for t in batch.frame["transaction"]}
        for number, size in enumerate(sizes, start=1):
            if f"0-1-{number}" in done:  # no transaction is ever seen in part
                assert {b'{"id":%d}' % (100 * number + i) for i in range(size)} <= seen
    assert seen == set(expected)
    assert pulled == sum(
        len([m for m in log if m.value]) for tp, log in bench.logs.items() if tp != TRANSACTIONS
    )
