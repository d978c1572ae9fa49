"""Compaction and apply equal the plain sequential replay, for any history and any cutting.

A history is what one source wrote: transactions over two tables, with inserts, updates, deletes,
rows that come again and changed keys, some of them marked (written there by the link in the other
direction). It is delivered as Connect does: by topic-partition, from time to time again from an
earlier point on (a crash), and read in batches that end anywhere in each partition.

What equality means:

- without marks: the target, written by nobody else, ends with the rows of the source, and every
  change meets the row it expects;
- with marks: a marked event says that its value stood at the target before it was written here.
  So before a batch, the target holds for each key what the key's last marked event in that batch
  says; after it, the target holds what the sequential replay of all the batch's events gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dts_pipeline.core.batches import PartitionCheckpoint
from dts_pipeline.core.compaction import compact, drop_marked
from dts_pipeline.core.conflicts import Meeting, meet
from dts_pipeline.core.duplicates import drop_duplicates, furthest_positions
from dts_pipeline.core.gtids import GtidSet
from dts_pipeline.core.marks import recognise
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline_tests import builders
from dts_pipeline_tests.builders import ChangeEvent

TABLES = ("shop.orders", "shop.items")
KEYS, PARTITIONS, MARK_DOMAIN = 4, 2, 4711
Place = tuple[str, bytes]
"""A row's table and encoded key."""
Rows = dict[Place, bytes]


@dataclass(frozen=True)
class Write:
    """One statement; what it does depends on the row it finds. `move` changes the key instead."""

    table: str
    key: int
    value: str | None
    move: int | None = None


WRITES = st.builds(
    Write,
    st.sampled_from(TABLES),
    st.integers(0, KEYS - 1),
    st.sampled_from([None, "a", "b", "c"]),
    st.one_of(st.none(), st.none(), st.none(), st.integers(0, KEYS - 1)),
)
TRANSACTIONS = st.lists(
    st.tuples(st.booleans(), st.lists(WRITES, min_size=1, max_size=4)), min_size=5, max_size=15
)
CRASHES = st.lists(
    st.tuples(st.integers(1, 10), st.integers(1, 8)), max_size=2
)  # after so many tenths of the history, and how many events are sent again
CUTS = st.lists(
    st.lists(st.integers(0, 6), min_size=4, max_size=4), min_size=1, max_size=4
)  # per batch: how many messages of each of the four topic-partitions


def history(transactions: list[tuple[bool, list[Write]]], with_marks: bool) -> list[ChangeEvent]:
    """The row events as the source's binlog has them."""
    rows: dict[tuple[str, int], str] = {}
    events: list[ChangeEvent] = []
    for number, (ours, writes) in enumerate(transactions, start=1):
        domain = MARK_DOMAIN if ours and with_marks else 0
        gtid = f"{domain}-1-{number}"
        for write in writes:
            pos = 100 * (len(events) + 1)
            for event in _events(rows, write):
                partition = event.key % PARTITIONS  # type: ignore[operator]
                events.append(replace(event, gtid=gtid, partition=partition, pos=pos))
    return events


def _events(rows: dict[tuple[str, int], str], write: Write) -> list[ChangeEvent]:
    at = (write.table, write.key)
    old = rows.get(at)
    if write.move is not None:
        to = (write.table, write.move)
        if old is None or to in rows:
            return []
        rows[to] = rows.pop(at)
        return builders.key_change(write.key, write.move, old, table=write.table)
    if old == write.value:
        return []
    if write.value is None:
        return [builders.delete(write.key, rows.pop(at), table=write.table)]
    rows[at] = write.value
    if old is None:
        return [builders.insert(write.key, write.value, table=write.table)]
    return [builders.update(write.key, old, write.value, table=write.table)]


