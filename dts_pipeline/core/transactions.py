"""Which source transactions are whole, and where a batch that holds only whole ones ends.

Debezium's transaction topic has a BEGIN and an END for each source transaction; END says how many
events of each table were sent since that BEGIN. When Kafka Connect dies, the connector starts
again in the middle of a transaction: its BEGIN comes a second time, and its END counts only what
came after it. So a transaction can own several *segments* (a BEGIN up to its END, or up to the
next BEGIN where the connector died), and events are counted against the segment that they were
sent in. MariaDB's connector sends a BEGIN without END for each DDL statement too; such a segment
has no events, and that is how it is told from one that a crash broke off.

A connector can also die (or give up, where the broker refuses a row) when a transaction's END has
reached Kafka and some of its rows, in other topic-partitions, have not. Whatever was not
acknowledged is sent again, so such a segment is made up for by a later one of its transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.segments import Segment, assign_segments

_PLACE = ["table", "file", "pos", "row", "half"]
"""What tells a transaction's events apart, whoever sent them."""


@dataclass(frozen=True)
class Cut:
    """Where a batch of whole transactions ends.

    `complete` is how many segments (from the first) belong to it; `transaction_until` the next
    offset of the transaction topic, None if not even one transaction is whole. `segment_of` is an
    int64 array, one entry per event. `missing` counts by table the events that are announced but
    not there; `waiting` is the first segment that is not whole, `lacking` what is missing of it.
    """

    complete: int
    transaction_until: int | None
    segment_of: npt.NDArray[np.int64]
    missing: Mapping[str, int]
    waiting: Segment | None
    lacking: Mapping[str, int]


def find_cut(
    segments: Sequence[Segment],
    events: pd.DataFrame,
    carried: Callable[[str], bool],
    *,
    early_until_ms: int = 0,
    unverified_until_ms: Mapping[str, int] = MappingProxyType({}),
) -> Cut:
    """The longest run of whole transactions at the beginning of what was read.

    `events`: columns transaction, table, op, run, timestamp, and the binlog position (see
    `envelope.parse_events`).
    `carried` says which tables of an END the link reads; the others are not waited for.
    `early_until_ms`: in a link's first batch, events sent before that time belong to it if Kafka no
    longer holds the BEGIN of their transaction (see `early_until`).
    `unverified_until_ms`: by table, what transactions begun up to then lack of it is not waited
    for, because the link starts in the middle of its topic.
    """
    segment_of = assign_segments(segments, events, early_until_ms)
    counted = _count(segment_of, events["table"])
    # A TRUNCATE is DDL: it is an event, yet its BEGIN has no END either.
    rows = (events["op"] != "t").to_numpy()
    of_rows = counted if rows.all() else _count(segment_of[rows], events.loc[rows, "table"])
    with_events = {index for index, _ in of_rows}
    missing: dict[str, int] = {}
    broken: set[str] = set()
    complete, until, whole = 0, None, True
    waits: dict[int, Mapping[str, int]] = {}
    for index, segment in enumerate(segments):
        if segment.end_offset is None:
            if index in with_events:
                broken.add(segment.transaction)
                waits[index] = {}
            continue
        lacking = {
            table: count
            for table, count in _lacking(index, segment, counted, carried).items()
            if segment.began_ms > unverified_until_ms.get(table, -1)
        }
        if lacking:
            if _is_made_up(index, segments, segment_of, events, counted, carried):
                broken.add(segment.transaction)  # until the later one, which is whole
                continue
            whole = False
            waits[index] = lacking
            for table, count in lacking.items():
                missing[table] = missing.get(table, 0) + count
        broken.discard(segment.transaction)
        if whole and not broken:
            complete, until = index + 1, segment.end_offset + 1
            waits.clear()
    if not waits:
        return Cut(complete, until, segment_of, missing, None, {})
    first = min(waits)
    return Cut(complete, until, segment_of, missing, segments[first], waits[first])


def early_until(announced: Sequence[Segment]) -> int:
    """Up to when events can have been sent before every BEGIN that Kafka holds; 0 for never.

    The oldest stamp of all BEGINs, not that of the first: the clock can have been set back since.
    """
    return min((segment.began_ms for segment in announced), default=0)


def crash_in_view(segments: Sequence[Segment]) -> bool:
    """Whether the connector may have died in one of the segments and sent rows again.

    First copies may then lie in topic-partitions that no END announces anything for.
    """
    names = [segment.transaction for segment in segments]
    return len(set(names)) < len(names) or any(s.end_offset is None for s in segments)


def _is_made_up(
    index: int,
    segments: Sequence[Segment],
    segment_of: npt.NDArray[np.int64],
    events: pd.DataFrame,
    counted: Mapping[tuple[int, str], int],
    carried: Callable[[str], bool],
) -> bool:
    """Whether a later segment of the transaction, a whole one, brought what this one lacks."""
    segment, own = segments[index], [index]
    for later in range(index + 1, len(segments)):
        again = segments[later]
        if again.transaction != segment.transaction:
            continue
        own.append(later)
        if again.end_offset is not None and not _lacking(later, again, counted, carried):
            break
    else:
        return False
    there = events[np.isin(segment_of, own)].drop_duplicates(_PLACE)
    found = {(index, str(table)): n for table, n in there["table"].value_counts().items()}
    return not _lacking(index, segment, found, carried)


def _lacking(
    index: int,
    segment: Segment,
    counted: Mapping[tuple[int, str], int],
    carried: Callable[[str], bool],
) -> dict[str, int]:
    """Table → how many of the segment's announced events are not there."""
    due = {t: n - counted.get((index, t), 0) for t, n in segment.counts.items() if carried(t)}
    return {table: count for table, count in due.items() if count > 0}


def events_until(cut: Cut, events: pd.DataFrame) -> dict[TopicPartition, int]:
    """The offset of the first event past the cut, for the topic-partitions that have one."""
    past = events[cut.segment_of >= cut.complete]
    first = past.drop_duplicates(["topic", "partition"], keep="first")
    columns = (first[name].tolist() for name in ("topic", "partition", "offset"))
    return {TopicPartition(t, p): offset for t, p, offset in zip(*columns, strict=True)}


def expected_events(segments: Sequence[Segment], carried: Callable[[str], bool]) -> dict[str, int]:
    """How many events of each carried table the ENDs of the segments announce."""
    expected: dict[str, int] = {}
    for segment in segments:
        for table, count in segment.counts.items():
            if carried(table):
                expected[table] = expected.get(table, 0) + count
    return expected


def _count(segment_of: npt.NDArray[np.int64], tables: pd.Series[str]) -> dict[tuple[int, str], int]:
    """How many events of each table stand in each segment."""
    segments, place = np.unique(segment_of, return_inverse=True)
    codes, names = pd.factorize(tables)
    numbers = np.bincount(place * len(names) + codes, minlength=len(segments) * len(names))
    there = np.flatnonzero(numbers)
    at = (segments[there // len(names)].tolist(), names[there % len(names)]) if len(there) else ()
    return dict(zip(zip(*at, strict=True), numbers[there].tolist(), strict=True))
