"""Debezium's messages parsed: row events into a DataFrame, BEGIN and END into records.

Field names and meanings: Debezium's MySQL and MariaDB connector documentation, "Data change
events" and "Transaction metadata". `before` and `after` stay encoded; only what survives
compaction is ever decoded. Both converter settings, `schemas.enable` true and false, are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import PoisonError

OPS = frozenset("cudrt")
_NULL = b"null"
_NO_RAW = msgspec.Raw(_NULL)


@dataclass(frozen=True)
class Message:
    """One Kafka message as read: `timestamp` in ms, `run` the connector's run id or ''."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    run: str = ""


class _Source(msgspec.Struct):
    db: str
    ts_ms: int = 0
    connector: str = ""
    table: str | None = None
    server_id: int = 0
    gtid: str | None = None
    file: str | None = None
    pos: int = 0
    row: int | None = 0
    query: msgspec.Raw = _NO_RAW


class _Transaction(msgspec.Struct):
    id: str
    total_order: int = 0


class _Envelope(msgspec.Struct):
    op: str
    source: _Source
    before: msgspec.Raw = _NO_RAW
    after: msgspec.Raw = _NO_RAW
    transaction: _Transaction | None = None


class _WrappedEnvelope(msgspec.Struct):
    payload: _Envelope


class _WrappedRaw(msgspec.Struct):
    payload: msgspec.Raw


class _Collection(msgspec.Struct):
    data_collection: str
    event_count: int


class _TransactionMessage(msgspec.Struct):
    status: str
    id: str
    event_count: int | None = None
    data_collections: list[_Collection] | None = None


class _WrappedTransactionMessage(msgspec.Struct):
    payload: _TransactionMessage


_plain = msgspec.json.Decoder(_Envelope)
_wrapped = msgspec.json.Decoder(_WrappedEnvelope)
_wrapped_raw = msgspec.json.Decoder(_WrappedRaw)
_plain_transaction = msgspec.json.Decoder(_TransactionMessage)
_wrapped_transaction = msgspec.json.Decoder(_WrappedTransactionMessage)


@dataclass(frozen=True)
class TransactionMessage:
    """BEGIN or END of a source transaction; `counts` (END only) maps `schema.table` to events."""

    offset: int
    timestamp: int
    is_end: bool
    id: str
    counts: dict[str, int]


def is_wrapped(value: bytes) -> bool:
    """Whether a message carries its schema beside the payload (`schemas.enable=true`)."""
    return value.startswith(b'{"schema":')


