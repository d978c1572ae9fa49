"""The row events that a reader has read, parsed while they come."""

from __future__ import annotations

import pandas as pd

from dts_pipeline.adapters.kafka_reader import Buffer, KafkaReader
from dts_pipeline.core.envelope import EventRows, parse_events
from dts_pipeline.core.names import Names
from dts_pipeline.core.ranges import TopicPartition

_WORTH_PARSING = 250
_LOOKED_AT = 2  # messages at a buffer's end that are looked at after they were parsed


def last_transaction(tp: TopicPartition, buffer: Buffer) -> str | None:
    """The transaction of the last row event of a buffer; None where there is none."""
    found = parse_events(tp, buffer.messages[-_LOOKED_AT:])["transaction"].dropna()
    return None if found.empty else str(found.iloc[-1])


class ParsedEvents:
    """The row events of a reader, parsed while they come.

    A message's own bytes are let go as soon as its row stands here, but for the last two of each
    topic-partition: memory holds one form of a batch, not two.
    """

    def __init__(self, reader: KafkaReader, names: Names) -> None:
        """Nothing has been taken out of the reader's buffers yet.

        `names`: what the source calls tables and columns.
        """
        self._reader = reader
        self._names = names
        self._rows: dict[TopicPartition, EventRows] = {}

    def take(self) -> None:
        """Parses what has come together, once that is worth it."""
        for tp, buffer in self._reader.buffers.items():
            if len(buffer.messages) > _WORTH_PARSING:
                if tp not in self._rows:
                    self._rows[tp] = EventRows(tp, self._names)
                self._rows[tp].add(buffer.messages[:-_LOOKED_AT])
                del buffer.messages[:-_LOOKED_AT]

    def frame(self) -> pd.DataFrame:
        """All events so far; columns as `envelope.parse_events` gives them.

        The events of a topic-partition stand in the order of their offsets.
        """
        frames = []
        for tp, buffer in self._reader.buffers.items():
            rows = self._rows.get(tp) or EventRows(tp, self._names)
            frames.append(rows.frame(buffer.messages))
        filled = [frame for frame in frames if len(frame)]
        if len(filled) == 1:
            return filled[0]
        if not filled:
            return parse_events(TopicPartition("", 0), [])
        return pd.concat(filled, ignore_index=True)


def parse_buffers(reader: KafkaReader, names: Names) -> pd.DataFrame:
    """The row events that the reader's buffers hold; columns as `envelope.parse_events`."""
    return ParsedEvents(reader, names).frame()
