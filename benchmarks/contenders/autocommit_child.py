"""The old way: reads a topic and runs a statement an event, each committed by itself.

Arguments: result file, and a JSON object with `kafka`, `topics` (topic: end offset), `target`
(PyMySQL's arguments) and `kinds` (column: its data type). The password comes from the environment
as BENCH_PASSWORD.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pymysql
from confluent_kafka import Consumer, TopicPartition

from benchmarks.contenders.child import write_result

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_MARK = "/* dts */"


def main(result: str, text: str) -> None:
    """Carries everything up to the topics' ends."""
    order = json.loads(text)
    connection = pymysql.connect(
        **order["target"], password=os.environ["BENCH_PASSWORD"], charset="utf8mb4", autocommit=True
    )
    first, events = 0.0, 0
    began, cpu = time.time(), time.process_time()
    with connection.cursor() as cursor:
        for value in _values(order["kafka"], order["topics"]):
            first = first or time.time()
            event = msgspec.json.decode(value)
            cursor.execute(*statement(event, order["kinds"]))
            events += 1
    ended = time.time()
    moments = {"began": began, "first": first, "ended": ended, "cpu": time.process_time() - cpu}
    write_result(result, {**moments, "events": events})


def _values(kafka: str, ends: Mapping[str, int]) -> Iterator[bytes]:
    """Every message but tombstones."""
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": "bench", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, 0, 0) for topic in ends])
    left = dict(ends)
    while left:
        for message in consumer.consume(1000, 1.0):
            if message.error():
                raise RuntimeError(str(message.error()))
            topic, value = str(message.topic()), message.value()
            if value is not None:
                yield value
            if int(message.offset() or 0) + 1 >= ends[topic]:
                left.pop(topic, None)
    consumer.close()


def statement(
    event: Mapping[str, Any], kinds: Mapping[str, Sequence[Any]]
) -> tuple[str, list[Any]]:
    """An event's statement and its parameters; `kinds`: data type and decimal places by column."""
    table = event["source"]["table"]
    if event["op"] == "d":
        return f"DELETE {_MARK} FROM {table} WHERE id = %s", [event["before"]["id"]]
    after = event["after"]
    names, places = ", ".join(after), ", ".join(["%s"] * len(after))
    again = ", ".join(f"{name} = VALUES({name})" for name in after if name != "id")
    text = (
        f"INSERT {_MARK} INTO {table} ({names}) VALUES ({places}) ON DUPLICATE KEY UPDATE {again}"
    )
    return text, [value_of(value, *kinds[name]) for name, value in after.items()]


def value_of(value: Any, kind: str, scale: int) -> Any:
    """A column's value as PyMySQL takes it."""
    if value is None:
        return None
    if kind == "decimal":
        return Decimal(int.from_bytes(base64.b64decode(value), signed=True)).scaleb(-scale)
    if kind == "datetime":
        return _EPOCH + timedelta(microseconds=value)
    return value


if __name__ == "__main__":
    main(*sys.argv[1:])
