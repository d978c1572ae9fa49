"""Debezium's row events parsed into a DataFrame.

Field names and meanings: Debezium's MySQL and MariaDB connector documentation, "Data change
events" and "Transaction metadata". `before` and `after` stay encoded; only what survives
compaction is ever decoded. Both converter settings, `schemas.enable` true and false, are read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from dts_pipeline.core.column_names import ColumnNames
from dts_pipeline.core.names import AS_THEY_ARE, Names
from dts_pipeline.core.ranges import TopicPartition
from dts_pipeline.errors import PoisonError

OPS = frozenset("cudrt")
_NULL = b"null"
_TOGETHER = 500  # messages parsed at a time: their structs then stay in the processor's cache
_OBJECTS = (
    "run", "table", "key", "before", "after", "op", "gtid", "transaction", "query_head",
    "connector",
)  # fmt: skip
_NUMBERS = (
    "offset", "timestamp", "total_order", "file", "pos", "row", "half", "ts_ms", "server_id",
)  # fmt: skip
EVENT_COLUMNS = (
    "topic", "partition", "offset", "timestamp", "run", "table", "key", "before", "after", "op",
    "gtid", "transaction", "total_order", "query_head", "file", "pos", "row", "half", "ts_ms",
    "server_id", "connector",
)  # fmt: skip
"""The columns of a frame of events, in order."""
_NO_RAW = msgspec.Raw(_NULL)


# There are as many of these as messages: as structs without cycles the collector never visits them.
class Message(msgspec.Struct, frozen=True, gc=False):
    """One Kafka message as read: `timestamp` in ms, `run` the connector's run id or ''."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    run: str = ""


class _Place(msgspec.Struct, gc=False):
    db: str
    ts_ms: int = 0
    connector: str = ""
    table: str | None = None
    server_id: int = 0
    gtid: str | None = None
    file: str | None = None
    pos: int = 0
    row: int | None = 0


class _Source(_Place):
    query: msgspec.Raw = _NO_RAW


class _SilentSource(_Place):
    """Of a connector that sends no statements: nothing to keep, nothing to look at."""

    query: None = None


class _Transaction(msgspec.Struct, gc=False):
    id: str
    total_order: int = 0


class _Change(msgspec.Struct, gc=False, kw_only=True):
    op: str
    before: msgspec.Raw = _NO_RAW
    after: msgspec.Raw = _NO_RAW
    transaction: _Transaction | None = None


class _Envelope(_Change):
    source: _Source


class _SilentEnvelope(_Change):
    source: _SilentSource


_Envelopes = Sequence[_Envelope | _SilentEnvelope]


class _WrappedEnvelope(msgspec.Struct, gc=False):
    payload: _Envelope


class _WrappedRaw(msgspec.Struct):
    payload: msgspec.Raw


_plain = msgspec.json.Decoder(_Envelope)
_silent = msgspec.json.Decoder(_SilentEnvelope)
_wrapped = msgspec.json.Decoder(_WrappedEnvelope)
_wrapped_raw = msgspec.json.Decoder(_WrappedRaw)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def is_wrapped(value: bytes) -> bool:
    """Whether a message carries its schema beside the payload (`schemas.enable=true`)."""
    return value.startswith(b'{"schema":')


def parse_events(
    topic_partition: TopicPartition, messages: Sequence[Message], names: Names = AS_THEY_ARE
) -> pd.DataFrame:
    """The row events of one topic-partition, in offset order; tombstones are left out.

    `names`: what the source calls tables and columns.
    Columns: topic, partition, offset, timestamp (ms, Kafka's), run (str), table (its common name),
    key, before, after (bytes, still encoded; None where absent), op, gtid, transaction (None where
    absent), total_order, query_head (first 200 bytes as sent, None where absent), file, pos, row,
    half (int64; 1 for the `c` of a key change's second half, else 0), ts_ms (commit time),
    server_id, connector.

    Raises PoisonError `malformed_event` or `unknown_op` with topic, partition and offset.
    """
    return EventRows(topic_partition, names).frame(messages)


