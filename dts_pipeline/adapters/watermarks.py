"""Writes watermarks at a site and finds them in what its connector has sent to Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from sqlalchemy import text

from dts_pipeline.adapters.database import Database
from dts_pipeline.adapters.kafka_admin import KafkaAdmin
from dts_pipeline.adapters.kafka_reader import KafkaReader
from dts_pipeline.core.connector_config import WATERMARK_TABLE
from dts_pipeline.core.envelope import Message, parse_events
from dts_pipeline.core.links import Link
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.segments import Segment, segments_of
from dts_pipeline.core.transaction_messages import TransactionMessage, parse_transaction_messages
from dts_pipeline.core.watermarks import Watermark, parse_watermark, place_of, window

_WRITE = text(
    "INSERT INTO `dts`.`watermark` (name, number, written_us) VALUES (:name, :number, "
    "CAST(UNIX_TIMESTAMP(UTC_TIMESTAMP(6)) * 1000000 AS SIGNED)) "
    "ON DUPLICATE KEY UPDATE number = VALUES(number), written_us = VALUES(written_us)"
)


def write_watermark(database: Database, name: str) -> int:
    """Writes a watermark in a transaction of its own, not marked, and gives its number.

    The session is in UTC, so that UNIX_TIMESTAMP takes the time for what it is.
    """
    number = time.time_ns()
    with database.connect() as connection:
        connection.execute(_WRITE, {"name": name, "number": number})
        connection.commit()
    return number


def watermark_topic(link: Link) -> TopicPartition:
    """Where the source's watermarks arrive."""
    return TopicPartition(link.topic_of(WATERMARK_TABLE), 0)


class LogDisturbed(Exception):
    """What stands between two watermarks cannot be told: the connector may have died there."""


@dataclass
class SourceLog:
    """What a link's source has sent to Kafka from now on, up to watermarks that are looked for.

    Made BEFORE the first watermark is written: everything behind that watermark then lies behind
    the offsets at which reading begins. The transaction topic is read from `transactions_from`,
    the link's own position, which tells what the link has yet to apply.
    """

    link: Link
    reader: KafkaReader
    admin: KafkaAdmin
    transactions_from: int
    messages: list[TransactionMessage] = field(default_factory=list)
    watermarks: dict[tuple[str, int], Watermark] = field(default_factory=dict)
    _parsed: dict[TopicPartition, int] = field(default_factory=dict)

    def open(self) -> None:
        """Begins to read at the end of every topic of the link."""
        start = {tp: high for tp, (_, high) in self.admin.offsets(self._topics()).items()}
        start[self.transaction_topic] = self.transactions_from
        start.setdefault(watermark_topic(self.link), 0)
        self.reader.assign(start)

    @property
    def transaction_topic(self) -> TopicPartition:
        """BEGIN and END of the source's transactions."""
        return TopicPartition(self.link.transaction_topic, 0)

    @property
    def segments(self) -> list[Segment]:
        """The transactions read so far."""
        return segments_of(self.messages)

    def _topics(self) -> list[TopicPartition]:
        """The link's topic-partitions that exist, and the watermark's."""
        link = self.link
        prefix = f"{link.source_prefix}."
        fixed = {link.transaction_topic, watermark_topic(link).topic}
        names = {
            name
            for name in self.admin.names()
            if name in fixed or (name.startswith(prefix) and self._is_carried(name))
        }
        return [
            TopicPartition(topic.name, number)
            for topic in self.admin.topics(names).values()
            for number in range(topic.partitions)
        ]

    def _is_carried(self, topic: str) -> bool:
        return self.link.matches(self.link.table_of(topic))

    def find(self, name: str, number: int, deadline: float) -> int | None:
        """Reads until the watermark's transaction has ended: its index in `segments`.

        None if it has not come by `deadline` (seconds of the monotonic clock).
        """
        while True:
            mark = self.watermarks.get((name, number))
            place = place_of(mark.transaction, self.segments) if mark else None
            if place is not None:
                return place
            if time.monotonic() > deadline:
                return None
            self._read()

    def events_between(self, first: int, second: int, deadline: float) -> pd.DataFrame | None:
        """The carried rows' events of the transactions behind segment `first`, up to `second`.

        Columns as `parse_events`. None if they are not all there by `deadline`. Raises
        LogDisturbed where the connector may have died in between.
        """
        inside = window(self.segments, first, second)
        if inside is None:
            raise LogDisturbed
        due = _due(inside, self.link.matches)
        names = {segment.transaction for segment in inside}
        while True:
            events = self._events(names)
            have = events.groupby(["transaction", "table"], observed=True).size().to_dict()
            if all(have.get(place, 0) >= count for place, count in due.items()):
                return events
            if time.monotonic() > deadline:
                return None
            self._read()

    def _events(self, transactions: set[str]) -> pd.DataFrame:
        fixed = {self.transaction_topic, watermark_topic(self.link)}
        frames = [
            parse_events(tp, buffer.messages, self.link.source_names)
            for tp, buffer in self.reader.buffers.items()
            if tp not in fixed and buffer.messages
        ]
        if not frames:
            return parse_events(TopicPartition("", 0), [])
        events = pd.concat(frames, ignore_index=True)
        return events[events["transaction"].isin(transactions)].reset_index(drop=True)

    def _read(self) -> None:
        """Takes in what has come, waiting a moment for it."""
        self.reader.poll(10_000, 0.05)
        marks = watermark_topic(self.link)
        for message in self._new(marks):
            mark = parse_watermark(message.value)
            if mark is not None:
                self.watermarks[mark.name, mark.number] = mark
        transactions = self.transaction_topic
        self.messages += parse_transaction_messages(
            transactions, self._new(transactions), self.link.source_names
        )

    def _new(self, tp: TopicPartition) -> Sequence[Message]:
        messages = self.reader.buffers[tp].messages if tp in self.reader.buffers else []
        fresh = messages[self._parsed.get(tp, 0) :]
        self._parsed[tp] = len(messages)
        return fresh


def _due(
    segments: Sequence[Segment], carried: Callable[[str], bool]
) -> Mapping[tuple[str, str], int]:
    """How many events each transaction's END announces, by (transaction, carried table)."""
    return {
        (segment.transaction, table): count
        for segment in segments
        for table, count in segment.counts.items()
        if carried(table)
    }
