"""Debezium's BEGIN and END messages parsed into records.

Field names and meanings: Debezium's MySQL and MariaDB connector documentation, "Transaction
metadata". Both converter settings, `schemas.enable` true and false, are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import msgspec

from dts_pipeline.core.envelope import Message, is_wrapped, poison_message
from dts_pipeline.core.names import AS_THEY_ARE, Names
from dts_pipeline.core.ranges import TopicPartition


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


_plain_transaction = msgspec.json.Decoder(_TransactionMessage)
_wrapped_transaction = msgspec.json.Decoder(_WrappedTransactionMessage)


@dataclass(frozen=True)
class TransactionMessage:
    """BEGIN or END of a source transaction; `counts` (END only) maps tables to events."""

    offset: int
    timestamp: int
    is_end: bool
    id: str
    counts: dict[str, int]


def parse_transaction_messages(
    topic_partition: TopicPartition, messages: Sequence[Message], names: Names = AS_THEY_ARE
) -> list[TransactionMessage]:
    """The BEGIN and END messages in order; raises PoisonError for anything else.

    `names`: what the source calls the tables; `counts` has their common names.
    """
    parsed = []
    common = cache(names.common)
    for message in messages:
        if message.value is None:
            continue
        try:
            if is_wrapped(message.value):
                item = _wrapped_transaction.decode(message.value).payload
            else:
                item = _plain_transaction.decode(message.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise poison_message(
                "malformed_event", "is not a transaction message", topic_partition, message.offset
            ) from None
        if item.status not in ("BEGIN", "END"):
            what = "has a status other than BEGIN and END"
            raise poison_message("malformed_event", what, topic_partition, message.offset)
        counts: dict[str, int] = {}
        for collection in item.data_collections or []:
            counts[common(collection.data_collection)] = collection.event_count
        parsed.append(
            TransactionMessage(
                message.offset, message.timestamp, item.status == "END", item.id, counts
            )
        )
    return parsed
