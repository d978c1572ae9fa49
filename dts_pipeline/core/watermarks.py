"""Watermarks: rows that are written at a source to see them arrive in Kafka.

A watermark's event proves only that its own topic-partition was read so far. The others are
proven by the transaction topic: every transaction up to the watermark's own is complete by END
counts (`core.transactions`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from dts_pipeline.core.segments import Segment

LAG = "lag"
"""The watermark that is written on a schedule, to see how far behind a link is."""


@dataclass(frozen=True)
class Watermark:
    """A watermark as it arrived: whose it is, its number, when it was written, its transaction.

    `written_us` is the source's clock, microseconds since 1970 in UTC; `transaction` the id that
    the connector gives.
    """

    name: str
    number: int
    written_us: int
    transaction: str


class _Row(msgspec.Struct):
    name: str
    number: int
    written_us: int


class _Transaction(msgspec.Struct):
    id: str


class _Event(msgspec.Struct):
    after: _Row | None = None
    transaction: _Transaction | None = None


class _Wrapped(msgspec.Struct):
    payload: _Event


_plain = msgspec.json.Decoder(_Event)
_wrapped = msgspec.json.Decoder(_Wrapped)


def parse_watermark(value: bytes | None) -> Watermark | None:
    """The watermark of a message; None for a delete, a tombstone, or what is none."""
    if value is None:
        return None
    try:
        wrapped = value.startswith(b'{"schema":')
        event = _wrapped.decode(value).payload if wrapped else _plain.decode(value)
    except msgspec.DecodeError:
        return None
    if event.after is None or event.transaction is None:
        return None
    row = event.after
    return Watermark(row.name, row.number, row.written_us, event.transaction.id)


def place_of(transaction: str, segments: Sequence[Segment]) -> int | None:
    """The index of the first segment that ends this transaction; None if none does yet."""
    for index, segment in enumerate(segments):
        if segment.transaction == transaction and segment.end_offset is not None:
            return index
    return None


def nothing_left(
    segments: Sequence[Segment], until: int, next_offset: int, carried: Callable[[str], bool]
) -> bool:
    """Whether a link that stands at `next_offset` of the transaction topic has applied all of it.

    All of the segments up to index `until`: those behind the link's position hold no event of a
    carried table. A link does not move its checkpoint for transactions that it does not carry.
    """
    return not any(
        segment.end_offset is not None
        and segment.end_offset >= next_offset
        and any(count and carried(table) for table, count in segment.counts.items())
        for segment in segments[: until + 1]
    )


def window(segments: Sequence[Segment], first: int, second: int) -> list[Segment] | None:
    """The whole transactions behind the watermark at index `first`, up to the one at `second`.

    None where the connector may have died in between: a transaction stands there twice, and which
    of its rows were sent when cannot be told.
    """
    inside = segments[first : second + 1]
    names = [segment.transaction for segment in inside]
    if len(set(names)) < len(names):
        return None
    return [segment for segment in inside[1:] if segment.end_offset is not None]
