"""Rule R7: second copies go, nothing else does, and doubt stops the link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dts_pipeline.core.batches import PartitionCheckpoint, SourcePosition
from dts_pipeline.core.duplicates import drop_duplicates, furthest_positions
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import TerminalError
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import SERVER_UUID, T0, ChangeEvent, insert, sent, update

ORDERS = TopicPartition("a.shop.orders", 0)
OLD_RUN, NEW_RUN = builders.run_id(T0 - 5_000), builders.run_id(T0 + 20_000)


def gtid(number: int) -> str:
    return f"{SERVER_UUID}:{number}"


def applied(*numbers: int) -> GtidSet:
    found = GtidSet()
    found.add(gtid(n) for n in numbers)
    return found


def at(event: ChangeEvent) -> dict[TopicPartition, PartitionCheckpoint]:
    """A checkpoint that has applied everything up to this event."""
    half = 1 if event.op == "c" else 0
    position = SourcePosition(event.file, event.pos, event.row, half)
    return {event.topic_partition: PartitionCheckpoint(event.offset + 1, "id", position, T0)}


def dropped(
    events: Sequence[ChangeEvent],
    checkpoint: Mapping[TopicPartition, PartitionCheckpoint] | None = None,
    known: GtidSet | None = None,
) -> pd.DataFrame:
    return drop_duplicates(builders.frame(events), checkpoint or {}, known or GtidSet())


def again(events: Sequence[ChangeEvent], offset: int, **fields: Any) -> list[ChangeEvent]:
    """The same events sent once more: positions kept, offsets new, total_order from 1 again."""
    return [
        replace(e, **{"offset": offset + i, "run": NEW_RUN, "total_order": i + 1, **fields})
        for i, e in enumerate(events)
    ]


def three() -> list[ChangeEvent]:
    return sent(
        insert(i, "v", run=OLD_RUN, gtid=gtid(1), transaction=gtid(1), total_order=i)
        for i in (1, 2, 3)
    )


def test_the_first_copies_are_kept_and_the_second_ones_dropped() -> None:
    first = three()
    more = replace(insert(4, "v", gtid=gtid(2)), pos=900, offset=5)
    kept = dropped([*first, *again(first[1:], 3), more])

    assert kept["offset"].tolist() == [0, 1, 2, 5]
    assert kept["ordinal"].tolist() == [0, 1, 2, 3]


def test_a_row_that_the_broker_refused_is_no_copy_when_it_comes_at_last() -> None:
    """It took the row behind it; the connector then sends both."""
    first = three()
    kept = dropped([first[0], first[2], *again(first[1:], 3)])

    assert kept["offset"].tolist() == [0, 3, 2]
    assert kept["key"].tolist() == [event.key_bytes for event in first]


@pytest.mark.parametrize("form", [SERVER_UUID + ":{0}", "0-1-{0}"])
def test_a_whole_transaction_that_the_broker_refused_is_carried_when_it_comes_at_last(
    form: str,
) -> None:
    """It took those behind it, and its number lies between theirs."""
    own = [
        insert(i, "v", run=OLD_RUN, gtid=form.format(i), transaction=form.format(i), pos=100 * i)
        for i in (4, 5, 6, 7)
    ]
    known = GtidSet()
    known.add([form.format(4)])
    first, refused, *others = own
    stream = [replace(e, offset=1 + i) for i, e in enumerate(others)]
    kept = dropped([*stream, *again([refused, *others], 3)], at(first), known)

    assert kept["gtid"].tolist() == [event.gtid for event in (refused, *others)]
    # Under any other number nothing tells that it belongs there.
    for odd in (form.format(9), "11111111-e733-11f1-abb7-02fc00000001:5", "3-1-5"):
        error = stopped([*stream, *again([replace(refused, gtid=odd)], 3)], at(first), known)
        assert error.code == "source_position_regressed"


def test_below_the_checkpoint_everything_of_applied_transactions_is_a_copy() -> None:
    first = three()

    assert dropped(again(first[:2], 3), at(first[2]), applied(1)).empty


def test_a_copy_is_known_by_its_position_and_not_by_total_order() -> None:
    """total_order starts again at 1 in the middle of a transaction."""
    first = three()
    rest = replace(insert(4, "v", gtid=gtid(1)), pos=900, offset=5, total_order=3, run=NEW_RUN)
    kept = dropped([*first, *again(first[1:], 3), rest])

    assert kept["offset"].tolist() == [0, 1, 2, 5]


def test_events_of_one_transaction_share_their_gtid_and_are_no_copies() -> None:
    assert len(dropped(three())) == 3
    assert len(dropped(three(), None, applied(1))) == 3


def test_rows_of_one_binlog_event_share_file_and_pos() -> None:
    events = [replace(insert(i, "v"), offset=i, pos=100, row=i) for i in range(3)]

    assert len(dropped(events)) == 3
    assert len(dropped([*events, *again(events[1:], 3)])) == 3


def test_the_delete_and_the_insert_of_a_key_change_are_two_events() -> None:
    """They share file, pos, row and gtid; the delete comes first."""
    events = sent(builders.key_change(1, 2, "v"))

    assert events[0].pos == events[1].pos
    assert dropped(events)["op"].tolist() == ["d", "c"]
    assert dropped([*events, *again(events, 2)])["offset"].tolist() == [0, 1]


def test_a_checkpoint_between_the_halves_of_a_key_change_drops_only_the_delete() -> None:
    gone, came = sent(builders.key_change(1, 2, "v"))

    assert dropped([gone, came], at(gone), applied(1))["op"].tolist() == ["c"]
    assert dropped([gone, came], at(came), applied(1)).empty


def test_copies_of_earlier_batches_are_known_from_the_checkpoint() -> None:
    first = three()
    new = replace(insert(4, "v", gtid=gtid(2)), pos=900, offset=6)
    kept = dropped([*again(first, 3), new], at(first[-1]), applied(1))

    assert kept["offset"].tolist() == [6]


def test_partitions_are_judged_each_by_its_own_furthest_position() -> None:
    """What comes late in one partition lies behind the position of another, and is no copy."""
    ahead = replace(insert(1, "v"), pos=900, partition=0)
    behind = replace(insert(2, "v"), pos=100, partition=1)

    assert dropped([ahead, behind])["pos"].tolist() == [100, 900]
    assert len(dropped([behind], at(ahead))) == 1


def test_files_order_before_positions() -> None:
    events = [replace(insert(1, "v"), file=9, pos=900), insert(2, "v", file=10, pos=4, offset=1)]

    assert len(dropped(events)) == 2


def test_snapshot_rows_share_a_position_and_are_never_dropped() -> None:
    rows = [builders.snapshot(i, "v", offset=i, pos=500) for i in range(3)]
    streamed = replace(insert(9, "v"), pos=400, offset=3)

    assert len(dropped([*rows, streamed])) == 4
    assert len(dropped(rows, at(replace(insert(9, "v"), pos=900)))) == 3


def test_a_snapshot_row_keeps_its_place_behind_the_event_before_it() -> None:
    one, two = sent([insert(1, "a"), update(1, "a", "b")])
    between = builders.snapshot(1, "a", offset=1, pos=900)
    elsewhere = replace(insert(2, "v"), pos=one.pos + 50, partition=1)
    kept = dropped([one, between, replace(two, offset=2), elsewhere])

    assert kept["op"].tolist() == ["c", "r", "c", "u"]


def test_the_order_over_partitions_is_that_of_the_binlog() -> None:
    """Never that of a hash or of arrival: a key that moves leaves one partition for another."""
    events = [
        replace(insert(1, "v"), pos=100, partition=0, offset=0),
        replace(update(1, "v", "w"), pos=300, partition=0, offset=1),
        replace(builders.delete(2, "v"), pos=200, partition=1, offset=7),
        replace(insert(3, "v"), pos=200, partition=0, offset=2),
    ]
    with_row = [*events[:2], events[2]]

    assert dropped(with_row)["pos"].tolist() == [100, 200, 300]


def test_the_order_within_a_transaction_over_tables_is_that_of_the_binlog() -> None:
    events = [
        replace(insert(1, "v", table="shop.items"), pos=200),
        replace(insert(1, "v", table="shop.orders"), pos=100),
    ]
    assert dropped(events)["table"].tolist() == ["shop.orders", "shop.items"]


def test_no_events() -> None:
    kept = dropped([])

    assert len(kept) == 0
    assert kept["ordinal"].dtype == np.int64
    assert furthest_positions(kept) == {}


def test_the_furthest_position_is_the_last_streamed_event_of_each_partition() -> None:
    events = [
        *sent(three()),
        builders.snapshot(9, "v", offset=3, pos=99_999),
        replace(insert(7, "v", ts_ms=T0 + 7), partition=1, pos=150),
    ]
    assert furthest_positions(dropped(events)) == {
        ORDERS: (SourcePosition(1, 304, 0, 1), T0),
        TopicPartition("a.shop.orders", 1): (SourcePosition(1, 150, 0, 1), T0 + 7),
    }


def stopped(
    events: Sequence[ChangeEvent],
    checkpoint: Mapping[TopicPartition, PartitionCheckpoint] | None = None,
    known: GtidSet | None = None,
) -> TerminalError:
    with pytest.raises(TerminalError) as caught:
        dropped(events, checkpoint, known)
    return caught.value


def test_a_position_that_goes_back_to_unknown_transactions_stops_the_link() -> None:
    """Failover or reset binlog: taken for copies, these changes would be lost."""
    last = replace(insert(1, "v", gtid=gtid(9)), file=7, pos=900)
    other_server = insert(2, "v", gtid="11111111-e733-11f1-abb7-02fc00000001:1", pos=4, offset=1)
    error = stopped([other_server], at(last), applied(9))

    assert error.code == "source_position_regressed"
    assert error.where == {"topic": "a.shop.orders", "partition": 0, "offset": 1}


def test_a_position_that_goes_back_inside_a_batch_stops_the_link_too() -> None:
    last = replace(insert(1, "v", gtid=gtid(9)), file=7, pos=900)
    new = insert(2, "v", gtid=gtid(10), pos=4, offset=1)

    assert stopped([last, new], None, applied(9)).code == "source_position_regressed"


def test_binlogs_and_gtids_set_back_to_one_stop_the_link_by_their_time() -> None:
    """After RESET the same GTIDs are given again; only their commit times are later."""
    last = replace(insert(1, "v", gtid=gtid(9)), pos=900)
    new = insert(2, "v", gtid=gtid(1), pos=4, offset=1, ts_ms=T0 + 60_000)

    error = stopped([new], at(last), applied(*range(1, 10)))
    assert error.code == "source_position_regressed"


def test_mariadb_transactions_past_the_applied_one_of_their_domain_stop_the_link() -> None:
    last = replace(insert(1, "v", gtid="0-101-9"), pos=900)
    known = GtidSet()
    known.add(["0-101-9"])
    copy = insert(1, "v", gtid="0-101-8", pos=4, offset=1)

    assert dropped([copy], at(last), known).empty
    unknown = replace(copy, gtid="0-101-10")
    assert stopped([unknown], at(last), known).code == "source_position_regressed"


def test_two_events_of_one_run_at_one_position_stop_the_link() -> None:
    """Compressed transactions give all their rows the position of their payload."""
    one = insert(1, "v", run=OLD_RUN, pos=100, transaction=gtid(1), total_order=1)
    two = replace(one, key=2, offset=1, total_order=2)

    assert stopped([one, two]).code == "source_position_ambiguous"


def test_two_keys_at_one_position_stop_a_link_without_transaction_metadata_too() -> None:
    one = insert(1, "v", run=OLD_RUN, pos=100)
    two = replace(one, key=2, after=builders.row(2, "v"), offset=1)

    assert stopped([one, two]).code == "source_position_ambiguous"


def test_copies_beside_snapshot_rows_of_one_position_are_dropped() -> None:
    first = three()
    rows = [builders.snapshot(i, "v", offset=3 + i, pos=500) for i in range(2)]

    assert dropped([*first, *rows, *again(first, 5)])["offset"].tolist() == [0, 1, 2, 3, 4]


def test_copies_are_known_although_commit_times_do_not_grow_with_positions() -> None:
    """A row's time is that of its statement; a long transaction is logged after shorter ones."""
    short = replace(insert(1, "v", gtid=gtid(1), ts_ms=T0 + 40_000), pos=100)
    long = replace(insert(2, "v", gtid=gtid(2), ts_ms=T0), pos=200, offset=1)
    kept = dropped([short, long])
    position, ts_ms = furthest_positions(kept)[ORDERS]
    checkpoint = {ORDERS: PartitionCheckpoint(2, "id", position, ts_ms)}

    assert dropped(again([short, long], 2), checkpoint, applied(1, 2)).empty
