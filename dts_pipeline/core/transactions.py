"""Which source transactions are whole, and where a batch that holds only whole ones ends.

Debezium's transaction topic has a BEGIN and an END for each source transaction; END says how many
events of each table were sent since that BEGIN. When Kafka Connect dies, the connector starts
again in the middle of a transaction: its BEGIN comes a second time, and its END counts only what
came after it. So a transaction can own several *segments* (a BEGIN up to its END, or up to the
next BEGIN where the connector died), and events are counted against the segment that they were
sent in. MariaDB's connector sends a BEGIN without END for each DDL statement too; such a segment
has no events, and that is how it is told from one that a crash broke off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.envelope import TransactionMessage
from dts_pipeline.core.ranges import TopicPartition

_BEFORE_ALL = -1
_UNKNOWN = np.iinfo(np.int64).max
_STAMP_SLACK_MS = 500


@dataclass(frozen=True)
class Segment:
    """What the connector sent of a transaction in one go.

    `began_ms` is Kafka's timestamp of BEGIN. `end_offset` is None where another BEGIN followed
    instead of END: the connector died in it, or it was a DDL statement.
    """

    transaction: str
    began_ms: int
    end_offset: int | None
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Cut:
    """Where a batch of whole transactions ends.

    `complete` is how many segments (from the first) belong to it; `transaction_until` the next
    offset of the transaction topic, None if not even one transaction is whole. `segment_of` is an
    int64 array, one entry per event. `missing` counts by table the events that are announced but
    not there; `waiting` names the first transaction that is not whole.
    """

    complete: int
    transaction_until: int | None
    segment_of: npt.NDArray[np.int64]
    missing: Mapping[str, int]
    waiting: str | None


def segments_of(messages: Sequence[TransactionMessage]) -> list[Segment]:
    """The segments in the order in which the connector sent them, as far as they have ended."""
    found: list[Segment] = []
    begun: TransactionMessage | None = None
    for message in messages:
        if not message.is_end:
            if begun is not None:
                found.append(Segment(begun.id, begun.timestamp, None, {}))
            begun = message
            continue
        if begun is not None and begun.id != message.id:
            found.append(Segment(begun.id, begun.timestamp, None, {}))
            begun = None
        began_ms = begun.timestamp if begun else 0
        found.append(Segment(message.id, began_ms, message.offset, message.counts))
        begun = None
    return found  # a BEGIN at the end may be followed by its END any moment: not a segment yet


def find_cut(
    segments: Sequence[Segment],
    events: pd.DataFrame,
    carried: Callable[[str], bool],
    *,
    first_batch: bool = False,
    unverified_until_ms: int = -1,
) -> Cut:
    """The longest run of whole transactions at the beginning of what was read.

    `events`: columns transaction, table, op, run, timestamp (see `envelope.parse_events`).
    `carried` says which tables of an END the link reads; the others are not waited for.
    `first_batch`: events of transactions whose BEGIN Kafka no longer holds belong to the batch if
    they were sent before the first BEGIN that it does hold. `unverified_until_ms`: transactions
    begun up to then are taken as they are, because the link starts in the middle of the topics.
    """
    segment_of = _assign(segments, events, first_batch)
    counted = _count(segment_of, events)
    # A TRUNCATE is DDL: it is an event, yet its BEGIN has no END either.
    rows = (events["op"] != "t").to_numpy()
    with_events = {index for index, _ in _count(segment_of[rows], events[rows])}
    missing: dict[str, int] = {}
    broken: set[str] = set()
    complete, until, waiting, whole = 0, None, None, True
    for index, segment in enumerate(segments):
        if segment.end_offset is None:
            if index in with_events:
                broken.add(segment.transaction)
                waiting = waiting or segment.transaction
            continue
        lacking = _lacking(index, segment, counted, carried)
        if lacking and segment.began_ms > unverified_until_ms:
            whole = False
            waiting = waiting or segment.transaction
            for table, count in lacking.items():
                missing[table] = missing.get(table, 0) + count
        broken.discard(segment.transaction)
        if whole and not broken:
            complete, until, waiting = index + 1, segment.end_offset + 1, None
    return Cut(complete, until, segment_of, missing, waiting)


def crash_in_view(segments: Sequence[Segment]) -> bool:
    """Whether the connector may have died in one of the segments and sent rows again.

    First copies may then lie in topic-partitions that no END announces anything for.
    """
    names = [segment.transaction for segment in segments]
    return len(set(names)) < len(names) or any(s.end_offset is None for s in segments)


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


def _assign(
    segments: Sequence[Segment], events: pd.DataFrame, first_batch: bool
) -> npt.NDArray[np.int64]:
    """The index of each event's segment; -1 for snapshot rows, the maximum while it is unknown."""
    of_transaction: dict[str, list[int]] = {}
    for index, segment in enumerate(segments):
        of_transaction.setdefault(segment.transaction, []).append(index)
    codes, names = pd.factorize(events["transaction"], use_na_sentinel=True)
    single = [of_transaction[name][0] if name in of_transaction else _UNKNOWN for name in names]
    result = np.array([*single, _BEFORE_ALL], dtype=np.int64)[codes]
    started = _run_starts(events["run"])
    _leave_out_later_runs(segments, result, started)
    for code, name in enumerate(names):
        own = of_transaction.get(name, [])
        if len(own) > 1:
            rows = np.flatnonzero(codes == code)
            times = events["timestamp"].to_numpy()[rows]
            result[rows] = _by_run(segments, own, started[rows], times)
    if first_batch and segments:
        early = events["timestamp"].to_numpy() < segments[0].began_ms
        result[early & (result == _UNKNOWN)] = _BEFORE_ALL
    return result


