"""What Debezium would have sent, built by hand: one event, its message, a frame of events.

`change_event` gives one row event with every field at a plausible default, `message` what the
connector puts into Kafka for it, `frame` what `envelope.parse_events` makes of such messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from dts_pipeline.core.envelope import Message, parse_events
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.core.transaction_messages import TransactionMessage

SERVER_UUID = "629c220c-e733-11f1-abb7-02fc00000001"
"""The server_uuid (version 1) of the MySQL server that the users' transactions come from."""

T0 = 1_795_436_618_000
"""The time, in ms, at which every built history begins."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ChangeEvent:
    """One row event. `key` is an int (column id) or a whole key object, rows are column → value."""

    op: str
    key: int | Row | None
    before: Row | None = None
    after: Row | None = None
    table: str = "shop.orders"
    topic: str = ""
    partition: int = 0
    offset: int = 0
    timestamp: int = T0
    run: str = ""
    gtid: str | None = f"{SERVER_UUID}:1"
    transaction: str | None = None
    total_order: int = 0
    query: str | None = None
    file: int = 1
    pos: int = 0
    row: int = 0
    ts_ms: int = T0
    server_id: int = 101
    connector: str = "mysql"

    @property
    def topic_partition(self) -> TopicPartition:
        """Where the event lies."""
        return TopicPartition(self.topic or f"a.{self.table}", self.partition)

    @property
    def key_bytes(self) -> bytes | None:
        """The key as the connector encodes it (`schemas.enable=false`)."""
        if self.key is None:
            return None
        return encoded(self.key if isinstance(self.key, Mapping) else {"id": self.key})


def change_event(op: str, key: int | Row | None = 1, **fields: Any) -> ChangeEvent:
    """A row event; see ChangeEvent for the fields."""
    return ChangeEvent(op, key, **fields)


def row(key: int, value: object) -> dict[str, object]:
    """A row of a table with the columns id and v."""
    return {"id": key, "v": value}


def insert(key: int, value: object, **fields: Any) -> ChangeEvent:
    """An op c event of a table with the columns id and v."""
    return ChangeEvent("c", key, None, row(key, value), **fields)


def update(key: int, old: object, new: object, **fields: Any) -> ChangeEvent:
    """An op u event of a table with the columns id and v."""
    return ChangeEvent("u", key, row(key, old), row(key, new), **fields)


def delete(key: int, old: object, **fields: Any) -> ChangeEvent:
    """An op d event of a table with the columns id and v."""
    return ChangeEvent("d", key, row(key, old), None, **fields)


def snapshot(key: int, value: object, **fields: Any) -> ChangeEvent:
    """An op r event: no gtid, no transaction, server id 0."""
    given = {"gtid": None, "server_id": 0, **fields}
    return ChangeEvent("r", key, None, row(key, value), **given)


def sent(events: Iterable[ChangeEvent], *, offset: int = 0, pos: int = 4) -> list[ChangeEvent]:
    """The events as one source sends them: binlog positions growing, offsets per topic-partition.

    The insert of a key change (op c right after an op d with the same row number and `pos=-1`)
    keeps the position of its delete; snapshot rows keep that of the event before them.
    """
    placed: list[ChangeEvent] = []
    next_offset: dict[TopicPartition, int] = {}
    for event in events:
        shares_position = event.op == "r" or event.pos == -1
        pos += 0 if shares_position else 100
        tp = event.topic_partition
        at = next_offset.get(tp, offset)
        next_offset[tp] = at + 1
        placed.append(replace(event, offset=at, pos=pos))
    return placed


def key_change(old: int, new: int, value: object, **fields: Any) -> list[ChangeEvent]:
    """The two events of a changed primary key, for `sent`: delete and insert at one position."""
    return [delete(old, value, **fields), insert(new, value, pos=-1, **fields)]


def frame(events: Sequence[ChangeEvent], *, marked: Iterable[bool] | None = None) -> pd.DataFrame:
    """The events as `envelope.parse_events` gives them, in the order given.

    With `marked` also as `stages.normalize` does outside of a mesh: columns `ordinal` (their
    order), `marked`, and `returning`, which is the same.
    """
    places: dict[TopicPartition, list[int]] = {}
    for place, event in enumerate(events):
        places.setdefault(event.topic_partition, []).append(place)
    parts = [parse_events(tp, [message(events[i]) for i in own]) for tp, own in places.items()]
    parts.append(parse_events(TopicPartition("", 0), []))
    order = np.argsort([i for own in places.values() for i in own], kind="stable")
    table = pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)
    if marked is None:
        return table
    ordinal = np.arange(len(table), dtype=np.int64)
    ours = np.array(list(marked), dtype=np.bool_)
    return table.assign(ordinal=ordinal, marked=ours, returning=ours)


def message(event: ChangeEvent, *, wrapped: bool = False) -> Message:
    """The event as a Kafka message; `wrapped` is the converter's `schemas.enable=true`."""
    key = event.key_bytes
    value: object = _envelope(event)
    if wrapped:
        value = {"schema": _schema("Envelope"), "payload": value}
        if key is not None:
            key = encoded({"schema": _schema("Key"), "payload": json.loads(key)})
    return Message(event.offset, event.timestamp, key, encoded(value), event.run)