def delivered(
    events: list[ChangeEvent], crashes: list[tuple[int, int]]
) -> dict[TopicPartition, list[ChangeEvent]]:
    """What lies in each topic-partition; at a crash the stream goes back and runs on from there."""
    stream = list[ChangeEvent]()
    reached = 0
    for run, (tenths, again) in enumerate([*sorted(crashes), (10, 0)]):
        crash = max(reached, len(events) * tenths // 10)
        sent_by = builders.run_id(builders.T0 + 1_000 * run)
        stream += [replace(event, run=sent_by) for event in events[reached:crash]]
        reached = max(0, crash - again)
    topics: dict[TopicPartition, list[ChangeEvent]] = {
        TopicPartition(f"a.{table}", partition): []
        for table in TABLES
        for partition in range(PARTITIONS)
    }
    for event in stream:
        log = topics[event.topic_partition]
        log.append(replace(event, offset=len(log)))
    return topics


@dataclass
class Pipeline:
    """Reads, reduces and applies batches with the pipeline's own functions."""

    rows: Rows = field(default_factory=dict)
    checkpoint: dict[TopicPartition, PartitionCheckpoint] = field(default_factory=dict)
    applied: GtidSet = field(default_factory=GtidSet)

    def normalized(self, events: list[ChangeEvent]) -> pd.DataFrame:
        """As `stages.normalize`: without copies, in the source's order, marks recognised."""
        kept = drop_duplicates(builders.frame(events), self.checkpoint, self.applied)
        for tp, (position, ts_ms) in furthest_positions(kept).items():
            self.checkpoint[tp] = PartitionCheckpoint(0, "id", position, ts_ms)
        self.applied.add(e.gtid for e in events if e.gtid)
        return kept.assign(marked=recognise(kept, {MARK_DOMAIN}))

    def apply(self, events: list[ChangeEvent]) -> set[Place]:
        """Applies a batch; gives the keys recorded as overtaken. Every change must be clean."""
        counting, superseded = drop_marked(self.normalized(events))
        changes = compact(counting)
        assert not changes.duplicated(["table", "key"]).any()
        for change in changes.itertuples(index=False):
            place = (change.table, change.key)
            meeting = meet(change.before, change.after, self.rows.get(place))  # type: ignore[arg-type]
            assert meeting is Meeting.CLEAN
            write(self.rows, place, change.after)  # type: ignore[arg-type]
        return {(s.table, s.key) for s in superseded.itertuples(index=False)}  # type: ignore[misc]


def write(rows: Rows, place: Place, value: bytes | None) -> None:
    if value is None:
        rows.pop(place, None)
    else:
        rows[place] = value


def place_of(event: ChangeEvent) -> Place:
    assert event.key_bytes is not None
    return event.table, event.key_bytes


def after_of(event: ChangeEvent) -> bytes | None:
    return None if event.after is None else builders.encoded(event.after)


def batches(
    topics: dict[TopicPartition, list[ChangeEvent]], cuts: list[list[int]]
) -> list[list[ChangeEvent]]:
    """The topic-partitions cut anywhere; the last batch has what is left."""
    position = dict.fromkeys(topics, 0)
    found = []
    for counts in [*cuts, [10**6] * len(topics)]:
        batch = []
        for (tp, log), count in zip(topics.items(), counts, strict=True):
            batch += log[position[tp] : position[tp] + count]
            position[tp] = min(len(log), position[tp] + count)
        found.append(batch)
    return [batch for batch in found if batch]


def is_ours(event: ChangeEvent) -> bool:
    return (event.gtid or "").startswith(f"{MARK_DOMAIN}-")


@settings(max_examples=30, deadline=None)
@given(transactions=TRANSACTIONS, crashes=CRASHES, cuts=CUTS)
def test_without_marks_the_target_ends_as_the_source(
    transactions: list[tuple[bool, list[Write]]],
    crashes: list[tuple[int, int]],
    cuts: list[list[int]],
) -> None:
    events = history(transactions, with_marks=False)
    replay: Rows = {}
    for event in events:
        write(replay, place_of(event), after_of(event))

    pipeline = Pipeline()
    for batch in batches(delivered(events, crashes), cuts):
        assert pipeline.apply(batch) == set()
    assert pipeline.rows == replay


@settings(max_examples=30, deadline=None)
@given(transactions=TRANSACTIONS, crashes=CRASHES, cuts=CUTS)
def test_with_marks_each_batch_leaves_the_target_as_the_sequential_replay(
    transactions: list[tuple[bool, list[Write]]],
    crashes: list[tuple[int, int]],
    cuts: list[list[int]],
) -> None:
    events = history(transactions, with_marks=True)
    pipeline = Pipeline()
    seen: set[tuple[int, str]] = set()
    for batch in batches(delivered(events, crashes), cuts):
        first_copies = []
        for event in batch:
            if (event.pos, event.op) not in seen:
                seen.add((event.pos, event.op))
                first_copies.append(event)
        replay = dict(pipeline.rows)
        overtaken, users = set[Place](), set[Place]()
        for event in first_copies:
            write(replay, place_of(event), after_of(event))
            if is_ours(event):
                write(pipeline.rows, place_of(event), after_of(event))  # it stands there already
                overtaken |= users & {place_of(event)}
            else:
                users.add(place_of(event))
        assert pipeline.apply(batch) == overtaken
        assert pipeline.rows == replay


@pytest.mark.parametrize("with_marks", [False, True])
def test_the_histories_hold_what_they_are_meant_to(with_marks: bool) -> None:
    """One written out: key changes, a row that comes again, a crash that sends rows twice."""
    transactions = [
        (False, [Write(TABLES[0], 1, "a"), Write(TABLES[0], 1, None, move=2)]),
        (True, [Write(TABLES[0], 2, "b"), Write(TABLES[1], 1, "a")]),
        (False, [Write(TABLES[0], 2, None), Write(TABLES[0], 2, "c")]),
    ]
    events = history(transactions, with_marks)
    topics = delivered(events, [(9, 4)])

    assert [e.op for e in events] == ["c", "d", "c", "u", "c", "d", "c"]
    assert [e.partition for e in events] == [1, 1, 0, 0, 1, 0, 0]
    assert [is_ours(e) for e in events] == [False, False, False, *[with_marks] * 2, False, False]
    assert sum(len(log) for log in topics.values()) == 6 + 5
