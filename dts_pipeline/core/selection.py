"""A range as people name it, the same everywhere: offsets of topic-partitions, or a span of time.

On the command line `--topic T --partition P --from X --until Y`, repeated for more, or `--since`
and `--until-time` (ISO times, UTC unless they say otherwise), and `--table` to narrow either.
Half-open: `[from, until)`. Nothing here asks a server: `against` holds the range against what
Kafka was found to hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from dts_pipeline.core.ranges import OffsetRange, OffsetRanges, TopicPartition
from dts_pipeline.errors import TerminalError

Held = Mapping[TopicPartition, tuple[int, int]]


@dataclass(frozen=True)
class Selection:
    """What was asked for. Times are ms since 1970; `tables` are patterns over `schema.table`.

    An `until` of None is the end as Kafka has it now. With neither `offsets` nor times the range
    is open: from the link's checkpoint to the end.
    """

    offsets: Mapping[TopicPartition, tuple[int, int | None]]
    since_ms: int | None = None
    until_ms: int | None = None
    tables: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether neither offsets nor times were named."""
        return not self.offsets and self.since_ms is None

    def takes(self, table: str) -> bool:
        """Whether `--table` lets the table through; without any, all are."""
        return not self.tables or any(fnmatchcase(table, p) for p in self.tables)


def parse_selection(
    topics: Sequence[str] = (),
    partitions: Sequence[int] = (),
    froms: Sequence[int] = (),
    untils: Sequence[int | None] = (),
    *,
    since: str | None = None,
    until_time: str | None = None,
    tables: Sequence[str] = (),
) -> Selection:
    """The selection that the words name, the n-th of each option belonging together.

    `partitions` may be left out (all 0), and `untils` (the end). Raises TerminalError
    `range_invalid`.
    """
    if topics and (since or until_time):
        raise _invalid("a range is named by offsets or by times, not by both")
    if until_time and not since:
        raise _invalid("--until-time needs --since")
    parts = partitions or [0] * len(topics)
    ends: Sequence[int | None] = untils or [None] * len(topics)
    if not len(topics) == len(parts) == len(froms) == len(ends):
        raise _invalid("every --topic needs its --from, and its --partition and --until if any has")
    offsets: dict[TopicPartition, tuple[int, int | None]] = {}
    for topic, partition, first, until in zip(topics, parts, froms, ends, strict=True):
        place = TopicPartition(topic, partition)
        if place in offsets:
            raise _invalid(f"{place} is named twice")
        if partition < 0 or first < 0 or (until is not None and until < first):
            raise _invalid(f"{place}: --from {first} --until {until} is not a range")
        offsets[place] = first, until
    start, end = time_ms(since), time_ms(until_time)
    if start is not None and end is not None and end <= start:
        raise _invalid("--until-time must be later than --since")
    return Selection(offsets, start, end, tuple(tables))


def time_ms(text: str | None) -> int | None:
    """An ISO time as ms since 1970, read as UTC where it names no offset; None stays None.

    Raises TerminalError `range_invalid`.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _invalid(f"{text} is not an ISO time such as 2026-11-23T14:00") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def against(
    link: str,
    wanted: Mapping[TopicPartition, tuple[int, int | None]],
    held: Held,
    *,
    by_time: bool = False,
) -> OffsetRanges:
    """The ranges, held against the first offset that Kafka holds and the next to be written.

    `by_time` says that `wanted` was looked up by times: then a range that begins with the first
    message that is held may have begun earlier, before what Kafka removed.

    Raises TerminalError `range_lost` or `range_ahead`.
    """
    ranges = []
    for place, (first, until) in sorted(wanted.items()):
        low, high = held[place]
        end = high if until is None else until
        if first < low or (by_time and first == low > 0):
            raise _lost(link, place, first, low, by_time)
        if end > high or first > high:
            raise TerminalError(
                "range_ahead",
                "the range ends behind what Kafka holds",
                where={**_place(link, place), "until": max(first, end), "high": high},
                remedy="End the range there, or wait until the events have come.",
            )
        ranges.append(OffsetRange(place, first, max(first, end)))
    return OffsetRanges(tuple(ranges))


def spelled(ranges: OffsetRanges, tables: Sequence[str] = ()) -> str:
    """The range as words of the command line; empty parts are left out."""
    words = [
        f"--topic {r.topic_partition.topic} --partition {r.topic_partition.partition} "
        f"--from {r.from_offset} --until {r.until_offset}"
        for r in ranges
        if r.size
    ]
    return " ".join([*words, *(f"--table '{table}'" for table in tables)])


def _lost(link: str, place: TopicPartition, first: int, low: int, by_time: bool) -> TerminalError:
    what = "Kafka no longer holds the beginning of the range"
    if by_time:
        what = "Kafka may have removed the beginning of the range: its first message lies inside"
    return TerminalError(
        "range_lost",
        what,
        where={**_place(link, place), **({} if by_time else {"from": first}), "low": low},
        remedy="Begin the range at `low` or later, by offsets; what was before is only to be had "
        "by comparing the sites. `--table` leaves other tables' topics out.",
    )


def _place(link: str, place: TopicPartition) -> dict[str, object]:
    return {"link": link, "topic": place.topic, "partition": place.partition}


def _invalid(message: str) -> TerminalError:
    return TerminalError(
        "range_invalid",
        message,
        remedy="A range: --topic T --partition P --from X --until Y, once or more often, or "
        "--since TIME [--until-time TIME].",
    )