def parse_transaction_messages(
    topic_partition: TopicPartition, messages: Sequence[Message]
) -> list[TransactionMessage]:
    """The BEGIN and END messages in order; raises PoisonError for anything else."""
    parsed = []
    for message in messages:
        if message.value is None:
            continue
        try:
            if is_wrapped(message.value):
                item = _wrapped_transaction.decode(message.value).payload
            else:
                item = _plain_transaction.decode(message.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _poison(
                "malformed_event", "is not a transaction message", topic_partition, message.offset
            ) from None
        if item.status not in ("BEGIN", "END"):
            what = "has a status other than BEGIN and END"
            raise _poison("malformed_event", what, topic_partition, message.offset)
        counts: dict[str, int] = {}
        for collection in item.data_collections or []:
            counts[collection.data_collection] = collection.event_count
        parsed.append(
            TransactionMessage(
                message.offset, message.timestamp, item.status == "END", item.id, counts
            )
        )
    return parsed


def parse_events(topic_partition: TopicPartition, messages: Sequence[Message]) -> pd.DataFrame:
    """The row events of one topic-partition, in offset order; tombstones are left out.

    Columns: topic, partition, offset, timestamp (ms, Kafka's), run (str), table (`schema.table`),
    key, before, after (bytes, still encoded; None where absent), op, gtid, transaction (None where
    absent), total_order, query_head (first 200 bytes as sent, None where absent), file, pos, row,
    half (int64; 1 for the `c` of a key change's second half, else 0), ts_ms (commit time),
    server_id, connector.

    Raises PoisonError `malformed_event` or `unknown_op` with topic, partition and offset.
    """
    kept = [message for message in messages if message.value is not None]
    envelopes = _parse_all(topic_partition, kept)
    sources = [envelope.source for envelope in envelopes]
    return pd.DataFrame(
        {
            "topic": pd.Series([topic_partition.topic] * len(kept), dtype=object),
            "partition": np.full(len(kept), topic_partition.partition, dtype=np.int64),
            "offset": np.fromiter((m.offset for m in kept), dtype=np.int64, count=len(kept)),
            "timestamp": np.fromiter((m.timestamp for m in kept), dtype=np.int64, count=len(kept)),
            "run": _objects([m.run for m in kept]),
            "table": _objects([f"{s.db}.{s.table}" for s in sources]),
            "key": _objects([_key(topic_partition, m) for m in kept]),
            "before": _objects([_row(e.before) for e in envelopes]),
            "after": _objects([_row(e.after) for e in envelopes]),
            "op": _objects([e.op for e in envelopes]),
            "gtid": _objects([s.gtid for s in sources]),
            "transaction": _objects(
                [e.transaction.id if e.transaction else None for e in envelopes]
            ),
            "total_order": _integers(
                [e.transaction.total_order if e.transaction else 0 for e in envelopes]
            ),
            "query_head": _objects([_head(s.query) for s in sources]),
            "file": _integers([_file_number(s.file) for s in sources]),
            "pos": _integers([s.pos for s in sources]),
            "row": _integers([s.row or 0 for s in sources]),
            "half": _integers([1 if e.op == "c" else 0 for e in envelopes]),
            "ts_ms": _integers([s.ts_ms for s in sources]),
            "server_id": _integers([s.server_id for s in sources]),
            "connector": _objects([s.connector for s in sources]),
        }
    )


def _parse_all(topic_partition: TopicPartition, messages: Sequence[Message]) -> list[_Envelope]:
    envelopes = []
    for message in messages:
        value = message.value or b""
        try:
            envelope = _wrapped.decode(value).payload if is_wrapped(value) else _plain.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _poison(
                "malformed_event", "is not a Debezium row event", topic_partition, message.offset
            ) from None
        if envelope.op not in OPS:
            raise _poison(
                "unknown_op", "has an op other than c, u, d, r, t", topic_partition, message.offset
            )
        if message.key is None and envelope.op != "t":
            raise _poison("key_missing", "has no key", topic_partition, message.offset)
        envelopes.append(envelope)
    return envelopes


def _key(topic_partition: TopicPartition, message: Message) -> bytes | None:
    """The key's JSON object. Whether it is wrapped is seen at the value: a key column may be
    called `schema`.
    """
    if message.key is None or not is_wrapped(message.value or b""):
        return message.key
    try:
        return bytes(_wrapped_raw.decode(message.key).payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        what = "has a key that its converter's settings do not explain"
        raise _poison("malformed_event", what, topic_partition, message.offset) from None


def _poison(code: str, what: str, topic_partition: TopicPartition, offset: int) -> PoisonError:
    return PoisonError(
        code,
        f"a message {what}",
        where={
            "topic": topic_partition.topic,
            "partition": topic_partition.partition,
            "offset": offset,
        },
        remedy="Look at the message and at the connector's converter settings; nothing of its "
        "batch was written. If the message is not to be read, compare both sites, then give the "
        "link a new start behind it (docs/operations.md).",
    )


def _objects(values: list[Any]) -> pd.Series[Any]:
    return pd.Series(values, dtype=object)


def _integers(values: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def _row(raw: msgspec.Raw) -> bytes | None:
    row = bytes(raw)  # a copy: the Raw would keep the whole message alive
    return None if row == _NULL else row


def _head(raw: msgspec.Raw) -> bytes | None:
    view = memoryview(raw)  # the statement can be megabytes long and stands on each of its events
    return None if view == _NULL else bytes(view[:200])


def _file_number(name: str | None) -> int:
    digits = (name or "").rpartition(".")[2]
    return int(digits) if digits.isdigit() else 0