def tombstone(event: ChangeEvent, offset: int) -> Message:
    """The message without a value that follows each delete."""
    return Message(offset, event.timestamp, event.key_bytes, None, event.run)


def begin(transaction: str, *, offset: int = 0, at: int = T0) -> TransactionMessage:
    """A BEGIN as `envelope.parse_transaction_messages` gives it; `at` is Kafka's timestamp."""
    return TransactionMessage(offset, at, False, transaction, {})


def end(
    transaction: str, counts: Mapping[str, int], *, offset: int = 0, at: int = T0
) -> TransactionMessage:
    """An END: `counts` maps `schema.table` to the events sent since the last BEGIN."""
    return TransactionMessage(offset, at, True, transaction, dict(counts))


def raw_transaction(message: TransactionMessage, *, wrapped: bool = False) -> Message:
    """A BEGIN or END as a Kafka message."""
    value: object = {
        "status": "END" if message.is_end else "BEGIN",
        "id": message.id,
        "event_count": sum(message.counts.values()) if message.is_end else None,
        "data_collections": [
            {"data_collection": table, "event_count": count}
            for table, count in message.counts.items()
        ]
        if message.is_end
        else None,
        "ts_ms": message.timestamp,
    }
    if wrapped:
        value = {"schema": _schema("TransactionMetadataValue"), "payload": value}
    return Message(message.offset, message.timestamp, None, encoded(value))


def run_id(started_ms: int) -> str:
    """A connector's run id: a UUIDv7 of that moment."""
    digits = f"{started_ms:012x}" + "7abc" + "8" + "0" * 15
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def encoded(value: object) -> bytes:
    """JSON as Connect's converter writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _envelope(event: ChangeEvent) -> dict[str, Any]:
    schema, _, table = event.table.partition(".")
    transaction = None
    if event.transaction is not None:
        transaction = {
            "id": event.transaction,
            "total_order": event.total_order,
            "data_collection_order": event.total_order,
        }
    return {
        "before": event.before,
        "after": event.after,
        "source": {
            "version": "3.5.0.Final",
            "connector": event.connector,
            "name": "a",
            "ts_ms": event.ts_ms,
            "snapshot": "true" if event.op == "r" else None,
            "db": schema,
            "sequence": None,
            "table": table,
            "server_id": event.server_id,
            "gtid": event.gtid,
            "file": f"binlog.{event.file:06}" if event.file else None,
            "pos": event.pos,
            "row": event.row,
            "thread": None,
            "query": event.query,
        },
        "transaction": transaction,
        "op": event.op,
        "ts_ms": event.ts_ms,
    }


def _schema(name: str) -> dict[str, object]:
    return {"type": "struct", "fields": [], "optional": False, "name": name, "version": 1}