class EventRows:
    """Row events of one topic-partition, parsed while they come; `frame` makes them a DataFrame."""

    def __init__(self, topic_partition: TopicPartition, names: Names = AS_THEY_ARE) -> None:
        """No events yet; `names` as `parse_events` takes it."""
        self._place = topic_partition
        self._names = names
        self._shared = _Shared()
        self._objects: dict[str, list[Any]] = {name: [] for name in _OBJECTS}
        self._numbers: dict[str, list[npt.NDArray[np.int64]]] = {name: [] for name in _NUMBERS}
        self._count = 0

    def add(self, messages: Sequence[Message]) -> None:
        """Parses messages, in offset order. Raises what `parse_events` raises."""
        kept = [message for message in messages if message.value is not None]
        for start in range(0, len(kept), _TOGETHER):
            self._add(kept[start : start + _TOGETHER])

    def _add(self, messages: Sequence[Message]) -> None:
        envelopes, wrapped = _parse_all(self._place, messages)
        keys = [m.key for m in messages]
        if wrapped:
            keys = [_key(self._place, m) for m in messages]
        ops = [e.op for e in envelopes]
        _refuse_unknown(self._place, messages, ops, keys)
        objects = _objects(messages, envelopes, self._shared, self._names)
        objects |= {"key": keys, "op": self._shared(ops)}
        if self._names.columns:
            _give_common_names(objects, self._names)
        for name, texts in objects.items():
            self._objects[name] += texts
        for name, values in _numbers(messages, envelopes, ops).items():
            self._numbers[name].append(np.array(values, dtype=np.int64))
        self._count += len(messages)

    def frame(self, more: Sequence[Message] = ()) -> pd.DataFrame:
        """The events added so far, and those of `more`, which are not added.

        Columns as `parse_events` gives them.
        """
        rest = EventRows(self._place, self._names)
        rest.add(more)
        count = self._count + rest._count
        columns: dict[str, npt.NDArray[Any]] = {
            "topic": np.full(count, self._place.topic, dtype=object),
            "partition": np.full(count, self._place.partition, dtype=np.int64),
        }
        for name, texts in self._objects.items():
            columns[name] = np.empty(count, dtype=object)
            columns[name][: self._count] = texts
            columns[name][self._count :] = rest._objects[name]
        for name, parts in self._numbers.items():
            parts = [*parts, *rest._numbers[name]]
            columns[name] = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        return pd.DataFrame(
            {name: pd.Series(columns[name], dtype=columns[name].dtype) for name in EVENT_COLUMNS},
            copy=False,
        )


def _objects(
    messages: Sequence[Message], envelopes: _Envelopes, shared: _Shared, names: Names
) -> dict[str, list[Any]]:
    sources = [envelope.source for envelope in envelopes]
    return {
        "run": shared([m.run for m in messages]),
        "table": shared(_tables([s.db for s in sources], [s.table for s in sources], names)),
        "before": _rows([e.before for e in envelopes]),
        "after": _rows([e.after for e in envelopes]),
        "gtid": shared([s.gtid for s in sources]),
        "transaction": shared([e.transaction.id if e.transaction else None for e in envelopes]),
        "query_head": _heads([s.query for s in sources], shared),
        "connector": shared([s.connector for s in sources]),
    }


def _give_common_names(objects: dict[str, list[Any]], names: Names) -> None:
    """Makes rows and keys, in place, ones of columns under their common names."""
    called = {table: names.columns_of(table) for table in set(objects["table"])}
    if any(called.values()):
        for side in ("key", "before", "after"):
            objects[side] = [
                under_common_names(row, called[table]) if row and called[table] else row
                for table, row in zip(objects["table"], objects[side], strict=True)
            ]


def under_common_names(row: bytes, names: ColumnNames) -> bytes:
    """A row or key as a site sent it, a JSON object, under the common names; no value is touched.

    What is no JSON object stays as it is, for the decoder to refuse.
    """
    try:
        values = _fields(row)
    except msgspec.DecodeError:
        return row
    return _encode({names.common(name): value for name, value in values.items()})