def _run_starts(runs: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """When the run that sent each event began, in ms; 0 where it does not tell."""
    codes, distinct = pd.factorize(runs)
    return np.array([*map(run_started_ms, distinct), 0], dtype=np.int64)[codes]


def _leave_out_later_runs(
    segments: Sequence[Segment],
    result: npt.NDArray[np.int64],
    started: npt.NDArray[np.int64],
) -> None:
    """An event whose run began after its transaction's BEGIN belongs to a BEGIN not in view yet."""
    known = (result >= 0) & (result < _UNKNOWN)
    began = np.array([segment.began_ms for segment in segments] or [0], dtype=np.int64)
    begun = began[np.where(known, result, 0)]
    result[known & (begun > 0) & (started > begun)] = _UNKNOWN


def _by_run(
    segments: Sequence[Segment],
    own: list[int],
    started: npt.NDArray[np.int64],
    sent: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Which of a transaction's segments each of its events was sent in.

    The connector's run id is a UUIDv7, whose first 48 bits are the milliseconds of the start: a
    run started before the BEGINs that it sent and after those of the run before it. Events of
    connectors that send no run id are told apart by Kafka's timestamps; a BEGIN can be stamped a
    little later than its first rows (its topic is made first), a restart takes longer than that.
    """
    began = np.array([segments[index].began_ms for index in own], dtype=np.int64)
    by_run = np.searchsorted(began, started, side="left")
    by_time = np.searchsorted(began, sent + _STAMP_SLACK_MS, side="right") - 1
    chosen = np.where(started > 0, by_run, by_time)
    # A run that started after every BEGIN in view sent one that is not visible yet.
    places = np.array([*own, _UNKNOWN], dtype=np.int64)
    return places[np.clip(chosen, 0, len(own)).astype(np.int64)]


def run_started_ms(run: str) -> int:
    """When a connector's run began (UUIDv7, RFC 9562); 0 if the id tells nothing."""
    digits = run.replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return 0
    return int(digits[:12], 16)


def _count(segment_of: npt.NDArray[np.int64], events: pd.DataFrame) -> dict[tuple[int, str], int]:
    """How many events of each table stand in each segment."""
    pairs = pd.DataFrame({"segment": segment_of, "table": events["table"].to_numpy()})
    sizes = pairs.value_counts(sort=False).reset_index()
    columns = (sizes[name].tolist() for name in ("segment", "table", "count"))
    return {(segment, table): count for segment, table, count in zip(*columns, strict=True)}