def _numbers(
    messages: Sequence[Message], envelopes: _Envelopes, ops: Sequence[str]
) -> dict[str, list[int]]:
    sources = [envelope.source for envelope in envelopes]
    return {
        "offset": [m.offset for m in messages],
        "timestamp": [m.timestamp for m in messages],
        "total_order": [e.transaction.total_order if e.transaction else 0 for e in envelopes],
        "file": _file_numbers([s.file for s in sources]),
        "pos": [s.pos for s in sources],
        "row": [s.row or 0 for s in sources],
        "half": [op == "c" for op in ops],
        "ts_ms": [s.ts_ms for s in sources],
        "server_id": [s.server_id for s in sources],
    }


class _Shared(dict[Any, Any]):
    """Makes equal texts one object: the rows of a transaction repeat the same few."""

    def __missing__(self, text: Any) -> Any:
        self[text] = text
        return text

    def __call__(self, texts: Iterable[Any]) -> list[Any]:
        return list(map(self.__getitem__, texts))


def _parse_all(
    topic_partition: TopicPartition, messages: Sequence[Message]
) -> tuple[_Envelopes, bool]:
    """All at once as messages without a schema; one by one where one of them is not.

    Says too whether a message may be wrapped: none that is can be read as one that is not.
    """
    if not messages or not is_wrapped(messages[0].value or b""):
        values = [message.value or b"" for message in messages]
        for decode in (_silent.decode, _plain.decode):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                return list(map(decode, values)), False
    return [_parse_one(topic_partition, message) for message in messages], True


def _parse_one(topic_partition: TopicPartition, message: Message) -> _Envelope:
    value = message.value or b""
    try:
        return _wrapped.decode(value).payload if is_wrapped(value) else _plain.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        what = "is not a Debezium row event"
        raise poison_message("malformed_event", what, topic_partition, message.offset) from None


def _refuse_unknown(
    topic_partition: TopicPartition,
    messages: Sequence[Message],
    ops: Sequence[str],
    keys: Sequence[bytes | None],
) -> None:
    if not OPS.issuperset(ops):
        at = next(i for i, op in enumerate(ops) if op not in OPS)
        what = "has an op other than c, u, d, r, t"
        raise poison_message("unknown_op", what, topic_partition, messages[at].offset)
    if None in keys:
        keyless = (i for i, key in enumerate(keys) if key is None and ops[i] != "t")
        if (at := next(keyless, -1)) >= 0:
            raise poison_message("key_missing", "has no key", topic_partition, messages[at].offset)


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
        raise poison_message("malformed_event", what, topic_partition, message.offset) from None


def poison_message(
    code: str, what: str, topic_partition: TopicPartition, offset: int
) -> PoisonError:
    """The error for a message that `what` is said of, with its place."""
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


def _rows(raws: Iterable[msgspec.Raw]) -> list[bytes | None]:
    """Copies: a Raw would keep its whole message alive."""
    return [None if row == _NULL else row for row in map(bytes, raws)]


def _heads(queries: list[msgspec.Raw | None], shared: _Shared) -> list[bytes | None]:
    if queries.count(None) == len(queries):
        return [None] * len(queries)
    return shared([None if q is None or q == _NO_RAW else _head(q) for q in queries])


def _head(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:200])  # the statement can be megabytes long, on each event


def _tables(schemas: Sequence[str], tables: Sequence[str | None], names: Names) -> list[str]:
    """The tables' common names."""
    if len(set(schemas)) == len(set(tables)) == 1:
        return [names.common(f"{schemas[0]}.{tables[0]}")] * len(tables)
    own = [f"{schema}.{table}" for schema, table in zip(schemas, tables, strict=True)]
    common = {name: names.common(name) for name in set(own)}
    return [common[name] for name in own]


def _file_numbers(files: Sequence[str | None]) -> list[int]:
    numbers = {name: _file_number(name) for name in set(files)}
    return [numbers[name] for name in files]


def _file_number(name: str | None) -> int:
    digits = (name or "").rpartition(".")[2]
    return int(digits) if digits.isdigit() else 0
